// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package e2e tests Platen on a real cluster: the API server, kubelet, Chromium and every byte are real; only Dropbox is
// simulated. `make test-e2e` installs what the tests need.
//
// Specs run beside others. Serial are those that change what others use, such as the manager, or the clock and the faults of the simulator, and those
// that measure what others cost.
package e2e

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
	"github.com/platen-dev/platen/test/cluster"
)

// waitTimeout bounds every wait.
const waitTimeout = 60 * time.Second

var c *cluster.Cluster

func TestE2E(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Platen end to end")
}

var _ = BeforeSuite(func() {
	var err error
	c, err = cluster.Open()
	Expect(err).NotTo(HaveOccurred())
})

// workspace is the namespace of one spec, with an account in the simulator.
type workspace struct {
	namespace string
	// appKey of the account.
	appKey string
}

// newWorkspace creates a namespace that enforces PodSecurity "restricted" and is deleted after the spec.
func newWorkspace(ctx context.Context) *workspace {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "e2e-",
		Labels:       map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}
	Expect(c.Create(ctx, namespace)).To(Succeed())
	DeferCleanup(func(ctx context.Context) {
		// A namespace ends slowly. Its jobs that still wait would take the pods of the next spec's namespace.
		Expect(client.IgnoreNotFound(c.DeleteAllOf(ctx, &platenv1alpha1.RenderJob{}, client.InNamespace(namespace.Name)))).To(Succeed())
		Expect(client.IgnoreNotFound(c.Delete(ctx, namespace))).To(Succeed())
	})
	w := &workspace{namespace: namespace.Name, appKey: namespace.Name}
	w.setAccount(ctx, func(*dropboxsim.Account) {})
	w.create(ctx, &platenv1alpha1.RenderTemplate{
		ObjectMeta: metav1.ObjectMeta{Name: "card"},
		Spec: platenv1alpha1.RenderTemplateSpec{Pages: []platenv1alpha1.TemplatePage{{
			Name: "front", Width: 400, Height: 200,
			HTML: `<body style="margin:0;background:rgb(255,0,0)"><h1 data-param="headline">Headline</h1>`,
		}}},
	})
	return w
}

// setAccount changes the workspace's Dropbox account.
func (w *workspace) setAccount(ctx context.Context, change func(*dropboxsim.Account)) {
	GinkgoHelper()
	account := dropboxsim.Account{AppKey: w.appKey, RefreshToken: "refresh-" + w.namespace, Email: w.namespace + "@example.com", DisplayName: "E2E"}
	change(&account)
	Expect(c.Simulator().AddAccount(ctx, account)).To(Succeed())
}

func (w *workspace) create(ctx context.Context, o client.Object) {
	GinkgoHelper()
	o.SetNamespace(w.namespace)
	Expect(c.Create(ctx, o)).To(Succeed())
}

// secret holds the account's credentials.
func (w *workspace) secret() *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "dropbox", Namespace: w.namespace, Labels: map[string]string{platenv1alpha1.CredentialsLabel: "true"}},
		StringData: map[string]string{"appKey": w.appKey, "refreshToken": "refresh-" + w.namespace},
	}
}

// connect creates a StorageConnection, without waiting for it.
func (w *workspace) connect(ctx context.Context, change func(*platenv1alpha1.StorageConnection)) {
	GinkgoHelper()
	connection := &platenv1alpha1.StorageConnection{
		ObjectMeta: metav1.ObjectMeta{Name: "dropbox"},
		Spec: platenv1alpha1.StorageConnectionSpec{
			Provider: platenv1alpha1.ProviderDropbox,
			Dropbox:  &platenv1alpha1.DropboxSpec{CredentialsSecretRef: platenv1alpha1.SecretReference{Name: "dropbox"}},
		},
	}
	change(connection)
	w.create(ctx, connection)
}

// connected creates a Secret and a StorageConnection and waits until it is Ready.
func (w *workspace) connected(ctx context.Context) {
	GinkgoHelper()
	w.create(ctx, w.secret())
	w.connect(ctx, func(*platenv1alpha1.StorageConnection) {})
	w.awaitConnection(ctx, platenv1alpha1.VerifiedReason)
}

// awaitConnection waits until the connection's Ready condition has the reason.
func (w *workspace) awaitConnection(ctx context.Context, reason string) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		connection := &platenv1alpha1.StorageConnection{}
		g.Expect(c.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: "dropbox"}, connection)).To(Succeed())
		ready := meta.FindStatusCondition(connection.Status.Conditions, platenv1alpha1.ReadyCondition)
		g.Expect(ready).NotTo(BeNil())
		g.Expect(ready.Reason).To(Equal(reason), ready.Message)
	}).WithContext(ctx).WithTimeout(waitTimeout).WithPolling(50 * time.Millisecond).Should(Succeed())
}

