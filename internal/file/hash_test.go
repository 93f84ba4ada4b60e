// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package file

import (
	"bytes"
	"slices"
	"testing"
)

// hashOf writes data in pieces of a size and returns its content_hash.
func hashOf(data []byte, piece int) string {
	h := NewBlockHash()
	for p := range slices.Chunk(data, piece) {
		_, _ = h.Write(p)
	}
	return HashOfBlocks(h.Blocks())
}

func TestContentHash(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789abcdef"), (9<<20)/16)
	parts := [][]byte{large[:HashBlock], large[HashBlock : 2*HashBlock], large[2*HashBlock:]}
	sums := make([][]byte, 0, len(parts))
	for _, part := range parts {
		h := NewBlockHash()
		_, _ = h.Write(part)
		sums = append(sums, h.Blocks())
	}
	for name, c := range map[string]struct{ got, want string }{
		// Computed by hand from the definition: the SHA-256 of nothing, and of the SHA-256 of the only block.
		"empty":                        {got: hashOf(nil, 1), want: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		"one block":                    {got: hashOf([]byte("abc"), 2), want: "4f8b42c22dd3729b519ba6f68d2da7cc5b2d606d05daed5ad5128cc03e6c6358"},
		"does not depend on writes":    {got: hashOf(large, 1_000_003), want: hashOf(large, len(large))},
		"follows from the parts' sums": {got: HashOfBlocks(slices.Concat(sums...)), want: hashOf(large, len(large))},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %s, want %s", name, c.got, c.want)
		}
	}
}
