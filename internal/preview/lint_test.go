// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package preview

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

func TestLint(t *testing.T) {
	const head = `<!doctype html><meta charset="utf-8"><style>body { margin: 0; font: 20px "Liberation Sans" } p, div { margin: 0 }</style>`
	cases := []struct {
		name, page string
		want       []string // RULE, WHERE: part of the message
	}{
		{name: "nothing is wrong", page: `<p data-param="headline">Hello</p><div style="width:100px;height:24px;line-height:0.8">Low</div><span style="position:absolute;left:1px;top:50px">x</span>`},
		{
			name: "a word that is wider than its box",
			page: `<div id="box" style="width:60px">Donaudampfschifffahrt</div>`, want: []string{`text-overflow, PAGE, <div id=box>: "Donaudampfschifffahrt" runs`},
		},
		{
			name: "text that is higher than its box",
			page: `<div style="height:24px;width:200px"><b class="lead">One two three four five six seven eight nine ten eleven</b></div>`, want: []string{`text-overflow, PAGE, <b class=lead>: "One two`},
		},
		{
			name: "text that is cut off",
			page: `<div style="width:60px;height:30px;overflow:hidden"><p style="width:300px">A line that is cut off</p></div>`, want: []string{"text-overflow, PAGE, <p>: "},
		},
		{name: "text outside of the page", page: `<p style="position:absolute;left:290px;white-space:nowrap">far out</p>`, want: []string{`px out of the page on the right; make room, or add data-fit`}},
		{name: "a flex box", page: `<div style="display:flex;width:60px;justify-content:center"><b id=price>Donaudampfschifffahrt</b></div>`, want: []string{`text-overflow, PAGE, <b id=price>: "Donaudampfschifffahrt" runs`}},
		{name: "moved out of a flex box", page: `<div style="display:flex;width:60px;height:30px"><b style="position:absolute;left:90px">Donaudampf</b></div>`},
		{name: "a wide flex box", page: `<div style="display:flex;width:300px"><b>Donau</b><b>Dampf</b></div>`},
		{name: "text of a default", page: `<div style="width:80px" data-param="long">x</div>`, want: []string{`text-overflow, PAGE, <div data-param=long>: "Kraftfahrzeug`}},
		{name: "text that fits itself", page: `<div data-fit="shrink" style="width:60px;height:24px">Donaudampfschifffahrt</div>`},
		{name: "an initial", page: `<style>.i::first-letter { float: left; font-size: 60px }</style><p class="i">Word</p>`},
		{name: "text that is not seen", page: `<div style="width:60px;display:none">Donaudampfschifffahrt</div><div style="width:60px;visibility:hidden"></div>`},
		{name: "a condition shows its text", page: `<p data-if="due"><b data-param="due" style="display:block;width:20px">Donaudampfschifffahrt</b></p>`, want: []string{"text-overflow, PAGE, <b data-param=due>"}},
		{name: "rules for paper", page: `<style>@page { margin: 2cm } @media print { .menu { display: none } }</style><p class="menu">Menu</p><p>x</p>`, want: []string{
			"page-warning, PAGE: In a PDF: Rules of @page were not followed: margin", "page-warning, PAGE: In a PDF: Rules for print hide text: Menu",
		}},
		{name: "page breaks", page: `<style>section { break-after: page }</style><section>a</section><section>b</section>`, want: []string{"page-warning, PAGE: In a PDF: Rules for page breaks were not followed: section"}},
		{name: "rules for paper that a document follows", page: `<style>@page { margin: 0 } @media print { p { color: #000 } }</style><p>x</p>`},
		{name: "text that slides in", page: `<style>@keyframes in { from { transform: translateX(-400px) } }</style><p style="animation:in 1s both">In</p><p style="animation:in 1s both paused">Out</p>`, want: []string{`"Out" runs`}},
		{name: "an animation that a script holds", page: `<p id=p style="width:60px">Donaudampfschifffahrt</p><script>p.animate([{ opacity: 0 }, {}], 1000).playbackRate = 0</script>`, want: []string{`text-overflow, PAGE, <p id=p>: "Donaudampfschifffahrt" runs`}},
		{name: "texts of the page that no job would give", page: `<p data-if="price">For <b data-param="price">0</b></p><a data-param="shop" data-param-href="shop">our shop</a><p data-each="rows"><a data-param-href="url" data-param="url">x</a><b data-if="left" data-param="left">no</b></p>`},
		{name: "a list that is none", page: `<p data-each="headline">x</p><p data-fit="shrink">y</p><p style="display:inline" data-fit="truncate">z</p>`, want: []string{"page-warning, PAGE: data-each", "page-warning, PAGE: data-fit"}},
		{
			name: "files, fonts and scripts",
			page: `<img alt="" src="data:image/png;base64,AAAA"><p style="font-family:Nowhere">x</p><script>nope()</script>`,
			want: []string{"script-error, PAGE: Script error: Uncaught ReferenceError: nope is not defined", "unreachable-file, PAGE: Could not load data:image/png", "missing-font, PAGE: Font Nowhere is not installed: its text"},
		},
	}
	template := &platenv1alpha1.RenderTemplate{}
	template.Spec.Parameters = []platenv1alpha1.Parameter{
		{Name: "headline", Required: new(true)}, {Name: "long", Default: &apiextensionsv1.JSON{Raw: []byte(`"Kraftfahrzeughaftpflichtversicherung"`)}},
	}
	for _, c := range cases {
		template.Spec.Pages = append(template.Spec.Pages, platenv1alpha1.TemplatePage{Name: c.name, Width: 300, Height: 200, HTML: head + c.page})
	}
	findings, err := Lint(t.Context(), Request{Template: template})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, f := range findings {
		for _, c := range cases {
			if place := "page " + c.name; f.Where == place || strings.HasPrefix(f.Where, place+",") {
				got[c.name] = append(got[c.name], fmt.Sprintf("%s, PAGE%s: %s", f.Rule, strings.TrimPrefix(f.Where, place), f.Message))
			}
		}
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			list := got[c.name]
			if len(list) != len(c.want) {
				t.Fatal(cmp.Diff(c.want, list))
			}
			for i, want := range c.want {
				if !strings.Contains(list[i], want) {
					t.Errorf("got %s, want %s", list[i], want)
				}
			}
		})
	}
}

// The static rule empty-page names an empty page, once; that is nothing of the other pages.
func TestLintLeavesWhatIsKnownFromTheText(t *testing.T) {
	template := &platenv1alpha1.RenderTemplate{}
	for _, html := range []string{"<p>Hello</p>", " ", "<b>You</b>"} {
		template.Spec.Pages = append(template.Spec.Pages, platenv1alpha1.TemplatePage{Name: fmt.Sprintf("p%d", len(template.Spec.Pages)), Width: 300, Height: 200, HTML: html})
	}
	if findings, err := Lint(t.Context(), Request{Template: template}); err != nil || len(findings) > 0 {
		t.Errorf("%v, %+v", err, findings)
	}
}

func TestLintNamesAMissingSource(t *testing.T) {
	r := request()
	r.ConfigMaps = nil
	if _, err := Lint(t.Context(), r); err == nil || !strings.Contains(err.Error(), "key 'front.html' of ConfigMap 'pages'") {
		t.Errorf("got %v", err)
	}
}