// job returns a job for the workspace's template that is rendered whatever was rendered before.
func (w *workspace) job(name string, change func(*platenv1alpha1.RenderJob)) *platenv1alpha1.RenderJob {
	job := &platenv1alpha1.RenderJob{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.namespace},
		Spec:       platenv1alpha1.RenderJobSpec{TemplateRef: platenv1alpha1.TemplateReference{Name: "card"}, Cache: platenv1alpha1.CacheDisabled},
	}
	change(job)
	return job
}

// run creates a job and waits until it has finished.
func (w *workspace) run(ctx context.Context, job *platenv1alpha1.RenderJob) *platenv1alpha1.RenderJob {
	GinkgoHelper()
	w.create(ctx, job)
	return w.await(ctx, job)
}

func (w *workspace) await(ctx context.Context, job *platenv1alpha1.RenderJob) *platenv1alpha1.RenderJob {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(ctx, waitTimeout)
	defer cancel()
	done, err := c.WaitFinished(ctx, client.ObjectKeyFromObject(job))
	Expect(err).NotTo(HaveOccurred())
	expectKstatus(done)
	return done
}

// expectHealed waits until the failed uploads of a job have succeeded.
func (w *workspace) expectHealed(ctx context.Context, name string) *platenv1alpha1.RenderJob {
	GinkgoHelper()
	job := &platenv1alpha1.RenderJob{}
	Eventually(func(g Gomega) {
		g.Expect(c.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: name}, job)).To(Succeed())
		g.Expect(reason(job, platenv1alpha1.ReadyCondition)).To(Equal(platenv1alpha1.SucceededReason))
	}).WithContext(ctx).WithTimeout(waitTimeout).WithPolling(50 * time.Millisecond).Should(Succeed())
	expectKstatus(job)
	return job
}

// reason returns the reason of a condition; empty if there is none.
func reason(job *platenv1alpha1.RenderJob, kind string) string {
	if condition := meta.FindStatusCondition(job.Status.Conditions, kind); condition != nil {
		return condition.Reason
	}
	return ""
}

// warnings lists the titles.
func warnings(job *platenv1alpha1.RenderJob) []string {
	titles := make([]string, 0, len(job.Status.Warnings))
	for _, w := range job.Status.Warnings {
		titles = append(titles, w.Title)
	}
	return titles
}

// calls lists the account's Dropbox calls in the simulator's log, by route.
func (w *workspace) calls(ctx context.Context) []string {
	GinkgoHelper()
	entries, err := c.Simulator().Log(ctx)
	Expect(err).NotTo(HaveOccurred())
	var routes []string
	for _, e := range entries {
		if e.AppKey == w.appKey {
			routes = append(routes, e.Route)
		}
	}
	return routes
}

// files lists the files in the account.
func (w *workspace) files(ctx context.Context) []dropboxsim.File {
	GinkgoHelper()
	files, err := c.Simulator().Files(ctx, w.appKey)
	Expect(err).NotTo(HaveOccurred())
	return files
}

// expectDelivered checks that every page of the job is in Dropbox at the path in status, byte-identical to its content URL and committed
// once, and that nothing else is at those paths.
func (w *workspace) expectDelivered(ctx context.Context, job *platenv1alpha1.RenderJob) {
	GinkgoHelper()
	w.expectDeliveredAsRead(ctx, job, c.Content)
}

// expectDeliveredAsRead is expectDelivered for whoever reads files in another way than c.Content.
func (w *workspace) expectDeliveredAsRead(ctx context.Context, job *platenv1alpha1.RenderJob, read func(ctx context.Context, contentURL string) ([]byte, string, error)) {
	GinkgoHelper()
	Expect(reason(job, platenv1alpha1.ReadyCondition)).To(Equal(platenv1alpha1.SucceededReason), "%+v", job.Status)
	Expect(job.Status.Connections).To(HaveLen(1))
	connection := job.Status.Connections[0]
	Expect(connection.Status).To(Equal(platenv1alpha1.UploadSuccess))
	Expect(connection.Pages).To(HaveLen(len(job.Status.Pages)))
	for i, page := range job.Status.Pages {
		rendered, _, err := read(ctx, page.ContentURL)
		Expect(err).NotTo(HaveOccurred())
		uploaded, err := c.Simulator().File(ctx, w.appKey, connection.Pages[i].Path)
		Expect(err).NotTo(HaveOccurred())
		Expect(uploaded).To(Equal(rendered))
		Expect(page.Size).To(HaveValue(BeEquivalentTo(len(rendered))))
	}
	files := w.files(ctx)
	Expect(files).To(HaveLen(len(job.Status.Pages)))
	for _, f := range files {
		Expect(f.Commits).To(Equal(1), f.Path)
	}
}
