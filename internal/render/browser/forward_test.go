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
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/render"
)

// answers serves /late with leave to read it, /late.js and /late.css, which paint a page green, /never until the test ends, /denied with a ban on
// frames, /mask.svg, and 404 for everything else.
func answers(t *testing.T) (url string) {
	t.Helper()
	over := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/late":
			select {
			case <-time.After(300 * time.Millisecond):
			case <-over:
			}
			w.Header().Set("Access-Control-Allow-Origin", "*")
			_, _ = io.WriteString(w, `{"colour": "rgb(0,136,0)"}`)
		case "/late.js", "/late.css":
			select {
			case <-time.After(300 * time.Millisecond):
			case <-over:
			}
			if r.URL.Path == "/late.js" {
				_, _ = io.WriteString(w, `document.body.style.background = 'rgb(0,136,0)'`)
				return
			}
			w.Header().Set("Content-Type", "text/css")
			_, _ = io.WriteString(w, `body { background: rgb(0,136,0) !important }`)
		case "/never":
			<-over
		case "/denied":
			w.Header().Set("X-Frame-Options", "DENY")
		case "/mask.svg":
			w.Header().Set("Content-Type", "image/svg+xml")
			_, _ = io.WriteString(w, `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>`)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(func() { close(over); server.Close() })
	return server.URL
}

