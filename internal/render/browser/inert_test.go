// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"image/color"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/target"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/render/devtools"
	"github.com/platen-dev/platen/internal/render/template"
)

// leakyPages could each change what the next page in the same document looks like.
var leakyPages = []string{
	`<!doctype html><html style="color-scheme:dark"><body style="margin:0"><p>dark by its root</p>`,
	`<p>no doctype, no body, <table border=1 cellpadding=4><td>a quirk</table>`,
	`<!DOCTYPE html><p>a doctype, <table border=1 cellpadding=4><td>no quirk</table>`,
	`<!DOCTYPE html><html lang="tr" dir="rtl"><body bgcolor="#ffeedd" text="#330000"><p style="text-transform:uppercase">istanbul</p>`,
	`<style>@property --size { syntax: "*"; inherits: true; initial-value: 40px } p { font-size: var(--size) }</style><p>large</p>`,
	`<p style="font-size:var(--size)">not large</p>`,
	`<style>@font-face { font-family: "Liberation Serif"; src: local("Liberation Mono") } p { font: 30px "Liberation Serif" }</style><p>mono</p>`,
	`<p style="font:30px 'Liberation Serif'">serif</p>`,
	`<style>@counter-style thumbs { system: cyclic; symbols: "👍"; suffix: " " } ol { list-style: thumbs; counter-reset: list-item 4 }</style><ol><li>one<li>two</ol>`,
	`<ol><li>one<li>two</ol>`,
	`<style>@keyframes in { to { transform: translateX(80px) } } div { width: 40px; height: 40px; background: red; animation: in 9s both }</style><div>`,
	`<style>@keyframes in { to { transform: translateY(40px) } } div { width: 40px; height: 40px; background: red; animation: in infinite 3s }</style><div>`,
	`<style>@layer a, b; @layer b { p { color: red } } @layer a { p { color: green } }</style><p>layers</p>`,
	`<style>p { container-type: inline-size } @container (min-width: 100px) { b { color: blue } }</style><p><b>container</b></p>`,
	`<div style="height:3000px;background:linear-gradient(red,blue)">long</div><a id="end" href="#end">end</a>`,
	`<style>::before { content: "before "; color: red }</style><p>text`,
	`<div style="mix-blend-mode:multiply;backdrop-filter:blur(2px);position:fixed;inset:10px;background:#0f08;will-change:transform">layer</div>`,
	`<svg width="100" height="60"><filter id="f"><feGaussianBlur stdDeviation="3"/></filter><rect width="60" height="40" filter="url(#f)"/></svg>`,
	`<rect id="f"><svg width="100" height="60"><rect width="60" height="40" filter="url(#f)"/></svg>`,
	`<title>x</title><img alt="none"><button>button</button><meter value=".5"></meter><progress value=".3"></progress>`,
	`just text & <b>an open element`,
	``,
}

