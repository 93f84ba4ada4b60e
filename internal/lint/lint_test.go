// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/bindings"
)

func TestTemplate(t *testing.T) {
	headline := []platenv1alpha1.Parameter{{Name: "headline"}}
	for name, c := range map[string]struct {
		parameters []platenv1alpha1.Parameter
		page       string
		want       []string // RULE SEVERITY WHERE
		message    string   // part of the first message
	}{
		"nothing": {
			parameters: headline,
			page:       `<h1 id="title" data-param="headline">x</h1><img alt="" src="https://example.com/a.png"><img alt="Logo" src="data:image/png;base64,AA//8A==">`,
		},
		"a binding with a typing mistake": {
			parameters: headline,
			page:       `<h1 data-param="headline">x</h1><p data-param="headlnie">x</p><p data-if="!headlnie">y</p>`,
			want:       []string{`unknown-binding warning page front, data-param="headlnie"`},
			message:    "the template declares no parameter 'headlnie'; did you mean 'headline'?",
		},
		"a binding that is far from all": {
			parameters: headline,
			page:       `<h1 data-param="headline">x</h1><p data-if="paid">x</p>`,
			want:       []string{`unknown-binding warning page front, data-if="paid"`},
			message:    "declare it in spec.parameters",
		},
		"a name that cannot be declared": {
			parameters: headline,
			page:       `<h1 data-param="headline">x</h1><p data-param="unit price">x</p>`,
			want:       []string{`unknown-binding warning page front, data-param="unit price"`},
			message:    "rename it, because a parameter has only letters, digits, hyphens and underscores, with a letter or an underscore first",
		},
		"fields of items": {parameters: headline, page: `<h1 data-param="headline">x</h1><p data-each="headline"><b data-param="price"></b></p>`},
		"an object, which cannot be declared": {
			parameters: headline, page: `<h1 data-param="headline">x</h1><p data-if="order"><b data-param="order.total">x</b><i data-param-href="order.link">y</i></p>`,
		},
		"an object that is declared": {
			parameters: []platenv1alpha1.Parameter{{Name: "order"}, {Name: "rows", Type: "list"}}, page: `<p data-if="order"><b data-param="order.total">x</b><b data-param="order.tax">x</b><i data-param="rows.0.name">y</i></p>`,
			want:    []string{`unknown-binding warning page front, data-param="order.total"`},
			message: "the parameter 'order' is of type text, which has no fields; remove it from spec.parameters: a job may give an object for what is not declared",
		},
		"a template without": {page: `<p data-param="anything">x</p>`},
		"a parameter that no page uses": {
			parameters: headline, page: `<p>x</p>`, want: []string{"unused-parameter warning spec.parameters[0]"}, message: "no page uses the parameter 'headline'",
		},
		"the background, which every page takes": {
			parameters: []platenv1alpha1.Parameter{{Name: "canvasBackgroundColor", Type: "color"}, {Name: "canvasBackgroundImage", Type: "image"}}, page: `<p>x</p>`,
		},
		"a colour that no page uses": {
			parameters: []platenv1alpha1.Parameter{{Name: "accent", Type: "color"}}, page: `<p id="price">x</p>`, want: []string{"unused-parameter warning spec.parameters[0]"},
			message: "no page uses the parameter 'accent'; read platen.modifications['accent'] in a script, or remove it: a job colours an element by ID.color and the page by canvasBackgroundColor, without a parameter",
		},
		"a picture and a colour as text": {
			parameters: []platenv1alpha1.Parameter{{Name: "photo", Type: "image"}, {Name: "accent", Type: "color"}, {Name: "rows", Type: "list"}},
			page:       `<div data-param="photo"></div><p data-param="accent">x</p><img alt="" data-param="photo"><svg><image data-param="photo"/></svg><input type="color" data-param="accent"><b data-each="rows"><i data-param="photo">x</i></b>`,
			want:       []string{"unknown-binding warning page front, <div data-param=photo>", "unknown-binding warning page front, <p data-param=accent>"},
			message:    `data-param="photo" shows the picture's address as text: bind an img to it; for a background, give the element id="photo" in place of it: the modification photo.backgroundImage sets it, without a parameter`,
		},
		"a colour as text": {
			parameters: []platenv1alpha1.Parameter{{Name: "accent", Type: "color"}}, page: `<p data-param="accent">x</p>`, want: []string{"unknown-binding warning page front, <p data-param=accent>"},
			message: `data-param="accent" shows the colour's name as text: give the element id="accent" in place of it; the modifications accent.color and accent.backgroundColor colour the element, without a parameter`,
		},
		"a colour as text of an element with an id": {
			parameters: []platenv1alpha1.Parameter{{Name: "accent", Type: "color"}}, page: `<p id="bar" data-param="accent">x</p>`, want: []string{"unknown-binding warning page front, <p id=bar>"},
			message: `data-param="accent" shows the colour's name as text: remove it; the modifications bar.color and bar.backgroundColor colour the element, without a parameter`,
		},
		"a condition of another language": {
			parameters: headline, page: `<h1 data-param="headline">x</h1><p data-if="not open">x</p>`, want: []string{`unknown-attribute warning page front, <p>`},
			message: `data-if="not open" names no value: did you mean data-if="!open"?`,
		},
		"conditions with signs": {
			page: `<p data-if="NOT items|length"></p><p data-if="a > 5 and b"></p><p data-if="not !open"></p><li data-each="rows"><i data-if="bed and breakfast"></i><b data-if="not open"></b></li>`,
			want: []string{"unknown-attribute warning page front, <p>", "unknown-attribute warning page front, <p>", "unknown-attribute warning page front, <p>", "unknown-attribute warning page front, <b>"}, message: "names no value: it must be one name",
		},
		"a condition with signs of an item": {
			page: `<li data-each="rows"><i data-if="price > 5 and open"></i></li>`, want: []string{"unknown-attribute warning page front, <i>"}, message: `data-if="price > 5 and open" must be a name`,
		},
		"two conditions": {
			page: `<p data-if="open and sale">x</p><i data-param="salt and pepper">x</i><b data-if="salt and pepper">y</b>`, want: []string{`unknown-attribute warning page front, <p>`},
			message: `names no value: it must be one name, such as open, or !open for the opposite; an element within another asks for both`,
		},
		"another spelling of data":    {page: `<p date-param="headline" datetime="x">x</p>`, want: []string{"unknown-attribute warning page front, <p>"}, message: "date-param is no attribute of Platen; did you mean data-param?"},
		"a placeholder with a button": {page: `<p>{{price}}</p><button onclick="buy()" onmouseover="x()">x</button>`, want: []string{"placeholder warning page front, <p>"}, message: "{{price}}"},
		"a placeholder with an image": {page: `<p>{{price}}</p><img alt="" onload="fill()">`},
		"a parameter of a script":     {parameters: headline, page: `<script>draw(platen.modifications.headline)</script>`},
		"a parameter of no script": {
			parameters: headline, page: `<script>draw(platen.modifications.accent)</script>`, want: []string{"unused-parameter warning spec.parameters[0]"}, message: "no page uses the parameter 'headline'",
		},
		"a list's name before a field": {page: `<p data-each="rows"><b data-param="rows.name"></b><b data-param="rows.0"></b></p>`, want: []string{`unknown-binding warning page front, data-param="rows.name"`}, message: `write data-param="name"`},
		"a value of a video":           {page: `<video data-param="clip"></video>`, want: []string{"unknown-binding warning page front, <video data-param=clip>"}, message: "the element has no text"},
		"a video's script":             {page: `<video data-param="clip"></video><script>play()</script>`},
		"a parameter in an item":       {parameters: headline, page: `<p data-each="rows"><b data-param="headline"></b></p>`, want: []string{`unknown-binding warning page front, data-each="rows"`}},
		"an empty page":                {page: "<body>\n", want: []string{"empty-page warning page front"}, message: "the page has no text and no element to show"},
		"a default that does not fit": {
			parameters: []platenv1alpha1.Parameter{{Name: "paid", Type: "boolean", Default: &apiextensionsv1.JSON{Raw: []byte(`"no"`)}}}, page: `<p data-if="paid">x</p>`,
			want: []string{"invalid-default error spec.parameters[0].default"}, message: `parameter 'paid': "no" must be true or false`,
		},
		"an id that is used twice": {
			page: `<p id="a">1</p><p id="b">2</p><p id="a">3</p><p id="a">4</p>`,
			want: []string{"duplicate-id warning page front, <p id=a>"}, message: "the id 'a' is used twice",
		},
		"an id that is repeated":   {page: `<ul><li data-each="rows"><b id="a">1</b></li></ul>`, want: []string{"duplicate-id warning page front, <b id=a>"}, message: "inside of data-each"},
		"a picture without a text": {page: `<img class="logo" src="https://example.com/a.png">`, want: []string{"missing-alt warning page front, <img class=logo>"}},
		"files that no page loads": {
			page: `<link rel="stylesheet" href="/site.css"><link rel="icon" href="x.ico"><img alt="" src="logo.png"><img alt="" data-param="logo"><script src="file:///x.js"></script>
				<style>@font-face { src: url('fonts/a.woff2') } p { background: url("https://example.com/b.png") }</style><p style="background:url(http://localhost:8080/c.png)">x</p>
				<svg><rect fill="url(#g)" style="fill:url(#g)"/></svg>`,
			want: []string{
				"unreachable-file warning page front, <link>", "unreachable-file warning page front, <img src=logo.png>", "unreachable-file warning page front, <script src=file:///x.js>",
				"unreachable-file warning page front, <style>", "unreachable-file warning page front, <p>",
			},
			message: "'/site.css' cannot be loaded: a page has no address of its own",
		},
		"attributes with a typing mistake": {
			page: `<style>[data-ift] { color: red }</style><script>el.dataset.parms</script><h1 data-parm=a>x</h1><p data_param=b data-param-herf=c data-platen-redy=false>x</p><p data-ech=c>x</p>
				<p data-fi=shrink>x</p><p data-id=1 data-name=x data-ift=x data-parms=x data-key=x data-src=x data-date=x data-of=x>x</p><object data=x></object>`,
			want: []string{
				"unknown-attribute warning page front, <h1>", "unknown-attribute warning page front, <p>", "unknown-attribute warning page front, <p>",
				"unknown-attribute warning page front, <p>", "unknown-attribute warning page front, <p>", "unknown-attribute warning page front, <p>",
				"unknown-attribute warning page front, <p>",
			},
			message: "data-parm is no attribute of Platen; did you mean data-param?",
		},
		"attributes with values that they do not take": {
			page: `<p data-fit=shrnk>x</p><p data-fit=shrink data-platen-ready=false>x</p><p data-fit="">x</p><p data-platen-ready=no>x</p>`,
			want: []string{
				"unknown-attribute warning page front, <p>", "unknown-attribute warning page front, <p>", "unknown-attribute warning page front, <p>",
			},
			message: `data-fit="shrnk" must be shrink or truncate`,
		},
		"attributes with values that are no names": {
			page: `<p data-if="!paid" data-each="a.b">x</p><p data-if="price > 5">x</p><p data-param=" headline">x</p><p data-param-href="{{ link }}">x</p><p data-each="">x</p><p data-param="first name">x</p>`,
			want: []string{
				"unknown-attribute warning page front, <p>", "unknown-attribute warning page front, <p data-param=headline>", "unknown-attribute warning page front, <p>",
				"unknown-attribute warning page front, <p>",
			},
			message: `data-if="price > 5" must be a name`,
		},
		"a condition with an operator": {
			parameters: []platenv1alpha1.Parameter{{Name: "num"}}, page: `<p data-if="num > 5">x</p>`,
			want: []string{"unknown-attribute warning page front, <p>"}, message: "without operators",
		},
		"an item by its number in brackets, as in a script": {
			page: `<p data-each="rows" data-param="item">x</p><p data-param="rows[0].name">x</p><p data-param="rows[0]">x</p><p data-if="user?.name">x</p><p data-each="user..names">x</p><p data-param="Why?">x</p>`,
			want: []string{
				"unknown-attribute warning page front, <p data-param=rows[0].name>", "unknown-attribute warning page front, <p data-param=rows[0]>",
				"unknown-attribute warning page front, <p>", "unknown-attribute warning page front, <p>",
			},
			message: `data-param="rows[0].name" must be a name, such as headline or order.total, without spaces around it, without operators and brackets`,
		},
		"a space after a name": {
			page: `<p data-param="due ">x</p>`,
			want: []string{"unknown-attribute warning page front, <p data-param=due>"}, message: `data-param="due " must be a name`,
		},
		"an exclamation mark that is no part of the name": {
			parameters: []platenv1alpha1.Parameter{{Name: "sold"}}, page: `<p data-if="!!sold">x</p><p data-if="! sold">x</p>`,
			want: []string{"unknown-attribute warning page front, <p>", "unknown-attribute warning page front, <p>"}, message: `data-if="!!sold" must be a name`,
		},
		"a dot for an item": {
			page: `<p data-each="points" data-param=".">x</p><p data-if=".sold">x</p><p data-param="order.total">x</p>`,
			want: []string{"unknown-attribute warning page front, <p data-param=.>", "unknown-attribute warning page front, <p>"}, message: "an item of a list is item",
		},
		"elements that are nested too deep": {
			parameters: headline, page: strings.Repeat("<div>", 600) + `<h1 data-param="headline">x</h1>`,
			want: []string{"too-deep warning page front"}, message: "nested deeper than 512",
		},
		"placeholders of other template languages": {
			page: `<h1>Hello {{ name }}</h1><img alt="" src="{{{logo}}}"><p data-param="x" style="color: {{color}}">{{#each rows}}<b>{ x }</b>{{/each}}</p><code>{{x}}</code><style>a{b{c}}</style>`,
			want: []string{
				"placeholder warning page front, <h1>", "placeholder warning page front, <img src={{{logo}}}>",
				"placeholder warning page front, <p data-param=x>", "placeholder warning page front, <p data-param=x>", "placeholder warning page front, <p data-param=x>",
			},
			message: `{{ name }} is shown as it is: Platen fills elements by their attributes, data-param="headline" with a value`,
		},
		"a placeholder in a style": {
			page: `<p>x</p><style>p { background: url({{bg}}) }</style>`, want: []string{"placeholder warning page front, <style>"}, message: "{{bg}} in a style stays as it is: a modification sets a style",
		},
		"a placeholder in an attribute style": {
			page: `<p style="background: url('{{bg}}')">x</p>`, want: []string{"placeholder warning page front, <p>"}, message: "{{bg}} in a style stays as it is",
		},
		"a placeholder in an address": {
			page: `<img alt="" src="{{photo}}">`, want: []string{"placeholder warning page front, <img src={{photo}}>"}, message: "{{photo}} in an address stays as it is: give an img data-param",
		},
		"a placeholder in a link": {
			page: `<a href="{{shop}}">x</a>`, want: []string{"placeholder warning page front, <a>"}, message: "{{shop}} in a link stays as it is",
		},
		"a placeholder in a style without spaces": {
			page: `<style>p{color:{{accent}}}</style><p>x</p>`, want: []string{"placeholder warning page front, <style>"}, message: "{{accent}} in a style",
		},
		"placeholders that nobody sees":     {page: `<p class="{{x}}" title="{{x}}">x<span hidden>{{x}}</span><code><b>{{x}}</b></code><kbd>{{x}}</kbd></p>`},
		"placeholders that a handler fills": {page: `<body onload="fill()"><h1>{{ name }}</h1>`},
		"placeholders that a script fills":  {page: `<h1>{{ name }}</h1><script src="https://example.com/vue.js"></script>`},
		"what is no part of the page":       {page: `<template><img src="a.png"><p id="a"></p><p id="a"></p></template>`},
	} {
		t.Run(name, func(t *testing.T) {
			template := &platenv1alpha1.RenderTemplate{}
			template.Spec.Parameters = c.parameters
			template.Spec.Pages = []platenv1alpha1.TemplatePage{{Name: "front", HTML: c.page}}
			findings := Template(template, bindings.Inline)
			got := make([]string, 0, len(findings))
			for _, f := range findings {
				got = append(got, fmt.Sprintf("%s %s %s", f.Rule, f.Severity, f.Where))
			}
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("findings (-want +got):\n%s", diff)
			}
			if len(findings) > 0 && !strings.Contains(findings[0].Message, c.message) {
				t.Errorf("message %q", findings[0].Message)
			}
		})
	}
}

