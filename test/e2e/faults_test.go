// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/cluster"
	"github.com/platen-dev/platen/test/node"
)

// renderPods match the labels of render pods.
var renderPods = client.MatchingLabels{"app.kubernetes.io/component": "renderer"}

// slowTemplate creates a template whose page takes a time to be ready.
func (w *workspace) slowTemplate(ctx context.Context, name string, takes time.Duration) {
	GinkgoHelper()
	w.create(ctx, &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: platenv1alpha1.RenderTemplateSpec{
		Pages: []platenv1alpha1.TemplatePage{{
			Name: "front", Width: 400, Height: 200,
			HTML: fmt.Sprintf(`<p>slow<script>platen.ready = () => new Promise((ready) => setTimeout(ready, %d))</script>`, takes.Milliseconds()),
		}},
	}})
}

// film returns a job whose render takes several seconds.
func (w *workspace) film(name, duration string, change func(*platenv1alpha1.RenderJob)) *platenv1alpha1.RenderJob {
	return w.job(name, func(j *platenv1alpha1.RenderJob) {
		j.Spec.Output = platenv1alpha1.OutputSpec{Format: "mp4", Scale: "2", Video: platenv1alpha1.VideoOptions{Duration: platenv1alpha1.NumberOrString(duration)}}
		change(j)
	})
}

// rendering waits until status says that a pod renders the job and has reported frames, and returns the pod. It is not one of the others.
func (w *workspace) rendering(ctx context.Context, job *platenv1alpha1.RenderJob, others ...string) *corev1.Pod {
	GinkgoHelper()
	pod := &corev1.Pod{}
	Eventually(func(g Gomega) {
		g.Expect(c.Get(ctx, client.ObjectKeyFromObject(job), job)).To(Succeed())
		g.Expect(reason(job, platenv1alpha1.ReadyCondition)).To(Equal(platenv1alpha1.RenderingReason), "%+v", job.Status)
		g.Expect(others).NotTo(ContainElement(job.Status.PodName))
		g.Expect(job.Status.Progress).NotTo(BeNil())
		g.Expect(c.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: job.Status.PodName}, pod)).To(Succeed())
	}).WithContext(ctx).WithTimeout(waitTimeout).WithPolling(50 * time.Millisecond).Should(Succeed())
	return pod
}

// expectAttempts checks that a job has succeeded after that many attempts.
func expectAttempts(job *platenv1alpha1.RenderJob, attempts int32) {
	GinkgoHelper()
	Expect(reason(job, platenv1alpha1.ReadyCondition)).To(Equal(platenv1alpha1.SucceededReason), "%+v", job.Status)
	Expect(job.Status.Attempts).To(HaveValue(Equal(attempts)), "%+v", job.Status)
}

// signal signals the processes of a pod; without the development cluster, it skips the spec.
func signal(pod *corev1.Pod, s syscall.Signal) {
	GinkgoHelper()
	Expect(node.Signal(pod, s)).To(Succeed())
}

// onDevcluster skips the spec unless the cluster's node is this machine.
func onDevcluster() {
	GinkgoHelper()
	_, _ = auditLog()
}

