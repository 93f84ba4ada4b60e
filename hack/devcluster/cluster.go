// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// The cluster's fixed names and addresses. There is one such cluster on a machine.
const (
	netnsName   = "platen-dev"
	nodeName    = "platen-dev"
	cgroupName  = "platen-dev"
	hostLink    = "platen-dev0" // the host's end of the veth pair
	nodeLink    = "eth0"        // the node's end
	hostIP      = "10.201.0.1"
	nodeIP      = "10.201.0.2"
	podCIDR     = "10.88.0.0/16"
	serviceCIDR = "10.96.0.0/16"
	apiIP       = "10.96.0.1"
	dnsIP       = "10.96.0.10"

	modulePath = "github.com/platen-dev/platen"

	// maxStateDir keeps the unix sockets that kubelet makes below the state folder within the system's 107 bytes.
	maxStateDir = 70
)

// cluster is the development cluster of one checkout.
type cluster struct {
	*progress

	repo  string // the checkout
	state string // its .devcluster folder
	run   string // sockets, and records that every checkout must find
	cache string // built binaries, kept by down
}

func newCluster(p *progress) (*cluster, error) {
	repo, err := findRepo()
	if err != nil {
		return nil, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("no cache folder (set HOME or XDG_CACHE_HOME): %w", err)
	}
	// Debian keeps iptables, ip and runc in folders that are not in every user's PATH.
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/local/sbin:/usr/sbin:/sbin"); err != nil {
		return nil, err
	}
	return &cluster{
		progress: p,
		repo:     repo,
		state:    filepath.Join(repo, ".devcluster"),
		run:      "/run/platen-dev",
		cache:    filepath.Join(cache, "platen", "bin"),
	}, nil
}

// findRepo returns the folder at or above the working directory that holds this module's go.mod.
func findRepo() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(data), "module "+modulePath+"\n") {
			return filepath.EvalSymlinks(dir)
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("not inside a checkout of " + modulePath)
		}
		dir = filepath.Dir(dir)
	}
}

func (c *cluster) path(parts ...string) string {
	return filepath.Join(append([]string{c.state}, parts...)...)
}

func (c *cluster) kubeconfig() string       { return c.path("kubeconfig") }
func (c *cluster) containerdSocket() string { return filepath.Join(c.run, "containerd.sock") }

// lock serializes the commands that change the cluster, across all checkouts.
func (c *cluster) lock(ctx context.Context) (unlock func(), err error) {
	f, err := os.OpenFile("/run/lock/platen-dev.lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	announced := false
	err = poll(ctx, 15*time.Minute, 200*time.Millisecond, func(context.Context) error {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil && !announced {
			announced = true
			c.printf("waiting for another devcluster command to end")
		}
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the cluster: %w", err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// poll calls check until it succeeds, the deadline passes or ctx ends.
func poll(ctx context.Context, deadline, every time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		err := check(ctx)
		if err == nil || errors.Is(err, errGiveUp) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (last seen: %w)", ctx.Err(), err)
		case <-ticker.C:
		}
	}
}

// errGiveUp ends a poll early.
var errGiveUp = errors.New("gave up")

// command runs a program and returns its output; the output is part of the error.
func command(ctx context.Context, stdin string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	if stdin != "" {
		cmd.Stdin = strings.NewReader(stdin)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

func (c *cluster) kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return command(ctx, stdin, c.path("bin", "kubectl"), append([]string{"--kubeconfig", c.kubeconfig()}, args...)...)
}
