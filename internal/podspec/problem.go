// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package podspec

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// Problem is why a pod does not run, or how it ended. Reason is one of the API's or, for a pod that ended, the kubelet's, such as OOMKilled;
// both are empty if nothing is wrong. The message names no pod, and stays the same while the problem does: most of the kubelet's
// and the scheduler's words change every few seconds.
type Problem struct{ Reason, Message string }

// imageReasons are the kubelet's, in k8s.io/kubernetes/pkg/kubelet/images.
var imageReasons = []string{"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed"}

// ProblemOf returns a pod's problem.
func ProblemOf(pod *corev1.Pod) Problem {
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		switch waiting, ended := s.State.Waiting, s.State.Terminated; {
		case ended != nil && ended.ExitCode != 0:
			return Problem{ended.Reason, fmt.Sprintf("%s (exit code %d)", ended.Reason, ended.ExitCode)}
		case waiting != nil && slices.Contains(imageReasons, waiting.Reason):
			return Problem{platenv1alpha1.ImagePullFailedReason, fmt.Sprintf("a node cannot pull the image %s of a render pod", s.Image)}
		case waiting != nil && waiting.Reason != "" && waiting.Reason != "ContainerCreating" && waiting.Reason != "PodInitializing":
			return Problem{platenv1alpha1.ContainerStartFailedReason, "the container of a render pod does not start: " + waiting.Reason + wordsOf(pod, waiting.Message)}
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return Problem{platenv1alpha1.UnschedulableReason, "no node has room for a render pod; its requests and its nodeSelector, affinity and tolerations decide"}
		}
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonSchedulingGated {
			return Problem{platenv1alpha1.UnschedulableReason, "a scheduling gate holds the render pod, such as that of a queue"}
		}
	}
	if pod.Status.Phase == corev1.PodFailed && pod.Status.Reason != "" {
		return Problem{pod.Status.Reason, pod.Status.Reason}
	}
	return Problem{}
}

// Bare reports whether a pod has a node that has not made its sandbox yet: its network and its volumes. The status does not say why it is not made.
func Bare(pod *corev1.Pod) bool {
	return pod.Spec.NodeName != "" && pod.Status.Phase == corev1.PodPending && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReadyToStartContainers && c.Status == corev1.ConditionFalse
	})
}

// maxWords bounds what a message has of the kubelet's words, in bytes.
const maxWords = 512

// identifier is what the kubelet and the container runtime give each container and each attempt: they are no part of the problem.
var identifier = regexp.MustCompile(`\b[0-9a-f]{32,}\b`)

// wordsOf returns the kubelet's words about a pod's container, after a colon: without the names of the pod and of its containers, so that they
// are the same for all pods and all attempts. It is empty if there are none.
func wordsOf(pod *corev1.Pod, message string) string {
	if message = strings.Join(strings.Fields(message), " "); message == "" {
		return ""
	}
	for _, name := range []string{string(pod.UID), pod.Name} {
		if name != "" {
			message = strings.ReplaceAll(message, name, "…")
		}
	}
	if message = identifier.ReplaceAllString(message, "…"); len(message) > maxWords {
		message = strings.ToValidUTF8(message[:maxWords], "") + "…"
	}
	return ": " + message
}

// endings are the reasons of pods that the kubelet or a controller ended for the node's sake (k8s.io/kubernetes/pkg/kubelet). They come
// without the condition DisruptionTarget on some versions. Evicted is not one: the kubelet evicts without the condition what has used more
// storage than its own limit, and would do so again.
var endings = []string{"Preempting", "NodeShutdown", "Terminated", "NodeLost", "Shutdown"}

// Disrupted reports whether the cluster ended a pod: a drain, a preemption, an eviction or the shutdown of its node. Like a podFailurePolicy
// of a batch/v1 Job, it reads the condition DisruptionTarget (https://kep.k8s.io/3329). A container that the kernel killed for its memory is
// not a disruption.
func Disrupted(pod *corev1.Pod) bool {
	for _, s := range pod.Status.ContainerStatuses {
		if s.State.Terminated != nil && s.State.Terminated.Reason == "OOMKilled" {
			return false
		}
	}
	if slices.Contains(endings, pod.Status.Reason) {
		return true
	}
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue
	})
}
