// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/platen-dev/platen/internal/bindings"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/render"
)

func TestReadySignals(t *testing.T) {
	b := start(t)
	for name, html := range map[string]string{
		"promise":     `<body style="margin:0"><script>platen.ready = () => new Promise((done) => setTimeout(() => { document.body.style.background = 'rgb(255,0,0)'; done(); }, 200));</script>`,
		"no function": `<body style="margin:0"><script>platen.ready = new Promise((done) => setTimeout(() => { document.body.style.background = 'rgb(255,0,0)'; done(); }, 3000));</script>`,
		"attribute": `<body style="margin:0" data-platen-ready="false"><script>
			setTimeout(() => { document.body.style.background = 'rgb(255,0,0)'; document.body.dataset.platenReady = 'true'; }, 200);</script>`,
	} {
		t.Run(name, func(t *testing.T) {
			outputs, warnings := run(t, b, task("png", html))
			img, _ := decode(t, outputs[0].Data)
			if !near(img, 100, 50, color.RGBA{255, 0, 0, 255}) || len(warnings) != 0 {
				t.Errorf("painted too early: %v, warnings %v", img.At(100, 50), warnings)
			}
		})
	}
}

// What tells nothing is said: the page meant to be waited for.
func TestReadyThatIsNoFunction(t *testing.T) {
	b := start(t)
	for value, want := range map[string]string{
		"true": "platen.ready is true: the page is not waited for", `"yes"`: "platen.ready is yes: the page is not waited for",
		"undefined": "", "null": "", "() => {}": "", "Promise.resolve()": "",
		"Object.create(null)": "platen.ready failed", "{ get then() { throw Error('no') } }": "platen.ready failed",
	} {
		_, warnings := run(t, b, task("png", `<p>x</p><script>platen.ready = `+value+`</script>`))
		got := ""
		if len(warnings) > 0 {
			got = warnings[0].Title
		}
		if got != want || len(warnings) > 1 {
			t.Errorf("%s: %+v", value, warnings)
		}
	}
}

// A page that stops its own loading gets no DOMContentLoaded.
func TestAPageThatStopsItselfIsFilledInAndPainted(t *testing.T) {
	b := start(t)
	for name, script := range map[string]string{
		"at once":              `window.stop()`,
		"alone":                `history.pushState({}, '', '#x'); window.stop()`,
		"once it is filled in": `addEventListener('DOMContentLoaded', () => window.stop())`,
	} {
		t.Run(name, func(t *testing.T) {
			stopped := task("png", `<body style="margin:0"><div id="box" style="width:200px;height:100px"></div><script>`+script+`</script><p>after`)
			stopped.Modifications = map[string]any{"box.backgroundColor": "rgb(255,0,0)"}
			outputs, warnings := run(t, b, stopped)
			if img, _ := decode(t, outputs[0].Data); !near(img, 100, 50, color.RGBA{255, 0, 0, 255}) {
				t.Errorf("not filled in: %v", img.At(100, 50))
			}
			want := []render.Warning{{Title: "A script of the page stopped its loading", Details: "window.stop() ends a page where it is: what comes after it is missing"}}
			if name == "once it is filled in" {
				want = nil
			}
			if diff := cmp.Diff(want, warnings, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("warnings: %s", diff)
			}
		})
	}
}

func TestAPageThatWouldBeLeftIsPaintedAsItIs(t *testing.T) {
	b := start(t)
	const elsewhere = "The page was to be left for http://other.invalid/next"
	for name, c := range map[string]struct{ script, want string }{
		"a script":  {`location.href = 'http://other.invalid/next'`, elsewhere},
		"a form":    {`form.submit()`, elsewhere},
		"to itself": {`form.method = 'post'; form.action = location.href; form.submit()`, "The page was to be left for itself"},
		"again":     {`location.reload()`, "The page was to be loaded again"},
		"by itself": {`setTimeout(() => location.assign('http://other.invalid/next'), 500)`, elsewhere},
	} {
		t.Run(name, func(t *testing.T) {
			outputs, warnings := run(t, b, task("png", `<body style="margin:0"><form id="form" action="http://other.invalid/next"></form>
				<div style="height:100px;background:rgb(255,0,0)"></div><script>`+c.script+`</script>`))
			if img, _ := decode(t, outputs[0].Data); !near(img, 100, 50, color.RGBA{255, 0, 0, 255}) {
				t.Errorf("painted %v", img.At(100, 50))
			}
			if titles := titlesOf(warnings); len(titles) != 1 || !strings.HasPrefix(titles[0], c.want) {
				t.Errorf("warnings %v", warnings)
			}
		})
	}
}

// pictures serves /slow.png after a while, /never.png only when the test ends, and 404 for everything else.
func pictures(t *testing.T) (url string) {
	t.Helper()
	var dot bytes.Buffer
	img := image.NewNRGBA(image.Rect(0, 0, 8, 8))
	for i := range img.Pix {
		img.Pix[i] = [4]byte{255, 0, 0, 255}[i%4]
	}
	if err := png.Encode(&dot, img); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow.png":
			select {
			case <-time.After(400 * time.Millisecond):
			case <-over:
			}
			_, _ = w.Write(dot.Bytes())
		case "/never.png":
			<-over
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(func() { close(over); server.Close() })
	return server.URL
}

// late returns a page that adds a style sheet once it is loaded.
func late(css string) string {
	return `<body style="margin:0"><p></p><script>addEventListener("load", () => document.head.append(Object.assign(document.createElement("style"), { textContent: "` + css + `" })))</script>`
}

func TestPaintingWaitsForPictures(t *testing.T) {
	url := pictures(t)
	for name, html := range map[string]string{
		"in the page":     `<body style="margin:0"><img style="width:200px;height:100px" src="` + url + `/slow.png">`,
		"behind the page": `<body style="margin:0;background:url(` + url + `/slow.png)">`,
		"by a script":     `<body style="margin:0"><script>addEventListener("load", () => { document.body.style.background = "url(` + url + `/slow.png)" })</script>`,
		"late before it":  late(`body::before { content: ''; position: absolute; inset: 0; background: url(` + url + `/slow.png) }`),
		"late content":    late(`p { margin: 0; overflow: hidden; height: 100px } p::after { content: url(` + url + `/slow.png); display: block; zoom: 30 }`),
		"late border":     late(`p { box-sizing: border-box; margin: 0; height: 100px; border: 50px solid; border-image: url(` + url + `/slow.png) 1 fill }`),
		"modification":    `<body style="margin:0">`,
	} {
		t.Run(name, func(t *testing.T) {
			picture := task("png", html)
			if name == "modification" {
				picture.Modifications = map[string]any{"canvasBackgroundImage": url + "/slow.png"}
			}
			outputs, warnings := run(t, startBehind(t, loopback, 0), picture)
			img, _ := decode(t, outputs[0].Data)
			if !near(img, 100, 50, color.RGBA{255, 0, 0, 255}) || len(warnings) != 0 {
				t.Errorf("painted too early: %v, warnings %v", img.At(100, 50), warnings)
			}
		})
	}
}

