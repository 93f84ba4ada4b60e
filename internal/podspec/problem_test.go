// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package podspec

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
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
		"configuration":       {status: waiting("CreateContainerConfigError", "x"), want: "ContainerStartFailed"},
		"container":           {status: waiting("CreateContainerError", "x"), want: "ContainerStartFailed"},
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

func TestBare(t *testing.T) {
	pending := func(node string, sandbox corev1.ConditionStatus) *corev1.Pod {
		return &corev1.Pod{Spec: corev1.PodSpec{NodeName: node}, Status: corev1.PodStatus{
			Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodReadyToStartContainers, Status: sandbox}},
		}}
	}
	running := pending("n", corev1.ConditionFalse)
	running.Status.Phase = corev1.PodRunning
	for name, c := range map[string]struct {
		pod  *corev1.Pod
		want bool
	}{
		"new":             {pod: &corev1.Pod{}},
		"without a node":  {pod: pending("", corev1.ConditionFalse)},
		"no sandbox yet":  {pod: pending("n", corev1.ConditionFalse), want: true},
		"pulls its image": {pod: pending("n", corev1.ConditionTrue)},
		"runs":            {pod: running},
	} {
		if got := Bare(c.pod); got != c.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
}

// The kubelet's words say what to repair. They are the same for all pods and all attempts, although the kubelet names the pod and a new container
// each time.
func TestProblemSaysWhyAContainerDoesNotStart(t *testing.T) {
	const again, wanted = "failed to create containerd container %s of %s (%s): cannot load seccomp profile \"/var/lib/kubelet/seccomp/platen/chromium.json\"",
		"the container of a render pod does not start: CreateContainerError: failed to create containerd container … of … (…): cannot load seccomp profile \"/var/lib/kubelet/seccomp/platen/chromium.json\""
	waiting := func(name, reason, message string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("5f0c1d58-7a0e-4e0a-9c73-" + name)}, Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
		}}}}
	}
	for i, name := range []string{"platen-render-abcde", "platen-render-fghij"} {
		container := strings.Repeat(fmt.Sprintf("%x", i+7), 64)
		pod := waiting(name, "CreateContainerError", fmt.Sprintf(again, container, name, "5f0c1d58-7a0e-4e0a-9c73-"+name))
		if got := ProblemOf(pod); got.Message != wanted {
			t.Errorf("got  %q\nwant %q", got.Message, wanted)
		}
	}
	if got, want := ProblemOf(waiting("p", "CreateContainerError", "")).Message, "the container of a render pod does not start: CreateContainerError"; got != want {
		t.Errorf("without words: %q, want %q", got, want)
	}
	long := ProblemOf(waiting("p", "RunContainerError", "one\nline "+strings.Repeat("ä", 5000))).Message
	if len(long) > 1024 || strings.Contains(long, "\n") || !utf8.ValidString(long) || !strings.HasSuffix(long, "…") {
		t.Errorf("%d bytes: %q", len(long), long)
	}
}
