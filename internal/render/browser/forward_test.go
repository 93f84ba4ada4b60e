// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/render"
)

// answers serves /late with leave to read it, /chain.js, which imports the next, /late.js and /late.css, which paint a page green, /late.ttf, /late.svg and /late.html, which are green, and /late.txt with
// an event, all after a while, /never until the test ends, /denied with a ban on frames, /mask.svg, and 404 for everything else.
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
		case "/chain.js":
			w.Header().Set("Access-Control-Allow-Origin", "*")
			w.Header().Set("Content-Type", "text/javascript")
			_, _ = io.WriteString(w, `import('./late.js')`)
		case "/late.js", "/late.css", "/late.svg", "/late.html", "/late.txt":
			select {
			case <-time.After(300 * time.Millisecond):
			case <-over:
			}
			w.Header().Set("Access-Control-Allow-Origin", "*")
			answer := map[string][2]string{
				"/late.js":   {"text/javascript", `document.body.style.background = 'rgb(0,136,0)'`},
				"/late.css":  {"text/css", `body { background: rgb(0,136,0) !important }`},
				"/late.svg":  {"image/svg+xml", `<svg xmlns="http://www.w3.org/2000/svg" width="200" height="100"><rect width="200" height="100" fill="rgb(0,136,0)"/></svg>`},
				"/late.html": {"text/html", `<body style="background:rgb(0,136,0)">`},
				"/late.txt":  {"text/event-stream", "data: green\n\n"},
			}[r.URL.Path]
			w.Header().Set("Content-Type", answer[0])
			_, _ = io.WriteString(w, answer[1])
		case "/late.ttf":
			select {
			case <-time.After(300 * time.Millisecond):
			case <-over:
			}
			w.Header().Set("Access-Control-Allow-Origin", "*")
			_, _ = w.Write(brand(t, "LiberationMono-Regular", "400").Data)
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
		"tasks of a low priority": `<script>let n = 0; const work = () => { if (++n < 10) scheduler.postTask(work, { delay: 90, priority: 'background' }); else ` + paint + ` }; work()</script>`,
		"frames and the timeline": `<script>requestAnimationFrame(() => requestAnimationFrame((t) => { if (Math.abs(document.timeline.currentTime - t) < 1) ` + paint + ` }))</script>`,
		"a timer without an end":  `<script>setTimeout(() => { ` + paint + ` }, Infinity)</script>`,
		"frames by the timeline": `<script>const began = document.timeline.currentTime; const draw = () => { if (document.timeline.currentTime - began < 1000) requestAnimationFrame(draw); else ` + paint + ` };
			requestAnimationFrame(draw)</script>`,
		"a worker that answers on a port": `<script>const w = new Worker(URL.createObjectURL(new Blob(['onmessage = (e) => setTimeout(() => e.ports[0].postMessage(1), 50)']))), c = new MessageChannel();
			c.port1.onmessage = () => { ` + paint + ` }; w.postMessage(1, [c.port2])</script>`,
		"a worker that is asked on a port": `<script>const w = new Worker(URL.createObjectURL(new Blob(['onmessage = (e) => { const [p] = e.data; p.onmessage = () => setTimeout(() => p.postMessage(1), 50); p.postMessage(0) }'])));
			const c = new MessageChannel(); let n = 0; c.port1.onmessage = () => { if (++n < 20) c.port1.postMessage(1); else ` + paint + ` }; w.postMessage([c.port2], { transfer: [c.port2] })</script>`,
		"a port of a worker's": `<script>const w = new Worker(URL.createObjectURL(new Blob(['const c = new MessageChannel(); c.port1.onmessage = () => setTimeout(() => c.port1.postMessage(1), 50); postMessage(0, [c.port2])'])));
			w.onmessage = ({ ports: [p] }) => { p.onmessage = () => { ` + paint + ` }; p.postMessage(1) }</script>`,
		"a worker beside an import": `<script>import('data:text/javascript,1'); const w = new Worker(URL.createObjectURL(new Blob(['postMessage(1)']))); w.onmessage = () => { ` + paint + ` }</script>`,
		"a worker of a module": `<script>const w = new Worker(URL.createObjectURL(new Blob(['export {}; setTimeout(() => postMessage(1), 50)'], { type: 'text/javascript' })), { type: 'module' });
			w.onmessage = () => { ` + paint + ` }</script>`,
		"a file that is read": `<script>const r = new FileReader(); r.onload = () => { ` + paint + ` }; r.readAsDataURL(new Blob([new Uint8Array(20 << 20)]))</script>`,
		"a wait for quiet":    `<script>let last = Date.now(); const later = () => { const left = 400 - (Date.now() - last); if (left > 0) setTimeout(later, left); else ` + paint + ` }; setTimeout(later, 400)</script>`,
		"a timer that waits":  `<script>setTimeout(() => { const t = performance.now(); while (performance.now() - t < 50); ` + paint + ` }, 300)</script>`,
		"after a transition": `<style>p { width: 0; transition: width 1s } .on { width: 9px }</style><p id=p></p><script>
			setTimeout(() => { p.className = 'on'; p.ontransitionend = () => setTimeout(() => { ` + paint + ` }, 300) }, 300)</script>`,
		"an element's class": `<x-a></x-a><script>setTimeout(() => customElements.define('x-a', class extends HTMLElement { connectedCallback() { ` + paint + ` } }), 400)</script>`,
		"an import that a timer would overtake": `<script>setTimeout(() => Promise.race([import('data:text/javascript,import "` + url + `/late.js"').then(() => 1), new Promise((done) => setTimeout(done, 1000))])
			.then((came) => { document.body.style.background = ''; if (came) ` + paint + ` }), 300)</script>`,
		"a font that a timer would overtake": `<style>@font-face { font-family: "7 Brand"; src: url(` + url + `/late.ttf) } p { font: 20px '7 Brand', 'Liberation Sans'; position: absolute; width: max-content } :root { color: transparent }</style>
			<script>setTimeout(() => { const p = document.body.appendChild(Object.assign(document.createElement('p'), { textContent: 'iiiiii' }));
			setTimeout(() => { if (p.offsetWidth > 60) ` + paint + ` }, 500) }, 100)</script>`,
		"what another process knows": `<!-- alone: fetch() --><script>(async () => { await navigator.gpu.requestAdapter(); await navigator.locks.request('x', async () => {}); await navigator.storage.estimate();
			await navigator.permissions.query({ name: 'camera' }); for (let n = 0; n < 5; n++) await navigator.mediaDevices.enumerateDevices(); await navigator.userAgentData.getHighEntropyValues(['platform']); ` + paint + ` })()</script>`,
		"promises between timers": `<script>const l = []; for (const n of [1, 2]) setTimeout(async () => { l.push(n); await null; await null; l.push(n + 'p'); if (l.join() === '1,1p,2,2p') ` + paint + ` }, 100)</script>`,
		"promises between frames": `<script>const l = []; for (const n of [1, 2]) requestAnimationFrame(async () => { l.push(n); await null; await null; l.push(n + 'p'); if (l.join() === '1,1p,2,2p') ` + paint + ` })</script>`,
		"what it imports": `<script>setTimeout(() => import('` + url + `/late.js').then(() => { document.body.style.background = ''; setTimeout(() => { ` + paint + ` }, 1000) }), 300);
			const f = () => { requestAnimationFrame(f) }; f()</script>`,
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
		"sizes, one after the other": `<p id=p style="width:10px"></p><script>new ResizeObserver(([{ contentRect: { width } }]) => { if (width < 200) p.style.width = width + 10 + 'px'; else ` + paint + ` }).observe(p)</script>`,
		"sizes that nobody tells": `<p hidden id=p></p><b id=q>x</b><script>new ResizeObserver(() => {}).observe(p); const o = new ResizeObserver(() => {}); o.observe(q); o.disconnect();
			const i = new IntersectionObserver(() => {}); i.observe(q); i.unobserve(q); setTimeout(() => { ` + paint + ` }, 1000)</script>`,
		"marks in time":        `<script>performance.mark('a'); setTimeout(() => { performance.mark('b'); if (performance.measure('m', 'a', 'b').duration >= 1000) ` + paint + ` }, 1000)</script>`,
		"the time of an event": `<script>const { timeStamp } = new Event('x'); setTimeout(() => { if (new Event('x').timeStamp - timeStamp >= 1000 && new Event('x').timeStamp <= performance.now()) ` + paint + ` }, 1000)</script>`,
		"the date of a frame": `<script>setTimeout(() => { const { contentWindow } = document.body.appendChild(document.createElement('iframe')); document.body.lastChild.style.display = 'none';
			if (Math.abs(contentWindow.Date.now() - Date.now()) < 100) ` + paint + ` }, 2000)</script>`,
		"a stream of the page's own": `<script>(async () => {
			const s = new ReadableStream({ async pull(c) { await new Promise((done) => setTimeout(done, 200)); if (++n > 5) c.close(); else c.enqueue(n) } }, { highWaterMark: 0 }); let n = 0;
			for await (const part of s) last = part; if (last === 5) ` + paint + ` })(); let last</script>`,
		"an answer of the page's own": `<script>(async () => { const s = new ReadableStream({ start(c) { setTimeout(() => { c.enqueue(new TextEncoder().encode('x')); c.close() }, 300) } });
			const [a, b] = s.pipeThrough(new TransformStream()).tee(); await a.pipeTo(new WritableStream()); if (await new Response(b).text() === 'x') ` + paint + ` })()</script>`,
		"an attribute's handler":          `<style>@keyframes x { to { opacity: 0 } }</style><p style="animation: x 100ms" onanimationend="` + paint + `"></p>`,
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