func TestMissingFilesAreNamed(t *testing.T) {
	url := pictures(t)
	_, warnings := run(t, startBehind(t, loopback, 0), task("png", `<link rel="stylesheet" href="`+url+`/style.css"><script src="`+url+`/script.js"></script>
		<style>i::after { content: url(`+url+`/after.png) }</style><i></i><img src="`+url+`/img.png"><p style="background:url('`+url+`/background.png?a=(1)')">text</p>`))
	for _, want := range []string{"/style.css", "/script.js", "/img.png", "/after.png", "/background.png?a=(1)"} {
		if !slices.ContainsFunc(warnings, func(w render.Warning) bool { return w.Title == "Could not load "+url+want }) {
			t.Errorf("no warning names %s: %v", want, warnings)
		}
	}
}

func TestAPageThatIsNotReadyIsPaintedBeforeTheDeadline(t *testing.T) {
	url := pictures(t)
	b := startBehind(t, loopback, 0)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for want, html := range map[string]string{
		"The page did not say that it is ready":  `<body style="margin:0;background:rgb(255,0,0)" data-platen-ready="false">`,
		"Could not load " + url + "/never.png":   `<body style="margin:0;background:rgb(255,0,0)"><img src="` + url + `/never.png">`,
		"The page was not loaded in time":        `<body style="margin:0;background:rgb(255,0,0)"><iframe src="` + url + `/never.png"></iframe>`,
		"Could not load " + url + "/never.png?b": `<body style="margin:0;background:rgb(255,0,0)"><script>addEventListener("load", () => { document.body.style.backgroundImage = "url(` + url + `/never.png?b)" })</script>`,
	} {
		t.Run(want, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
			defer cancel()
			var data []byte
			warnings, err := b.Render(ctx, task("png", html), render.SinkFunc(func(_ context.Context, _ file.File, emitted []byte) error { data = emitted; return nil }))
			if err != nil {
				t.Fatal(err)
			}
			img, _ := decode(t, data)
			if !near(img, 100, 90, color.RGBA{255, 0, 0, 255}) || len(warnings) != 1 || warnings[0].Title != want {
				t.Errorf("%v, warnings %v", img.At(100, 90), warnings)
			}
		})
	}
}

func TestMissingFontsAreNamed(t *testing.T) {
	_, warnings := run(t, start(t), task("png", `<style>@font-face { font-family: "Brand Sans"; src: url("data:font/woff2;base64,AAAA") }</style>
		<p style="font-family: 'Brand Sans', sans-serif">brand</p><p style="font-family: Nowhere, Arial">not installed</p>
		<p style="font-family: 'Liberation Sans', Nothing">installed</p><p style="font-family: Helvetica">as good as installed</p><p style="font-family: system-ui">generic</p>
		<p style="font-family: 'Noto Color Emoji'">🎉 without letters</p>`))
	titles := make([]string, 0, len(warnings))
	for _, w := range warnings {
		titles = append(titles, w.Title)
	}
	if want := []string{"Could not load the font Brand Sans", "Font Nowhere is not installed"}; !slices.Equal(titles, want) {
		t.Errorf("warnings %q, want %q", titles, want)
	}
}

// The nearest font is the one with almost the same name, the family that the name begins with, or one of the same kind.
// A family that only another system has is there if a later one of the list is.
func TestFamiliesOfOtherSystems(t *testing.T) {
	b := start(t)
	for list, want := range map[string]string{
		"ui-monospace, Menlo":                 "Font ui-monospace is not installed",
		"ui-monospace, Menlo, monospace":      "",
		"-apple-system":                       "Font -apple-system is not installed",
		"-apple-system, system-ui":            "",
		"system-ui":                           "",
		"BlinkMacSystemFont, Liberation Sans": "",
		"fantasy":                             "Font fantasy is not installed",
	} {
		_, warnings := run(t, b, task("png", `<p style="font-family:`+list+`">x</p>`))
		if got := append(titlesOf(warnings), "")[0]; got != want {
			t.Errorf("%s: warnings %v, want %q", list, warnings, want)
		}
	}
}

func TestAMissingFontNamesTheNearest(t *testing.T) {
	b := start(t)
	for family, want := range map[string]string{
		"Liberation Sanss": "Liberation Sans", "Liberaton Serif": "Liberation Serif", "Helvetica Neue": "Helvetica", "Arial Nova Condensed": "Arial",
		"SF Mono": "Liberation Mono", "Playfair Display": "Liberation Serif", "Open Sans": "Liberation Sans", "Roboto": "Liberation Sans", "7 Brnad Sans": "7 Brand Sans",
	} {
		page := task("png", `<p style="font-family:'`+family+`'">x`)
		page.Fonts = []render.Font{brand(t, "LiberationMono-Regular", "400")}
		_, warnings := run(t, b, page)
		if len(warnings) != 1 || warnings[0].Title != "Font "+family+" is not installed" || warnings[0].Details != "its text is shown in the next font that is named, else in a serif one; the nearest that you can name is "+want {
			t.Errorf("%s: warnings %v, want %s", family, warnings, want)
		}
	}
}

func TestWarningsNameWhatIsWrong(t *testing.T) {
	faulty := task("png", `<p data-param="headline"></p><script>console.error("no data", 7); Promise.reject(new Error("late"));</script>`)
	faulty.Modifications = map[string]any{"headline": "x", "headlnie": "typo"}
	_, warnings := run(t, start(t), faulty)
	for _, want := range []string{"Console error: no data 7", "Script error: Error: late", "Modification headlnie is not used by the page"} {
		if !slices.ContainsFunc(warnings, func(w render.Warning) bool { return w.Title == want }) {
			t.Errorf("%q is missing in %v", want, warnings)
		}
	}
}

// kubectl reads the key n of a manifest as false.
func TestAKeyWithoutQuotesIsNamed(t *testing.T) {
	page := task("png", `<p data-param="n"></p>`)
	page.Modifications = map[string]any{"false": 5}
	_, warnings := run(t, start(t), page)
	const want = "no element names it in data-param, data-if, data-each or data-param-href; put quotes around n, which YAML reads as false without them (kubectl edit shows it as \"false\": make it \"n\")"
	if len(warnings) != 1 || warnings[0].Details != want {
		t.Errorf("warnings %v, want %q", warnings, want)
	}
}

// The short form of YAML ends a text at its comma.
func TestAKeyThatIsTheRestOfATextIsNamed(t *testing.T) {
	page := task("png", `<p data-param="headline"></p>`)
	page.Modifications = map[string]any{"headline": "Hello", "summer": nil}
	_, warnings := run(t, start(t), page)
	const want = "no element names it in data-param, data-if, data-each or data-param-href; it has no value, as summer has none in {headline: Hello, summer}: " +
		"put quotes around a text that has a comma, and write 12.50 for 12,50"
	if len(warnings) != 1 || warnings[0].Title != "Modification summer is not used by the page" || warnings[0].Details != want {
		t.Errorf("warnings %v, want %q", warnings, want)
	}
}

