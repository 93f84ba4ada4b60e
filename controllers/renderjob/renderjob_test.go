// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
	"github.com/platen-dev/platen/internal/task"
)

// has polls a job until a condition of its present generation has a status and a reason.
func has(ctx SpecContext, job *platenv1alpha1.RenderJob, kind string, status metav1.ConditionStatus, reason string) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		g.Expect(api.Get(ctx, client.ObjectKeyFromObject(job), job)).To(Succeed())
		condition := meta.FindStatusCondition(job.Status.Conditions, kind)
		g.Expect(condition).NotTo(BeNil(), "no condition %s in %v", kind, job.Status.Conditions)
		g.Expect(fmt.Sprintf("%s %s", condition.Status, condition.Reason)).To(Equal(fmt.Sprintf("%s %s", status, reason)), condition.Message)
		g.Expect(condition.ObservedGeneration).To(Equal(job.Generation))
	}).Should(Succeed())
}

// edit changes the spec of a job.
func edit(ctx SpecContext, job *platenv1alpha1.RenderJob, change func(*platenv1alpha1.RenderJobSpec)) {
	GinkgoHelper()
	Eventually(func() error {
		if err := api.Get(ctx, client.ObjectKeyFromObject(job), job); err != nil {
			return err
		}
		change(&job.Spec)
		return api.Update(ctx, job)
	}).Should(Succeed())
}

func message(job *platenv1alpha1.RenderJob, kind string) string {
	if condition := meta.FindStatusCondition(job.Status.Conditions, kind); condition != nil {
		return condition.Message
	}
	return ""
}

