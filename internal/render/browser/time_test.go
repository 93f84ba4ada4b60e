// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	"image/gif"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/platen-dev/platen/internal/render"
)

// frames returns the frames of a video of 200x100 pixels.
func frames(t *testing.T, video []byte) (list []image.Image) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "video")
	if err := os.WriteFile(path, video, 0o600); err != nil {
		t.Fatal(err)
	}
	raw, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-i", path, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgba", "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	const size = 200 * 100 * 4
	for ; len(raw) >= size; raw = raw[size:] {
		list = append(list, &image.RGBA{Pix: raw[:size], Stride: 200 * 4, Rect: image.Rect(0, 0, 200, 100)})
	}
	return list
}

// width returns how many pixels of a row have the colour, within what H.264 changes.
func width(img image.Image, y int, want color.RGBA) (n int) {
	for x := range img.Bounds().Dx() {
		r, g, b, _ := img.At(x, y).RGBA()
		far := max(distance8(r, want.R), distance8(g, want.G), distance8(b, want.B))
		if far < 60 {
			n++
		}
	}
	return n
}

func distance8(got uint32, want uint8) int {
	d := int(got>>8) - int(want)
	return max(d, -d)
}

const bars = `<!doctype html><style>body{margin:0;background:#fff} .bar{height:20px;background:#0088ff}
	@keyframes fill{from{width:0}to{width:200px}}</style>`

