// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderpool_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/controllers/renderpool"
	"github.com/platen-dev/platen/internal/podspec"
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
		Expect(api.List(ctx, list, client.InNamespace(namespace), renderpool.Selector)).To(Succeed())
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
		}).Should(Or(MatchError(pool.ErrRetire), MatchError(pool.ErrUnknownPod)))
		// The controller deletes the pod at the same time, and a pod without a node is gone at once.
		ended := client.RawPatch(types.MergePatchType, []byte(`{"status":{"phase":"Succeeded"}}`))
		Expect(client.IgnoreNotFound(api.Status().Patch(ctx, &pod, ended))).To(Succeed())
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

	It("do not include a pod with the same labels that Platen did not sign", func(ctx SpecContext) {
		enqueue(create(ctx, "signed"))
		signature := expectPods(ctx, 1)[0].Annotations[podspec.SignatureAnnotation]
		Expect(signature).NotTo(BeEmpty())
		foreign := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: namespace, Name: "foreign", Labels: renderpool.Selector,
				Annotations: map[string]string{podspec.SignatureAnnotation: signature}, // of another pod
			},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "other:test"}}},
		}
		Expect(api.Create(ctx, foreign)).To(Succeed())
		foreign.Status.Phase = corev1.PodFailed
		Expect(api.Status().Update(ctx, foreign)).To(Succeed())
		list := expectPods(ctx, 2)
		Consistently(func() []corev1.Pod { return pods(ctx) }).WithTimeout(300*time.Millisecond).Should(HaveLen(2), "the foreign pod was deleted")
		for _, pod := range list {
			if pod.Name == "foreign" {
				Eventually(func() error { _, err := renderPool.Next(ctx, id(pod)); return err }).Should(MatchError(pool.ErrUnknownPod)) // not ready at first
			}
		}
	})

	It("are deleted once they have ended when the key is gone that has signed them", func(ctx SpecContext) {
		lost := podspec.Build(podspec.Config{Image: "renderer:test", MemoryLimit: resource.MustParse("1Gi")}, namespace, podspec.NamePrefix+"lost", []byte("a key that is gone"))
		running := lost.DeepCopy()
		running.Name = podspec.NamePrefix + "running"
		for _, pod := range []*corev1.Pod{lost, running} {
			Expect(api.Create(ctx, pod)).To(Succeed())
		}
		lost.Status.Phase, running.Status.Phase = corev1.PodFailed, corev1.PodRunning
		Expect(api.Status().Update(ctx, running)).To(Succeed())
		Expect(api.Status().Update(ctx, lost)).To(Succeed())
		Expect(expectPods(ctx, 1)[0].Name).To(Equal(running.Name))
		Eventually(func() error { _, err := renderPool.Next(ctx, id(*running)); return err }).Should(MatchError(pool.ErrUnknownPod)) // not ready at first
	})

	It("are deleted once they have ended when an early version made them for a job", func(ctx SpecContext) {
		owner := create(ctx, "summer")
		early := func(name, kind string) *corev1.Pod {
			pod := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{
					Namespace: namespace, Name: name, Labels: renderpool.Selector,
					OwnerReferences: []metav1.OwnerReference{{
						APIVersion: platenv1alpha1.GroupVersion.String(), Kind: kind, Name: owner.Name, UID: owner.UID, Controller: new(true),
					}},
				},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "other:test"}}},
			}
			Expect(api.Create(ctx, pod)).To(Succeed())
			return pod
		}
		for _, pod := range []*corev1.Pod{early("ended", "RenderJob"), early("of-another", "Another")} {
			pod.Status.Phase = corev1.PodFailed
			Expect(api.Status().Update(ctx, pod)).To(Succeed())
		}
		early("running", "RenderJob")
		list := expectPods(ctx, 2)
		Expect([]string{list[0].Name, list[1].Name}).To(ConsistOf("of-another", "running"))
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
			Should(Equal(pool.Wait{Reason: pool.ReasonImagePullFailed, Message: "a node cannot pull the image renderer:test of a render pod"}))
	})

	It("are created a few times only under a quota", func(ctx SpecContext) {
		Expect(api.Create(ctx, &corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "pods"},
			Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}},
		})).To(Succeed())
		quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "pods"}}
		Expect(api.Get(ctx, client.ObjectKeyFromObject(quota), quota)).To(Succeed())
		quota.Status.Hard = quota.Spec.Hard // no controller of quotas runs here
		quota.Status.Used = corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}
		Expect(api.Status().Update(ctx, quota)).To(Succeed())
		jobs := make([]*platenv1alpha1.RenderJob, 0, 60)
		for i := range cap(jobs) {
			jobs = append(jobs, create(ctx, fmt.Sprintf("summer-%d", i)))
			enqueue(jobs[i])
		}
		Eventually(func() pool.Wait { return state(jobs[59]).Wait }).
			Should(Equal(pool.Wait{Reason: pool.ReasonQuotaExceeded, Message: "no more render pods fit into the namespace: exceeded quota: pods, which allows pods=0"}))
		Consistently(func() int64 { renderPool.Expire(); return created(namespace) }).WithTimeout(4 * time.Second).Should(BeNumerically("<=", 4))
		Expect(api.Delete(ctx, quota)).To(Succeed())
		Eventually(func() []corev1.Pod { renderPool.Expire(); return pods(ctx) }).WithTimeout(20 * time.Second).ShouldNot(BeEmpty())
	})

	Context("with a RenderPool", func() {
		// apply creates the namespace's RenderPool.
		apply := func(ctx SpecContext, spec platenv1alpha1.RenderPoolSpec) *platenv1alpha1.RenderPool {
			GinkgoHelper()
			own := &platenv1alpha1.RenderPool{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "default"}, Spec: spec}
			Expect(api.Create(ctx, own)).To(Succeed())
			return own
		}
		ready := func(ctx SpecContext, own *platenv1alpha1.RenderPool) *metav1.Condition {
			GinkgoHelper()
			Expect(api.Get(ctx, client.ObjectKeyFromObject(own), own)).To(Succeed())
			return meta.FindStatusCondition(own.Status.Conditions, platenv1alpha1.ReadyCondition)
		}

		It("are kept ready and made as it says", func(ctx SpecContext) {
			own := apply(ctx, platenv1alpha1.RenderPoolSpec{
				MinReady: new(int32(1)), Max: 1,
				PodTemplate: platenv1alpha1.PodOverlay{
					Labels: map[string]platenv1alpha1.LabelValue{"kueue.x-k8s.io/queue-name": "renders"}, NodeSelector: map[string]string{"disk": "ssd"},
				},
				Egress: platenv1alpha1.PoolEgress{Allow: []platenv1alpha1.CIDR{"10.1.2.0/24"}},
			})
			pod := expectPods(ctx, 1)[0]
			Expect(pod.Labels).To(HaveKeyWithValue("kueue.x-k8s.io/queue-name", "renders"))
			Expect(pod.Spec.NodeSelector).To(Equal(map[string]string{"disk": "ssd"}))
			Expect(pod.Spec.Containers[0].Env).To(ContainElement(corev1.EnvVar{Name: "PLATEN_OUTBOUND_ALLOW", Value: "10.1.2.0/24"}))
			Eventually(func() *metav1.Condition { return ready(ctx, own) }).
				Should(And(HaveField("Status", metav1.ConditionUnknown), HaveField("Reason", platenv1alpha1.StartingReason)))
			poll, cancel := context.WithCancel(ctx)
			defer cancel()
			polled := make(chan error, 1)
			go func() {
				var err error
				for poll.Err() == nil && !errors.Is(err, pool.ErrRetire) {
					_, err = renderPool.Next(poll, id(pod)) // as a pod does
				}
				polled <- err
			}()
			Eventually(func() *metav1.Condition { return ready(ctx, own) }).WithTimeout(15 * time.Second).Should(HaveField("Status", metav1.ConditionTrue))
			Expect(*own.Status.Ready).To(BeEquivalentTo(1))
			Expect(own.Status.Selector).To(ContainSubstring("app.kubernetes.io/component=renderer"))
			cancel()
			Eventually(polled).Should(Receive(BeNil()))
		})

		It("are counted while ready ones render, though no pod changes", func(ctx SpecContext) {
			own := apply(ctx, platenv1alpha1.RenderPoolSpec{MinReady: new(int32(1)), Max: 1})
			pod := expectPods(ctx, 1)[0]
			polls, stop := context.WithCancel(ctx)
			defer stop()
			taken := make(chan *pool.Assignment, 1)
			go func() {
				for polls.Err() == nil {
					assignment, err := renderPool.Next(polls, id(pod)) // as a pod does
					if err != nil || assignment != nil {
						taken <- assignment
						return
					}
				}
			}()
			// All is quiet: the status is written, and nothing else is to come.
			Eventually(func() *metav1.Condition { return ready(ctx, own) }).WithTimeout(15 * time.Second).Should(HaveField("Status", metav1.ConditionTrue))
			Eventually(func() *int32 { _ = ready(ctx, own); return own.Status.Starting }).WithTimeout(15 * time.Second).Should(HaveValue(BeZero()))
			Consistently(func() *int32 { _ = ready(ctx, own); return own.Status.Ready }).WithTimeout(6 * time.Second).Should(HaveValue(BeEquivalentTo(1)))
			enqueue(create(ctx, "summer"))
			Eventually(taken).Should(Receive(Not(BeNil())))
			Eventually(func() *int32 { _ = ready(ctx, own); return own.Status.Busy }).WithTimeout(15 * time.Second).Should(HaveValue(BeEquivalentTo(1)))
		})

		It("are replaced when it changes", func(ctx SpecContext) {
			own := apply(ctx, platenv1alpha1.RenderPoolSpec{MinReady: new(int32(1)), Max: 1})
			first := expectPods(ctx, 1)[0]
			own.Spec.PodTemplate.PriorityClassName = ""
			patch := client.MergeFrom(own.DeepCopy())
			own.Spec.PodTemplate.NodeSelector = map[string]string{"disk": "ssd"}
			Expect(api.Patch(ctx, own, patch)).To(Succeed())
			Eventually(func(g Gomega) {
				renderPool.Expire()
				if _, err := renderPool.Next(short(ctx), id(first)); errors.Is(err, pool.ErrRetire) {
					_ = api.Delete(ctx, &first, client.GracePeriodSeconds(0)) // as its kubelet does once it has ended
				}
				list := pods(ctx)
				g.Expect(list).To(HaveLen(1))
				g.Expect(list[0].Spec.NodeSelector).To(HaveKey("disk"))
			}).WithTimeout(20 * time.Second).Should(Succeed())
		})

		DescribeTable("take no further job when it asks for other pods, and are replaced",
			func(ctx SpecContext, change func(*platenv1alpha1.RenderPoolSpec)) {
				own := apply(ctx, platenv1alpha1.RenderPoolSpec{MinReady: new(int32(1)), Max: 1})
				lax := expectPods(ctx, 1)[0]
				Eventually(func() error { _, err := renderPool.Next(short(ctx), id(lax)); return err }).Should(Succeed())
				patch := client.MergeFrom(own.DeepCopy())
				change(&own.Spec)
				Expect(api.Patch(ctx, own, patch)).To(Succeed())
				// No other pod is there yet.
				Eventually(func() error { _, err := renderPool.Next(short(ctx), id(lax)); return err }).Should(Or(MatchError(pool.ErrRetire), MatchError(pool.ErrUnknownPod)))
				enqueue(create(ctx, "summer"))
				_, err := renderPool.Next(short(ctx), id(lax))
				Expect(err).To(Or(MatchError(pool.ErrRetire), MatchError(pool.ErrUnknownPod)))
				_ = api.Delete(ctx, &lax, client.GracePeriodSeconds(0)) // as its kubelet does once it has ended
				Eventually(func(g Gomega) {
					list := pods(ctx)
					g.Expect(list).To(HaveLen(1))
					g.Expect(list[0].UID).NotTo(Equal(lax.UID))
				}).WithTimeout(20 * time.Second).Should(Succeed())
			},
			Entry("hostUsers", func(s *platenv1alpha1.RenderPoolSpec) { s.PodTemplate.HostUsers = new(false) }),
			Entry("sandboxProfile", func(s *platenv1alpha1.RenderPoolSpec) { s.PodTemplate.SandboxProfile = "platen/chromium.json" }),
			Entry("nodeSelector", func(s *platenv1alpha1.RenderPoolSpec) { s.PodTemplate.NodeSelector = map[string]string{"disk": "ssd"} }),
			Entry("resources", func(s *platenv1alpha1.RenderPoolSpec) {
				s.PodTemplate.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("512Mi")}
			}),
			Entry("isolation", func(s *platenv1alpha1.RenderPoolSpec) { s.Isolation = platenv1alpha1.IsolationPod }),
		)

		It("take no further job when its egress shrinks", func(ctx SpecContext) {
			own := apply(ctx, platenv1alpha1.RenderPoolSpec{MinReady: new(int32(1)), Max: 1, Egress: platenv1alpha1.PoolEgress{Allow: []platenv1alpha1.CIDR{"10.1.2.0/24"}}})
			wide := expectPods(ctx, 1)[0]
			Eventually(func() error { _, err := renderPool.Next(short(ctx), id(wide)); return err }).Should(Succeed())
			patch := client.MergeFrom(own.DeepCopy())
			own.Spec.Egress.Allow = nil
			Expect(api.Patch(ctx, own, patch)).To(Succeed())
			Eventually(func() error { _, err := renderPool.Next(short(ctx), id(wide)); return err }).Should(Or(MatchError(pool.ErrRetire), MatchError(pool.ErrUnknownPod)))
			Eventually(func() *corev1.Pod { at := guarded.last(namespace); return at }).ShouldNot(BeNil())
			Eventually(func() string { return podspec.OutboundAllow(guarded.last(namespace)) }).Should(BeEmpty())
		})

		DescribeTable("say in it what cannot be followed",
			func(ctx SpecContext, spec platenv1alpha1.RenderPoolSpec, reason, message string) {
				own := apply(ctx, spec)
				Eventually(func() *metav1.Condition { return ready(ctx, own) }).
					Should(And(HaveField("Status", metav1.ConditionFalse), HaveField("Reason", reason), HaveField("Message", ContainSubstring(message))))
				Eventually(func() []corev1.Pod { return pods(ctx) }).Should(BeEmpty())
			},
			Entry("addresses that the manager does not let it name", platenv1alpha1.RenderPoolSpec{
				Egress: platenv1alpha1.PoolEgress{Allow: []platenv1alpha1.CIDR{"10.1.0.0/24", "10.0.0.0/8"}},
			}, platenv1alpha1.EgressForbiddenReason, "spec.egress.allow[1]: 10.0.0.0/8 must lie within the manager's --pool-outbound-allow (10.1.0.0/16); an administrator may add it"),
			Entry("several such addresses", platenv1alpha1.RenderPoolSpec{
				Egress: platenv1alpha1.PoolEgress{Allow: []platenv1alpha1.CIDR{"10.0.0.0/8", "10.1.0.0/24", "0.0.0.0/0"}},
			}, platenv1alpha1.EgressForbiddenReason, "spec.egress.allow[0]: 10.0.0.0/8, spec.egress.allow[2]: 0.0.0.0/0 must lie within the manager's --pool-outbound-allow (10.1.0.0/16); "+
				"an administrator may add them"),
			Entry("a request above its limit", platenv1alpha1.RenderPoolSpec{
				PodTemplate: platenv1alpha1.PodOverlay{Resources: corev1.ResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("3Gi")}, Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("2Gi")},
				}},
			}, platenv1alpha1.PodForbiddenReason, "spec.podTemplate: resources.requests.memory: 3Gi must be at most resources.limits.memory (2Gi)"),
		)

		It("are tried at once when it is corrected, and it says no more why they were refused", func(ctx SpecContext) {
			own := apply(ctx, platenv1alpha1.RenderPoolSpec{MinReady: new(int32(1)), Max: 1, PodTemplate: platenv1alpha1.PodOverlay{RuntimeClassName: "missing"}})
			job := create(ctx, "summer")
			enqueue(job)
			refused := func() bool {
				renderPool.Expire()
				return created(namespace) >= 3 // the next attempt is seconds away
			}
			Eventually(refused).WithTimeout(20 * time.Second).Should(BeTrue())
			Eventually(func() *metav1.Condition { return ready(ctx, own) }).
				Should(And(HaveField("Status", metav1.ConditionFalse), HaveField("Reason", platenv1alpha1.PodForbiddenReason), HaveField("Message", ContainSubstring(`"missing"`))))
			Expect(recorder.of(namespace)).To(HaveExactElements(And(HavePrefix("Warning PodForbidden the API server refuses render pods: "), ContainSubstring(`"missing"`))))

			patch := client.MergeFrom(own.DeepCopy())
			own.Spec.PodTemplate.RuntimeClassName = ""
			Expect(api.Patch(ctx, own, patch)).To(Succeed())
			expectPods(ctx, 1)
			Eventually(func() int64 { _ = ready(ctx, own); return *own.Status.ObservedGeneration }).Should(Equal(own.Generation))
			Expect(ready(ctx, own)).To(And(HaveField("Status", metav1.ConditionUnknown), HaveField("Reason", platenv1alpha1.StartingReason), HaveField("ObservedGeneration", own.Generation)))
		})

		It("are told of in one event for as long as they are refused, though their counts change", func(ctx SpecContext) {
			own := apply(ctx, platenv1alpha1.RenderPoolSpec{Egress: platenv1alpha1.PoolEgress{Allow: []platenv1alpha1.CIDR{"10.0.0.0/8"}}})
			Eventually(func() *metav1.Condition { return ready(ctx, own) }).Should(HaveField("Reason", platenv1alpha1.EgressForbiddenReason))
			enqueue(create(ctx, "summer"))
			Eventually(func() *int32 { renderPool.Expire(); _ = ready(ctx, own); return own.Status.Starting }).WithTimeout(15 * time.Second).Should(HaveValue(BeEquivalentTo(1)))
			Expect(recorder.of(namespace)).To(HaveExactElements(HavePrefix("Warning EgressForbidden spec.egress.allow[0]: 10.0.0.0/8 must lie within")))
		})

		It("go to it by its scale", func(ctx SpecContext) {
			own := apply(ctx, platenv1alpha1.RenderPoolSpec{MinReady: new(int32(0))})
			scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: 2}}
			Expect(api.SubResource("scale").Update(ctx, own, client.WithSubResourceBody(scale))).To(Succeed())
			expectPods(ctx, 2)
		})
	})
})

// short returns a context that has ended: a poll with it only asks.
func short(ctx context.Context) context.Context {
	ended, cancel := context.WithCancel(ctx)
	cancel()
	return ended
}

// created returns how many pods the reconciler has tried to create in a namespace.
func created(namespace string) int64 {
	count, ok := creates.Load(namespace)
	if !ok {
		return 0
	}
	return count.(*atomic.Int64).Load() //nolint:forcetypeassert // stored as such
}
