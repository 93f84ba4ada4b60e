// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"image/color"
	"slices"
	"testing"
	"time"

	"github.com/platen-dev/platen/internal/render"
)

// A tab that does not draw in time is left, and the page is painted in another one, which has all the time that is left.
func TestAStuckTabIsReplaced(t *testing.T) {
	b := start(t)
	b.patience = time.Nanosecond
	red := `<!doctype html><body style="margin:0;background:rgb(255,0,0)">`
	for name, html := range map[string]string{"in a shared tab": red, "alone": red + `<iframe></iframe>`} {
		outputs, warnings, places := runIn(t, b, task("png", html))
		img, _ := decode(t, outputs[0].Data)
		if !near(img, 150, 50, color.RGBA{255, 0, 0, 255}) || len(warnings) != 0 {
			t.Errorf("%s: %v, warnings %v", name, img.At(150, 50), warnings)
		}
		if !slices.Equal(places, []render.Place{render.PlaceRepeated}) {
			t.Errorf("%s: the page was painted in %v", name, places)
		}
	}
	document := film("gif", red)
	document.Video.Seconds = 0.2
	if outputs, _, places := runIn(t, b, document); len(outputs) != 1 || !slices.Equal(places, []render.Place{render.PlaceRepeated}) {
		t.Errorf("%d films, painted in %v", len(outputs), places)
	}
}
