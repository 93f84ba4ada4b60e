// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package flux runs Flux's own source-controller and kustomize-controller, as processes, and a git server for them.
package flux

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

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/platen-dev/platen/test/program"
)

// patience is how long a controller may take to end.
const patience = 30 * time.Second

// names of the controllers, which are those of their modules too.
var names = []string{"source-controller", "kustomize-controller"}

// Controllers are Flux's controllers of one cluster.
type Controllers struct {
	processes []*exec.Cmd
	stop      context.CancelFunc
}

// Start builds the controllers, each version once, installs their CRDs, and runs them with the rights of a kubeconfig. Their logs are in a
// folder that must exist. root is the repository.
func Start(ctx context.Context, root string, config *rest.Config, kubeconfig, folder string) (*Controllers, error) {
	var crds []string
	binaries := map[string]string{}
	for _, name := range names {
		pkg := "github.com/fluxcd/" + name
		binary, err := program.Build(ctx, root, "flux", pkg)
		if err != nil {
			return nil, err
		}
		binaries[name] = binary
		module, err := exec.CommandContext(ctx, "go", "list", "-C", filepath.Join(root, "hack", "tools", "flux"), "-m", "-f", "{{.Dir}}", pkg).Output()
		if err != nil {
			return nil, fmt.Errorf("finding the module of %s: %w", name, err)
		}
		crds = append(crds, filepath.Join(strings.TrimSpace(string(module)), "config", "crd", "bases"))
	}
	if _, err := envtest.InstallCRDs(config, envtest.CRDInstallOptions{Paths: crds, ErrorIfPathMissing: true}); err != nil {
		return nil, fmt.Errorf("installing Flux's CRDs: %w", err)
	}
	free, err := program.FreeAddresses(ctx, 1)
	if err != nil {
		return nil, err
	}
	artifacts := free[0]
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	c := &Controllers{stop: stop}
	for _, name := range names {
		arguments := []string{"--metrics-addr=0", "--health-addr=0", "--log-encoding=console", "--requeue-dependency=1s"}
		if name == "source-controller" {
			arguments = append(arguments, "--storage-path="+folder, "--storage-addr="+artifacts, "--storage-adv-addr="+artifacts)
		}
		log, err := os.Create(filepath.Join(folder, name+".log"))
		if err != nil {
			return nil, errors.Join(err, c.Stop())
		}
		process := exec.CommandContext(running, binaries[name], arguments...)
		process.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "RUNTIME_NAMESPACE=flux-system", "TMPDIR="+folder)
		process.Stdout, process.Stderr = log, log
		process.Cancel = func() error { return process.Process.Signal(syscall.SIGTERM) }
		process.WaitDelay = patience
		err = process.Start()
		if err = errors.Join(err, log.Close()); err != nil {
			return nil, errors.Join(err, c.Stop())
		}
		c.processes = append(c.processes, process)
	}
	return c, nil
}

// Stop ends the controllers.
func (c *Controllers) Stop() (err error) {
	c.stop()
	for _, process := range c.processes {
		if ended := process.Wait(); ended != nil && !errors.Is(ended, context.Canceled) {
			err = errors.Join(err, fmt.Errorf("%s: %w", filepath.Base(process.Path), ended))
		}
	}
	return err
}