var _ = Describe("A film whose pod is lost", func() {
	It("is made again, without counting an attempt, when the pod is evicted or deleted", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		job := w.film("film", "6", func(j *platenv1alpha1.RenderJob) { j.Spec.BackoffLimit = new(int32(1)) })
		w.create(ctx, job)
		lost := make([]string, 0, 3)
		for i := range 3 {
			pod := w.rendering(ctx, job, lost...)
			if i < 2 {
				Expect(c.SubResource("eviction").Create(ctx, pod, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace}})).To(Succeed())
			} else {
				Expect(c.Delete(ctx, pod)).To(Succeed())
			}
			lost = append(lost, pod.Name)
		}
		expectAttempts(w.await(ctx, job), 1)
	}, SpecTimeout(2*time.Minute))

	It("is made again, and the attempt counts, when the pod is killed", func(ctx SpecContext) {
		onDevcluster()
		w := newWorkspace(ctx)
		job := w.film("film", "4", func(*platenv1alpha1.RenderJob) {})
		w.create(ctx, job)
		signal(w.rendering(ctx, job), syscall.SIGKILL) // as the kernel does when the memory is used up
		expectAttempts(w.await(ctx, job), 2)
	}, SpecTimeout(2*time.Minute))

	It("is made again, and the attempt counts, when the kernel kills the pod for its memory", func(ctx SpecContext) {
		onDevcluster()
		w := newWorkspace(ctx)
		once := w.film("once", "4", func(j *platenv1alpha1.RenderJob) { j.Spec.BackoffLimit = new(int32(0)) })
		w.create(ctx, once)
		Expect(node.UseUpMemory(ctx, w.rendering(ctx, once))).To(Succeed())
		failed := w.await(ctx, once)
		ready := meta.FindStatusCondition(failed.Status.Conditions, platenv1alpha1.ReadyCondition)
		Expect(ready.Reason).To(Equal(platenv1alpha1.BackoffLimitExceededReason), ready.Message)
		Expect(ready.Message).To(ContainSubstring("OOMKilled"))
		Expect(failed.Status.Attempts).To(HaveValue(BeEquivalentTo(1)))
		// The pool goes on.
		again := w.film("again", "4", func(*platenv1alpha1.RenderJob) {})
		w.create(ctx, again)
		Expect(node.UseUpMemory(ctx, w.rendering(ctx, again))).To(Succeed())
		expectAttempts(w.await(ctx, again), 2)
	}, SpecTimeout(2*time.Minute))

	It("is not touched by the end of the job that the pod rendered first", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		first := w.job("first", func(j *platenv1alpha1.RenderJob) { j.Spec.TTLSecondsAfterFinished = new(int32(2)) })
		w.create(ctx, first)
		job := w.film("film", "8", func(*platenv1alpha1.RenderJob) {})
		pod := w.await(ctx, first).Status.PodName
		w.create(ctx, job)
		Expect(w.rendering(ctx, job).Name).To(Equal(pod))
		Eventually(func() error { return c.Get(ctx, client.ObjectKeyFromObject(first), first) }).WithContext(ctx).WithTimeout(waitTimeout).
			ShouldNot(Succeed())
		done := w.await(ctx, job)
		expectAttempts(done, 1)
		Expect(done.Status.PodName).To(Equal(pod))
	}, SpecTimeout(2*time.Minute))

	It("is made by another pod when its pod is silent, and so is the next job of a silent idle pod", func(ctx SpecContext) {
		onDevcluster()
		busy, idle := newWorkspace(ctx), newWorkspace(ctx)
		warm := idle.run(ctx, idle.job("warm", func(*platenv1alpha1.RenderJob) {}))
		stopped := &corev1.Pod{}
		Expect(c.Get(ctx, client.ObjectKey{Namespace: idle.namespace, Name: warm.Status.PodName}, stopped)).To(Succeed())
		film := busy.film("film", "4", func(*platenv1alpha1.RenderJob) {})
		busy.create(ctx, film)
		silent := []*corev1.Pod{busy.rendering(ctx, film), stopped}
		for _, pod := range silent {
			signal(pod, syscall.SIGSTOP)
		}
		next := idle.job("next", func(*platenv1alpha1.RenderJob) {})
		idle.create(ctx, next)
		expectAttempts(busy.await(ctx, film), 2)
		Expect(reason(idle.await(ctx, next), platenv1alpha1.ReadyCondition)).To(Equal(platenv1alpha1.SucceededReason))
		Eventually(func(g Gomega) {
			for _, pod := range silent {
				g.Expect(apierrors.IsNotFound(c.Get(ctx, client.ObjectKeyFromObject(pod), &corev1.Pod{}))).To(BeTrue(), "the silent pod is still there")
			}
		}).WithContext(ctx).WithTimeout(waitTimeout).Should(Succeed())
		for _, w := range []*workspace{busy, idle} {
			pods := &corev1.PodList{}
			Expect(c.List(ctx, pods, client.InNamespace(w.namespace), renderPods)).To(Succeed())
			Expect(len(pods.Items)).To(BeNumerically("<=", 1), "none, once the other has been idle for a minute")
		}
	}, SpecTimeout(3*time.Minute))
})

