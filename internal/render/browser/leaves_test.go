// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"context"
	"strings"
	"testing"
	"time"
)

// A page that goes elsewhere while it is rendered fails in words about the page, not in those of the browser's protocol.
func TestPagesThatLeave(t *testing.T) {
	b := start(t)
	for name, html := range map[string]string{
		"reload":         `<p>x<script>location.reload()</script>`,
		"reload later":   `<body data-platen-ready="false"><p>x<script>setTimeout(() => location.reload(), 50)</script>`,
		"another page":   `<p>x<script>location.href = "about:blank"</script>`,
		"a meta refresh": `<meta http-equiv="refresh" content="0;url=about:blank"><p>x`,
		"a form":         `<form action="about:blank"></form><script>document.forms[0].submit()</script>`,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, err := b.Render(ctx, task("png", html), discard)
			t.Log(err)
			if err != nil && (strings.Contains(err.Error(), "ontext") || strings.Contains(err.Error(), "(-32")) {
				t.Errorf("words of the protocol: %s", err)
			}
		})
	}
}

// A page whose script never ends fails without the name of the command that waited for it.
func TestAnEndlessScript(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := start(t).Render(ctx, task("png", `<p>x<script>for (;;);</script>`), discard)
	if err == nil || !strings.HasPrefix(err.Error(), "the page was not ready before the deadline: ") {
		t.Error(err)
	}
}
