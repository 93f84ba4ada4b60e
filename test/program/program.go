// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package program builds programs for tests, Platen's own and those that others wrote, from the modules of hack/tools, and finds addresses for them.
package program

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Build returns the path of the binary of a package: an import path, or "." for the program of the module itself. It builds each version of
// the module once. root is the repository, and module a folder of hack/tools.
func Build(ctx context.Context, root, module, pkg string) (string, error) {
	folder := filepath.Join(root, "hack", "tools", module)
	sources, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return "", err
	}
	digest := sha256.New()
	for _, source := range append(sources, filepath.Join(folder, "go.mod"), filepath.Join(folder, "go.sum")) {
		data, err := os.ReadFile(source)
		if err != nil {
			return "", err
		}
		_, _ = digest.Write(data) // never fails
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	name := filepath.Base(pkg)
	if pkg == "." {
		name = module
	}
	binary := filepath.Join(cache, "platen", "bin", name+"-"+hex.EncodeToString(digest.Sum(nil)[:6]))
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	fmt.Fprintf(os.Stderr, "building %s; the first time takes some minutes\n", name)
	build := exec.CommandContext(ctx, "go", "build", "-C", folder, "-o", binary, pkg)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", name, err, out)
	}
	return binary, nil
}
