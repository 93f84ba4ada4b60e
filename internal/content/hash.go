// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
)

// HashBlock is the block size of Dropbox's content_hash, in bytes.
const HashBlock = 4 << 20

// ContentHash computes Dropbox's content_hash: SHA-256 of the SHA-256s of each HashBlock bytes
// (https://www.dropbox.com/developers/reference/content-hash). Make one with NewContentHash.
type ContentHash struct {
	block   hash.Hash
	inBlock int
	sums    []byte
}

// NewContentHash returns the hash of nothing.
func NewContentHash() *ContentHash { return &ContentHash{block: sha256.New()} }

// Write adds bytes. It never fails.
func (h *ContentHash) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), HashBlock-h.inBlock)
		h.block.Write(rest[:n])
		h.inBlock += n
		rest = rest[n:]
		if h.inBlock == HashBlock {
			h.endBlock()
		}
	}
	return len(p), nil
}

func (h *ContentHash) endBlock() {
	h.sums = h.block.Sum(h.sums)
	h.block.Reset()
	h.inBlock = 0
}

// Blocks ends the last block and returns the SHA-256s of all, one after the other. Those of parts that are whole blocks, joined in
// order, are those of the whole.
func (h *ContentHash) Blocks() []byte {
	if h.inBlock > 0 {
		h.endBlock()
	}
	return h.sums
}

// HashOfBlocks is the content_hash, in hexadecimal, of what has these blocks.
func HashOfBlocks(blocks []byte) string {
	sum := sha256.Sum256(blocks)
	return hex.EncodeToString(sum[:])
}

// hashes computes SHA-256 and Dropbox's content_hash in one pass.
type hashes struct {
	whole  hash.Hash
	blocks *ContentHash
}

func newHashes() *hashes { return &hashes{whole: sha256.New(), blocks: NewContentHash()} }

// Write adds bytes. It never fails.
func (h *hashes) Write(p []byte) (int, error) {
	h.whole.Write(p)
	return h.blocks.Write(p)
}

func (h *hashes) object(key, contentType string, size int64) Object {
	return Object{
		Key: key, ContentType: contentType, Size: size,
		SHA256:      hex.EncodeToString(h.whole.Sum(nil)),
		ContentHash: HashOfBlocks(h.blocks.Blocks()),
	}
}
