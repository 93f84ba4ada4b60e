// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/platen-dev/platen/internal/outbound"
	"github.com/platen-dev/platen/internal/render"
)

const half = `<body style="margin:0"><div style="width:100px;height:100px;background:rgba(255,0,0,.5)"></div>`

// decodeWith has another tool than the one that made a file turn it into a PNG.
func decodeWith(t *testing.T, data []byte, ext string, tool func(in, out string) []string) *bytes.Reader {
	t.Helper()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in."+ext), filepath.Join(dir, "out.png")
	if err := os.WriteFile(in, data, 0o600); err != nil {
		t.Fatal(err)
	}
	args := tool(in, out)
	output(t, args[0], args[1:]...)
	decoded, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(decoded)
}

func ffmpegTool(in, out string) []string {
	return []string{"ffmpeg", "-v", "error", "-i", in, "-y", out}
}

func TestTransparency(t *testing.T) {
	b := start(t)
	for _, format := range []string{"png", "webp", "avif"} {
		t.Run(format, func(t *testing.T) {
			see := task(format, half)
			see.Transparent, see.Quality = true, 100
			outputs, _ := run(t, b, see)
			data := bytes.NewReader(outputs[0].Data)
			switch format {
			case "webp":
				data = decodeWith(t, outputs[0].Data, "webp", ffmpegTool)
			case "avif":
				data = decodeWith(t, outputs[0].Data, "avif", func(in, out string) []string { return []string{"avifdec", in, out} })
			}
			img, err := png.Decode(data)
			if err != nil {
				t.Fatal(err)
			}
			painted, ok := color.NRGBAModel.Convert(img.At(50, 50)).(color.NRGBA)
			if _, _, _, empty := img.At(150, 50).RGBA(); !ok || empty != 0 || painted.A < 124 || painted.A > 131 || painted.R < 250 {
				t.Errorf("painted %+v, unpainted alpha %d", painted, empty)
			}
			opaque := task(format, half)
			outputs, _ = run(t, b, opaque)
			if format == "png" {
				img, _ := decode(t, outputs[0].Data)
				if !near(img, 150, 50, color.RGBA{255, 255, 255, 255}) {
					t.Errorf("the ground of an opaque picture is %v", img.At(150, 50))
				}
			}
		})
	}
}

func TestAVIF(t *testing.T) {
	outputs, _ := run(t, start(t), task("avif", red))
	img, err := png.Decode(decodeWith(t, outputs[0].Data, "avif", ffmpegTool))
	if err != nil {
		t.Fatal(err)
	}
	if img.Bounds().Dx() != 200 || !near(img, 100, 50, color.RGBA{255, 0, 0, 255}) {
		t.Errorf("%v %v", img.Bounds(), img.At(100, 50))
	}
}

func TestWebPIsWithoutLossAtQuality100(t *testing.T) {
	b := start(t)
	const page = `<body style="margin:0;background:linear-gradient(90deg,red,blue)"><p style="font-size:30px">Lossless`
	exact := task("webp", page)
	exact.Quality = 100
	webp, _ := run(t, b, exact)
	still, _ := run(t, b, task("png", page))
	got, err := png.Decode(decodeWith(t, webp[0].Data, "webp", ffmpegTool))
	if err != nil {
		t.Fatal(err)
	}
	want, _ := decode(t, still[0].Data)
	for y := range 100 {
		for x := range 200 {
			if g, w := color.NRGBAModel.Convert(got.At(x, y)), color.NRGBAModel.Convert(want.At(x, y)); g != w {
				t.Fatalf("at %d,%d: %v, want %v", x, y, g, w)
			}
		}
	}
}

