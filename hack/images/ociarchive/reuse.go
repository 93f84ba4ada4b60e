// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ociarchive

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// tarBlock is the size to which tar pads headers and contents, in bytes.
const tarBlock = 512

// prefix is the beginning of an old archive that the new one keeps.
type prefix struct {
	layers int   // how many layers it holds
	length int64 // bytes
}

// reuse moves the old archive to the name temp if it begins with the first of the layers, so that a change of a small upper layer does
// not copy a root file system of several hundred megabytes. Until Write renames temp, there is no archive of the old name.
func reuse(old, temp string, layers []v1.Layer) (prefix, error) {
	p, err := commonPrefix(old, layers)
	if err != nil || p.layers == 0 {
		return prefix{}, err
	}
	return p, os.Rename(old, temp)
}

// commonPrefix compares the names of the entries, which are hashes of their contents, and their sizes.
func commonPrefix(old string, layers []v1.Layer) (prefix, error) {
	f, err := os.Open(old)
	if errors.Is(err, fs.ErrNotExist) {
		return prefix{}, nil
	}
	if err != nil {
		return prefix{}, err
	}
	defer func() { _ = f.Close() }()
	var p prefix
	tr := tar.NewReader(f)
	for _, layer := range layers {
		want, err := layerHeader(layer)
		if err != nil {
			return prefix{}, err
		}
		got, err := tr.Next()
		if err != nil || got.Name != want.Name || got.Size != want.Size {
			break // the rest of the old archive is of no use
		}
		p.layers++
		p.length += tarBlock + (want.Size+tarBlock-1)/tarBlock*tarBlock
	}
	return p, nil
}

// reopen opens a file to write after its first length bytes, and cuts off the rest.
func reopen(name string, length int64) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(length); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if _, err := f.Seek(length, io.SeekStart); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
