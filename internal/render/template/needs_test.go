// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package template

import "testing"

func TestExamine(t *testing.T) {
	const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><linearGradient id="g"><stop offset="1"/></linearGradient><rect fill="url(#g)" width="1" height="1"/></svg>`
	const movingPNG = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAACGFjVEwAAAABAAAAAA=="
	nothing, scripts, requests := Needs{}, Needs{Scripts: true}, Needs{Requests: true}
	for name, test := range map[string]struct {
		html   string
		values map[string]any
		want   Needs
	}{
		"nothing":                  {},
		"text":                     {html: `<h1 data-param="headline">Hello</h1>`, values: map[string]any{"headline": "a < b, https"}},
		"picture in the page":      {html: `<img src="data:image/png;base64,AA//8A"><div style="background:url('data:image/jpeg;base64,AAAA')">`},
		"drawing":                  {html: svg},
		"another doctype":          {html: `<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd"><p>x</p>`},
		"colour scheme":            {html: `<meta name="color-scheme" content="dark">`},
		"link in text":             {html: `<a href="https://example.com/">https://example.com</a> <a title=x href='http://example.com/'>x</a> on sale = yes`},
		"script":                   {html: `<p>x</p><script>1</script>`, want: scripts},
		"script in upper case":     {html: `<SCRIPT>1</SCRIPT>`, want: scripts},
		"handler":                  {html: `<p title=""onclick=1>x`, want: scripts},
		"script with a link":       {html: `<a href="https://example.com">x</a><script>1</script>`, want: scripts},
		"picture from the network": {html: `<img src="https://example.com/x.png">`, want: requests},
		"with spaces":              {html: `<IMG  SRC = ' HTTPS://example.com/x.png'>`, want: requests},
		"font from the network":    {html: `<style>@font-face { font-family: x; src: url(https://example.com/x.woff2) }</style>`, want: requests},
		"import":                   {html: `<style>@import "https://example.com/x.css";</style>`, want: requests},
		"stylesheet":               {html: `<link rel="stylesheet" href="https://fonts.example/x.css">`, want: requests},
		"value from the network":   {html: `<img data-param="logo">`, values: map[string]any{"logo": "https://example.com/x.png"}, want: requests},
		"script of another server": {html: `<script src="https://example.com/x.js"></script>`, want: Needs{Scripts: true, Requests: true}},
		"without TLS":              {html: `<img src="http://example.com/x.png">`, want: Needs{Alone: true}},
		"without a scheme":         {html: `<p style="background:url(//example.com/x.png)">`, want: Needs{Alone: true}},
		"value in a list":          {html: `<img data-each="logos" data-param="item">`, values: map[string]any{"logos": []any{map[string]any{"item": "http://example.com/x.png"}}}, want: Needs{Alone: true}},
		"picture that moves":       {html: `<img src="DATA:image/gif;base64,AAAA">`, want: Needs{Alone: true}},
		"PNG that moves":           {html: `<img src="` + movingPNG + `">`, want: Needs{Alone: true}},
		"value that moves":         {html: `<img data-param="logo">`, values: map[string]any{"logo": "data:image/webp;base64,AAAA"}, want: Needs{Alone: true}},
		"frame":                    {html: `<iframe srcdoc="x"></iframe>`, want: Needs{Alone: true}},
		"refresh":                  {html: `<meta http-equiv="refresh" content="0;url=/x">`, want: Needs{Alone: true}},
		"form":                     {html: `<form><input></form>`, want: Needs{Alone: true}},
		"storage":                  {html: `<script>localStorage.x = 1</script>`, want: Needs{Scripts: true, Alone: true}},
		"storage in text":          {html: `<p>cookies and storage</p>`, want: nothing},
		"random number":            {html: `<script>Math.random()</script>`, want: Needs{Scripts: true, Varies: true}},
		"hidden property":          {html: `<script>Math["ran" + "dom"]()</script>`, want: Needs{Scripts: true, Varies: true}},
		"list of texts":            {html: `<script>const colours = ["red", "blue"]</script>`, want: scripts},
		"time":                     {html: `<script>new Date()</script>`, want: Needs{Scripts: true, Timed: true}},
		"timer":                    {html: `<p onclick="setTimeout(f, 1)">`, want: Needs{Scripts: true, Timed: true}},
		"date in text":             {html: `<p>date, random</p>`, want: nothing},
		"import of a module":       {html: `<script type="module">import{x}from"data:text/javascript,"</script>`, want: Needs{Scripts: true, Alone: true}},
		"import for its effects":   {html: `<script type="module">import"data:text/javascript,"</script>`, want: Needs{Scripts: true, Alone: true}},
		"request of a script":      {html: `<script>fetch("x")</script>`, want: Needs{Scripts: true, Alone: true}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Examine(test.html, test.values); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}
