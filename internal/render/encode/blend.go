// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
)

// blendQuality is the JPEG quality of a blended frame.
const blendQuality = 95

// Blend lays the picture over under, and lets share of it show, 0..1. Both are JPEGs or PNGs of one size; the result has the format of
// over.
func Blend(under, over []byte, share float64) ([]byte, error) {
	below, _, err := image.Decode(bytes.NewReader(under))
	if err != nil {
		return nil, fmt.Errorf("reading a frame: %w", err)
	}
	above, format, err := image.Decode(bytes.NewReader(over))
	if err != nil {
		return nil, fmt.Errorf("reading a frame: %w", err)
	}
	all := below.Bounds()
	mixed := image.NewRGBA(all)
	draw.Draw(mixed, all, below, all.Min, draw.Src)
	mask := image.NewUniform(color.Alpha16{A: uint16(share * 0xffff)})
	draw.DrawMask(mixed, all, above, above.Bounds().Min, mask, image.Point{}, draw.Over)
	var out bytes.Buffer
	if format == "png" {
		err = (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&out, mixed)
	} else {
		err = jpeg.Encode(&out, mixed, &jpeg.Options{Quality: blendQuality})
	}
	if err != nil {
		return nil, fmt.Errorf("writing a frame: %w", err)
	}
	return out.Bytes(), nil
}