func TestPDFOptions(t *testing.T) {
	b := start(t)
	document := task("pdf", `<h1>one</h1><a href="https://example.com/offer">offer</a>`, "<h1>two</h1>")
	document.Pages[0].Name, document.Pages[1].Name = "front", "back"
	document.PDF = render.PDFOptions{Margin: 96, DPI: 192, Title: "Summer sale"}
	outputs, _ := run(t, b, document)
	path := filepath.Join(t.TempDir(), "a.pdf")
	if err := os.WriteFile(path, outputs[0].Data, 0o600); err != nil {
		t.Fatal(err)
	}
	// 200x100 CSS pixels and a margin of 96 on each side, at 192 to the inch of 72 points; Chromium rounds up to its own pixels.
	info := output(t, "pdfinfo", path)
	for _, want := range []string{"Summer sale", "Pages:           2", "147.12 x 109.92"} {
		if !strings.Contains(info, want) {
			t.Errorf("%q is missing in\n%s", want, info)
		}
	}
	output(t, "qpdf", "--check", path)
	object := output(t, "qpdf", "--qdf", "--object-streams=disable", path, "-")
	for _, want := range []string{"https://example.com/offer", "/Outlines"} {
		if !strings.Contains(object, want) {
			t.Errorf("%q is missing in the document", want)
		}
	}
	if fonts := output(t, "pdffonts", path); !regexp.MustCompile(`yes +yes`).MatchString(fonts) {
		t.Errorf("fonts are not embedded:\n%s", fonts)
	}
}

func TestReadySignals(t *testing.T) {
	b := start(t)
	for name, html := range map[string]string{
		"promise": `<body style="margin:0"><script>platen.ready = () => new Promise((done) => setTimeout(() => { document.body.style.background = 'rgb(255,0,0)'; done(); }, 200));</script>`,
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

func TestFit(t *testing.T) {
	const long = "A headline that is far too long for the narrow box that the designer gave it"
	document := task("pdf", `<div data-param="headline" data-fit="truncate" style="width:180px;height:20px;font:16px/20px sans-serif;overflow:hidden"></div>`)
	document.Modifications = map[string]any{"headline": long}
	b := start(t)
	outputs, _ := run(t, b, document)
	text := strings.TrimSpace(pdfText(t, t.TempDir(), outputs[0].Data))
	if !strings.HasSuffix(text, "…") || !strings.HasPrefix(long, strings.TrimSuffix(text, "…")) || len(text) < 10 {
		t.Errorf("truncated to %q", text)
	}
	document.Pages[0].HTML = strings.Replace(document.Pages[0].HTML, "truncate", "shrink", 1)
	document.Pages[0].HTML = strings.Replace(document.Pages[0].HTML, "16px/20px", "40px/1.1", 1)
	document.Pages[0].HTML = strings.Replace(document.Pages[0].HTML, "height:20px", "height:60px", 1)
	outputs, _ = run(t, b, document)
	if text := strings.Join(strings.Fields(pdfText(t, t.TempDir(), outputs[0].Data)), " "); text != long {
		t.Errorf("shrunk to %q", text)
	}
}

func TestMissingFontsAreNamed(t *testing.T) {
	_, warnings := run(t, start(t), task("png", `<style>@font-face { font-family: "Brand Sans"; src: url("data:font/woff2;base64,AAAA") }</style>
		<p style="font-family: 'Brand Sans', sans-serif">brand</p><p style="font-family: Nowhere, Arial">not installed</p>
		<p style="font-family: 'Liberation Sans', Nothing">installed</p><p style="font-family: Helvetica">as good as installed</p><p style="font-family: system-ui">generic</p>`))
	titles := make([]string, 0, len(warnings))
	for _, w := range warnings {
		titles = append(titles, w.Title)
	}
	if want := []string{"Could not load the font Brand Sans", "Font Nowhere is not installed"}; !slices.Equal(titles, want) {
		t.Errorf("warnings %q, want %q", titles, want)
	}
}

// pictures serves /slow.png after a while and /never.png not before the test ends; everything else is missing.
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

// late is a page that gets a style sheet once it is loaded.
func late(css string) string {
	return `<body style="margin:0"><p></p><script>addEventListener("load", () => document.head.append(Object.assign(document.createElement("style"), { textContent: "` + css + `" })))</script>`
}

func TestPicturesAreWaitedFor(t *testing.T) {
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
			see := task("png", html)
			if name == "modification" {
				see.Modifications = map[string]any{"canvasBackgroundImage": url + "/slow.png"}
			}
			outputs, warnings := run(t, startBehind(t, loopback, 0), see)
			img, _ := decode(t, outputs[0].Data)
			if !near(img, 100, 50, color.RGBA{255, 0, 0, 255}) || len(warnings) != 0 {
				t.Errorf("painted too early: %v, warnings %v", img.At(100, 50), warnings)
			}
		})
	}
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	url := pictures(t)
	_, warnings := run(t, startBehind(t, loopback, 0), task("png", `<link rel="stylesheet" href="`+url+`/style.css"><script src="`+url+`/script.js"></script>
		<style>i::after { content: url(`+url+`/after.png) }</style><i></i><img src="`+url+`/img.png"><p style="background:url('`+url+`/background.png?a=(1)')">text</p>`))
	for _, want := range []string{"/style.css", "/script.js", "/img.png", "/after.png", "/background.png?a=(1)"} {
		if !slices.ContainsFunc(warnings, func(w render.Warning) bool { return w.Title == "Could not load "+url+want }) {
			t.Errorf("%s is missing in %v", want, warnings)
		}
	}
}