// What time does not drive is left alone, what is finite ends in a still, and what is endless begins.
func TestStillsAndFilmsFollowOneRuleOfTime(t *testing.T) {
	blue := color.RGBA{0, 0x88, 255, 255}
	b := start(t)
	for name, c := range map[string]struct {
		html string
		// still is the width of the bar in a still, and film in frames 0, 5 and 9 of a film of ten frames a second.
		still int
		film  [3]int
	}{
		"CSS":           {bars + `<div class=bar style="animation:fill 1s linear both">`, 200, [3]int{0, 100, 180}},
		"CSS, delayed":  {bars + `<div class=bar style="animation:fill 1s .5s linear both">`, 200, [3]int{0, 0, 80}},
		"CSS, paused":   {bars + `<div class=bar style="animation:fill 10s linear -4s paused both">`, 80, [3]int{80, 80, 80}},
		"CSS, endless":  {bars + `<div class=bar style="animation:fill 2s linear -1s infinite both">`, 100, [3]int{100, 150, 190}},
		"CSS, reversed": {bars + `<div class=bar style="animation:fill 1s linear both reverse">`, 0, [3]int{200, 100, 20}},
		"CSS, paused by a class later": {
			bars + `<style>.stop{animation-play-state:paused!important}</style><div class=bar id=b style="animation:fill 1s linear both"></div>
			<script>setTimeout(() => {}, 0); setInterval(() => { b.classList.add('stop') }, 500)</script>`, 100, [3]int{0, 100, 100},
		},
		"Web Animations": {
			bars + `<div class=bar id=b></div><script>b.animate({width:['0','200px']},{duration:1000,fill:'both'})</script>`, 200, [3]int{0, 100, 180},
		},
		"Web Animations, paused": {
			bars + `<div class=bar id=b></div><script>const a=b.animate({width:['0','200px']},{duration:1000,fill:'both'});a.pause();a.currentTime=300</script>`,
			60, [3]int{60, 60, 60},
		},
		"Web Animations, stopped by their rate": {
			bars + `<div class=bar id=b></div><script>const a=b.animate({width:['0','200px']},{duration:1000,fill:'both'});a.currentTime=250;a.playbackRate=0</script>`,
			50, [3]int{50, 50, 50},
		},
		"Web Animations, stopped by their next rate": {
			bars + `<div class=bar id=b></div><script>const a=b.animate({width:['0','200px']},{duration:1000,fill:'both'});a.currentTime=250;a.updatePlaybackRate(0)</script>`,
			50, [3]int{50, 50, 50},
		},
		"Web Animations, endless and stopped by their rate": {
			bars + `<div class=bar id=b></div><script>const a=b.animate({width:['100px','200px']},{duration:1000,iterations:Infinity});a.currentTime=500;a.playbackRate=0;
			setTimeout(() => {}, 1000)</script>`, 150, [3]int{150, 150, 150},
		},
		"Web Animations, stopped at their end": {
			bars + `<div class=bar id=b></div><script>const a=b.animate({width:['0','200px']},{duration:1000,fill:'both'});a.currentTime=1000;a.playbackRate=0;
			setTimeout(() => {}, 1000)</script>`, 200, [3]int{200, 200, 200},
		},
		"Web Animations, twice as fast": {
			bars + `<div class=bar id=b></div><script>const a=b.animate({width:['0','200px']},{duration:1000,fill:'both'});a.playbackRate=2</script>`,
			200, [3]int{0, 200, 200},
		},
		"SVG": {
			bars + `<svg width=200 height=20><rect width=0 height=20 fill=#0088ff><animate attributeName=width from=0 to=200 dur=1s fill=freeze /></rect></svg>`,
			200, [3]int{0, 100, 180},
		},
		"SVG, set": {
			bars + `<svg width=200 height=20><rect width=80 height=20 fill=#0088ff opacity=0><set attributeName=opacity to=1 begin=0.5s fill=freeze /></rect></svg>`,
			80, [3]int{0, 80, 80},
		},
		"SVG, repeated": {
			bars + `<svg width=200 height=20><rect width=0 height=20 fill=#0088ff><animate attributeName=width from=0 to=200 dur=0.5s repeatCount=2 fill=freeze /></rect></svg>`,
			200, [3]int{0, 0, 160},
		},
		"SVG, endless": {
			bars + `<svg width=200 height=20><rect width=0 height=20 fill=#0088ff><animate attributeName=width from=40 to=200 dur=1s repeatCount=indefinite /></rect></svg>`,
			40, [3]int{40, 120, 184},
		},
		"SVG, endless beside a finite one": {
			bars + `<svg width=200 height=20><rect width=0 height=20 fill=#0088ff><animate attributeName=width from=40 to=200 dur=1s repeatDur=indefinite />
			</rect><circle r=0><animate attributeName=r from=0 to=1 dur=0.3s fill=freeze /></circle></svg>`,
			40, [3]int{40, 120, 184},
		},
		"SVG, ended while the page loaded": {
			bars + `<svg id=s width=200 height=20><rect width=0 height=20 fill=#0088ff><animate attributeName=width from=0 to=200 dur=1s fill=freeze /></rect></svg>
			<script>s.setCurrentTime(3)</script>`,
			200, [3]int{0, 100, 180},
		},
		"SVG, paused": {
			bars + `<svg id=s width=200 height=20><rect width=0 height=20 fill=#0088ff><animate attributeName=width from=0 to=200 dur=1s fill=freeze /></rect></svg>
			<script>s.pauseAnimations(); s.setCurrentTime(0.25)</script>`,
			50, [3]int{50, 50, 50},
		},
		"a frame": {
			`<!doctype html><body style="margin:0"><iframe style="border:0;width:200px;height:100px" srcdoc='` + bars +
				`<div class=bar style="animation:fill 1s linear both">'></iframe>`, 200, [3]int{0, 100, 180},
		},
		"a frame in a shadow root": {
			`<!doctype html><body style="margin:0"><x-a></x-a><template id=t><iframe style="border:0;width:200px;height:100px" srcdoc='` + bars + `<div class=bar style="animation:fill 1s linear both">'></iframe></template>
			<script>document.querySelector('x-a').attachShadow({ mode: 'closed' }).append(t.content)</script>`, 200, [3]int{0, 100, 180},
		},
		"Web Animations, paused later": {
			bars + `<div class=bar id=b></div><script>const a=b.animate({width:['0','200px']},{duration:1000,fill:'both'});setInterval(()=>a.pause(),500)</script>`,
			-1, [3]int{0, 100, 100},
		},
		"Web Animations, paused at first": {
			bars + `<div class=bar id=b></div><script>const a=b.animate({width:['0','200px']},{duration:1000,fill:'both'});a.pause();a.currentTime=300;
			setTimeout(()=>a.play(),500)</script>`, 200, [3]int{60, 60, 140},
		},
		"Web Animations, from the middle": {
			bars + `<div class=bar id=b></div><script>const a=b.animate({width:['0','200px']},{duration:1000,fill:'both'});a.currentTime=300</script>`,
			200, [3]int{60, 160, 200},
		},
		"Web Animations, again": {
			bars + `<div class=bar id=b></div><script>const a=b.animate({width:['0','200px']},{duration:400,fill:'both'});setTimeout(()=>a.play(),700)</script>`,
			200, [3]int{0, 200, 100},
		},
		"Web Animations, back": {
			bars + `<div class=bar id=b></div><script>const a=b.animate({width:['0','200px']},{duration:1000,fill:'both'});setTimeout(()=>a.reverse(),500)</script>`,
			-1, [3]int{0, 100, 20},
		},
		"Web Animations, by the time of their start": {
			bars + `<div class=bar id=b></div><script>const a=b.animate({width:['0','200px']},{duration:1000,fill:'both'});a.startTime=document.timeline.currentTime-300</script>`,
			200, [3]int{60, 160, 200},
		},
		"one after the other": {
			bars + `<style>@keyframes half{from{width:0}to{width:100px}} @keyframes more{from{width:100px}to{width:200px}} .more{animation:more .4s linear both!important}</style>
			<div class=bar id=b style="animation:half .4s linear both"></div><script>b.onanimationend = () => b.classList.add('more')</script>`, 200, [3]int{0, 100, 200},
		},
		"one after the other by promises": {
			bars + `<div class=bar id=b></div><script>b.animate({width:['0','100px']},{duration:400,fill:'both'}).finished.then(() =>
			b.animate({width:['100px','200px']},{duration:400,fill:'both'}))</script>`, 200, [3]int{0, 125, 200},
		},
		"in a shadow root": {
			bars + `<x-a><template shadowrootmode=open><style>.bar{height:20px;background:#0088ff;animation:fill 1s linear both} @keyframes fill{from{width:0}to{width:200px}}</style>
			<div class=bar></div></template></x-a>`, 200, [3]int{0, 100, 180},
		},
		"in a closed shadow root": {
			bars + `<div id=h></div><script>const r=h.attachShadow({mode:'closed'});r.innerHTML='<div style="height:20px;background:#0088ff"></div>';
			r.firstChild.animate({width:['0','200px']},{duration:1000,fill:'both'})</script>`, 200, [3]int{0, 100, 180},
		},
		"SVG in a shadow root": {
			bars + `<x-a><template shadowrootmode=open><svg width=200 height=20><rect width=0 height=20 fill=#0088ff><animate attributeName=width from=0 to=200 dur=1s fill=freeze />
			</rect></svg></template></x-a>`, 200, [3]int{0, 100, 180},
		},
		"a transition to another view": {
			bars + `<div class=bar id=b style="width:50px"></div><script>onload = () => document.startViewTransition(() => { b.style.width = '200px' })</script>`,
			200, [3]int{50, 200, 200},
		},
		"a timeline of the page's own": {
			bars + `<div class=bar id=b></div><script>const line=new DocumentTimeline({originTime:-300});
			new Animation(new KeyframeEffect(b,{width:['0','200px']},{duration:1000,fill:'both'}),line).play(); if(line.currentTime!==300&&!line.currentTime)throw line.currentTime</script>`,
			200, [3]int{0, 100, 180},
		},
		"a scroll that takes time": {
			bars + `<div style="height:20px;width:200px;overflow:auto"><div style="height:300px"></div><div class=bar id=b></div></div><script>b.scrollIntoView({behavior:'smooth'})</script>`,
			200, [3]int{200, 200, 200},
		},
		"timers in a row": {
			bars + `<div class=bar id=b style="width:0"></div><script>let n=0; const step=()=>{ b.style.width=++n*10+'px'; setTimeout(step, 50) }; setTimeout(step, 50)</script>`,
			-1, [3]int{0, 100, 180},
		},
		"timers without a delay": {
			bars + `<div class=bar id=b style="width:0"></div><script>let n=0; const step=()=>{ b.style.width=++n+'px'; setTimeout(step) }; step()</script>`,
			-1, [3]int{6, 131, 200},
		},
		"a timer's text": {bars + `<div class=bar id=b style="width:0"></div><script>setTimeout("b.style.width='200px'", 300)</script>`, 200, [3]int{0, 200, 200}},
		"a wait for a number": {
			bars + `<div class=bar id=b style="width:0"></div><script>const a=new Int32Array(new WebAssembly.Memory({initial:1,maximum:1,shared:true}).buffer); let n=0;
			(async () => { while (n < 10) { await Atomics.waitAsync(a, 0, 0, 100).value; b.style.width=20*++n+'px' } })()</script>`, -1, [3]int{0, 100, 180},
		},
		"a marquee": {
			bars + `<marquee style="display:block"><div class=bar style="width:40px"></div></marquee>`, 40, [3]int{0, 35, 40},
		},
		"messages": {
			bars + `<div class=bar id=b style="width:0"></div><script>const m=new MessageChannel(); const step=()=>{ m.port2.postMessage(0); requestAnimationFrame(step) };
			m.port1.onmessage=()=>{ b.style.width=performance.now()/5+'px' }; requestAnimationFrame(step)</script>`, -1, [3]int{0, 100, 180},
		},
		"idle callbacks": {
			bars + `<div class=bar id=b style="width:0"></div><script>let n=0; const step=()=>{ b.style.width=20*n+++'px'; requestIdleCallback(step) }; requestIdleCallback(step)</script>`,
			-1, [3]int{0, 100, 180},
		},
		"a transition, later": {
			bars + `<style>.on{width:200px!important}</style><div class=bar id=b style="width:0;transition:width .5s linear"></div><script>
			requestAnimationFrame(() => requestAnimationFrame(() => b.classList.add('on')))</script>`, 200, [3]int{0, 160, 200},
		},
		"a frame of another origin": {
			`<!doctype html><body style="margin:0"><iframe sandbox=allow-scripts style="border:0;width:200px;height:100px" srcdoc='` + bars +
				`<div class=bar style="animation:fill 1s linear both">'></iframe>`, 200, [3]int{0, 100, 180},
		},
		"a script in a frame of another origin": {
			`<!doctype html><body style="margin:0"><iframe sandbox=allow-scripts style="border:0;width:200px;height:100px" srcdoc='` + bars +
				`<div class=bar id=b style="width:0"></div><script>const step = (t) => { b.style.width = t / 5 + "px"; requestAnimationFrame(step) }; requestAnimationFrame(step)</script>'></iframe>`,
			-1, [3]int{0, 100, 180},
		},
		"SVG in an object": {
			`<!doctype html><body style="margin:0"><object style="display:block" width=200 height=20 type="image/svg+xml" data='data:image/svg+xml,<svg xmlns="http://www.w3.org/2000/svg" width="200" height="20">` +
				`<rect width="0" height="20" fill="%230088ff"><animate attributeName="width" from="0" to="200" dur="1s" fill="freeze"/></rect></svg>'></object>`, 200, [3]int{0, 100, 180},
		},
		"a page that waits for the time to pass": {
			bars + `<div class=bar id=b style="width:0"></div><script>const t = performance.now(); while (performance.now() - t < 5); b.style.width = '200px'</script>`,
			200, [3]int{200, 200, 200},
		},
		"a frame that the page adds": {
			`<!doctype html><body style="margin:0"><template id=t>` + bars + `<div class=bar style="animation:fill 1s linear both"></template><script>
			setTimeout(() => { document.body.innerHTML += '<iframe style="border:0;width:200px;height:100px"></iframe>'; document.querySelector('iframe').srcdoc = t.innerHTML }, 300)</script>`,
			200, [3]int{0, 40, 120},
		},
		"frames by their count": {
			bars + `<div class=bar id=b style="width:0"></div><script>let n=0; const step=()=>{ b.style.width=2*n+++'px'; requestAnimationFrame(step) }; requestAnimationFrame(step)</script>`,
			-1, [3]int{0, 60, 108},
		},
		"frames that another cancels": {
			bars + `<div class=bar id=b style="width:100px"></div><script>let id; requestAnimationFrame(() => cancelAnimationFrame(id)); id = requestAnimationFrame(() => { b.style.width='200px' })</script>`,
			100, [3]int{100, 100, 100},
		},
		"frames in an asynchronous loop": {
			bars + `<div class=bar id=b style="width:0"></div><script>(async () => { for (let n = 0;; n++) { await new Promise(requestAnimationFrame); b.style.width=2*n+'px' } })()</script>`,
			-1, [3]int{0, 60, 108},
		},
		"timers in an asynchronous loop": {
			bars + `<div class=bar id=b style="width:0"></div><script>const sleep=(ms)=>new Promise((done)=>setTimeout(done, ms));
			(async () => { for (let n = 1; n <= 20; n++) { await sleep(50).then(() => {}); b.style.width=10*n+'px' } })()</script>`, 200, [3]int{0, 100, 180},
		},
		"an interval that is shorter than the shortest": {
			bars + `<div class=bar id=b style="width:0"></div><script>let n=0; setInterval(() => { b.style.width=++n/2+'px' }, 1)</script>`, -1, [3]int{0, 64, 114},
		},
		"a part that the browser adds": {
			bars + `<style>details::details-content{width:0;height:20px;background:#0088ff;transition:width .5s linear,content-visibility .5s allow-discrete}
			details[open]::details-content{width:200px} summary{position:absolute;top:60px}</style><details id=d><summary>x</summary></details><script>setTimeout(() => { d.open = true }, 100)</script>`,
			200, [3]int{0, 200, 200},
		},
		"SVG, in steps": {
			bars + `<svg width=200 height=20><rect width=0 height=20 fill=#0088ff><animate attributeName=width values="20;40;60;80;100;120;140;160;180;200" calcMode=discrete dur=1s fill=freeze /></rect></svg>`,
			200, [3]int{20, 120, 200},
		},
		"SVG, endless until its end": {
			bars + `<svg width=200 height=20><rect width=0 height=20 fill=#0088ff><animate attributeName=width from=0 to=200 dur=1s repeatCount=indefinite end=.5s fill=freeze /></rect></svg>`,
			100, [3]int{0, 100, 100},
		},
		"SVG, set until the end of another": {
			bars + `<svg width=200 height=20><rect width=80 height=20 fill=#0088ff opacity=0><set attributeName=opacity to=1 end="a.end-0.1s" /></rect><circle r=0><animate id=a attributeName=r from=0 to=1 dur=0.5s /></circle></svg>`,
			0, [3]int{80, 0, 0},
		},
		"SVG that tells of its begin": {
			bars + `<svg width=200 height=20><rect width=0 height=20 fill=#0088ff></rect><circle r=0><animate id=a attributeName=r begin=.3s from=0 to=1 dur=.3s /></circle></svg><script>
			a.onbegin = () => document.querySelector('rect').setAttribute('width', 200)</script>`, 200, [3]int{0, 200, 200},
		},
		"SVG that tells of its repeats": {
			bars + `<svg width=200 height=20><rect width=0 height=20 fill=#0088ff></rect><circle r=0><animate id=a attributeName=r from=0 to=1 dur=.3s repeatCount=3 /></circle></svg><script>let n=0;
			a.addEventListener('repeatEvent', () => document.querySelector('rect').setAttribute('width', 80*++n))</script>`, 160, [3]int{0, 80, 160},
		},
		"SVG that tells once of its end": {
			bars + `<div class=bar id=b style="width:0"></div><svg width=20 height=20><rect><animate id=a attributeName=height from=4 to=6 dur=.3s /></rect></svg><script>let n=0; a.onend=()=>{ b.style.width=100*++n+'px' }</script>`,
			100, [3]int{0, 100, 100},
		},
		"SVG, after a repeat": {
			bars + `<svg width=200 height=20><rect width=0 height=20 fill=#0088ff><animate attributeName=width from=0 to=200 begin="a.repeat(1)" dur=.2s fill=freeze /></rect>
			<circle r=0><animate id=a attributeName=r from=0 to=1 dur=.3s repeatCount=3 /></circle></svg>`, 200, [3]int{0, 200, 200},
		},
		"SVG, begun by a script": {
			bars + `<svg width=200 height=20><rect width=40 height=20 fill=#0088ff><animate id=a attributeName=width from=40 to=60 dur=.4s fill=freeze />
			<animate id=c begin=indefinite attributeName=width from=60 to=200 dur=.4s fill=freeze /></rect></svg><script>a.onend=()=>c.beginElement()</script>`, 200, [3]int{40, 95, 200},
		},
		"SVG that the page adds": {
			bars + `<div id=d></div><script>setTimeout(()=>{d.innerHTML='<svg width=200 height=20><rect width=0 height=20 fill=#0088ff><animate attributeName=width from=0 to=200 dur=.5s fill=freeze /></rect></svg>'},300)</script>`,
			200, [3]int{0, 80, 200},
		},
		"SVG that a script moves": {
			bars + `<svg id=s width=200 height=20><rect width=0 height=20 fill=#0088ff><animate attributeName=width from=0 to=200 dur=1s fill=freeze /></rect></svg><script>setTimeout(() => s.setCurrentTime(0), 400)</script>`,
			200, [3]int{0, 20, 100},
		},
		"SVG that stands at first": {
			bars + `<svg id=s width=200 height=20><rect width=0 height=20 fill=#0088ff><animate attributeName=width from=0 to=200 dur=1s fill=freeze /></rect></svg><script>
			s.pauseAnimations(); s.setCurrentTime(0.25); setTimeout(() => s.unpauseAnimations(), 300)</script>`, 200, [3]int{50, 90, 170},
		},
		"a frame's timers": {
			`<!doctype html><body style="margin:0"><iframe style="border:0;width:200px;height:100px" srcdoc='` + bars +
				`<div class=bar id=b style="width:0"></div><script>let n = 0; setInterval(() => { if (n < 9) b.style.width = 20 * ++n + "px" }, 100)</script>'></iframe>`,
			-1, [3]int{0, 100, 180},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if c.still >= 0 {
				outputs, _ := run(t, b, task("png", c.html))
				img, _ := decode(t, outputs[0].Data)
				if got := width(img, 10, blue); got < c.still-2 || got > c.still+2 {
					t.Errorf("the still's bar is %d pixels wide, want %d", got, c.still)
				}
			}
			document := film("mp4", c.html)
			document.Video.Seconds = 1
			outputs, _ := run(t, b, document)
			pictures := frames(t, outputs[0].Data)
			if len(pictures) != 10 {
				t.Fatalf("%d frames", len(pictures))
			}
			for i, at := range []int{0, 5, 9} {
				if got := width(pictures[at], 10, blue); got < c.film[i]-6 || got > c.film[i]+6 {
					t.Errorf("in frame %d the bar is %d pixels wide, want %d", at, got, c.film[i])
				}
			}
			if strings.Contains(c.html, "<iframe") || strings.Contains(c.html, "<script") {
				if again, _ := run(t, b, document); !bytes.Equal(outputs[0].Data, again[0].Data) {
					t.Error("two films of one page differ")
				}
			}
		})
	}
}

