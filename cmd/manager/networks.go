// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/platen-dev/platen/internal/outbound"
)

// +kubebuilder:rbac:groups="",resources=nodes,verbs=list

const (
	// nodePage is the number of nodes that one request reads.
	nodePage = 200
	// maxNetworks bounds the networks that the manager adds, because each render pod's environment has them.
	maxNetworks = 256
)

// withoutCluster returns the policy without the public addresses of nodes and of the pods on them, which private clusters do not have.
func withoutCluster(ctx context.Context, c client.Reader, policy outbound.Policy) (outbound.Policy, error) {
	named := len(policy.Denied)
	nodes := &corev1.NodeList{}
	for {
		err := c.List(ctx, nodes, client.Limit(nodePage), client.Continue(nodes.Continue))
		if apierrors.IsForbidden(err) {
			ctrl.Log.Info("The manager may not list nodes: if nodes or pods have public addresses, name them with --outbound-deny")
			return policy, nil
		}
		if err != nil {
			return policy, err
		}
		for i := range nodes.Items {
			policy = policy.Without(nodeNetworks(&nodes.Items[i]))
		}
		if len(policy.Denied) > named+maxNetworks {
			ctrl.Log.Info("Nodes and pods have too many public networks: name them with --outbound-deny", "most", maxNetworks)
			policy.Denied = policy.Denied[:named+maxNetworks]
			return policy, nil
		}
		if nodes.Continue == "" {
			return policy, nil
		}
	}
}

// nodeNetworks returns the addresses of a node and the networks of its pods.
func nodeNetworks(node *corev1.Node) (networks outbound.Prefixes) {
	for _, address := range node.Status.Addresses {
		if ip, err := netip.ParseAddr(address.Address); err == nil {
			networks = append(networks, netip.PrefixFrom(ip, ip.BitLen()))
		}
	}
	for _, text := range node.Spec.PodCIDRs {
		if prefix, err := netip.ParsePrefix(text); err == nil {
			networks = append(networks, prefix)
		}
	}
	return networks
}