func TestPagesOfConfigMaps(t *testing.T) {
	template := &platenv1alpha1.RenderTemplate{}
	template.Spec.Parameters = []platenv1alpha1.Parameter{{Name: "headline"}}
	template.Spec.Pages = []platenv1alpha1.TemplatePage{{Name: "front", HTMLFrom: &platenv1alpha1.HTMLSource{ConfigMapKeyRef: platenv1alpha1.ConfigMapKeySelector{Name: "pages", Key: "front.html"}}}}
	if findings := Template(template, bindings.Inline); len(findings) > 0 {
		t.Errorf("a page that is not known: %v", findings)
	}
	want := []Finding{
		{UnusedParameter, Warning, "spec.parameters[0]", `no page uses the parameter 'headline'; bind it with data-param="headline", or remove it`, ""},
		{EmptyPage, Warning, "page front, key 'front.html' of ConfigMap 'pages'", "the page has no text and no element to show; jobs render its background alone", ""},
	}
	if diff := cmp.Diff(want, Template(template, func(platenv1alpha1.TemplatePage) (string, bool) { return "", true })); diff != "" {
		t.Errorf("an empty page: %s", diff)
	}
}

func TestFindingsAreBounded(t *testing.T) {
	template := &platenv1alpha1.RenderTemplate{}
	template.Spec.Pages = []platenv1alpha1.TemplatePage{{Name: "front", HTML: strings.Repeat(`<img class="`+strings.Repeat("é", 1000)+`">`, 500)}}
	findings := Template(template, bindings.Inline)
	if len(findings) != maxFindings || len(findings[0].Where) > 200 {
		t.Errorf("%d findings, the first at %s", len(findings), findings[0].Where)
	}
}

