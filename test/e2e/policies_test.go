// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/node"
)

// enforcePolicies makes the node of the development cluster enforce NetworkPolicies until the spec ends.
func enforcePolicies(ctx context.Context) {
	GinkgoHelper()
	devcluster := func(ctx context.Context, state string) {
		command := exec.CommandContext(ctx, "go", "run", "./hack/devcluster", "network-policies", state)
		command.Dir = "../.."
		out, err := command.CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), "%s", out)
	}
	DeferCleanup(func(ctx context.Context) { devcluster(ctx, "off") })
	devcluster(ctx, "on")
}

// podOf returns a pod of Platen or the simulator.
func podOf(ctx context.Context, labels client.MatchingLabels) *corev1.Pod {
	GinkgoHelper()
	pods := &corev1.PodList{}
	Expect(c.List(ctx, pods, client.InNamespace("platen-system"), labels, client.MatchingFields{"status.phase": "Running"})).To(Succeed())
	Expect(pods.Items).NotTo(BeEmpty(), "%v", labels)
	return &pods.Items[0]
}

var _ = Describe("A cluster that enforces NetworkPolicies", Serial, func() {
	It("renders, and lets a program that has taken over a render pod reach nothing of the cluster but the dispatch server", func(ctx SpecContext) {
		onDevcluster()
		w := newWorkspace(ctx)
		w.connected(ctx)
		before := w.run(ctx, w.job("before", func(*platenv1alpha1.RenderJob) {}))
		taken := &corev1.Pod{}
		Expect(c.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: before.Status.PodName}, taken)).To(Succeed())

		api := &corev1.Service{}
		Expect(c.Get(ctx, client.ObjectKey{Namespace: "default", Name: "kubernetes"}, api)).To(Succeed())
		manager := podOf(ctx, client.MatchingLabels{"app.kubernetes.io/component": "manager"})
		address := func(ip string, port int) string { return fmt.Sprintf("%s:%d", ip, port) }
		forbidden := map[string]string{
			"the metadata of the cloud":       "169.254.169.254:80",
			"the API server":                  address(api.Spec.ClusterIP, 443),
			"the API server on the node":      address(taken.Status.HostIP, 6443),
			"the kubelet":                     address(taken.Status.HostIP, 10250),
			"the manager's content":           address(manager.Status.PodIP, 8082),
			"the manager's metrics":           address(manager.Status.PodIP, 8443),
			"the REST API":                    address(podOf(ctx, client.MatchingLabels{"app.kubernetes.io/component": "shim"}).Status.PodIP, 8080),
			"another workload of the cluster": address(podOf(ctx, client.MatchingLabels{"app.kubernetes.io/name": "dropboxsim"}).Status.PodIP, 8090),
		}
		stop, err := node.Listen(ctx, forbidden["the metadata of the cloud"])
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(stop)
		for what, to := range forbidden {
			Expect(node.Dial(ctx, taken, to)).To(Succeed(), "without enforcement, nothing keeps the pod from %s", what)
		}

		enforcePolicies(ctx)
		for what, to := range forbidden {
			Eventually(func() error { return node.Dial(ctx, taken, to) }).WithTimeout(waitTimeout).ShouldNot(Succeed(), what)
		}
		Expect(node.Dial(ctx, taken, address(manager.Status.PodIP, 9443))).To(Succeed())
		expectAttempts(w.run(ctx, w.job("after", func(*platenv1alpha1.RenderJob) {})), 1)
		Expect(c.Delete(ctx, taken)).To(Succeed())
		later := w.run(ctx, w.job("later", func(*platenv1alpha1.RenderJob) {}))
		expectAttempts(later, 1)
		Expect(later.Status.PodName).NotTo(Equal(taken.Name))
	}, SpecTimeout(3*time.Minute))
})
