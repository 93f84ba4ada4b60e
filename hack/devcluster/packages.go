// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// debianPackages maps each package that the node needs to the program that shows it to be installed.
var debianPackages = []struct{ name, program string }{
	{"runc", "runc"},
	{"containernetworking-plugins", "/usr/lib/cni/ptp"},
	{"iptables", "iptables"},
	{"conntrack", "conntrack"},
	{"iproute2", "ip"},
	{"util-linux", "nsenter"},
	{"mount", "mount"},
	{"mmdebstrap", "mmdebstrap"},
}

// ensurePackages installs what is missing with apt-get.
func (c *cluster) ensurePackages(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return errors.New("needs root: it makes a network namespace, mounts and cgroups; run it as root or with sudo -E")
	}
	if _, err := exec.LookPath("kubectl"); err != nil {
		return errors.New("kubectl is not installed; see https://kubernetes.io/docs/tasks/tools/")
	}
	var missing []string
	for _, p := range debianPackages {
		if _, err := exec.LookPath(p.program); err != nil {
			missing = append(missing, p.name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("missing packages %s, and there is no apt-get to install them with", strings.Join(missing, " "))
	}
	return c.step("installing "+strings.Join(missing, " "), func() error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
		defer cancel()
		// A failed update may be one unreachable third-party source; the installation itself tells.
		if _, err := command(ctx, "", "apt-get", "update"); err != nil {
			c.printf("apt-get update: %v", err)
		}
		_, err := command(ctx, "", "env", append([]string{"DEBIAN_FRONTEND=noninteractive",
			"apt-get", "install", "-y", "--no-install-recommends"}, missing...)...)
		return err
	})
}
