// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// BuildPlugin builds kubectl-platen into a folder and puts the folder first in PATH.
func BuildPlugin(root, folder string) error {
	build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(folder, "kubectl-platen"), "./cmd/kubectl-platen")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building kubectl-platen: %w: %s", err, out)
	}
	return os.Setenv("PATH", folder+string(os.PathListSeparator)+os.Getenv("PATH"))
}
