// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ociarchive writes container images as OCI archives: tar files that `ctr images import`, `docker load`,
// `podman load` and `kind load image-archive` read. Layers are not compressed: the archives stay on one machine, where
// compressing costs more than it saves.
package ociarchive

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Image builds an image for architecture from layers, the lowest first. config is its configuration.
func Image(architecture string, config v1.Config, layers ...v1.Layer) (v1.Image, error) {
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.AppendLayers(img, layers...)
	if err != nil {
		return nil, fmt.Errorf("add layers: %w", err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read image configuration: %w", err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Config = "linux", architecture, config
	return mutate.ConfigFile(img, file)
}

// Write writes img under its full reference, for example "docker.io/library/x:dev", to the file name. The file appears
// when it is complete. If an archive of that name begins with the same layers, Write keeps them.
func Write(name, reference string, img v1.Image) (err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	reused, err := reuse(name, f.Name(), layers)
	if err != nil {
		return fmt.Errorf("reuse %s: %w", name, err)
	}
	if reused.layers > 0 {
		if err := f.Close(); err != nil {
			return err
		}
		if f, err = reopen(f.Name(), reused.length); err != nil {
			return err
		}
	}
	if err := write(f, reference, img, layers[reused.layers:]); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// write writes the entries of an archive, the layers first: they change least.
func write(w io.Writer, reference string, img v1.Image, layers []v1.Layer) error {
	tw := tar.NewWriter(w)
	for _, layer := range layers {
		if err := writeLayer(tw, layer); err != nil {
			return err
		}
	}
	manifest, err := img.RawManifest()
	if err != nil {
		return err
	}
	digest, err := img.Digest()
	if err != nil {
		return err
	}
	index, err := json.Marshal(v1.IndexManifest{
		SchemaVersion: 2,
		MediaType:     types.OCIImageIndex,
		Manifests: []v1.Descriptor{{
			MediaType: types.OCIManifestSchema1,
			Size:      int64(len(manifest)),
			Digest:    digest,
			Annotations: map[string]string{
				"io.containerd.image.name":          reference,
				"org.opencontainers.image.ref.name": reference,
			},
		}},
	})
	if err != nil {
		return err
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return err
	}
	configName, err := img.ConfigName()
	if err != nil {
		return err
	}
	for _, entry := range []struct {
		name string
		data []byte
	}{
		{blobName(configName), config},
		{blobName(digest), manifest},
		{"index.json", index},
		{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)},
	} {
		if err := tw.WriteHeader(header(entry.name, int64(len(entry.data)))); err != nil {
			return err
		}
		if _, err := tw.Write(entry.data); err != nil {
			return err
		}
	}
	return tw.Close()
}

func writeLayer(tw *tar.Writer, layer v1.Layer) error {
	h, err := layerHeader(layer)
	if err != nil {
		return err
	}
	r, err := layer.Compressed()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.Copy(tw, r)
	return err
}

func layerHeader(layer v1.Layer) (*tar.Header, error) {
	digest, err := layer.Digest()
	if err != nil {
		return nil, err
	}
	size, err := layer.Size()
	if err != nil {
		return nil, err
	}
	return header(blobName(digest), size), nil
}

func blobName(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }

func header(name string, size int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644}
}
