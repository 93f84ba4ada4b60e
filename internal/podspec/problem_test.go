// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package podspec

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestProblemAndDisruption(t *testing.T) {
	waiting := func(reason, message string) corev1.PodStatus {
		return corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{
			Image: "renderer", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
		}}}
	}
	unscheduled := func(reason, message string) corev1.PodStatus {
		return corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: reason, Message: message}}}
	}
	ended := func(reason string, code int32, conditions ...corev1.PodCondition) corev1.PodStatus {
		return corev1.PodStatus{Phase: corev1.PodFailed, Conditions: conditions, ContainerStatuses: []corev1.ContainerStatus{
			{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: reason, ExitCode: code}}},
		}}
	}
	target := corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI"}
	for name, c := range map[string]struct {
		status    corev1.PodStatus
		want      string
		disrupted bool
	}{
		"new":      {},
		"starting": {status: waiting("ContainerCreating", "")},
		// The kubelet shows these in turn, with other words each time.
		"image missing":       {status: waiting("ErrImagePull", "not found"), want: "ImagePullFailed"},
		"image missing again": {status: waiting("ImagePullBackOff", "back-off 10s"), want: "ImagePullFailed"},
		"image name":          {status: waiting("InvalidImageName", ""), want: "ImagePullFailed"},
		"configuration":       {status: waiting("CreateContainerConfigError", "x"), want: "CreateContainerConfigError"},
		"no node":             {status: unscheduled("Unschedulable", "0/1 nodes are available"), want: "Unschedulable"},
		"scheduling gate":     {status: unscheduled("SchedulingGated", ""), want: "Unschedulable"},
		"evicted":             {status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Conditions: []corev1.PodCondition{target}}, want: "Evicted", disrupted: true},
		"evicted, too large":  {status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted"}, want: "Evicted"},
		"node shutdown":       {status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Terminated"}, want: "Terminated", disrupted: true},
		"drained":             {status: ended("Error", 143, target), want: "Error", disrupted: true},
		"failed":              {status: ended("Error", 1), want: "Error"},
		"out of memory":       {status: ended("OOMKilled", 137), want: "OOMKilled"},
		"out of memory, then evicted": {
			status: ended("OOMKilled", 137, target), want: "OOMKilled",
		},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{Status: c.status}
			problem := ProblemOf(pod)
			if problem.Reason != c.want || (problem.Message == "") != (c.want == "") {
				t.Errorf("got %+v, want %q", problem, c.want)
			}
			if got := Disrupted(pod); got != c.disrupted {
				t.Errorf("disrupted %t, want %t", got, c.disrupted)
			}
		})
	}
	if a, b := ProblemOf(&corev1.Pod{Status: waiting("ErrImagePull", "x")}), ProblemOf(&corev1.Pod{Status: waiting("ImagePullBackOff", "y")}); a != b {
		t.Errorf("one problem has two messages: %v and %v", a, b)
	}
}
