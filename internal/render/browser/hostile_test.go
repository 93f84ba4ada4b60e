// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/png"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/platen-dev/platen/internal/outbound"
	"github.com/platen-dev/platen/internal/render"
)

// attack is a hostile page, and how docs/spec/v1alpha1/renderjob.md says its render ends.
type attack struct {
	name, html string
	// reason of the failure: empty when the page is rendered, "any" when either is right.
	reason string
	// warning is the first warning of a rendered page; empty is any.
	warning string
	// items is the length of the modification "items".
	items int
}

const memoryLimit = 500 << 20

// attacks must each end within the deadline. REDIRECT is the address of a server that redirects to the cloud's metadata.
var attacks = []attack{
	{name: "endless script", html: `<script>while(true){}</script>`, reason: render.ReasonDeadlineExceeded},
	{name: "endless promises", html: `<script>const go = () => queueMicrotask(go); go()</script>`, reason: render.ReasonDeadlineExceeded},
	{name: "endless worker", html: `<script>new Worker(URL.createObjectURL(new Blob(["while(true){}"])))</script>`},
	{name: "endless data-each", html: `<p data-each="items"><b data-each="items"><i data-param="item"></i></b></p>`, items: 100_000, warning: `data-each="items" was cut off`},
	{name: "endless document", html: `<script>for (;;) document.documentElement.append(document.createElement("p"))</script>`, reason: "any"},
	{name: "reload", html: `<script>location.reload()</script>`, reason: "any"},
	{name: "wide", html: `<div style="width:30000px;height:30000px;background:red">wide</div>`},
	{name: "a million elements", html: strings.Repeat("<i>x", 1_000_000), reason: "any"},
	{name: "a million boxes", html: `<style>i { float: left; border: 1px solid; box-shadow: 0 0 9px red } i:nth-last-child(3n+1) { width: 9% }</style>` + strings.Repeat("<i></i>", 300_000), reason: "any"},
	{name: "a great blur", html: strings.Repeat(`<div style="width:5000px;height:5000px;filter:blur(300px);backdrop-filter:blur(300px);background:red">`, 40), reason: "any"},
	{name: "many layers", html: `<script>for (let i = 0; i < 300; i++) document.write('<div style="position:absolute;width:3000px;height:3000px;will-change:transform;background:red">x</div>')</script>`, reason: "any"},
	{name: "a gigabyte", html: `<script>new Uint8Array(1 << 30).fill(1)</script>`, reason: render.ReasonMemoryExceeded},
	{name: "a gigabyte of strings", html: `<script>const all = []; for (let i = 0; ; i++) all.push("x".repeat(1000) + i + all.length)</script>`, reason: render.ReasonMemoryExceeded},
	{name: "a gigabyte in workers", html: `<script>for (let i = 0; i < 4; i++) new Worker(URL.createObjectURL(new Blob(["const a = []; for (;;) a.push(new Uint8Array(1 << 24).fill(1))"])));
		platen.ready = () => new Promise(() => {})</script>`, reason: render.ReasonMemoryExceeded},
	{name: "a gigabyte of canvas", html: `<script>const all = []; for (let i = 0; i < 40; i++) { const c = new OffscreenCanvas(4096, 4096).getContext("2d", {willReadFrequently: true}); c.fillRect(0, 0, 4096, 4096); all.push(c) }</script>`, reason: render.ReasonMemoryExceeded},
	{name: "redirect to metadata", html: `<img src="REDIRECT/latest/meta-data/">`, warning: "Could not load REDIRECT/latest/meta-data/"},
	{name: "redirect of the page", html: `<script>location.href = "REDIRECT/latest/meta-data/"</script>`, reason: "any"},
	{name: "alert", html: `<script>alert("hello"); confirm("hello"); prompt("hello"); onbeforeunload = () => "stay"</script>`},
	{name: "popups", html: `<script>for (let i = 0; i < 1000; i++) open("about:blank#" + i)</script>`},
	{name: "popups by links", html: `<a id="a" target="_blank" href="about:blank">x</a><script>for (let i = 0; i < 1000; i++) a.click()</script>`},
	{name: "popups of an iframe", html: `<iframe srcdoc="<script>for (let i = 0; i < 1000; i++) open('about:blank#' + i)</script>"></iframe>`},
	{name: "alert of an iframe", html: `<iframe srcdoc="<script>alert('hello')</script>"></iframe>`},
	{name: "download", html: `<a id="a" download="x" href="data:application/zip,x">x</a><script>a.click()</script>`},
	{name: "service worker", html: `<script>navigator.serviceWorker?.register("/worker.js").catch(() => {}); navigator.serviceWorker?.register("data:text/javascript,1").catch(() => {})</script>`},
	{name: "navigation", html: `<meta http-equiv="refresh" content="0;url=file:///etc/passwd">`, reason: "any"},
	{name: "print", html: `<script>print()</script>`},
	{name: "crash", html: `<iframe src="chrome://crash"></iframe><iframe src="chrome://kill"></iframe><iframe src="about:crash"></iframe>`},
}

