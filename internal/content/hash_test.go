// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"github.com/platen-dev/platen/internal/file"
)

func TestHashesOfBlocks(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	data := make([]byte, 2*file.HashBlock+5)
	_, _ = random.Read(data) // it never fails
	for _, size := range []int{0, 1, file.HashBlock - 1, file.HashBlock, file.HashBlock + 1, 2 * file.HashBlock, len(data)} {
		for _, chunk := range []int{1000003, file.HashBlock, len(data)} {
			h, blocks := newHashes(), file.NewBlockHash()
			for part := bytes.NewBuffer(data[:size]); part.Len() > 0; {
				next := part.Next(chunk)
				if n, err := h.Write(next); n != len(next) || err != nil {
					t.Errorf("wrote %d of %d bytes, %v", n, len(next), err)
				}
			}
			_, _ = blocks.Write(data[:size]) // it never fails
			whole := sha256.Sum256(data[:size])
			got := h.describe(file.File{})
			if got.Size != int64(size) || got.SHA256 != hex.EncodeToString(whole[:]) || got.ContentHash != file.HashOfBlocks(blocks.Blocks()) {
				t.Errorf("%d bytes in parts of %d: %+v", size, chunk, got)
			}
		}
	}
}
