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

// Chromium never answers a request for a frame in which a picture moves before the page's own thread, if that is slow, has its part ready.
func TestPicturesThatMoveAndSlowScripts(t *testing.T) {
	b := start(t)
	html := `<!doctype html><body style="margin:0" data-platen-ready="false"><img width=200 height=100 src="` + animated(t, "gif") + `"><p id=p></p><script>
		let n = 0;
		const work = () => {
			for (let i = 0; i < 3e7; i++);
			p.textContent = ++n;
			if (n < 30) requestAnimationFrame(work); else document.body.dataset.platenReady = 'true';
		};
		requestAnimationFrame(work);
	</script>`
	for _, format := range []string{"png", "mp4"} {
		document := task(format, html)
		if document.Filmed() {
			document.Video = render.VideoOptions{FPS: 10, Seconds: 0.4}
		}
		outputs, warnings, places := runIn(t, b, document)
		if len(warnings) != 0 || !slices.Equal(places, []render.Place{render.PlaceAlone}) {
			t.Errorf("%s: painted in %v, warnings %v", format, places, warnings)
		}
		if document.Filmed() {
			for i, frame := range frames(t, outputs[0].Data) {
				if want := []color.RGBA{{255, 0, 0, 255}, {0, 255, 0, 255}}[i/2]; !near(frame, 100, 50, want) {
					t.Errorf("frame %d is %v, want %v", i, frame.At(100, 50), want)
				}
			}
		}
	}
}

// So it is with the frames of a film that are requested for its videos.
func TestPicturesThatMoveBesideAVideo(t *testing.T) {
	b := start(t)
	document := film("mp4", `<!doctype html><body style="margin:0"><img width=200 height=100 src="`+animated(t, "gif")+`"><video autoplay loop muted src="`+video(t)+`"></video><p id=p></p><script>
		new ResizeObserver(() => { for (let i = 0; i < 6e7; i++); }).observe(p);
		let n = 0;
		const grow = () => {
			p.style.height = ++n + 'px';
			requestAnimationFrame(grow);
		};
		requestAnimationFrame(grow);
	</script>`)
	document.Video.FPS, document.Video.Seconds = 2, 3
	outputs, warnings, places := runIn(t, b, document)
	if len(outputs) != 1 || len(warnings) != 0 || !slices.Equal(places, []render.Place{render.PlaceAlone}) {
		t.Errorf("%d films, painted in %v, warnings %v", len(outputs), places, warnings)
	}
}
