// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package fonts

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/andybalholm/brotli"
	"github.com/go-text/typesetting/font/opentype"
)

const (
	// maxTables bounds the tables of a font, and maxTable one that is read, in bytes. Fonts have about 20, and the ones that are read are small.
	maxTables, maxTable = 256, 1 << 20
	// maxUnpacked bounds what a WOFF2 file unpacks to, in bytes.
	maxUnpacked = 32 << 20
)

// wanted are the tables that say what a font is.
var wanted = []string{"OS/2", "fvar", "head", "name"}

var (
	errCut      = errors.New("the file ends too early")
	errTooMany  = errors.New("it has too many tables")
	errTooLarge = errors.New("it is too large")
)

// unpack returns the wanted tables of a font file by their tags. It reads no more than the limits, whatever the file says: loaders of font
// libraries make room for the sizes that a file claims.
func unpack(data []byte) (map[string][]byte, error) {
	if len(data) < 4 {
		return nil, errCut
	}
	switch tag := string(data[:4]); tag {
	case "\x00\x01\x00\x00", "OTTO", "true":
		return unpackSFNT(data)
	case "wOFF":
		return unpackWOFF(data)
	case "wOF2":
		return unpackWOFF2(data)
	case "ttcf":
		return nil, errors.New("it is a collection of several fonts: take one of them into a file of its own")
	default:
		return nil, errors.New("it is not a TTF, OTF, WOFF or WOFF2 file")
	}
}

// section returns length bytes of data at an offset. Nobody can append to them in place: the library that writes a font pads its tables so.
func section(data []byte, offset, length uint32) ([]byte, error) {
	if uint64(offset)+uint64(length) > uint64(len(data)) {
		return nil, errCut
	}
	return slices.Clip(data[offset : offset+length]), nil
}

// directory calls visit for each entry of a table directory that begins at an offset.
func directory(data []byte, count uint16, offset, entry uint32, visit func(tag string, entry []byte) error) error {
	if count > maxTables {
		return errTooMany
	}
	for range count {
		record, err := section(data, offset, entry)
		if err != nil {
			return err
		}
		if tag := string(record[:4]); slices.Contains(wanted, tag) {
			if err := visit(tag, record); err != nil {
				return fmt.Errorf("table %s: %w", tag, err)
			}
		}
		offset += entry
	}
	return nil
}

// unpackSFNT reads TTF and OTF (https://learn.microsoft.com/typography/opentype/spec/otff).
func unpackSFNT(data []byte) (map[string][]byte, error) {
	header, err := section(data, 0, 12)
	if err != nil {
		return nil, err
	}
	tables := map[string][]byte{}
	err = directory(data, binary.BigEndian.Uint16(header[4:]), 12, 16, func(tag string, entry []byte) (err error) {
		tables[tag], err = section(data, binary.BigEndian.Uint32(entry[8:]), binary.BigEndian.Uint32(entry[12:]))
		return err
	})
	return tables, err
}

// unpackWOFF reads WOFF (https://www.w3.org/TR/WOFF/).
func unpackWOFF(data []byte) (map[string][]byte, error) {
	header, err := section(data, 0, 44)
	if err != nil {
		return nil, err
	}
	tables := map[string][]byte{}
	err = directory(data, binary.BigEndian.Uint16(header[12:]), 44, 20, func(tag string, entry []byte) error {
		packed, err := section(data, binary.BigEndian.Uint32(entry[4:]), binary.BigEndian.Uint32(entry[8:]))
		if err != nil {
			return err
		}
		size := binary.BigEndian.Uint32(entry[12:])
		if size > maxTable {
			return errTooLarge
		}
		if size > uint32(len(packed)) { //nolint:gosec // a section of a file of at most some MiB
			unpacked, err := zlib.NewReader(bytes.NewReader(packed))
			if err != nil {
				return err
			}
			if packed, err = read(unpacked, size); err != nil {
				return err
			}
		}
		tables[tag] = packed
		return nil
	})
	return tables, err
}

