// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/platen-dev/platen/internal/outbound"
	"github.com/platen-dev/platen/internal/podspec"
)

func TestTheNetworkPolicyAllowsThePodsEgress(t *testing.T) {
	s := &podSettings{}
	manager := outbound.Policy{}
	if err := manager.Allowed.Set("10.9.0.0/16"); err != nil {
		t.Fatal(err)
	}
	s.policy.Store(&manager)
	for _, allow := range []string{"", "10.9.0.0/16", "10.9.0.0/16,10.1.2.0/24"} {
		pod := podspec.Build(podspec.Config{OutboundAllow: allow}, "marketing", "platen-render-1", []byte("key"))
		policy := s.policyConfig(pod, 9443).Outbound
		if got := policy.Allowed.String(); got != allow {
			t.Errorf("the pod's proxy allows '%s', and the policy '%s'", allow, got)
		}
	}
	if got := manager.Allowed.String(); got != "10.9.0.0/16" {
		t.Errorf("a pod has changed what others may reach: %s", got)
	}
}
