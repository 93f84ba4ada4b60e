// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package nearest

import (
	"fmt"
	"testing"
)

func TestName(t *testing.T) {
	names := []string{"square", "story", "a3", "a4", "banner", "i"}
	for name, want := range map[string]string{
		"squar": "square", "Suqare": "square", "stori": "story", "bannr": "banner", "a5": "", "x": "", "zip": "", "bnanre": "banner", "banenr": "banner", "1080 x 1080": "", "": "", "rectangle": "",
	} {
		if got := Name(name, names); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestKey(t *testing.T) {
	names, ids := []string{"headline", "sold", "order", "order.total"}, []string{"headline", "title"}
	for key, want := range map[string]string{
		"headlin": "headline", "titel.color": "title.color", "page2@headlin": "page2@headline", "Page1@headline": "page1@headline", "pag1@headline": "page1@headline",
		"page 2@titel.color": "page2@title.color", "page1.headline": "", "page1 @headline": "page1@headline", "pages2@headline": "page2@headline", "page3@headline": "", "Page3@headline": "",
		"pag0@headline": "", "pag@headline": "", "me1@headline": "", "ada@headline": "", "Page1@poster": "", "page2@": "", "@": "", "": "", "headline": "", "Page99999999999999999999@headline": "",
		"order.totl": "order.total", "page1@order.Total": "page1@order.total", "order.total": "", "order.tax": "", "order.color": "", "ordr.total": "order.total",
		"PAGE1@HEADLINE": "page1@headline", "Page1@Page1@headline": "", "headlin.color": "headline.color",
		"titel": "", "title": "", "page1@titel": "", "Page1@title": "", "solt": "sold", "solt.color": "", "ordr.color": "", // only ids have styles, and only names values
	} {
		if got := Key(key, names, ids, 2); got != want {
			t.Errorf("%q: %q, want %q", key, got, want)
		}
	}
}

func TestOfElement(t *testing.T) {
	const want = `it is the id of an element: data-param="head" there makes it a value, and a style of the element is head.color, for instance`
	ids := []string{"box", "head"}
	if got := OfElement("head", ids); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, key := range []string{"", "heads", "head.color"} {
		if got := OfElement(key, ids); got != "" {
			t.Errorf("%q: %q", key, got)
		}
	}
}

func TestOfValue(t *testing.T) {
	const want = "no data-param shows the value tags: give an element the id tags, or name what shows the items of a list, as in item.color"
	for key, want := range map[string]string{
		"tags.color": want, "tag.color": "", "tags": "", "": "",
		"tags.title.color": "did you mean title.color?", "tags.title": `if tags is a list, give its items as JSON, such as tags=[{"title": "..."}]`,
	} {
		if got := OfValue(key, []string{"tags", "item", "title"}, []string{"item", "title"}); got != want {
			t.Errorf("%q: %q, want %q", key, got, want)
		}
	}
	if got, want := OfValue("tags.color", []string{"tags"}, nil), "no data-param shows the value tags: give an element the id tags"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestFields(t *testing.T) {
	names := []string{"customer", "customer.name", "customer.city", "customer.name", "customers.x", "order"}
	for key, want := range map[string]string{
		"customer.zip": "the template uses these fields of customer: city, name", "customer": "", "order.total": "", ".x": "", "": "",
	} {
		if got := Fields(key, names); got != want {
			t.Errorf("%q: %q, want %q", key, got, want)
		}
	}
	many := make([]string, 0, 12)
	for n := range cap(many) {
		many = append(many, fmt.Sprintf("order.%02d", n))
	}
	if got, want := Fields("order.x", many), "the template uses these fields of order: 00, 01, 02, 03, 04, 05, 06, 07, 08, 09, 2 more"; got != want {
		t.Errorf("%q", got)
	}
}

func TestUnquoted(t *testing.T) {
	for key, want := range map[string]string{
		"false": "put quotes around n, which YAML reads as false without them (kubectl edit shows it as \"false\": make it \"n\")",
		"true":  "put quotes around on, which YAML reads as true without them (kubectl edit shows it as \"true\": make it \"on\")",
		"n":     "",
		"False": "",
	} {
		if got := Unquoted(key, []string{"headline", "n", "on"}); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	if got := Unquoted("false", []string{"headline"}); got != "" {
		t.Errorf("without such a name: %q", got)
	}
}