// read reads a number of bytes, at most maxTable.
func read(from io.Reader, size uint32) ([]byte, error) {
	if size > maxTable {
		return nil, errTooLarge
	}
	data := make([]byte, size)
	_, err := io.ReadFull(from, data)
	return data, err
}

// knownTags are the tags to which WOFF2 gives a number (https://www.w3.org/TR/WOFF2/#table_dir_format), as far as their number matters here.
var knownTags = map[byte]string{1: "head", 5: "name", 6: "OS/2", 10: "glyf", 11: "loca", 47: "fvar"}

// unpackWOFF2 reads WOFF2 (https://www.w3.org/TR/WOFF2/): a directory, and all tables in one stream.
func unpackWOFF2(data []byte) (map[string][]byte, error) {
	const headerSize, otherTag = 48, 63
	header, err := section(data, 0, headerSize)
	if err != nil {
		return nil, err
	}
	if string(header[4:8]) == "ttcf" {
		return nil, errors.New("it is a collection of several fonts: take one of them into a file of its own")
	}
	count, packed := binary.BigEndian.Uint16(header[12:]), binary.BigEndian.Uint32(header[20:])
	if count > maxTables {
		return nil, errTooMany
	}
	rest := bytes.NewReader(data[headerSize:])
	type table struct {
		tag  string
		size uint32
	}
	list := make([]table, 0, count)
	for range count {
		flags, err := rest.ReadByte()
		if err != nil {
			return nil, errCut
		}
		number, version := flags&63, flags>>6
		tag := knownTags[number]
		if number == otherTag {
			raw := make([]byte, 4)
			if _, err := io.ReadFull(rest, raw); err != nil {
				return nil, errCut
			}
			tag = string(raw)
		}
		size, err := base128(rest)
		if err != nil {
			return nil, err
		}
		// Version 3 of glyf and loca, and version 0 of all others, are the tables as they are.
		if isGlyphs := tag == "glyf" || tag == "loca"; isGlyphs && version != 3 || !isGlyphs && version != 0 {
			if size, err = base128(rest); err != nil {
				return nil, err
			}
		}
		list = append(list, table{tag, size})
	}
	start := uint32(len(data) - rest.Len()) //nolint:gosec // a position in a file of at most some MiB
	stream, err := section(data, start, packed)
	if err != nil {
		return nil, err
	}
	unpacked := io.LimitReader(brotli.NewReader(bytes.NewReader(stream)), maxUnpacked)
	tables := map[string][]byte{}
	for _, t := range list {
		if !slices.Contains(wanted, t.tag) {
			if _, err := io.CopyN(io.Discard, unpacked, int64(t.size)); err != nil {
				return nil, fmt.Errorf("unpacking it: %w", err)
			}
			continue
		}
		if tables[t.tag], err = read(unpacked, t.size); err != nil {
			return nil, fmt.Errorf("unpacking table %s: %w", t.tag, err)
		}
	}
	return tables, nil
}

// base128 reads WOFF2's UIntBase128.
func base128(from io.ByteReader) (uint32, error) {
	value := uint32(0)
	for range 5 {
		b, err := from.ReadByte()
		if err != nil {
			return 0, errCut
		}
		if value > 1<<25-1 {
			break
		}
		if value = value<<7 | uint32(b&0x7f); b&0x80 == 0 {
			return value, nil
		}
	}
	return 0, errors.New("its directory has a number that is too large")
}

// loader returns a loader of tables.
func loader(tables map[string][]byte) (*opentype.Loader, error) {
	list := make([]opentype.Table, 0, len(tables))
	for _, tag := range slices.Sorted(maps.Keys(tables)) {
		list = append(list, opentype.Table{Tag: opentype.MustNewTag(tag), Content: tables[tag]})
	}
	return opentype.NewLoader(bytes.NewReader(opentype.WriteTTF(list)))
}
