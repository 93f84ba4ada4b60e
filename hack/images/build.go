// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/platen-dev/platen/hack/images/ociarchive"
)

const (
	// user is that of all images: nonroot, as in the distroless images that the Dockerfile builds upon.
	user = "65532:65532"
	path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	// certificates is where Debian and Go's crypto/x509 have the certificate authorities.
	certificates = "etc/ssl/certs/ca-certificates.crt"
)

// build makes one image and writes its archive.
func (o options) build(ctx context.Context, name string, progress io.Writer) error {
	binary, err := o.compile(ctx, name)
	if err != nil {
		return err
	}
	config := v1.Config{User: user, Env: []string{path}, Entrypoint: []string{"/" + name}, WorkingDir: "/"}
	var base v1.Layer
	if name == "renderer" {
		config.Entrypoint = []string{"/usr/bin/tini", "--", "/renderer"}
		base, err = o.debianLayer(ctx, progress)
	} else {
		base, err = staticLayer()
	}
	if err != nil {
		return err
	}
	layer, err := ociarchive.FilesLayer([]ociarchive.File{{Name: name, Data: binary, Mode: 0o755}})
	if err != nil {
		return err
	}
	img, err := ociarchive.Image(runtime.GOARCH, config, base, layer)
	if err != nil {
		return err
	}
	return ociarchive.Write(o.archive(name), o.reference(name), img)
}

// compile builds a command into a static binary and returns it.
func (o options) compile(ctx context.Context, name string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "platen-images-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	target := filepath.Join(dir, name)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags", o.tags,
		"-ldflags", "-s -w -X github.com/platen-dev/platen/internal/version.Version="+o.version,
		"-o", target, "./cmd/"+name)
	cmd.Dir = o.repo
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build ./cmd/%s: %w\n%s", name, err, out)
	}
	return os.ReadFile(target)
}

// staticLayer holds what a static binary needs around it.
func staticLayer() (v1.Layer, error) {
	authorities, err := os.ReadFile("/" + certificates)
	if err != nil {
		return nil, fmt.Errorf("certificate authorities (Debian package ca-certificates): %w", err)
	}
	return ociarchive.FilesLayer([]ociarchive.File{
		{Name: "etc/", Mode: 0o755},
		{Name: "etc/passwd", Mode: 0o644, Data: []byte("root:x:0:0:root:/root:/sbin/nologin\n" + passwdLine + "\n")},
		{Name: "etc/group", Mode: 0o644, Data: []byte("root:x:0:\n" + groupLine + "\n")},
		{Name: "etc/ssl/", Mode: 0o755},
		{Name: "etc/ssl/certs/", Mode: 0o755},
		{Name: certificates, Mode: 0o644, Data: authorities},
		{Name: "tmp/", Mode: 0o1777},
	})
}
