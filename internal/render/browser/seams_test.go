// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"fmt"
	"image/color"
	"image/png"
	"strings"
	"testing"
)

// Boxes of one colour that touch look like one box at each scale. Chromium moves edges to whole CSS pixels, which other scales than whole ones
// would blur.
func TestBoxesThatTouchHaveNoSeam(t *testing.T) {
	b := start(t)
	const green = "background:#080"
	boxes := func(n int, style string) string { return strings.Repeat(`<div style="`+green+`;`+style+`"></div>`, n) }
	for name, html := range map[string]string{
		"columns":               `<body style="margin:0;display:flex;height:100px">` + boxes(7, "flex:1"),
		"rows":                  `<body style="margin:0;display:grid;height:100px;grid-template-rows:repeat(7,1fr)">` + boxes(7, ""),
		"thirds":                `<body style="margin:0">` + boxes(3, "float:left;width:33.3333%;height:33.3333px;box-sizing:border-box") + boxes(3, "float:left;width:33.3333%;height:33.3333px") + boxes(3, "float:left;width:33.3333%;height:33.4px"),
		"absolute":              `<body style="margin:0"><div style="` + green + `;position:absolute;left:0;top:0;width:66.7px;height:100px"></div><div style="` + green + `;position:absolute;left:66.7px;top:0;width:200px;height:100px"></div>`,
		"table":                 `<style>table{border-collapse:collapse;width:200px;height:100px} td{padding:0;` + green + `}</style><body style="margin:0"><table>` + strings.Repeat(`<tr><td><td><td>`, 3) + `</table>`,
		"in a frame of its own": `<body style="margin:0;display:flex;height:100px"><div style="flex:1;will-change:transform;` + green + `"></div><div style="flex:1.3;` + green + `"></div><div style="flex:1;position:relative;z-index:1;` + green + `"></div>`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, scale := range []float64{0.1, 0.5, 0.75, 1, 1.1, 1.5, 2, 3.3, 7} {
				picture := task("png", "<!doctype html>"+html)
				picture.Scale = scale
				outputs, _ := run(t, b, picture)
				img, _ := decode(t, outputs[0].Data)
				var wrong []string
				for y := 1; y < img.Bounds().Dy()-1; y++ {
					for x := 1; x < img.Bounds().Dx()-1; x++ {
						if !near(img, x, y, color.RGBA{0, 0x88, 0, 255}) {
							wrong = append(wrong, fmt.Sprintf("%d,%d %v", x, y, img.At(x, y)))
						}
					}
				}
				if len(wrong) > 0 {
					t.Errorf("scale %g: %d pixels differ: %s", scale, len(wrong), wrong[0])
				}
			}
		})
	}
}

// At a scale that is not whole, every format has the size, the colours, the transparency and the bytes that it has at others.
func TestPicturesAtOtherScales(t *testing.T) {
	b := start(t)
	for _, format := range []string{"png", "jpg", "webp", "avif", "mp4", "gif"} {
		t.Run(format, func(t *testing.T) {
			picture := film(format, `<body style="margin:0"><div style="width:100px;height:100px;background:rgba(255,0,0,.5)"></div>`)
			picture.Scale, picture.Video.Seconds = 1.5, 0.2
			picture.Transparent = format == "png" || format == "webp" || format == "avif"
			outputs, warnings := run(t, b, picture)
			again, _ := run(t, b, picture)
			if !bytes.Equal(outputs[0].Data, again[0].Data) || len(warnings) != 0 {
				t.Errorf("two renders differ; warnings %v", warnings)
			}
			tool := ffmpegTool
			if format == "avif" {
				tool = func(in, out string) []string { return []string{"avifdec", in, out} }
			}
			if format == "mp4" || format == "gif" {
				tool = func(in, out string) []string {
					return []string{"ffmpeg", "-v", "error", "-i", in, "-frames:v", "1", "-y", out}
				}
			}
			img, err := png.Decode(decodeWith(t, outputs[0].Data, format, tool))
			if err != nil {
				t.Fatal(err)
			}
			left, right := color.NRGBA{255, 127, 127, 255}, color.NRGBA{255, 255, 255, 255}
			if picture.Transparent {
				left, right = color.NRGBA{255, 0, 0, 127}, color.NRGBA{}
			}
			far := func(x int, want color.NRGBA) bool {
				got, _ := color.NRGBAModel.Convert(img.At(x, 75)).(color.NRGBA)
				return max(distance8(uint32(got.R)<<8, want.R), distance8(uint32(got.G)<<8, want.G), distance8(uint32(got.A)<<8, want.A)) > 8 && got.A+want.A > 0
			}
			if img.Bounds().Dx() != 300 || img.Bounds().Dy() != 150 || outputs[0].Width != 300 || far(75, left) || far(225, right) {
				t.Errorf("%v, reported as %dx%d, with %v and %v", img.Bounds(), outputs[0].Width, outputs[0].Height, img.At(75, 75), img.At(225, 75))
			}
		})
	}
}
