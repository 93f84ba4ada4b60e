// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package bindings

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/values"
)

// line describes a parameter in one line.
func line(p Parameter) string {
	text := func(raw *apiextensionsv1.JSON) string {
		if raw == nil {
			return "-"
		}
		return string(raw.Raw)
	}
	declared := ""
	if p.Declared {
		declared = " declared"
	}
	return fmt.Sprintf("%s %s default=%s example=%s pages=%v%s", p.Name, p.Type, text(p.Default), text(p.Example), p.Pages, declared)
}

func TestBound(t *testing.T) {
	template := &platenv1alpha1.RenderTemplate{}
	template.Spec.Pages = []platenv1alpha1.TemplatePage{{HTML: `<p data-if="sold"></p><b data-param="price">x</b><p data-each="rows"></p><b id="title">x</b>
		<p data-if="order.paid"></p><p data-if="order.note"><b data-param="order.note">true</b></p><p data-if="order.by.us"></p>`}}
	for key, want := range map[string]values.Type{
		"sold": values.Boolean, "price": values.Text, "rows": values.List, "title.color": values.Color, "order": values.Object, "order.paid": values.Boolean,
		"order.note": "", "order.by": "", "order.by.us": values.Boolean, "order.gone": "", "order.paid.x": "", "order.": "", "sold.x": "", "gone": "", "gone.x": "",
	} {
		if got := Bound(Parameters(template, Inline), key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
}

func TestWanted(t *testing.T) {
	template := &platenv1alpha1.RenderTemplate{}
	template.Spec.Parameters = []platenv1alpha1.Parameter{{Name: "dishes", Type: platenv1alpha1.ParameterList}, {Name: "points", Type: platenv1alpha1.ParameterList}, {Name: "gone", Type: platenv1alpha1.ParameterList}}
	template.Spec.Pages = []platenv1alpha1.TemplatePage{{HTML: `<li data-each="dishes"><b data-param="name">Fish & Chips</b></li><li data-each="points" data-param="item">x</li>
		<b data-param="order.total">5</b><li data-each="long"><b data-param="name">` + strings.Repeat("x", maxWanted) + `</b></li>`}}
	list, lines := "a list: JSON, such as "+values.ExampleList, "a list: JSON, such as "+values.ExampleList+", or text with one item a line"
	for _, c := range []struct {
		key  string
		kind values.Type
		text string
		want string
	}{
		{"dishes", values.List, `["a`, `a list: JSON, such as [{"name":"Fish & Chips"}]`}, // whose items are no lines of text
		{"points", values.List, `["a`, lines},
		{"gone", values.List, `["a`, lines},
		{"long", values.List, `["a`, `a list: JSON, such as [{"name":"` + strings.Repeat("x", maxWanted-len(`[{"name":"`)) + "…"},
		{"order", values.Object, "5", `an object in JSON, such as {"total":"5"}`},
		{"nothing", values.Object, "5", "an object in JSON, such as " + values.ExampleObject},
		{"dishes", values.List, `[{"a":1,"a":2}]`, "a list whose objects have each field once: [0].a is there twice"},
	} {
		_, err := values.ReadText(c.kind, c.text)
		refused := (*values.Error)(nil)
		if !errors.As(err, &refused) {
			t.Fatalf("%s: %v", c.text, err)
		}
		if got := Wanted(refused, Parameters(template, Inline), c.key); got != c.want {
			t.Errorf("%s of %s: %q, want %q", c.text, c.key, got, c.want)
		}
	}
	refused := &values.Error{Want: list}
	if got := Wanted(refused, Parameters(template, Inline), "dishes"); got != `a list: JSON, such as [{"name":"Fish & Chips"}]` || refused.Want != list {
		t.Errorf("%q, and the error has %q", got, refused.Want)
	}
}

func TestParameters(t *testing.T) {
	for name, c := range map[string]struct {
		declared []platenv1alpha1.Parameter
		pages    []string
		want     []string
	}{
		"text": {
			pages: []string{`<h1 data-param="headline">Hello
				<b>World</b></h1><p data-param=sub></p>`},
			want: []string{`headline text default="Hello World" example="Hello World" pages=[1]`, `sub text default=- example=- pages=[1]`},
		},
		"picture": {
			pages: []string{`<img data-param="logo" src="https://example.com/a.png?b=1&amp;c=2"><img data-param="photo" src="photo.png">`},
			want: []string{
				`logo image default="https://example.com/a.png?b=1&c=2" example="https://example.com/a.png?b=1&c=2" pages=[1]`,
				`photo image default=- example=- pages=[1]`,
			},
		},
		"link": {
			pages: []string{`<a data-param-href="shop" href="https://example.com/">Shop</a>`},
			want:  []string{`shop text default="https://example.com/" example="https://example.com/" pages=[1]`},
		},
		"link without an address": {
			pages: []string{`<a data-param-href="shop">Shop</a><ul><li data-each="shops"><a data-param-href="url" data-param="name">x</a></li></ul>`},
			want:  []string{`shop text default=- example="https://example.com/" pages=[1]`, `shops list default=- example=[{"name":"x","url":"https://example.com/"}] pages=[1]`},
		},
		"what an item may lack": {
			pages: []string{`<div data-each="dishes"><b data-param="name">Soup</b><img data-if="photo" data-param="photo"><p data-if="note"><i data-param="note"></i></p><img data-param="icon" src="icon.png"><s data-if="sold">x</s></div>`},
			want:  []string{`dishes list default=- example=[{"icon":null,"name":"Soup","note":null,"photo":null,"sold":true}] pages=[1]`},
		},
		"what an item has anyway": {
			pages: []string{`<div data-each="dishes"><img data-param="photo"><img data-if="photo" data-param="photo" src="https://example.com/a.png"></div><p data-param="order.note"></p><b data-param="order.note">Thanks</b>`},
			want:  []string{`dishes list default=- example=[{"photo":"https://example.com/a.png"}] pages=[1]`, `order object default=- example={"note":"Thanks"} pages=[1]`},
		},
		"list whose default is empty": {
			declared: []platenv1alpha1.Parameter{{Name: "rows", Type: "list", Default: &apiextensionsv1.JSON{Raw: []byte("[]")}}, {Name: "unseen", Type: "list", Default: &apiextensionsv1.JSON{Raw: []byte("[]")}}},
			pages:    []string{`<p data-each="rows"><b data-param="name">Ada</b></p>`},
			want:     []string{`rows list default=[] example=[{"name":"Ada"}] pages=[1] declared`, `unseen list default=[] example=[] pages=[] declared`},
		},
		"condition": {
			pages: []string{`<p data-if="paid">PAID</p><p data-if="!paid">Due</p>`},
			want:  []string{`paid boolean default=false example=true pages=[1]`},
		},
		"link whose page shows something else in its place": {
			pages: []string{`<a data-param="shop" data-param-href="shop">our shop</a><a data-param-href="top" href="#">x</a><p data-each="shops"><a data-param-href="url" data-param="url">x</a><a data-param-href="map" href="/map">x</a></p>`},
			want: []string{
				`shop text default=- example="https://example.com/" pages=[1]`, `top text default="#" example="#" pages=[1]`,
				`shops list default=- example=[{"map":"https://example.com/","url":"https://example.com/"}] pages=[1]`,
			},
		},
		"condition and a text that is seldom meant as true": {
			pages: []string{`<p data-if="price">For <b data-param="price">0</b></p><p data-if="!stock"><b data-param="stock">No</b></p><b data-param="count">0</b>
				<p data-each="rows"><i data-if="old" data-param="old">0</i><b data-param="left">off</b><i data-if="left">!</i></p>`},
			want: []string{
				`price text default=- example="1" pages=[1]`, `stock text default=- example="Text" pages=[1]`, `count text default="0" example="0" pages=[1]`,
				`rows list default=- example=[{"left":"Text","old":"1"}] pages=[1]`,
			},
		},
		"an item by its number in brackets": {
			pages: []string{`<p data-param="rows[0].name">x</p><p data-param="rows[0]">x</p><p data-param="user?.name">x</p><p data-param="user..name">x</p><p data-param="Why?">x</p>`},
			want:  []string{`Why? text default="x" example="x" pages=[1]`},
		},
		"no names": {
			pages: []string{`<p data-if="price > 5"></p><p data-if="!!sold"></p><p data-param=" headline"></p><p data-each="rows()"><b data-param="name"></b></p><p data-param="first name"></p><p data-if=".sold"></p>`},
			want:  []string{`first name text default=- example=- pages=[1]`},
		},
		"condition and text": {
			pages: []string{`<p data-if="due">Due on <b data-param="due">2026-01-31</b></p>`},
			want:  []string{`due text default=- example="2026-01-31" pages=[1]`},
		},
		"list of texts": {
			pages: []string{`<ul data-if="points"><li data-each="points" data-param="item">Fast</li></ul>`},
			want:  []string{`points list default=- example=["Fast"] pages=[1]`},
		},
		"list whose items have a dot": {
			pages: []string{`<ul><li data-each="points" data-param=".">Fast</li></ul>`},
			want:  []string{`points list default=- example=- pages=[1]`},
		},
		"list of objects": {
			pages: []string{`<table><tr data-each="rows"><td data-param="name">Pen</td><td data-param="item.price">3</td><td data-if="sold">x</td></table>`},
			want:  []string{`rows list default=- example=[{"name":"Pen","price":"3","sold":true}] pages=[1]`},
		},
		"list in a list": {
			pages: []string{`<div data-each="groups"><h2 data-param="title">A</h2><i data-each="members" data-param="item">Ada</i></div>`},
			want:  []string{`groups list default=- example=[{"members":["Ada"],"title":"A"}] pages=[1]`},
		},
		"declared parameter in a list": {
			declared: []platenv1alpha1.Parameter{{Name: "currency"}},
			pages:    []string{`<p data-each="rows"><b data-param="price">3</b><i data-param="currency">EUR</i></p>`},
			want: []string{
				`currency text default="EUR" example="EUR" pages=[1] declared`, `rows list default=- example=[{"price":"3"}] pages=[1]`,
			},
		},
		"object": {
			pages: []string{`<b data-param="order.total">5</b><b data-param="order.ship.city">Rome</b>`},
			want:  []string{`order object default=- example={"ship":{"city":"Rome"},"total":"5"} pages=[1]`},
		},
		"several pages": {
			pages: []string{`<b data-param="a"></b>`, `<b data-param="b">B</b>`, `<b data-param="a">A</b><b data-param="a">C</b>`},
			want:  []string{`a text default="A" example="A" pages=[1 3]`, `b text default="B" example="B" pages=[2]`},
		},
		"declared": {
			declared: []platenv1alpha1.Parameter{
				{Name: "price", Type: "number"}, {Name: "must", Required: new(true)}, {Name: "given", Default: &apiextensionsv1.JSON{Raw: []byte(`"x"`)}},
				{Name: "accent", Type: "color"}, {Name: "due", Type: "date"}, {Name: "dark", Type: "boolean"}, {Name: "wide", Type: "boolean", Default: &apiextensionsv1.JSON{Raw: []byte("true")}},
			},
			pages: []string{`<b data-param="price">9,50</b><b data-param="must">Text</b><b data-param="given">y</b><b data-param="due">soon</b>`},
			want: []string{
				`price number default=9.5 example=9.5 pages=[1] declared`, `must text default=- example="Text" pages=[1] declared`,
				`given text default="x" example="x" pages=[1] declared`, `accent color default=- example=- pages=[] declared`,
				`due date default=- example=- pages=[1] declared`, `dark boolean default=false example=true pages=[] declared`,
				`wide boolean default=true example=true pages=[] declared`,
			},
		},
		"styles": {
			pages: []string{`<title id="t">x</title><h1 id="title" data-param="headline">Hello</h1><div id="box"> <b>x</b></div><a id="more" href="https://example.com/">x</a>
				<svg><linearGradient id="g"/></svg><p id="a.b">x</p><p data-each="rows" id="row">x</p>`},
			want: []string{
				`headline text default="Hello" example="Hello" pages=[1]`, `rows list default=- example=- pages=[1]`, `title.color color default=- example=- pages=[1]`,
				`box.backgroundColor color default=- example=- pages=[1]`, `more.href text default="https://example.com/" example="https://example.com/" pages=[1]`,
			},
		},
		"what is no part of the page": {
			pages: []string{`<template><b data-param="a">x</b></template><!-- <b data-param="b"> --><script>"<b data-param='c'>"</script><b data-param="">x</b><b data-if="!">x</b>`},
			want:  []string{},
		},
		"no HTML": {pages: []string{""}, want: []string{}},
		"a long text": {
			pages: []string{`<p data-param="a">` + strings.Repeat("x", 2000)},
			want:  []string{`a text default=- example=- pages=[1]`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			template := &platenv1alpha1.RenderTemplate{}
			template.Spec.Parameters = c.declared
			for _, source := range c.pages {
				template.Spec.Pages = append(template.Spec.Pages, platenv1alpha1.TemplatePage{HTML: source})
			}
			parameters := Parameters(template, Inline)
			got := make([]string, 0, len(parameters))
			for _, p := range parameters {
				got = append(got, line(p))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("parameters (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParametersAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, `<p data-param="p%d" id="e%d">x</p>`, i, i)
	}
	template := &platenv1alpha1.RenderTemplate{}
	template.Spec.Pages = []platenv1alpha1.TemplatePage{{HTML: b.String()}}
	if got := Parameters(template, Inline); len(got) != maxParameters {
		t.Errorf("%d parameters", len(got))
	}
}

func TestReadFindsScriptsThatMayUseAnyValue(t *testing.T) {
	for source, want := range map[string]bool{
		`<script>draw(platen.modifications)</script>`: true, `<script src="x.js"></script>`: false, `<script src="//x.example/x.js"></script>`: true, `<base href="https://x.example/"><script src="x.js"></script>`: true, `<script>1</script>`: false, `<script>p.innerHTML = '<b data-param="x">'</script>`: true, `<script>p.dataset.each = "x"</script>`: true, `<script>d["data-id"] = 1</script>`: false, `<p>platen.modifications</p>`: false,
	} {
		if got := Read(source).Scripted; got != want {
			t.Errorf("%s: %v", source, got)
		}
	}
}

// A page may nest the elements that show values as deep as a browser takes them, around all of its text.
func TestReadingTakesTimeInProportionToThePage(t *testing.T) {
	const depth = 500
	nested := func(text int) string {
		return strings.Repeat("<div data-param=x>", depth) + strings.Repeat("a ", text/2) + strings.Repeat("<i></i>", text/7)
	}
	allocated := func(source string) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if page := Read(source); len(page.Bindings) != depth {
			t.Fatalf("%d bindings", len(page.Bindings))
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	if took := allocated(nested(64 << 10)); took > 32<<20 {
		t.Errorf("reading 64 KiB of text in %d elements allocates %d MiB", depth, took>>20)
	}
}

func TestTextOfElements(t *testing.T) {
	page := Read("<p data-param=a> one <b data-param=b>t<i>w</i>o</b>three\n\n <template>none</template><style>none</style>\u00a0four </p><p data-param=c>" +
		strings.Repeat("x", maxText) + "</p><p data-param=d>" + strings.Repeat(" y", maxText) + "</p><p data-param=e></p>")
	got := make([]string, 0, len(page.Bindings))
	for _, b := range page.Bindings {
		got = append(got, b.Text)
	}
	if diff := cmp.Diff([]string{"one twothree four", "two", strings.Repeat("x", maxText), "", ""}, got); diff != "" {
		t.Error(diff)
	}
}

// golang.org/x/net/html does not read a page that is nested deeper than 512 elements; browsers show it. Whatever it binds, nothing is said to be unused.
func TestAPageThatIsNestedTooDeepMayUseAnything(t *testing.T) {
	source := strings.Repeat("<div>", 600) + "<h1 id=title data-param=headline>x</h1>"
	names := NamesOf(source)
	if !Read(source).Scripted || !names.MayUse("headline") || !names.MayUse("title.color") || len(FieldsOf(source).Unused("order", map[string]any{"total": 1})) > 0 {
		t.Error("a value of a page that cannot be read is said to be unused")
	}
}
