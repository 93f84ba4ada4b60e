// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package dropbox

import (
	"io"
	"testing"

	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/storagetest"
)

// Dropbox answers when it has the last byte, which may be before the client reads the end of the body.
func TestHashesAreKnownWithTheLastByte(t *testing.T) {
	files := []*storage.File{storagetest.File(t, "/a.png", make([]byte, 10)), storagetest.File(t, "/b.png", nil), storagetest.File(t, "/c.png", make([]byte, 20))}
	s := &sequence{ctx: t.Context(), files: files}
	if _, err := io.ReadFull(s, make([]byte, 30)); err != nil {
		t.Fatal(err)
	}
	if got := s.hashOf(2); got != files[2].ContentHash {
		t.Errorf("the hash of the last file is %q, want %q", got, files[2].ContentHash)
	}
}

// A server may answer before it has read everything.
func TestAFileThatWasNotReadHasNoHash(t *testing.T) {
	files := []*storage.File{storagetest.File(t, "/a.png", make([]byte, 10)), storagetest.File(t, "/b.png", make([]byte, 10))}
	s := &sequence{ctx: t.Context(), files: files}
	if _, err := io.ReadFull(s, make([]byte, 15)); err != nil {
		t.Fatal(err)
	}
	if got := s.hashOf(0); got != files[0].ContentHash {
		t.Errorf("the hash of the first file is %q, want %q", got, files[0].ContentHash)
	}
	if got := s.hashOf(1); got != "" {
		t.Errorf("the hash of half of a file is %q", got)
	}
}