func TestHostilePagesEndAsDocumented(t *testing.T) {
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254"+r.URL.Path, http.StatusFound)
	}))
	t.Cleanup(metadata.Close)
	b := startBehind(t, loopback, memoryLimit)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			limit := 8 * time.Second
			switch a.reason {
			case render.ReasonDeadlineExceeded:
				limit = 2 * time.Second
			case render.ReasonMemoryExceeded:
				limit = time.Minute // a busy machine takes its time to fill the memory
			case "":
				limit = 30 * time.Second // or to paint a large page
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			hostile := task("png", strings.ReplaceAll(a.html, "REDIRECT", metadata.URL))
			if a.items > 0 {
				hostile.Modifications["items"] = slices.Repeat([]any{"item"}, a.items)
			}
			began := time.Now()
			warnings, err := b.Render(ctx, hostile, discard)
			if took := time.Since(began); took > limit+20*time.Second { // a busy machine takes its time to end a browser, too
				t.Errorf("the render took %s, its deadline was %s", took, limit)
			}
			problem := (*render.Error)(nil)
			switch {
			case err != nil && !errors.As(err, &problem):
				t.Errorf("got %v", err)
			case a.reason == "any":
			case err == nil && a.reason != "" || err != nil && (problem.Reason != a.reason || !problem.Terminal):
				t.Errorf("got %v, want %q", err, a.reason)
			}
			if want := strings.ReplaceAll(a.warning, "REDIRECT", metadata.URL); want != "" && (len(warnings) == 0 || warnings[0].Title != want) {
				t.Errorf("warnings %v, want %q", warnings, want)
			}
			outputs, warnings := run(t, b, task("png", red))
			img, _ := decode(t, outputs[0].Data)
			if !near(img, 100, 50, color.RGBA{255, 0, 0, 255}) || len(warnings) != 0 {
				t.Errorf("the next page is painted %v with warnings %v", img.At(100, 50), warnings)
			}
		})
	}
}

// A page that takes too much memory is told of its pictures.
func TestPicturesThatAreTooLargeAreNamed(t *testing.T) {
	var data bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&data, image.NewGray(image.Rect(0, 0, 10000, 10000))); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data.Bytes()) }))
	t.Cleanup(server.Close)
	b := startBehind(t, loopback, memoryLimit)
	for name, html := range map[string]string{
		"in elements": `<img width=200 src="URL/photo.png"><img width=100 src="URL/other.png">`,
		"in styles":   `<style>body { background: url(URL/photo.png) 0 0/200px } p::before { content: url(URL/other.png) }</style><p>x`,
	} {
		_, err := b.Render(t.Context(), task("png", strings.ReplaceAll(html, "URL", server.URL)), discard)
		problem := (*render.Error)(nil)
		if !errors.As(err, &problem) || problem.Reason != render.ReasonMemoryExceeded || !strings.Contains(problem.Message, "10000x10000 pixels") ||
			!strings.Contains(problem.Message, server.URL+"/") || !strings.HasSuffix(problem.Message, "or give the pods of the RenderPool more memory") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	// The next page has its own.
	if _, err := b.Render(t.Context(), task("png", `<script>new Uint8Array(1 << 30).fill(1)</script>`), discard); err == nil || strings.Contains(err.Error(), "10000") {
		t.Errorf("got %v", err)
	}
}

