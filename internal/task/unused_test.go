// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package task

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUnusedKeys(t *testing.T) {
	pages := []string{`<h1 id="title" data-param="headline">x</h1><p data-if="!sold">x</p>`, `<b data-param="price">x</b>`}
	html := func(n int) (string, bool) { return pages[n-1], true }
	keys := []string{
		"headline", "sold", "title.color", "page1@headline", "page2@price", "canvasBackgroundColor", "page1@canvasBackgroundImage",
		"hedline", "foo", "Page1@headline", "page2@headline", "page3@headline", "titel.color", "page2@pricee", "canvasBackgroundColour", "",
	}
	want := []UnusedKey{
		{"hedline", "did you mean headline?"}, {"foo", ""}, {"Page1@headline", "did you mean page1@headline?"}, {"page2@headline", ""}, {"page3@headline", "the template has 2 pages"},
		{"titel.color", "did you mean title.color?"}, {"page2@pricee", "did you mean page2@price?"}, {"canvasBackgroundColour", "did you mean canvasBackgroundColor?"}, {"", ""},
	}
	if diff := cmp.Diff(want, UnusedKeys(keys, 2, html)); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	if got := UnusedKeys([]string{"page2@x"}, 1, html); len(got) != 1 || got[0].Hint != "the template has 1 page" {
		t.Errorf("%v", got)
	}
	// Of a page that is not known, nobody knows what it uses; and a script may use anything.
	unknown := func(n int) (string, bool) { return pages[n-1], n == 1 }
	want = []UnusedKey{{"page1@foo", ""}}
	if diff := cmp.Diff(want, UnusedKeys([]string{"foo", "page1@foo", "page2@foo"}, 2, unknown)); diff != "" {
		t.Errorf("keys with an unknown page (-want +got):\n%s", diff)
	}
	pages[1] = `<script>draw(platen.modifications)</script>`
	if got := UnusedKeys([]string{"foo"}, 2, html); got != nil {
		t.Errorf("with a script: %v", got)
	}
}