// TestWrittenPagesLookLikeLoadedOnes paints each page in a new browser context, and then all pages in one tab: in random order, forwards
// and backwards. The pictures must be the same, byte for byte.
func TestWrittenPagesLookLikeLoadedOnes(t *testing.T) {
	b := start(t)
	c, err := b.supervisor.start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var tasks []render.Task
	add := func(html string, modifications map[string]any, transparent bool) {
		if !template.Inert(html, modifications) {
			return
		}
		picture := task("png", html)
		picture.Pages[0].Width, picture.Pages[0].Height = 300+10*(len(tasks)%3), 150
		picture.Modifications, picture.Transparent = modifications, transparent
		tasks = append(tasks, picture)
	}
	for _, g := range goldens {
		add(g.html, g.modifications, g.transparent)
	}
	if len(tasks) < 10 {
		t.Errorf("only %d golden pages are inert", len(tasks))
	}
	for i, html := range leakyPages {
		before := len(tasks)
		add(html, map[string]any{}, i%4 == 3)
		if len(tasks) == before {
			t.Errorf("not inert: %s", html)
		}
	}
	want := make([][]byte, len(tasks))
	wantReports := make([]report, len(tasks))
	for i, picture := range tasks {
		loaded, err := c.openTab(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if wantReports[i], err = loaded.load(t.Context(), picture, picture.Pages[0]); err != nil {
			t.Fatal(err)
		}
		if want[i], err = loaded.capture(t.Context(), picture, picture.Pages[0]); err != nil {
			t.Fatal(err)
		}
		loaded.Close()
	}
	order := rand.Perm(len(tasks))
	for i := range tasks {
		order = append(order, i)
	}
	for i := range tasks {
		order = append(order, len(tasks)-1-i)
	}
	byMode := map[bool]*tab{} // true: quirks mode
	for _, quirks := range []bool{false, true} {
		if byMode[quirks], err = c.openTab(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer byMode[quirks].Close()
	}
	before := ""
	for _, i := range order {
		picture, page := tasks[i], tasks[i].Pages[0]
		written := byMode[template.Quirks(page.HTML)]
		r, err := written.write(t.Context(), picture, page)
		if err != nil {
			t.Fatalf("%s: %v", page.HTML, err)
		}
		got, err := written.capture(t.Context(), picture, page)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(wantReports[i], r, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("the report differs from the loaded page's: %s\n(-loaded +written):\n%s", page.HTML, diff)
		}
		if !bytes.Equal(got, want[i]) {
			t.Errorf("the written page looks different: %s\nafter %s", page.HTML, before)
		}
		before = page.HTML
	}
}

// TestNoPageDisturbsTheNext renders pages that leave something behind in a document, each followed by a page that would show it.
func TestNoPageDisturbsTheNext(t *testing.T) {
	const tall = `<div style="height:3000px;background:linear-gradient(red,blue)">tall</div>`
	for name, test := range map[string]struct{ leaks, shows string }{
		"scrolls":         {leaks: `<style>html { scroll-snap-type: y mandatory } div { height: 300px } .s { scroll-snap-align: start }</style><div></div><div class="s">x</div><div></div>`, shows: tall},
		"names open":      {leaks: `<img name="open" src="data:image/png;base64,iVBORw0KGgo=">`, shows: tall},
		"names close":     {leaks: `<p>x</p>`, shows: `<img name="close" alt="x"><p>y</p>`},
		"names URL":       {leaks: `<img name="URL" alt="x"><form name="body"></form>`, shows: tall},
		"in quirks mode":  {leaks: `<div style="width:100;height:50;background:red">x</div>`, shows: `<!doctype html><div style="width:100;height:50;background:red">x</div>`},
		"BOM and doctype": {leaks: `<p>x</p>`, shows: "\ufeff<!doctype html><table><td>x</table><p>y</p>"},
		"scroll timeline": {leaks: `<p>x</p>`, shows: `<style>@keyframes go { to { opacity: 0 } } p { animation: go linear; animation-timeline: scroll() }</style><p>x</p>`},
	} {
		t.Run(name, func(t *testing.T) {
			want, wantWarnings := run(t, start(t), task("png", test.shows))
			b := start(t)
			for range 3 {
				run(t, b, task("png", test.leaks))
				got, warnings := run(t, b, task("png", test.shows))
				if !bytes.Equal(got[0].Data, want[0].Data) {
					t.Fatal("the picture differs from that of a new browser")
				}
				if diff := cmp.Diff(wantWarnings, warnings); diff != "" {
					t.Fatalf("warnings (-new browser +after the other page):\n%s", diff)
				}
			}
		})
	}
}

// TestMemoryOfAPageDoesNotCountForTheNext renders pages so large that the limit has room for one, but not for two.
func TestMemoryOfAPageDoesNotCountForTheNext(t *testing.T) {
	b := startBehind(t, loopback, memoryLimit)
	for range 4 {
		run(t, b, task("png", strings.Repeat("<p>paragraph</p>", 60_000)))
	}
	run(t, b, task("png", red))
}

// TestHalfASurrogatePairDoesNoHarm renders pages that log half a surrogate pair.
func TestHalfASurrogatePairDoesNoHarm(t *testing.T) {
	b := start(t)
	before := pid(t, b)
	for _, script := range []string{`console.log("\ud83d")`, `throw new Error("\ud83d")`, `Promise.reject("\udc00")`, `console.table([{a: "\ud83d"}])`} {
		run(t, b, task("png", `<p>x</p><script>`+script+`</script>`))
	}
	if pid(t, b) != before {
		t.Error("the browser was ended")
	}
}

func TestScalesDoNotMix(t *testing.T) {
	for name, html := range map[string]string{"inert": `<p style="font:24px 'Liberation Sans'">text`, "with a script": `<p style="font:24px 'Liberation Sans'">text<script>1</script>`} {
		t.Run(name, func(t *testing.T) {
			large := task("png", html)
			large.Scale = 2
			want, _ := run(t, start(t), large)
			b := start(t)
			run(t, b, task("png", `<p style="font:24px 'Liberation Sans'">text`))
			got, _ := run(t, b, large)
			if !bytes.Equal(got[0].Data, want[0].Data) {
				t.Error("after a page at another scale, the page looks different")
			}
		})
	}
}

// contexts returns the browser contexts except the default one.
func contexts(t *testing.T, b *Browser) []cdp.BrowserContextID {
	t.Helper()
	c, err := b.supervisor.start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.tabs.background.Wait()
	all, err := devtools.Call(t.Context(), c.Session, target.GetBrowserContexts, cdp.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	return all.BrowserContextIDs
}

// TestOnlyInertPagesShareABrowserContext also counts the contexts that are kept, because each takes memory.
func TestOnlyInertPagesShareABrowserContext(t *testing.T) {
	b := start(t)
	first := contexts(t, b)
	if len(first) != 1 {
		t.Fatalf("before the first render, the contexts are %v, want one", first)
	}
	for range 5 {
		run(t, b, task("png", red))
		run(t, b, task("pdf", `<p>text</p>`))
	}
	if now := contexts(t, b); !slices.Equal(now, first) {
		t.Errorf("after inert pages, the contexts are %v, want %v", now, first)
	}
	for _, html := range []string{`<script>document.title = "x"</script>`, `<p onclick="1">x</p>`, `<img src="picture.png">`, `<p style="background:\75rl(http://picture.invalid/)">x</p>`} {
		before := contexts(t, b)
		run(t, b, task("png", html))
		if now := contexts(t, b); len(now) != 1 || slices.Equal(now, before) {
			t.Errorf("%s: the contexts are %v, want one that is not in %v", html, now, before)
		}
	}
}

// TestPagesThatOnlyLookInertAreRight renders pages whose text does not show that they need a script or a request.
func TestPagesThatOnlyLookInertAreRight(t *testing.T) {
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.Header().Set("Content-Type", "image/svg+xml")
		_, _ = w.Write([]byte(`<svg xmlns="http://www.w3.org/2000/svg" width="200" height="100"><rect width="200" height="100" fill="red"/></svg>`))
	}))
	t.Cleanup(server.Close)
	b := startBehind(t, loopback, 0)
	address := strings.TrimPrefix(server.URL, "http:")
	for name, html := range map[string]string{
		"inline handler":       `<img src="data:image/png;base64,AAAA" onerror="document.body.style.background='rgb(255,0,0)'" style="display:none">`,
		"escaped function":     `<body style="margin:0;background:\75rl(` + server.URL + `/)">`,
		"without a scheme":     `<body style="margin:0;background:\75 rl(` + address + `/)">`,
		"image-set":            `<body style="margin:0;background:image-set('` + server.URL + `/' 1x)">`,
		"spaces":               `<body style="margin:0"><img  src = "` + server.URL + `/" style="width:200px;height:100px">`,
		"legacy attribute":     `<body style="margin:0" background="` + server.URL + `/">`,
		"before an element":    `<style>body { margin: 0 } p { margin: 0; height: 100px } p::before { content: ""; position: absolute; inset: 0; background: image-set("` + server.URL + `/" 1x) }</style><p></p>`,
		"picture of a drawing": `<body style="margin:0"><svg width="200" height="100"><image width="200" height="100" xlink:href="` + server.URL + `/"/></svg>`,
	} {
		t.Run(name, func(t *testing.T) {
			if !template.Inert(html, nil) {
				t.Fatal("the page does not look inert")
			}
			requests.Store(0)
			outputs, warnings := run(t, b, task("png", html))
			img, _ := decode(t, outputs[0].Data)
			handler := strings.Contains(html, "onerror")
			if !near(img, 100, 50, color.RGBA{255, 0, 0, 255}) || len(warnings) != 0 && !handler || requests.Load() == 0 && !handler {
				t.Errorf("painted %v, warnings %v, %d requests", img.At(100, 50), warnings, requests.Load())
			}
		})
	}
}

func TestATabIsReplacedAfterMaxPages(t *testing.T) {
	b := startBehind(t, loopback, memoryLimit)
	before := contexts(t, b)
	for range maxPages + 1 {
		run(t, b, task("jpeg", red))
	}
	if now := contexts(t, b); len(now) != 1 || slices.Equal(now, before) {
		t.Errorf("after %d pages, the contexts are %v, want one that is not in %v", maxPages+1, now, before)
	}
}