var _ = Describe("A RenderJob", func() {
	var (
		namespace string
		summer    *platenv1alpha1.RenderJob
	)
	BeforeEach(func(ctx SpecContext) {
		namespace = workspace(ctx)
		summer = job(namespace, "summer")
	})

	It("waits for its template's fonts, and renders with them", func(ctx SpecContext) {
		template := banner(namespace)
		template.Spec.FontSetRefs = []platenv1alpha1.FontSetReference{{Name: "brand"}}
		Expect(api.Create(ctx, template)).To(Succeed())
		Expect(api.Create(ctx, summer)).To(Succeed())
		has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionUnknown, platenv1alpha1.FontSetNotFoundReason)
		Expect(message(summer, platenv1alpha1.ReadyCondition)).To(Equal(fmt.Sprintf("FontSet 'brand': it does not exist in namespace '%s'", namespace)))

		font, err := os.ReadFile("/usr/share/fonts/truetype/liberation/LiberationSans-Bold.ttf")
		Expect(err).NotTo(HaveOccurred())
		fontMap := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "brand"}, BinaryData: map[string][]byte{"bold.ttf": font}}
		Expect(api.Create(ctx, fontMap)).To(Succeed())
		Expect(api.Create(ctx, &platenv1alpha1.FontSet{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "brand"},
			Spec:       platenv1alpha1.FontSetSpec{Sources: []platenv1alpha1.FontSource{{ConfigMapRef: &platenv1alpha1.ConfigMapReference{Name: "brand"}}}},
		})).To(Succeed())
		p := take(ctx, namespace)
		work, cacheKey, err := reconciler.Task(ctx, p.task.Key, p.task.UID, p.task.Revision)
		Expect(err).NotTo(HaveOccurred())
		Expect(work.Fonts).To(HaveLen(1))
		Expect(work.Fonts[0].Family).To(Equal("Liberation Sans"))
		Expect(reconciler.Font(ctx, p.task.Key, work.Fonts[0].SHA256)).To(Equal(font))

		By("taking another font for another picture")
		other := append(slices.Clip(font), 0)
		fontMap.BinaryData["bold.ttf"] = other
		Expect(api.Update(ctx, fontMap)).To(Succeed())
		again, otherKey, err := reconciler.Task(ctx, p.task.Key, p.task.UID, p.task.Revision)
		Expect(err).NotTo(HaveOccurred())
		Expect(otherKey).NotTo(Equal(cacheKey))
		Expect(reconciler.Font(ctx, p.task.Key, again.Fonts[0].SHA256)).To(Equal(other))
		_, err = reconciler.Font(ctx, p.task.Key, work.Fonts[0].SHA256)
		terminal := (*reconcile.TerminalError)(nil)
		Expect(errors.As(err, &terminal)).To(BeTrue(), "%v", err)
		p.deliver(ctx)
		has(ctx, summer, platenv1alpha1.FinishedCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
	})

	It("gets one status write when it is short", func(ctx SpecContext) {
		Expect(api.Create(ctx, banner(namespace))).To(Succeed())
		Expect(api.Create(ctx, summer)).To(Succeed())
		take(ctx, namespace).deliver(ctx)
		has(ctx, summer, platenv1alpha1.FinishedCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
		has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
		Expect(summer.Status.Pages).To(HaveLen(2))
		Expect(summer.Status.Pages[1].ContentURL).To(HavePrefix("http://content.test/"))
		Expect(*summer.Status.TotalPages).To(BeEquivalentTo(2))
		Expect(meta.FindStatusCondition(summer.Status.Conditions, platenv1alpha1.ReconcilingCondition)).To(BeNil())
		Expect(writes.to(summer)).To(Equal(1))
	})

	It("fails, and says why, when its spec leaves no room in etcd for a status", func(ctx SpecContext) {
		of := func(size int) *platenv1alpha1.RenderJob {
			large := job(namespace, "")
			large.GenerateName = "large-"
			large.Spec.Modifications = &apiextensionsv1.JSON{Raw: []byte(`{"headline":"` + strings.Repeat("x", size) + `"}`)}
			return large
		}
		// About the largest that the API server takes, which leaves room for the shortest status, and not for that of a job that waits.
		over := sort.Search(50, func(n int) bool { return api.Create(ctx, of(3<<19-100*n)) == nil })
		Expect(over).To(And(BeNumerically(">", 0), BeNumerically("<", 50)))
		large := of(3<<19 - 100*over - 950)
		Expect(api.Create(ctx, large)).To(Succeed())
		has(ctx, large, platenv1alpha1.ReadyCondition, metav1.ConditionFalse, platenv1alpha1.StatusTooLargeReason)
		Expect(large.Finished()).To(BeTrue())
	})

	It("gets one status write when its template is created right after it", func(ctx SpecContext) {
		Expect(api.Create(ctx, summer)).To(Succeed())
		Expect(api.Create(ctx, banner(namespace))).To(Succeed())
		take(ctx, namespace).deliver(ctx)
		has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
		Expect(writes.to(summer)).To(Equal(1))
	})

	It("waits for its template", func(ctx SpecContext) {
		other := banner(namespace)
		other.Name = "banners"
		Expect(api.Create(ctx, other)).To(Succeed())
		Expect(api.Create(ctx, summer)).To(Succeed())
		has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionUnknown, platenv1alpha1.TemplateNotFoundReason)
		Expect(message(summer, platenv1alpha1.ReadyCondition)).To(ContainSubstring("spec.templateRef.name: RenderTemplate 'banner' does not exist in namespace '" + namespace + "' (did you mean 'banners'?)"))
		Expect(api.Create(ctx, banner(namespace))).To(Succeed())
		take(ctx, namespace).deliver(ctx)
		has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
	})

	It("is queued, and says so, once its template exists", func(ctx SpecContext) {
		Expect(api.Create(ctx, summer)).To(Succeed())
		has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionUnknown, platenv1alpha1.TemplateNotFoundReason)
		Expect(api.Create(ctx, banner(namespace))).To(Succeed())
		has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionUnknown, pool.ReasonQueued)
	})

	It("fails for good, and names the field, when a modification does not fit, and takes no pod", func(ctx SpecContext) {
		template := banner(namespace)
		template.Spec.Parameters = []platenv1alpha1.Parameter{{Name: "headline", Type: platenv1alpha1.ParameterNumber}}
		Expect(api.Create(ctx, template)).To(Succeed())
		summer.Spec.Modifications = &apiextensionsv1.JSON{Raw: []byte(`{"headline": "none"}`)}
		Expect(api.Create(ctx, summer)).To(Succeed())
		has(ctx, summer, platenv1alpha1.FinishedCondition, metav1.ConditionTrue, platenv1alpha1.FailedReason)
		has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionFalse, platenv1alpha1.InvalidModificationsReason)
		has(ctx, summer, platenv1alpha1.StalledCondition, metav1.ConditionTrue, platenv1alpha1.InvalidModificationsReason)
		Expect(message(summer, platenv1alpha1.ReadyCondition)).To(ContainSubstring("headline"))
		Expect(renderPool.Decide(namespace).Launch).To(BeEmpty())
	})

	It("is rendered again when its spec changes, and not when its template does", func(ctx SpecContext) {
		template := banner(namespace)
		Expect(api.Create(ctx, template)).To(Succeed())
		Expect(api.Create(ctx, summer)).To(Succeed())
		first := take(ctx, namespace)
		first.deliver(ctx)
		has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
		before := summer.Status.Pages[0].SHA256

		template.Spec.Pages[0].HTML = "<p>changed</p>"
		Expect(api.Update(ctx, template)).To(Succeed())
		summer.Spec.Output.Pages = []int32{1}
		Expect(api.Update(ctx, summer)).To(Succeed())
		second := take(ctx, namespace, first)
		Expect(second.task.Revision).NotTo(Equal(first.task.Revision))
		Expect(second.task.Pages).To(Equal(1))
		second.deliver(ctx)
		has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
		Expect(summer.Status.Pages).To(HaveLen(1))
		Expect(summer.Status.Pages[0].SHA256).NotTo(Equal(before))
		Expect(*summer.Status.ObservedGeneration).To(BeEquivalentTo(2))
	})

	It("keeps its outcome when only what bounds it changes", func(ctx SpecContext) {
		Expect(api.Create(ctx, banner(namespace))).To(Succeed())
		Expect(api.Create(ctx, summer)).To(Succeed())
		take(ctx, namespace).deliver(ctx)
		has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
		before := summer.Status.DeepCopy()
		for _, change := range []func(*platenv1alpha1.RenderJobSpec){
			func(s *platenv1alpha1.RenderJobSpec) { s.TTLSecondsAfterFinished = new(int32(3600)) },
			func(s *platenv1alpha1.RenderJobSpec) { s.TimeoutSeconds, s.UploadTimeoutSeconds = 10, 10 },
			func(s *platenv1alpha1.RenderJobSpec) { s.BackoffLimit, s.Priority = new(int32(0)), new(int32(7)) },
			func(s *platenv1alpha1.RenderJobSpec) { s.Suspend = new(true) },
			func(s *platenv1alpha1.RenderJobSpec) { s.Suspend = new(false) },
		} {
			written := writes.to(summer)
			edit(ctx, summer, change)
			has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
			Expect(*summer.Status.ObservedGeneration).To(Equal(summer.Generation))
			Expect(summer.Status.Pages).To(Equal(before.Pages))
			Expect(summer.Status.CompletionTime).To(Equal(before.CompletionTime))
			Expect(writes.to(summer) - written).To(Equal(1))
			Expect(renderPool.Decide(namespace).Launch).To(BeEmpty(), "it is rendered again")
		}
	})

	It("is not rendered for a spec that it returns to", func(ctx SpecContext) {
		Expect(api.Create(ctx, banner(namespace))).To(Succeed())
		Expect(api.Create(ctx, summer)).To(Succeed())
		first := take(ctx, namespace)
		first.deliver(ctx)
		has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
		a := summer.Status.Pages[0]
		edit(ctx, summer, func(s *platenv1alpha1.RenderJobSpec) { s.Output.Quality = 50 })
		take(ctx, namespace, first).deliver(ctx)
		has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
		Expect(summer.Status.Pages[0].SHA256).NotTo(Equal(a.SHA256))
		Eventually(func() bool { _, ok := deleted.superseded.Load(namespace + "/" + string(summer.UID)); return ok }).Should(BeTrue())
		edit(ctx, summer, func(s *platenv1alpha1.RenderJobSpec) { s.Output.Quality = 90 })
		has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
		Expect(summer.Status.Pages[0].SHA256).To(Equal(a.SHA256))
		Expect(*summer.Status.Attempts).To(BeEquivalentTo(1))
	})

	It("is rendered again when it failed and its limits change, and not when its time to live does", func(ctx SpecContext) {
		Expect(api.Create(ctx, banner(namespace))).To(Succeed())
		Expect(api.Create(ctx, summer)).To(Succeed())
		first := take(ctx, namespace)
		first.fail(&render.Error{Reason: render.ReasonDeadlineExceeded, Message: "too slow", Terminal: true})
		has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionFalse, platenv1alpha1.DeadlineExceededReason)
		edit(ctx, summer, func(s *platenv1alpha1.RenderJobSpec) { s.TTLSecondsAfterFinished = new(int32(3600)) })
		has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionFalse, platenv1alpha1.DeadlineExceededReason)
		edit(ctx, summer, func(s *platenv1alpha1.RenderJobSpec) { s.TimeoutSeconds = 600 })
		take(ctx, namespace, first).deliver(ctx)
		has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
	})

	It("is rendered again when the content store has lost its manifest, which is no fault of the attempt", func(ctx SpecContext) {
		Expect(api.Create(ctx, banner(namespace))).To(Succeed())
		summer.Spec.BackoffLimit = new(int32(0))
		Expect(api.Create(ctx, summer)).To(Succeed())
		first := take(ctx, namespace)
		Expect(renderPool.Finish(first.id, first.task.TaskID, nil)).To(Succeed()) // and nothing is stored
		second := take(ctx, namespace, first)
		Expect(second.task.TaskID).NotTo(Equal(first.task.TaskID))
		second.deliver(ctx)
		has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
		Expect(*summer.Status.Attempts).To(BeEquivalentTo(1))
	})

	It("fails when the content store loses one render after the other", func(ctx SpecContext) {
		Expect(api.Create(ctx, banner(namespace))).To(Succeed())
		summer.Spec.BackoffLimit = new(int32(0))
		Expect(api.Create(ctx, summer)).To(Succeed())
		p := take(ctx, namespace)
		for renders := 1; renders < 4; renders++ {
			Expect(renderPool.Finish(p.id, p.task.TaskID, nil)).To(Succeed())
			p = take(ctx, namespace, p)
		}
		Expect(renderPool.Finish(p.id, p.task.TaskID, nil)).To(Succeed())
		has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionFalse, platenv1alpha1.BackoffLimitExceededReason)
		Expect(message(summer, platenv1alpha1.ReadyCondition)).To(ContainSubstring("the content store has lost the files of 4 renders"))
	})

	It("waits while it is suspended, and finishes when it is canceled", func(ctx SpecContext) {
		Expect(api.Create(ctx, banner(namespace))).To(Succeed())
		summer.Spec.Suspend = new(true)
		Expect(api.Create(ctx, summer)).To(Succeed())
		has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionUnknown, platenv1alpha1.SuspendedReason)
		Expect(renderPool.Decide(namespace).Launch).To(BeEmpty())

		summer.Spec.Suspend = new(false)
		Expect(api.Update(ctx, summer)).To(Succeed())
		running := take(ctx, namespace)
		summer.Spec.Suspend = new(true)
		summer.Annotations = map[string]string{platenv1alpha1.CanceledAnnotation: "true"}
		Eventually(func() error {
			latest := job(namespace, "summer")
			if err := api.Get(ctx, client.ObjectKeyFromObject(latest), latest); err != nil {
				return err
			}
			latest.Spec.Suspend, latest.Annotations = summer.Spec.Suspend, summer.Annotations
			return api.Update(ctx, latest)
		}).Should(Succeed())
		has(ctx, summer, platenv1alpha1.FinishedCondition, metav1.ConditionTrue, platenv1alpha1.FailedReason)
		has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionFalse, platenv1alpha1.CanceledReason)
		Expect(renderPool.Finish(running.id, running.task.TaskID, nil)).To(MatchError(pool.ErrGone))
	})

	It("is retried when the browser crashes, as often as backoffLimit says", func(ctx SpecContext) {
		Expect(api.Create(ctx, banner(namespace))).To(Succeed())
		summer.Spec.BackoffLimit = new(int32(1))
		Expect(api.Create(ctx, summer)).To(Succeed())
		attempt := take(ctx, namespace)
		attempt.fail(&render.Error{Reason: render.ReasonBrowserCrashed, Message: "the browser crashed"})
		second := take(ctx, namespace, attempt)
		Expect(second.task.TaskID).NotTo(Equal(attempt.task.TaskID))
		second.fail(&render.Error{Reason: render.ReasonBrowserCrashed, Message: "the browser crashed"})
		has(ctx, summer, platenv1alpha1.FinishedCondition, metav1.ConditionTrue, platenv1alpha1.FailedReason)
		has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionFalse, platenv1alpha1.BackoffLimitExceededReason)
		Expect(*summer.Status.Attempts).To(BeEquivalentTo(2))
	})

	It("is not retried when another attempt would fail in the same way", func(ctx SpecContext) {
		Expect(api.Create(ctx, banner(namespace))).To(Succeed())
		Expect(api.Create(ctx, summer)).To(Succeed())
		take(ctx, namespace).fail(&render.Error{Reason: render.ReasonDeadlineExceeded, Message: "the page was not ready before the deadline", Terminal: true})
		has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionFalse, platenv1alpha1.DeadlineExceededReason)
		Expect(*summer.Status.Attempts).To(BeEquivalentTo(1))
	})

	It("is deleted after its time to live, unless a GitOps tool would create it again", func(ctx SpecContext) {
		Expect(api.Create(ctx, banner(namespace))).To(Succeed())
		summer.Spec.TTLSecondsAfterFinished = new(int32(0))
		kept := job(namespace, "kept")
		kept.Spec.TTLSecondsAfterFinished = new(int32(0))
		kept.Annotations = map[string]string{"argocd.argoproj.io/tracking-id": "x"}
		Expect(api.Create(ctx, kept)).To(Succeed())
		first := take(ctx, namespace)
		first.deliver(ctx)
		has(ctx, kept, platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
		Expect(api.Create(ctx, summer)).To(Succeed())
		take(ctx, namespace, first).deliver(ctx)
		Eventually(func() bool { return apierrors.IsNotFound(api.Get(ctx, client.ObjectKeyFromObject(summer), summer)) }).Should(BeTrue())
		Expect(api.Get(ctx, client.ObjectKeyFromObject(kept), kept)).To(Succeed())
	})

	It("says in the content store which files outlive it", func(ctx SpecContext) {
		// marks returns the revisions that are retained.
		marks := func() (revisions []string, err error) {
			objects, err := store.Objects(ctx, content.Ref{Namespace: namespace, JobUID: string(summer.UID)})
			for _, o := range objects {
				if !o.RetainedUntil.IsZero() {
					revisions = append(revisions, o.Ref.Revision)
					Expect(o.RetainedUntil).To(BeTemporally("==", content.Expiry(summer.Status.Pages[0].ContentURL)))
				}
			}
			return revisions, err
		}
		succeeded := func() {
			GinkgoHelper()
			has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
		}
		retain := func(s *platenv1alpha1.RenderJobSpec) { s.ContentPolicy = platenv1alpha1.ContentRetain }
		Expect(api.Create(ctx, banner(namespace))).To(Succeed())
		retain(&summer.Spec)
		Expect(api.Create(ctx, summer)).To(Succeed())
		p := take(ctx, namespace)
		p.deliver(ctx)
		succeeded()
		first := summer.Status.RenderRevision
		Expect(marks()).To(ConsistOf(first))

		By("another policy of a finished job")
		for _, policy := range []platenv1alpha1.ContentPolicy{platenv1alpha1.ContentDelete, platenv1alpha1.ContentRetain, ""} {
			written := writes.to(summer)
			edit(ctx, summer, func(s *platenv1alpha1.RenderJobSpec) { s.ContentPolicy = policy })
			succeeded()
			Expect(writes.to(summer) - written).To(Equal(1))
			if policy == platenv1alpha1.ContentRetain {
				Expect(marks()).To(ConsistOf(first))
			} else {
				Expect(marks()).To(BeEmpty())
			}
		}

		By("another policy, and another picture")
		before := summer.Status.Pages
		edit(ctx, summer, func(s *platenv1alpha1.RenderJobSpec) { retain(s); s.Output.Quality = 50 })
		p = take(ctx, namespace, p)
		has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionUnknown, platenv1alpha1.RenderingReason)
		summer.Status.Pages = before
		Expect(marks()).To(ConsistOf(first), "those of the last render are all that there is")
		p.deliver(ctx)
		succeeded()
		second := summer.Status.RenderRevision
		Expect(second).NotTo(Equal(first))
		Expect(marks()).To(ConsistOf(second))

		By("no policy, and another picture")
		edit(ctx, summer, func(s *platenv1alpha1.RenderJobSpec) { s.ContentPolicy, s.Output.Quality = "", 40 })
		p = take(ctx, namespace, p)
		has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionUnknown, platenv1alpha1.RenderingReason)
		Expect(marks()).To(BeEmpty())
		p.deliver(ctx)
		succeeded()
		Expect(marks()).To(BeEmpty())
	})

	It("is forgotten by the pool when it is deleted", func(ctx SpecContext) {
		Expect(api.Create(ctx, banner(namespace))).To(Succeed())
		Expect(api.Create(ctx, summer)).To(Succeed())
		running := take(ctx, namespace)
		Expect(api.Delete(ctx, summer)).To(Succeed())
		Eventually(func() error { return renderPool.Heartbeat(running.id, running.task.TaskID, nil) }).Should(MatchError(pool.ErrGone))
		Eventually(func() bool { _, ok := deleted.gone.Load(namespace + "/" + string(summer.UID)); return ok }).Should(BeTrue(), "its files stay")
	})

	It("gets content URLs of the new key once its own is gone", func(ctx SpecContext) {
		Expect(api.Create(ctx, banner(namespace))).To(Succeed())
		Expect(api.Create(ctx, summer)).To(Succeed())
		take(ctx, namespace).deliver(ctx)
		has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
		before := summer.DeepCopy()
		reconciler.Signer.SetKeys([][]byte{[]byte("another key")})
		DeferCleanup(func() { reconciler.Signer.SetKeys([][]byte{[]byte("key")}) })
		jobsChanged.Changed(client.ObjectKeyFromObject(summer)) // as the manager does
		Eventually(func() string {
			Expect(api.Get(ctx, client.ObjectKeyFromObject(summer), summer)).To(Succeed())
			return summer.Status.Pages[0].ContentURL
		}).ShouldNot(Equal(before.Status.Pages[0].ContentURL))
		server := content.NewHandler(store, reconciler.Signer, time.Now)
		for i, page := range summer.Status.Pages {
			Expect(content.Expiry(page.ContentURL)).To(Equal(content.Expiry(before.Status.Pages[i].ContentURL)))
			answer := httptest.NewRecorder()
			server.ServeHTTP(answer, httptest.NewRequestWithContext(ctx, http.MethodGet, page.ContentURL, nil))
			Expect(answer.Code).To(Equal(http.StatusOK), answer.Body.String())
			Expect(answer.Body.Len()).To(BeEquivalentTo(*page.Size))
		}
		after := summer.Status.DeepCopy()
		for i := range after.Pages {
			after.Pages[i].ContentURL = before.Status.Pages[i].ContentURL
		}
		Expect(*after).To(Equal(before.Status), "something else of status has changed")
	})

	It("counts its attempts and names its pod whatever somebody has written into its status meanwhile", func(ctx SpecContext) {
		Expect(api.Create(ctx, banner(namespace))).To(Succeed())
		Expect(api.Create(ctx, summer)).To(Succeed())
		pod := take(ctx, namespace)
		has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionUnknown, platenv1alpha1.RenderingReason)
		before := summer.DeepCopy()
		summer.Status.Attempts, summer.Status.PodName = new(int32(99)), "nosuch"
		Expect(api.Status().Patch(ctx, summer, client.MergeFrom(before))).To(Succeed())
		pod.deliver(ctx)
		has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
		Expect(*summer.Status.Attempts).To(BeEquivalentTo(1))
		Expect(summer.Status.PodName).To(Equal(pod.id.Name))
	})

	It("renders before those of a lower priority", func(ctx SpecContext) {
		Expect(api.Create(ctx, banner(namespace))).To(Succeed())
		Expect(api.Create(ctx, summer)).To(Succeed())
		first := take(ctx, namespace)
		for name, priority := range map[string]int32{"older": 0, "urgent": 1} {
			waiting := job(namespace, name)
			waiting.Spec.Priority, waiting.Spec.Cache = new(priority), platenv1alpha1.CacheDisabled // the same picture
			Expect(api.Create(ctx, waiting)).To(Succeed())
			Eventually(func() pool.Phase {
				return renderPool.State(client.ObjectKeyFromObject(waiting), waiting.UID, task.Revision(waiting)).Phase
			}).Should(Equal(pool.Queued))
		}
		first.deliver(ctx)
		Expect(take(ctx, namespace, first).task.Key.Name).To(Equal("urgent"))
	})

	Context("with a connection", func() {
		var connection *platenv1alpha1.StorageConnection
		BeforeEach(func(ctx SpecContext) {
			sim.AddAccount(dropboxsim.Account{AppKey: namespace, RefreshToken: "refresh", Email: "ann@example.com"})
			Expect(api.Create(ctx, &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "dropbox", Labels: map[string]string{platenv1alpha1.CredentialsLabel: "true"}},
				StringData: map[string]string{"appKey": namespace, "refreshToken": "refresh"},
			})).To(Succeed())
			connection = &platenv1alpha1.StorageConnection{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "dropbox"},
				Spec: platenv1alpha1.StorageConnectionSpec{
					Provider: platenv1alpha1.ProviderDropbox, DefaultFolder: "/Renders",
					Dropbox: &platenv1alpha1.DropboxSpec{CredentialsSecretRef: platenv1alpha1.SecretReference{Name: "dropbox"}},
				},
			}
			Expect(api.Create(ctx, connection)).To(Succeed())
			Expect(api.Create(ctx, banner(namespace))).To(Succeed())
		})

		// reconnect gives the connection a refresh token that works.
		reconnect := func(ctx SpecContext) {
			GinkgoHelper()
			sim.AddAccount(dropboxsim.Account{AppKey: namespace, RefreshToken: "another", Email: "ann@example.com"})
			Eventually(func() error {
				secret := &corev1.Secret{}
				if err := api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "dropbox"}, secret); err != nil {
					return err
				}
				secret.StringData = map[string]string{"refreshToken": "another"}
				return api.Update(ctx, secret)
			}).Should(Succeed())
		}

		It("is uploaded, and status shows the paths", func(ctx SpecContext) {
			Expect(api.Create(ctx, summer)).To(Succeed())
			take(ctx, namespace).deliver(ctx)
			has(ctx, summer, platenv1alpha1.UploadedCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
			has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
			Expect(summer.Status.Connections).To(HaveLen(1))
			paths := make([]string, 0, 2)
			for _, p := range summer.Status.Connections[0].Pages {
				paths = append(paths, p.Path)
			}
			Expect(paths).To(Equal([]string{"/Renders/summer_page_1.png", "/Renders/summer_page_2.png"}))
			Expect(sim.Files(namespace)).To(HaveLen(2))
		})

		It("is rendered again when the content store has lost one of its files", func(ctx SpecContext) {
			summer.Spec.BackoffLimit = new(int32(0))
			Expect(api.Create(ctx, summer)).To(Succeed())
			first := take(ctx, namespace)
			objects := first.commit(ctx, false)
			Expect(store.Remove(ctx, objects[slices.IndexFunc(objects, func(o content.Object) bool { return o.Attempt > 0 })])).To(Succeed())
			Expect(renderPool.Finish(first.id, first.task.TaskID, nil)).To(Succeed())
			take(ctx, namespace, first).deliver(ctx)
			has(ctx, summer, platenv1alpha1.UploadedCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
			has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
			Expect(*summer.Status.Attempts).To(BeEquivalentTo(1))
			Expect(sim.Files(namespace)).To(HaveLen(2))
		})

		It("is uploaded again, from the store, when it shall go elsewhere", func(ctx SpecContext) {
			Expect(api.Create(ctx, summer)).To(Succeed())
			take(ctx, namespace).deliver(ctx)
			has(ctx, summer, platenv1alpha1.UploadedCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
			sums := []string{summer.Status.Pages[0].SHA256, summer.Status.Pages[1].SHA256}
			paths := func() (paths []string) {
				for _, p := range summer.Status.Connections[0].Pages {
					paths = append(paths, p.Path)
				}
				return paths
			}
			edit(ctx, summer, func(s *platenv1alpha1.RenderJobSpec) { s.Output.FileName = "winter" })
			has(ctx, summer, platenv1alpha1.UploadedCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
			Expect(paths()).To(Equal([]string{"/Renders/winter_page_1.png", "/Renders/winter_page_2.png"}))
			Expect(summer.Status.Pages[1].ContentURL).To(ContainSubstring("n=winter_page_2.png"))

			edit(ctx, summer, func(s *platenv1alpha1.RenderJobSpec) {
				s.Connections = []platenv1alpha1.JobConnection{{Type: platenv1alpha1.ConnectionStorage, Provider: platenv1alpha1.ProviderDropbox, Folder: "/Elsewhere"}}
			})
			has(ctx, summer, platenv1alpha1.UploadedCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
			Expect(paths()).To(Equal([]string{"/Elsewhere/winter_page_1.png", "/Elsewhere/winter_page_2.png"}))

			edit(ctx, summer, func(s *platenv1alpha1.RenderJobSpec) { s.Connections, s.Output.FileName = nil, "" })
			has(ctx, summer, platenv1alpha1.UploadedCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
			Expect(paths()).To(Equal([]string{"/Renders/summer_page_1.png", "/Renders/summer_page_2.png"}))
			Expect([]string{summer.Status.Pages[0].SHA256, summer.Status.Pages[1].SHA256}).To(Equal(sums))
			Expect(renderPool.Decide(namespace).Launch).To(BeEmpty(), "it is rendered again")
			Expect(sim.Files(namespace)).To(HaveLen(6))
			for _, file := range sim.Files(namespace) {
				Expect(file.Commits).To(Equal(1), file.Path)
			}
		})

		It("logs each stage once, and never a modification", func(ctx SpecContext) {
			const secret = "the value of a modification"
			template := &platenv1alpha1.RenderTemplate{}
			Expect(api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "banner"}, template)).To(Succeed())
			template.Spec.Parameters = []platenv1alpha1.Parameter{{Name: "headline"}, {Name: "count", Type: platenv1alpha1.ParameterNumber}}
			Expect(api.Update(ctx, template)).To(Succeed())
			summer.Spec.Modifications = &apiextensionsv1.JSON{Raw: []byte(`{"headline": "` + secret + `"}`)}
			Expect(api.Create(ctx, summer)).To(Succeed())
			take(ctx, namespace).deliver(ctx)
			has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
			Eventually(func() []string { return logged.about(summer) }).Should(Equal([]string{
				"Accepted RenderJob", "Rendered RenderJob", "Uploaded RenderJob", "Finished RenderJob",
			}))

			winter := job(namespace, "winter")
			winter.Spec.Modifications = &apiextensionsv1.JSON{Raw: []byte(`{"count": "` + secret + `"}`)}
			Expect(api.Create(ctx, winter)).To(Succeed())
			has(ctx, winter, platenv1alpha1.ReadyCondition, metav1.ConditionFalse, platenv1alpha1.InvalidModificationsReason)
			Eventually(func() []string { return logged.about(winter) }).Should(Equal([]string{"Failed RenderJob"}))
			for _, line := range logged.all() {
				Expect(line).NotTo(ContainSubstring(secret))
			}
		})

		It("succeeds with a warning when the upload fails, and is uploaded without a render once the Secret is corrected", func(ctx SpecContext) {
			sim.AddAccount(dropboxsim.Account{AppKey: namespace, RefreshToken: "refresh", Email: "ann@example.com", Revoked: true})
			sim.ExpireTokens() // the connection may have one already
			Expect(api.Create(ctx, summer)).To(Succeed())
			take(ctx, namespace).deliver(ctx)
			has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.SucceededWithWarningsReason)
			Expect(meta.IsStatusConditionFalse(summer.Status.Conditions, platenv1alpha1.UploadedCondition)).To(BeTrue())
			Expect(summer.Status.Warnings).To(HaveLen(1))
			Expect(summer.Status.Warnings[0].Title).To(HavePrefix("Failed to upload to dropbox: "))
			Expect(sim.Files(namespace)).To(BeEmpty())

			reconnect(ctx)
			has(ctx, summer, platenv1alpha1.UploadedCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
			Expect(summer.Status.Warnings).To(BeEmpty())
			Expect(*summer.Status.Attempts).To(BeEquivalentTo(1), "it was rendered again")
			for _, file := range sim.Files(namespace) {
				Expect(file.Commits).To(Equal(1), file.Path)
			}
		})

		It("names the connection whose upload failed, where the namespace has another one to the provider", func(ctx SpecContext) {
			sim.AddAccount(dropboxsim.Account{AppKey: namespace, RefreshToken: "refresh", Email: "ann@example.com", Revoked: true})
			sim.ExpireTokens()
			another := &platenv1alpha1.StorageConnection{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "another"}, Spec: *connection.Spec.DeepCopy()}
			another.Spec.UploadPolicy = platenv1alpha1.UploadOnRequest
			Expect(api.Create(ctx, another)).To(Succeed())
			Expect(api.Create(ctx, summer)).To(Succeed())
			take(ctx, namespace).deliver(ctx)
			has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.SucceededWithWarningsReason)
			Expect(summer.Status.Connections).To(HaveLen(1))
			Expect(summer.Status.Warnings).To(HaveLen(1))
			Expect(summer.Status.Warnings[0].Title).To(HavePrefix("Failed to upload to dropbox connection '" + connection.Name + "': "))
		})

		It("is uploaded through another connection of the name, which counts anew how often it became Ready", func(ctx SpecContext) {
			Eventually(func(g Gomega) {
				g.Expect(api.Get(ctx, client.ObjectKeyFromObject(connection), connection)).To(Succeed())
				g.Expect(connection.Ready()).To(BeTrue())
			}).Should(Succeed())
			sim.AddAccount(dropboxsim.Account{AppKey: namespace, RefreshToken: "refresh", Email: "ann@example.com", Revoked: true})
			sim.ExpireTokens()
			Expect(api.Create(ctx, summer)).To(Succeed())
			take(ctx, namespace).deliver(ctx)
			has(ctx, summer, platenv1alpha1.UploadedCondition, metav1.ConditionFalse, string(storage.ReasonTokenExpired))
			Expect(summer.Status.Connections[0].UID).To(BeEquivalentTo(connection.UID))

			Expect(api.Delete(ctx, connection)).To(Succeed())
			reconnect(ctx)
			connection.ResourceVersion, connection.UID, connection.Status = "", "", platenv1alpha1.StorageConnectionStatus{}
			Expect(api.Create(ctx, connection)).To(Succeed())
			has(ctx, summer, platenv1alpha1.UploadedCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
			Expect(api.Get(ctx, client.ObjectKeyFromObject(connection), connection)).To(Succeed())
			Expect(connection.Status.ReadyCount).To(HaveValue(BeEquivalentTo(1)))
			Expect(summer.Status.Connections[0].UID).To(BeEquivalentTo(connection.UID))
		})

		Context("to a bucket that cannot be reached", func() {
			var bucket *platenv1alpha1.StorageConnection
			change := func(ctx SpecContext, with func(*platenv1alpha1.StorageConnectionSpec)) {
				GinkgoHelper()
				Eventually(func() error {
					if err := api.Get(ctx, client.ObjectKeyFromObject(bucket), bucket); err != nil {
						return err
					}
					with(&bucket.Spec)
					return api.Update(ctx, bucket)
				}).Should(Succeed())
			}
			BeforeEach(func(ctx SpecContext) {
				secret := &corev1.Secret{
					ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "bucket", Labels: map[string]string{platenv1alpha1.CredentialsLabel: "true"}},
					StringData: map[string]string{"accessKeyID": "key", "secretAccessKey": "secret"},
				}
				Expect(api.Create(ctx, secret)).To(Succeed())
				bucket = &platenv1alpha1.StorageConnection{
					ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "bucket"},
					Spec: platenv1alpha1.StorageConnectionSpec{
						Provider: platenv1alpha1.ProviderS3, DefaultFolder: "/Renders",
						S3: &platenv1alpha1.S3Spec{Bucket: "renders", CredentialsSecretRef: platenv1alpha1.SecretReference{Name: "bucket"}},
					},
				}
				Expect(api.Create(ctx, bucket)).To(Succeed())
				summer.Spec.Connections = []platenv1alpha1.JobConnection{{Type: platenv1alpha1.ConnectionStorage, Provider: platenv1alpha1.ProviderS3}}
			})
			waits := func(ctx SpecContext) {
				GinkgoHelper()
				Expect(api.Create(ctx, summer)).To(Succeed())
				take(ctx, namespace).deliver(ctx)
				has(ctx, summer, platenv1alpha1.UploadedCondition, metav1.ConditionUnknown, platenv1alpha1.UploadingReason)
			}

			It("finishes when the connection is deleted", func(ctx SpecContext) {
				waits(ctx)
				Expect(api.Delete(ctx, bucket)).To(Succeed())
				has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.SucceededWithWarningsReason)
				has(ctx, summer, platenv1alpha1.UploadedCondition, metav1.ConditionFalse, string(storage.ReasonConnectionNotFound))
			})

			It("finishes when the connection is disabled", func(ctx SpecContext) {
				waits(ctx)
				change(ctx, func(s *platenv1alpha1.StorageConnectionSpec) { s.UploadPolicy = platenv1alpha1.UploadDisabled })
				has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.SucceededWithWarningsReason)
				has(ctx, summer, platenv1alpha1.UploadedCondition, metav1.ConditionFalse, string(storage.ReasonDisabled))
			})

			It("is uploaded when the connection leads elsewhere", func(ctx SpecContext) {
				summer.Spec.Connections = nil
				waits(ctx)
				sim.AddAccount(dropboxsim.Account{AppKey: namespace + "-other", RefreshToken: "refresh", Email: "bob@example.com"})
				Expect(api.Create(ctx, &corev1.Secret{
					ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "other", Labels: map[string]string{platenv1alpha1.CredentialsLabel: "true"}},
					StringData: map[string]string{"appKey": namespace + "-other", "refreshToken": "refresh"},
				})).To(Succeed())
				change(ctx, func(s *platenv1alpha1.StorageConnectionSpec) {
					s.Provider, s.S3, s.DefaultFolder = platenv1alpha1.ProviderDropbox, nil, "/Elsewhere"
					s.Dropbox = &platenv1alpha1.DropboxSpec{CredentialsSecretRef: platenv1alpha1.SecretReference{Name: "other"}}
				})
				has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
				Expect(sim.Files(namespace + "-other")).To(HaveLen(2))
				Expect(sim.Files(namespace + "-other")[0].Path).To(HavePrefix("/Elsewhere/"))
				for _, file := range sim.Files(namespace) {
					Expect(file.Commits).To(Equal(1), file.Path)
				}
			})
		})

		It("says of which file the content store has other bytes when a failed upload is repeated", func(ctx SpecContext) {
			sim.AddAccount(dropboxsim.Account{AppKey: namespace, RefreshToken: "refresh", Email: "ann@example.com", Revoked: true})
			sim.ExpireTokens()
			Expect(api.Create(ctx, summer)).To(Succeed())
			pod := take(ctx, namespace)
			pod.deliver(ctx)
			has(ctx, summer, platenv1alpha1.UploadedCondition, metav1.ConditionFalse, string(storage.ReasonTokenExpired))

			ref := content.Ref{Namespace: namespace, JobUID: string(summer.UID), Revision: pod.task.Revision}
			_, err := store.Put(ctx, ref, pod.task.Attempt, file.File{ID: file.ID{Page: 1}, Format: "png"}, strings.NewReader("cut"), 100)
			Expect(err).NotTo(HaveOccurred())
			reconnect(ctx)
			has(ctx, summer, platenv1alpha1.UploadedCondition, metav1.ConditionFalse, string(storage.ReasonContentChanged))
			pages := summer.Status.Connections[0].Pages
			Expect(pages).To(HaveLen(2))
			Expect(pages[0].Error).To(Equal("The rendered file was changed in the content store"))
			Expect(pages[1].Path).To(Equal("/Renders/summer_page_2.png"))
			Expect(sim.Files(namespace)).To(HaveLen(1))
			Expect(logged.all()).To(ContainElement(And(ContainSubstring("Failed to read a rendered file for its upload"), ContainSubstring(namespace), ContainSubstring("it has 3 bytes instead of "))))
		})

		It("is uploaded once the connection that refused it is corrected", func(ctx SpecContext) {
			change := func(with func(*platenv1alpha1.StorageConnectionSpec)) {
				GinkgoHelper()
				Eventually(func() error {
					if err := api.Get(ctx, client.ObjectKeyFromObject(connection), connection); err != nil {
						return err
					}
					with(&connection.Spec)
					return api.Update(ctx, connection)
				}).Should(Succeed())
			}
			Expect(api.Create(ctx, summer)).To(Succeed())
			pod := take(ctx, namespace)
			pod.deliver(ctx)
			has(ctx, summer, platenv1alpha1.UploadedCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)

			By("choosing another folder than the path of a file")
			inTheWay := summer.Status.Connections[0].Pages[0].Path
			change(func(s *platenv1alpha1.StorageConnectionSpec) { s.DefaultFolder = platenv1alpha1.FolderPath(inTheWay) })
			winter := job(namespace, "winter")
			winter.Spec.Cache = platenv1alpha1.CacheDisabled
			Expect(api.Create(ctx, winter)).To(Succeed())
			take(ctx, namespace, pod).deliver(ctx)
			has(ctx, winter, platenv1alpha1.UploadedCondition, metav1.ConditionFalse, string(storage.ReasonConflict))
			Expect(winter.Status.Connections[0].Folder).To(Equal(inTheWay))
			change(func(s *platenv1alpha1.StorageConnectionSpec) { s.DefaultFolder = "/Elsewhere" })
			has(ctx, winter, platenv1alpha1.UploadedCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
			Expect(winter.Status.Connections[0].Pages[0].Path).To(HavePrefix("/Elsewhere/"))
			Expect(winter.Status.Connections[0].Folder).To(BeEmpty())

			By("switching it on")
			change(func(s *platenv1alpha1.StorageConnectionSpec) { s.UploadPolicy = platenv1alpha1.UploadDisabled })
			autumn := job(namespace, "autumn")
			autumn.Spec.Cache = platenv1alpha1.CacheDisabled
			autumn.Spec.Connections = []platenv1alpha1.JobConnection{{Type: platenv1alpha1.ConnectionStorage, Provider: platenv1alpha1.ProviderDropbox}}
			Expect(api.Create(ctx, autumn)).To(Succeed())
			take(ctx, namespace, pod).deliver(ctx)
			has(ctx, autumn, platenv1alpha1.UploadedCondition, metav1.ConditionFalse, string(storage.ReasonDisabled))
			change(func(s *platenv1alpha1.StorageConnectionSpec) { s.UploadPolicy = platenv1alpha1.UploadOnRequest })
			has(ctx, autumn, platenv1alpha1.UploadedCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
		})

		It("sends nothing more to a full account, unless somebody asks", func(ctx SpecContext) {
			sim.AddAccount(dropboxsim.Account{AppKey: namespace, RefreshToken: "refresh", Email: "ann@example.com", Quota: 3})
			sent := func() (n int) {
				for _, entry := range sim.Log() {
					if entry.AppKey == namespace && entry.Bytes > 0 && strings.Contains(entry.Route, "upload") {
						n++
					}
				}
				return n
			}
			failed := func(j *platenv1alpha1.RenderJob) {
				GinkgoHelper()
				has(ctx, j, platenv1alpha1.UploadedCondition, metav1.ConditionFalse, string(storage.ReasonInsufficientSpace))
				Expect(j.Status.Warnings).To(HaveLen(1))
				Expect(j.Status.Warnings[0].Title).To(Equal("Failed to upload to dropbox: Dropbox is full"))
			}
			Expect(api.Create(ctx, summer)).To(Succeed())
			pod := take(ctx, namespace)
			pod.deliver(ctx)
			failed(summer)
			Eventually(func() (string, error) {
				err := api.Get(ctx, client.ObjectKeyFromObject(connection), connection)
				ready := meta.FindStatusCondition(connection.Status.Conditions, platenv1alpha1.ReadyCondition)
				return ready.Reason, err
			}).Should(Equal(string(storage.ReasonInsufficientSpace)))

			before := sent()
			winter := job(namespace, "winter")
			Expect(api.Create(ctx, winter)).To(Succeed())
			take(ctx, namespace, pod).deliver(ctx)
			failed(winter)
			Expect(sent()).To(Equal(before))

			winter.Annotations = map[string]string{platenv1alpha1.RetryUploadsAnnotation: "now"}
			Expect(api.Update(ctx, winter)).To(Succeed())
			Eventually(sent).Should(BeNumerically(">", before))

			sim.AddAccount(dropboxsim.Account{AppKey: namespace, RefreshToken: "refresh", Email: "ann@example.com"})
			Eventually(func() error {
				if err := api.Get(ctx, client.ObjectKeyFromObject(connection), connection); err != nil {
					return err
				}
				connection.Spec.DefaultFolder = "/Elsewhere" // it is verified at once
				return api.Update(ctx, connection)
			}).Should(Succeed())
			has(ctx, summer, platenv1alpha1.UploadedCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
			has(ctx, winter, platenv1alpha1.UploadedCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
		})

		It("does not read a Secret that is not labeled for it", func(ctx SpecContext) {
			secret := &corev1.Secret{}
			Expect(api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "dropbox"}, secret)).To(Succeed())
			secret.Labels = nil
			Expect(api.Update(ctx, secret)).To(Succeed())
			Expect(api.Create(ctx, summer)).To(Succeed())
			take(ctx, namespace).deliver(ctx)
			has(ctx, summer, platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.SucceededWithWarningsReason)
			Expect(summer.Status.Warnings[0].Title).To(ContainSubstring(platenv1alpha1.CredentialsLabel))
		})

		It("says of a retried upload that its connection was deleted", func(ctx SpecContext) {
			secret := &corev1.Secret{}
			Expect(api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "dropbox"}, secret)).To(Succeed())
			secret.Labels = nil
			Expect(api.Update(ctx, secret)).To(Succeed())
			summer.Spec.Connections = []platenv1alpha1.JobConnection{{Type: platenv1alpha1.ConnectionStorage, Provider: platenv1alpha1.ProviderDropbox, Name: &connection.Name}}
			Expect(api.Create(ctx, summer)).To(Succeed())
			take(ctx, namespace).deliver(ctx)
			has(ctx, summer, platenv1alpha1.UploadedCondition, metav1.ConditionFalse, string(storage.ReasonSecretNotLabelled))
			Expect(api.Delete(ctx, connection)).To(Succeed())
			asked := 0
			Eventually(func() (string, error) { // again, because the manager may learn of the request before it learns of the deletion
				asked++
				summer.Annotations = map[string]string{platenv1alpha1.RetryUploadsAnnotation: strconv.Itoa(asked)}
				if err := api.Update(ctx, summer); err != nil && !apierrors.IsConflict(err) {
					return "", err
				}
				err := api.Get(ctx, client.ObjectKeyFromObject(summer), summer)
				return meta.FindStatusCondition(summer.Status.Conditions, platenv1alpha1.UploadedCondition).Reason, err
			}).Should(Equal(string(storage.ReasonConnectionNotFound)))
			Expect(summer.Status.Connections).To(HaveLen(1))
			Expect(summer.Status.Connections[0].Reason).To(Equal(string(storage.ReasonConnectionNotFound)))
			Expect(summer.Status.Warnings).To(HaveLen(1))
			Expect(summer.Status.Warnings[0].Title).To(HaveSuffix("not found for this workspace"))
		})
	})
})