// A film and a picture do not wait for the beginning of a video that has none.
func TestAVideoOfAStreamIsShownAsItIs(t *testing.T) {
	b := start(t)
	const html = `<!doctype html><body style="margin:0"><canvas id=c width=100 height=100></canvas><video id=v width=100 height=100 muted autoplay style="object-fit:fill"></video><script>
		c.getContext('2d').fillStyle = 'rgb(0,136,0)'; c.getContext('2d').fillRect(0, 0, 100, 100); v.srcObject = c.captureStream()</script>`
	for _, format := range []string{"png", "mp4"} {
		page := task(format, html)
		page.Video.FPS, page.Video.Seconds = 5, 0.4
		began := time.Now()
		_, warnings := run(t, b, page)
		if took := time.Since(began); took > maxReadyTime*2/3 || !slices.Equal(titlesOf(warnings), []string{"A video of a stream plays by a clock of its own"}) {
			t.Errorf("%s took %s; warnings %v", format, took, warnings)
		}
	}
}

// lateStyles serves an empty style sheet after a delay.
func lateStyles(t *testing.T) (address string, delay *atomic.Int64) {
	t.Helper()
	delay = new(atomic.Int64)
	over := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-time.After(time.Duration(delay.Load())):
		case <-over:
		}
		w.Header().Set("Content-Type", "text/css")
	}))
	t.Cleanup(func() { close(over); server.Close() })
	return server.URL + "/late.css", delay
}

