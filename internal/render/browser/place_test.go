// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"context"
	"image/color"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/memory"
	"github.com/chromedp/cdproto/target"
	"github.com/google/go-cmp/cmp"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/render/devtools"
	"github.com/platen-dev/platen/internal/render/template"
)

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
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute) // each of the large pages takes seconds
	defer cancel()
	for range 4 {
		if _, err := b.Render(ctx, task("png", strings.Repeat("<p>paragraph</p>", 60_000)), render.SinkFunc(func(context.Context, file.File, []byte) error { return nil })); err != nil {
			t.Fatal(err)
		}
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

// The text of a canvas is set for the scale of its page from the first page of a tab.
func TestTheFirstPageOfATabHasItsScale(t *testing.T) {
	const html = `<body style="margin:0"><canvas id=c width=400 height=200 style="width:200px"></canvas><script>const g = c.getContext('2d'); g.font = '60px Liberation Sans'; g.fillText('Canvas', 10, 60)</script>`
	for name, where := range map[string]string{"shared": "", "alone": "<!-- alone: fetch() -->"} {
		t.Run(name, func(t *testing.T) {
			b := start(t)
			large := task("png", html+where)
			large.Scale = 2
			first, _ := run(t, b, large)
			large.Pages[0].HTML = html
			for range 2 { // the second has a tab that has shown a page
				if again, _ := run(t, b, large); !bytes.Equal(again[0].Data, first[0].Data) {
					t.Error("the next page looks different")
				}
			}
		})
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

// TestPagesShareATabOnlyIfTheyLeaveNothing also counts the contexts that are kept, because each takes memory.
func TestPagesShareATabOnlyIfTheyLeaveNothing(t *testing.T) {
	b := start(t)
	first := contexts(t, b)
	if len(first) != 1 {
		t.Fatalf("before the first render, the contexts are %v, want one", first)
	}
	for range 5 {
		for _, work := range []render.Task{
			task("png", red), task("pdf", `<p>text</p>`), task("png", `<p onclick="1">x</p><script>document.title = "x"</script>`),
		} {
			if _, _, places := runIn(t, b, work); !slices.Equal(places, []render.Place{render.PlaceShared}) {
				t.Errorf("%s: painted in %v", work.Pages[0].HTML, places)
			}
		}
	}
	if now := contexts(t, b); !slices.Equal(now, first) {
		t.Errorf("after pages that need nothing, the contexts are %v, want %v", now, first)
	}
	for _, html := range []string{
		`<script>localStorage.setItem("x", "1")</script>`, `<iframe srcdoc="x"></iframe>`, `<img src="http://picture.invalid/">`,
		`<img src="picture.png">`, `<p style="background:\75rl(http://picture.invalid/)">x</p>`,
	} {
		if _, _, places := runIn(t, b, task("png", html)); len(places) != 1 || places[0] == render.PlaceShared {
			t.Errorf("%s: painted in %v", html, places)
		}
		if now := contexts(t, b); len(now) > 2 {
			t.Errorf("%s: the contexts are %v", html, now)
		}
	}
	// A page that changes the tab's history has the tab replaced.
	before := contexts(t, b)
	run(t, b, task("png", red))
	run(t, b, task("png", `<script>window["hist" + "ory"].pushState(1, "", "#x")</script>`))
	run(t, b, task("png", red))
	if now := contexts(t, b); slices.Equal(now, before) {
		t.Errorf("the contexts are still %v", now)
	}
}

// TestPagesThatNeedMoreThanTheySeemToAreRight renders pages whose text does not show that they need a request.
func TestPagesThatNeedMoreThanTheySeemToAreRight(t *testing.T) {
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
		"inline handler":    `<img src="data:image/png;base64,AAAA" onerror="document.body.style.background='rgb(255,0,0)'" style="display:none">`,
		"escaped function":  `<body style="margin:0;background:\75rl(` + server.URL + `/)">`,
		"without a scheme":  `<body style="margin:0;background:\75 rl(` + address + `/)">`,
		"image-set":         `<body style="margin:0;background:image-set('` + server.URL + `/' 1x)">`,
		"legacy attribute":  `<body style="margin:0" background="` + server.URL + `/">`,
		"before an element": `<style>body { margin: 0 } p { margin: 0; height: 100px } p::before { content: ""; position: absolute; inset: 0; background: image-set("` + server.URL + `/" 1x) }</style><p></p>`,
	} {
		t.Run(name, func(t *testing.T) {
			if needs := template.Examine(html, nil); needs.Alone || needs.Requests {
				t.Fatalf("the page does not look as if it needed no request: %+v", needs)
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

func TestATabFreesTheMemoryOfItsDocuments(t *testing.T) {
	b := start(t)
	for range collectEvery {
		run(t, b, task("jpeg", red))
	}
	c := b.supervisor.running()
	c.tabs.mu.Lock()
	defer c.tabs.mu.Unlock()
	for _, tab := range c.tabs.idle {
		counters, err := devtools.Call(t.Context(), tab.session, memory.GetDOMCounters, cdp.Empty{})
		if err != nil {
			t.Fatal(err)
		}
		// The page's own, that of a new tab, and what is still referred to.
		if most := int64(collectEvery / 2); counters.Documents > most {
			t.Errorf("a tab that showed %d pages holds %d documents, want at most %d", tab.pages, counters.Documents, most)
		}
	}
}

// TestAFrameGetsNoValues renders a page with a frame of another origin, which looks for the modifications of the page.
func TestAFrameGetsNoValues(t *testing.T) {
	got := make(chan string, 1)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/got" {
			got <- r.URL.RawQuery
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<script>
			const seen = [typeof platen, ...Object.getOwnPropertySymbols(window).map((s) => JSON.stringify(window[s]))];
			for (let w of [window, parent]) try { seen.push(JSON.stringify(w.platen.modifications)) } catch {}
			fetch("/got?" + encodeURIComponent(seen.join() + Math.random()))
		</script>`)
	}))
	t.Cleanup(other.Close)
	b := startBehind(t, loopback, 0)
	page := task("png", `<p data-param="secret"></p><iframe src="`+other.URL+`"></iframe><script>document.title = Math.random()</script>`)
	page.Modifications["secret"] = "between us"
	run(t, b, page)
	select {
	case seen := <-got:
		if text, err := url.QueryUnescape(seen); err != nil || !strings.HasPrefix(text, "undefined") || strings.Contains(text, "secret") || strings.Contains(text, "between") {
			t.Errorf("the frame sees %q", text)
		}
	default:
		t.Error("the frame was not loaded")
	}
}

// TestPicturesAreNotKeptForTheNextPage renders a page with a picture from the network twice in one tab. A page must not learn from the
// browser's cache what another one has loaded.
func TestPicturesAreNotKeptForTheNextPage(t *testing.T) {
	var mu sync.Mutex
	requests, cookies := 0, 0
	setCookie := false
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		requests++
		cookies += len(r.Cookies())
		w.Header().Set("Content-Type", "image/svg+xml")
		w.Header().Set("Cache-Control", "public, max-age=3600")
		if setCookie {
			w.Header().Set("Set-Cookie", "secret=1; Secure; SameSite=None; Max-Age=3600")
		}
		_, _ = io.WriteString(w, `<svg xmlns="http://www.w3.org/2000/svg" width="200" height="100"><rect width="200" height="100" fill="red"/></svg>`)
	}))
	t.Cleanup(server.Close)
	b := startBehind(t, loopback, 0)
	b.options.Flags = []string{"--ignore-certificate-errors"}
	for i := range 4 {
		setCookie = i >= 2
		outputs, warnings, places := runIn(t, b, task("png", `<body style="margin:0"><img src="`+server.URL+`/logo.svg">`))
		if !slices.Equal(places, []render.Place{render.PlaceShared}) {
			t.Errorf("painted in %v", places)
		}
		if img, _ := decode(t, outputs[0].Data); !near(img, 100, 50, color.RGBA{255, 0, 0, 255}) || len(warnings) != 0 {
			t.Errorf("painted %v, warnings %v", img.At(100, 50), warnings)
		}
	}
	run(t, b, task("png", `<img src="`+server.URL+`/logo.svg">`))
	if requests != 5 || cookies != 0 {
		t.Errorf("%d requests, want 5; %d cookies, want 0", requests, cookies)
	}
}