// What changes at the time of a frame has changed in it, whatever the times are in binary.
func TestStepsBeginWithTheirFrames(t *testing.T) {
	b := start(t)
	for name, html := range map[string]string{
		"CSS": `<div class=bar style="animation:fill .4s steps(12) both">`,
		"SVG": `<svg width=200 height=20><rect width=0 height=20 fill=#0088ff><animate attributeName=width values="0;16.67;33.33;50;66.67;83.33;100;116.67;133.33;150;166.67;183.33" calcMode=discrete dur=.4s
			repeatCount=indefinite /></rect></svg>`,
		"an interval": `<div class=bar id=b style="width:0"></div><script>let n = 0; setInterval(() => { b.style.width = 16.67 * ++n + 'px' }, 1000 / 30)</script>`,
	} {
		t.Run(name, func(t *testing.T) {
			document := film("mp4", bars+html)
			document.Video = render.VideoOptions{FPS: 30, Seconds: 0.4}
			outputs, _ := run(t, b, document)
			for i, picture := range frames(t, outputs[0].Data) {
				if got, want := width(picture, 10, color.RGBA{0, 0x88, 255, 255}), i*200/12; got < want-6 || got > want+6 {
					t.Errorf("in frame %d the bar is %d pixels wide, want %d", i, got, want)
				}
			}
		})
	}
}

