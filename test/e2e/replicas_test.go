// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/cluster"
	"github.com/platen-dev/platen/test/node"
)

const (
	// replicasPatch does what config/ha does, on a cluster with one node.
	replicasPatch = `{"spec": {"replicas": 2, "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}}}`
	// leaseDuration is the manager's default.
	leaseDuration = 15 * time.Second
	// cutFor is how long the leader does not reach the API server.
	cutFor = 40 * time.Second
)

// unchanged leaves a job as it is.
func unchanged(*platenv1alpha1.RenderJob) {}

// leader waits until one pod of the manager leads and, with all others, is ready. It is none of the others.
func leader(ctx context.Context, others ...string) *corev1.Pod {
	GinkgoHelper()
	found := &corev1.Pod{}
	Eventually(func(g Gomega) {
		pods := &corev1.PodList{}
		g.Expect(c.List(ctx, pods, client.InNamespace(cluster.Namespace), client.MatchingLabels{"app.kubernetes.io/component": "manager", "platen.dev/role": "leader"})).To(Succeed())
		g.Expect(pods.Items).To(HaveLen(1))
		g.Expect(others).NotTo(ContainElement(pods.Items[0].Name))
		found = &pods.Items[0]
	}).WithContext(ctx).WithTimeout(waitTimeout).WithPolling(50 * time.Millisecond).Should(Succeed())
	return found
}

// patiently reads a file as clients do during a handover: for a moment, the API server's proxy leads to a pod whose process has ended.
func patiently(ctx context.Context, contentURL string) (data []byte, contentType string, err error) {
	GinkgoHelper()
	Eventually(func() error {
		data, contentType, err = c.Content(ctx, contentURL)
		return err
	}).WithContext(ctx).WithTimeout(waitTimeout).Should(Succeed())
	return data, contentType, err
}

// replicas waits until the manager has as many pods, all of them ready and up to date.
func replicas(ctx context.Context, deployment *appsv1.Deployment, n int32) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		g.Expect(c.Get(ctx, client.ObjectKeyFromObject(deployment), deployment)).To(Succeed())
		g.Expect(deployment.Status.ObservedGeneration).To(Equal(deployment.Generation))
		for _, have := range []int32{deployment.Status.Replicas, deployment.Status.UpdatedReplicas, deployment.Status.ReadyReplicas} {
			g.Expect(have).To(Equal(n))
		}
	}).WithContext(ctx).WithTimeout(2 * waitTimeout).Should(Succeed())
}

var _ = Describe("Two managers", Ordered, Serial, func() {
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: cluster.Namespace, Name: "platen-manager"}}

	BeforeAll(func(ctx SpecContext) {
		onDevcluster()
		Expect(c.Get(ctx, client.ObjectKeyFromObject(deployment), deployment)).To(Succeed())
		before := deployment.DeepCopy()
		Expect(c.Patch(ctx, deployment, client.RawPatch(types.MergePatchType, []byte(replicasPatch)))).To(Succeed())
		DeferCleanup(func(ctx SpecContext) {
			restored := deployment.DeepCopy()
			restored.Spec = before.Spec
			Expect(c.Patch(ctx, restored, client.MergeFrom(deployment))).To(Succeed())
			replicas(ctx, deployment, 1)
			manager(ctx)
		})
		replicas(ctx, deployment, 2)
	})

	// inFlight starts a film, does something to the leader while it is rendered, and checks that the film and a new job of another namespace go on
	// under another leader. It returns how long the new job took.
	inFlight := func(ctx SpecContext, disturb func(leads *corev1.Pod)) time.Duration {
		GinkgoHelper()
		busy, idle := newWorkspace(ctx), newWorkspace(ctx)
		busy.connected(ctx)
		idle.run(ctx, idle.job("warm", unchanged))
		film := busy.film("film", "15", unchanged)
		busy.create(ctx, film)
		pod := busy.rendering(ctx, film).Name
		leads := leader(ctx)
		disturb(leads)
		began := time.Now()
		expectAttempts(idle.run(ctx, idle.job("new", unchanged)), 1)
		took := time.Since(began)
		AddReportEntry("seconds of a new job", took.Seconds())
		done := busy.await(ctx, film)
		expectAttempts(done, 1)
		Expect(done.Status.PodName).To(Equal(pod))
		busy.expectDeliveredAsRead(ctx, done, patiently)
		return took
	}

	It("hand over when the leader's pod is deleted", func(ctx SpecContext) {
		before := ""
		took := inFlight(ctx, func(leads *corev1.Pod) {
			before = leads.Name
			Expect(c.Delete(ctx, leads)).To(Succeed())
		})
		Expect(took).To(BeNumerically("<", leaseDuration), "the next leader waited for the lease")
		leader(ctx, before)
		replicas(ctx, deployment, 2)
	}, SpecTimeout(4*time.Minute))

	It("hand over during a rollout", func(ctx SpecContext) {
		inFlight(ctx, func(*corev1.Pod) {
			patch := fmt.Sprintf(`{"spec": {"template": {"metadata": {"annotations": {"platen.dev/restarted": %q}}}}}`, time.Now().Format(time.RFC3339Nano))
			Expect(c.Patch(ctx, deployment, client.RawPatch(types.StrategicMergePatchType, []byte(patch)))).To(Succeed())
		})
		replicas(ctx, deployment, 2)
		leader(ctx)
	}, SpecTimeout(4*time.Minute))

	It("go on when the leader's process is killed", func(ctx SpecContext) {
		inFlight(ctx, func(leads *corev1.Pod) { signal(leads, syscall.SIGKILL) })
		replicas(ctx, deployment, 2)
		leader(ctx)
	}, SpecTimeout(4*time.Minute))

	It("hand over when the leader does not reach the API server", func(ctx SpecContext) {
		service, before := &corev1.Service{}, ""
		Expect(c.Get(ctx, client.ObjectKey{Namespace: "default", Name: "kubernetes"}, service)).To(Succeed())
		var cut time.Time
		var once sync.Once
		heal := func(context.Context) error { return nil }
		DeferCleanup(func(ctx SpecContext) { Expect(heal(ctx)).To(Succeed()) })
		inFlight(ctx, func(leads *corev1.Pod) {
			undo, err := node.Cut(ctx, leads, service.Spec.ClusterIP)
			Expect(err).NotTo(HaveOccurred())
			heal = func(ctx context.Context) (err error) {
				once.Do(func() { err = undo(ctx) })
				return err
			}
			cut, before = time.Now(), leads.Name
		})
		leader(ctx, before)
		select {
		case <-time.After(time.Until(cut.Add(cutFor))):
		case <-ctx.Done():
		}
		Expect(heal(ctx)).To(Succeed())
		replicas(ctx, deployment, 2)
		leader(ctx, before)
	}, SpecTimeout(5*time.Minute))
})
