// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestPodProblem(t *testing.T) {
	waiting := func(reason, message string) corev1.ContainerStatus {
		return corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
	}
	for name, test := range map[string]struct {
		status corev1.PodStatus
		want   string
	}{
		"new":      {},
		"starting": {status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{waiting("ContainerCreating", "")}}},
		"image missing": {
			status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{waiting("ErrImagePull", "not found")}},
			want:   "ErrImagePull: not found",
		},
		"image of an init container missing": {
			status: corev1.PodStatus{
				InitContainerStatuses: []corev1.ContainerStatus{waiting("ImagePullBackOff", "back-off")},
				ContainerStatuses:     []corev1.ContainerStatus{waiting("PodInitializing", "")},
			},
			want: "ImagePullBackOff: back-off",
		},
		"no node": {
			status: corev1.PodStatus{Conditions: []corev1.PodCondition{
				{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/1 nodes are available"},
			}},
			want: "Unschedulable: 0/1 nodes are available",
		},
		"evicted": {status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "low on memory"}, want: "Evicted: low on memory"},
		"failed": {
			status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
				{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137}}},
			}},
			want: "OOMKilled (exit code 137)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := podProblem(&corev1.Pod{Status: test.status}); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
