// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Cut drops what a pod sends to an address, without a word to it, until heal is called: also after its container has restarted.
func Cut(ctx context.Context, pod *corev1.Pod, address string) (heal func(context.Context) error, err error) {
	if len(pod.Status.ContainerStatuses) == 0 {
		return nil, fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, ErrNoProcess)
	}
	_, id, _ := strings.Cut(pod.Status.ContainerStatuses[0].ContainerID, "://")
	pids, err := processes(id)
	if err != nil {
		return nil, err
	}
	if len(pids) == 0 {
		return nil, fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, ErrNoProcess)
	}
	// The open file keeps the pod's network reachable when the process has ended.
	network, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pids[0]))
	if err != nil {
		return nil, err
	}
	rule := func(ctx context.Context, action string) error {
		c := exec.CommandContext(ctx, "nsenter", fmt.Sprintf("--net=/proc/%d/fd/%d", os.Getpid(), network.Fd()), "iptables", action, "OUTPUT", "-d", address, "-j", "DROP")
		c.Env = append(os.Environ(), "PATH=/usr/sbin:/sbin:"+os.Getenv("PATH"))
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("iptables %s in the network of pod %s: %w\n%s", action, pod.Name, err, out)
		}
		return nil
	}
	if err := rule(ctx, "-I"); err != nil {
		_ = network.Close()
		return nil, err
	}
	return func(ctx context.Context) error {
		defer func() { _ = network.Close() }()
		return rule(ctx, "-D")
	}, nil
}
