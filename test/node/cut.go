// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"fmt"
	"os"
	"os/exec"

	corev1 "k8s.io/api/core/v1"
)

// Cut drops what a pod sends to an address, without a word to it, until heal is called: also after its container has restarted.
func Cut(ctx context.Context, pod *corev1.Pod, address string) (heal func(context.Context) error, err error) {
	network, err := network(pod)
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
