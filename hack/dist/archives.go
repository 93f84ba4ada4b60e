// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/platen-dev/platen/hack/licenses/notices"
)

// built is the time of all files in the plugin's archives, so that the same sources make the same archives.
var built = time.Unix(1700000000, 0).UTC()

// pluginArchive is the plugin for one platform.
type pluginArchive struct {
	name, sha256 string
}

// plugin builds the plugin for each platform and packs it with the licenses.
func (o options) plugin(ctx context.Context) ([]pluginArchive, error) {
	license, err := os.ReadFile("LICENSE")
	if err != nil {
		return nil, err
	}
	var archives []pluginArchive
	for _, platform := range o.platforms {
		system, architecture, _ := strings.Cut(platform, "/")
		program, err := o.compile(ctx, system, architecture)
		if err != nil {
			return nil, err
		}
		modules, err := notices.Of(ctx, ".", "./cmd/kubectl-platen", "", "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+architecture)
		if err != nil {
			return nil, err
		}
		name, pack := "kubectl-platen_"+system+"_"+architecture+".tar.gz", packTar
		files := []packed{{"kubectl-platen", program, 0o755}, {"LICENSE", license, 0o644}, {"MODULES.txt", notices.Text(modules), 0o644}}
		if system == "windows" {
			name, pack = "kubectl-platen_"+system+"_"+architecture+".zip", packZip
			files[0].name = "kubectl-platen.exe"
		}
		data, err := pack(files)
		if err != nil {
			return nil, err
		}
		if err := o.write(name, data); err != nil {
			return nil, err
		}
		sum := sha256.Sum256(data)
		archives = append(archives, pluginArchive{name, hex.EncodeToString(sum[:])})
	}
	return archives, nil
}

func (o options) compile(ctx context.Context, system, architecture string) ([]byte, error) {
	folder, err := os.MkdirTemp("", "platen-dist-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	target := filepath.Join(folder, "kubectl-platen")
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags",
		"-s -w -X github.com/platen-dev/platen/internal/version.Version="+o.version, "-o", target, "./cmd/kubectl-platen")
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+architecture)
	if out, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the plugin for %s/%s: %w\n%s", system, architecture, err, out)
	}
	return os.ReadFile(target)
}

// packed is a file of an archive.
type packed struct {
	name string
	data []byte
	mode os.FileMode
}

func packTar(files []packed) ([]byte, error) {
	var out bytes.Buffer
	compressed := gzip.NewWriter(&out)
	archive := tar.NewWriter(compressed)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Mode: int64(f.mode), Size: int64(len(f.data)), ModTime: built}
		if err := archive.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := archive.Write(f.data); err != nil {
			return nil, err
		}
	}
	err := errors.Join(archive.Close(), compressed.Close())
	return out.Bytes(), err
}

func packZip(files []packed) ([]byte, error) {
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	for _, f := range files {
		header := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: built}
		header.SetMode(f.mode)
		w, err := archive.CreateHeader(header)
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	err := archive.Close()
	return out.Bytes(), err
}

// readArchive returns the name and the digest of the image in an OCI archive.
func readArchive(path string) (reference, digest string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", "", err
	}
	defer func() { _ = f.Close() }()
	archive := tar.NewReader(f)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return "", "", fmt.Errorf("%s is no OCI archive: it has no index.json", path)
		}
		if err != nil {
			return "", "", fmt.Errorf("%s: %w", path, err)
		}
		if header.Name != "index.json" {
			continue
		}
		index := v1.IndexManifest{}
		if err := json.NewDecoder(archive).Decode(&index); err != nil {
			return "", "", fmt.Errorf("%s: index.json: %w", path, err)
		}
		if len(index.Manifests) != 1 {
			return "", "", fmt.Errorf("%s holds %d images, expected one", path, len(index.Manifests))
		}
		image := index.Manifests[0]
		return image.Annotations["org.opencontainers.image.ref.name"], image.Digest.String(), nil
	}
}

// fillKrew sets the version in the plugin's manifest, and the sums of its archives. Every archive that the manifest names must be there.
func fillKrew(manifest, version string, archives []pluginArchive) (string, error) {
	sums := map[string]string{}
	for _, a := range archives {
		sums[a.name] = a.sha256
	}
	var name string
	var missing []string
	lines := strings.Split(strings.ReplaceAll(manifest, "v0.0.0", version), "\n")
	for i, line := range lines {
		switch field, value, _ := strings.Cut(strings.TrimSpace(line), ": "); field {
		case "uri":
			if name = value[strings.LastIndex(value, "/")+1:]; sums[name] == "" {
				missing = append(missing, name)
			}
		case "sha256":
			indentation, _, _ := strings.Cut(line, "sha256")
			lines[i] = fmt.Sprintf("%ssha256: %q", indentation, sums[name])
		}
	}
	if len(missing) > 0 {
		return "", fmt.Errorf("it names archives that are not built: %s", strings.Join(missing, ", "))
	}
	return strings.Join(lines, "\n"), nil
}
