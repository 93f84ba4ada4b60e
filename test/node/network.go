// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// dialTimeout bounds a Dial: who drops packets does not answer.
const dialTimeout = 2 * time.Second

// network opens the network namespace of a pod's first container. Whoever holds it keeps it, also when the process has ended.
func network(pod *corev1.Pod) (*os.File, error) {
	if len(pod.Status.ContainerStatuses) > 0 {
		_, id, _ := strings.Cut(pod.Status.ContainerStatuses[0].ContainerID, "://")
		pids, err := processes(id)
		if err != nil {
			return nil, err
		}
		if len(pids) > 0 {
			return os.Open(fmt.Sprintf("/proc/%d/ns/net", pids[0]))
		}
	}
	return nil, fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, ErrNoProcess)
}

// Dial opens a TCP connection to an address from within a pod's network, as a program that has taken over the pod would, and closes it. The
// error says why there is none.
func Dial(ctx context.Context, pod *corev1.Pod, address string) error {
	namespace, err := network(pod)
	if err != nil {
		return err
	}
	defer func() { _ = namespace.Close() }()
	return within(namespace, func() error {
		conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// nodeNetwork is the network namespace of the development cluster's node.
const nodeNetwork = "platen-dev"

// Listen accepts TCP connections at an address of the node, which gets it, until stop is called.
func Listen(ctx context.Context, address string) (stop func() error, err error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	ip := func(ctx context.Context, action string) error {
		command := exec.CommandContext(ctx, "ip", "-n", nodeNetwork, "address", action, host+"/32", "dev", "lo")
		command.Env = append(os.Environ(), "PATH=/usr/sbin:/sbin:"+os.Getenv("PATH"))
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("ip address %s: %w\n%s", action, err, out)
		}
		return nil
	}
	namespace, err := os.Open("/run/netns/" + nodeNetwork)
	if err != nil {
		return nil, err
	}
	defer func() { _ = namespace.Close() }()
	if err := ip(ctx, "add"); err != nil {
		return nil, err
	}
	var listener net.Listener
	err = within(namespace, func() error {
		listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, ip(ctx, "delete"))
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	return func() error { return errors.Join(listener.Close(), ip(context.WithoutCancel(ctx), "delete")) }, nil
}

// within calls a function in a network namespace.
func within(namespace *os.File, call func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("entering the network %s: %w", namespace.Name(), err)
			return
		}
		done <- call()
	}()
	return <-done
}
