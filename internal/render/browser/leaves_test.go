// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/platen-dev/platen/internal/render"
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

// Of several pages, the message names those that are late, and not those that are ready or have not begun.
func TestTheLatePagesOfSeveral(t *testing.T) {
	past, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	other := errors.New("another error")
	for name, c := range map[string]struct {
		ctx         context.Context //nolint:containedctx // an input
		begun, done []int
		sizes       []render.Size
		err         error
		want        string
	}{
		"one": {
			ctx: past, begun: []int{0, 1, 2}, done: []int{0, 2},
			want: "page 2 was not ready before the deadline, after 2 of 4 pages: a script does not end, a file does not come, or it needs more time",
		},
		"two": {
			ctx: past, begun: []int{0, 1, 2}, done: []int{0},
			want: "pages 2, 3 were not ready before the deadline, after 1 of 4 pages: a script does not end, a file does not come, or they need more time",
		},
		"in several sizes": {
			ctx: past, begun: []int{0, 1, 2, 3, 4}, done: []int{0, 1, 2, 3}, sizes: []render.Size{{Name: "story", Width: 10, Height: 10}},
			want: "page 1 was not ready before the deadline, after 4 of 8 pictures: a script does not end, a file does not come, or it needs more time",
		},
		"none is ready":       {ctx: past, begun: []int{0, 1}, want: "another error"},
		"all are ready":       {ctx: past, begun: []int{0, 1, 2, 3}, done: []int{0, 1, 2, 3}, want: "another error"},
		"before the deadline": {ctx: t.Context(), begun: []int{0, 1}, done: []int{0}, want: "another error"},
		"a known error":       {ctx: past, begun: []int{0, 1}, done: []int{0}, err: &render.Error{Reason: render.ReasonRenderFailed, Message: "a known one"}, want: "a known one"},
	} {
		t.Run(name, func(t *testing.T) {
			several := task("png", "a", "b", "c", "d")
			several.ExtraSizes = c.sizes
			all := paintings(several)
			for _, i := range c.begun {
				all[i].begun.Store(true)
			}
			for _, i := range c.done {
				close(all[i].done)
			}
			if got := latePages(c.ctx, several, all, cmp.Or(c.err, other)); got.Error() != c.want {
				t.Errorf("got %s", got)
			}
		})
	}
}
