// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package podspec

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	psaapi "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// overlay puts what a RenderPool chooses over a pod.
func overlay(pod *corev1.Pod, o platenv1alpha1.PodOverlay) {
	pod.Labels = merge(o.Labels, pod.Labels)
	pod.Annotations = merge(o.Annotations, pod.Annotations)
	spec := &pod.Spec
	spec.NodeSelector = maps.Clone(o.NodeSelector)
	spec.Tolerations = slices.Clone(o.Tolerations)
	spec.Affinity = o.Affinity.DeepCopy()
	spec.TopologySpreadConstraints = slices.Clone(o.TopologySpreadConstraints)
	spec.PriorityClassName = o.PriorityClassName
	if o.RuntimeClassName != "" {
		spec.RuntimeClassName = &o.RuntimeClassName
	}
	spec.ImagePullSecrets = slices.Clone(o.ImagePullSecrets)
	spec.HostUsers = o.HostUsers
	resources := &spec.Containers[0].Resources
	maps.Copy(resources.Requests, o.Resources.Requests)
	maps.Copy(resources.Limits, o.Resources.Limits)
	for name, limit := range o.Resources.Limits {
		// A limit below the manager's request would make the pod invalid.
		if request, ok := resources.Requests[name]; ok && request.Cmp(limit) > 0 {
			if _, chosen := o.Resources.Requests[name]; !chosen {
				resources.Requests[name] = limit
			}
		}
	}
}

// merge returns both maps' entries; those of ours win.
func merge(theirs, ours map[string]string) map[string]string {
	merged := map[string]string{}
	maps.Copy(merged, theirs)
	maps.Copy(merged, ours)
	return merged
}

// hash returns the hash of what a pod is made from.
func hash(pod *corev1.Pod) string {
	data, err := json.Marshal([]any{pod.Labels, pod.Annotations, pod.Spec})
	if err != nil {
		panic(err) // every pod can be marshaled
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:5])
}

// restricted evaluates the Pod Security Standard "restricted" (https://kubernetes.io/docs/concepts/security/pod-security-standards/).
var restricted = func() policy.Evaluator {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		panic(err) // the checks are the library's own
	}
	return evaluator
}()

// Check reports a pod that does not satisfy the Pod Security Standard "restricted".
func Check(pod *corev1.Pod) error {
	level := psaapi.LevelVersion{Level: psaapi.LevelRestricted, Version: psaapi.LatestVersion()}
	result := policy.AggregateCheckResults(restricted.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec))
	if result.Allowed {
		return nil
	}
	return fmt.Errorf("the pod does not satisfy the Pod Security Standard restricted: %s", result.ForbiddenDetail())
}