// animated returns the data: URL of a picture that is red, green and blue for 200 ms each, for ever.
func animated(t *testing.T, format string) string {
	t.Helper()
	colours := color.Palette{color.RGBA{255, 0, 0, 255}, color.RGBA{0, 255, 0, 255}, color.RGBA{0, 0, 255, 255}}
	var all gif.GIF
	for i := range colours {
		frame := image.NewPaletted(image.Rect(0, 0, 20, 10), colours)
		for n := range frame.Pix {
			frame.Pix[n] = byte(i)
		}
		all.Image, all.Delay = append(all.Image, frame), append(all.Delay, 20)
	}
	var data bytes.Buffer
	if err := gif.EncodeAll(&data, &all); err != nil {
		t.Fatal(err)
	}
	if codec := map[string][]string{"png": {"-f", "apng", "-plays", "0"}, "webp": {"-f", "webp", "-c:v", "libwebp_anim", "-lossless", "1", "-loop", "0"}, "avif": {"-f", "avif", "-c:v", "libaom-av1", "-cpu-used", "8", "-loop", "0"}}[format]; codec != nil {
		convert := exec.CommandContext(t.Context(), "ffmpeg", slices.Concat([]string{"-v", "error", "-f", "gif", "-i", "-"}, codec, []string{filepath.Join(t.TempDir(), "a")})...)
		convert.Stdin = &data
		if out, err := convert.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		converted, err := os.ReadFile(convert.Args[len(convert.Args)-1])
		if err != nil {
			t.Fatal(err)
		}
		data = *bytes.NewBuffer(converted)
	}
	return "data:image/" + format + ";base64," + base64.StdEncoding.EncodeToString(data.Bytes())
}

// Pictures that move begin with the film, and stand at their first frame in a still.
func TestPicturesThatMoveFollowTheFilm(t *testing.T) {
	b := start(t)
	const fit = ` width=200 height=100`
	for name, html := range map[string]string{
		"GIF":  `<img` + fit + ` src="` + animated(t, "gif") + `">`,
		"PNG":  `<img` + fit + ` src="` + animated(t, "png") + `">`,
		"WebP": `<img` + fit + ` src="` + animated(t, "webp") + `">`,
		"a blob that is gone": `<img id=i` + fit + `><script>const u = URL.createObjectURL(new Blob([Uint8Array.from(atob('` + strings.TrimPrefix(animated(t, "gif"), "data:image/gif;base64,") +
			`'), (c) => c.charCodeAt(0))])); i.onload = () => URL.revokeObjectURL(u); i.src = u</script>`,
		"a source":                   `<picture><source srcset="` + animated(t, "gif") + `"><img` + fit + `></picture>`,
		"AVIF":                       `<img` + fit + ` src="` + animated(t, "avif") + `">`,
		"in a frame":                 `<iframe style="border:0" srcdoc='<body style="margin:0"><img` + fit + ` src="` + animated(t, "gif") + `">'></iframe>`,
		"GIF before an element":      `<style>p::before{content:"";position:absolute;inset:0;background:url(` + animated(t, "gif") + `) 0/200px 100px}</style><p></p>`,
		"GIF in place of an element": `<style>p{margin:0;width:200px;height:100px;content:url(` + animated(t, "gif") + `)}</style><p></p>`,
		"GIF in a border":            `<style>p{margin:0;box-sizing:border-box;height:100px;border:20px solid;border-image:url(` + animated(t, "gif") + `) 1 fill}</style><p></p>`,
		"a button":                   `<input type=image` + fit + ` src="` + animated(t, "gif") + `">`,
		"in SVG":                     `<svg` + fit + `><image` + fit + ` preserveAspectRatio=none href="` + animated(t, "gif") + `" /></svg>`,
		"an object":                  `<object` + fit + ` data="` + animated(t, "gif") + `"></object>`,
		"in a shadow root":           `<x-a><template shadowrootmode=open><img` + fit + ` src="` + animated(t, "gif") + `"></template></x-a>`,
		"GIF behind a page":          `<body style="margin:0;background:url(` + animated(t, "gif") + `) 0/200px 100px">`,
		"PNG behind an element":      `<style>div{width:200px;height:100px;background-size:200px 100px;background-image:linear-gradient(#fff0,#fff0),url("` + animated(t, "png") + `")}</style><div></div>`,
	} {
		t.Run(name, func(t *testing.T) {
			html = `<!doctype html><style>body{margin:0}</style>` + html
			red, green, blue := color.RGBA{255, 0, 0, 255}, color.RGBA{0, 255, 0, 255}, color.RGBA{0, 0, 255, 255}
			outputs, _ := run(t, b, task("png", html))
			if img, _ := decode(t, outputs[0].Data); !near(img, 100, 50, red) {
				t.Errorf("the still is %v", img.At(100, 50))
			}
			document := film("mp4", html)
			document.Video = render.VideoOptions{FPS: 10, Seconds: 0.8}
			scaled := task("png", html)
			scaled.Scale = 2
			outputs, _ = run(t, b, scaled)
			if img, _ := decode(t, outputs[0].Data); !near(img, 200, 100, red) {
				t.Errorf("the still at scale 2 is %v", img.At(200, 100))
			}
			outputs, _ = run(t, b, document)
			for i, frame := range frames(t, outputs[0].Data) {
				if want := []color.RGBA{red, green, blue}[i/2%3]; !near(frame, 100, 50, want) {
					t.Errorf("frame %d is %v, want %v", i, frame.At(100, 50), want)
				}
			}
		})
	}
}

// video returns the data: URL of a video that is red, green and blue for 200 ms each.
func video(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "video.webm")
	colour := func(name string) string { return "color=c=" + name + ":s=20x10:d=0.2:r=10,format=yuv420p" }
	output(t, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", colour("red")+"[a];"+colour("lime")+"[b];"+colour("blue")+"[c];[a][b][c]concat=n=3", "-c:v", "libvpx-vp9", path)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return "data:video/webm;base64," + base64.StdEncoding.EncodeToString(data)
}

// A video that plays follows the film, and stands at its first picture in a still.
func TestVideosFollowTheFilm(t *testing.T) {
	b := start(t)
	red, green, blue := color.RGBA{255, 0, 0, 255}, color.RGBA{0, 255, 0, 255}, color.RGBA{0, 0, 255, 255}
	element := func(attributes, script string) string {
		return `<!doctype html><body style="margin:0"><video id=v width=200 height=100 muted ` + attributes + ` src="` + video(t) + `"></video><script>` + script + `</script>`
	}
	for name, c := range map[string]struct {
		html string
		want [4]color.RGBA // in frames 0, 3, 5 and 7
	}{
		"plays":                 {element("autoplay", ""), [4]color.RGBA{red, green, blue, blue}},
		"repeats":               {element("autoplay loop", ""), [4]color.RGBA{red, green, blue, red}},
		"stands":                {element("", ""), [4]color.RGBA{red, red, red, red}},
		"a script plays it":     {element("", "setTimeout(() => v.play(), 300)"), [4]color.RGBA{red, red, green, blue}},
		"a script pauses it":    {element("autoplay", "setTimeout(() => v.pause(), 300)"), [4]color.RGBA{red, green, green, green}},
		"a script moves it":     {element("autoplay", "setTimeout(() => { v.currentTime = 0 }, 300)"), [4]color.RGBA{red, red, green, blue}},
		"a script speeds it up": {element("autoplay", "v.playbackRate = 2"), [4]color.RGBA{red, blue, blue, blue}},
		"a script hears that it plays": {
			element("", "let heard = ''; for (const name of ['play', 'playing', 'pause', 'ended']) v.addEventListener(name, () => { heard += name; if (heard === 'playplayingpauseended') v.style.opacity = 0.02 }); v.play()"),
			[4]color.RGBA{red, green, blue, {255, 255, 255, 255}},
		},
		"begins later":                      {strings.Replace(element("autoplay", ""), `"></video>`, `#t=0.2"></video>`, 1), [4]color.RGBA{green, blue, blue, blue}},
		"is moved before it plays":          {element("", "v.currentTime = 0.2; v.play()"), [4]color.RGBA{green, blue, blue, blue}},
		"is moved once it plays":            {element("autoplay loop", "v.addEventListener('playing', () => { v.currentTime = 0.4 }, { once: true })"), [4]color.RGBA{blue, red, green, blue}},
		"a script moves it with each frame": {element("", "const go = (t) => { v.currentTime = Math.max(0, t) / 1000 % 0.6; requestAnimationFrame(go) }; requestAnimationFrame(go)"), [4]color.RGBA{red, green, blue, red}},
		"a script hears that":               {element("autoplay", "v.onended = () => { v.currentTime = 0; v.play() }"), [4]color.RGBA{red, green, blue, red}},
	} {
		t.Run(name, func(t *testing.T) {
			outputs, _ := run(t, b, task("png", c.html))
			if img, _ := decode(t, outputs[0].Data); !near(img, 100, 50, c.want[0]) {
				t.Errorf("the still is %v, want %v", img.At(100, 50), c.want[0])
			}
			document := film("mp4", c.html)
			document.Video = render.VideoOptions{FPS: 10, Seconds: 0.8}
			outputs, warnings := run(t, b, document)
			pictures := frames(t, outputs[0].Data)
			for i, at := range []int{0, 3, 5, 7} {
				if !near(pictures[at], 100, 50, c.want[i]) {
					t.Errorf("frame %d is %v, want %v; warnings %v", at, pictures[at].At(100, 50), c.want[i], warnings)
				}
			}
		})
	}
}

