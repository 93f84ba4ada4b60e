// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"slices"

	"github.com/platen-dev/platen/internal/file"
)

// hashes counts bytes and computes their SHA-256 and Dropbox's content_hash. Most files have one block, whose SHA-256 is that of the file:
// their bytes are hashed once.
type hashes struct {
	size  int64
	whole hash.Hash
	// first is the SHA-256 of the first block, and later has the blocks after it. Both are nil while the file has one block.
	first []byte
	later *file.BlockHash
}

func newHashes() *hashes { return &hashes{whole: sha256.New()} }

// Write adds bytes. It never fails.
func (h *hashes) Write(p []byte) (int, error) {
	first := min(int64(len(p)), max(file.HashBlock-h.size, 0)) // bytes of p in the first block
	h.size += int64(len(p))
	h.whole.Write(p[:first])
	if rest := p[first:]; len(rest) > 0 {
		if h.later == nil {
			h.first, h.later = h.whole.Sum(nil), file.NewBlockHash()
		}
		h.whole.Write(rest)
		_, _ = h.later.Write(rest) // it never fails
	}
	return len(p), nil
}

// describe returns f with the size and hashes of the bytes.
func (h *hashes) describe(f file.File) file.File {
	whole := h.whole.Sum(nil)
	blocks := whole
	switch {
	case h.later != nil:
		blocks = slices.Concat(h.first, h.later.Blocks())
	case h.size == 0:
		blocks = nil
	}
	f.Size, f.SHA256, f.ContentHash = h.size, hex.EncodeToString(whole), file.HashOfBlocks(blocks)
	return f
}
