// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package podspec

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

func build() *corev1.Pod {
	return Build(Config{
		Image: "renderer", DispatchURL: "https://dispatch", DispatchCA: "PEM",
		CPU: resource.MustParse("1"), Memory: resource.MustParse("1Gi"), MemoryLimit: resource.MustParse("2Gi"),
	}, "marketing", "platen-render-1")
}

func TestCPULimitIsOptional(t *testing.T) {
	for limit, want := range map[string]bool{"0": false, "2": true} {
		pod := Build(Config{CPULimit: resource.MustParse(limit), MemoryLimit: resource.MustParse("2Gi")}, "marketing", "platen-render-1")
		got, limited := pod.Spec.Containers[0].Resources.Limits[corev1.ResourceCPU]
		if limited != want || limited && got.String() != limit {
			t.Errorf("limit %s: the pod has %s", limit, got.String())
		}
	}
}

func TestPodPassesPodSecurityRestricted(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	pod := build()
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, result := range evaluator.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec) {
		if !result.Allowed {
			t.Errorf("%s: %s", result.ForbiddenReason, result.ForbiddenDetail)
		}
	}
}

func TestPodHasOnlyTheDispatchToken(t *testing.T) {
	spec := build().Spec
	if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
		t.Error("the API token is mounted")
	}
	for _, v := range spec.Volumes {
		switch {
		case v.EmptyDir != nil:
			if v.EmptyDir.SizeLimit == nil {
				t.Errorf("volume %s has no bound", v.Name)
			}
		case v.Projected != nil:
			for _, source := range v.Projected.Sources {
				if source.ServiceAccountToken == nil || source.ServiceAccountToken.Audience != Audience {
					t.Errorf("volume %s projects %+v", v.Name, source)
				}
			}
		default:
			t.Errorf("volume %s is neither scratch space nor the dispatch token", v.Name)
		}
	}
	for _, c := range spec.Containers {
		if c.SecurityContext.ReadOnlyRootFilesystem == nil || !*c.SecurityContext.ReadOnlyRootFilesystem {
			t.Errorf("container %s can write to its root", c.Name)
		}
		if c.Resources.Limits.Memory().IsZero() {
			t.Errorf("container %s may use all memory of the node", c.Name)
		}
		for _, e := range c.Env {
			if e.ValueFrom != nil {
				t.Errorf("%s comes from %+v", e.Name, e.ValueFrom)
			}
		}
	}
}

func TestNobodyOwnsThePod(t *testing.T) {
	if owners := build().OwnerReferences; len(owners) != 0 {
		t.Errorf("the pod goes with %+v", owners)
	}
}
