// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"path/filepath"
	"slices"
)

// checkFolder returns an error if -o can be no folder: it, or what it would be in, is a file, or it means the standard output. A missing folder is
// created once there are files.
func checkFolder(folder string) error {
	if folder == "-" {
		return usage("-o -: files go into a folder, not to the standard output; name one, such as out")
	}
	for path := filepath.Clean(folder); ; path = filepath.Dir(path) {
		info, err := os.Stat(path)
		switch {
		case err == nil && info.IsDir():
			return nil
		case err == nil:
			return usage("-o %s: %s is a file; name a folder", folder, path)
		case path == filepath.Dir(path):
			return nil // writing says what is wrong
		}
	}
}

// checkFile returns an error if -o can be no file: it is a folder, or is in none.
func checkFile(path string) error {
	folder := filepath.Dir(path)
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return usage("-o %s: there is no folder %s", path, folder)
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return usage("-o %s is a folder; name a file", path)
	}
	return nil
}

// refuseFile returns an error if what should be the name of a template is a file of manifests.
func refuseFile(name string) error {
	if !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name)) {
		return nil
	}
	if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
		return usage("%[1]s is a file, and no name of a template: preview and lint take it with -f %[1]s, and kubectl apply -f %[1]s makes its templates", name)
	}
	return nil
}