func TestTakenIDs(t *testing.T) {
	named := func(name string, id *int64) platenv1alpha1.RenderTemplate {
		return platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: platenv1alpha1.RenderTemplateSpec{TemplateID: id}}
	}
	got := TakenIDs([]platenv1alpha1.RenderTemplate{named("a", new(int64(25))), named("b", nil), named("c", new(int64(25))), named("d", new(int64(26))), named("e", nil)})
	if len(got) != 2 || !strings.Contains(got["a"].Message, "25 is also the templateID of c;") || !strings.Contains(got["c"].Message, "of a;") {
		t.Errorf("%v", got)
	}
}

// A page's code and its attributes may be long at once. Whoever reads templates reads those of all namespaces.
func TestManyAttributesAndMuchCode(t *testing.T) {
	const size = 512 << 10
	var code, attributes strings.Builder
	for i := 0; code.Len() < size; i++ {
		_, _ = fmt.Fprintf(&code, "el.dataset.a%d = %d;", i, i)
	}
	for attributes.Len() < size {
		attributes.WriteString("<i data-parm=a></i>")
	}
	template := &platenv1alpha1.RenderTemplate{}
	template.Spec.Pages = []platenv1alpha1.TemplatePage{{Name: "front", HTML: "<script>" + code.String() + "</script>" + attributes.String()}}
	begun := time.Now()
	if findings := Template(template, bindings.Inline); len(findings) != maxFindings {
		t.Errorf("%d findings", len(findings))
	}
	if took := time.Since(begun); took > time.Minute { // a search of the code for each attribute takes some minutes
		t.Errorf("it took %s", took)
	}
}
