// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// podProblem returns why a pod does not run, in Kubernetes' words: it was evicted, no node takes it, its image cannot be pulled, or its
// container has failed. It returns "" if nothing is wrong.
func podProblem(pod *corev1.Pod) string {
	problem := pod.Status.Message
	if pod.Status.Reason != "" {
		problem = join(pod.Status.Reason, pod.Status.Message)
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			problem = join(c.Reason, c.Message)
		}
	}
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		switch {
		case s.State.Waiting != nil && s.State.Waiting.Reason != "ContainerCreating" && s.State.Waiting.Reason != "PodInitializing":
			problem = join(s.State.Waiting.Reason, s.State.Waiting.Message)
		case s.State.Terminated != nil && s.State.Terminated.ExitCode != 0:
			problem = fmt.Sprintf("%s (exit code %d)", s.State.Terminated.Reason, s.State.Terminated.ExitCode)
		}
	}
	return problem
}

func join(reason, message string) string {
	if message == "" {
		return reason
	}
	return reason + ": " + message
}
