// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/platen-dev/platen/hack/images/ociarchive"
)

// archive writes an empty image, and returns its archive and its digest.
func archive(t *testing.T, reference string) (path, digest string) {
	t.Helper()
	image, err := ociarchive.Image("amd64", v1.Config{Entrypoint: []string{"/" + reference}})
	if err != nil {
		t.Fatal(err)
	}
	hash, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "image.tar")
	if err := ociarchive.Write(path, reference, image); err != nil {
		t.Fatal(err)
	}
	return path, hash.String()
}

const manifests = `image: platen.dev/manager:dev
value: platen.dev/renderer:dev
apiVersion: platen.dev/v1alpha1
`

func TestInstall(t *testing.T) {
	manager, managerDigest := archive(t, "registry.example:5000/platen/manager:v1.2.3")
	renderer, rendererDigest := archive(t, "registry.example:5000/platen/renderer:v1.2.3")
	header := "# Platen v1.2.3: kubectl apply --server-side -f install.yaml\n"
	for name, test := range map[string]struct {
		images    []string
		digests   bool
		manifests string
		want      string
		error     string
	}{
		"digests": {
			images: []string{manager, renderer}, digests: true, manifests: manifests,
			want: header + "image: registry.example:5000/platen/manager:v1.2.3@" + managerDigest + "\nvalue: registry.example:5000/platen/renderer:v1.2.3@" + rendererDigest +
				"\napiVersion: platen.dev/v1alpha1\n",
		},
		"tags": {
			images: []string{manager, renderer}, manifests: manifests,
			want: header + "image: registry.example:5000/platen/manager:v1.2.3\nvalue: registry.example:5000/platen/renderer:v1.2.3\napiVersion: platen.dev/v1alpha1\n",
		},
		"an image without an archive": {images: []string{manager}, manifests: manifests, error: "no archive holds an image for platen.dev/renderer:dev"},
		"nothing to install":          {images: []string{manager}, error: "the manifests name no image"},
		"no archive":                  {images: []string{"main.go"}, manifests: manifests, error: "main.go"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := options{version: "v1.2.3", images: test.images, digests: test.digests}.install(test.manifests)
			if test.error != "" {
				if err == nil || !strings.Contains(err.Error(), test.error) {
					t.Errorf("got %v, want an error with %q", err, test.error)
				}
				return
			}
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Errorf("%v; (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestArchivesHoldThePlugin(t *testing.T) {
	want := map[string]string{"kubectl-platen": "program", "LICENSE": "license"}
	files := []packed{{"kubectl-platen", []byte("program"), 0o755}, {"LICENSE", []byte("license"), 0o644}}

	data, err := packTar(files)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for r := tar.NewReader(plain); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if got[header.Name] = string(content); header.Name == "kubectl-platen" && header.Mode != 0o755 {
			t.Errorf("the program has the mode %o", header.Mode)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tar (-want +got):\n%s", diff)
	}

	if data, err = packZip(files); err != nil {
		t.Fatal(err)
	}
	zipped, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	got = map[string]string{}
	for _, f := range zipped.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got[f.Name] = string(content)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("zip (-want +got):\n%s", diff)
	}
}

// The manifest for krew names exactly the archives that are built by default.
func TestKrew(t *testing.T) {
	template, err := os.ReadFile("../krew/platen.yaml")
	if err != nil {
		t.Fatal(err)
	}
	sum := strings.Repeat("a", 64)
	names := []string{"linux_amd64.tar.gz", "linux_arm64.tar.gz", "darwin_amd64.tar.gz", "darwin_arm64.tar.gz", "windows_amd64.zip", "windows_arm64.zip"}
	archives := make([]pluginArchive, 0, len(names))
	for _, name := range names {
		archives = append(archives, pluginArchive{"kubectl-platen_" + name, sum})
	}
	filled, err := fillKrew(string(template), "v1.2.3", archives)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(filled, "v0.0.0") || strings.Contains(filled, strings.Repeat("0", 64)) || strings.Count(filled, sum) != len(archives) {
		t.Errorf("the manifest is not filled in:\n%s", filled)
	}
	if _, err := fillKrew(string(template), "v1.2.3", archives[1:]); err == nil || !strings.Contains(err.Error(), "kubectl-platen_linux_amd64.tar.gz") {
		t.Errorf("an archive is missing: got %v", err)
	}
}

func TestVersion(t *testing.T) {
	for version, ok := range map[string]bool{"v1.2.3": true, "v0.0.0-gfbf1223": true, "v1.2.3-rc.1": true, "1.2.3": false, "v1.2": false, "dev": false} {
		if got := semver.MatchString(version); got != ok {
			t.Errorf("%s: got %t", version, got)
		}
	}
}
