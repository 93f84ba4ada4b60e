// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/png"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platen-dev/platen/internal/render"
)

// Each page has frames of one grey. The fade must keep their order, and blend as many as the shorter page has.
func TestFade(t *testing.T) {
	grey := func(y uint8) []byte {
		img := image.NewRGBA(image.Rect(0, 0, 1, 1))
		img.Set(0, 0, color.RGBA{y, y, y, 255})
		var out bytes.Buffer
		if err := png.Encode(&out, img); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	for name, c := range map[string]struct {
		fps   int
		pages []int
		want  []uint8
	}{
		"no pages":                   {fps: 3},
		"one page":                   {3, []int{2}, []uint8{0, 0}},
		"two pages":                  {3, []int{4, 4}, []uint8{0, 25, 50, 75, 100}},
		"a page as long as the fade": {3, []int{3, 3}, []uint8{25, 50, 75}},
		"shorter than the fade":      {9, []int{2, 5}, []uint8{33, 66, 100, 100, 100}},
		"the next one is shorter":    {3, []int{5, 1}, []uint8{0, 0, 0, 0, 50}},
		"cut":                        {0, []int{2, 2}, []uint8{0, 0, 100, 100}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []uint8
			task := render.Task{Format: "gif", Pages: make([]render.Page, len(c.pages)), Video: render.VideoOptions{FPS: c.fps, Fade: 1, Combine: true}}
			f := newFade(task, func(_ context.Context, picture []byte) error {
				img, err := png.Decode(bytes.NewReader(picture))
				if err != nil {
					return err
				}
				r, _, _, _ := img.At(0, 0).RGBA()
				got = append(got, uint8(r>>8))
				return nil
			})
			for i, frames := range c.pages {
				if err := f.begin(t.Context(), frames); err != nil {
					t.Fatal(err)
				}
				for range frames {
					if err := f.add(t.Context(), grey(uint8(100*i))); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := f.end(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