// What a timer stops, it stops at its time, however long the page takes to load.
func TestATimerStopsAnAnimationAtItsTime(t *testing.T) {
	styles, delay := lateStyles(t)
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
				`</script><link rel=stylesheet media=print href="` + styles + `">`
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

// An endless loop of frames, and an animation that a script pauses at once, are the same in each picture, however long the page takes to load.
func TestEndlessLoopsAreRepeatable(t *testing.T) {
	styles, delay := lateStyles(t)
	b := startBehind(t, loopback, 0)
	for name, script := range map[string]string{
		"frames":                    `let began; const draw = (t) => { began ??= t; p.style.width = (t - began) % 1000 / 5 + 'px'; requestAnimationFrame(draw) }; requestAnimationFrame(draw)`,
		"frames by the clock":       `const began = performance.now(); const draw = () => { p.style.width = (performance.now() - began) % 1000 / 5 + 'px'; requestAnimationFrame(draw) }; draw()`,
		"frames by the date":        `const began = Date.now(); const draw = () => { p.style.width = (Date.now() - began) % 1000 / 5 + 'px'; requestAnimationFrame(draw) }; draw()`,
		"frames by an event":        `const { timeStamp } = new Event('x'); const draw = (t) => { p.style.width = (t - timeStamp) % 1000 / 5 + 'px'; requestAnimationFrame(draw) }; requestAnimationFrame(draw)`,
		"frames by a timeline":      `const began = document.timeline.currentTime; const draw = (t) => { p.style.width = (t - began) % 1000 / 5 + 'px'; requestAnimationFrame(draw) }; requestAnimationFrame(draw)`,
		"frames by their own time":  `const draw = (t) => { p.style.width = t % 1000 / 5 + 'px'; requestAnimationFrame(draw) }; requestAnimationFrame(draw)`,
		"frames by the whole clock": `const draw = () => { p.style.width = (performance.now() + document.timeline.currentTime + new Event('x').timeStamp) % 1000 / 5 + 'px'; requestAnimationFrame(draw) }; draw()`,
		"the clock at first":        `p.style.width = performance.now() % 1000 / 5 + document.timeline.currentTime % 1000 / 10 + 'px'`,
		"a paused animation":        `p.animate({ width: ['50px', '200px'] }, { duration: 1000, fill: 'both' }).pause()`,
		"a paused one of CSS":       `p.style.animation = 'fill 4s linear both'; setTimeout(() => p.getAnimations()[0].pause())`,
	} {
		t.Run(name, func(t *testing.T) {
			html := bars + `<link rel=stylesheet media=print href="` + styles + `"><div class=bar id=p></div><script>` + script + `</script>`
			var pictures [2][]byte
			for i, late := range []time.Duration{0, 437 * time.Millisecond} {
				delay.Store(int64(late))
				outputs, warnings := run(t, b, task("png", html))
				pictures[i] = outputs[0].Data
				if len(warnings) != 0 {
					t.Errorf("warnings %v", warnings)
				}
			}
			if !bytes.Equal(pictures[0], pictures[1]) {
				first, _ := decode(t, pictures[0])
				second, _ := decode(t, pictures[1])
				t.Errorf("two renders differ: %d and %d pixels wide", width(first, 10, color.RGBA{0, 0x88, 255, 255}), width(second, 10, color.RGBA{0, 0x88, 255, 255}))
			}
		})
	}
}

// What a page loads once it is loaded is waited for, whatever asks for it.
func TestAPageIsPaintedWithWhatItLoadsLater(t *testing.T) {
	url := answers(t)
	b := startBehind(t, loopback, 0)
	const whole = `style="position:fixed;inset:0;width:200px;height:100px;border:0"`
	for name, html := range map[string]string{
		"a picture that is drawn":    `<canvas id=c width=200 height=100 ` + whole + `></canvas><script>onload = () => setTimeout(() => { const i = new Image(); i.onload = () => c.getContext('2d').drawImage(i, 0, 0); i.src = 'URL/late.svg' }, 10)</script>`,
		"a picture after a request":  `<canvas id=c width=200 height=100 ` + whole + `></canvas><script>fetch('URL/late').then(() => { const i = new Image(); i.onload = () => c.getContext('2d').drawImage(i, 0, 0); i.src = 'URL/late.svg' })</script>`,
		"another address":            `<img id=i ` + whole + `><script>onload = () => setTimeout(() => { i.src = 'URL/late.svg'; i.onload = () => { document.body.style.background = 'rgb(0,136,0)' } }, 500)</script>`,
		"a picture of a drawing":     `<svg id=s ` + whole + `></svg><script>onload = () => { s.innerHTML = '<image width="200" height="100" href="URL/late.svg"/>' }</script>`,
		"a picture of a button":      `<input type=image id=i ` + whole + `><script>onload = () => setTimeout(() => { i.src = 'URL/late.svg' }, 100)</script>`,
		"a style that was preloaded": `<link rel=preload as=style href="URL/late.css" onload="this.rel='stylesheet'">`,
		"a style of another address": `<link id=l rel=stylesheet href="data:text/css,"><script>onload = () => { l.href = 'URL/late.css' }</script>`,
		"a style that imports":       `<style id=s></style><script>onload = () => { s.textContent = '@import "URL/late.css"' }</script>`,
		"a frame of another address": `<iframe id=f ` + whole + `></iframe><script>onload = () => setTimeout(() => { f.src = 'URL/late.html' }, 100)</script>`,
		"an import":                  `<script>import('URL/late.js')</script>`,
		"an import of a module":      `<script type=module>await import('URL/late.js')</script>`,
		"an import of an import":     `<script type=module>import 'URL/chain.js'</script>`,
		"an import by a timer":       `<script>setTimeout(() => import('URL/chain.js'), 300)</script>`,
		"an import beside a loop":    `<script>const f = () => { requestAnimationFrame(f) }; f(); setTimeout(() => import('URL/late.js'), 300)</script>`,
		"an event":                   `<script>new EventSource('URL/late.txt').onmessage = () => { document.body.style.background = 'rgb(0,136,0)' }</script>`,
		"another object":             `<object id=o ` + whole + ` data="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="></object><script>onload = () => setTimeout(() => { o.data = 'URL/late.svg' }, 100)</script>`,
		"an object that is shown":    `<object id=o hidden ` + whole + ` data="URL/late.svg"></object><script>onload = () => setTimeout(() => { o.hidden = false }, 100)</script>`,
		"a picture apart from it":    `<script>onload = () => { const i = document.createElement('img'); i.onload = () => { document.body.style.background = 'rgb(0,136,0)' }; i.setAttribute('src', 'URL/late.svg') }</script>`,
		"markup apart from it":       `<script>onload = () => { const d = document.createElement('div'); d.innerHTML = '<img src="URL/late.svg">'; d.firstChild.onload = () => { document.body.style.background = 'rgb(0,136,0)' } }</script>`,
		"a drawing apart from it": `<script>onload = () => { const i = document.createElementNS('http://www.w3.org/2000/svg', 'image'); i.onload = () => { document.body.style.background = 'rgb(0,136,0)' };
			i.setAttribute('href', 'URL/late.svg') }</script>`,
		"a picture of a filter": `<svg ` + whole + `><filter id=f x=0 y=0 width=1 height=1><feImage id=i /></filter><rect width=200 height=100 filter="url(#f)"/></svg><script>
			onload = () => { i.setAttribute('href', 'URL/late.svg') }</script>`,
		"a style that is enabled":     `<link id=l rel=stylesheet href="URL/late.css" disabled><script>onload = () => { l.disabled = false }</script>`,
		"a rule that imports":         `<style id=s></style><script>onload = () => { s.sheet.insertRule('@import "URL/late.css"') }</script>`,
		"a picture behind a frame":    `<iframe id=i ` + whole + ` srcdoc="<body>"></iframe><script>onload = () => { i.contentDocument.body.style.background = 'url(URL/late.svg)' }</script>`,
		"a frame that is lazy":        `<script>onload = () => { document.body.innerHTML = '<iframe loading=lazy ` + strings.ReplaceAll(whole, `"`, ``) + ` src="URL/late.html"></iframe>' }</script>`,
		"a lazy frame from the first": `<iframe loading=lazy ` + whole + ` srcdoc="<body style='background:rgb(0,136,0)'>"></iframe>`,
		"a video that is none":        `<script>onload = () => { const v = document.createElement('video'); v.onerror = () => { document.body.style.background = 'rgb(0,136,0)' }; v.src = 'URL/late.js' }</script>`,
		"a stream":                    `<script>onload = async () => { const { body } = await fetch('URL/late'); let n = 0; for await (const part of body) n += part.length; document.body.style.background = 'rgb(0,136,0)' }</script>`,
		"a stream that is piped":      `<script>onload = async () => { const { body } = await fetch('URL/late'); await body.pipeTo(new WritableStream()); document.body.style.background = 'rgb(0,136,0)' }</script>`,
		"a style in a shadow root":    `<div id=h></div><script>onload = () => { const r = h.attachShadow({ mode: 'closed' }); r.innerHTML = '<link rel=stylesheet href="URL/late.css">'; r.firstChild.onload = () => { document.body.style.background = 'rgb(0,136,0)' } }</script>`,
	} {
		for _, format := range []string{"png", "mp4"} {
			t.Run(name+", "+format, func(t *testing.T) {
				document := task(format, `<!doctype html><body style="margin:0;background:rgb(255,0,0)">`+strings.ReplaceAll(html, "URL", url))
				if document.Filmed() {
					document.Video = render.VideoOptions{FPS: 10, Seconds: 0.8}
				}
				outputs, warnings := run(t, b, document)
				var img image.Image
				if document.Filmed() {
					pictures := frames(t, outputs[0].Data)
					img = pictures[len(pictures)-1]
				} else {
					img, _ = decode(t, outputs[0].Data)
				}
				if got := width(img, 50, color.RGBA{0, 136, 0, 255}); got != 200 || len(warnings) != 0 {
					t.Errorf("%d pixels are green; warnings %v", got, warnings)
				}
			})
		}
	}
}

// What the browser does beside a page's scripts is waited for as their own work is.
func TestAPageIsPaintedAfterWhatTheBrowserDoesForIt(t *testing.T) {
	b := start(t)
	for name, script := range map[string]string{
		"pictures from a canvas": `const c = document.createElement('canvas'); c.width = c.height = 400; for (let n = 0; n < 20; n++) await createImageBitmap(c)`,
		"a file of a canvas":     `const c = document.createElement('canvas'); c.width = c.height = 900; c.getContext('2d').fillRect(0, 0, 900, 900); for (let n = 0; n < 5; n++) await new Promise((done) => c.toBlob(done))`,
		"a file without one":     `const c = new OffscreenCanvas(900, 900); c.getContext('2d').fillRect(0, 0, 9, 9); for (let n = 0; n < 5; n++) await c.convertToBlob()`,
		"modules of WebAssembly": `for (let n = 0; n < 20; n++) await WebAssembly.instantiate(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]))`,
		"packing":                `for (let n = 0; n < 10; n++) await new Response(new Blob(['x'.repeat(1e6)]).stream().pipeThrough(new CompressionStream('gzip'))).arrayBuffer()`,
		"a stream":               `const r = new Blob(['x'.repeat(1e7)]).stream().getReader(); while (!(await r.read()).done);`,
		"pictures that decode":   `const c = document.createElement('canvas'); c.width = c.height = 1000; const u = c.toDataURL(); for (let n = 0; n < 5; n++) { const i = new Image(); i.src = u + '#' + n; await i.decode() }`,
		"pictures that load":     `const c = document.createElement('canvas'); c.width = c.height = 1000; const u = c.toDataURL(); for (let n = 0; n < 5; n++) await new Promise((done) => { const i = new Image(); i.onload = done; i.src = u })`,
		"a sound":                `const a = new OfflineAudioContext(1, 44100 * 20, 44100); a.createOscillator().connect(a.destination); await a.startRendering()`,
		"a database": `await new Promise((done, failed) => { const open = indexedDB.open('x', 1); open.onupgradeneeded = () => open.result.createObjectStore('s'); open.onerror = failed;
			open.onsuccess = () => { const t = open.result.transaction('s', 'readwrite'); for (let n = 0; n < 500; n++) t.objectStore('s').put('v', n); t.oncomplete = done } })`,
		"messages to all":       `const [a, b] = [new BroadcastChannel('x'), new BroadcastChannel('x')]; for (let n = 0; n < 20; n++) await new Promise((done) => { b.onmessage = done; a.postMessage(1) })`,
		"a font":                `const f = new FontFace('X', "local('Liberation Mono')"); document.fonts.add(f); await f.load()`,
		"what is in sight":      `const d = document.body.appendChild(document.createElement('div')); for (let n = 0; n < 5; n++) await new Promise((done) => { const o = new IntersectionObserver(() => { o.disconnect(); done() }); o.observe(d) })`,
		"what is as large":      `const d = document.body.appendChild(document.createElement('div')); d.style.height = '1px'; for (let n = 0; n < 3; n++) await new Promise((done) => { const o = new ResizeObserver(() => { o.disconnect(); requestAnimationFrame(done) }); o.observe(d) })`,
		"animations, in a row":  `for (let n = 0; n < 5; n++) await document.body.animate({ opacity: [0, 1] }, 100).finished`,
		"modules in an address": `for (let n = 0; n < 10; n++) await import('data:text/javascript,export default ' + n)`,
	} {
		for _, format := range []string{"png", "pdf"} {
			t.Run(name+", "+format, func(t *testing.T) {
				document := task(format, `<!doctype html><body style="margin:0;background:rgb(255,0,0)"><script>(async () => { `+script+`; document.body.style.background = 'rgb(0,136,0)' })()</script>`)
				outputs, warnings := run(t, b, document)
				var img image.Image
				if format == "pdf" {
					img = picture(t, outputs[0].Data)
				} else {
					img, _ = decode(t, outputs[0].Data)
				}
				if !near(img, 100, 50, color.RGBA{0, 136, 0, 255}) || len(warnings) != 0 {
					t.Errorf("painted too early: %v; warnings %v", img.At(100, 50), warnings)
				}
			})
		}
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
		`document.body.dataset.platenReady = 'true'; setTimeout(() => {}, 5000)`:            nil,
		`setTimeout(() => {}, 3600000)`:                                                     nil,
		`setInterval(() => {}, 5000)`:                                                       nil,
		`const tick = () => setTimeout(tick, 1000); tick()`:                                 nil,
		`const tick = () => requestAnimationFrame(tick); tick()`:                            nil,
		`const id = setTimeout(() => {}, 5000); clearTimeout(id)`:                           nil,
		`new Worker(URL.createObjectURL(new Blob(['throw new Error("none")'])))`:            {"Script error: Uncaught Error: none"},
		`new Worker(URL.createObjectURL(new Blob(['postMessage(1)'])), { type: 'module' })`: {"The script of a Worker could not be loaded"},
		`new Worker(URL.createObjectURL(new Blob(['']))).onmessage = () => {}`:              {"There was no answer yet when the page was painted: a worker"},
		`fetch('` + url + `/never')`:                                                        {"There was no answer yet when the page was painted: " + url + "/never"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second) // it waits 5 for a request that never ends
		warnings, err := b.Render(ctx, task("png", `<body><script>`+script+`</script>`), render.SinkFunc(func(context.Context, file.File, []byte) error { return nil }))
		cancel()
		if err != nil || !slices.Equal(titlesOf(warnings), want) {
			t.Errorf("%s: %v, warnings %v, want %q", script, err, warnings, want)
		}
	}
}

// A loop that changes a page for longer than it gets is told if it ends by itself.
func TestLoopsThatGoOnAreWarnedOf(t *testing.T) {
	const (
		count    = `let total = 0; const count = () => { document.body.textContent = ++total; return total }; `
		changing = "The page was still changing when it was painted"
	)
	b := start(t)
	for script, want := range map[string][]string{
		count + `const draw = () => { if (count() < 300) requestAnimationFrame(draw) }; draw()`:                                                                               {changing},
		count + `const began = performance.now(); (function draw() { count(); if (performance.now() - began < 5000) requestAnimationFrame(draw) })()`:                         {changing},
		count + `const i = setInterval(() => { if (count() === 50) clearInterval(i) }, 100)`:                                                                                  {changing},
		count + `const type = () => { if (count() < 60) setTimeout(type, 80) }; type()`:                                                                                       {changing},
		count + `const i = setInterval(() => { if (count() === 50) clearInterval(i) }, 100); setInterval(() => {}, 500); (function draw() { requestAnimationFrame(draw) })()`: {changing},
		count + `const i = setInterval(() => { if (count() === 9) clearInterval(i) }, 3000)`:                                                                                  {changing},
		count + `setInterval(count, 1000)`:                                                                                               nil,
		count + `const draw = () => { count(); requestAnimationFrame(draw) }; draw()`:                                                    nil,
		count + `const i = setInterval(() => { if (count() === 50) clearInterval(i) }, 40)`:                                              nil,
		`let n = 0; const i = setInterval(() => { if (++n === 50) clearInterval(i) }, 100)`:                                              nil, // it changes nothing
		count + `document.body.dataset.platenReady = 'true'; const i = setInterval(() => { if (count() === 50) clearInterval(i) }, 100)`: nil,
		count + `const i = setInterval(() => { if (count() === 30) for (;;); }, 100)`:                                                    nil,
		`let n = 0; const x = Object.assign(document.body.appendChild(document.createElement('canvas'))).getContext('2d');
			const draw = () => { x.fillRect(0, 0, ++n, 9); if (n < 300) requestAnimationFrame(draw) }; draw()`: {changing},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		warnings, err := b.Render(ctx, task("png", `<body><script>`+script+`</script>`), render.SinkFunc(func(context.Context, file.File, []byte) error { return nil }))
		cancel()
		if err != nil || !slices.Equal(titlesOf(warnings), want) {
			t.Errorf("%s: %v, warnings %v, want %q", script, err, warnings, want)
		}
	}
}

// What the browser leaves out without a word is named.
func TestWhatCannotBeShownIsNamed(t *testing.T) {
	const one = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs="
	url := answers(t)
	b := startBehind(t, loopback, 0)
	for html, want := range map[string]string{
		`<object data="` + url + `/none.png"></object>`:     "Could not load " + url + "/none.png",
		`<embed src="` + url + `/none.png">`:                "Could not load " + url + "/none.png",
		`<video poster="` + url + `/none.png"></video>`:     "Could not load " + url + "/none.png",
		`<style>@import "` + url + `/none.css";</style>`:    "Could not load " + url + "/none.css",
		`<iframe src="` + url + `/denied"></iframe>`:        "Could not load " + url + "/denied",
		`<p style="mask-image:url(` + url + `/mask.svg)">x`: "Could not load " + url + "/mask.svg",
		`<img src="">`:                                                      `Could not load ""`,
		`<svg><image href=""></image></svg>`:                                `Could not load ""`,
		`<embed type="application/pdf" src="` + url + `/x">`:                "A PDF within a page is not shown: " + url + "/x",
		`<iframe src="data:application/pdf;base64,JVBERi0xLjQK"></iframe>`:  "A PDF within a page is not shown: data:application/pdf;base64,JVBERi0xLjQK",
		`<svg><use href="` + url + `/mask.svg#a"></use></svg>`:              "Could not load " + url + "/mask.svg#a",
		`<img srcset="` + url + `/none.png 1x">`:                            "Could not load " + url + "/none.png",
		`<img srcset="` + url + `/none.png" src="` + one + `">`:             "Could not load " + url + "/none.png",
		`<script type="module">import "` + url + `/none.js"</script>`:       "Could not load " + url + "/none.js",
		`<script>fetch("data:,x").then((answer) => answer.json())</script>`: `Script error: SyntaxError: Unexpected token 'x', "x" is not valid JSON`,
	} {
		if _, warnings := run(t, b, task("png", html)); !slices.Contains(titlesOf(warnings), want) {
			t.Errorf("%s: warnings %v, want %q", html, warnings, want)
		}
	}
}

// Relative URLs lead nowhere, whatever has them.
func TestRelativeURLsAreNamed(t *testing.T) {
	b := startBehind(t, loopback, 0)
	for html, want := range map[string]string{
		`<style>@import "x.css";</style>`:                  "x.css",
		`<iframe src="page.html"></iframe>`:                "page.html",
		`<iframe srcdoc="<img src=x.png>"></iframe>`:       "x.png",
		`<embed src="x.svg">`:                              "x.svg",
		`<img srcset="x.png 1x">`:                          "x.png",
		`<picture><source srcset="x.webp"><img></picture>`: "x.webp",
		`<script type="module">import "./x.js"</script>`:   "x.js",
		`<svg><image href="x.png"></image></svg>`:          "x.png",
		`<svg><use href="x.svg#a"></use></svg>`:            "x.svg#a",
		`<img src="x.png"><style>@import "x.png";</style>`: "x.png",
		`<style>@font-face { font-family: F; src: url(x.woff2) }</style><link rel="stylesheet" href="x.css">`: "x.css",
	} {
		_, warnings := run(t, b, task("png", html))
		if len(warnings) != 1 || warnings[0].Title != "Could not load "+want || !strings.HasPrefix(warnings[0].Details, "a page has no address of its own") {
			t.Errorf("%s: warnings %v, want one of %s", html, warnings, want)
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

// A worker that has nothing to say, such as one that draws, gets all that the page tells it in its time: it is not waited for at each message.
func TestASilentWorkerGetsAllMessages(t *testing.T) {
	b := start(t)
	outputs, warnings := run(t, b, task("png", `<!doctype html><body style="margin:0"><canvas id=c width=200 height=100></canvas><script>
		const o = c.transferControlToOffscreen(), code = 'onmessage = ({ data: { canvas, w } }) => { if (canvas) self.g = canvas.getContext("2d"); g.fillStyle = "#0f0"; g.fillRect(0, 0, w, 100) }';
		const worker = new Worker(URL.createObjectURL(new Blob([code])));
		worker.postMessage({ canvas: o, w: 10 }, [o]);
		let w = 10;
		const grow = () => { worker.postMessage({ w: w += 10 }); if (w < 200) setTimeout(grow, 50) };
		setTimeout(grow, 50)</script>`))
	img, _ := decode(t, outputs[0].Data)
	if got := width(img, 50, color.RGBA{0, 255, 0, 255}); got != 200 || len(warnings) != 1 || !strings.Contains(warnings[0].Title, "a worker") {
		t.Errorf("the bar is %d pixels wide, want 200; warnings %v", got, warnings)
	}
}
