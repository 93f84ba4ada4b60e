// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
)

// ensurePackages installs the Debian packages that the node needs.
func (c *cluster) ensurePackages(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return errors.New("needs root: it makes a network namespace, mounts and cgroups; run it as root or with sudo -E")
	}
	cmd := exec.CommandContext(ctx, filepath.Join(c.repo, "hack", "setup"), "cluster")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}
