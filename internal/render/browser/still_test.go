// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
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
