// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ociarchive

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// File is one entry of a layer.
type File struct {
	// Name is the path without a leading slash; a trailing slash makes a folder.
	Name string
	// Data is a file's content.
	Data []byte
	// Mode is the permissions, with tar's sticky bit 01000.
	Mode int64
}

// FilesLayer makes a layer of files that root owns. The same files always give the same layer: its times are zero.
func FilesLayer(files []File) (v1.Layer, error) {
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	for _, f := range files {
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: f.Name, Size: int64(len(f.Data)), Mode: f.Mode, ModTime: time.Unix(0, 0),
		}
		if f.Name[len(f.Name)-1] == '/' {
			header.Typeflag = tar.TypeDir
		}
		if err := tw.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("layer entry %s: %w", f.Name, err)
		}
		if _, err := tw.Write(f.Data); err != nil {
			return nil, fmt.Errorf("layer entry %s: %w", f.Name, err)
		}
	}
	if err := tw.Close(); err != nil {
		return nil, err
	}
	return static.NewLayer(b.Bytes(), types.OCIUncompressedLayer), nil
}

// TarLayer is a layer in an uncompressed tar file on disk.
type TarLayer struct {
	// Path of the tar file.
	Path string
	// Hash is its SHA-256.
	Hash v1.Hash
	// Length is its size in bytes.
	Length int64
}

// NewTarLayer reads the tar file once to compute its hash.
func NewTarLayer(path string) (TarLayer, error) {
	f, err := os.Open(path)
	if err != nil {
		return TarLayer{}, err
	}
	defer func() { _ = f.Close() }()
	hash, size, err := v1.SHA256(f)
	if err != nil {
		return TarLayer{}, fmt.Errorf("hash %s: %w", path, err)
	}
	return TarLayer{Path: path, Hash: hash, Length: size}, nil
}

// Digest implements v1.Layer.
func (l TarLayer) Digest() (v1.Hash, error) { return l.Hash, nil }

// DiffID implements v1.Layer.
func (l TarLayer) DiffID() (v1.Hash, error) { return l.Hash, nil }

// Size implements v1.Layer.
func (l TarLayer) Size() (int64, error) { return l.Length, nil }

// MediaType implements v1.Layer.
func (l TarLayer) MediaType() (types.MediaType, error) { return types.OCIUncompressedLayer, nil }

// Compressed implements v1.Layer; the content is not compressed.
func (l TarLayer) Compressed() (io.ReadCloser, error) { return os.Open(l.Path) }

// Uncompressed implements v1.Layer.
func (l TarLayer) Uncompressed() (io.ReadCloser, error) { return os.Open(l.Path) }
