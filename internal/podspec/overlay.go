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
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
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
	if o.SandboxProfile != "" {
		spec.SecurityContext.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: &o.SandboxProfile}
		renderer := &spec.Containers[0]
		renderer.Env = append(renderer.Env, corev1.EnvVar{Name: "PLATEN_CHROMIUM_SANDBOX", Value: "true"})
	}
}

// resources returns the resources of the renderer's container: those of the Config, with what the RenderPool chooses. A limit that it does not choose
// is at least its request, and a request that it does not choose is at most its limit.
func resources(c Config) corev1.ResourceRequirements {
	own := c.Overlay.Resources
	all := corev1.ResourceRequirements{
		Requests: corev1.ResourceList{
			corev1.ResourceCPU: c.CPU, corev1.ResourceMemory: c.Memory, corev1.ResourceEphemeralStorage: resource.MustParse("64Mi"),
		},
		Limits: corev1.ResourceList{corev1.ResourceMemory: c.MemoryLimit, corev1.ResourceEphemeralStorage: resource.MustParse("1Gi")},
	}
	if !c.CPULimit.IsZero() {
		all.Limits[corev1.ResourceCPU] = c.CPULimit
	}
	maps.Copy(all.Requests, own.Requests)
	maps.Copy(all.Limits, own.Limits)
	for name, limit := range all.Limits {
		request := all.Requests[name]
		_, chosen := own.Limits[name]
		switch _, requested := own.Requests[name]; {
		case request.Cmp(limit) <= 0:
		case !chosen:
			all.Limits[name] = request
		case !requested:
			all.Requests[name] = limit
		}
	}
	return all
}

// merge returns both maps' entries; those of ours win.
func merge[T ~string](theirs map[string]T, ours map[string]string) map[string]string {
	merged := map[string]string{}
	for key, value := range theirs {
		merged[key] = string(value)
	}
	maps.Copy(merged, ours)
	return merged
}

// hash returns the hash of what a pod is made from.
func hash(pod *corev1.Pod) string { return digest(pod.Labels, pod.Annotations, pod.Spec) }

func digest(parts ...any) string {
	data, err := json.Marshal(parts)
	if err != nil {
		panic(err) // every part of a pod can be marshaled
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

// checkResources reports amounts that the API server refuses in each pod. It refuses them only when there is a pod to create.
func checkResources(resources corev1.ResourceRequirements) error {
	for _, list := range []struct {
		field string
		of    corev1.ResourceList
	}{{"limits", resources.Limits}, {"requests", resources.Requests}} { // a limit may have become the request
		for _, name := range slices.Sorted(maps.Keys(list.of)) {
			amount := list.of[name]
			switch isNative := !strings.Contains(string(name), "/"); {
			case amount.Sign() < 0:
				return fmt.Errorf("resources.%s.%s: %s must not be negative", list.field, name, amount.String())
			case isNative && name != corev1.ResourceCPU && name != corev1.ResourceMemory && name != corev1.ResourceEphemeralStorage &&
				!strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix):
				return fmt.Errorf("resources.%s.%s: a resource must be cpu, memory, ephemeral-storage, or one of a node's devices with a prefix, such as example.com/gpu", list.field, name)
			}
		}
	}
	return nil
}

// Check reports a pod that does not satisfy the Pod Security Standard "restricted".
func Check(pod *corev1.Pod) error {
	level := psaapi.LevelVersion{Level: psaapi.LevelRestricted, Version: psaapi.LatestVersion()}
	if err := checkResources(pod.Spec.Containers[0].Resources); err != nil {
		return err
	}
	for name, limit := range pod.Spec.Containers[0].Resources.Limits {
		if request := pod.Spec.Containers[0].Resources.Requests[name]; request.Cmp(limit) > 0 {
			return fmt.Errorf("resources.requests.%s: %s must be at most resources.limits.%s (%s)", name, request.String(), name, limit.String())
		}
	}
	result := policy.AggregateCheckResults(restricted.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec))
	if result.Allowed {
		return nil
	}
	return fmt.Errorf("the pod does not satisfy the Pod Security Standard restricted: %s", result.ForbiddenDetail())
}
