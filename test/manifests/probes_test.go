// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// minProbeTimeout is the least time for the answer to a probe, in seconds: on a node that render pods fill, a second is too short for a process
// that is well, and the kubelet would restart it with all requests that wait in it.
const minProbeTimeout = 5

func TestProbesWaitOnABusyNode(t *testing.T) {
	for name, set := range map[string]objects{"config/default": build(t, "config/default"), "config/ha": overlay(t, "ha"), "the chart": render(t)} {
		for key, object := range set {
			if object.GetKind() != "Deployment" {
				continue
			}
			var deployment appsv1.Deployment
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &deployment); err != nil {
				t.Fatal(err)
			}
			for _, c := range deployment.Spec.Template.Spec.Containers {
				if c.LivenessProbe == nil || c.LivenessProbe.TimeoutSeconds < minProbeTimeout || c.ReadinessProbe == nil || c.ReadinessProbe.TimeoutSeconds < minProbeTimeout {
					t.Errorf("%s: %s: the container %s has the probes %v and %v, which must wait %d s", name, key, c.Name, c.LivenessProbe, c.ReadinessProbe, minProbeTimeout)
				}
			}
		}
	}
}
