// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// killTimeout is how long the kernel may take; less than a silent pod is waited for.
const killTimeout = 12 * time.Second

// margin is what is left of a container's limit: less than its first process has.
const margin = 4 << 20

// hog takes memory in a cgroup, as much as it is told, and holds it. The kernel prefers to kill the others: the kubelet has raised their
// oom_score_adj.
const hog = `echo $$ >"$1/cgroup.procs" && { head -c "$2" /dev/zero; exec sleep 60; } | tail -n 1`

// UseUpMemory takes the memory of the pod's first container, up to its limit, and returns once the kernel has killed the container's processes for it.
// The processes are stopped before, so that none reports what becomes of the others.
func UseUpMemory(ctx context.Context, pod *corev1.Pod) (err error) {
	limit := pod.Spec.Containers[0].Resources.Limits.Memory().Value()
	if limit <= margin {
		return fmt.Errorf("pod %s/%s has no limit of memory", pod.Namespace, pod.Name)
	}
	if err := Signal(pod, syscall.SIGSTOP); err != nil {
		return err
	}
	_, id, _ := strings.Cut(pod.Status.ContainerStatuses[0].ContainerID, "://")
	victims, err := processes(id)
	if err != nil || len(victims) == 0 {
		return errors.Join(err, ErrNoProcess)
	}
	cgroup, err := memoryCgroup(victims[0])
	if err != nil {
		return err
	}
	taking := exec.CommandContext(ctx, "sh", "-c", hog, "sh", cgroup, strconv.FormatInt(limit-margin, 10))
	taking.Stderr = os.Stderr
	taking.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := taking.Start(); err != nil {
		return fmt.Errorf("taking memory: %w", err)
	}
	defer func() {
		err = errors.Join(err, syscall.Kill(-taking.Process.Pid, syscall.SIGKILL))
		_ = taking.Wait() // it was killed
	}()
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, killTimeout, true, func(context.Context) (bool, error) {
		left, err := processes(id)
		return !slices.ContainsFunc(left, func(pid int) bool { return slices.Contains(victims, pid) }), err
	})
	if err != nil {
		return fmt.Errorf("the kernel has not killed the processes of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}

// memoryCgroup returns the folder of the cgroup that bounds the memory of a process.
func memoryCgroup(pid int) (string, error) {
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return "", err
	}
	folder := ""
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // hierarchy, controllers, path
		switch {
		case len(parts) != 3:
		case slices.Contains(strings.Split(parts[1], ","), "memory"):
			return filepath.Join("/sys/fs/cgroup/memory", parts[2]), nil
		case parts[0] == "0":
			folder = filepath.Join("/sys/fs/cgroup", parts[2])
		}
	}
	if folder == "" {
		return "", fmt.Errorf("process %d has no cgroup for its memory: %s", pid, groups)
	}
	return folder, nil
}
