// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"io"
	"strings"
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

func TestFlags(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "",
		"--renderer-image=":                "--renderer-image",
		"--max-pods=-5":                    "--max-pods: -5 must be at least 1",
		"--max-pods-per-namespace=0":       "--max-pods-per-namespace: 0 must be at least 1",
		"--pool-min-ready=-1":              "--pool-min-ready",
		"--leader-elect-lease-duration=1s": "--leader-elect-lease-duration: 1s must be at least 3s",
		"--content-sweep-interval=0":       "--content-sweep-interval",
		"--render-cache-age=0":             "",
		"--content-quota-per-namespace=0":  "",
		"--renderer-memory=-1Gi":           "--renderer-memory: -1Gi must not be negative",
		"--parallel-uploads=0":             "--parallel-uploads",
	} {
		var o options
		flags := flag.NewFlagSet("manager", flag.ContinueOnError)
		flags.SetOutput(io.Discard)
		o.register(flags)
		if err := flags.Parse(strings.Fields(text)); err != nil {
			t.Fatal(err)
		}
		if err := o.check(); want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