// Several videos that play stand at their first pictures in a still, in each render. The compositor may still have later ones on their way.
func TestVideosStandAtTheirFirstPictures(t *testing.T) {
	b := start(t)
	path := filepath.Join(t.TempDir(), "count.webm")
	output(t, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=c=red:s=20x10:d=0.04:r=25,format=yuv420p[a];color=c=blue:s=20x10:d=2:r=25,format=yuv420p[b];[a][b]concat=n=2", "-c:v", "libvpx-vp9", path)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	one := `<video autoplay loop muted width=50 height=100 style="object-fit:fill" src="data:video/webm;base64,` + base64.StdEncoding.EncodeToString(data) + `"></video>`
	for range 5 {
		outputs, warnings := run(t, b, task("png", `<!doctype html><body style="margin:0;display:flex">`+strings.Repeat(one, 4)))
		img, _ := decode(t, outputs[0].Data)
		if got := width(img, 50, color.RGBA{255, 0, 0, 255}); got != 200 || len(warnings) != 0 {
			t.Errorf("%d of 200 pixels are of first pictures; warnings %v", got, warnings)
		}
	}
}

// A video is where a script has moved it last. A script that takes pictures of it one after the other is waited for, and one that moves it with each frame is
// not waited for at each place.
func TestAScriptMovesAVideo(t *testing.T) {
	b := start(t)
	for name, script := range map[string]string{
		"once":            `v.onloadeddata = () => { v.currentTime = 0.25 }; v.onseeked = draw`,
		"later":           `setTimeout(() => { v.currentTime = 0.25 }, 2000); v.onseeked = draw`,
		"place by place":  `const places = [0.05, 0.45, 0.05, 0.25]; const next = () => { v.currentTime = places.shift() }; v.onloadeddata = next; v.onseeked = () => { draw(); if (places.length > 0) next() }`,
		"with each frame": `const move = (time) => { v.currentTime = time < 2000 ? time / 1000 % 0.6 : 0.25; requestAnimationFrame(move) }; v.onloadeddata = () => requestAnimationFrame(move); v.onseeked = draw`,
		"out of the page": `const v = document.getElementById('v'); v.remove(); document.body.append(Object.assign(document.createElement('div'), { style: 'display:inline-block;width:100px;height:100px;background:lime' })); v.onloadeddata = () => { v.currentTime = 0.25 }; v.onseeked = draw`,
	} {
		t.Run(name, func(t *testing.T) {
			html := `<!doctype html><body style="margin:0;font-size:0"><canvas id=c width=100 height=100></canvas><video id=v width=100 height=100 style="object-fit:fill" muted src="` + video(t) +
				`"></video><script>const draw = () => c.getContext('2d').drawImage(v, 0, 0, 100, 100); ` + script + `</script>`
			for range 3 {
				outputs, warnings := run(t, b, task("png", html))
				img, _ := decode(t, outputs[0].Data)
				if got := width(img, 50, color.RGBA{0, 255, 0, 255}); got != 200 || len(warnings) != 0 {
					t.Errorf("%d of 200 pixels are of the last place: the canvas is %v, the video %v; warnings %v", got, img.At(50, 50), img.At(150, 50), warnings)
				}
			}
		})
	}
}

// A script that never leaves a video in its place is told of.
func TestAVideoIsMovedForEver(t *testing.T) {
	b := start(t)
	_, warnings := run(t, b, task("png", `<!doctype html><video id=v muted src="`+video(t)+`"></video><script>v.onloadeddata = v.onseeked = () => { v.currentTime = (v.currentTime + 0.1) % 0.6 }</script>`))
	if want := []string{"A video was still on its way when the page was painted"}; !slices.Equal(titlesOf(warnings), want) {
		t.Errorf("warnings %v, want %v", warnings, want)
	}
}

// A canvas has the picture of a video as soon as the video tells that it has one.
func TestACanvasDrawsAVideo(t *testing.T) {
	b := start(t)
	url := video(t)
	for name, script := range map[string]string{
		"once it has data":          `const v = document.createElement('video'); v.src = url; v.onloadeddata = () => draw(v)`,
		"once it can play":          `const v = document.createElement('video'); v.oncanplay = () => draw(v); v.setAttribute('src', url)`,
		"that is hidden":            `document.body.insertAdjacentHTML('beforeend', '<video id=v hidden preload=metadata src="' + url + '"></video>'); v.onloadeddata = () => draw(v)`,
		"of a source":               `document.body.insertAdjacentHTML('beforeend', '<video id=v hidden><source src="' + url + '"></video>'); v.onloadeddata = () => draw(v)`,
		"apart from the page":       `const d = document.createElement('div'); d.innerHTML = '<video src="' + url + '"></video>'; d.firstChild.onloadeddata = () => draw(d.firstChild)`,
		"once a script has it play": `const v = document.createElement('video'); v.muted = true; v.src = url; v.play().then(() => draw(v))`,
		"once it plays":             `const v = document.createElement('video'); v.muted = true; v.src = url; v.onplaying = () => draw(v); v.play()`,
		"as a picture":              `const v = document.createElement('video'); v.src = url; v.onloadeddata = async () => draw(await createImageBitmap(v))`,
		"in WebGL": `const v = document.createElement('video'); v.src = url; v.onloadeddata = () => { const g = new OffscreenCanvas(20, 10).getContext('webgl'), x = g.createTexture(), f = g.createFramebuffer(), p = new Uint8Array(4);
			g.bindTexture(g.TEXTURE_2D, x); const { RGBA } = g; g.texImage2D(g.TEXTURE_2D, 0, RGBA, g.RGBA, g.UNSIGNED_BYTE, v); g.bindFramebuffer(g.FRAMEBUFFER, f);
			g.framebufferTexture2D(g.FRAMEBUFFER, g.COLOR_ATTACHMENT0, g.TEXTURE_2D, x, 0); g.readPixels(0, 0, 1, 1, g.RGBA, g.UNSIGNED_BYTE, p); if (p[0] > 200) { draw(v) } }`,
	} {
		for _, format := range []string{"png", "mp4"} {
			t.Run(name+", "+format, func(t *testing.T) {
				document := task(format, `<!doctype html><body style="margin:0;background:#08f"><canvas id=c width=200 height=100></canvas><script>
					const draw = (picture) => c.getContext('2d').drawImage(picture, 0, 0, 200, 100), url = '`+url+`'; `+script+`</script>`)
				document.Video = render.VideoOptions{FPS: 10, Seconds: 0.2}
				outputs, warnings := run(t, b, document)
				var img image.Image
				if document.Filmed() {
					img = frames(t, outputs[0].Data)[1]
				} else {
					img, _ = decode(t, outputs[0].Data)
				}
				if !near(img, 100, 50, color.RGBA{255, 0, 0, 255}) || len(warnings) != 0 {
					t.Errorf("the canvas is %v; warnings %v", img.At(100, 50), warnings)
				}
			})
		}
	}
}

// A video that a loaded page adds is waited for until it has a picture. The browser tells before that it has read the file, and a large picture takes a while.
func TestALargeVideoIsWaitedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large.webm")
	output(t, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=c=red:s=4096x4096:d=0.04:r=25,format=yuv420p", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", path)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	html := `<!doctype html><body style="margin:0"><canvas id=c width=200 height=100></canvas><script>onload = () => { const v = document.createElement('video');
		v.onloadeddata = () => c.getContext('2d').drawImage(v, 0, 0, 200, 100); v.src = "data:video/webm;base64,` + base64.StdEncoding.EncodeToString(data) + `"; v.dispatchEvent(new Event('suspend')) }</script>`
	b := start(t)
	for _, format := range []string{"png", "mp4"} {
		document := task(format, html)
		document.Video = render.VideoOptions{FPS: 10, Seconds: 0.2}
		outputs, warnings := run(t, b, document)
		var img image.Image
		if document.Filmed() {
			img = frames(t, outputs[0].Data)[0]
		} else {
			img, _ = decode(t, outputs[0].Data)
		}
		if !near(img, 100, 50, color.RGBA{255, 0, 0, 255}) || len(warnings) != 0 {
			t.Errorf("%s: the canvas is %v; warnings %v", format, img.At(100, 50), warnings)
		}
	}
}

