// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fonts finds the fonts of FontSets: it reads the files in their ConfigMaps, at their URLs and in their images, checks them, and says which @font-face each of them is.
package fonts

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-text/typesetting/font"

	"github.com/platen-dev/platen/internal/file"
)

// maxFamily bounds the name of a family, in bytes.
const maxFamily = 255

// face is what a font file says about itself.
type face struct {
	family, style, weight, stretch string
	// warning about its licence, empty if there is none.
	warning string
}

// readFace reads a font file.
func readFace(data []byte) (face, error) {
	tables, err := unpack(data)
	if err != nil {
		return face{}, err
	}
	for _, tag := range []string{"name", "OS/2", "head"} {
		if tables[tag] == nil {
			return face{}, fmt.Errorf("it has no table %s, without which browsers refuse it", tag)
		}
	}
	ld, err := loader(tables)
	if err != nil {
		return face{}, err
	}
	description, _ := font.Describe(ld, nil)
	family := strings.TrimSpace(description.Family)
	if family == "" || len(family) > maxFamily || !utf8.ValidString(family) || strings.ContainsFunc(family, file.Misleads) {
		return face{}, errors.New("its name table has no usable name of a family")
	}
	description.Aspect.SetDefaults()
	f := face{
		family: family, style: "normal",
		weight:  number(float64(description.Aspect.Weight)),
		stretch: number(float64(description.Aspect.Stretch)*100) + "%",
		warning: licence(tables["OS/2"]),
	}
	if description.Aspect.Style == font.StyleItalic {
		f.style = "italic"
	}
	f.vary(tables["fvar"])
	return f, nil
}

// number returns a number as CSS has it.
func number(value float64) string { return strconv.FormatFloat(value, 'f', -1, 32) }

// vary sets the ranges of a variable font, from the axes of its table fvar.
func (f *face) vary(fvar []byte) {
	const headerSize, axisSize = 16, 20
	if len(fvar) < headerSize {
		return
	}
	offset, count := int(binary.BigEndian.Uint16(fvar[4:])), int(binary.BigEndian.Uint16(fvar[8:]))
	for ; count > 0 && offset+axisSize <= len(fvar); count, offset = count-1, offset+axisSize {
		axis := fvar[offset : offset+axisSize]
		first, last := number(fixed(axis[4:])), number(fixed(axis[12:]))
		switch string(axis[:4]) {
		case "wght":
			f.weight = first + " " + last
		case "wdth":
			f.stretch = first + "% " + last + "%"
		}
	}
}

// fixed reads a number with 16 binary places.
func fixed(data []byte) float64 {
	return float64(int32(binary.BigEndian.Uint32(data))) / (1 << 16) //nolint:gosec // two's complement
}

// licence returns what the embedding bits of the table OS/2 (its field fsType) keep a font's user from.
func licence(os2 []byte) string {
	const restricted, bitmapOnly, noSubsetting = 0x0002, 0x0200, 0x0100
	if len(os2) < 10 {
		return ""
	}
	const ask = "; see its licence before you publish PDFs with it"
	switch bits := binary.BigEndian.Uint16(os2[8:]); {
	case bits&0xf == restricted:
		return "the font says that it must not be embedded in documents (fsType 2)" + ask
	case bits&bitmapOnly != 0:
		return "the font says that only its bitmaps may be embedded in documents (fsType, bit 9)" + ask
	case bits&noSubsetting != 0:
		return "the font says that documents must embed all of it (fsType, bit 8), and PDFs have only the letters that they show" + ask
	}
	return ""
}
