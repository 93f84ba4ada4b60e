// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// The shim reads the limit of its container in MEMORY_LIMIT: without it, it lets as much garbage gather as it has jobs.
func TestTheShimKnowsItsMemory(t *testing.T) {
	for name, set := range map[string]objects{"config/default": build(t, "config/default"), "the chart": render(t)} {
		found := false
		for key, object := range set {
			if object.GetKind() != "Deployment" || object.GetName() != "platen-shim" {
				continue
			}
			found = true
			var deployment appsv1.Deployment
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &deployment); err != nil {
				t.Fatal(err)
			}
			container := deployment.Spec.Template.Spec.Containers[0]
			known := slices.ContainsFunc(container.Env, func(v corev1.EnvVar) bool {
				return v.Name == "MEMORY_LIMIT" && v.ValueFrom != nil && v.ValueFrom.ResourceFieldRef != nil && v.ValueFrom.ResourceFieldRef.Resource == "limits.memory"
			})
			if !known || container.Resources.Limits.Memory().IsZero() {
				t.Errorf("%s: %s: the environment is %v, the limit %v", name, key, container.Env, container.Resources.Limits)
			}
		}
		if !found {
			t.Errorf("%s has no shim", name)
		}
	}
}
