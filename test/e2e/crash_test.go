// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/cluster"
)

// failpointPatch runs the manager that is built with failpoints. The manager is not the first process of its container, because the
// kernel does not let a first process kill itself.
const failpointPatch = `[
	{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "platen.dev/manager:failpoints"},
	{"op": "add", "path": "/spec/template/spec/shareProcessNamespace", "value": true},
	{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--failpoint-bind-address=:8083"}
]`

// manager returns the manager's only pod, once it is ready and its Services find it.
func manager(ctx context.Context) *corev1.Pod {
	GinkgoHelper()
	pods := &corev1.PodList{}
	Eventually(func(g Gomega) {
		g.Expect(c.List(ctx, pods, client.InNamespace(cluster.Namespace), client.MatchingLabels{"app.kubernetes.io/component": "manager"})).To(Succeed())
		g.Expect(pods.Items).To(HaveLen(1))
		g.Expect(pods.Items[0].Status.ContainerStatuses).To(HaveLen(1))
		g.Expect(pods.Items[0].Status.ContainerStatuses[0].Ready).To(BeTrue())
		_, _, err := c.Content(ctx, "http://platen/content/unsigned")
		g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%v", err)
	}).WithContext(ctx).WithTimeout(waitTimeout).Should(Succeed())
	return &pods.Items[0]
}

// patchManager patches the manager's Deployment and waits until the new manager is the only one.
func patchManager(ctx context.Context, deployment *appsv1.Deployment, patch client.Patch) {
	GinkgoHelper()
	Expect(c.Patch(ctx, deployment, patch)).To(Succeed())
	Eventually(func(g Gomega) {
		g.Expect(c.Get(ctx, client.ObjectKeyFromObject(deployment), deployment)).To(Succeed())
		g.Expect(deployment.Status.ObservedGeneration).To(Equal(deployment.Generation))
		g.Expect(deployment.Status.UpdatedReplicas).To(BeEquivalentTo(1))
		g.Expect(deployment.Status.ReadyReplicas).To(BeEquivalentTo(1))
		g.Expect(deployment.Status.Replicas).To(BeEquivalentTo(1))
	}).WithContext(ctx).WithTimeout(waitTimeout).Should(Succeed())
	manager(ctx)
}

// arm makes the manager kill itself with SIGKILL at the failpoint, once.
func arm(ctx context.Context, failpoint string) {
	GinkgoHelper()
	Eventually(func() error {
		return c.Kube().CoreV1().RESTClient().Post().Namespace(cluster.Namespace).Resource("pods").
			Name(manager(ctx).Name + ":8083").SubResource("proxy").Suffix("/failpoints/" + failpoint).Do(ctx).Error()
	}).WithContext(ctx).WithTimeout(waitTimeout).Should(Succeed())
}

func restarts(ctx context.Context) int32 {
	GinkgoHelper()
	return manager(ctx).Status.ContainerStatuses[0].RestartCount
}

var _ = Describe("A manager that is killed", Ordered, Serial, func() {
	BeforeAll(func(ctx SpecContext) {
		deployment := &appsv1.Deployment{}
		Expect(c.Get(ctx, client.ObjectKey{Namespace: cluster.Namespace, Name: "platen-manager"}, deployment)).To(Succeed())
		before := deployment.DeepCopy()
		patchManager(ctx, deployment, client.RawPatch(types.JSONPatchType, []byte(failpointPatch)))
		DeferCleanup(func(ctx SpecContext) {
			original := deployment.DeepCopy()
			deployment.Spec.Template = before.Spec.Template
			patchManager(ctx, deployment, client.MergeFrom(original))
		})
	})

	// killed runs a job during which the manager kills itself once.
	killed := func(ctx SpecContext, w *workspace, failpoint string, change func(*platenv1alpha1.RenderJob)) {
		GinkgoHelper()
		w.connected(ctx)
		before := restarts(ctx)
		arm(ctx, failpoint)
		job := w.run(ctx, w.job("card", change))
		manager(ctx)
		w.expectDelivered(ctx, job)
		Expect(restarts(ctx)).To(Equal(before+1), "the manager was not killed")
		pods := &corev1.PodList{}
		Expect(c.List(ctx, pods, client.InNamespace(w.namespace))).To(Succeed())
		Expect(pods.Items).To(HaveLen(1), "there is a second render pod")
	}

	for _, failpoint := range []string{
		"pod.after-create-before-observe",
		"dispatch.after-assign-before-answer",
		"page.first-byte",
		"content.before-commit",
		"content.after-commit",
		"upload.before-send",
		"upload.after-commit-answer-lost",
		"status.before-patch",
	} {
		It("at "+failpoint+" still finishes the job, with one file a page", func(ctx SpecContext) {
			killed(ctx, newWorkspace(ctx), failpoint, func(*platenv1alpha1.RenderJob) {})
		}, SpecTimeout(2*time.Minute))
	}

	for _, failpoint := range []string{
		"upload.before-append",
		"upload.after-append",
		"upload.before-finish",
		"upload.after-commit-answer-lost",
	} {
		It("at "+failpoint+" of many pages still finishes the job, with one file a page", func(ctx SpecContext) {
			w := newWorkspace(ctx)
			w.create(ctx, &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Name: "pages"}, Spec: platenv1alpha1.RenderTemplateSpec{
				Pages: []platenv1alpha1.TemplatePage{
					{Name: "a", Width: 100, Height: 100, HTML: "<p>one"},
					{Name: "b", Width: 100, Height: 100, HTML: "<p>two"},
					{Name: "c", Width: 100, Height: 100, HTML: "<p>three"},
				},
			}})
			killed(ctx, w, failpoint, func(j *platenv1alpha1.RenderJob) { j.Spec.TemplateRef.Name = "pages" })
		}, SpecTimeout(2*time.Minute))
	}
})
