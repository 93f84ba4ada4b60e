// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package bindings

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestUnusedFields(t *testing.T) {
	for name, c := range map[string]struct {
		page, value string
		want        []string
	}{
		"a misspelled field":            {page: `<p data-param="order.total">`, value: `{"totl": 5}`, want: []string{"order.totl of total"}},
		"a field that is used":          {page: `<p data-param="order.total"><a data-param-href="order.link"><b data-if="!order.paid">`, value: `{"total": 5, "link": "x", "paid": true}`},
		"an object as it is":            {page: `<p data-param="order"><p data-param="order.total">`, value: `{"totl": 5}`},
		"an object that is asked for":   {page: `<p data-if="order">`, value: `{"totl": 5}`},
		"no object":                     {page: `<p data-param="order.total">`, value: `"x"`},
		"a field of a field":            {page: `<p data-param="order.buyer.name">`, value: `{"buyer": {"nam": "x", "name": "y"}}`, want: []string{"order.buyer.nam of name"}},
		"a page that knows no order":    {page: `<p data-param="total">`, value: `{"totl": 5}`},
		"the items of a list":           {page: `<li data-each="order"><b data-param="item.name"></b><i data-param="price"></i></li>`, value: `[{"nam": 1, "price": 2}, {"nam": 3, "name": 4}]`, want: []string{"order.nam of name, price"}},
		"a list's name before a field":  {page: `<li data-each="order"><b data-param="order.name"></b></li>`, value: `[{"name": 1, "nam": 2}]`, want: []string{"order.nam of name"}},
		"texts in a list":               {page: `<li data-each="order"><b data-param="item"></b></li>`, value: `["a", {"b": 1}]`},
		"the element itself":            {page: `<li data-each="order" data-param="item.name">`, value: `[{"name": 1}]`},
		"a list in a list":              {page: `<ul data-each="order"><li data-each="item.parts"><b data-param="size"></b><i data-param="name"></i></li></ul>`, value: `[{"name": "x", "parts": [{"size": 1, "siz": 2}]}]`, want: []string{"order.parts.siz of name, size"}},
		"items of a list in a list":     {page: `<ul data-each="order"><b data-param="name"></b><li data-each="tags" data-param="item"></li></ul>`, value: `[{"name": "x", "tags": ["a"]}, {"nam": "y"}]`, want: []string{"order.nam of name, tags"}},
		"an object for a list":          {page: `<li data-each="order" data-param="item.name">`, value: `{"name": 1}`},
		"a list in an object":           {page: `<p data-param="order.total"><li data-each="order.lines"><b data-param="name"></b></li>`, value: `{"lines": [{"name": 1, "nam": 1}], "total": 1}`, want: []string{"order.lines.nam of name"}},
		"one item":                      {page: `<p data-param="order.0.name">`, value: `[{"name": 1}, {"other": 2}]`},
		"the order beside a list":       {page: `<li data-each="lines"><b data-param="order.total"></b></li>`, value: `{"total": 1, "totl": 2}`, want: []string{"order.totl of total"}},
		"a script that may use any":     {page: `<p data-param="order.total"><script>draw(platen.modifications)</script>`, value: `{"totl": 5}`},
		"a script that uses it":         {page: `<p data-param="order.total"><script>draw(platen.modifications.order)</script>`, value: `{"totl": 5}`},
		"a script that uses another":    {page: `<p data-param="order.total"><script>draw(platen.modifications.other)</script>`, value: `{"totl": 5}`, want: []string{"order.totl of total"}},
		"a script that makes elements":  {page: `<p data-param="order.total"><script>x.innerHTML = '<b data-param="order.tax">'</script>`, value: `{"tax": 5}`},
		"a script with other work":      {page: `<p data-param="order.total"><script>let x = 1</script>`, value: `{"tax": 5}`, want: []string{"order.tax of total"}},
		"lists in lists without an end": {page: strings.Repeat(`<div data-each="item">`, 50) + `<b data-param="order.total">`, value: `{"totl": 1}`},
	} {
		t.Run(name, func(t *testing.T) {
			var value any
			if err := json.Unmarshal([]byte(c.value), &value); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, u := range FieldsOf(c.page).Unused("order", value) {
				got = append(got, u.Path+" of "+strings.Join(u.Known, ", "))
			}
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnusedFieldsAreBounded(t *testing.T) {
	value := map[string]any{}
	for i := range 100 {
		value[strconv.Itoa(i)] = i
	}
	if got := FieldsOf(`<p data-param="order.total">`).Unused("order", value); len(got) != maxUnusedFields {
		t.Errorf("%d fields", len(got))
	}
}
