// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package accounts

import (
	"slices"
	"strings"

	"github.com/platen-dev/platen/internal/storage/dropbox"
)

const (
	// DefaultFolder is the API's default of spec.defaultFolder.
	DefaultFolder = "/Renders"

	// maxFolder and maxFolderName bound a path and one of its names, in bytes.
	maxFolder     = 400
	maxFolderName = 255
)

// ValidFolder reports whether a path is a folder that the API and Dropbox allow.
func ValidFolder(path string) bool {
	if path == "/" {
		return true
	}
	parts := strings.Split(path, "/")
	return len(path) <= maxFolder && parts[0] == "" && len(parts) > 1 &&
		!slices.ContainsFunc(parts[1:], func(part string) bool { return !ValidFolderName(part) })
}

// ValidFolderName reports whether a folder may have this name.
func ValidFolderName(name string) bool {
	return name != "" && len(name) <= maxFolderName && !strings.HasSuffix(name, " ") && !strings.HasSuffix(name, ".") &&
		!strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == '/' || r == '\\' || r == 0x7f })
}

// Ancestors lists the folders from the root down to a folder, which is the last.
func Ancestors(folder string) []dropbox.Folder {
	list := []dropbox.Folder{{Name: "Dropbox", Path: "/"}}
	for at := 1; at < len(folder); {
		end := strings.IndexByte(folder[at:], '/')
		if end < 0 {
			end = len(folder) - at
		}
		list = append(list, dropbox.Folder{Name: folder[at : at+end], Path: folder[:at+end]})
		at += end + 1
	}
	return list
}
