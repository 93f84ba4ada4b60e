// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/platen-dev/platen/internal/file"
)

// noise returns a picture that does not compress.
func noise(width, height int) image.Image {
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	source := rand.New(rand.NewPCG(1, 2))
	for i := range img.Pix {
		img.Pix[i] = byte(source.Uint32())
	}
	return img
}

func TestEncodersMemoryIsBounded(t *testing.T) {
	const little, enough = 80 << 20, 1 << 30
	var still, frame bytes.Buffer
	if err := errors.Join(png.Encode(&still, noise(3000, 2000)), jpeg.Encode(&frame, noise(3000, 2000), nil)); err != nil {
		t.Fatal(err)
	}
	film := func(ctx context.Context, maxMemory int64) ([]byte, error) {
		v, err := NewVideo(ctx, Settings{Format: "mp4", FPS: 10, Quality: 50, MaxMemory: maxMemory})
		if err != nil {
			return nil, err
		}
		for range 3 {
			if err := v.Write(ctx, frame.Bytes()); err != nil {
				v.Abort()
				return nil, err
			}
		}
		return v.Finish(ctx)
	}
	for name, encode := range map[string]func(ctx context.Context, maxMemory int64) ([]byte, error){
		"avif": func(ctx context.Context, maxMemory int64) ([]byte, error) {
			return AVIF(ctx, still.Bytes(), 50, maxMemory)
		},
		"mp4": film,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := encode(t.Context(), little); !errors.Is(err, ErrMemory) {
				t.Errorf("with too little memory: %v", err)
			}
			if data, err := encode(t.Context(), enough); err != nil || len(data) == 0 {
				t.Errorf("with enough: %d bytes, %v", len(data), err)
			}
		})
	}
}

// A render pod of the default size encodes films as large as the sizes with names for films.
func TestFilmsFitADefaultPod(t *testing.T) {
	const maxMemory = 1 << 30 / 100 * 70 / 2 // the encoder's share: browser.encoderMemory
	for _, size := range []image.Point{{1080, 1920}, {2560, 1440}} {
		moving := func(n int) image.Image {
			img := image.NewNRGBA(image.Rectangle{Max: size})
			for y := range size.Y {
				draw.Draw(img, image.Rect(0, y, size.X, y+1), image.NewUniform(color.NRGBA{R: byte(y / 8), G: byte(n * 4), B: 90, A: 255}), image.Point{}, draw.Src)
			}
			draw.Draw(img, image.Rect(n*9, 100, n*9+400, 500), noise(400, 400), image.Point{}, draw.Src)
			return img
		}
		for _, format := range []file.Format{"mp4", "webm", "gif"} {
			t.Run(fmt.Sprintf("%s of %v", format, size), func(t *testing.T) {
				v, err := NewVideo(t.Context(), Settings{Format: format, Width: size.X, Height: size.Y, FPS: 30, Quality: 80, MaxMemory: maxMemory})
				if err != nil {
					t.Fatal(err)
				}
				for n := range 20 {
					var frame bytes.Buffer
					if format == "gif" {
						err = (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&frame, moving(n))
					} else {
						err = jpeg.Encode(&frame, moving(n), nil)
					}
					if err := errors.Join(err, v.Write(t.Context(), frame.Bytes())); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := v.Finish(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// ffmpeg gets equal frames once. The same film of frames that look the same and are not equal has the same bytes.
func TestEqualFramesAreFrames(t *testing.T) {
	encode := func(left, level int, format file.Format) []byte {
		img := image.NewNRGBA(image.Rect(0, 0, 64, 48))
		draw.Draw(img, img.Bounds(), noise(64, 48), image.Point{}, draw.Src)
		draw.Draw(img, image.Rect(left, 0, left+20, 20), image.NewUniform(color.NRGBA{R: 255, A: 255}), image.Point{}, draw.Src)
		var out bytes.Buffer
		if format == "gif" {
			if err := (&png.Encoder{CompressionLevel: png.CompressionLevel(-level)}).Encode(&out, img); err != nil {
				t.Fatal(err)
			}
			return out.Bytes()
		}
		if err := jpeg.Encode(&out, img, nil); err != nil {
			t.Fatal(err)
		}
		const marker = 2
		comment := []byte{0xff, 0xfe, 0, 3, byte(level)}
		return slices.Concat(out.Bytes()[:marker], comment, out.Bytes()[marker:])
	}
	for _, format := range []file.Format{"mp4", "webm", "gif"} {
		var films [2][]byte
		for i := range films {
			v, err := NewVideo(t.Context(), Settings{Format: format, Width: 64, Height: 48, FPS: 10, Quality: 90})
			if err != nil {
				t.Fatal(err)
			}
			for n, left := range slices.Concat([]int{0, 0, 0, 10, 10, 0}, slices.Repeat([]int{10}, 2*maxRepeated+1), []int{20}) {
				if err := v.Write(t.Context(), encode(left, i*(n%2), format)); err != nil {
					t.Fatal(err)
				}
			}
			if films[i], err = v.Finish(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(films[0], films[1]) {
			t.Errorf("%s: %d bytes with equal frames, %d with other ones", format, len(films[0]), len(films[1]))
		}
	}
}
