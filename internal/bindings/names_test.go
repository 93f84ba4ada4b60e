// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package bindings

import (
	"slices"
	"testing"
)

func TestNames(t *testing.T) {
	const page = `<h1 id="title" data-param="headline">x</h1><b data-param="order.total">5</b><p data-if="!sold">x</p><a data-param-href="shop">x</a>
		<svg><g id="sun"></g></svg><ul><li data-each="rows"><i data-param="name" id="row">x</i></li></ul><template><p id="hidden" data-param="secret">x</p></template>`
	for name, c := range map[string]struct {
		page    string
		uses    []string
		ignores []string
	}{
		"elements": {
			page:    page,
			uses:    []string{"headline", "order", "order.total", "sold", "shop", "rows", "name", "title.color", "headline.color", "sun.fill", "row.color", "canvasBackgroundColor"},
			ignores: []string{"headlin", "head", "total", "titl", "titel.color", "tit.color", "secret", "hidden.color", ".color", "canvasBackgroundColour", "", "sold.color"},
		},
		"a script that draws":    {page: `<script>1</script>`, uses: []string{"new.color"}, ignores: []string{"headline"}},
		"a script with values":   {page: `<script>draw(platen.modifications)</script>`, uses: []string{"headline", "new.color"}},
		"a script with one":      {page: `<script>draw(platen.modifications.accent, platen.modifications["b.c"])</script>`, uses: []string{"accent", "b.c", "new.color"}, ignores: []string{"headline"}},
		"a script from a server": {page: `<script src="https://example.com/x.js"></script>`, uses: []string{"headline"}},
	} {
		t.Run(name, func(t *testing.T) {
			names := NamesOf(c.page)
			for _, key := range c.uses {
				if !names.MayUse(key) {
					t.Errorf("%s is not used", key)
				}
			}
			for _, key := range c.ignores {
				if names.MayUse(key) {
					t.Errorf("%s is used", key)
				}
			}
		})
	}
}

// What is no name, such as data-if="! sold", is what no mistyped key means.
func TestKnownNamesAreNames(t *testing.T) {
	names := NamesOf(`<p data-if="! sold">x</p><p data-if="!paid">x</p><p data-param="rows[0].name">x</p><b id="title" data-param="order.total">x</b><i data-param="note">x</i>`)
	if got := slices.DeleteFunc(names.Values(), OfEveryPage); !slices.Equal(got, []string{"note", "order", "order.total", "paid"}) {
		t.Errorf("values: got %q", got)
	}
	if got := names.Elements(); !slices.Equal(got, []string{"note", "title"}) {
		t.Errorf("elements: got %q", got)
	}
	if !names.MayUse(" sold") || !names.MayUse("rows[0]") {
		t.Error("a job that gives a value of this name has it shown")
	}
}