func TestPageThatIsNotReadyIsPaintedInTime(t *testing.T) {
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
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
			defer cancel()
			var data []byte
			warnings, err := b.Render(ctx, task("png", html), render.Emit(func(_ context.Context, o render.Output) error { data = o.Data; return nil }))
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

func TestWarningsNameWhatIsWrong(t *testing.T) {
	odd := task("png", `<p data-param="headline"></p><script>console.error("no data", 7); Promise.reject(new Error("late"));</script>`)
	odd.Modifications = map[string]any{"headline": "x", "headlnie": "typo"}
	_, warnings := run(t, start(t), odd)
	for _, want := range []string{"Console error: no data 7", "Script error: Error: late", "Modification headlnie is not used by the page"} {
		if !slices.ContainsFunc(warnings, func(w render.Warning) bool { return w.Title == want }) {
			t.Errorf("%q is missing in %v", want, warnings)
		}
	}
}

func TestModificationMayBeForOnePageOfSeveral(t *testing.T) {
	several := task("png", `<p data-param="headline">`, `<p data-param="points">`)
	several.Modifications = map[string]any{"headline": "x", "points": "y", "page2@footer": "z", "page1@headline": "w"}
	_, warnings := run(t, start(t), several)
	if len(warnings) != 1 || warnings[0].Title != "Modification footer is not used by the page" {
		t.Errorf("warnings %v", warnings)
	}
}

// TestPagesReachPublicAddressesOnly lets a page try every way that it has to reach a server on a private address.
func TestPagesReachPublicAddressesOnly(t *testing.T) {
	reached, warnings := escape(t, outbound.Policy{})
	if len(reached) != 0 {
		t.Errorf("the page reached %q", reached)
	}
	if !slices.ContainsFunc(warnings, func(w render.Warning) bool { return strings.Contains(w.Title, "/img") }) {
		t.Errorf("no warning names the picture that was refused: %v", warnings)
	}
	// The same page where the address is allowed: the ways are real.
	reached, _ = escape(t, loopback)
	for _, way := range []string{"/img", "/localhost", "/stylesheet", "/font", "/fetch", "/websocket", "/worker", "/iframe", "/form"} {
		if !slices.Contains(reached, way) {
			t.Errorf("%s was not reached where it is allowed: %q", way, reached)
		}
	}
}

// escape renders a page that tries every way to a server on the loopback interface, and returns which it found.
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
