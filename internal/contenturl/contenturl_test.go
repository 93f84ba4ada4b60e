// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package contenturl

import (
	"net/url"
	"strings"
	"testing"
)

func TestAt(t *testing.T) {
	const base = "http://platen-content.platen-system.svc:8082/"
	const object = "content/marketing/5d1c/9f2a/1/1.png?e=t0&n=a+b.png&s=x"
	const want = "http://platen-content.platen-system.svc:8082/" + object
	for contentURL, want := range map[string]string{
		"https://files.example.com/" + object:                   want,
		"https://platen.example.com/files/" + object:            want,
		"https://x.example.com/content/" + object:               want,
		"http://10.0.0.1:8082/content/5d1c/3/1.png?e=t0":        "http://platen-content.platen-system.svc:8082/content/5d1c/3/1.png?e=t0",
		"https://x/content/content/5d1c/9f2a/1/1.png?s=":        "http://platen-content.platen-system.svc:8082/content/content/5d1c/9f2a/1/1.png?s=",
		"https://files.example.com/" + object + "#part":         want,
		"https://evil@files.example.com/" + object:              want,
		"https://files.example.com/content/a/../../x/1.png":     "",
		"https://files.example.com/content/a//9f2a/1/1.png":     "",
		"https://files.example.com/content/a/b%2f/9f2a/1/1.png": "",
		"https://files.example.com/metrics":                     "",
		"https://files.example.com/content/1.png":               "",
		"content/marketing/5d1c/9f2a/1/1.png":                   "",
		"http://a b/":                                           "",
		"":                                                      "",
	} {
		got, err := At(base, contentURL)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: got %q, %v, want %q", contentURL, got, err, want)
		}
	}
}

func TestName(t *testing.T) {
	for _, name := range []string{"summer.png", "a b&c=d.png", "Grüße.png", strings.Repeat("報", 200), ""} {
		query := url.Values{}
		SetName(query, name)
		if got, err := Name(query); err != nil || got != name {
			t.Errorf("%q came back as %q, %v", name, got, err)
		}
	}
	if _, err := Name(url.Values{encodedParameter: {"%"}}); err == nil {
		t.Error("a damaged name is no error")
	}
}

func TestCheckBase(t *testing.T) {
	for base, right := range map[string]bool{
		"https://files.example.com": true, "http://platen-content.platen-system.svc:8082": true, "https://example.com/files/": true, "http://[::1]:8082": true,
		"": false, "files.example.com": false, "ftp://files.example.com": false, "https://": false, "https://:8082": false, "https://a:b@c": false,
		"https://example.com/?x=1": false, "https://example.com/#x": false, "https://" + strings.Repeat("x", MaxBase): false,
	} {
		if err := CheckBase(base); (err == nil) != right {
			t.Errorf("%q: %v", base, err)
		}
	}
}
