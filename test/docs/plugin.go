// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"context"
	"os"
	"path/filepath"

	"github.com/platen-dev/platen/test/program"
)

// BuildPlugin builds kubectl-platen and puts its folder first in PATH.
func BuildPlugin(root string) error {
	binary, err := program.Own(context.Background(), root, "kubectl-platen")
	if err != nil {
		return err
	}
	return os.Setenv("PATH", filepath.Dir(binary)+string(os.PathListSeparator)+os.Getenv("PATH"))
}
