// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/cluster"
)

const (
	// upgradeJobs are created before an upgrade, of which upgradeRunning render when it begins.
	upgradeJobs, upgradeRunning = 50, 20
	// nextRelease makes of the manager what a newer release is: another pod with other settings, which also make other render pods.
	nextRelease = `[
		{"op": "add", "path": "/spec/template/metadata/annotations/platen.dev~1release", "value": "next"},
		{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--renderer-memory-limit=900Mi"}
	]`
)

var _ = Describe("An upgrade while jobs render", Ordered, Serial, func() {
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: cluster.Namespace, Name: "platen-manager"}}
	var before *appsv1.Deployment
	BeforeAll(func(ctx SpecContext) {
		Expect(c.Get(ctx, client.ObjectKeyFromObject(deployment), deployment)).To(Succeed())
		before = deployment.DeepCopy()
		DeferCleanup(func(ctx SpecContext) { rollback(ctx, deployment, before) })
	})

	// during creates jobs in two namespaces, changes the release while many of them render, and checks that every job ends after one attempt, and is
	// uploaded once.
	during := func(ctx SpecContext, change func()) {
		GinkgoHelper()
		workspaces := []*workspace{newWorkspace(ctx), newWorkspace(ctx)}
		for _, w := range workspaces {
			w.connected(ctx)
			w.slowTemplate(ctx, "slow", 4*time.Second)
			for i := range upgradeJobs / len(workspaces) {
				w.create(ctx, w.job(fmt.Sprintf("job-%d", i), func(j *platenv1alpha1.RenderJob) { j.Spec.TemplateRef.Name = "slow" }))
			}
		}
		jobs := func(g Gomega) (all []platenv1alpha1.RenderJob) {
			for _, w := range workspaces {
				list := &platenv1alpha1.RenderJobList{}
				g.Expect(c.List(ctx, list, client.InNamespace(w.namespace))).To(Succeed())
				all = append(all, list.Items...)
			}
			return all
		}
		// Of the jobs that have begun, some may have ended: 20 pods take a while to start on a small node.
		Eventually(func(g Gomega) {
			begun := slices.DeleteFunc(jobs(g), func(j platenv1alpha1.RenderJob) bool {
				return !slices.Contains([]string{platenv1alpha1.RenderingReason, platenv1alpha1.UploadingReason, platenv1alpha1.SucceededReason}, reason(&j, platenv1alpha1.ReadyCondition))
			})
			g.Expect(len(begun)).To(BeNumerically(">=", upgradeRunning))
		}).WithContext(ctx).WithTimeout(waitTimeout).WithPolling(200 * time.Millisecond).Should(Succeed())
		change()

		Eventually(func(g Gomega) {
			all := jobs(g)
			g.Expect(all).To(HaveLen(upgradeJobs))
			for i := range all {
				g.Expect(all[i].Finished()).To(BeTrue(), "%s: %+v", all[i].Name, all[i].Status)
			}
		}).WithContext(ctx).WithTimeout(2 * waitTimeout).WithPolling(time.Second).Should(Succeed())
		for _, job := range jobs(Default) {
			expectAttempts(&job, 1)
			expectKstatus(&job)
		}
		for _, w := range workspaces {
			files := w.files(ctx)
			Expect(files).To(HaveLen(upgradeJobs / len(workspaces)))
			for _, f := range files {
				Expect(f.Commits).To(Equal(1), f.Path)
			}
		}
	}

	It("ends every job once", func(ctx SpecContext) {
		during(ctx, func() { patchManager(ctx, deployment, client.RawPatch(types.JSONPatchType, []byte(nextRelease))) })
	}, SpecTimeout(5*time.Minute))

	It("ends every job once when it is rolled back", func(ctx SpecContext) {
		during(ctx, func() { rollback(ctx, deployment, before) })
	}, SpecTimeout(5*time.Minute))
})

// rollback gives the manager the spec that it had before.
func rollback(ctx SpecContext, deployment, before *appsv1.Deployment) {
	GinkgoHelper()
	restored := deployment.DeepCopy()
	restored.Spec = before.Spec
	patchManager(ctx, restored, client.MergeFrom(deployment))
	*deployment = *restored
}
