// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"fmt"
	"image/color"
	"strings"
	"testing"
)

// Boxes of one colour that touch look like one box at each whole scale. Chromium moves edges to whole CSS pixels, which other scales blur.
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
			for _, scale := range []float64{1, 2, 3, 7} {
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
