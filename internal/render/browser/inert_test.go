// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"fmt"
	"image/color"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/target"

	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/render/devtools"
	"github.com/platen-dev/platen/internal/render/template"
)

// remembered are pages of which each could change what the next one in the same document looks like.
var remembered = []string{
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

// TestWrittenPagesLookLikeLoadedOnes paints pages one after the other in one tab, forwards and backwards and in other sizes, and each in
// a browser context that has seen no other: not a byte may differ.
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
		see := task("png", html)
		see.Pages[0].Width, see.Pages[0].Height = 300+10*(len(tasks)%3), 150
		see.Modifications, see.Transparent = modifications, transparent
		tasks = append(tasks, see)
	}
	for _, g := range goldens {
		add(g.html, g.modifications, g.transparent)
	}
	if len(tasks) < 10 {
		t.Errorf("only %d golden pages are inert", len(tasks))
	}
	for i, html := range remembered {
		before := len(tasks)
		add(html, map[string]any{}, i%4 == 3)
		if len(tasks) == before {
			t.Errorf("not inert: %s", html)
		}
	}
	want := make([][]byte, len(tasks))
	said := make([]report, len(tasks))
	for i, see := range tasks {
		loaded, err := c.openTab(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if said[i], err = loaded.load(t.Context(), see, see.Pages[0]); err != nil {
			t.Fatal(err)
		}
		if want[i], err = loaded.capture(t.Context(), see, see.Pages[0]); err != nil {
			t.Fatal(err)
		}
		loaded.Close()
	}
	order := slices.Collect(maps.Keys(maps.Collect(slices.All(tasks)))) // by chance
	for i := range tasks {
		order = append(order, i)
	}
	for i := range tasks {
		order = append(order, len(tasks)-1-i)
	}
	written := map[bool]*tab{}
	for _, quirks := range []bool{false, true} {
		if written[quirks], err = c.openTab(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer written[quirks].Close()
	}
	for n, i := range order {
		see := tasks[i]
		written := written[template.Quirks(see.Pages[0].HTML)]
		r, err := written.write(t.Context(), see, see.Pages[0])
		if err != nil {
			t.Fatalf("%s: %v", see.Pages[0].HTML, err)
		}
		got, err := written.capture(t.Context(), see, see.Pages[0])
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(r) != fmt.Sprint(said[i]) {
			t.Errorf("it says %v, and %v when loaded: %s", r, said[i], see.Pages[0].HTML)
		}
		if !bytes.Equal(got, want[i]) {
			before := ""
			if n > 0 {
				before = tasks[order[n-1]].Pages[0].HTML
			}
			t.Errorf("written it looks different: %s\nafter %s", see.Pages[0].HTML, before)
		}
	}
}

// TestNoPageDisturbsTheNext renders pages that leave something in a document, in the browser, and each time a
// page that would show it.
func TestNoPageDisturbsTheNext(t *testing.T) {
	const tall = `<div style="height:3000px;background:linear-gradient(red,blue)">tall</div>`
	for name, pages := range map[string][2]string{
		"scrolls":          {`<style>html { scroll-snap-type: y mandatory } div { height: 300px } .s { scroll-snap-align: start }</style><div></div><div class="s">x</div><div></div>`, tall},
		"names open":       {`<img name="open" src="data:image/png;base64,iVBORw0KGgo=">`, tall},
		"names close":      {`<p>x</p>`, `<img name="close" alt="x"><p>y</p>`},
		"names URL":        {`<img name="URL" alt="x"><form name="body"></form>`, tall},
		"in quirks mode":   {`<div style="width:100;height:50;background:red">x</div>`, `<!doctype html><div style="width:100;height:50;background:red">x</div>`},
		"mark and doctype": {`<p>x</p>`, "\ufeff<!doctype html><table><td>x</table><p>y</p>"},
		"scroll timeline":  {`<p>x</p>`, `<style>@keyframes go { to { opacity: 0 } } p { animation: go linear; animation-timeline: scroll() }</style><p>x</p>`},
	} {
		t.Run(name, func(t *testing.T) {
			alone, aloneSays := run(t, start(t), task("png", pages[1]))
			b := start(t)
			for range 3 {
				run(t, b, task("png", pages[0]))
				after, afterSays := run(t, b, task("png", pages[1]))
				if !bytes.Equal(after[0].Data, alone[0].Data) || !slices.Equal(afterSays, aloneSays) {
					t.Fatalf("it is another picture, or says %v in place of %v", afterSays, aloneSays)
				}
			}
		})
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

// TestMemoryOfAPageIsNotTheNextOnes has pages that fit one by one, and not two at a time.
func TestMemoryOfAPageIsNotTheNextOnes(t *testing.T) {
	b := startBehind(t, loopback, memoryLimit)
	for range 4 {
		run(t, b, task("png", strings.Repeat("<p>paragraph</p>", 60_000)))
	}
	run(t, b, task("png", red))
}

// TestHalfACharacterIsNoHarm has pages that tell the browser's log of half a surrogate pair.
func TestHalfACharacterIsNoHarm(t *testing.T) {
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
			see := task("png", html)
			see.Scale = 2
			want, _ := run(t, start(t), see)
			b := start(t)
			run(t, b, task("png", `<p style="font:24px 'Liberation Sans'">text`))
			got, _ := run(t, b, see)
			if !bytes.Equal(got[0].Data, want[0].Data) {
				t.Error("after a page at another scale it looks different")
			}
		})
	}
}

// contexts of the browser, besides its own.
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

// TestOnlyInertPagesShareABrowserContext also counts them: how many are kept bounds the memory.
func TestOnlyInertPagesShareABrowserContext(t *testing.T) {
	b := start(t)
	first := contexts(t, b)
	if len(first) != 1 {
		t.Fatalf("a browser without a render has contexts %v", first)
	}
	for range 5 {
		run(t, b, task("png", red))
		run(t, b, task("pdf", `<p>text</p>`))
	}
	if now := contexts(t, b); !slices.Equal(now, first) {
		t.Errorf("inert pages had contexts %v, and then %v", first, now)
	}
	for _, html := range []string{`<script>document.title = "x"</script>`, `<p onclick="1">x</p>`, `<img src="picture.png">`, `<p style="background:\75rl(http://picture.invalid/)">x</p>`} {
		before := contexts(t, b)
		run(t, b, task("png", html))
		if now := contexts(t, b); len(now) != 1 || slices.Equal(now, before) {
			t.Errorf("%s: contexts %v, and before it %v", html, now, before)
		}
	}
}

// TestPagesThatSeemInertAreStillRight has pages that no look at their text shows to need a script or a request.
func TestPagesThatSeemInertAreStillRight(t *testing.T) {
	var reached atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached.Add(1)
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
				t.Fatal("it does not seem inert")
			}
			reached.Store(0)
			outputs, warnings := run(t, b, task("png", html))
			img, _ := decode(t, outputs[0].Data)
			handler := strings.Contains(html, "onerror")
			if !near(img, 100, 50, color.RGBA{255, 0, 0, 255}) || len(warnings) != 0 && !handler || reached.Load() == 0 && !handler {
				t.Errorf("painted %v, warnings %v, %d requests", img.At(100, 50), warnings, reached.Load())
			}
		})
	}
}

func TestATabServesSoManyPages(t *testing.T) {
	b := startBehind(t, loopback, memoryLimit)
	before := contexts(t, b)
	for range maxPages + 1 {
		run(t, b, task("jpeg", red))
	}
	if now := contexts(t, b); len(now) != 1 || slices.Equal(now, before) {
		t.Errorf("after %d pages the contexts are %v, as before", maxPages+1, now)
	}
}
