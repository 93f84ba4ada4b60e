// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/platen-dev/platen/hack/images/ociarchive"
)

// keepOld is how long a root file system with older packages is kept: another build may be reading it.
const keepOld = 24 * time.Hour

// rootfsCache has the root file systems of one key, each with other versions of the packages: KEY-VERSIONS.tar, and its description in
// KEY-VERSIONS.tar.json.
type rootfsCache struct{ dir, key string }

// path returns the path of the root file system with the versions.
func (c rootfsCache) path(versions []string) string {
	return filepath.Join(c.dir, c.key+"-"+hash(strings.Join(versions, "\n"))+".tar")
}

// newest returns the root file system that was made last.
func (c rootfsCache) newest() (v1.Layer, description, error) {
	paths, err := filepath.Glob(filepath.Join(c.dir, c.key+"-*.tar"))
	if err != nil {
		return nil, description{}, err
	}
	var path string
	var newest description
	for _, candidate := range paths {
		if d, err := describe(candidate); err == nil && !d.Made.Before(newest.Made) {
			path, newest = candidate, d
		}
	}
	if path == "" {
		return nil, description{}, fs.ErrNotExist
	}
	return ociarchive.TarLayer{Path: path, Hash: newest.Hash, Length: newest.Length}, newest, nil
}

// confirm returns the root file system with the versions, which Debian has now.
func (c rootfsCache) confirm(versions []string, now time.Time) (v1.Layer, description, error) {
	path := c.path(versions)
	d, err := describe(path)
	if err != nil {
		return nil, description{}, err
	}
	if len(versions) > 0 {
		d.Checked = now
	}
	return ociarchive.TarLayer{Path: path, Hash: d.Hash, Length: d.Length}, d, write(path, d)
}

// add describes a root file system that was made just now, and removes old ones. Without versions, they are not known.
func (c rootfsCache) add(versions []string, now time.Time) (v1.Layer, description, error) {
	path := c.path(versions)
	info, err := os.Stat(path)
	if err != nil {
		return nil, description{}, err
	}
	layer, err := ociarchive.NewTarLayer(path)
	if err != nil {
		return nil, description{}, err
	}
	d := description{Hash: layer.Hash, Length: layer.Length, Chromium: "of an unknown version", Built: info.ModTime(), Made: now}
	for _, v := range versions {
		if version, ok := strings.CutPrefix(v, chromiumPackage+" "); ok {
			d.Chromium = version
		}
	}
	if len(versions) > 0 {
		d.Checked = now
	}
	if err := write(path, d); err != nil {
		return nil, description{}, err
	}
	others, err := filepath.Glob(filepath.Join(c.dir, c.key+"-*.tar"))
	if err != nil {
		return nil, description{}, err
	}
	for _, other := range others {
		if old, err := describe(other); other != path && (err != nil || now.Sub(old.Made) > keepOld) {
			if err := errors.Join(os.Remove(other), os.RemoveAll(other+".json")); err != nil {
				return nil, description{}, err
			}
		}
	}
	return layer, d, nil
}

// describe reads the description of a root file system.
func describe(path string) (description, error) {
	info, err := os.Stat(path)
	if err != nil {
		return description{}, err
	}
	data, err := os.ReadFile(path + ".json")
	if err != nil {
		return description{}, err
	}
	var d description
	if err := json.Unmarshal(data, &d); err != nil {
		return description{}, err
	}
	if d.Length != info.Size() {
		return description{}, fmt.Errorf("%s has %d bytes, expected %d", path, info.Size(), d.Length)
	}
	return d, nil
}

func write(path string, d description) error {
	data, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return os.WriteFile(path+".json", data, 0o644)
}
