// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package contenturl

import (
	"net/url"
	"path"
	"strings"
	"testing"
)

// A content URL that somebody made up leads to the content server's files, and nowhere else.
func FuzzAt(f *testing.F) {
	for _, seed := range []string{
		"https://files.example.com/content/a/b/c?n=x.png", "/content/a/b/c/d/e?e=1&s=abc", "http://evil.example/content/../../api?x", "//h/content/%2e%2e/b/c",
		"https://h/content/a/b/c#f", `https://h/content/a\b/c/d`, "https://h/content/a/b/c?a?b#c", "https://h/content/@evil.example/b/c", "%", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, made string) {
		got, err := At("http://platen-content.platen-system.svc:8082", made)
		if err != nil {
			return
		}
		u, err := url.Parse(got)
		if err != nil {
			t.Fatalf("At(%q) = %q: %v", made, got, err)
		}
		if u.Scheme != "http" || u.Host != "platen-content.platen-system.svc:8082" || u.User != nil || u.Fragment != "" || !strings.HasPrefix(u.Path, Path) || path.Clean(u.Path) != u.Path {
			t.Errorf("At(%q) = %q", made, got)
		}
	})
}

// Every name survives a URL.
func FuzzName(f *testing.F) {
	for _, seed := range []string{"", "banner.png", "ü.pdf", "a&b=c?.gif", "\x00\xff", " "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		query := url.Values{}
		SetName(query, name)
		read, err := url.ParseQuery(query.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Name(read); err != nil || got != name {
			t.Errorf("the name %q becomes %q, %v", name, got, err)
		}
	})
}
