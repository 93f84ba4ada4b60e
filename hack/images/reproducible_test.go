// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Two builds, in checkouts at different paths, give the same image, byte by byte.
func TestImagesAreReproducible(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	tracked, err := exec.Command("git", "-C", root, "ls-files", "-z", "go.mod", "go.sum", "LICENSE", "cmd/dropboxsim", "internal").Output()
	if err != nil {
		t.Skip("the checkout has no history:", err)
	}
	build := func(repo string) []byte {
		t.Helper()
		o := options{repo: repo, dir: t.TempDir(), only: []string{"dropboxsim"}, prefix: "platen.dev", tag: "dev", version: "v1.2.3"}
		if err := o.compile(t.Context(), filepath.Join(o.dir, "binaries"), io.Discard); err != nil {
			t.Fatal(err)
		}
		if err := o.build(t.Context(), "dropboxsim", filepath.Join(o.dir, "binaries", "dropboxsim"), nil); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(o.archive("dropboxsim"))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	elsewhere := t.TempDir()
	for path := range strings.SplitSeq(strings.TrimSuffix(string(tracked), "\x00"), "\x00") {
		data, err := os.ReadFile(filepath.Join(root, path))
		if os.IsNotExist(err) {
			continue // deleted, and not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		target := filepath.Join(elsewhere, path)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	image := build(root)
	if !bytes.Contains(image, []byte("licenses/LICENSE")) || !bytes.Contains(image, []byte("\nstd go1.")) {
		t.Error("the image has no licenses of Platen and its modules")
	}
	if !bytes.Equal(image, build(elsewhere)) {
		t.Error("the images of two checkouts differ")
	}
}
