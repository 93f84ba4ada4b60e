// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package task

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

func TestUnusedKeys(t *testing.T) {
	pages := []string{`<h1 id="title" data-param="headline">x</h1><p data-if="!sold">x</p>`, `<b data-param="price">x</b>`}
	html := func(n int) (string, bool) { return pages[n-1], true }
	keys := []string{
		"headline", "sold", "title.color", "page1@headline", "page2@price", "canvasBackgroundColor", "page1@canvasBackgroundImage",
		"hedline", "foo", "Page1@headline", "page2@headline", "page3@headline", "titel.color", "page2@pricee", "canvasBackgroundColour", "", "page0@headline", "page01@headline",
		"titel", "page1@title", "page2@title", "solt.color", "headlin.color",
	}
	want := []UnusedKey{
		{"hedline", "did you mean headline?"}, {"foo", ""}, {"Page1@headline", "did you mean page1@headline?"}, {"page2@headline", "page 1 uses it"}, {"page3@headline", "the template has 2 pages"},
		{"titel.color", "did you mean title.color?"}, {"page2@pricee", "did you mean page2@price?"}, {"canvasBackgroundColour", "did you mean canvasBackgroundColor?"}, {"", ""},
		{"page0@headline", "pages count from 1, as in page1@headline"}, {"page01@headline", "pages count from 1, as in page1@headline"},
		{"titel", ""},
		{"page1@title", `it is the id of an element: data-param="title" there makes it a value, and a style of the element is title.color, for instance`},
		{"page2@title", `it is the id of an element: data-param="title" there makes it a value, and a style of the element is title.color, for instance; the element is on page 1`},
		{"solt.color", ""}, {"headlin.color", "did you mean headline.color?"},
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
	pages[1] = `<b data-param="order.total">x</b>`
	want = []UnusedKey{{"order.totl", "did you mean order.total?"}, {"order.tax", "the template uses these fields of order: total"}}
	if diff := cmp.Diff(want, UnusedKeys([]string{"order.total", "order.totl", "order.tax"}, 2, html)); diff != "" {
		t.Errorf("fields of an object (-want +got):\n%s", diff)
	}
	pages[1] = `<script>draw(platen.modifications)</script>`
	if got := UnusedKeys([]string{"foo"}, 2, html); got != nil {
		t.Errorf("with a script: %v", got)
	}
}

func TestUnusedFields(t *testing.T) {
	pages := []string{`<b data-param="order.total">x</b>`, `<li data-each="lines"><b data-param="name">x</b></li>`}
	reads := 0
	html := func(n int) (string, bool) {
		reads++
		return pages[n-1], true
	}
	template := newTemplate(2)
	template.Spec.Parameters = []platenv1alpha1.Parameter{{Name: "lines", Type: platenv1alpha1.ParameterList}}
	unused := UnusedFields(template, html)
	for given, want := range map[string][]UnusedField{
		`{"order": {"totl": 1}, "text": "x"}`:   {{"order", "order.totl", "did you mean order.total?"}},
		`{"page1@order": {"tax": 1}}`:           {{"page1@order", "order.tax", "the template uses these fields of order: total"}},
		`{"lines": "[{\"nam\": 1}]"}`:           {{"lines", "lines.nam", "did you mean lines.name?"}}, // a list as text, which the parameter's type reads
		`{"lines": [{"name": 1}, {"item": 2}]}`: {{"lines", "lines.item", "the template uses these fields of lines: name"}},
		`{"lines": 5, "order": {"totl": 1}}`:    nil, // the job fails, and says why
		`[]`:                                    nil,
		``:                                      nil,
	} {
		if diff := cmp.Diff(want, unused([]byte(given))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", given, diff)
		}
	}
	if reads != len(pages) {
		t.Errorf("the pages were read %d times, want each once", reads)
	}
	if got := UnusedFields(template, func(int) (string, bool) { return "", false })([]byte(`{"order": {"totl": 1}}`)); got != nil {
		t.Errorf("with a page that cannot be read: %v", got)
	}
}

func TestWithoutColour(t *testing.T) {
	given := map[string]any{"accent": nil, "page2@accent": nil, "title": nil, "title.color": nil, "title.width": nil, "order.total": nil, "card.backgroundColor": "red", "a.dropShadowColor": nil, ".color": nil}
	parameters := []platenv1alpha1.Parameter{{Name: "accent", Type: platenv1alpha1.ParameterColor}, {Name: "title"}}
	if got, want := WithoutColour(given, parameters), []string{"a.dropShadowColor", "accent", "page2@accent", "title.color"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWrongBackgrounds(t *testing.T) {
	got := WrongBackgrounds([]byte(`{"canvasBackgroundColor":"redd","canvasBackgroundImage":"file:///etc/passwd","page2@canvasBackgroundColor":"#12345","x":"redd"}`))
	want := []UnusedKey{
		{"canvasBackgroundColor", `"redd" is no CSS colour or gradient`},
		{"canvasBackgroundImage", `"file:///etc/passwd" is no image URL; it must begin with http://, https:// or data:image/`},
		{"page2@canvasBackgroundColor", `"#12345" is no CSS colour or gradient`},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// What a browser may take, and what is not given.
	for _, fine := range []string{
		`{"canvasBackgroundColor":"red"}`, `{"canvasBackgroundImage":"url('https://a/b.png')"}`, `{"canvasBackgroundImage":"url(data:image/png;base64,AA)"}`, `{"canvasBackgroundColor":"Inherit"}`, `{"canvasBackgroundColor":"url(https://a/b.png) center"}`, `{"canvasBackgroundColor":"var(--brand)"}`,
		`{"canvasBackgroundColor":""}`, `{"canvasBackgroundColor":null}`, `{"canvasBackgroundImage":""}`, `{"canvasBackgroundImage":"data:image/gif;base64,AA"}`, `{"canvasBackgroundImage":"https://a/b.png"}`,
	} {
		if got := WrongBackgrounds([]byte(fine)); got != nil {
			t.Errorf("%s: %v", fine, got)
		}
	}
}