// The controls of a video or a sound are those of one that has loaded: while it loads, a circle turns by a clock of its own. In a film, it does each time that
// the video is moved.
func TestControlsAreRepeatable(t *testing.T) {
	b := start(t)
	url := video(t)
	html := `<!doctype html><body style="margin:0"><video controls width=100 height=100 src="` + url + `"></video><video controls autoplay loop muted width=100 height=100 src="` + url + `"></video>`
	for _, format := range []string{"png", "pdf"} {
		var last []byte
		for range 3 {
			outputs, warnings := run(t, b, task(format, html))
			if last != nil && !bytes.Equal(outputs[0].Data, last) || len(warnings) != 0 {
				t.Errorf("%s: two renders differ; warnings %v", format, warnings)
			}
			last = outputs[0].Data
		}
	}
	document := task("mp4", html)
	document.Video = render.VideoOptions{FPS: 10, Seconds: 0.2}
	if _, warnings := run(t, b, document); len(warnings) != 1 || warnings[0].Title != "Controls move by a clock of their own in a film" {
		t.Errorf("warnings %v", warnings)
	}
}

// Nobody hears a sound, but what follows its time does so in a film.
func TestSoundsFollowTheFilm(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sound.webm")
	output(t, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=440:d=0.5", "-c:a", "libopus", path)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	url := "data:audio/webm;base64," + base64.StdEncoding.EncodeToString(data)
	const follow = `a.onended = () => { b.style.width = '200px' }; const draw = () => { if (!a.ended) b.style.width = a.currentTime * 200 + 'px'; requestAnimationFrame(draw) }; draw()`
	b := start(t)
	for name, html := range map[string]string{
		"an element":        `<audio id=a controls hidden src="` + url + `"></audio><script>a.play(); ` + follow + `</script>`,
		"one that plays":    `<audio id=a autoplay src="` + url + `"></audio><script>` + follow + `</script>`,
		"one of a script's": `<script>const a = new Audio("` + url + `"); a.play(); ` + follow + `</script>`,
	} {
		t.Run(name, func(t *testing.T) {
			document := film("mp4", bars+`<div class=bar id=b style="width:0"></div>`+html)
			document.Video.Seconds = 1
			outputs, warnings := run(t, b, document)
			pictures := frames(t, outputs[0].Data)
			for at, want := range map[int]int{0: 0, 3: 60, 9: 200} {
				if got := width(pictures[at], 10, color.RGBA{0, 0x88, 255, 255}); got < want-6 || got > want+6 {
					t.Errorf("in frame %d the bar is %d pixels wide, want %d; warnings %v", at, got, want, warnings)
				}
			}
		})
	}
}

// What goes by the time of a sound that a script makes does so in a film, too.
func TestSoundsOfScriptsFollowTheFilm(t *testing.T) {
	b := start(t)
	const silence = "A film has no sound that its page could look at"
	for name, c := range map[string]struct {
		script string
		want   int // the width in frame 8
		title  string
	}{
		"a context":          {`const a = new AudioContext(); const draw = () => { b.style.width = a.currentTime * 200 + 'px'; requestAnimationFrame(draw) }; draw()`, 160, ""},
		"one that stops":     {`const a = new AudioContext(); setTimeout(() => a.suspend(), 300); setInterval(() => { b.style.width = a.currentTime * 200 + 'px' }, 10)`, 60, ""},
		"one that goes on":   {`const a = new AudioContext(); a.suspend(); setTimeout(async () => { await a.resume(); b.dataset.state = a.state }, 400); setInterval(() => { if (b.dataset.state === 'running') b.style.width = a.getOutputTimestamp().contextTime * 200 + 'px' }, 10)`, 80, ""},
		"one that is looked": {`const a = new AudioContext(), n = a.createAnalyser(); b.style.width = a.baseLatency >= 0 && a.state === 'running' ? '50px' : 0`, 50, silence},
		"one that is closed": {`const a = new AudioContext(); a.close().then(() => { b.style.width = a.state === 'closed' ? '50px' : 0 })`, 50, ""},
		"one without a time": {`const a = new OfflineAudioContext(1, 44100, 44100); a.startRendering().then(() => { b.style.width = a.currentTime * 50 + 'px' })`, 50, ""},
	} {
		t.Run(name, func(t *testing.T) {
			document := film("mp4", bars+`<div class=bar id=b style="width:0"></div><script>`+c.script+`</script>`)
			document.Video.Seconds = 0.9
			outputs, warnings := run(t, b, document)
			pictures := frames(t, outputs[0].Data)
			if got := width(pictures[8], 10, color.RGBA{0, 0x88, 255, 255}); got < c.want-6 || got > c.want+6 {
				t.Errorf("the bar is %d pixels wide, want %d", got, c.want)
			}
			if c.title == "" && len(warnings) != 0 || c.title != "" && (len(warnings) != 1 || warnings[0].Title != c.title) {
				t.Errorf("warnings %v, want %q", warnings, c.title)
			}
		})
	}
}

// A worker that draws a canvas frame by frame does not keep the page from being painted.
func TestAWorkerDrawsACanvas(t *testing.T) {
	outputs, warnings := run(t, start(t), task("png", `<!doctype html><body style="margin:0"><canvas id=c width=200 height=100></canvas><script>const o = c.transferControlToOffscreen();
		const w = new Worker(URL.createObjectURL(new Blob(['onmessage = ({ data }) => { const x = data.getContext("2d"); let n = 0; const draw = () => { x.fillStyle = "#00f"; x.fillRect(0, 0, n += 20, 100);' +
		'if (n < 200) requestAnimationFrame(draw); else postMessage(1) }; draw() }']))); w.postMessage(o, [o])</script>`))
	if img, _ := decode(t, outputs[0].Data); !near(img, 190, 50, color.RGBA{0, 0, 255, 255}) || len(warnings) != 0 {
		t.Errorf("the canvas is %v; warnings %v", img.At(190, 50), warnings)
	}
}

// The browser has the picture of a video's time a moment after it says so, and much later than a page says so.
func TestAFilmWaitsForTheVideosPicture(t *testing.T) {
	path := filepath.Join(t.TempDir(), "video.webm")
	// Each picture needs all before it, and noise takes long.
	picture := func(colour string) string {
		return "color=c=" + colour + ":s=640x720:d=0.2:r=10[x];nullsrc=s=640x720:d=0.2:r=10,geq=random(1)*255:128:128[y];[x][y]hstack,format=yuv420p"
	}
	filter := strings.NewReplacer("[x]", "[x1]", "[y]", "[y1]").Replace(picture("red")) + "[a];" + strings.NewReplacer("[x]", "[x2]", "[y]", "[y2]").Replace(picture("lime")) + "[b];" +
		strings.NewReplacer("[x]", "[x3]", "[y]", "[y3]").Replace(picture("blue")) + "[c];[a][b][c]concat=n=3"
	output(t, "ffmpeg", "-v", "error", "-filter_complex", filter, "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "50M", "-g", "999", path)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	document := film("mp4", `<!doctype html><body style="margin:0;overflow:hidden"><video id=v style="width:400px;height:100px;object-fit:fill" muted autoplay src="data:video/webm;base64,`+
		base64.StdEncoding.EncodeToString(data)+`"></video><script>v.onseeking = () => v.dispatchEvent(new Event('seeked'))</script>`)
	document.Video = render.VideoOptions{FPS: 10, Seconds: 0.6}
	outputs, warnings := run(t, start(t), document)
	for i, frame := range frames(t, outputs[0].Data) {
		if want := []color.RGBA{{255, 0, 0, 255}, {0, 255, 0, 255}, {0, 0, 255, 255}}[i/2]; width(frame, 50, want) < 190 {
			t.Errorf("frame %d is %v, want %v; warnings %v", i, frame.At(50, 50), want, warnings)
		}
	}
}

func TestSVGPicturesThatMoveAreWarnedOf(t *testing.T) {
	b := start(t)
	const moves, stands = `<svg xmlns="http://www.w3.org/2000/svg"><rect><animate attributeName="width" to="9"/></rect></svg>`, `<svg xmlns="http://www.w3.org/2000/svg"><rect/></svg>`
	for html, want := range map[string]int{
		`<img src='data:image/svg+xml,` + moves + `'>`:                                                                   1,
		`<img src='data:image/svg+xml;base64,` + base64.StdEncoding.EncodeToString([]byte(moves)) + `'>`:                 1,
		`<p style='background:url(data:image/svg+xml;base64,` + base64.StdEncoding.EncodeToString([]byte(moves)) + `)'>`: 1,
		`<img src='data:image/svg+xml,` + stands + `'>`:                                                                  0,
		moves: 0,
	} {
		if _, warnings := run(t, b, task("png", html)); len(warnings) != want || want > 0 && warnings[0].Title != "An SVG picture moves by a clock of its own" {
			t.Errorf("%s: warnings %v", html, warnings)
		}
	}
}

// What a picture from the network is, only its answer tells.
func TestPicturesFromTheNetworkThatMove(t *testing.T) {
	_, encoded, _ := strings.Cut(animated(t, "gif"), ",")
	moving, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	const still = "GIF89a\x01\x00\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x01D\x00;"
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>`
		switch r.URL.Path {
		case "/moves", "/moves.webp":
			w.Header().Set("Content-Type", "image/gif")
			body = string(moving)
		case "/stands.webp", "/stands.gif":
			w.Header().Set("Content-Type", "image/gif")
			body = still
		case "/turns":
			w.Header().Set("Content-Type", "image/svg+xml")
			body = strings.Replace(body, "/>", `><animate attributeName="width" to="1" dur="1s"/></rect>`, 1)
		default:
			w.Header().Set("Content-Type", "image/svg+xml")
		}
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	b := startBehind(t, loopback, 0)
	b.options.Flags = []string{"--ignore-certificate-errors"}
	for _, html := range []string{`<img src="` + server.URL + `/turns">`, `<p style="background:url(` + server.URL + `/turns)">x`, `<iframe srcdoc="<img src='` + server.URL + `/turns'>"></iframe>`} {
		if _, warnings := run(t, b, task("png", html)); len(warnings) != 1 || warnings[0].Title != "An SVG picture moves by a clock of its own" {
			t.Errorf("%s: warnings %v", html, warnings)
		}
	}
	if _, warnings := run(t, b, task("png", `<img src="`+server.URL+`/stands">`)); len(warnings) != 0 {
		t.Errorf("one that stands: warnings %v", warnings)
	}
	document := film("mp4", `<body style="margin:0"><img width=200 height=100 src="`+server.URL+`/moves">`)
	document.Video.Seconds = 0.6
	outputs, warnings := run(t, b, document)
	for i, frame := range frames(t, outputs[0].Data) {
		if want := []color.RGBA{{255, 0, 0, 255}, {0, 255, 0, 255}, {0, 0, 255, 255}}[i/2]; !near(frame, 100, 50, want) {
			t.Errorf("frame %d is %v, want %v; warnings %v", i, frame.At(100, 50), want, warnings)
		}
	}
	for path, want := range map[string]int{"/moves": 1, "/moves.webp": 1, "/stands.webp": 0, "/stands.gif": 0} {
		if _, warnings := run(t, b, task("png", `<p style="background:url(`+server.URL+path+`)">x`)); len(warnings) != want || want == 1 && warnings[0].Title != "A picture of a style moves by a clock of its own" {
			t.Errorf("%s in a style: warnings %v", path, warnings)
		}
	}
}

// What a callback promises itself comes before the next callback of the same frame, as in a browser.
func TestPromisesComeBetweenTheCallbacksOfAFilm(t *testing.T) {
	const html = `<body style="margin:0;background:#f00"><script>const l = []; for (const n of [1, 2]) requestAnimationFrame(async () => {
		l.push(n); await null; await null; l.push(n + 'p'); if (l.join() === '1,1p,2,2p') document.body.style.background = '#0f0' })</script>`
	page := task("mp4", html)
	page.Video.FPS, page.Video.Seconds = 5, 0.4
	outputs, warnings := run(t, start(t), page)
	if img := frames(t, outputs[0].Data)[1]; !near(img, 100, 50, green255) || len(warnings) != 0 {
		t.Errorf("the page is %v; warnings %v", img.At(100, 50), warnings)
	}
}

// The browser moves the bar of a progress that has no value by a clock that nobody can set.
func TestAProgressWithoutAValueIsWarnedOf(t *testing.T) {
	b := start(t)
	for html, want := range map[string][]string{
		`<progress></progress>`:                                   {"A progress without a value moves by a clock of its own"},
		`<progress value=.5></progress>`:                          nil,
		`<progress hidden></progress>`:                            nil,
		`<progress style="appearance:none;width:9px"></progress>`: nil,
	} {
		for _, format := range []string{"png", "pdf", "gif"} {
			page := task(format, html)
			page.Video.FPS, page.Video.Seconds = 5, 0.2
			if _, warnings := run(t, b, page); !slices.Equal(titlesOf(warnings), want) {
				t.Errorf("%s, %s: warnings %v, want %v", html, format, warnings, want)
			}
		}
	}
}

func TestAFrameWithoutScriptsIsWarnedOf(t *testing.T) {
	b := start(t)
	for html, want := range map[string]int{
		`<iframe sandbox srcdoc="<style>@keyframes x{to{width:0}}</style>">`:               1,
		`<iframe sandbox srcdoc="<p>x</p>">`:                                               0,
		`<iframe sandbox=allow-scripts srcdoc="<style>@keyframes x{to{width:0}}</style>">`: 0,
	} {
		if _, warnings := run(t, b, task("png", html)); len(warnings) != want || want > 0 && warnings[0].Title != "A frame without scripts moves by a clock of its own" {
			t.Errorf("%s: warnings %v", html, warnings)
		}
	}
}

// Every way to ask a page for the time gives the film's, which begins on 1 January 2025 at 0:00 UTC.
func TestFilmsTellTheirTime(t *testing.T) {
	b := start(t)
	for name, expression := range map[string]string{
		"Date()":                 `typeof Date() === 'string' && Date().includes('2025')`,
		"Date.length":            `Date.length === 7 && Date.name.length > 0`,
		"new Date":               `new Date().getTime() === Date.UTC(2025, 0, 1) && new Date() instanceof Date`,
		"new Date(0)":            `new Date(0).getTime() === 0 && new Date(2020, 1, 2).getFullYear() === 2020`,
		"Date.parse":             `Date.parse('2020-01-01') === Date.UTC(2020, 0, 1)`,
		"a class of Date":        `new (class extends Date { year() { return this.getUTCFullYear() } })().year() === 2025`,
		"constructor":            `new Date().constructor === Date`,
		"performance.now":        `performance.now() === 0`,
		"performance.timeOrigin": `performance.timeOrigin === Date.UTC(2025, 0, 1)`,
		"performance.mark":       `performance.mark('a').startTime === 0 && performance.mark('b', { startTime: 5 }).startTime === 5`,
		"performance.measure":    `performance.mark('a'), performance.measure('m', 'a').duration === 0 && performance.measure('n', { start: 2, end: 5 }).duration === 3`,
		"performance.timing":     `performance.timing.navigationStart === Date.UTC(2025, 0, 1)`,
		"performance.getEntries": `performance.getEntries().every((e) => e.startTime === 0 && e.duration === 0)`,
		"Performance.prototype":  `Performance.prototype.now.call(performance) === 0`,
		"File":                   `new File([], 'x').lastModified === Date.UTC(2025, 0, 1) && new File([], 'x', { lastModified: 5 }).lastModified === 5`,
		"performance.toJSON":     `performance.toJSON().timeOrigin === Date.UTC(2025, 0, 1)`,
		"lastModified":           `new Date(document.lastModified).getTime() === Date.UTC(2025, 0, 1) + 60000 * new Date().getTimezoneOffset() || new Date(document.lastModified).getTime() === Date.UTC(2025, 0, 1)`,
		"an empty frame":         `(() => { const f = document.createElement('iframe'); f.hidden = true; document.body.append(f); return f.contentWindow.Date.now() === Date.UTC(2025, 0, 1) })()`,
		"Event.timeStamp":        `new Event('x').timeStamp === 0`,
		"document.timeline":      `document.timeline.currentTime === 0`,
		"Intl":                   `new Intl.DateTimeFormat('en', { timeZone: 'UTC' }).format() === '1/1/2025'`,
		"Intl, parts":            `new Intl.DateTimeFormat('en', { timeZone: 'UTC' }).formatToParts().some((p) => p.value === '2025')`,
		"Intl, a date":           `new Intl.DateTimeFormat('en', { timeZone: 'UTC' }).format(0) === '1/1/1970'`,
		"toLocaleDateString":     `new Date().toLocaleDateString('en', { timeZone: 'UTC' }) === '1/1/2025'`,
		"Temporal":               `typeof Temporal === 'undefined' || Temporal.Now.plainDateISO('UTC').toString() === '2025-01-01'`,
	} {
		t.Run(name, func(t *testing.T) {
			html := `<!doctype html><body style="margin:0;background:#f00"><script>if (` + expression + `) document.body.style.background = '#080'</script>`
			document := film("mp4", html)
			document.Video.Seconds = 0.2
			outputs, warnings := run(t, b, document)
			if got := width(frames(t, outputs[0].Data)[1], 90, color.RGBA{0, 0x88, 0, 255}); got != 200 || len(warnings) != 0 {
				t.Errorf("%s is not so; warnings %v", expression, warnings)
			}
		})
	}
}

// A film holds a page's frames back, but a page may need some to be ready.
func TestFilmsOfPagesThatAreReadyAfterFrames(t *testing.T) {
	b := start(t)
	for name, html := range map[string]string{
		"attribute": `<body data-platen-ready="false"><script>
			requestAnimationFrame(() => requestAnimationFrame(() => { document.body.dataset.platenReady = 'true' }))</script>`,
		"promise": `<body><script>platen.ready = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))</script>`,
		"observer": `<body data-platen-ready="false"><p>x</p><script>
			new IntersectionObserver(() => { document.body.dataset.platenReady = 'true' }).observe(document.querySelector('p'))</script>`,
		"idle":     `<body data-platen-ready="false"><script>requestIdleCallback(() => { document.body.dataset.platenReady = 'true' })</script>`,
		"interval": `<body data-platen-ready="false"><script>let n = 0; setInterval(() => { if (++n > 3) document.body.dataset.platenReady = 'true' }, 20)</script>`,
		"resize":   `<body data-platen-ready="false"><p>x</p><script>new ResizeObserver(() => { document.body.dataset.platenReady = 'true' }).observe(document.querySelector('p'))</script>`,
		"decode": `<body><script>const i = new Image(); i.src = 'data:image/svg+xml,<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>';
			platen.ready = () => i.decode()</script>`,
		"element":   `<body><script>platen.ready = () => customElements.whenDefined('x-y'); setTimeout(() => customElements.define('x-y', class extends HTMLElement {}), 10)</script>`,
		"animation": `<body><p>x</p><script>platen.ready = () => document.querySelector('p').animate({ opacity: [0, 1] }, 50).finished</script>`,
		"transition": `<body data-platen-ready="false"><p>x</p><script>const p = document.querySelector('p'); p.style.transition = 'opacity .05s'; getComputedStyle(p).opacity;
			p.style.opacity = 0.5; p.ontransitionend = () => { document.body.dataset.platenReady = 'true' }</script>`,
		"view transition": `<body><script>platen.ready = () => document.startViewTransition(() => { document.body.textContent = 'x' }).finished</script>`,
		"task":            `<body data-platen-ready="false"><script>scheduler.postTask(() => { document.body.dataset.platenReady = 'true' }, { delay: 20 })</script>`,
		"a frame of another origin": `<body data-platen-ready="false"><iframe sandbox="allow-scripts" srcdoc="<script>
			requestAnimationFrame(() => setTimeout(() => parent.postMessage('ready', '*'), 20))</script>"></iframe><script>
			onmessage = ({ data }) => { document.body.dataset.platenReady = String(data === 'ready') }</script>`,
		"a frame's frame": `<body data-platen-ready="false"><iframe srcdoc="<script>
			requestAnimationFrame(() => requestAnimationFrame(() => { parent.document.body.dataset.platenReady = 'true' }))</script>"></iframe>`,
	} {
		t.Run(name, func(t *testing.T) {
			document := film("mp4", html)
			document.Video = render.VideoOptions{FPS: 10, Seconds: 0.2}
			if _, warnings := run(t, b, document); len(warnings) != 0 {
				t.Errorf("warnings %v", warnings)
			}
		})
	}
}

