// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package fonts

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/platen-dev/platen/internal/render"
)

const (
	// maxLayersUnpacked bounds what the layers of an image have without compression, in bytes, and maxEntries the files, folders and links in them.
	maxLayersUnpacked, maxEntries = 256 << 20, 20_000
	// maxPath bounds the path of a file in an image, in bytes.
	maxPath = 1024
	// maxWindow bounds the memory of zstd, in bytes.
	maxWindow = 32 << 20
	// whiteout begins the name of a file that hides what lower layers have, and opaque is one that hides all that they have in its folder.
	whiteout, opaque = ".wh.", ".wh..wh..opq"
)

// unpacking collects the font files of an image, from its last layer to its first. Nothing of an image gets onto a disk, and no link is followed.
type unpacking struct {
	// folder whose files are wanted, or the file; empty for all.
	folder string
	// fonts by their paths.
	fonts map[string][]byte
	// size of the fonts, in bytes.
	size int64
	// hidden says what the layers so far hide of lower ones.
	hidden map[string]hiding
	// entries so far, and the bytes that may still be unpacked.
	entries, left int64
}

// hiding says what an entry at a path hides of lower layers.
type hiding uint8

const (
	hidesPath hiding = 1 << iota
	hidesBelow
)

// layer is what one layer has.
type layer struct {
	fonts  map[string][]byte
	hidden map[string]hiding
}

func newUnpacking(folder string) *unpacking {
	return &unpacking{folder: clean(folder), fonts: map[string][]byte{}, hidden: map[string]hiding{}, left: maxLayersUnpacked}
}

// clean returns a path without a slash in front and without . and .. in it.
func clean(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// isFont reports whether a path is that of a font file.
func isFont(name string) bool {
	return slices.Contains([]string{".ttf", ".otf", ".woff", ".woff2"}, strings.ToLower(path.Ext(name)))
}

// wants reports whether a path is that of a font file in the folder.
func (u *unpacking) wants(name string) bool {
	return isFont(name) && (u.folder == "" || name == u.folder || strings.HasPrefix(name, u.folder+"/"))
}

// isHidden reports whether upper layers hide a file.
func (u *unpacking) isHidden(name string) bool {
	if u.hidden[name]&hidesPath != 0 || u.hidden[""]&hidesBelow != 0 {
		return true
	}
	for folder := path.Dir(name); folder != "."; folder = path.Dir(folder) {
		if u.hidden[folder]&hidesBelow != 0 {
			return true
		}
	}
	return false
}

// add adds a layer below those so far.
func (u *unpacking) add(l layer) {
	maps.Copy(u.fonts, l.fonts)
	for name, what := range l.hidden {
		u.hidden[name] |= what
	}
}

// file reads a layer that is a file.
func (u *unpacking) file(name string, size int64, content io.Reader) (layer, error) {
	l := layer{fonts: map[string][]byte{}, hidden: map[string]hiding{name: hidesPath | hidesBelow}}
	if len(name) > maxPath {
		return l, refuse("the path of a file has more than %d bytes", maxPath)
	}
	if u.isHidden(name) {
		return l, nil
	}
	return l, u.read(l, name, size, content)
}

// read reads a font file into a layer.
func (u *unpacking) read(l layer, name string, size int64, content io.Reader) error {
	switch {
	case size > render.MaxFont:
		return refuse("file '%s' has more than %d bytes; a WOFF2 file with fewer letters is smaller", name, render.MaxFont)
	case u.size+size > maxKept:
		return refuse("its fonts have more than %d bytes; name a folder of it in path, or use WOFF2 files", maxKept)
	case len(u.fonts)+len(l.fonts) >= MaxFonts:
		return refuse("it has more than %d fonts; name a folder of it in path", MaxFonts)
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(content, data); err != nil {
		return err
	}
	u.size += size
	l.fonts[name] = data
	return nil
}

// tar reads a layer that is a tar file. Nothing is below the last one.
func (u *unpacking) tar(content io.Reader, last bool) (layer, error) {
	l := layer{fonts: map[string][]byte{}, hidden: map[string]hiding{}}
	unpacked, end, err := decompress(content)
	if err != nil {
		return l, err
	}
	defer end()
	files := tar.NewReader(&counted{unpacked, &u.left})
	for {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return l, nil
		}
		if err == nil {
			err = u.entry(l, header, files, last)
		}
		if u.left <= 0 {
			return l, refuse("its layers have more than %d bytes without compression; put the fonts into an image that has nothing else, such as one FROM scratch", maxLayersUnpacked)
		}
		if err != nil {
			return l, err
		}
	}
}

// entry takes what is wanted of an entry of a tar file.
func (u *unpacking) entry(l layer, header *tar.Header, content io.Reader, last bool) error {
	if u.entries++; u.entries > maxEntries {
		return refuse("it has more than %d files and folders; put the fonts into an image that has nothing else, such as one FROM scratch", maxEntries)
	}
	if len(header.Name) > maxPath {
		return refuse("the path of a file has more than %d bytes", maxPath)
	}
	name := clean(header.Name)
	folder, base := path.Split(name)
	hide := func(name string, what hiding) {
		if !last {
			l.hidden[name] |= what
		}
	}
	if hides, ok := strings.CutPrefix(base, whiteout); ok {
		switch {
		case base == opaque:
			hide(clean(folder), hidesBelow)
		case !strings.HasPrefix(hides, whiteout):
			hide(clean(folder+hides), hidesPath|hidesBelow)
		}
		return nil
	}
	if header.Typeflag == tar.TypeDir {
		if isFont(name) {
			hide(name, hidesPath)
		}
		return nil
	}
	hide(name, hidesPath|hidesBelow)
	// Of two entries with one path, the later one is the file.
	u.size -= int64(len(l.fonts[name]))
	delete(l.fonts, name)
	if header.Typeflag != tar.TypeReg || !u.wants(name) || u.isHidden(name) {
		return nil
	}
	return u.read(l, name, header.Size, content)
}

// decompress returns what content has without compression, and what to call afterwards. The first bytes say what it is: media types are often wrong.
func decompress(content io.Reader) (io.Reader, func(), error) {
	buffered := bufio.NewReader(content)
	magic, _ := buffered.Peek(4)
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		unpacked, err := gzip.NewReader(buffered)
		return unpacked, func() {}, err
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		unpacked, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, err
		}
		return unpacked, unpacked.Close, nil
	default:
		return buffered, func() {}, nil
	}
}

// counted is a reader of at most left bytes.
type counted struct {
	io.Reader
	left *int64
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	if *c.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := c.Reader.Read(p[:min(int64(len(p)), *c.left)])
	*c.left -= int64(n)
	return n, err
}
