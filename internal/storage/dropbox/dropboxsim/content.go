// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package dropboxsim

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"slices"
)

// content holds the bytes of a file or session, in the parts that arrived. Each part keeps the hashes of its blocks, so that a large
// file is neither copied nor hashed twice.
type content struct {
	parts []part
	size  int64
}

// part of a content, with the SHA-256 sums of its blocks.
type part struct {
	data   []byte
	blocks [][sha256.Size]byte
}

// newPart returns a part of data. Hashing may take a while.
func newPart(data []byte) part {
	p := part{data: data}
	for rest := data; len(rest) > 0; {
		n := min(len(rest), hashBlock)
		p.blocks = append(p.blocks, sha256.Sum256(rest[:n]))
		rest = rest[n:]
	}
	return p
}

// hash returns Dropbox's content_hash: the SHA-256 of the SHA-256 sums of all blocks.
func (p part) hash() string {
	outer := sha256.New()
	for _, block := range p.blocks {
		outer.Write(block[:])
	}
	return hex.EncodeToString(outer.Sum(nil))
}

func newContent(p part) content { return content{}.with(p) }

// with returns the content with a part appended.
func (c content) with(p part) content {
	return content{parts: append(slices.Clip(c.parts), p), size: c.size + int64(len(p.data))}
}

// hash returns the content_hash of all parts. It hashes everything again if a part ends within a block.
func (c content) hash() string {
	var whole part
	for i, p := range c.parts {
		if i < len(c.parts)-1 && len(p.data)%hashBlock != 0 {
			return newPart(c.bytes()).hash()
		}
		whole.blocks = append(whole.blocks, p.blocks...)
	}
	return whole.hash()
}

func (c content) bytes() []byte {
	if len(c.parts) == 1 {
		return c.parts[0].data
	}
	joined := make([]byte, 0, c.size)
	for _, p := range c.parts {
		joined = append(joined, p.data...)
	}
	return joined
}

// readBody reads at most limit+1 bytes, so that the caller sees whether the body exceeds limit.
func readBody(r io.Reader, length, limit int64) ([]byte, error) {
	var b bytes.Buffer
	if length > 0 && length <= limit {
		b.Grow(int(length) + bytes.MinRead)
	}
	_, err := b.ReadFrom(io.LimitReader(r, limit+1))
	return b.Bytes(), err
}
