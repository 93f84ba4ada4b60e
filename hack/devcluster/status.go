// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
)

// status prints what runs. The error says why the cluster is not ready.
func (c *cluster) status(ctx context.Context, w io.Writer) error {
	o, err := c.readOwner()
	if err != nil {
		return err
	}
	if o == nil {
		return errors.New("there is no cluster")
	}
	if o.State != c.state {
		return fmt.Errorf("the cluster on this machine belongs to %s", filepath.Dir(o.State))
	}
	healthy := true
	for _, name := range []string{
		"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "coredns", "containerd", "kubelet",
	} {
		state := "dead"
		if id, ok := c.recorded(name); ok && id.alive() {
			state = fmt.Sprintf("running, process %d", id.pid)
		} else {
			healthy = false
		}
		if _, err := fmt.Fprintf(w, "%-24s %s\n", name, state); err != nil {
			return err
		}
	}
	if !healthy {
		return errors.New("not ready: some processes are dead; `up` starts them again")
	}
	if err := c.nodeReady(ctx); err != nil {
		return fmt.Errorf("not ready: %w", err)
	}
	_, err = fmt.Fprintf(w, "%-24s ready\n", "node")
	return err
}
