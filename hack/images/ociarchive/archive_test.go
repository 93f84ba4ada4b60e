// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ociarchive_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/platen-dev/platen/hack/images/ociarchive"
)

// testImage has a layer from memory and one from disk.
func testImage(t *testing.T) v1.Image {
	t.Helper()
	memory, err := ociarchive.FilesLayer([]ociarchive.File{
		{Name: "tmp/", Mode: 0o1777},
		{Name: "app", Data: []byte("binary"), Mode: 0o755},
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := memory.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "layer.tar")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	disk, err := ociarchive.NewTarLayer(path)
	if err != nil {
		t.Fatal(err)
	}
	img, err := ociarchive.Image("amd64", v1.Config{User: "65532:65532", Entrypoint: []string{"/app"}}, disk, memory)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestArchiveIsAValidLayout(t *testing.T) {
	t.Parallel()
	img := testImage(t)
	name := filepath.Join(t.TempDir(), "images", "app.tar")
	if err := ociarchive.Write(name, "platen.dev/app:dev", img); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	unpack(t, name, dir)

	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if got := manifest.Manifests[0].Annotations["io.containerd.image.name"]; got != "platen.dev/app:dev" {
		t.Errorf("image name %q", got)
	}
	read, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	config, err := read.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Architecture != "amd64" || config.OS != "linux" || config.Config.User != "65532:65532" {
		t.Errorf("configuration %+v", config)
	}
	if len(config.RootFS.DiffIDs) != 2 {
		t.Errorf("%d layers in the configuration, want 2", len(config.RootFS.DiffIDs))
	}
	if err := validate.Image(img, validate.Fast); err != nil {
		t.Error(err)
	}
}

func TestArchiveIsReproducible(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var archives [2][]byte
	for i := range archives {
		name := filepath.Join(dir, "app.tar")
		if err := ociarchive.Write(name, "platen.dev/app:dev", testImage(t)); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		archives[i] = data
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two archives of the same content differ")
	}
}

func TestUnchangedLayersAreKept(t *testing.T) {
	t.Parallel()
	layer := func(content string) v1.Layer {
		t.Helper()
		l, err := ociarchive.FilesLayer([]ociarchive.File{{Name: "file", Data: []byte(content), Mode: 0o644}})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	write := func(name string, layers ...v1.Layer) []byte {
		t.Helper()
		img, err := ociarchive.Image("amd64", v1.Config{}, layers...)
		if err != nil {
			t.Fatal(err)
		}
		if err := ociarchive.Write(name, "platen.dev/app:dev", img); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	base, one, two := layer("base"), layer("one"), layer("a second one, which is longer than the first")
	for name, next := range map[string][]v1.Layer{
		"the same":       {base, one},
		"upper changed":  {base, two},
		"upper gone":     {base},
		"upper added":    {base, one, two},
		"base changed":   {two, one},
		"layers swapped": {one, base},
	} {
		dir := t.TempDir()
		kept := filepath.Join(dir, "app.tar")
		write(kept, base, one)
		if !bytes.Equal(write(kept, next...), write(filepath.Join(dir, "fresh.tar"), next...)) {
			t.Errorf("%s: an archive written over an old one differs from a new one", name)
		}
	}
}

// unpack writes the files of a tar archive that holds nothing but files.
func unpack(t *testing.T, name, dir string) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for tr := tar.NewReader(f); ; {
		header, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		target := filepath.Join(dir, filepath.FromSlash(header.Name))
		if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