// loopback lets pages reach the tests' servers.
var loopback = outbound.Policy{Allowed: outbound.Prefixes{netip.MustParsePrefix("127.0.0.0/8")}}

// startBehind returns a browser whose pages reach what policy allows. maxMemory is in bytes; 0 is no limit.
func startBehind(t *testing.T, policy outbound.Policy, maxMemory int64) *Browser {
	t.Helper()
	proxy, err := outbound.NewProxy(policy, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	b, err := New(Options{Proxy: proxy.Address(), MaxMemory: maxMemory})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// TestPagesReadNoLocalFile tries every way to show a file of the renderer's machine, and searches the document for it.
func TestPagesReadNoLocalFile(t *testing.T) {
	outputs, _ := run(t, start(t), task("pdf", `<link rel="stylesheet" href="file:///etc/passwd"><style>@import "file:///etc/passwd"; p { background: url("file:///etc/passwd") }</style>
		<iframe src="file:///etc/passwd"></iframe><embed src="file:///etc/passwd"><object data="file:///etc/passwd"></object><img src="file:///etc/passwd">
		<iframe src="view-source:file:///etc/passwd"></iframe><iframe src="chrome://version"></iframe><iframe src="ftp://localhost/"></iframe><iframe srcdoc="<iframe src='file:///etc/passwd'></iframe>"></iframe>
		<p id="out" style="position:fixed;top:0"></p><p id="xhr" style="position:fixed;top:30px"></p><script>fetch("file:///etc/passwd").then(r => r.text()).then(t => out.textContent = t).catch(() => out.textContent = "fetch refused")</script>
		<script>const x = new XMLHttpRequest(); x.onload = () => xhr.textContent = x.responseText; x.onerror = () => xhr.textContent = "xhr refused"; x.open("GET", "file:///etc/passwd"); x.send()</script>`))
	text := pdfText(t, t.TempDir(), outputs[0].Data)
	for _, secret := range []string{"root:", "chromium", "Chromium"} {
		if strings.Contains(text, secret) {
			t.Errorf("the page shows %s: %q", secret, text)
		}
	}
	for _, want := range []string{"fetch refused", "xhr refused"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in %q", want, text)
		}
	}
}

// TestPagesFindNothingStored renders a page that stores what it can, and one that looks for it.
func TestPagesFindNothingStored(t *testing.T) {
	b := start(t)
	run(t, b, task("png", `<script>localStorage.setItem("secret", "job 1"); document.cookie = "secret=1; max-age=10000"; window.name = "secret";
		platen.ready = async () => { const c = await caches?.open("secret").catch(() => {}); indexedDB.open("secret"); }</script>`))
	outputs, _ := run(t, b, task("pdf", `<p id="out"></p><script>platen.ready = async () => {
		out.textContent = [localStorage.getItem("secret"), document.cookie, window.name, (await indexedDB.databases()).length].join("|") }</script>`))
	if text := strings.TrimSpace(pdfText(t, t.TempDir(), outputs[0].Data)); text != "|||0" {
		t.Errorf("the next page finds %q", text)
	}
}

// TestPagesReachPublicAddressesOnly renders a page that tries every way to reach a server on a private address.
func TestPagesReachPublicAddressesOnly(t *testing.T) {
	reached, warnings := escape(t, outbound.Policy{})
	if len(reached) != 0 {
		t.Errorf("the page reached %q", reached)
	}
	if !slices.ContainsFunc(warnings, func(w render.Warning) bool { return strings.Contains(w.Title, "/img") }) {
		t.Errorf("no warning names the blocked picture: %v", warnings)
	}
	// If the address is allowed, the same page reaches it, so the ways work.
	reached, _ = escape(t, loopback)
	for _, way := range []string{"/img", "/localhost", "/stylesheet", "/font", "/fetch", "/websocket", "/worker", "/iframe", "/form"} {
		if !slices.Contains(reached, way) {
			t.Errorf("%s is allowed and was not reached: %q", way, reached)
		}
	}
}

// escape renders a page that tries every way to reach a server on the loopback interface, and returns those that worked.
func escape(t *testing.T, policy outbound.Policy) (reached []string, warnings []render.Warning) {
	t.Helper()
	var mu sync.Mutex
	canary := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		reached = append(reached, r.URL.Path)
	}))
	t.Cleanup(canary.Close)
	b := startBehind(t, policy, 0)
	address := strings.TrimPrefix(canary.URL, "http://")
	page := strings.NewReplacer("ADDRESS", address, "PORT", address[strings.LastIndex(address, ":")+1:]).Replace(`
		<link rel="preconnect" href="http://ADDRESS/preconnect"><link rel="stylesheet" href="http://ADDRESS/stylesheet">
		<link rel="prefetch" href="http://ADDRESS/prefetch"><style>@import "http://ADDRESS/import"; @font-face { font-family: x; src: url("http://ADDRESS/font") } p { font-family: x; background: url("http://ADDRESS/background") }</style>
		<p>text</p><img src="http://ADDRESS/img"><img src="http://localhost:PORT/localhost"><img src="http://2130706433:PORT/decimal"><img src="http://0x7f.1:PORT/hex">
		<img src="http://[::ffff:127.0.0.1]:PORT/mapped"><iframe src="http://ADDRESS/iframe"></iframe><object data="http://ADDRESS/object"></object><embed src="http://ADDRESS/embed">
		<svg><use href="http://ADDRESS/use"/><image href="http://ADDRESS/svg"/></svg><script src="http://ADDRESS/script"></script>
		<form id="f" action="http://ADDRESS/form" method="post" target="i"></form><iframe name="i"></iframe>
		<script>
		const quietly = (what) => { try { Promise.resolve(what()).catch(() => {}); } catch {} };
		quietly(() => fetch("http://ADDRESS/fetch", { mode: "no-cors" }));
		quietly(() => { const x = new XMLHttpRequest(); x.open("GET", "http://ADDRESS/xhr"); x.send(); });
		quietly(() => navigator.sendBeacon("http://ADDRESS/beacon"));
		quietly(() => new WebSocket("ws://ADDRESS/websocket"));
		quietly(() => new EventSource("http://ADDRESS/eventsource"));
		quietly(() => new Worker(URL.createObjectURL(new Blob(['new WebSocket("ws://ADDRESS/worker"); fetch("http://ADDRESS/workerfetch", {mode: "no-cors"})']))));
		quietly(() => f.submit());
		platen.ready = () => new Promise((done) => setTimeout(done, 500));
		</script>`)
	_, warnings = run(t, b, task("png", page))
	mu.Lock()
	defer mu.Unlock()
	return slices.Clone(reached), warnings
}

// A page may say without end that nothing is left for its scripts to do. One answer at a time is under way.
func TestAPageIsAnsweredOnceAtATime(t *testing.T) {
	b := start(t)
	run(t, b, task("png", red))
	before := runtime.NumGoroutine()
	most, over, counted := 0, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(counted)
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				most = max(most, runtime.NumGoroutine())
			case <-over:
				return
			}
		}
	}()
	run(t, b, task("png", `<!-- fetch() --><script>if (0) import('data:text/javascript,'); for (let n = 0; n < 20000; n++) console.debug('platen.modules')</script>`))
	close(over)
	<-counted
	if most > before+100 {
		t.Errorf("%d goroutines, %d before", most, before)
	}
}