func TestAModificationNeedsOnePageThatUsesIt(t *testing.T) {
	several := task("png", `<p data-param="headline">`, `<p data-param="points">`)
	several.Modifications = map[string]any{"headline": "x", "points": "y", "page2@footer": "z", "page1@headline": "w"}
	_, warnings := run(t, start(t), several)
	if len(warnings) != 1 || warnings[0].Title != "Modification page2@footer is not used by the page" {
		t.Errorf("warnings %v", warnings)
	}
}

func TestModificationsThatAreNotUsed(t *testing.T) {
	b := start(t)
	pages := []string{`<h1 id="title" data-param="headline">x</h1><p id="gone" data-if="never">x</p><b data-param="order.total">5</b>`, `<a id="link">x</a>`}
	for name, c := range map[string]struct {
		only  int // the page that is rendered; 0 is both
		given map[string]any
		want  []string
	}{
		"pages that do not exist": {given: map[string]any{"page9@headline": "x", "page0@headline": "x", "page02@title.color": "red", "page99999@x": "x"}, want: []string{
			"Modification page02@title.color: the template has 2 pages", "Modification page0@headline: the template has 2 pages",
			"Modification page99999@x: the template has 2 pages", "Modification page9@headline: the template has 2 pages",
		}},
		"a page that is not rendered": {only: 2, given: map[string]any{"page1@headline": "x", "page1@headlin": "x", "page3@headline": "x"}, want: []string{"Modification page1@headlin is not used by page 1", "Modification page3@headline: the template has 2 pages"}},
		"elements of one page":        {given: map[string]any{"title.color": "red", "title.width": 20.0, "link.href": "https://example.com", "gone.color": "red", "order.total": 7.0}},
		"an element of no page":       {given: map[string]any{"titel.color": "red"}, want: []string{"Modification titel.color names no element"}},
		"an element of another page":  {given: map[string]any{"page2@title.color": "red"}, want: []string{"Modification page2@title.color names no element"}},
		"names without a meaning":     {given: map[string]any{".color": "red", "canvasBackgroundColour": "red"}, want: []string{"Modification .color is not used by the page", "Modification canvasBackgroundColour is not used by the page"}},
		"what need not be used":       {only: 2, given: map[string]any{"optional": "x", "optional.color": "red", "headlin": "x"}, want: []string{"Modification headlin is not used by the page"}},
	} {
		t.Run(name, func(t *testing.T) {
			picture := task("png", pages...)
			picture.TemplatePages, picture.Modifications, picture.MayBeUnused = 2, c.given, []string{"optional", "optional.color", "page1@headline"}
			if c.only > 0 {
				picture.Pages = picture.Pages[c.only-1 : c.only]
			}
			_, warnings := run(t, b, picture)
			if diff := cmp.Diff(c.want, titlesOf(warnings), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

// Conditions of other template languages hide what they are on.
func TestConditionsOfOtherLanguages(t *testing.T) {
	picture := task("png", `<p data-if="not open">a</p><p data-if="open and sale">b</p><i data-param="salt and pepper">x</i><b data-if="salt and pepper">y</b><b data-if="this or that">y</b><i date-param="open">x</i>`)
	picture.Modifications = map[string]any{"open": false, "this or that": "x"}
	picture.MayBeUnused = []string{"open"}
	_, warnings := run(t, start(t), picture)
	want := []render.Warning{
		{Title: `data-if="not open" names no value`, Details: `did you mean data-if="!open"?`},
		{Title: `data-if="open and sale" names no value`, Details: "it must be one name, such as open, or !open for the opposite; an element within another asks for both"},
		{Title: "date-param is no attribute of Platen", Details: "did you mean data-param?"},
	}
	if diff := cmp.Diff(want, warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

// A script that reads values by name uses these alone: a render warns of what lint and the plugin warn of.
func TestModificationsThatScriptsRead(t *testing.T) {
	b := start(t)
	for _, page := range []string{
		`<body><script>document.body.style.background = platen.modifications.accent</script>`,
		`<body><script>document.body.style.background = window.platen?.modifications?.["accent"]; platen . modifications [ 'the.color' ]</script>`,
		`<body onload="document.body.style.background = platen.modifications.accent">`,
		`<svg><script>platen.modifications.accent</script></svg><script>const modifications = 1</script>`,
		`<script type="module">let a = platen.modifications.accent.length, b = platen.modifications.größe</script>`,
		`<script>const m = platen.modifications; m.accent</script>`,
		`<script>const { modifications: { accent } } = platen</script>`,
		`<script>platen.modifications.hasOwnProperty('accent')</script>`,
		`<script>for (const name of ['accent']) platen.modifications[name]</script>`,
		`<script>window["platen"]["modifications"].accent</script>`,
		`<template><script>draw(platen.modifications)</script></template>`,
		`<p>platen.modifications</p>`,
	} {
		t.Run(page, func(t *testing.T) {
			picture := task("png", page)
			picture.Modifications = map[string]any{"accent": "red", "acent": "red", "the.color": "red", "größe": 1.0}
			names, want := bindings.NamesOf(page), []string(nil)
			for key := range picture.Modifications {
				switch {
				case key == "the.color" && !names.Uses(key):
					want = append(want, "Modification the.color names no element") // only a render knows what elements a script makes
				case key != "the.color" && !names.MayUse(key):
					want = append(want, fmt.Sprintf("Modification %s is not used by the page", key))
				}
			}
			slices.Sort(want)
			_, warnings := run(t, b, picture)
			got := slices.DeleteFunc(titlesOf(warnings), func(title string) bool { return !strings.HasPrefix(title, "Modification ") })
			slices.Sort(got)
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			for _, w := range warnings {
				if w.Title == "Modification acent is not used by the page" && names.Uses("accent") != strings.HasSuffix(w.Details, "; did you mean accent?") {
					t.Errorf("details %q", w.Details)
				}
			}
		})
	}
}

// A script that no page can load reads no values.
func TestAScriptWithoutAnAddressUsesNothing(t *testing.T) {
	picture := task("png", `<script src="/js/main.js"></script><h1 data-param="headline">x</h1>`)
	picture.Modifications = map[string]any{"headlin": "x"}
	_, warnings := run(t, start(t), picture)
	if want := []string{"Could not load js/main.js", "Modification headlin is not used by the page"}; !slices.Equal(titlesOf(warnings), want) {
		t.Errorf("warnings %v, want %v", warnings, want)
	}
}

// A warning says what is meant: a name, an element, or a field of an object.
func TestModificationsThatAreMistyped(t *testing.T) {
	picture := task("png", `<h1 id="title" data-param="headline">x</h1><b data-param="order.total">5</b>`)
	picture.Modifications = map[string]any{"headlin": "x", "titel.color": "red", "order.totl": 7.0, "order.tax": 7.0, "titel": "x", "page1@title": "x", "order.color": "red", "ordr.color": "red"}
	_, warnings := run(t, start(t), picture)
	got := map[string]string{}
	for _, warning := range warnings {
		_, hint, _ := strings.Cut(warning.Details, "; did you mean ")
		got[warning.Title] = hint
	}
	want := map[string]string{
		"Modification headlin is not used by the page": "headline?", "Modification titel.color names no element": "title.color?",
		"Modification order.totl names no element": "order.total?", "Modification order.tax names no element": "",
		"Modification titel is not used by the page": "", "Modification page1@title is not used by the page": "", // an id is no key without a style
		"Modification order.color names no element": "", "Modification ordr.color names no element": "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

// A style of an element of a page that is not rendered cannot be set, but its name can be wrong.
func TestStylesOfPagesThatAreNotRendered(t *testing.T) {
	picture := task("png", `<h1>x</h1>`)
	keys := []string{"page2@title.colr", "title.Font-Size", "title.--mine", "title.fontSiz", "title.fill", "title.svgColor"}
	picture.TemplatePages, picture.MayBeUnused, picture.StylesElsewhere = 2, keys, keys
	picture.Modifications = map[string]any{}
	for _, key := range keys {
		picture.Modifications[key] = "x"
	}
	_, warnings := run(t, start(t), picture)
	want := []render.Warning{
		{Title: "Modification page2@title.colr names no CSS property", Details: "its element is on a page that is not rendered; did you mean page2@title.color?"},
		{Title: "Modification title.fontSiz names no CSS property", Details: "its element is on a page that is not rendered; did you mean title.fontSize?"},
	}
	if diff := cmp.Diff(want, warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestWhatAKeyMayHaveMeant(t *testing.T) {
	picture := task("png", `<h1 id="title" data-param="headline">x</h1><p data-if="!sold">x</p>`)
	picture.Modifications = map[string]any{"headlin": "x", "titel.color": "red", "headlien.color": "red", "solt": true, "poster": "x", "page1@headlin": "x",
		"pag1@headline": "x", "Page1@title.color": "red", "pag9@headline": "x", strings.Repeat("x", 100000): "x"}
	_, warnings := run(t, start(t), picture)
	details := make([]string, 0, len(warnings))
	for _, w := range warnings {
		_, hint, _ := strings.Cut(w.Details, "; ")
		details = append(details, hint)
	}
	want := []string{
		"did you mean page1@title.color?", "did you mean headline.color?", "did you mean headline?", "did you mean page1@headline?", "", "did you mean page1@headline?", "",
		"did you mean sold?", "did you mean title.color?", "",
	}
	if diff := cmp.Diff(want, details); diff != "" {
		t.Errorf("hints (-want +got):\n%s\n%v", diff, warnings)
	}
}

func TestWhatAStyleMayHaveMeant(t *testing.T) {
	picture := task("png", `<h1 id="title">x</h1>`)
	keys := []string{"page2@link.colr", "link.nonsense"}
	picture.TemplatePages, picture.MayBeUnused, picture.StylesElsewhere = 2, keys, keys
	picture.Modifications = map[string]any{
		"title.colr": "red", "page1@title.fontSiz": 3, "title.back-ground-colour": "red", "title.dropShadowBlurr": 3, "title.hreff": "x", "title.size": 40, "title.weight": 700, "title.nonsense": 1, "title." + strings.Repeat("x", 10000): 1,
	}
	_, warnings := run(t, start(t), picture)
	details := map[string]string{}
	for _, w := range warnings {
		if key, ok := strings.CutSuffix(strings.TrimPrefix(w.Title, "Modification "), " names no CSS property"); ok && len(key) < 50 {
			details[key] = w.Details
		}
	}
	want := map[string]string{
		"title.colr": "did you mean title.color?", "title.fontSiz": "did you mean title.fontSize?", "title.back-ground-colour": "did you mean title.backgroundColor?",
		"title.dropShadowBlurr": "did you mean title.dropShadowBlur?", "title.hreff": "did you mean title.href?", "title.nonsense": "",
		"title.size": "did you mean title.fontSize?", "title.weight": "did you mean title.fontWeight?",
		"page2@link.colr": "its element is on a page that is not rendered; did you mean page2@link.color?", "link.nonsense": "its element is on a page that is not rendered",
	}
	if diff := cmp.Diff(want, details); diff != "" {
		t.Errorf("hints (-want +got):\n%s\n%v", diff, warnings)
	}
}

// A URL that a page may not have is in the warning, with what is expected, and so is a key that one cannot see.
func TestWarningsShowWhatWasGiven(t *testing.T) {
	picture := task("png", `<img data-param="photo"><a id="link" data-param-href="shop">x</a>`)
	picture.Modifications = map[string]any{"photo": "a.png", "canvasBackgroundImage": "file:///etc/passwd", "link.href": "javascript:x", "shop": "ftp://x.example", "": "x", "page1@": "x", "head line": "x"}
	_, warnings := run(t, start(t), picture)
	want := []render.Warning{
		{Title: `Modification "" is not used by the page`, Details: "no element names it in data-param, data-if, data-each or data-param-href"},
		{Title: `Modification "head line" is not used by the page`, Details: "no element names it in data-param, data-if, data-each or data-param-href"},
		{Title: `Modification canvasBackgroundImage: "file:///etc/passwd" is no image URL`, Details: "it must begin with http://, https:// or data:image/; the template's own background is kept"},
		{Title: `Modification link.href: "javascript:x" is no link that is allowed`, Details: "it must begin with http://, https://, mailto: or tel:"},
		{Title: `Modification page1@ is not used by the page`, Details: "no element names it in data-param, data-if, data-each or data-param-href"},
		{Title: `Modification photo: "a.png" is no image URL`, Details: "it must begin with http://, https:// or data:image/"},
		{Title: `Modification shop: "ftp://x.example" is no link that is allowed`, Details: "it must begin with http://, https://, mailto: or tel:"},
	}
	slices.SortFunc(warnings, func(a, b render.Warning) int { return strings.Compare(a.Title, b.Title) })
	if diff := cmp.Diff(want, warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

// An address makes no link of an element that is none: a warning says so, once for each key. Links in a drawing and what else has an address take it.
func TestLinksOfWhatIsNoLink(t *testing.T) {
	picture := task("png", `<p data-param="title">x</p><i data-param="title">x</i><img id="logo" alt=""><b data-each="list" data-param-href="item">x</b>
		<a id="a">x</a><svg><a id="drawn"><text>x</text></a></svg><link id="style" rel="alternate">
		<script>addEventListener('load', () => { for (const id of ['a', 'drawn', 'style']) if (!/^https:.*[/]y$/.test(document.getElementById(id).getAttribute('href'))) console.error(id) })</script>`)
	const url = "https://x.example/y"
	picture.Modifications = map[string]any{"title.href": url, "logo.href": url, "list": []any{url, url}, "a.href": url, "drawn.href": url, "style.href": url}
	_, warnings := run(t, start(t), picture)
	want := []render.Warning{
		{Title: "Modification list[0]: the element b is no link", Details: `only an a is a link; put the b into one, such as <a data-param-href="shop">`},
		{Title: "Modification logo.href: the element img is no link", Details: `only an a is a link; put the img into one, such as <a data-param-href="shop">`},
		{Title: "Modification title.href: the element p is no link", Details: `only an a is a link; put the p into one, such as <a data-param-href="shop">`},
	}
	slices.SortFunc(warnings, func(a, b render.Warning) int { return strings.Compare(a.Title, b.Title) })
	if diff := cmp.Diff(want, warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

// What an attribute of Platen does not take, and a name that is nearly one of them, does nothing: a warning says so.
func TestMistypedAttributes(t *testing.T) {
	picture := task("png", `<style>[data-ift] { color: red }</style><script>x = (el) => el.dataset.parms</script><h1 data-parm="headline" data-ift="x" data-parms="x" data-id="1" data-name="x">x</h1>
		<p data-fit="shrnk">x</p><p data-fit="shrnk">y</p><p data-fit="shrink" data-platen-ready="true">x</p><p data-platen-ready="no">x</p><p data-if="price > 5">x</p>
		<p data-param=" headline">x</p><p data-each="">x</p><p data-if="!paid">x</p><p data-param="first name">x</p><p data-param="a=b">x</p><template><p data-fit="x">x</p></template>`)
	picture.Pages[0].Height = 600
	picture.Modifications = map[string]any{"first name": "Ada", "a=b": "c", "paid": true, "price": 7.0}
	picture.MayBeUnused = []string{"price"}
	_, warnings := run(t, start(t), picture)
	want := []string{
		"data-parm is no attribute of Platen", `data-fit="shrnk" does nothing`, `data-platen-ready="no" does nothing`, `data-if="price > 5" names no value`,
		`data-param=" headline" names no value`, `data-each="" names no value`,
	}
	if diff := cmp.Diff(want, titlesOf(warnings)); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	if warnings[0].Details != "did you mean data-param?" || warnings[1].Details != "it must be shrink or truncate" {
		t.Errorf("details %q, %q", warnings[0].Details, warnings[1].Details)
	}
}

// Nothing fills the placeholders of other template languages: a warning says so, and what does in their place. A page with a script may fill them.
func TestPlaceholdersOfOtherTemplateLanguages(t *testing.T) {
	b := start(t)
	const advice, ofStyle, ofFile = `Platen fills elements by their attributes: data-param="headline" with a value`,
		"a modification sets a style: card.backgroundImage, for instance, that of the element with the id card",
		"the browser asks for it as it is: give an img data-param in place of such a src, and set a style by a modification: card.backgroundImage, for instance, that of the element with the id card"
	for name, c := range map[string]struct {
		page string
		want []render.Warning
	}{
		"a text":          {`<p>until {{until}}</p><p>until {{until}}</p>`, []render.Warning{{Title: "{{until}} is shown as it is", Details: advice}}},
		"a style element": {`<style>p { color: {{accent}} }</style><p>x`, []render.Warning{{Title: "{{accent}} in a style stays as it is", Details: ofStyle}}},
		"a style attribute": {`<p style="background:url('{{photo}}')">x`, []render.Warning{
			{Title: "{{photo}} in a style stays as it is", Details: ofStyle},
			{Title: "Could not load {{photo}}", Details: ofFile},
		}},
		"code, and values of Platen's attributes": {`<pre>{{x}}</pre><code><b>{{x}}</b></code><p data-param="headline">x</p><template>{{x}}</template><p>{ x }`, nil},
		"what is not shown":                       {`<title>{{x}}</title><meta name="x" content="{{x}}"><p>x`, nil},
		"a value in its place":                    {`<p data-param="headline">{{headline}}</p><p id="card" style="color:{{accent}}">x`, nil},
		"in each item":                            {`<ul><li data-each="rows">{{row}}</li></ul>`, []render.Warning{{Title: "{{row}} is shown as it is", Details: advice}}},
		"the address of a picture":                {`<img alt="" src="{{photo}}">`, []render.Warning{{Title: "Could not load {{photo}}", Details: ofFile}}},
		"a picture in its place":                  {`<img alt="" data-param="photo" src="{{photo}}">`, nil},
		"a style of what a value fills":           {`<p data-param="headline" style="color:{{accent}}">x`, []render.Warning{{Title: "{{accent}} in a style stays as it is", Details: ofStyle}}},
		"a style without spaces":                  {`<style>p{color:{{accent}}}</style><p>x`, []render.Warning{{Title: "{{accent}} in a style stays as it is", Details: ofStyle}}},
		"a text and a style":                      {`<p style="color:{{x}}">{{x}}`, []render.Warning{{Title: "{{x}} is shown as it is", Details: advice}, {Title: "{{x}} in a style stays as it is", Details: ofStyle}}},
		"a link":                                  {`<a href="{{shop}}">x</a>`, []render.Warning{{Title: "{{shop}} in a link stays as it is", Details: `Platen fills a link by its attribute data-param-href="shop" with its address`}}},
		"a handler":                               {`<body onload="p.textContent = 1"><p id="p">{{x}}`, nil},
		"what nobody sees":                        {`<p class="{{x}}" title="{{x}}" aria-label="{{x}}">x<span hidden>{{x}}</span><kbd>{{x}}</kbd>`, nil},
		"a page with a script":                    {`<p>{{x}}</p><script></script>`, nil},
		"a value":                                 {`<p data-param="headline">x</p>`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			picture := task("png", c.page)
			picture.Modifications = map[string]any{
				"headline": "{{x}}", "card.color": "red", "rows": []any{"a", "b"}, "photo": "data:image/svg+xml,%3Csvg%20xmlns='http://www.w3.org/2000/svg'/%3E",
			}
			picture.MayBeUnused = []string{"headline", "card.color", "rows", "photo"}
			_, warnings := run(t, b, picture)
			if diff := cmp.Diff(c.want, warnings, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

// Scripts name an item of a list by its number in brackets: a warning says that this is no name, unless a job gives a value of that name.
func TestBracketsAreNoName(t *testing.T) {
	picture := task("png", `<p data-each="rows" data-param="item">x</p><p data-param="rows[0].name">x</p><p data-if="user?.name">x</p><p data-param="user..name">x</p><p data-param="rows[1]">x</p><p data-param="Why?">x</p><p data-if="! sold">x</p>`)
	picture.Pages[0].Height = 600
	picture.Modifications = map[string]any{"rows": []any{"a"}, "rows[1]": "x", "Why?": "x", "user": map[string]any{"name": "Ada"}, "sold": true}
	_, warnings := run(t, start(t), picture)
	want := []string{`data-param="rows[0].name" names no value`, `data-if="user?.name" names no value`, `data-param="user..name" names no value`, `data-if="! sold" names no value`, "Modification sold is not used by the page"}
	if diff := cmp.Diff(want, titlesOf(warnings)); diff != "" {
		t.Fatalf("warnings (-want +got):\n%s", diff)
	}
	if details := warnings[4].Details; strings.Contains(details, "did you mean") {
		t.Errorf("details %q", details)
	}
}

// Other template languages have a dot for the item of a list: a warning says how it is called here.
func TestADotIsNoName(t *testing.T) {
	picture := task("png", `<p data-each="points" data-param=".">x</p>`)
	picture.Modifications = map[string]any{"points": []any{"a", "b"}}
	_, warnings := run(t, start(t), picture)
	if diff := cmp.Diff([]string{`data-param="." names no value`}, titlesOf(warnings)); diff != "" {
		t.Fatalf("warnings (-want +got):\n%s", diff)
	}
	if !strings.Contains(warnings[0].Details, "an item of a list is item") {
		t.Errorf("details %q", warnings[0].Details)
	}
}

func TestAWarningOfOnePageSaysWhich(t *testing.T) {
	several := task("png", `<p>x</p><script>console.error("all")</script>`, `<p style="font-family:Nowhere">x</p><img src="foo.png"><script>console.error("all")</script>`)
	several.ExtraSizes = []render.Size{{Name: "story", Width: 300, Height: 200}}
	_, warnings := run(t, start(t), several)
	want := []render.Warning{
		{Title: "Console error: all"},
		{Title: "Could not load foo.png", Details: "page 2: a page has no address of its own, so it has no relative URLs; use an https: or data: URL"},
		{Title: "Font Nowhere is not installed", Details: "page 2: its text is shown in the next font that is named, else in a serif one; the nearest that you can name is Liberation Sans"},
	}
	slices.SortFunc(warnings, func(a, b render.Warning) int { return strings.Compare(a.Title, b.Title) })
	if diff := cmp.Diff(want, warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestAWarningOfSomeSizesSaysWhich(t *testing.T) {
	one := task("png", `<h1 style="margin:0;font:40px DejaVu Sans">Donaudampfschiff</h1>`)
	one.Pages[0].Width = 800
	one.ExtraSizes = []render.Size{{Name: "300x300", Width: 300, Height: 300}, {Name: "story", Width: 900, Height: 300}}
	_, warnings := run(t, start(t), one)
	if len(warnings) != 1 || !strings.HasPrefix(warnings[0].Details, "in 300x300: ") {
		t.Errorf("%v", warnings)
	}
	two := render.Task{Pages: []render.Page{{Number: 1}, {Number: 2}}, ExtraSizes: one.ExtraSizes}
	everywhere, own, second := render.Warning{Title: "everywhere"}, render.Warning{Title: "own", Details: "x"}, render.Warning{Title: "second"}
	reports := []report{ // pages 1 and 2 in their own sizes, then in each other one
		{Warnings: []render.Warning{everywhere, own}}, {Warnings: []render.Warning{everywhere, own}},
		{Warnings: []render.Warning{everywhere}}, {Warnings: []render.Warning{everywhere, second}},
		{Warnings: []render.Warning{everywhere}}, {Warnings: []render.Warning{everywhere, second}},
	}
	want := []render.Warning{{Title: "everywhere"}, {Title: "own", Details: "in its own size: x"}, {Title: "second", Details: "page 2 in 300x300, story"}}
	if diff := cmp.Diff(want, allWarnings(two, reports)); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

// A picture in a data: URL that is none is named, wherever it is.
func TestBrokenPicturesInThePageAreNamed(t *testing.T) {
	b := start(t)
	for name, html := range map[string]string{
		"behind":    `<p style="background:url(data:image/png;base64,AAA)">x`,
		"as a mask": `<p style="mask:url(data:image/png;base64,ABCD)">x`,
		"in SVG":    `<svg><image width=9 height=9 href="data:image/png;base64,AAA" /></svg>`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, warnings := run(t, b, task("png", html)); len(warnings) != 1 || !strings.HasPrefix(warnings[0].Title, "Could not load data:image/png;base64,A") {
				t.Errorf("warnings %v", warnings)
			}
		})
	}
}

// What the template has in place of a value is no matter once there is one, or once the element is not there.
func TestPicturesThatValuesReplaceAreNotNamed(t *testing.T) {
	b := start(t)
	const dot = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
	for page, want := range map[string][]string{
		`<img alt="" data-param="photo" src="logo.png">`:                                          nil,
		`<img alt="" data-param="photo" src="data:image/png;base64,AAAA">`:                        nil,
		`<p data-each="photos"><img alt="" data-param="item" src="logo.png"></p>`:                 nil,
		`<p data-each="none"><img alt="" src="logo.png"></p>`:                                     nil,
		`<p data-if="sold"><img alt="" src="logo.png"></p>`:                                       nil,
		`<img alt="" data-param="optional" src="logo.png">`:                                       {"Could not load logo.png"},
		`<img alt="" data-param="photo" src="logo.png"><img alt="" src="logo.png">`:               {"Could not load logo.png"},
		`<img alt="" data-param="photo" src="logo.png"><p style="background:url(logo.jpg)">x</p>`: {"Could not load logo.jpg"},
	} {
		picture := task("png", page)
		picture.Modifications = map[string]any{"photo": dot, "photos": []any{dot}, "none": []any{}, "sold": false}
		picture.MayBeUnused = []string{"photo", "photos", "none", "sold"}
		if _, warnings := run(t, b, picture); !slices.Equal(titlesOf(warnings), want) {
			t.Errorf("%s: %v, want %v", page, warnings, want)
		}
	}
}

// An empty text takes a link away.
func TestAnEmptyAddressIsNoLink(t *testing.T) {
	picture := task("png", `<style>body { margin: 0 } a { display: block; height: 100px; background: lime } a:link { background: red }</style><a data-param-href="tel" href="tel:1">x</a>`)
	picture.Modifications = map[string]any{"tel": ""}
	outputs, warnings := run(t, start(t), picture)
	if img, _ := decode(t, outputs[0].Data); !near(img, 150, 50, color.RGBA{0, 255, 0, 255}) || len(warnings) > 0 {
		t.Errorf("%v, %v", img.At(150, 50), warnings)
	}
}

// A condition may remove the page itself.
func TestAPageThatAConditionRemoves(t *testing.T) {
	b := start(t)
	for _, page := range []string{`<html data-if="sold"><body>x`, `<body data-if="sold">x`} {
		picture := task("png", page)
		picture.Modifications = map[string]any{"sold": false}
		if outputs, warnings := run(t, b, picture); len(outputs) != 1 || len(warnings) > 0 {
			t.Errorf("%s: %d files, %v", page, len(outputs), warnings)
		}
	}
}

// The browser loads no file for a picture, whatever an SVG file names.
func TestFilesThatSVGPicturesNameAreNamed(t *testing.T) {
	const (
		head, title = `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="90" height="50">`, "An SVG picture is shown without a file that it names: "
		gif         = `data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=`
	)
	drawings := map[string]struct{ drawing, file string }{
		"/image":      {head + `<image width="9" xlink:href="logo.png"/></svg>`, "logo.png"},
		"/use":        {head + `<use href='icons.svg#a'/></svg>`, "icons.svg#a"},
		"/html":       {head + `<foreignObject><img xmlns="http://www.w3.org/1999/xhtml" alt="" src="https://page.invalid/x.png"/></foreignObject></svg>`, "https://page.invalid/x.png"},
		"/import":     {head + `<style>@import url("https://page.invalid/font.css");</style></svg>`, "https://page.invalid/font.css"},
		"/import2":    {head + `<style>@import 'font.css';</style></svg>`, "font.css"},
		"/font":       {head + `<style>@font-face { font-family: X; src: url(https://page.invalid/x.woff2) }</style></svg>`, "https://page.invalid/x.woff2"},
		"/style":      {head + `<rect style="fill: url(&quot;other.svg#g&quot;)"/></svg>`, "other.svg#g"},
		"/sheet":      {`<?xml-stylesheet type="text/css" href="style.css"?>` + head + `</svg>`, "style.css"},
		"/all inside": {head + `<!-- <image href="x.png"/> --><linearGradient id="g"/><a href="https://example.com/"><rect style="fill: url(&quot;#g&quot;)"/></a><use xlink:href="#g"/><image href="` + gif + `"/></svg>`, ""},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "image/svg+xml")
		_, _ = io.WriteString(w, drawings[r.URL.Path].drawing)
	}))
	t.Cleanup(server.Close)
	b := startBehind(t, loopback, 0)
	for path, c := range drawings {
		for place, html := range map[string]string{
			"a server": `<img src="` + server.URL + strings.ReplaceAll(path, " ", "%20") + `">`,
			"a style":  `<p style="background:url(` + server.URL + strings.ReplaceAll(path, " ", "%20") + `)">x</p>`,
			"data":     `<img src="data:image/svg+xml;base64,` + base64.StdEncoding.EncodeToString([]byte(c.drawing)) + `">`,
			"a blob":   "<img id=i><script>i.src = URL.createObjectURL(new Blob([`" + c.drawing + "`], { type: 'image/svg+xml' }))</script>",
		} {
			_, warnings := run(t, b, task("png", "<!doctype html>"+html))
			if got := titlesOf(warnings); c.file == "" && len(got) != 0 || c.file != "" && !slices.Equal(got, []string{title + c.file}) {
				t.Errorf("%s, %s: warnings %v, want %q", place, path, warnings, c.file)
			}
		}
	}
}

// A picture has several addresses: the one that the browser has tried is named.
func TestTheAddressThatWasTriedIsNamed(t *testing.T) {
	b := start(t)
	const there = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="
	for html, want := range map[string]string{
		`<picture><source srcset="https://page.invalid/x.avif" type="image/avif"><img src="` + there + `"></picture>`: "https://page.invalid/x.avif",
		`<img src="` + there + `" srcset="https://page.invalid/x.png 1x">`:                                            "https://page.invalid/x.png",
		`<img src="https://page.invalid/y.png" onerror="this.onerror = null; this.src = '` + there + `'">`:            "https://page.invalid/y.png",
	} {
		_, warnings := run(t, b, task("png", html))
		if got := titlesOf(warnings); !slices.Equal(got, []string{"Could not load " + want}) {
			t.Errorf("%s: warnings %q, want %q", html, got, want)
		}
	}
}

// A source for other browsers, or for other windows, is none that is missing.
func TestSourcesThatAreNotTriedAreNotNamed(t *testing.T) {
	b := start(t)
	url := video(t)
	for html, want := range map[string]string{
		`<source src="data:video/quicktime,x" type='video/quicktime; codecs="hvc1"'><source src="` + url + `" type="video/webm">`: "",
		`<source src="data:video/webm,x" media="(max-width:100px)"><source src="` + url + `">`:                                    "",
		`<source src="data:video/webm,x" type="video/webm"><source src="` + url + `">`:                                            "Could not load data:video/webm,x",
		`<source src="data:video/quicktime,x" type="video/quicktime">`:                                                            "Could not load data:video/quicktime,x",
		`<source src="` + url + `"><source src="data:video/quicktime,x" type="video/quicktime">`:                                  "",
	} {
		_, warnings := run(t, b, task("png", "<video muted autoplay>"+html+"</video>"))
		if got := titlesOf(warnings); want == "" && len(got) != 0 || want != "" && !slices.Equal(got, []string{want}) {
			t.Errorf("%.150s: warnings %q, want %q", html, got, want)
		}
	}
}

func TestCanvasesThatAreTooLargeAreNamed(t *testing.T) {
	b := start(t)
	for size, want := range map[string]int{"width=65536 height=1": 1, "width=1 height=65536": 1, "width=20000 height=20000": 1, "width=65535 height=9": 0, "width=9 height=65535": 0} {
		_, warnings := run(t, b, task("png", `<canvas id=c style="width:9px;height:9px" `+size+`></canvas><script>c.getContext('2d').fillRect(0, 0, 9, 9)</script>`))
		if len(warnings) != want || want == 1 && !strings.HasPrefix(warnings[0].Title, "A canvas is too large: ") {
			t.Errorf("%s: warnings %v", size, warnings)
		}
	}
}

// The browser shows what is there of a picture that ends early, and says nothing.
func TestPicturesThatEndEarlyAreNamed(t *testing.T) {
	b := start(t)
	img := image.NewRGBA(image.Rect(0, 0, 60, 60))
	for i := range img.Pix {
		img.Pix[i] = byte(i * i / 7)
	}
	if _, warnings := run(t, b, task("png", `<img src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=">`)); len(warnings) != 0 {
		t.Errorf("a pixel that holds a place: warnings %v", warnings)
	}
	encoders := map[string]func(io.Writer) error{
		"png":  func(w io.Writer) error { return png.Encode(w, img) },
		"jpeg": func(w io.Writer) error { return jpeg.Encode(w, img, nil) },
		"gif":  func(w io.Writer) error { return gif.Encode(w, img, nil) },
	}
	for format, encode := range encoders {
		t.Run(format, func(t *testing.T) {
			var file bytes.Buffer
			if err := encode(&file); err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct {
				data []byte
				want int
			}{{file.Bytes(), 0}, {file.Bytes()[:file.Len()*2/3], 1}, {append(bytes.Clone(file.Bytes()), "and more"...), 0}, {append(bytes.Clone(file.Bytes()), 0, 0), 0}} {
				url := "data:image/" + format + ";base64," + base64.StdEncoding.EncodeToString(c.data)
				for _, html := range []string{`<img src="` + url + `">`, `<img src="` + strings.ReplaceAll(url, "=", "%3D") + `">`, `<p style="background:url(` + url + `)">x`} {
					_, warnings := run(t, b, task("png", html+`<img src="`+url+`">`))
					if len(warnings) < c.want || c.want == 0 && len(warnings) != 0 || c.want == 1 && !strings.HasPrefix(warnings[0].Title, "A picture ends early: data:image/"+format) {
						t.Errorf("%d bytes: warnings %v", len(c.data), warnings)
					}
				}
			}
		})
	}
}

// A caret blinks: it would be in a picture or not, by the time that the page takes.
func TestNoCaretIsPainted(t *testing.T) {
	b := start(t)
	for name, html := range map[string]string{
		"a field":           `<input autofocus style="border:0;outline:0;font-size:50px">`,
		"a shadow":          `<x-a><template shadowrootmode=open><input id=i style="border:0;outline:0;font-size:50px"></template></x-a><script>document.querySelector('x-a').shadowRoot.getElementById('i').focus()</script>`,
		"a text":            `<div contenteditable id=e style="outline:0;font-size:50px;height:60px"></div><script>e.focus()</script>`,
		"a text in a frame": `<iframe style="border:0" srcdoc="<div contenteditable id=e style='outline:0;font-size:50px;height:60px'></div><script>e.focus()</script>"></iframe>`,
	} {
		t.Run(name, func(t *testing.T) {
			outputs, _ := run(t, b, task("png", `<!doctype html><body style="margin:0">`+html))
			blank, _ := run(t, b, task("png", `<!doctype html>`))
			if !bytes.Equal(outputs[0].Data, blank[0].Data) {
				t.Error("the page is not blank")
			}
		})
	}
}

func TestBrokenImageBecomesAWarning(t *testing.T) {
	b := start(t)
	_, warnings := run(t, b, task("png", `<img src="data:image/png;base64,AAAA"><script>nope()</script>`))
	titles := make([]string, 0, len(warnings))
	for _, w := range warnings {
		titles = append(titles, w.Title)
	}
	if got := strings.Join(titles, "\n"); !strings.Contains(got, "Could not load data:image/png") || !strings.Contains(got, "nope is not defined") {
		t.Errorf("got %q", got)
	}
}

// Chromium paints a frame, or an icon and the alternative text, in place of a picture that has no address.
func TestAPictureWithoutAValuePaintsNothing(t *testing.T) {
	b := start(t)
	const file = `data:image/svg+xml,%3Csvg%20xmlns='http://www.w3.org/2000/svg'%20style='background:lime'/%3E`
	lime, white, grey := color.RGBA{0, 255, 0, 255}, color.RGBA{255, 255, 255, 255}, color.RGBA{128, 128, 128, 255}
	for name, c := range map[string]struct {
		img  string
		want color.RGBA
	}{
		"no value":           {`<img data-param="photo" width="60" height="60">`, white},
		"alternative text":   {`<img data-param="photo" alt="Ada" width="60" height="60">`, white},
		"an empty address":   {`<img data-param="photo" src="" alt="Ada" style="width:60px;height:60px">`, white},
		"in an item":         {`<p data-each="people" style="margin:0"><img data-param="photo" width="60" height="60">`, white},
		"a background":       {`<img data-param="photo" style="width:60px;height:60px;background:gray">`, grey},
		"a picture":          {`<img data-param="photo" src="` + file + `" width="60" height="60">`, lime},
		"a picture's source": {`<picture><source srcset="` + file + `"><img data-param="photo" width="60" height="60"></picture>`, lime},
		"a script":           {`<img data-param="photo" width="60" height="60"><script>document.querySelector('img').src = "` + file + `"</script>`, lime},
		"a value":            {`<img data-param="logo" width="60" height="60">`, lime},
	} {
		t.Run(name, func(t *testing.T) {
			picture := task("png", `<!doctype html><body style="margin:0">`+c.img)
			picture.Modifications = map[string]any{"logo": file, "people": []any{map[string]any{"name": "Ada"}}}
			picture.MayBeUnused = []string{"logo", "people"}
			outputs, _ := run(t, b, picture)
			img, _ := decode(t, outputs[0].Data)
			for x := range 60 {
				for y := range 60 {
					if !near(img, x, y, c.want) {
						t.Fatalf("%d,%d: %v, want %v", x, y, img.At(x, y), c.want)
					}
				}
			}
		})
	}
}

// An item without a picture has an empty text for it, and a wrong address is named by its place.
func TestPicturesOfItems(t *testing.T) {
	const file = `data:image/svg+xml,%3Csvg%20xmlns='http://www.w3.org/2000/svg'%20style='background:lime'/%3E`
	picture := task("png", `<!doctype html><body style="margin:0;font-size:0"><p data-each="stories" style="margin:0"><img data-param="picture" src="`+file+`" width="20" height="20"><picture><source srcset="`+file+`"><img data-param="picture" width="20" height="20"></picture><a data-param-href="url"></a></p>`)
	picture.Modifications = map[string]any{"stories": []any{map[string]any{"picture": file, "url": ""}, map[string]any{"picture": "", "url": "x"}, map[string]any{"picture": "a.png", "url": ""}}}
	outputs, warnings := run(t, start(t), picture)
	if want := []string{`Modification stories[1].url: "x" is no link that is allowed`, `Modification stories[2].picture: "a.png" is no image URL`}; !slices.Equal(slices.Compact(titlesOf(warnings)), want) {
		t.Errorf("warnings %q, want %q", titlesOf(warnings), want)
	}
	img, _ := decode(t, outputs[0].Data)
	for at, want := range map[image.Point]color.RGBA{{10, 10}: green255, {30, 10}: green255, {10, 30}: white255, {30, 30}: white255, {10, 50}: green255} {
		if !near(img, at.X, at.Y, want) {
			t.Errorf("%v: %v, want %v", at, img.At(at.X, at.Y), want)
		}
	}
}

// It keeps its size, with alternative text, too: the layout is that of the template.
func TestAPictureWithoutAValueKeepsItsSize(t *testing.T) {
	b := start(t)
	red, white := color.RGBA{255, 0, 0, 255}, color.RGBA{255, 255, 255, 255}
	for img, want := range map[string]color.RGBA{
		`<img data-param="logo" alt="Our logo" width="40" height="20">`: red, `<img data-param="logo" width="40" height="20">`: red, `<img data-param="logo" alt="Our logo" width="40" height="20" hidden>`: white,
		`<img data-param="logo" alt="Our logo" width="40" height="20" class="hidden">`: white, `<img data-param="logo" alt="Our logo" width="40" height="20" class="block" style="float:left">`: red,
	} {
		for _, doctype := range []string{"<!doctype html>", ""} {
			picture := task("png", doctype+`<style>@layer utilities { .hidden { display: none } .grey { background: gray } } :where(.block) { display: block }</style><body style="margin:0;font-size:0">`+img+`<b style="display:inline-block;width:20px;height:20px;background:red"></b>`)
			outputs, _ := run(t, b, picture)
			shown, _ := decode(t, outputs[0].Data)
			if !near(shown, 50, 10, want) || !near(shown, 70, 10, white) {
				t.Errorf("%s%s: %v", doctype, img, shown.At(50, 10))
			}
		}
	}
}

// Whether a page has code is looked for once, not for each item of a list.
func TestAListOfElementsWithoutTextTakesLittleTime(t *testing.T) {
	rows := make([]any, 4000)
	for i := range rows {
		rows[i] = strconv.Itoa(i)
	}
	picture := task("png", `<p data-each="rows"><b data-param="item">x</b><br data-param="item"></p>`)
	picture.Modifications = map[string]any{"rows": rows}
	begun := time.Now()
	run(t, start(t), picture)
	if took := time.Since(begun); took > 15*time.Second { // looking for each took more than a minute
		t.Errorf("4000 items take %s", took)
	}
}

func TestWarningsOfInertPages(t *testing.T) {
	b := start(t)
	for range 2 {
		_, warnings := run(t, b, task("png", `<img src="data:image/png;base64,AAAA"><p style="font-family:Nowhere">x</p>`))
		if len(warnings) != 2 || !strings.HasPrefix(warnings[0].Title, "Could not load data:image/png") || warnings[1].Title != "Font Nowhere is not installed" {
			t.Errorf("warnings %v", warnings)
		}
	}
}
