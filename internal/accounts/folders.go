// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package accounts

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/platen-dev/platen/internal/storage/dropbox"
)

const (
	// DefaultFolder is the API's default of spec.defaultFolder.
	DefaultFolder = "/Renders"

	// maxFolder bounds a path, in characters.
	maxFolder = 400
)

var (
	unclear = regexp.MustCompile(`[\\\x00-\x1f\x7f-\x{9f}\x{2028}-\x{202e}\x{2066}-\x{2069}]`)
	badEnd  = regexp.MustCompile(`[ .](/|$)`)
	badName = regexp.MustCompile(`(?i)/(desktop\.ini|thumbs\.db|\.ds_store|\.dropbox|\.dropbox\.attr)(/|$)`)
	tooLong = regexp.MustCompile(`[^/]{256}`)
)

// FolderProblem returns why a path is no folder that the API allows, in the words of the API; empty if it is one.
func FolderProblem(path string) string {
	switch {
	case !strings.HasPrefix(path, "/"):
		return "must start with a slash, such as /Marketing/Campaign-2024"
	case utf8.RuneCountInString(path) > maxFolder:
		return fmt.Sprintf("must have at most %d characters", maxFolder)
	case path != "/" && strings.HasSuffix(path, "/"):
		return "must not end with a slash"
	case strings.Contains(path, "//"):
		return "must not contain an empty component (two slashes in a row)"
	case isUnclear(path):
		return isUnclearProblem
	case badEnd.MatchString(path):
		return "must not have a component that is '.' or '..' or that ends with a space or a dot"
	case badName.MatchString(path):
		return "must not have a component with a name that Dropbox refuses: " + refusedNames
	case tooLong.MatchString(path):
		return "must not have a component longer than 255 characters"
	default:
		return ""
	}
}

// NameProblem returns why a name is none of a folder that FolderProblem allows, in words for one name; empty if it is one.
func NameProblem(name string) string {
	switch path := "/" + name; {
	case name == "":
		return "must not be empty"
	case strings.Contains(name, "/"):
		return "must not have a slash"
	case isUnclear(name):
		return isUnclearProblem
	case badEnd.MatchString(path):
		return "must not be '.' or '..', or end with a space or a dot"
	case badName.MatchString(path):
		return "must not be one that Dropbox refuses: " + refusedNames
	case tooLong.MatchString(path):
		return "must not be longer than 255 characters"
	default:
		return ""
	}
}

// isUnclear tells whether a text has characters that people do not see.
func isUnclear(text string) bool { return unclear.MatchString(text) || !utf8.ValidString(text) }

const (
	isUnclearProblem = "must not contain a backslash, a line break or a control character, also none that changes the direction of text"
	refusedNames     = "desktop.ini, thumbs.db, .ds_store, .dropbox, .dropbox.attr"
)

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
