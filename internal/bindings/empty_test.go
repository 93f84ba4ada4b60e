// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package bindings

import "testing"

func TestIsEmpty(t *testing.T) {
	for source, want := range map[string]bool{
		"": true, " \n\t": true, "\ufeff": true, "<!doctype html>": true, "<!-- later -->": true, "&nbsp;": true,
		`<!DOCTYPE html><html lang="de"><head><meta charset="utf-8"><title>Card</title></head><body>` + "\n</body></html>\n": true,
		"x": false, "<p>": false, "<p></p>": false, "<img>": false, "<style>body { background: red }</style>": false, "<script>draw()</script>": false,
		`<link rel="stylesheet" href="https://example.com/a.css">`: false, `<body style="background:red">`: false, "<title>Card</title>x": false, "<body>x": false,
		"<h1 data-param=headline>": false, "<svg/>": false, "<html><head></head><body><!-- a --><p>": false,
	} {
		if got := IsEmpty(source); got != want {
			t.Errorf("%q: %t", source, got)
		}
	}
}
