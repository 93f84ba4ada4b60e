// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/platen-dev/platen/hack/images/ociarchive"
)

const (
	suite      = "bookworm"
	passwdLine = "nonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin"
	groupLine  = "nonroot:x:65532:"
	// epoch is the time of all files that the build writes, so that a file does not differ by its time alone.
	epoch = "1700000000"
)

// mmdebstrapOptions are the options for the root file system, except the packages and dpkg's configuration.
var mmdebstrapOptions = []string{
	"--mode=root",
	"--variant=minbase",
	"--format=tar",
	`--customize-hook=echo "` + passwdLine + `" >> "$1/etc/passwd"`,
	`--customize-hook=echo "` + groupLine + `" >> "$1/etc/group"`,
	`--customize-hook=rm -rf "$1"/var/log/* "$1"/var/cache/ldconfig/*`,
}

var packageName = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)

// parsePackages reads a package list: one name a line, "#" begins a comment.
func parsePackages(r io.Reader) ([]string, error) {
	var names []string
	scanner := bufio.NewScanner(r)
	for number := 1; scanner.Scan(); number++ {
		line, _, _ := strings.Cut(scanner.Text(), "#")
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if !packageName.MatchString(line) {
			return nil, fmt.Errorf("line %d: %q is no package name; expected one name a line", number, line)
		}
		names = append(names, line)
	}
	if err := scanner.Err(); err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, errors.New("the package list is empty")
	}
	return names, nil
}

// rootfsKey identifies a root file system by everything that it is made from.
func rootfsKey(packages []string, dpkgConfig []byte) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q %q", suite, epoch, mmdebstrapOptions, packages, dpkgConfig)
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// debianLayer returns the renderer's root file system, from the cache if it is there.
func (o options) debianLayer(ctx context.Context, progress io.Writer) (v1.Layer, error) {
	list, err := os.Open(filepath.Join(o.repo, "hack", "images", "renderer-packages.txt"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = list.Close() }()
	packages, err := parsePackages(list)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", list.Name(), err)
	}
	dpkgConfig := filepath.Join(o.repo, "hack", "images", "renderer-dpkg.cfg")
	configData, err := os.ReadFile(dpkgConfig)
	if err != nil {
		return nil, err
	}
	tarball := filepath.Join(o.cache, rootfsKey(packages, configData)+".tar")
	if layer, err := cachedLayer(tarball); err == nil {
		return layer, nil
	}
	if err := os.MkdirAll(o.cache, 0o755); err != nil {
		return nil, err
	}
	begin := time.Now()
	fmt.Fprintf(progress, "  making the renderer's file system from Debian packages: %s (about a minute; cached afterwards)\n", strings.Join(packages, " "))
	setup := exec.CommandContext(ctx, filepath.Join(o.repo, "hack", "setup"), "images")
	setup.Stdout, setup.Stderr = progress, progress
	if err := setup.Run(); err != nil {
		return nil, fmt.Errorf("hack/setup: %w", err)
	}
	if err := makeRootfs(ctx, tarball, packages, dpkgConfig); err != nil {
		return nil, err
	}
	fmt.Fprintf(progress, "  made the renderer's file system (%.0fs)\n", time.Since(begin).Seconds())
	return describeLayer(tarball)
}

// makeRootfs runs mmdebstrap. The file appears when it is complete.
func makeRootfs(ctx context.Context, tarball string, packages []string, dpkgConfig string) error {
	if os.Geteuid() != 0 {
		return errors.New("installing the renderer's packages needs root")
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp(filepath.Dir(tarball), ".new-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	temp := filepath.Join(dir, "rootfs.tar")
	args := append([]string{"--include=" + strings.Join(packages, ","), "--dpkgopt=" + dpkgConfig}, mmdebstrapOptions...)
	cmd := exec.CommandContext(ctx, "mmdebstrap", append(args, suite, temp)...)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+epoch)
	// An interrupted mmdebstrap removes its temporary folder, a killed one leaves it.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mmdebstrap: %w\n%s", err, out)
	}
	return os.Rename(temp, tarball)
}

// description is stored next to a root file system, so that the hash is computed only once.
type description struct {
	Hash   v1.Hash `json:"hash"`
	Length int64   `json:"length"`
}

func cachedLayer(tarball string) (v1.Layer, error) {
	info, err := os.Stat(tarball)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(tarball + ".json")
	if errors.Is(err, fs.ErrNotExist) {
		return describeLayer(tarball)
	}
	if err != nil {
		return nil, err
	}
	var d description
	if err := json.Unmarshal(data, &d); err != nil || d.Length != info.Size() {
		return describeLayer(tarball)
	}
	return ociarchive.TarLayer{Path: tarball, Hash: d.Hash, Length: d.Length}, nil
}

func describeLayer(tarball string) (v1.Layer, error) {
	layer, err := ociarchive.NewTarLayer(tarball)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(description{Hash: layer.Hash, Length: layer.Length})
	if err != nil {
		return nil, err
	}
	return layer, os.WriteFile(tarball+".json", data, 0o644)
}
