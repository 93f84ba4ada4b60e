// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	code       = regexp.MustCompile("`[^`\n]*`")
	link       = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading    = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	anchorDrop = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// anchors of a page's headings, as GitHub makes them.
func anchors(text string) map[string]bool {
	set := map[string]bool{}
	for _, h := range heading.FindAllStringSubmatch(text, -1) {
		set[strings.ReplaceAll(anchorDrop.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-")] = true
	}
	return set
}

// TestLinks looks for the file and the heading of each link within the repository.
func TestLinks(t *testing.T) {
	found := 0
	for _, page := range pages {
		text, err := os.ReadFile(filepath.Join(root, page.Path))
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range link.FindAllStringSubmatch(code.ReplaceAllString(string(text), ""), -1) {
			path, anchor, _ := strings.Cut(match[1], "#")
			if strings.Contains(path, "://") {
				continue
			}
			found++
			target := filepath.Join(root, filepath.Dir(page.Path), path)
			if path == "" {
				target = filepath.Join(root, page.Path)
			}
			linked, err := os.ReadFile(target)
			if info, statErr := os.Stat(target); statErr == nil && info.IsDir() {
				err = nil
			}
			switch {
			case err != nil:
				t.Errorf("%s: the link %s leads nowhere", page.Path, match[1])
			case anchor != "" && !anchors(string(linked))[anchor]:
				t.Errorf("%s: %s has no heading for the link %s", page.Path, path, match[1])
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d links were found", found)
	}
}
