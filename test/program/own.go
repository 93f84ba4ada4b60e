// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package program

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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
//
// The binary is outside of the repository, so that Go does not take it for an input of the test, which a new checkout does not have.
func Own(ctx context.Context, root, name string) (path string, err error) {
	if root, err = filepath.Abs(root); err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	checkout := sha256.Sum256([]byte(root))
	folder := filepath.Join(cache, "platen", "own", hex.EncodeToString(checkout[:6]), name)
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

// See opens the folders and the embedded files that one of Platen's own programs is built from. Go keeps the result of a test for as long as what the test
// opens in the repository has not changed. A test must call it, because Go does not see what TestMain opens before it runs the tests.
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

// SeeFolder opens a folder of the repository and those below it. A test must call it for what another program reads from the repository, such as the chart
// for helm, or the go.mod that says which version helm has.
func SeeFolder(folder string) error {
	return filepath.WalkDir(folder, func(_ string, _ os.DirEntry, err error) error { return err })
}

// SeeScript opens a script of test/sdk, which a test runs with Node.js, and the file that says which versions its packages have.
func SeeScript(root, name string) error {
	for _, name := range []string{name, "package-lock.json"} {
		file, err := os.Open(filepath.Join(root, "test", "sdk", name))
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
