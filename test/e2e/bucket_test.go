// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/test/cluster"
	"github.com/platen-dev/platen/test/s3"
)

// hereForPods returns an address of this machine that reaches the API server, and so that pods of the development cluster reach.
func hereForPods(ctx context.Context) string {
	GinkgoHelper()
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv(clientcmd.RecommendedConfigPathEnvVar))
	Expect(err).NotTo(HaveOccurred())
	api, err := url.Parse(config.Host)
	Expect(err).NotTo(HaveOccurred())
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", api.Host)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = connection.Close() }()
	host, _, err := net.SplitHostPort(connection.LocalAddr().String())
	Expect(err).NotTo(HaveOccurred())
	return host
}

// Files of a bucket are served by every replica, and survive the one that stored them.
var _ = Describe("Two managers with a bucket", Ordered, Serial, func() {
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: cluster.Namespace, Name: "platen-manager"}}
	var server *s3.Server

	BeforeAll(func(ctx SpecContext) {
		onDevcluster()
		var err error
		server, err = s3.Listen(ctx, net.JoinHostPort(hereForPods(ctx), "0"))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(server.Close)
		Expect(c.Get(ctx, client.ObjectKeyFromObject(deployment), deployment)).To(Succeed())
		before := deployment.DeepCopy()
		deployment.Spec.Replicas = new(int32(2))
		deployment.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType}
		manager := &deployment.Spec.Template.Spec.Containers[0]
		manager.Args = append(manager.Args, "--content-store="+server.BucketURL(), "--content-redirect")
		for _, name := range slices.Sorted(maps.Keys(s3.Credentials)) {
			manager.Env = append(manager.Env, corev1.EnvVar{Name: name, Value: s3.Credentials[name]})
		}
		Expect(c.Patch(ctx, deployment, client.MergeFrom(before))).To(Succeed())
		DeferCleanup(func(ctx SpecContext) {
			restored := deployment.DeepCopy()
			restored.Spec = before.Spec
			Expect(c.Patch(ctx, restored, client.MergeFrom(deployment))).To(Succeed())
			replicas(ctx, deployment, 1)
			leader(ctx)
		})
		replicas(ctx, deployment, 2)
	})

	It("serve its files from every replica, also after the leader has gone, and redirect to it", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.connected(ctx)
		first := w.run(ctx, w.job("first", unchanged))
		w.expectServed(ctx, server, first)

		leads := leader(ctx)
		Expect(c.Delete(ctx, leads)).To(Succeed())
		second := w.run(ctx, w.job("second", unchanged))
		leader(ctx, leads.Name)
		replicas(ctx, deployment, 2)
		for _, job := range []*platenv1alpha1.RenderJob{first, second} {
			expectAttempts(job, 1)
			w.expectServed(ctx, server, job)
		}
	}, SpecTimeout(4*time.Minute))

	It("leave the bytes of downloads to the bucket", func(ctx SpecContext) {
		const jobs, downloads = 10, 5
		w := newWorkspace(ctx)
		created := make([]*platenv1alpha1.RenderJob, 0, jobs)
		for i := range jobs {
			created = append(created, w.job(fmt.Sprintf("job-%d", i), unchanged))
			w.create(ctx, created[i])
		}
		sent, size := server.Sent.Load(), int64(0)
		for _, job := range created {
			page := w.await(ctx, job).Status.Pages[0]
			for range downloads {
				for _, pod := range managers(ctx) {
					answer := fetch(ctx, pod, page.ContentURL, false)
					Expect(answer.StatusCode).To(Equal(http.StatusFound))
					follow(ctx, answer)
					size += *page.Size
				}
			}
		}
		AddReportEntry("bytes of downloads", size)
		AddReportEntry("bytes that the bucket has sent, in all", server.Sent.Load()-sent)
		// What the manager itself reads: manifests, and what it asks before it redirects.
		Expect(server.Sent.Load() - sent).To(BeNumerically("<", size+size/4+jobs*4<<10))
	}, SpecTimeout(4*time.Minute))
})

// managers returns the pods of all managers that are ready.
func managers(ctx context.Context) (ready []corev1.Pod) {
	GinkgoHelper()
	pods := &corev1.PodList{}
	Expect(c.List(ctx, pods, client.InNamespace(cluster.Namespace), client.MatchingLabels{"app.kubernetes.io/component": "manager"})).To(Succeed())
	for _, pod := range pods.Items {
		if pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		}) {
			ready = append(ready, pod)
		}
	}
	return ready
}

// fetch asks one manager for what a content URL names; direct asks it not to redirect. It does not follow redirections.
func fetch(ctx context.Context, pod corev1.Pod, contentURL string, direct bool) *http.Response {
	GinkgoHelper()
	target, err := url.Parse(contentURL)
	Expect(err).NotTo(HaveOccurred())
	target.Host = net.JoinHostPort(pod.Status.PodIP, target.Port())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	Expect(err).NotTo(HaveOccurred())
	if direct {
		request.Header.Set(file.DirectHeader, "true")
	}
	answer, err := http.DefaultTransport.RoundTrip(request)
	Expect(err).NotTo(HaveOccurred())
	return answer
}

// follow returns what a redirection leads to.
func follow(ctx context.Context, answer *http.Response) []byte {
	GinkgoHelper()
	Expect(answer.Body.Close()).To(Succeed())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, answer.Header.Get("Location"), http.NoBody)
	Expect(err).NotTo(HaveOccurred())
	target, err := http.DefaultClient.Do(request)
	Expect(err).NotTo(HaveOccurred())
	Expect(target.StatusCode).To(Equal(http.StatusOK))
	return read(target)
}

func read(answer *http.Response) []byte {
	GinkgoHelper()
	defer func() { _ = answer.Body.Close() }()
	data, err := io.ReadAll(answer.Body)
	Expect(err).NotTo(HaveOccurred())
	return data
}

// expectServed checks that both managers serve a job's only file, which is in Dropbox too, and redirect to the bucket.
func (w *workspace) expectServed(ctx context.Context, server *s3.Server, job *platenv1alpha1.RenderJob) {
	GinkgoHelper()
	page := job.Status.Pages[0]
	Expect(job.Status.Connections).To(HaveLen(1))
	uploaded, err := c.Simulator().File(ctx, w.appKey, job.Status.Connections[0].Pages[0].Path)
	Expect(err).NotTo(HaveOccurred())
	Expect(page.Size).To(HaveValue(BeEquivalentTo(len(uploaded))))
	pods := managers(ctx)
	Expect(pods).To(HaveLen(2))
	for _, pod := range pods {
		redirected := fetch(ctx, pod, page.ContentURL, false)
		Expect(redirected.StatusCode).To(Equal(http.StatusFound), pod.Name)
		Expect(redirected.Header.Get("Location")).To(HavePrefix(server.URL+"/"+s3.Bucket+"/"), pod.Name)
		Expect(read(fetch(ctx, pod, page.ContentURL, true))).To(Equal(uploaded), pod.Name)
		Expect(follow(ctx, redirected)).To(Equal(uploaded), pod.Name)
	}
}
