// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"testing"
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