// A frame that does not answer is waited for once, however often it says that it is there.
func TestASilentFrameIsAskedOnce(t *testing.T) {
	b := start(t)
	document := film("mp4", `<body><iframe sandbox="allow-scripts" srcdoc="<script>
		MessagePort.prototype.postMessage = () => {};
		const here = () => { parent.postMessage({ 'platen.frames': 'here' }, '*'); fetch('data:,').finally(here) };
		here()</script>"></iframe>`)
	document.Video = render.VideoOptions{FPS: 10, Seconds: 0.2}
	began := time.Now()
	run(t, b, document)
	if took := time.Since(began); took > 18*time.Second { // the script is patient for ten
		t.Errorf("took %s", took)
	}
}

// Nobody can set the time of what the browser adds to an element.
func TestFilmsWarnOfTransitionsOfParts(t *testing.T) {
	b := start(t)
	for style, want := range map[string]string{
		`progress::-webkit-progress-value { transition: width 1s }`: "A transition of ::-webkit-progress-value is not in the film",
		`details { &::details-content { transition: all 100ms } }`:  "A transition of ::details-content is not in the film",
		`::placeholder { color: red } input { transition: all 1s }`: "",
	} {
		document := film("mp4", `<style>`+style+`</style><p>x`)
		document.Video = render.VideoOptions{FPS: 10, Seconds: 0.2}
		if _, warnings := run(t, b, document); strings.Join(titlesOf(warnings), "\n") != want {
			t.Errorf("%s: warnings %v", style, warnings)
		}
	}
}

