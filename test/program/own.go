// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package program

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Own returns the path of the binary of one of Platen's own programs, a folder of cmd. root is the repository. The binary is alone in its folder. All
// packages of tests share it: Go links it only when a source has changed since the last call. See keeps Go from taking the result of a test from
// before such a change; Own calls it for the test that calls Own.
func Own(ctx context.Context, root, name string) (path string, err error) {
	folder, err := filepath.Abs(filepath.Join(root, "bin", "test", name))
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	// Packages are tested side by side: the second waits for the binary of the first.
	lock, err := os.OpenFile(folder+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("locking %s: %w", lock.Name(), err)
	}
	binary := filepath.Join(folder, name)
	if _, err := goCommand(ctx, root, "build", "-trimpath", "-o", binary, "./cmd/"+name); err != nil {
		return "", err
	}
	return binary, See(ctx, root, name)
}

// See opens the folders and the embedded files that one of Platen's own programs is built from. Go knows what a test opens, but not what it runs: it keeps the
// result of a test for as long as that has not changed. A test must call it, because Go does not see what TestMain opens before it runs the tests.
func See(ctx context.Context, root, name string) error {
	const format = `{{if .Module}}{{if .Module.Main}}{{$dir := .Dir}}{{$dir}}{{range .EmbedFiles}}
{{$dir}}/{{.}}{{end}}{{end}}{{end}}`
	listed, err := goCommand(ctx, root, "list", "-deps", "-f", format, "./cmd/"+name)
	if err != nil {
		return err
	}
	for path := range strings.Lines(listed + "go.mod\ngo.sum") {
		if path = strings.TrimSpace(path); !filepath.IsAbs(path) {
			path = filepath.Join(root, path)
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		if err := file.Close(); err != nil {
			return err
		}
	}
	return nil
}

// goCommand runs the go command in the repository, and returns what it prints.
func goCommand(ctx context.Context, root string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir = root
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	var problems strings.Builder
	command.Stderr = &problems
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, problems.String())
	}
	return string(out), nil
}
