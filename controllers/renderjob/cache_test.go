// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob_test

import (
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/task"
)

var _ = Describe("The render cache", func() {
	var namespace string
	succeeds := func(ctx SpecContext, job *platenv1alpha1.RenderJob, from platenv1alpha1.CacheResult) {
		GinkgoHelper()
		has(ctx, job, platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason)
		Expect(job.Status.Cache).To(Equal(from))
	}
	create := func(ctx SpecContext, name string, change func(*platenv1alpha1.RenderJobSpec)) *platenv1alpha1.RenderJob {
		GinkgoHelper()
		j := job(namespace, name)
		if change != nil {
			change(&j.Spec)
		}
		Expect(api.Create(ctx, j)).To(Succeed())
		return j
	}
	BeforeEach(func(ctx SpecContext) {
		namespace = workspace(ctx)
		Expect(api.Create(ctx, banner(namespace))).To(Succeed())
	})

	It("gives a later job of the same the files, which outlive the first job, and no pod paints", func(ctx SpecContext) {
		first := create(ctx, "first", nil)
		take(ctx, namespace).store(ctx, true)
		succeeds(ctx, first, platenv1alpha1.CacheMiss)
		Expect(api.Delete(ctx, first)).To(Succeed())
		_, err := store.Delete(ctx, content.Ref{Namespace: namespace, JobUID: string(first.UID)}) // as the sweeper does
		Expect(err).NotTo(HaveOccurred())

		later := create(ctx, "later", func(s *platenv1alpha1.RenderJobSpec) { s.Output.FileName = "other" })
		succeeds(ctx, later, platenv1alpha1.CacheHit)
		Expect(writes.to(later)).To(Equal(1))
		Expect(later.Status.PodName).To(BeEmpty())
		Expect(*later.Status.Attempts).To(BeZero())
		Expect(*later.Status.RenderMilliseconds).To(BeZero())
		Expect(later.Status.Pages).To(HaveLen(2))
		for i, page := range later.Status.Pages {
			Expect(page.SHA256).To(Equal(first.Status.Pages[i].SHA256))
			Expect(page.PageID).To(Equal(first.Status.Pages[i].PageID))
			Expect(page.ContentURL).To(And(ContainSubstring("/"+string(later.UID)+"/"), ContainSubstring("other_page_")))
		}
		objects, err := store.Objects(ctx, content.Ref{Namespace: namespace, JobUID: string(later.UID)})
		Expect(err).NotTo(HaveOccurred())
		Expect(objects).To(HaveLen(3), "two files and the manifest")
	})

	DescribeTable("renders", func(ctx SpecContext, want platenv1alpha1.CacheResult, change func(*platenv1alpha1.RenderJobSpec)) {
		first := create(ctx, "first", nil)
		pod := take(ctx, namespace)
		pod.store(ctx, true)
		succeeds(ctx, first, platenv1alpha1.CacheMiss)
		other := create(ctx, "other", change)
		take(ctx, namespace, pod).store(ctx, true)
		succeeds(ctx, other, want)
		Expect(*other.Status.Attempts).To(BeEquivalentTo(1))
	},
		Entry("other pages", platenv1alpha1.CacheMiss, func(s *platenv1alpha1.RenderJobSpec) { s.Output.Pages = []int32{1} }),
		Entry("another quality", platenv1alpha1.CacheMiss, func(s *platenv1alpha1.RenderJobSpec) { s.Output.Quality = 80 }),
		Entry("what wants no cache", platenv1alpha1.CacheOff, func(s *platenv1alpha1.RenderJobSpec) { s.Cache = platenv1alpha1.CacheDisabled }),
	)

	It("does not keep what may look different another time, nor what wants no cache", func(ctx SpecContext) {
		first := create(ctx, "first", nil)
		pod := take(ctx, namespace)
		pod.store(ctx, false)
		succeeds(ctx, first, platenv1alpha1.CacheMiss)
		second := create(ctx, "second", func(s *platenv1alpha1.RenderJobSpec) { s.Cache = platenv1alpha1.CacheDisabled })
		pod = take(ctx, namespace, pod)
		pod.store(ctx, true)
		succeeds(ctx, second, platenv1alpha1.CacheOff)
		third := create(ctx, "third", nil)
		take(ctx, namespace, pod).store(ctx, true)
		succeeds(ctx, third, platenv1alpha1.CacheMiss)
	})

	It("is that of one namespace", func(ctx SpecContext) {
		first := create(ctx, "first", nil)
		take(ctx, namespace).store(ctx, true)
		succeeds(ctx, first, platenv1alpha1.CacheMiss)
		namespace = workspace(ctx)
		Expect(api.Create(ctx, banner(namespace))).To(Succeed())
		same := create(ctx, "first", nil)
		take(ctx, namespace).store(ctx, true)
		succeeds(ctx, same, platenv1alpha1.CacheMiss)
	})

	It("lets jobs that come at the same time wait for one render", func(ctx SpecContext) {
		first := create(ctx, "first", nil)
		pod := take(ctx, namespace)
		followers := []*platenv1alpha1.RenderJob{create(ctx, "a", nil), create(ctx, "b", nil), create(ctx, "c", nil)}
		Consistently(func() bool { return slices.ContainsFunc(followers, isInPool) }).WithTimeout(200 * time.Millisecond).Should(BeFalse())
		pod.store(ctx, true)
		succeeds(ctx, first, platenv1alpha1.CacheMiss)
		for _, follower := range followers {
			succeeds(ctx, follower, platenv1alpha1.CacheHit)
			Expect(writes.to(follower)).To(Equal(1))
		}
	})

	DescribeTable("lets the others render when the first", func(ctx SpecContext, end func(SpecContext, *platenv1alpha1.RenderJob, *pod), others int) {
		first := create(ctx, "first", nil)
		p := take(ctx, namespace)
		create(ctx, "a", nil)
		create(ctx, "b", nil)
		end(ctx, first, p)
		Eventually(func() int {
			queued := 0
			for _, name := range []string{"a", "b"} {
				key := client.ObjectKey{Namespace: namespace, Name: name}
				j := &platenv1alpha1.RenderJob{}
				Expect(api.Get(ctx, key, j)).To(Succeed())
				if isInPool(j) {
					queued++
				}
			}
			return queued
		}).Should(Equal(others))
	},
		Entry("fails", func(_ SpecContext, _ *platenv1alpha1.RenderJob, p *pod) {
			p.fail(&render.Error{Reason: render.ReasonRenderFailed, Message: "no", Terminal: true})
		}, 2),
		Entry("is not repeatable", func(ctx SpecContext, _ *platenv1alpha1.RenderJob, p *pod) { p.deliver(ctx) }, 2),
		Entry("is deleted", func(ctx SpecContext, first *platenv1alpha1.RenderJob, _ *pod) {
			Expect(api.Delete(ctx, first)).To(Succeed())
		}, 1),
		Entry("is suspended", func(ctx SpecContext, first *platenv1alpha1.RenderJob, _ *pod) {
			edit(ctx, first, func(s *platenv1alpha1.RenderJobSpec) { s.Suspend = new(true) })
		}, 1),
		Entry("asks for something else", func(ctx SpecContext, first *platenv1alpha1.RenderJob, _ *pod) {
			edit(ctx, first, func(s *platenv1alpha1.RenderJobSpec) { s.Output.Quality = 50 })
		}, 1),
	)

	It("does not let an urgent job wait for another", func(ctx SpecContext) {
		create(ctx, "first", nil)
		take(ctx, namespace)
		urgent := create(ctx, "urgent", func(s *platenv1alpha1.RenderJobSpec) { s.Priority = new(int32(1)) })
		Eventually(isInPool).WithArguments(urgent).Should(BeTrue())
	})
})

// isInPool reports whether a job waits for a pod or has one.
func isInPool(j *platenv1alpha1.RenderJob) bool {
	GinkgoHelper()
	return renderPool.State(client.ObjectKeyFromObject(j), j.UID, task.Revision(j)).Phase != ""
}
