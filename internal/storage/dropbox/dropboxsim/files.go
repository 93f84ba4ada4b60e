// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package dropboxsim

import (
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// apiError is an error with the body that Dropbox sends.
type apiError struct {
	status int
	// body is sent as text if it is a string, else as JSON.
	body   any
	header map[string]string
}

// badInput returns a 400, which is always plain text.
func badInput(route, format string, args ...any) *apiError {
	return &apiError{status: 400, body: fmt.Sprintf("Error in call to API function %q: ", strings.TrimPrefix(route, "/2/")) + fmt.Sprintf(format, args...)}
}

// tag returns a union value without content.
func tag(name string) map[string]any { return map[string]any{".tag": name} }

// conflict returns the WriteError of a path that is taken: by a file, a folder, or a file_ancestor in place of a parent folder.
func conflict(kind string) map[string]any {
	return map[string]any{".tag": "conflict", "conflict": tag(kind)}
}

// tagsOf returns the tags of an error for its summary.
func tagsOf(value map[string]any) []string {
	name, _ := value[".tag"].(string)
	list := []string{name}
	for _, field := range []string{name, "reason"} {
		if inner, ok := value[field].(map[string]any); ok {
			return append(list, tagsOf(inner)...)
		}
	}
	return list
}

// endpoint returns a 409 with an error of the route.
func (s *Server) endpoint(value map[string]any) *apiError {
	return &apiError{status: 409, body: map[string]any{"error_summary": s.summary(tagsOf(value)...), "error": value}}
}

// unauthorized returns a 401.
func (s *Server) unauthorized(value map[string]any) *apiError {
	return &apiError{status: 401, body: map[string]any{"error_summary": s.summary(tagsOf(value)...), "error": value}}
}

// disallowed are the file names that Dropbox refuses.
var disallowed = map[string]bool{
	"desktop.ini": true, "thumbs.db": true, ".ds_store": true, "icon\r": true, ".dropbox": true, ".dropbox.attr": true,
}

// maxName is the greatest length of a name. Dropbox counts UTF-16 code units: two for a character above U+FFFF, such as an emoji.
const maxName = 255

// checkPath returns the tag of a path's error, malformed_path or disallowed_name; empty for a valid path.
func checkPath(path string) string {
	if !utf8.ValidString(path) || !strings.HasPrefix(path, "/") || strings.HasSuffix(path, "/") {
		return "malformed_path"
	}
	for name := range strings.SplitSeq(path[1:], "/") {
		switch {
		case name == "", name == ".", name == "..", len(utf16.Encode([]rune(name))) > maxName:
			return "malformed_path"
		case strings.ContainsAny(name, "\\\x00\x7f"), strings.HasSuffix(name, " "), strings.HasSuffix(name, "."):
			return "malformed_path"
		case disallowed[strings.ToLower(name)]:
			return "disallowed_name"
		}
	}
	return ""
}

// commit is Dropbox's CommitInfo, the argument of files/upload and of the finish routes.
type commit struct {
	Path           string `json:"path"`
	Mode           any    `json:"mode"`
	Autorename     bool   `json:"autorename"`
	ClientModified string `json:"client_modified"`
	Mute           bool   `json:"mute"`
	StrictConflict bool   `json:"strict_conflict"`
	ContentHash    string `json:"content_hash"`
	PropertyGroups []any  `json:"property_groups"`
}

// mode returns add, overwrite or update, and the rev for update. ok is false for any other mode.
func (c commit) mode() (name, rev string, ok bool) {
	switch m := c.Mode.(type) {
	case nil:
		return "add", "", true
	case string:
		return m, "", m == "add" || m == "overwrite"
	case map[string]any:
		name, _ = m[".tag"].(string)
		rev, _ = m["update"].(string)
		return name, rev, name == "add" || name == "overwrite" || (name == "update" && rev != "")
	default:
		return "", "", false
	}
}

// write commits data to a path, or returns a WriteError. The lock must be held.
func (s *Server) write(a *account, in *space, c commit, data content) (*entry, map[string]any) {
	if bad := checkPath(c.Path); bad != "" {
		return nil, tag(bad)
	}
	mode, rev, _ := c.mode()
	hash := data.hash()
	path := c.Path
	existing := in.entries[fold(path)]
	blocked := ""
	switch {
	case existing == nil:
		if mode == "update" {
			blocked = "file"
		}
	case existing.folder:
		blocked = "folder"
	case mode == "overwrite", mode == "update" && existing.rev == rev:
		if existing.hash == hash && !c.StrictConflict {
			return existing, nil
		}
	case existing.hash == hash && !c.StrictConflict:
		return existing, nil
	default:
		blocked = "file"
	}
	if in.fileAncestor(path) {
		blocked = "file_ancestor"
	}
	if blocked != "" {
		if !c.Autorename || blocked == "file_ancestor" {
			return nil, conflict(blocked)
		}
		path, existing = in.freeName(path), nil
	}
	old := int64(0)
	if existing != nil {
		old = existing.data.size
	}
	if !a.hasRoom(a.used() - old + data.size) {
		return nil, tag("insufficient_space")
	}
	in.mkdirs(path[:strings.LastIndex(path, "/")])
	if existing == nil {
		existing = &entry{id: "id:" + random(22), display: path}
		in.entries[fold(path)] = existing
	}
	existing.data, existing.hash, existing.rev = data, hash, "0"+random(14)
	existing.modified, existing.clientModified = s.now(), c.ClientModified
	existing.commits++
	s.keepEntry(in, existing)
	return existing, nil
}

// fileAncestor reports whether a file is in place of a parent folder of the path.
func (in *space) fileAncestor(path string) bool {
	for i := strings.LastIndex(path, "/"); i > 0; i = strings.LastIndex(path[:i], "/") {
		if e := in.entries[fold(path[:i])]; e != nil && !e.folder {
			return true
		}
	}
	return false
}

// remove removes a file, or a folder with all that is in it.
func (in *space) remove(path string) {
	for p := range in.entries {
		if p == fold(path) || strings.HasPrefix(p, fold(path)+"/") {
			delete(in.entries, p)
		}
	}
}

// mkdirs creates a folder and its parents. Each entry keeps its own spelling, whatever the spelling of existing parents.
func (in *space) mkdirs(path string) {
	for i := 1; i <= len(path); i++ {
		if i == len(path) || path[i] == '/' {
			if part := path[:i]; part != "" && in.entries[fold(part)] == nil {
				in.entries[fold(part)] = &entry{id: "id:" + random(22), display: part, folder: true}
			}
		}
	}
}

// freeName returns the first free path as Dropbox renames: "name (1).ext" and so on.
func (in *space) freeName(path string) string {
	slash := strings.LastIndex(path, "/")
	stem, ext := path, ""
	if dot := strings.LastIndex(path, "."); dot > slash+1 {
		stem, ext = path[:dot], path[dot:]
	}
	for n := 1; ; n++ {
		name := fmt.Sprintf("%s (%d)%s", stem, n, ext)
		if in.entries[fold(name)] == nil {
			return name
		}
	}
}
