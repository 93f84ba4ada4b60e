// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// half is a page whose left half is half transparent red and whose right half paints nothing.
const half = `<body style="margin:0"><div style="width:100px;height:100px;background:rgba(255,0,0,.5)"></div>`

// decodeWith converts a file to PNG with a tool other than the one that made it.
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
			transparent := task(format, half)
			transparent.Transparent, transparent.Quality = true, 100
			outputs, _ := run(t, b, transparent)
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
			outputs, _ = run(t, b, task(format, half))
			if format == "png" {
				img, _ := decode(t, outputs[0].Data)
				if !near(img, 150, 50, color.RGBA{255, 255, 255, 255}) {
					t.Errorf("the background of an opaque picture is %v", img.At(150, 50))
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

func TestWebPIsLosslessAtQuality100(t *testing.T) {
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

// A canvas of wide colours has those of the page: files have sRGB.
func TestACanvasOfWideColours(t *testing.T) {
	b := start(t)
	for name, script := range map[string]string{
		"drawn":           `const x = c.getContext('2d', { colorSpace: 'display-p3' }); x.fillStyle = '#c40'; x.fillRect(0, 0, 200, 100)`,
		"drawn elsewhere": `const o = new OffscreenCanvas(200, 100), x = o.getContext('2d', { colorSpace: 'display-p3' }); x.fillStyle = '#c40'; x.fillRect(0, 0, 200, 100); c.getContext('2d').drawImage(o, 0, 0)`,
		"sent by another": `const x = c.transferControlToOffscreen().getContext('2d', { colorSpace: 'display-p3' }); x.fillStyle = '#c40'; x.fillRect(0, 0, 200, 100)`,
		"sent by a worker": `const o = c.transferControlToOffscreen(), w = new Worker(URL.createObjectURL(new Blob(['onmessage = ({ data }) => { const x = data.getContext("2d", { colorSpace: "display-p3" }); x.fillStyle = "#c40"; x.fillRect(0, 0, 200, 100);' +
			'requestAnimationFrame(() => postMessage(1)) }']))); w.postMessage(o, [o])`,
		"as data": `const x = c.getContext('2d', { colorSpace: 'display-p3' }); const d = new ImageData(200, 100); d.data.forEach((_, i) => { d.data[i] = [0xcc, 0x44, 0, 255][i % 4] }); x.putImageData(d, 0, 0)`,
	} {
		for _, format := range []string{"png", "pdf"} {
			t.Run(name+", "+format, func(t *testing.T) {
				outputs, warnings := run(t, b, task(format, `<!doctype html><body style="margin:0"><canvas id=c width=200 height=100></canvas><script>`+script+`</script>`))
				var img image.Image
				if format == "pdf" {
					img = picture(t, outputs[0].Data)
				} else {
					img, _ = decode(t, outputs[0].Data)
				}
				if !near(img, 100, 50, color.RGBA{0xcc, 0x44, 0, 255}) || len(warnings) != 0 {
					t.Errorf("the canvas is %v; warnings %v", img.At(100, 50), warnings)
				}
			})
		}
	}
}

// Nothing converts the colours of WebGL.
func TestWideColoursOfWebGLAreNamed(t *testing.T) {
	_, warnings := run(t, start(t), task("png", `<canvas id=c></canvas><script>const g = c.getContext('webgl2'); g.drawingBufferColorSpace = 'srgb'; g.drawingBufferColorSpace = 'display-p3'</script>`))
	if want := "A canvas of WebGL has the colours of display-p3, which are shown as if they were sRGB's"; len(warnings) != 1 || warnings[0].Title != want {
		t.Errorf("warnings %v, want %q", warnings, want)
	}
}
