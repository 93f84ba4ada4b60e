// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// Every pod that an installation makes is "restricted".
func TestPodsAreRestricted(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, set := range map[string]objects{
		"config/default": build(t, "config/default"), "config/simulator": build(t, "config/simulator"), "config/ha": overlay(t, "ha"), "config/tls": overlay(t, "tls"),
		"the chart":          render(t),
		"the chart with TLS": render(t, `shim.tlsSecret="a"`, `content.tlsSecret="b"`, `manager.replicas=2`),
	} {
		pods := 0
		for key, object := range set {
			if object.GetKind() != "Deployment" {
				continue
			}
			pods++
			var deployment appsv1.Deployment
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &deployment); err != nil {
				t.Fatal(err)
			}
			template := deployment.Spec.Template
			results := evaluator.EvaluatePod(api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}, &template.ObjectMeta, &template.Spec)
			if result := policy.AggregateCheckResults(results); !result.Allowed {
				t.Errorf("%s: %s: %s", name, key, result.ForbiddenDetail())
			}
			if template.Spec.AutomountServiceAccountToken == nil && template.Spec.ServiceAccountName == "" {
				t.Errorf("%s: %s has the token of the ServiceAccount default", name, key)
			}
		}
		if pods < 2 {
			t.Errorf("%s has %d Deployments", name, pods)
		}
	}
}
