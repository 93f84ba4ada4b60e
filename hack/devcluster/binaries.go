// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

const kubernetesVersion = "v1.37.2"

// componentsModule requires all of the cluster's programs: in one module, Go compiles each package once.
const componentsModule = modulePath + "/hack/devcluster/components"

// kube is the one binary of all Kubernetes programs; the name of the link to it selects the program.
const kube = "kube"

// packages maps the binaries to their import paths.
var packages = map[string]string{
	kube:                      componentsModule + "/kube",
	"coredns":                 componentsModule + "/coredns",
	"etcd":                    "go.etcd.io/etcd/server/v3",
	"containerd":              "github.com/containerd/containerd/v2/cmd/containerd",
	"containerd-shim-runc-v2": "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
	"ctr":                     "github.com/containerd/containerd/v2/cmd/ctr",
	// Of an older minor, the API server only; hack/devcluster/minors has a module for each.
	"kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
}

// programs maps each program to its binary.
var programs = map[string]string{
	"kube-apiserver": kube, "kube-controller-manager": kube, "kube-scheduler": kube, "kube-proxy": kube, "kubelet": kube, "kubectl": kube, enforcer: kube,
	"coredns": "coredns", "etcd": "etcd",
	"containerd": "containerd", "containerd-shim-runc-v2": "containerd-shim-runc-v2", "ctr": "ctr",
}

// buildFlags returns the flags of all binaries of a version of Kubernetes. Platen's own programs have -trimpath too, so that both share
// compiled packages.
func buildFlags(version string) []string {
	return []string{
		"-trimpath", "-buildvcs=false", "-tags", "no_btrfs,no_zfs,no_devmapper,no_tracing",
		"-ldflags", "-s -w -X k8s.io/component-base/version.gitVersion=" + version,
	}
}

// programNames returns the names of all programs, sorted.
func programNames() []string { return slices.Sorted(maps.Keys(programs)) }

// cacheKey identifies the binaries by their sources and flags.
func cacheKey(flags []string, sources ...[]byte) string {
	h := sha256.New()
	for _, part := range append(sources, []byte(strings.Join(flags, "\x00"))) {
		fmt.Fprintf(h, "%d\n%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// binaries builds those of the named programs that the cache does not hold, and returns a folder with links to all of them. If minor, such
// as 1.36, is not empty, the API server is of that minor.
func (c *cluster) binaries(ctx context.Context, names []string, minor string) (string, error) {
	for _, name := range names {
		if programs[name] == "" {
			return "", fmt.Errorf("unknown program %q, expected one of %s", name, strings.Join(programNames(), ", "))
		}
	}
	unlock, err := c.lockCache(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()

	dir := filepath.Join(c.repo, "hack", "devcluster", "components")
	var sources [][]byte
	for _, name := range []string{"go.mod", "go.sum", "kube/main.go", "kube/netpol.go", "coredns/main.go"} {
		source, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", err
		}
		sources = append(sources, source)
	}
	flags := buildFlags(kubernetesVersion)
	key := cacheKey(flags, sources...)
	links := map[string]string{}
	var missing []string
	for _, name := range names {
		if name == "kube-apiserver" && minor != "" {
			if links[name], err = c.olderServer(ctx, minor); err != nil {
				return "", err
			}
			continue
		}
		binary := programs[name]
		links[name] = filepath.Join(c.cache, binary+"-"+key, binary)
		if _, err := os.Stat(links[name]); err != nil && !slices.Contains(missing, binary) {
			missing = append(missing, binary)
		}
	}
	if err := c.build(ctx, dir, flags, key, missing); err != nil {
		return "", err
	}
	return c.linkFolder(links)
}

// olderServer builds the API server of a minor of Kubernetes, such as 1.36, unless the cache holds it, and returns its path.
func (c *cluster) olderServer(ctx context.Context, minor string) (string, error) {
	const name = "kube-apiserver"
	dir := filepath.Join(c.repo, "hack", "devcluster", "minors", minor)
	module, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return "", fmt.Errorf("no module for Kubernetes %s, expected a folder of hack/devcluster/minors: %w", minor, err)
	}
	sums, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil {
		return "", err
	}
	version, err := kubernetesOf(module)
	if err != nil {
		return "", fmt.Errorf("%s/go.mod: %w", dir, err)
	}
	flags := buildFlags(version)
	key := cacheKey(flags, module, sums)
	path := filepath.Join(c.cache, name+"-"+key, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return path, c.build(ctx, dir, flags, key, []string{name})
}

// kubernetesOf returns the version of k8s.io/kubernetes, such as v1.36.3, that a go.mod requires.
func kubernetesOf(module []byte) (string, error) {
	found := regexp.MustCompile(`(?m)^\s*k8s\.io/kubernetes (v[0-9.]+)`).FindSubmatch(module)
	if found == nil {
		return "", errors.New("expected a requirement of k8s.io/kubernetes")
	}
	return string(found[1]), nil
}

// lockCache prevents two concurrent builds of the same binaries.
func (c *cluster) lockCache(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(c.cache, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(c.cache, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	announced := false
	err = poll(ctx, 30*time.Minute, 200*time.Millisecond, func(context.Context) error {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil && !announced {
			announced = true
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

// build builds binaries into the cache.
func (c *cluster) build(ctx context.Context, dir string, flags []string, key string, names []string) error {
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	temp, err := os.MkdirTemp(c.cache, ".build-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	args := append([]string{"build", "-o", temp + "/"}, flags...)
	for _, name := range names {
		args = append(args, packages[name])
	}
	what := strings.Join(names, ", ")
	if slices.Contains(names, kube) || slices.Contains(names, "kube-apiserver") {
		what += " (Kubernetes takes some minutes the first time)"
	}
	err = c.step("building "+what, func() error {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir = dir
		// The compiler collects garbage less often: it saves an eighth of the CPU time, at the cost of memory.
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=", "GOGC=400")
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("build %s: %w\n%s", strings.Join(names, ", "), err, out)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := c.publish(builtName(temp, packages[name]), filepath.Join(c.cache, name+"-"+key, name)); err != nil {
			return err
		}
	}
	return nil
}

// builtName returns the path of the binary that go build writes for a package: the last path element that is no major version names it.
func builtName(dir, importPath string) string {
	base := filepath.Base(importPath)
	if len(base) > 1 && base[0] == 'v' && strings.Trim(base[1:], "0123456789") == "" {
		base = filepath.Base(filepath.Dir(importPath))
	}
	return filepath.Join(dir, base)
}

// publish moves a built binary into its cache folder in one step, so an existing folder is complete.
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
