// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package storageconnection_test

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
)

var _ = Describe("A StorageConnection", func() {
	var (
		namespace  string
		connection *platenv1alpha1.StorageConnection
		secret     *corev1.Secret
		completion *metav1.Time // of the job that fail makes
	)
	BeforeEach(func(ctx SpecContext) {
		workspace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "workspace-"}}
		Expect(api.Create(ctx, workspace)).To(Succeed())
		namespace = workspace.Name
		sim.AddAccount(dropboxsim.Account{AppKey: namespace, RefreshToken: "refresh", Email: "ann@example.com", DisplayName: "Ann"})
		secret = &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "dropbox", Labels: map[string]string{platenv1alpha1.CredentialsLabel: "true"}},
			StringData: map[string]string{"appKey": namespace, "refreshToken": "refresh"},
		}
		connection = &platenv1alpha1.StorageConnection{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "dropbox"},
			Spec: platenv1alpha1.StorageConnectionSpec{
				Provider: platenv1alpha1.ProviderDropbox, DefaultFolder: "/Renders/2026",
				Dropbox: &platenv1alpha1.DropboxSpec{CredentialsSecretRef: platenv1alpha1.SecretReference{Name: "dropbox"}},
			},
		}
	})

	// expectReady polls the connection until its Ready condition of the present generation has a status and a reason.
	expectReady := func(ctx SpecContext, status metav1.ConditionStatus, reason string) {
		GinkgoHelper()
		Eventually(func(g Gomega) {
			g.Expect(api.Get(ctx, client.ObjectKeyFromObject(connection), connection)).To(Succeed())
			condition := meta.FindStatusCondition(connection.Status.Conditions, platenv1alpha1.ReadyCondition)
			g.Expect(condition).NotTo(BeNil())
			g.Expect(fmt.Sprintf("%s %s", condition.Status, condition.Reason)).To(Equal(fmt.Sprintf("%s %s", status, reason)), condition.Message)
			g.Expect(condition.ObservedGeneration).To(Equal(connection.Generation))
		}).Should(Succeed())
	}
	// touch changes the Secret so that the connection is verified.
	touch := func(ctx SpecContext, change func()) {
		GinkgoHelper()
		Expect(api.Get(ctx, client.ObjectKeyFromObject(secret), secret)).To(Succeed())
		change()
		Expect(api.Update(ctx, secret)).To(Succeed())
	}
	// fail creates a finished job whose upload through the connection failed.
	fail := func(ctx SpecContext, reason storage.Reason, size int64) {
		GinkgoHelper()
		job := &platenv1alpha1.RenderJob{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "summer"},
			Spec:       platenv1alpha1.RenderJobSpec{TemplateRef: platenv1alpha1.TemplateReference{Name: "banner"}},
		}
		Expect(api.Create(ctx, job)).To(Succeed())
		job.Status = platenv1alpha1.RenderJobStatus{
			ObservedGeneration: &job.Generation, CompletionTime: completion,
			Conditions: []metav1.Condition{{
				Type: platenv1alpha1.FinishedCondition, Status: metav1.ConditionTrue, Reason: "SucceededWithWarnings", LastTransitionTime: metav1.Now(),
			}},
			Pages: []platenv1alpha1.RenderedPage{{Page: 1, Size: &size}},
			Connections: []platenv1alpha1.JobConnectionStatus{{
				Name: "dropbox", Status: platenv1alpha1.UploadError, Reason: string(reason), ReadyCount: connection.Status.ReadyCount,
			}},
		}
		Expect(api.Status().Update(ctx, job)).To(Succeed())
	}

	It("is Ready once the account answered and the folder exists", func(ctx SpecContext) {
		Expect(api.Create(ctx, secret)).To(Succeed())
		Expect(api.Create(ctx, connection)).To(Succeed())
		expectReady(ctx, metav1.ConditionTrue, platenv1alpha1.VerifiedReason)
		Expect(connection.Status.Account.Email).To(Equal("ann@example.com"))
		Expect(connection.Status.DefaultFolder).To(Equal("/Renders/2026"))
		Expect(*connection.Status.Space.Allocated).To(BeEquivalentTo(2 << 30))
		Expect(*connection.Status.ReadyCount).To(BeEquivalentTo(1))
	})

	It("waits for its Secret, names what is wrong with it, and heals when it is corrected", func(ctx SpecContext) {
		Expect(api.Create(ctx, connection)).To(Succeed())
		expectReady(ctx, metav1.ConditionFalse, string(storage.ReasonSecretNotFound))
		secret.StringData["refreshToken"] = "wrong"
		Expect(api.Create(ctx, secret)).To(Succeed())
		expectReady(ctx, metav1.ConditionFalse, string(storage.ReasonTokenExpired))
		Expect(meta.IsStatusConditionTrue(connection.Status.Conditions, platenv1alpha1.StalledCondition)).To(BeTrue())
		events := &corev1.EventList{}
		Eventually(func(g Gomega) {
			g.Expect(api.List(ctx, events, client.InNamespace(namespace))).To(Succeed())
			g.Expect(events.Items).To(ContainElement(HaveField("Reason", string(storage.ReasonTokenExpired))))
		}).Should(Succeed())
		touch(ctx, func() { secret.StringData = map[string]string{"refreshToken": "refresh"} })
		expectReady(ctx, metav1.ConditionTrue, platenv1alpha1.VerifiedReason)
		Expect(meta.FindStatusCondition(connection.Status.Conditions, platenv1alpha1.StalledCondition)).To(BeNil())
		Expect(*connection.Status.ReadyCount).To(BeEquivalentTo(1))
		touch(ctx, func() { secret.Labels = nil })
		expectReady(ctx, metav1.ConditionFalse, string(storage.ReasonSecretNotLabelled))
	})

	It("asks the service again when its Secret is touched, whatever the service has refused before", func(ctx SpecContext) {
		secret.StringData["refreshToken"] = "later"
		Expect(api.Create(ctx, secret)).To(Succeed())
		Expect(api.Create(ctx, connection)).To(Succeed())
		expectReady(ctx, metav1.ConditionFalse, string(storage.ReasonTokenExpired))
		sim.AddAccount(dropboxsim.Account{AppKey: namespace, RefreshToken: "later", Email: "ann@example.com", DisplayName: "Ann"})
		touch(ctx, func() { secret.StringData = map[string]string{"note": "checked"} })
		expectReady(ctx, metav1.ConditionTrue, platenv1alpha1.VerifiedReason)
	})

	It("creates another folder when its spec names one, and none when it is disabled", func(ctx SpecContext) {
		Expect(api.Create(ctx, secret)).To(Succeed())
		Expect(api.Create(ctx, connection)).To(Succeed())
		expectReady(ctx, metav1.ConditionTrue, platenv1alpha1.VerifiedReason)
		connection.Spec.DefaultFolder = "/Elsewhere"
		Expect(api.Update(ctx, connection)).To(Succeed())
		expectReady(ctx, metav1.ConditionTrue, platenv1alpha1.VerifiedReason)
		Expect(connection.Status.DefaultFolder).To(Equal("/Elsewhere"))
		Expect(*connection.Status.ReadyCount).To(BeEquivalentTo(1), "it was Ready all the time")
		sim.AddFault(dropboxsim.Fault{Route: "/2/files/create_folder_v2", Status: http.StatusInternalServerError, Count: 100})
		DeferCleanup(sim.ClearFaults)
		connection.Spec.UploadPolicy, connection.Spec.DefaultFolder = platenv1alpha1.UploadDisabled, "/Never"
		Expect(api.Update(ctx, connection)).To(Succeed())
		expectReady(ctx, metav1.ConditionTrue, platenv1alpha1.VerifiedReason)
	})

	It("names the folder that it cannot make, and says what to do", func(ctx SpecContext) {
		connection.Spec.DefaultFolder = platenv1alpha1.FolderPath("/" + strings.Repeat("🎉", 130))
		Expect(api.Create(ctx, secret)).To(Succeed())
		Expect(api.Create(ctx, connection)).To(Succeed())
		expectReady(ctx, metav1.ConditionFalse, string(storage.ReasonPathNotAllowed))
		Expect(meta.FindStatusCondition(connection.Status.Conditions, platenv1alpha1.ReadyCondition).Message).To(SatisfyAll(
			HavePrefix("spec.defaultFolder cannot be made: Folder or file name not allowed, because a name has more than 255 characters"),
			HaveSuffix("🎉. Choose another spec.defaultFolder.")))
	})

	It("is being reconciled while the service is away", func(ctx SpecContext) {
		sim.AddFault(dropboxsim.Fault{Route: "/2/users/get_current_account", Status: http.StatusServiceUnavailable, Count: 100})
		DeferCleanup(sim.ClearFaults)
		Expect(api.Create(ctx, secret)).To(Succeed())
		Expect(api.Create(ctx, connection)).To(Succeed())
		expectReady(ctx, metav1.ConditionUnknown, string(storage.ReasonUnavailable))
		Expect(meta.IsStatusConditionTrue(connection.Status.Conditions, platenv1alpha1.ReconcilingCondition)).To(BeTrue())
		sim.ClearFaults()
		touch(ctx, func() { secret.Annotations = map[string]string{"touched": "now"} })
		expectReady(ctx, metav1.ConditionTrue, platenv1alpha1.VerifiedReason)
	})

	It("is not Ready while a full account has no room for an upload that failed", func(ctx SpecContext) {
		sim.AddAccount(dropboxsim.Account{AppKey: namespace, RefreshToken: "refresh", Email: "ann@example.com", Quota: 10})
		Expect(api.Create(ctx, secret)).To(Succeed())
		Expect(api.Create(ctx, connection)).To(Succeed())
		expectReady(ctx, metav1.ConditionTrue, platenv1alpha1.VerifiedReason)
		fail(ctx, storage.ReasonInsufficientSpace, 100)
		expectReady(ctx, metav1.ConditionFalse, string(storage.ReasonInsufficientSpace))
		Expect(*connection.Status.ReadyCount).To(BeEquivalentTo(1))
		sim.AddAccount(dropboxsim.Account{AppKey: namespace, RefreshToken: "refresh", Email: "ann@example.com", Quota: 1000})
		touch(ctx, func() { secret.Annotations = map[string]string{"touched": "now"} })
		expectReady(ctx, metav1.ConditionTrue, platenv1alpha1.VerifiedReason)
		Expect(*connection.Status.ReadyCount).To(BeEquivalentTo(2))
	})

	It("is verified when an upload failed through its fault", func(ctx SpecContext) {
		Expect(api.Create(ctx, secret)).To(Succeed())
		Expect(api.Create(ctx, connection)).To(Succeed())
		expectReady(ctx, metav1.ConditionTrue, platenv1alpha1.VerifiedReason)
		sim.AddAccount(dropboxsim.Account{AppKey: namespace, RefreshToken: "refresh", Email: "ann@example.com", Revoked: true})
		sim.ExpireTokens()
		fail(ctx, storage.ReasonTokenExpired, 100)
		expectReady(ctx, metav1.ConditionFalse, string(storage.ReasonTokenExpired))
	})

	It("is verified when somebody asks, once for each value", func(ctx SpecContext) {
		Expect(api.Create(ctx, secret)).To(Succeed())
		Expect(api.Create(ctx, connection)).To(Succeed())
		expectReady(ctx, metav1.ConditionTrue, platenv1alpha1.VerifiedReason)
		sim.AddAccount(dropboxsim.Account{AppKey: namespace, RefreshToken: "refresh", Email: "ann@example.com", Revoked: true})
		sim.ExpireTokens()
		patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"platen.dev/verify":"now"}}}`))
		Expect(api.Patch(ctx, connection, patch)).To(Succeed())
		expectReady(ctx, metav1.ConditionFalse, string(storage.ReasonTokenExpired))
		Eventually(func() (string, error) {
			err := api.Get(ctx, client.ObjectKeyFromObject(connection), connection)
			return connection.Status.LastHandledVerify, err
		}).Should(Equal("now"))
	})

	It("counts as Ready once more when the fault of an upload is gone already", func(ctx SpecContext) {
		Expect(api.Create(ctx, secret)).To(Succeed())
		Expect(api.Create(ctx, connection)).To(Succeed())
		expectReady(ctx, metav1.ConditionTrue, platenv1alpha1.VerifiedReason)
		fail(ctx, storage.ReasonTokenExpired, 100)
		Eventually(func() (int64, error) {
			err := api.Get(ctx, client.ObjectKeyFromObject(connection), connection)
			return *connection.Status.ReadyCount, err
		}).Should(BeEquivalentTo(2))
	})

	It("does not count as Ready again and again when only uploads find the fault", func(ctx SpecContext) {
		Expect(api.Create(ctx, secret)).To(Succeed())
		Expect(api.Create(ctx, connection)).To(Succeed())
		expectReady(ctx, metav1.ConditionTrue, platenv1alpha1.VerifiedReason)
		fail(ctx, storage.ReasonTokenExpired, 100)
		readyCount := func() (int64, error) {
			err := api.Get(ctx, client.ObjectKeyFromObject(connection), connection)
			return *connection.Status.ReadyCount, err
		}
		Eventually(readyCount).Should(BeEquivalentTo(2))
		job := &platenv1alpha1.RenderJob{}
		Expect(api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "summer"}, job)).To(Succeed())
		job.Status.Connections[0].ReadyCount = connection.Status.ReadyCount // its retry failed in the same way
		Expect(api.Status().Update(ctx, job)).To(Succeed())
		Consistently(readyCount).WithTimeout(2 * time.Second).Should(BeEquivalentTo(2))
	})

	It("reads its own Secret by name, and nobody lists or watches Secrets", func(ctx SpecContext) {
		Expect(api.Create(ctx, secret)).To(Succeed())
		Expect(api.Create(ctx, connection)).To(Succeed())
		expectReady(ctx, metav1.ConditionTrue, platenv1alpha1.VerifiedReason)
		Expect(api.Get(ctx, client.ObjectKeyFromObject(secret), secret)).To(Succeed())
		Expect(connection.Status.CredentialsVersion).To(Equal(secret.ResourceVersion))
		requests := secretRequests()
		Expect(requests).To(ContainElement("GET /api/v1/namespaces/" + namespace + "/secrets/dropbox"))
		for _, request := range requests {
			Expect(request).To(MatchRegexp(`^GET /api/v1/namespaces/[^/]+/secrets/dropbox$`))
		}
	})

	It("says when it is verified next", func(ctx SpecContext) {
		Expect(api.Create(ctx, secret)).To(Succeed())
		Expect(api.Create(ctx, connection)).To(Succeed())
		expectReady(ctx, metav1.ConditionTrue, platenv1alpha1.VerifiedReason)
		Expect(connection.Status.NextVerificationTime.Time).To(BeTemporally("~", time.Now().Add(66*time.Minute), 7*time.Minute))
	})

	DescribeTable("uploads again after a minute what failed although it is Ready", func(ctx SpecContext, reason storage.Reason) {
		Expect(api.Create(ctx, secret)).To(Succeed())
		Expect(api.Create(ctx, connection)).To(Succeed())
		expectReady(ctx, metav1.ConditionTrue, platenv1alpha1.VerifiedReason)
		completion = new(metav1.Now())
		DeferCleanup(func() { completion = nil })
		fail(ctx, reason, 100)
		Eventually(func(g Gomega) {
			g.Expect(api.Get(ctx, client.ObjectKeyFromObject(connection), connection)).To(Succeed())
			g.Expect(connection.Status.NextVerificationTime.Time).To(BeTemporally("~", completion.Add(time.Minute), 2*time.Second))
		}).Should(Succeed())
		Expect(*connection.Status.ReadyCount).To(BeEquivalentTo(1))
	},
		Entry("the service was away", storage.ReasonUnreachable),
		Entry("the account was suspended", storage.ReasonAccountSuspended),
		Entry("a permission was missing", storage.ReasonMissingScope),
		Entry("the service said that the account was full, and shows room", storage.ReasonInsufficientSpace),
	)

	It("is forgotten when it is deleted: a new one of its name starts anew", func(ctx SpecContext) {
		Expect(api.Create(ctx, secret)).To(Succeed())
		Expect(api.Create(ctx, connection)).To(Succeed())
		expectReady(ctx, metav1.ConditionTrue, platenv1alpha1.VerifiedReason)
		Expect(api.Delete(ctx, connection)).To(Succeed())
		touch(ctx, func() { secret.StringData = map[string]string{"refreshToken": "wrong"} })
		connection.ResourceVersion, connection.UID, connection.Status = "", "", platenv1alpha1.StorageConnectionStatus{}
		Expect(api.Create(ctx, connection)).To(Succeed())
		expectReady(ctx, metav1.ConditionFalse, string(storage.ReasonTokenExpired))
	})
})
