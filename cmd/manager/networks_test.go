// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/platen-dev/platen/internal/outbound"
)

func node(name string, podCIDRs []string, addresses ...string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{PodCIDRs: podCIDRs}}
	for _, address := range addresses {
		n.Status.Addresses = append(n.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeExternalIP, Address: address})
	}
	return n
}

func TestPagesDoNotReachPublicNodesAndPods(t *testing.T) {
	nodes := []client.Object{
		node("private", []string{"10.244.1.0/24"}, "10.0.0.1", "private.example.com"),
		node("public", []string{"10.244.2.0/24", "2606:2800:220:2::/64"}, "10.0.0.2", "93.184.216.34", "2606:2800:220:1::1"),
	}
	policy, err := withoutCluster(t.Context(), fake.NewClientBuilder().WithObjects(nodes...).Build(), outbound.Policy{
		Denied: outbound.Prefixes{netip.MustParsePrefix("93.184.0.0/24")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := policy.Denied.String(), "93.184.0.0/24,93.184.216.34/32,2606:2800:220:1::1/128,2606:2800:220:2::/64"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestManagerWithoutTheRightToListNodesStarts(t *testing.T) {
	forbidden := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "nodes"}, "", nil)
		},
	}).Build()
	want := outbound.Policy{Denied: outbound.Prefixes{netip.MustParsePrefix("93.184.0.0/24")}}
	if got, err := withoutCluster(t.Context(), forbidden, want); err != nil || !slices.Equal(got.Denied, want.Denied) {
		t.Errorf("got %v, %v", got.Denied, err)
	}
}
