// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/platen-dev/platen/hack/images/ociarchive"
)

const dpkgStatus = `Package: chromium-headless-shell
Status: install ok installed
Architecture: amd64
Version: 156.0.8078.108-1~deb12u1
Description: web browser
 several lines

Package: libstdc++6
Architecture: amd64
Version: 12.2.0-14+deb12u1
`

// A bill of materials names the modules of the image's program and Debian's packages, and is the same for the same image.
func TestSBOM(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	layer, err := ociarchive.FilesLayer([]ociarchive.File{
		{Name: "var/lib/dpkg/status", Mode: 0o644, Data: []byte(dpkgStatus)}, {Name: "renderer", Mode: 0o755, Data: program},
	})
	if err != nil {
		t.Fatal(err)
	}
	image, err := ociarchive.Image("amd64", v1.Config{}, layer)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "image.tar")
	if err := ociarchive.Write(path, "registry.example:5000/platen/renderer:v1.2.3", image); err != nil {
		t.Fatal(err)
	}
	built := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	standard := strings.TrimPrefix(runtime.Version(), "go")
	licenses := map[string]string{"stdlib@" + standard: "BSD-3-Clause"}
	name, data, err := sbom(path, built, licenses)
	if err != nil || name != "renderer.spdx.json" {
		t.Fatal(name, err)
	}
	if _, again, err := sbom(path, built, licenses); err != nil || !bytes.Equal(data, again) {
		t.Errorf("the second bill of the same image differs: %v", err)
	}
	var d document
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	if d.Version != "SPDX-2.3" || d.CreationInfo.Created != "2026-01-02T03:04:05Z" || len(d.Relationships) != len(d.Packages) {
		t.Errorf("version %s, created %s, %d relationships of %d packages", d.Version, d.CreationInfo.Created, len(d.Relationships), len(d.Packages))
	}
	ids := map[string]bool{}
	var locators []string
	for _, p := range d.Packages {
		if ids[p.ID] || p.Version == "" || p.DownloadLocation == "" {
			t.Errorf("package %+v", p)
		}
		ids[p.ID] = true
		if want := cmp.Or(licenses[p.Name+"@"+p.Version], "NOASSERTION"); p.LicenseDeclared != want {
			t.Errorf("the license of %s is %s, want %s", p.Name, p.LicenseDeclared, want)
		}
		for _, r := range p.References {
			locators = append(locators, r.Locator)
		}
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"pkg:oci/renderer@" + digest.String() + "?tag=v1.2.3", "pkg:deb/debian/chromium-headless-shell@156.0.8078.108-1~deb12u1?arch=amd64",
		"pkg:deb/debian/libstdc++6@12.2.0-14%2Bdeb12u1?arch=amd64", "pkg:golang/github.com/platen-dev/platen@v1.2.3",
	} {
		if !slices.Contains(locators, want) {
			t.Errorf("no package %s among %v", want, locators)
		}
	}
	if !slices.ContainsFunc(locators, func(l string) bool {
		return strings.HasPrefix(l, "pkg:golang/github.com/google/go-containerregistry@v")
	}) {
		t.Errorf("the program's modules are missing: %v", locators)
	}

	empty, _ := archive(t, "registry.example/manager:v1")
	if _, _, err := sbom(empty, built, nil); err == nil {
		t.Error("an image without anything gets a bill")
	}
}