// A worker has a clock of its own, which the film cannot set.
func TestFilmsWarnOfWorkers(t *testing.T) {
	b := start(t)
	for name, script := range map[string]string{
		"Worker":       `new Worker(URL.createObjectURL(new Blob(['postMessage(1)']))).onmessage = ({ data }) => { document.body.dataset.platenReady = String(data === 1) }`,
		"SharedWorker": `new SharedWorker('data:text/javascript,onconnect = (e) => e.ports[0].postMessage(1)').port.onmessage = ({ data }) => { document.body.dataset.platenReady = String(data === 1) }`,
	} {
		t.Run(name, func(t *testing.T) {
			document := film("mp4", `<body data-platen-ready="false"><script>`+script+`</script>`)
			document.Video = render.VideoOptions{FPS: 10, Seconds: 0.2}
			if _, warnings := run(t, b, document); len(warnings) != 1 || warnings[0].Title != "A worker does not follow the time of the film" {
				t.Errorf("warnings %v", warnings)
			}
		})
	}
}

// All random numbers of a page are the same in each render.
func TestRandomNumbersAreRepeatable(t *testing.T) {
	b := start(t)
	for name, script := range map[string]string{
		"a worker":               `new Worker(URL.createObjectURL(new Blob([code])))`,
		"a worker of an address": `new Worker('data:text/javascript,' + encodeURIComponent(code))`,
		"a worker of a module":   `new Worker(URL.createObjectURL(new Blob(['export {};' + code], { type: 'text/javascript' })), { type: 'module' })`,
	} {
		t.Run(name, func(t *testing.T) {
			html := `<body style="font:9px 'Liberation Mono'"><script>const code = 'postMessage([Math.random(), ...crypto.getRandomValues(new Uint32Array(3))].join(" "))';
				` + script + `.onmessage = ({ data }) => { document.body.textContent = data }</script>`
			one, warnings := run(t, b, task("png", html))
			two, _ := run(t, b, task("png", html))
			blank, _ := run(t, b, task("png", "<body>"))
			if !bytes.Equal(one[0].Data, two[0].Data) || bytes.Equal(one[0].Data, blank[0].Data) || len(warnings) != 0 {
				t.Errorf("two renders differ, or are blank; warnings %v", warnings)
			}
		})
	}
	const html = `<body style="font:9px 'Liberation Mono'"><script>document.body.textContent = [Math.random(), ...crypto.getRandomValues(new Uint32Array(3)), crypto.randomUUID()].join(' ');
		if (!/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(crypto.randomUUID())) throw new Error('no UUID')</script>`
	one, warnings := run(t, b, task("png", html))
	two, _ := run(t, b, task("png", html))
	if !bytes.Equal(one[0].Data, two[0].Data) || len(warnings) != 0 {
		t.Errorf("two renders differ; warnings %v", warnings)
	}
}
