// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/platen-dev/platen/test/program"
)

// sitePage is what a page of the site has that matters to links.
type sitePage struct {
	// anchors that links may lead to, and links of people, both without duplicates.
	anchors, links []string
	// loads are the URLs of what a browser loads with the page.
	loads []string
}

func readSitePage(t *testing.T, path string) (p sitePage) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	document, err := html.Parse(f)
	if err != nil {
		t.Fatal(err)
	}
	for n := range document.Descendants() {
		for _, a := range n.Attr {
			switch {
			case a.Key == "id" || n.Data == "a" && a.Key == "name":
				p.anchors = append(p.anchors, a.Val)
			case n.Data == "a" && a.Key == "href":
				p.links = append(p.links, a.Val)
			case a.Key == "src" || n.Data == "link" && a.Key == "href":
				p.loads = append(p.loads, a.Val)
			}
		}
	}
	return p
}

// remote matches what a style sheet loads from elsewhere.
var remote = regexp.MustCompile(`(?:url\(|@import)\s*['"]?(?:https?:)?//[^)'"]+`)

// TestSite builds the site, follows its links, and looks for what a browser would load from elsewhere.
func TestSite(t *testing.T) {
	if _, err := exec.LookPath("mkdocs"); err != nil {
		t.Skip("hack/setup site installs MkDocs:", err)
	}
	for _, folder := range []string{"docs", "hack/site"} {
		if err := program.SeeFolder(filepath.Join(root, folder)); err != nil {
			t.Fatal(err)
		}
	}
	site := t.TempDir()
	build := exec.CommandContext(t.Context(), "mkdocs", "build", "-q", "-f", filepath.Join(root, "hack", "site", "mkdocs.yml"), "-d", site)
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	pages := map[string]sitePage{}
	err := filepath.WalkDir(site, func(path string, entry fs.DirEntry, err error) error {
		switch filepath.Ext(path) {
		case ".html":
			if entry.Name() != "404.html" { // its links begin with /, because any path may get it
				pages[path] = readSitePage(t, path)
			}
		case ".css":
			text, err := os.ReadFile(path)
			if loaded := remote.FindString(string(text)); loaded != "" || err != nil {
				t.Errorf("%s loads %s, %v", entry.Name(), loaded, err)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(pages) < 35 {
		t.Errorf("the site has %d pages, and docs/ has more", len(pages))
	}
	within := 0
	for path, page := range pages {
		name := strings.TrimPrefix(path, site+"/")
		for i, link := range slices.Concat(page.links, page.loads) {
			target, err := url.Parse(link)
			if err != nil {
				t.Errorf("%s: the link %q: %v", name, link, err)
				continue
			}
			if target.IsAbs() || target.Host != "" {
				if i >= len(page.links) && target.Scheme != "data" {
					t.Errorf("%s loads %s", name, link)
				}
				continue
			}
			within++
			file := path
			if target.Path != "" {
				file = filepath.Join(filepath.Dir(path), target.Path)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: the link %s leads nowhere", name, link)
				continue
			}
			if to, ok := pages[file]; target.Fragment != "" && ok && !slices.Contains(to.anchors, target.Fragment) {
				t.Errorf("%s: there is no heading for the link %s", name, link)
			}
		}
	}
	if within < 500 {
		t.Errorf("only %d links were found", within)
	}
}
