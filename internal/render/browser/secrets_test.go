// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"strings"
	"testing"
)

func TestWithoutSecrets(t *testing.T) {
	for text, want := range map[string]string{
		"Could not load https://ada:secret@files.example/a.png":                           "Could not load https://…@files.example/a.png",
		"https://ada:p@ss@files.example/a.png":                                            "https://…@files.example/a.png",
		"at http://ada@files.example, and ws://b:c@d/":                                    "at http://…@files.example, and ws://…@d/",
		"https://x.example/a.png?w=3&sig=abc%3D&v=2":                                      "https://x.example/a.png?w=3&sig=…&v=2",
		"https://x.example/?X-Amz-Signature=abc&X-Amz-Credential=k%2F1&X-Amz-Date=2026#a": "https://x.example/?X-Amz-Signature=…&X-Amz-Credential=…&X-Amz-Date=2026#a",
		"https://x.example/a?access_token=abc":                                            "https://x.example/a?access_token=…",
		"https://x.example/a?apiKey=abc's":                                                "https://x.example/a?apiKey=…'s",
		"https://x.example/mail@x.example?q=a":                                            "https://x.example/mail@x.example?q=a",
		"mail ada@x.example, a=b":                                                         "mail ada@x.example, a=b",
		"is monkey=x":                                                                     "is monkey=x",
	} {
		if got := withoutSecrets(text); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

// More people may read a job than what its page is made of.
func TestSecretsOfURLsAreNotTold(t *testing.T) {
	b := start(t)
	_, warnings := run(t, b, task("png", `<img src="https://ada:sealed@127.0.0.1:1/a.png?sig=sealed"><script src="https://127.0.0.1:1/?token=sealed"></script>
		<script>console.error("at https://127.0.0.1:1/?key=sealed"); throw new Error("https://b:sealed@c/")</script>`))
	if len(warnings) < 3 {
		t.Errorf("warnings %v", warnings)
	}
	for _, w := range warnings {
		if strings.Contains(w.Title+w.Details, "sealed") {
			t.Errorf("the warning %q, %q has a secret", w.Title, w.Details)
		}
	}
}
