// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package file

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
)

// HashBlock is the block size of Dropbox's content_hash, in bytes.
const HashBlock = 4 << 20

// BlockHash computes Dropbox's content_hash: the SHA-256 of the SHA-256 sums of all blocks of HashBlock bytes
// (https://www.dropbox.com/developers/reference/content-hash). Make one with NewBlockHash.
type BlockHash struct {
	block   hash.Hash
	inBlock int
	sums    []byte
}

// NewBlockHash returns the hash of an empty file.
func NewBlockHash() *BlockHash { return &BlockHash{block: sha256.New()} }

// Write adds bytes. It never fails.
func (h *BlockHash) Write(p []byte) (int, error) {
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

func (h *BlockHash) endBlock() {
	h.sums = h.block.Sum(h.sums)
	h.block.Reset()
	h.inBlock = 0
}

// Blocks ends the last block and returns the SHA-256 sums of all blocks, concatenated. The concatenated sums of
// a file's parts are the file's sums if every part except the last has whole blocks.
func (h *BlockHash) Blocks() []byte {
	if h.inBlock > 0 {
		h.endBlock()
	}
	return h.sums
}

// HashOfBlocks returns the content_hash, in hexadecimal, of the file with these blocks.
func HashOfBlocks(blocks []byte) string {
	sum := sha256.Sum256(blocks)
	return hex.EncodeToString(sum[:])
}