var _ = Describe("Another manager", Serial, func() {
	It("keeps the film that a pod renders", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.connected(ctx)
		job := w.film("film", "20", func(*platenv1alpha1.RenderJob) {})
		w.create(ctx, job)
		pod := w.rendering(ctx, job).Name
		before := manager(ctx)
		Expect(c.Delete(ctx, before)).To(Succeed())
		Eventually(func(g Gomega) {
			pods := &corev1.PodList{}
			g.Expect(c.List(ctx, pods, client.InNamespace(cluster.Namespace), client.MatchingLabels{"app.kubernetes.io/component": "manager"})).To(Succeed())
			g.Expect(pods.Items).To(HaveLen(1))
			g.Expect(pods.Items[0].Name).NotTo(Equal(before.Name))
		}).WithContext(ctx).WithTimeout(waitTimeout).Should(Succeed())
		manager(ctx)
		Expect(c.Get(ctx, client.ObjectKeyFromObject(job), job)).To(Succeed())
		Expect(job.Finished()).To(BeFalse(), "the film was too short for the test")
		done := w.await(ctx, job)
		expectAttempts(done, 1)
		Expect(done.Status.PodName).To(Equal(pod))
	}, SpecTimeout(2*time.Minute))
})

var _ = Describe("The queue", Serial, func() {
	It("costs the API server little while a quota allows two pods", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		log, end := auditLog()
		w.slowTemplate(ctx, "slow", 2*time.Second)
		w.create(ctx, &corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Name: "pods"},
			Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("2")}},
		})
		const jobs = 12
		all := make([]*platenv1alpha1.RenderJob, 0, jobs)
		for i := range jobs {
			all = append(all, w.job(fmt.Sprintf("slow-%d", i), func(j *platenv1alpha1.RenderJob) { j.Spec.TemplateRef.Name = "slow" }))
			w.create(ctx, all[i])
		}
		for _, job := range all {
			expectAttempts(w.await(ctx, job), 1)
		}
		events, err := log.Writes(ctx, end, w.namespace)
		Expect(err).NotTo(HaveOccurred())
		status, refused := map[string]int{}, 0
		for _, e := range events {
			switch {
			case e.ObjectRef.Namespace != w.namespace:
			case e.ObjectRef.Resource == "renderjobs" && e.ObjectRef.Subresource == "status":
				status[e.ObjectRef.Name]++
			case e.ObjectRef.Resource == "pods" && e.Verb == "create" && e.ResponseStatus.Code == http.StatusForbidden:
				refused++
			}
		}
		AddReportEntry("status writes by job", status)
		AddReportEntry("refused creations of pods", refused)
		for job, n := range status {
			Expect(n).To(BeNumerically("<=", 3), job)
		}
		Expect(refused).To(BeNumerically(">=", 1), "the quota had no effect")
		Expect(refused).To(BeNumerically("<=", 8))
	}, SpecTimeout(2*time.Minute))

	It("of one namespace does not delay the jobs of another", func(ctx SpecContext) {
		flood, other := newWorkspace(ctx), newWorkspace(ctx)
		flood.slowTemplate(ctx, "slow", time.Second)
		const jobs = 200
		for i := range jobs {
			flood.create(ctx, flood.job(fmt.Sprintf("flood-%d", i), func(j *platenv1alpha1.RenderJob) {
				j.Spec.TemplateRef.Name, j.Spec.Cache = "slow", platenv1alpha1.CacheDisabled
			}))
		}
		for i := range 3 {
			other.create(ctx, other.job(fmt.Sprintf("other-%d", i), func(*platenv1alpha1.RenderJob) {}))
		}
		for i := range 3 {
			other.await(ctx, other.job(fmt.Sprintf("other-%d", i), func(*platenv1alpha1.RenderJob) {}))
		}
		list := &platenv1alpha1.RenderJobList{}
		Expect(c.List(ctx, list, client.InNamespace(flood.namespace))).To(Succeed())
		waiting := 0
		for i := range list.Items {
			if !list.Items[i].Finished() {
				waiting++
			}
		}
		AddReportEntry("unfinished jobs of the flood", waiting)
		Expect(waiting).To(BeNumerically(">", 0), "the jobs of the other namespace waited for all of the flood")
	}, SpecTimeout(2*time.Minute))
})