// A page that does not say when it is ready gets time, which nobody waits for.
func TestAPageGetsTimeToDraw(t *testing.T) {
	url := answers(t)
	b := startBehind(t, loopback, 0)
	green := color.RGBA{0, 136, 0, 255}
	const paint = `document.body.style.background = 'rgb(0,136,0)'`
	for name, html := range map[string]string{
		"a timer":               `<script>setTimeout(() => { ` + paint + ` }, 300)</script>`,
		"a timer's text":        `<script>setTimeout("` + paint + `", 300)</script>`,
		"a timer of a handler":  `<script>onload = () => setTimeout(() => setTimeout(() => { ` + paint + ` }, 900), 900)</script>`,
		"a module that waits":   `<script type=module>await new Promise((done) => setTimeout(done, 500)); ` + paint + `</script>`,
		"an interval":           `<script>let n = 0; const i = setInterval(() => { if (++n < 100) return; clearInterval(i); ` + paint + ` }, 20)</script>`,
		"frames by their time":  `<script>let began; const draw = (t) => { began ??= t; if (t - began < 1000) requestAnimationFrame(draw); else ` + paint + ` }; requestAnimationFrame(draw)</script>`,
		"frames by the date":    `<script>const began = Date.now(); const draw = () => { if (Date.now() - began < 2000) requestAnimationFrame(draw); else ` + paint + ` }; draw()</script>`,
		"frames by their count": `<script>let n = 0; const draw = () => { if (++n < 100) requestAnimationFrame(draw); else ` + paint + ` }; draw()</script>`,
		"idle callbacks":        `<script>let n = 0; const work = ({ timeRemaining }) => { if (++n < 30) requestIdleCallback(work); else if (timeRemaining) ` + paint + ` }; requestIdleCallback(work)</script>`,
		"messages":              `<script>const c = new MessageChannel(); c.port1.onmessage = () => { ` + paint + ` }; setTimeout(() => c.port2.postMessage(1), 400)</script>`,
		"messages, one after the other": `<script>const c = new MessageChannel(); let n = 0; c.port1.onmessage = () => { const t = Date.now(); while (Date.now() - t < 5);
			if (++n < 50) c.port2.postMessage(1); else ` + paint + ` }; c.port2.postMessage(1)</script>`,
		"messages to the page itself": `<script>let n = 0; onmessage = () => { if (++n < 50) postMessage(1, '*'); else ` + paint + ` }; postMessage(1, '*')</script>`,
		"a task that waits":           `<script>scheduler.postTask(() => scheduler.postTask(() => { ` + paint + ` }, { delay: 1000 }), { delay: 1000 })</script>`,
		"tasks, one after the other":  `<script>(async () => { for (let n = 0; n < 50; n++) await scheduler.postTask(() => {}); ` + paint + ` })()</script>`,
		"a task that yields":          `<script>(async () => { for (let n = 0; n < 50; n++) await scheduler.yield(); ` + paint + ` })()</script>`,
		"a signal that waits":         `<script>AbortSignal.timeout(1000).onabort = () => { ` + paint + ` }</script>`,
		"a wait for a number": `<script>const a = new Int32Array(new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer);
			(async () => { for (let n = 0; n < 10; n++) await Atomics.waitAsync(a, 0, 0, 100).value; ` + paint + ` })()</script>`,
		"a worker": `<script>const w = new Worker(URL.createObjectURL(new Blob(['onmessage = () => setTimeout(() => postMessage(1), 50)'])));
			w.onmessage = () => { ` + paint + ` }; w.postMessage(1)</script>`,
		"a file that is read": `<script>const r = new FileReader(); r.onload = () => { ` + paint + ` }; r.readAsDataURL(new Blob([new Uint8Array(20 << 20)]))</script>`,
		"a wait for quiet":    `<script>let last = Date.now(); const later = () => { const left = 400 - (Date.now() - last); if (left > 0) setTimeout(later, left); else ` + paint + ` }; setTimeout(later, 400)</script>`,
		"a timer that waits":  `<script>setTimeout(() => { const t = performance.now(); while (performance.now() - t < 50); ` + paint + ` }, 300)</script>`,
		"after a transition": `<style>p { width: 0; transition: width 1s } .on { width: 9px }</style><p id=p></p><script>
			setTimeout(() => { p.className = 'on'; p.ontransitionend = () => setTimeout(() => { ` + paint + ` }, 300) }, 300)</script>`,
		"an element's class":   `<x-a></x-a><script>setTimeout(() => customElements.define('x-a', class extends HTMLElement { connectedCallback() { ` + paint + ` } }), 400)</script>`,
		"a request":            `<script>fetch('` + url + `/late').then((r) => r.json()).then(({ colour }) => { document.body.style.background = colour })</script>`,
		"a request by a timer": `<script>setTimeout(() => { const r = new XMLHttpRequest(); r.open('GET', '` + url + `/late'); r.onload = () => setTimeout(() => { ` + paint + ` }, 200); r.send() }, 100)</script>`,
		"a module's request":   `<script type=module>const { colour } = await (await fetch('` + url + `/late')).json(); document.body.style.background = colour</script>`,
		"a frame":              `<iframe style="border:0;display:block" srcdoc="<body><script>setTimeout(() => { document.body.style.background = 'rgb(0,136,0)' }, 700)</script>"></iframe>`,
		"a frame of another origin": `<iframe sandbox="allow-scripts" style="border:0;display:block" srcdoc="<body><script>setTimeout(() => {
			document.body.style.background = 'rgb(0,136,0)' }, 700)</script>"></iframe>`,
		"a script that it adds": `<script>setTimeout(() => document.body.append(Object.assign(document.createElement('script'), { src: '` + url + `/late.js' })), 300)</script>`,
		"a style that it adds":  `<script>onload = () => setTimeout(() => document.head.append(Object.assign(document.createElement('link'), { rel: 'stylesheet', href: '` + url + `/late.css' })), 300)</script>`,
		"a frame that it adds": `<script>setTimeout(() => document.body.append(Object.assign(document.createElement('iframe'), { style: 'border:0;display:block', srcdoc:
			'<body style="background:rgb(0,136,0)">' })), 300)</script>`,
		"a document that is written anew": `<script>onload = () => { document.open(); document.write('<body style="margin:0;background:rgb(0,136,0)">') }</script>`,
	} {
		t.Run(name, func(t *testing.T) {
			outputs, warnings := run(t, b, task("png", `<!doctype html><body style="margin:0;background:rgb(255,0,0)">`+html))
			if img, _ := decode(t, outputs[0].Data); !near(img, 100, 50, green) || len(warnings) != 0 {
				t.Errorf("painted too early: %v, warnings %v", img.At(100, 50), warnings)
			}
		})
	}
}

// What a timer stops, it stops at its time, however long the page takes to load.
func TestATimerStopsAnAnimationAtItsTime(t *testing.T) {
	var delay atomic.Int64
	over := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-time.After(time.Duration(delay.Load())):
		case <-over:
		}
		w.Header().Set("Content-Type", "text/css")
	}))
	t.Cleanup(func() { close(over); server.Close() })
	b := startBehind(t, loopback, 0)
	for name, c := range map[string]struct {
		script string
		want   int // the width; the animation adds 50 pixels a second
	}{
		"by a class":      {`setTimeout(() => p.classList.add('stop'), 500)`, 25},
		"by its method":   {`setTimeout(() => p.getAnimations()[0].pause(), 500)`, 25},
		"in a chain":      {`setTimeout(() => setTimeout(() => p.classList.add('stop'), 1000), 1000)`, 100},
		"and goes on":     {`setTimeout(() => { p.classList.add('stop'); setTimeout(() => { p.classList.remove('stop'); setTimeout(() => p.classList.add('stop'), 500) }, 500) }, 500)`, 50},
		"that it began":   {`p.style.animationName = 'none'; setTimeout(() => { p.style.animationName = 'fill'; setTimeout(() => p.classList.add('stop'), 500) }, 500)`, 25},
		"set by a script": {`p.getAnimations()[0].currentTime = 1000; setTimeout(() => p.classList.add('stop'), 500)`, 75},
	} {
		t.Run(name, func(t *testing.T) {
			html := bars + `<style>.stop{animation-play-state:paused!important}</style><div class=bar id=p style="animation:fill 4s linear both"></div><script>` + c.script +
				`</script><link rel=stylesheet media=print href="` + server.URL + `/late.css">`
			var pictures [2][]byte
			for i, late := range []time.Duration{0, 700 * time.Millisecond} {
				delay.Store(int64(late))
				outputs, warnings := run(t, b, task("png", html))
				pictures[i] = outputs[0].Data
				if img, _ := decode(t, pictures[i]); width(img, 10, color.RGBA{0, 0x88, 255, 255}) != c.want || len(warnings) != 0 {
					t.Errorf("after %v, %d pixels wide, want %d; warnings %v", late, width(img, 10, color.RGBA{0, 0x88, 255, 255}), c.want, warnings)
				}
			}
			if !bytes.Equal(pictures[0], pictures[1]) {
				t.Error("two renders differ")
			}
		})
	}
}

