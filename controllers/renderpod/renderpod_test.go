// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderpod_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/controllers/renderpod"
	"github.com/platen-dev/platen/internal/pool"
)

var _ = Describe("The render pods of a namespace", func() {
	var namespace string
	BeforeEach(func(ctx SpecContext) {
		workspace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "workspace-"}}
		Expect(api.Create(ctx, workspace)).To(Succeed())
		namespace = workspace.Name
		Expect(api.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "default"}})).To(Succeed())
	})

	// create creates a job without telling the pool.
	create := func(ctx SpecContext, name string) *platenv1alpha1.RenderJob {
		GinkgoHelper()
		job := &platenv1alpha1.RenderJob{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Spec:       platenv1alpha1.RenderJobSpec{TemplateRef: platenv1alpha1.TemplateReference{Name: "banner"}},
		}
		Expect(api.Create(ctx, job)).To(Succeed())
		return job
	}
	enqueue := func(job *platenv1alpha1.RenderJob) {
		renderPool.Enqueue(pool.Job{Key: client.ObjectKeyFromObject(job), UID: job.UID, Revision: "1", Timeout: time.Minute, BackoffLimit: 1})
	}
	state := func(job *platenv1alpha1.RenderJob) pool.State {
		return renderPool.State(client.ObjectKeyFromObject(job), job.UID, "1")
	}
	pods := func(ctx SpecContext) []corev1.Pod {
		GinkgoHelper()
		list := &corev1.PodList{}
		Expect(api.List(ctx, list, client.InNamespace(namespace), renderpod.Selector)).To(Succeed())
		return list.Items
	}
	// expectPods polls until there are n pods.
	expectPods := func(ctx SpecContext, n int) []corev1.Pod {
		GinkgoHelper()
		Eventually(func() []corev1.Pod { return pods(ctx) }).Should(HaveLen(n))
		return pods(ctx)
	}
	id := func(pod corev1.Pod) pool.PodID { return pool.PodID{Namespace: namespace, Name: pod.Name, UID: pod.UID} }

	It("get one for a queued job", func(ctx SpecContext) {
		job := create(ctx, "summer")
		enqueue(job)
		pod := expectPods(ctx, 1)[0]
		Expect(pod.Spec.Containers[0].Image).To(Equal("renderer:test"))
		Expect(*pod.Spec.AutomountServiceAccountToken).To(BeFalse())
		assignment, err := renderPool.Next(ctx, id(pod))
		Expect(err).NotTo(HaveOccurred())
		Expect(assignment.Key).To(Equal(client.ObjectKeyFromObject(job)))
	})

	It("are at most as many as the pool allows", func(ctx SpecContext) {
		for i := range 5 * maxPods {
			enqueue(create(ctx, fmt.Sprintf("summer-%d", i)))
		}
		expectPods(ctx, maxPods)
		Consistently(func() []corev1.Pod { return pods(ctx) }).WithTimeout(300 * time.Millisecond).Should(HaveLen(maxPods))
	})

	It("are deleted once they have ended, idle ones too", func(ctx SpecContext) {
		enqueue(create(ctx, "summer"))
		pod := expectPods(ctx, 1)[0]
		assignment, err := renderPool.Next(ctx, id(pod))
		Expect(err).NotTo(HaveOccurred())
		Expect(renderPool.Finish(id(pod), assignment.TaskID, nil)).To(Succeed())
		Eventually(func() error {
			poll, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
			defer cancel()
			_, err := renderPool.Next(poll, id(pod))
			return err
		}).Should(MatchError(pool.ErrRetire))
		pod.Status.Phase = corev1.PodSucceeded
		Expect(api.Status().Update(ctx, &pod)).To(Succeed())
		expectPods(ctx, 0)
	})

	It("are replaced when one fails while it renders", func(ctx SpecContext) {
		enqueue(create(ctx, "summer"))
		first := expectPods(ctx, 1)[0]
		_, err := renderPool.Next(ctx, id(first))
		Expect(err).NotTo(HaveOccurred())
		first.Status.Phase = corev1.PodFailed
		Expect(api.Status().Update(ctx, &first)).To(Succeed())
		Eventually(func(g Gomega) {
			renderPool.Expire() // the second attempt waits a moment
			list := pods(ctx)
			g.Expect(list).To(HaveLen(1))
			g.Expect(list[0].UID).NotTo(Equal(first.UID))
		}).Should(Succeed())
	})

	It("do not include a pod with the same labels that Platen did not create", func(ctx SpecContext) {
		foreign := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "foreign", Labels: renderpod.Selector},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "other:test"}}},
		}
		Expect(api.Create(ctx, foreign)).To(Succeed())
		foreign.Status.Phase = corev1.PodFailed
		Expect(api.Status().Update(ctx, foreign)).To(Succeed())
		enqueue(create(ctx, "summer"))
		list := expectPods(ctx, 2)
		Consistently(func() []corev1.Pod { return pods(ctx) }).WithTimeout(300*time.Millisecond).Should(HaveLen(2), "the foreign pod was deleted")
		for _, pod := range list {
			if pod.Name == "foreign" {
				_, err := renderPool.Next(ctx, id(pod))
				Expect(err).To(MatchError(pool.ErrUnknownPod))
			}
		}
	})

	It("say in the job why a pod could not be created", func(ctx SpecContext) {
		Expect(api.Create(ctx, &corev1.LimitRange{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "none"},
			Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{
				{Type: corev1.LimitTypePod, Max: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Mi")}},
			}},
		})).To(Succeed())
		job := create(ctx, "summer")
		enqueue(job)
		Eventually(func() pool.Wait { return state(job).Wait }).Should(HaveField("Reason", pool.ReasonPodForbidden))
	})

	It("say in the job why a pod does not start", func(ctx SpecContext) {
		job := create(ctx, "summer")
		enqueue(job)
		pod := expectPods(ctx, 1)[0]
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: pod.Spec.Containers[0].Name, Image: "renderer:test",
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "no such image"}},
		}}
		Expect(api.Status().Update(ctx, &pod)).To(Succeed())
		Eventually(func() pool.Wait { return state(job).Wait }).
			Should(Equal(pool.Wait{Reason: pool.ReasonImagePullFailed, Message: "ImagePullBackOff: no such image"}))
	})
})
