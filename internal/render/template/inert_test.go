// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package template

import "testing"

func TestInert(t *testing.T) {
	const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><linearGradient id="g"><stop offset="1"/></linearGradient><rect fill="url(#g)" width="1" height="1"/></svg>`
	for name, test := range map[string]struct {
		html   string
		values map[string]any
		want   bool
	}{
		"text":                        {html: `<h1 data-param="headline">Hello</h1>`, values: map[string]any{"headline": "a < b"}, want: true},
		"whole document":              {html: "<!DOCTYPE html>\n<html lang=en><head><meta charset=\"utf-8\"><title>x</title><style>p{color:red}</style></head><body><!-- <3 --><p>1 < 2</p></body></html>", want: true},
		"upper case":                  {html: `<BODY><P>x</P></BODY>`, want: true},
		"picture in the page":         {html: `<img src="data:image/png;base64,AA//8A"><div style="background:url('data:image/jpeg;base64,AAAA')">`, want: true},
		"font in the page":            {html: `<style>@font-face { font-family: x; src: url(data:font/woff2;base64,AAAA) }</style>`, want: true},
		"picture that moves":          {html: `<img src="data:image/gif;base64,AAAA">`},
		"drawing that moves":          {html: `<img src="data:image/svg+xml,...">`},
		"PNG that moves":              {html: `<img src="data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAACGFjVEwAAAABAAAAAA==">`},
		"value that moves":            {html: `<img data-param="logo">`, values: map[string]any{"logo": "data:image/webp;base64,AAAA"}},
		"another doctype":             {html: `<!DOCTYPE html PUBLIC "-//W3C//DTD HTML 4.01//EN"><p>x</p>`},
		"doctype after a BOM":         {html: "\ufeff<!doctype html><p>x</p>"},
		"doctype after a comment":     {html: "<!-- x --><!doctype html><p>x</p>"},
		"drawing":                     {html: svg, want: true},
		"link in text":                {html: `<a href="https://example.com/">https://example.com</a>`, want: true},
		"nothing":                     {want: true},
		"script":                      {html: `<p>x</p><script>1</script>`},
		"script in upper case":        {html: `<SCRIPT>1</SCRIPT>`},
		"script after a broken tag":   {html: `<p <script>1</script>`},
		"script in a false comment":   {html: `<!--><script>1</script>-->`},
		"script in an attribute":      {html: `<p title="<script>">x</p>`},
		"script with a slash":         {html: `<script/src=x>`},
		"script with a line end":      {html: "<script\n>1</script>"},
		"script in a drawing":         {html: `<svg><script>1</script></svg>`},
		"unfinished":                  {html: `<iframe`},
		"frame":                       {html: `<iframe srcdoc="x"></iframe>`},
		"refresh":                     {html: `<meta http-equiv="refresh" content="0;url=http://x/">`},
		"policy":                      {html: `<meta http-equiv="Content-Security-Policy" content="img-src 'none'">`},
		"colour scheme":               {html: `<meta name="color-scheme" content="dark">`},
		"stylesheet":                  {html: `<link rel="stylesheet" href="x.css">`},
		"base":                        {html: `<base href="/x/">`},
		"animation of a drawing":      {html: `<svg><animate attributeName="x"/></svg>`},
		"element of its own":          {html: `<x-card></x-card>`},
		"focus":                       {html: `<button AutoFocus>x</button>`},
		"picture from the network":    {html: `<img src="https://example.com/x.png">`},
		"background from the network": {html: `<p style="background:url(https://example.com/x.png)">`},
		"import":                      {html: `<style>@import "x.css";</style>`},
		"value from the network":      {html: `<img data-param="logo">`, values: map[string]any{"logo": "https://example.com/x.png"}},
		"value in a list":             {html: `<img data-each="logos" data-param="item">`, values: map[string]any{"logos": []any{map[string]any{"item": "http://example.com/x.png"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Inert(test.html, test.values); got != test.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

func TestQuirks(t *testing.T) {
	for html, want := range map[string]bool{"<p>x": true, "": true, "<!doctype html><p>x": false, "\n <!DOCTYPE HTML>": false, "x<!doctype html>": true} {
		if got := Quirks(html); got != want {
			t.Errorf("%q: got %t", html, got)
		}
	}
}