func TestWhatAPageWasStillGoingToDoIsWarnedOf(t *testing.T) {
	url := answers(t)
	b := startBehind(t, loopback, 0)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for script, want := range map[string][]string{
		`setTimeout(() => {}, 5000)`: {"The page was still going to change when it was painted"},
		`document.body.dataset.platenReady = 'true'; setTimeout(() => {}, 5000)`: nil,
		`setTimeout(() => {}, 3600000)`:                                          nil,
		`setInterval(() => {}, 5000)`:                                            nil,
		`const tick = () => setTimeout(tick, 1000); tick()`:                      nil,
		`const tick = () => requestAnimationFrame(tick); tick()`:                 nil,
		`const id = setTimeout(() => {}, 5000); clearTimeout(id)`:                nil,
		`new Worker(URL.createObjectURL(new Blob(['']))).onmessage = () => {}`:   {"There was no answer yet when the page was painted: a worker"},
		`fetch('` + url + `/never')`:                                             {"There was no answer yet when the page was painted: " + url + "/never"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		warnings, err := b.Render(ctx, task("png", `<body><script>`+script+`</script>`), render.SinkFunc(func(context.Context, file.File, []byte) error { return nil }))
		cancel()
		if err != nil || !slices.Equal(titlesOf(warnings), want) {
			t.Errorf("%s: %v, warnings %v, want %q", script, err, warnings, want)
		}
	}
}

// What the browser leaves out without a word is named.
func TestWhatCannotBeShownIsNamed(t *testing.T) {
	url := answers(t)
	b := startBehind(t, loopback, 0)
	for html, want := range map[string]string{
		`<object data="` + url + `/none.png"></object>`:                    "Could not load " + url + "/none.png",
		`<embed src="` + url + `/none.png">`:                               "Could not load " + url + "/none.png",
		`<video poster="` + url + `/none.png"></video>`:                    "Could not load " + url + "/none.png",
		`<style>@import "` + url + `/none.css";</style>`:                   "Could not load " + url + "/none.css",
		`<iframe src="` + url + `/denied"></iframe>`:                       "Could not load " + url + "/denied",
		`<p style="mask-image:url(` + url + `/mask.svg)">x`:                "Could not load " + url + "/mask.svg",
		`<embed type="application/pdf" src="` + url + `/x">`:               "A PDF within a page is not shown: " + url + "/x",
		`<iframe src="data:application/pdf;base64,JVBERi0xLjQK"></iframe>`: "A PDF within a page is not shown: data:application/pdf;base64,JVBERi0xLjQK",
		`<svg><use href="` + url + `/mask.svg#a"></use></svg>`:             "Could not load " + url + "/mask.svg#a",
	} {
		if _, warnings := run(t, b, task("png", html)); !slices.Contains(titlesOf(warnings), want) {
			t.Errorf("%s: warnings %v, want %q", html, warnings, want)
		}
	}
}

// What a page does before it is printed is checked as all else.
func TestWhatAPageDoesBeforeItIsPrintedIsLookedAt(t *testing.T) {
	_, warnings := run(t, start(t), task("pdf", `<body style="margin:0"><p id=p>x</p><script>let n = 0;
		onbeforeprint = () => { p.textContent = 'A text that is far too long for this page. '.repeat(20); if (++n > 1) p.textContent = '' }</script>`))
	if len(warnings) != 1 || warnings[0].Title != "Text is cut at the edge of the page: A text that is far too long for this page. A text that is fa…" {
		t.Errorf("warnings %v", warnings)
	}
}
