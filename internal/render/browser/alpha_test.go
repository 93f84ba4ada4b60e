// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"fmt"
	"image"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/headlessexperimental"
)

// The fast encoder must keep the colours of pixels that are partly transparent: an older one did not.
func TestTheFastPNGKeepsTransparency(t *testing.T) {
	b := start(t)
	c, err := b.supervisor.start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	colour := func() string {
		return fmt.Sprintf("rgb(%d %d %d / %.3f)", r.IntN(256), r.IntN(256), r.IntN(256), r.Float64())
	}
	const generated = 10
	pages := append(make([]string, 0, generated+1), `<!doctype html><body style="margin:0"><canvas width=200 height=100></canvas><script>
		const c = document.querySelector("canvas").getContext("2d"), noise = c.createImageData(200, 100);
		let n = 1;
		for (let i = 0; i < noise.data.length; i++) noise.data[i] = (n = n * 48271 % 2147483647) & 255;
		c.putImageData(noise, 0, 0);</script>`)
	for range generated {
		var page strings.Builder
		page.WriteString(`<!doctype html><body style="margin:0">`)
		for range 8 {
			fmt.Fprintf(&page, `<div style="position:absolute;left:%dpx;top:%dpx;width:%dpx;height:%dpx;border-radius:%dpx;background:linear-gradient(%ddeg,%s,%s);box-shadow:0 0 9px %s;color:%s">text</div>`,
				r.IntN(200), r.IntN(100), r.IntN(150), r.IntN(80), r.IntN(30), r.IntN(360), colour(), colour(), colour(), colour())
		}
		pages = append(pages, page.String())
	}
	partly := 0
	for _, html := range pages {
		picture := task("png", html)
		picture.Transparent = true
		shown, err := c.openTab(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer shown.Close()
		if _, err := shown.load(t.Context(), picture, picture.Pages[0], ownPolicy); err != nil {
			t.Fatal(err)
		}
		slow, err := shown.picture(t.Context(), headlessexperimental.BeginFrameParams{Screenshot: &headlessexperimental.ScreenshotParams{}})
		if err != nil {
			t.Fatal(err)
		}
		fast, err := shown.capture(t.Context(), picture, picture.Pages[0])
		if err != nil {
			t.Fatal(err)
		}
		scaled, err := shown.scaledPicture(t.Context(), picture, picture.Pages[0])
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(slow, fast) {
			t.Fatal("both encoders are the same")
		}
		pixels := [3]image.Image{}
		for i, data := range [][]byte{slow, fast, scaled} {
			pixels[i], _ = decode(t, data)
		}
		for y := range 100 {
			for x := range 200 {
				if pixels[0].At(x, y) != pixels[1].At(x, y) || pixels[0].At(x, y) != pixels[2].At(x, y) {
					t.Fatalf("%s: the pixel at %d, %d is %v, and with the fast encoder %v and %v", html, x, y, pixels[0].At(x, y), pixels[1].At(x, y), pixels[2].At(x, y))
				}
				if _, _, _, a := pixels[0].At(x, y).RGBA(); a != 0 && a != 0xffff {
					partly++
				}
			}
		}
	}
	if partly < 10000 {
		t.Errorf("only %d pixels were partly transparent", partly)
	}
}
