// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/image/draw"

	"github.com/platen-dev/platen/internal/file"
)

// Resize returns a PNG in another size and format: png, jpg, jpeg, webp with the quality 1..100, where 100 is lossless in webp, and for
// avif still a PNG. maxMemory limits an encoder's memory in bytes; 0 is no limit. The error is ErrMemory if it needs more.
func Resize(ctx context.Context, data []byte, format file.Format, width, height, quality int, maxMemory int64) ([]byte, error) {
	large, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("reading a picture: %w", err)
	}
	small := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.CatmullRom.Scale(small, small.Bounds(), large, large.Bounds(), draw.Src, nil)
	var out bytes.Buffer
	if format == "jpg" || format == "jpeg" {
		err = jpeg.Encode(&out, small, &jpeg.Options{Quality: quality})
		return out.Bytes(), err
	}
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := encoder.Encode(&out, small); err != nil || format != "webp" {
		return out.Bytes(), err
	}
	return webp(ctx, out.Bytes(), quality, maxMemory)
}

// webp encodes a PNG.
func webp(ctx context.Context, data []byte, quality int, maxMemory int64) ([]byte, error) {
	dir, err := os.MkdirTemp("", "webp-")
	if err != nil {
		return nil, fmt.Errorf("encoding WebP: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	in, out := filepath.Join(dir, "in.png"), filepath.Join(dir, "out.webp")
	if err := os.WriteFile(in, data, 0o600); err != nil {
		return nil, fmt.Errorf("encoding WebP: %w", err)
	}
	loss := []string{"-quality", strconv.Itoa(quality)}
	if quality == 100 {
		loss = []string{"-lossless", "1"}
	}
	args := slices.Concat(ffmpegFlags, []string{"-threads", "1", "-i", in, "-c:v", "libwebp"}, loss, []string{"-threads", strconv.Itoa(threads), "-map_metadata", "-1", out})
	if err := run(ctx, maxMemory, "ffmpeg", args...); err != nil {
		return nil, err
	}
	return os.ReadFile(out) //nolint:gosec // a name of our own
}
