// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// component is one Go module below components/ and the commands that are built from it.
type component struct {
	module   string
	flags    []string
	packages map[string]string // binary name to import path
}

const kubernetesVersion = "v1.37.2"

var components = []component{
	{
		module:   "etcd",
		flags:    []string{"-trimpath", "-ldflags", "-s -w"},
		packages: map[string]string{"etcd": "go.etcd.io/etcd/server/v3"},
	},
	{
		module: "containerd",
		flags:  []string{"-trimpath", "-tags", "no_btrfs,no_zfs,no_devmapper", "-ldflags", "-s -w"},
		packages: map[string]string{
			"containerd":              "github.com/containerd/containerd/v2/cmd/containerd",
			"containerd-shim-runc-v2": "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
			"ctr":                     "github.com/containerd/containerd/v2/cmd/ctr",
		},
	},
	{
		module: "kubernetes",
		flags:  []string{"-trimpath", "-ldflags", "-s -w -X k8s.io/component-base/version.gitVersion=" + kubernetesVersion},
		packages: map[string]string{
			"kube-apiserver":          "k8s.io/kubernetes/cmd/kube-apiserver",
			"kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
			"kube-scheduler":          "k8s.io/kubernetes/cmd/kube-scheduler",
			"kubelet":                 "k8s.io/kubernetes/cmd/kubelet",
			"kube-proxy":              "k8s.io/kubernetes/cmd/kube-proxy",
		},
	},
	{
		module:   "coredns",
		flags:    []string{"-trimpath", "-ldflags", "-s -w"},
		packages: map[string]string{"coredns": "github.com/coredns/coredns"},
	},
}

// binaryNames returns the names of all binaries, sorted.
func binaryNames() []string {
	var names []string
	for _, comp := range components {
		for name := range comp.packages {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// cacheKey identifies the binaries of a component: what they are built from and how.
func cacheKey(goMod, goSum []byte, flags []string) string {
	h := sha256.New()
	for _, part := range [][]byte{goMod, goSum, []byte(strings.Join(flags, "\x00"))} {
		fmt.Fprintf(h, "%d\n%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// binaries builds those of the named binaries that the cache does not hold, and returns a folder with links to all of
// them and to kubectl.
func (c *cluster) binaries(ctx context.Context, names []string) (string, error) {
	known := binaryNames()
	for _, name := range names {
		if !slices.Contains(known, name) {
			return "", fmt.Errorf("unknown binary %q, expected one of %s", name, strings.Join(known, ", "))
		}
	}
	unlock, err := c.lockCache(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()

	links := map[string]string{}
	if kubectl, err := exec.LookPath("kubectl"); err == nil {
		links["kubectl"] = kubectl
	}
	for _, comp := range components {
		built, err := c.buildComponent(ctx, comp, names)
		if err != nil {
			return "", err
		}
		maps.Copy(links, built)
	}
	return c.linkFolder(links)
}

// lockCache keeps two builds of the same binaries from running at once.
func (c *cluster) lockCache(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(c.cache, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(c.cache, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	told := false
	err = poll(ctx, 30*time.Minute, 200*time.Millisecond, func(context.Context) error {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil && !told {
			told = true
			c.printf("waiting for another build of the cluster's binaries")
		}
		return err
	})
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return func() { _ = f.Close() }, nil
}

// buildComponent returns where the wanted binaries of comp are, after building those that are missing.
func (c *cluster) buildComponent(ctx context.Context, comp component, wanted []string) (map[string]string, error) {
	dir := filepath.Join(c.repo, "hack", "devcluster", "components", comp.module)
	goMod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return nil, err
	}
	goSum, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil {
		return nil, err
	}
	key := cacheKey(goMod, goSum, comp.flags)

	paths := map[string]string{}
	var missing []string
	for name := range comp.packages {
		if !slices.Contains(wanted, name) {
			continue
		}
		paths[name] = filepath.Join(c.cache, name+"-"+key, name)
		if _, err := os.Stat(paths[name]); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return paths, nil
	}
	slices.Sort(missing)

	temp, err := os.MkdirTemp(c.cache, ".build-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	args := append([]string{"build", "-o", temp + "/"}, comp.flags...)
	for _, name := range missing {
		args = append(args, comp.packages[name])
	}
	what := "building " + strings.Join(missing, ", ") + " (cached afterwards; Kubernetes takes about six minutes the first time)"
	if comp.module != "kubernetes" {
		what = "building " + strings.Join(missing, ", ") + " (cached afterwards)"
	}
	err = c.step(what, func() error {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("build %s: %w\n%s", strings.Join(missing, ", "), err, out)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, name := range missing {
		if err := c.publish(builtName(temp, comp.packages[name]), paths[name]); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// builtName is where go build puts the binary of a package: its last path element, but for a major version.
func builtName(dir, importPath string) string {
	base := filepath.Base(importPath)
	if len(base) > 1 && base[0] == 'v' && strings.Trim(base[1:], "0123456789") == "" {
		base = filepath.Base(filepath.Dir(importPath))
	}
	return filepath.Join(dir, base)
}

// publish moves a built binary into its own cache folder in one step, so that a folder that exists is complete.
func (c *cluster) publish(built, target string) error {
	temp, err := os.MkdirTemp(c.cache, ".publish-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	if err := os.Chmod(temp, 0o755); err != nil {
		return err
	}
	if err := os.Rename(built, filepath.Join(temp, filepath.Base(target))); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Dir(target)); err != nil {
		return err
	}
	return os.Rename(temp, filepath.Dir(target))
}

// linkFolder returns a folder of the cache that holds exactly these links; the same links give the same folder.
func (c *cluster) linkFolder(links map[string]string) (string, error) {
	h := sha256.New()
	names := make([]string, 0, len(links))
	for name := range links {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		_, _ = io.WriteString(h, name+"\x00"+links[name]+"\x00")
	}
	dir := filepath.Join(c.cache, "set-"+hex.EncodeToString(h.Sum(nil))[:16])
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	temp, err := os.MkdirTemp(c.cache, ".links-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	if err := os.Chmod(temp, 0o755); err != nil {
		return "", err
	}
	for _, name := range names {
		if err := os.Symlink(links[name], filepath.Join(temp, name)); err != nil {
			return "", err
		}
	}
	return dir, os.Rename(temp, dir)
}
