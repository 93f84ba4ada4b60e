// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package bindings

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// A page whose scripts read values by name uses these values; any other use of platen.modifications may use any.
func TestValuesOfScripts(t *testing.T) {
	for name, c := range map[string]struct {
		page string
		want []string
		any  bool
	}{
		"no script":                {page: `<p>platen.modifications.accent</p>`},
		"a script of its own":      {page: `<script>modifications.accent = 1; "the modifications"</script>`},
		"a member":                 {page: `<script>draw(platen.modifications.accent)</script>`, want: []string{"accent"}},
		"a field":                  {page: `<script>draw(platen.modifications.order.total)</script>`, want: []string{"order"}},
		"a method of a value":      {page: `<script>platen.modifications.rows.forEach(draw)</script>`, want: []string{"rows"}},
		"members":                  {page: `<script>a = platen.modifications['the accent']; b = window.platen . modifications [ "b.color" ]</script>`, want: []string{"the accent", "b.color"}},
		"what may not be there":    {page: `<script>a = window.platen?.modifications?.größe; b = platen?.modifications?.["b"]</script>`, want: []string{"größe", "b"}},
		"other letters":            {page: `<script>a = platen.modifications.शीर्षक; b = platen.modifications.éa.x</script>`, want: []string{"शीर्षक", "éa"}},
		"a letter by its number":   {page: `<script>platen.modifications.caf\u00e9</script>`, any: true},
		"scripts":                  {page: `<script>platen.modifications.a</script><script type=module>platen.modifications.b</script>`, want: []string{"a", "b"}},
		"a handler":                {page: `<body onload="style.background = platen.modifications.accent"><img onerror="x()">`, want: []string{"accent"}},
		"a template's content":     {page: `<template><script>draw(platen.modifications)</script></template>`},
		"all":                      {page: `<script>draw(platen.modifications)</script>`, any: true},
		"all and one":              {page: `<script>m = platen.modifications; draw(m.a, platen.modifications.b)</script>`, any: true},
		"a computed name":          {page: `<script>for (const n of names) draw(platen.modifications[n])</script>`, any: true},
		"names that are made":      {page: "<script>draw(platen.modifications['a' + n], platen.modifications[`a`])</script>", any: true},
		"a method of all":          {page: `<script>platen.modifications.hasOwnProperty(name)</script>`, any: true},
		"a part of it":             {page: `<script>const { accent } = platen.modifications</script>`, any: true},
		"another name for platen":  {page: `<script>const p = window.platen</script><script>p.modifications.accent</script>`, any: true},
		"a part of platen":         {page: `<script>const { modifications: m } = platen</script>`, any: true},
		"in brackets":              {page: `<script>window["platen"]["modifications"].accent</script>`, any: true},
		"all in a handler":         {page: `<body onload="draw(platen.modifications)">`, any: true},
		"elements that it makes":   {page: `<script>p.innerHTML = '<b data-param="x">' + platen.modifications.a</script>`, any: true, want: []string{"a"}},
		"a script from elsewhere":  {page: `<script src="https://example.com/x.js"></script><script>platen.modifications.a</script>`, any: true, want: []string{"a"}},
		"a script without address": {page: `<script src="x.js"></script><script>platen.modifications.a</script>`, want: []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			page := Read(c.page)
			if diff := cmp.Diff(c.want, page.ScriptValues); diff != "" || page.Scripted != c.any {
				t.Errorf("any %v, names (-want +got):\n%s", page.Scripted, diff)
			}
		})
	}
}

func TestPagesWhoseScriptsReadAParameter(t *testing.T) {
	template := &platenv1alpha1.RenderTemplate{}
	template.Spec.Parameters = []platenv1alpha1.Parameter{{Name: "accent", Type: platenv1alpha1.ParameterColor}}
	template.Spec.Pages = []platenv1alpha1.TemplatePage{{HTML: `<p>x</p>`}, {HTML: `<script>platen.modifications.accent = platen.modifications.other</script>`}}
	got := Parameters(template, Inline)
	if len(got) != 1 || !cmp.Equal(got[0].Pages, []int{2}) {
		t.Errorf("got %+v", got)
	}
}
