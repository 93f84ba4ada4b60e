// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"

	"github.com/platen-dev/platen/internal/file"
)

// hashes counts bytes and computes their SHA-256 and Dropbox's content_hash.
type hashes struct {
	size   int64
	whole  hash.Hash
	blocks *file.BlockHash
}

func newHashes() *hashes { return &hashes{whole: sha256.New(), blocks: file.NewBlockHash()} }

// Write adds bytes. It never fails.
func (h *hashes) Write(p []byte) (int, error) {
	h.size += int64(len(p))
	h.whole.Write(p)
	return h.blocks.Write(p)
}

// describe returns f with the size and hashes of the bytes.
func (h *hashes) describe(f file.File) file.File {
	f.Size, f.SHA256, f.ContentHash = h.size, hex.EncodeToString(h.whole.Sum(nil)), file.HashOfBlocks(h.blocks.Blocks())
	return f
}
