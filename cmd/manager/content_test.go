// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/test/s3"
)

func TestContentCopy(t *testing.T) {
	server, err := s3.New()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for name, value := range s3.Credentials {
		t.Setenv(name, value)
	}
	folder := "file://" + t.TempDir()
	store, err := content.Open(t.Context(), folder, content.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ref, page := content.Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}, file.File{ID: file.ID{Page: 1}, Format: "png"}
	if _, err := store.Put(t.Context(), ref, 1, page, strings.NewReader("picture"), 100); err != nil {
		t.Fatal(err)
	}
	out := &bytes.Buffer{}
	if err := copyContent(t.Context(), []string{"--from=" + folder, "--to=" + server.BucketURL()}, out); err != nil {
		t.Fatal(err)
	}
	if want := "copied 1 objects with 7 bytes; 0 were there already, 0 are gone from the source\n"; out.String() != want {
		t.Errorf("got %q, want %q", out, want)
	}
	// The manager's own options open it, and its URLs of files have the names that jobs give them.
	bucket, err := content.Open(t.Context(), server.BucketURL(), content.Options{Redirect: true, Dispose: dispose})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.Inspect(t.Context(), ref, 1, page); err != nil {
		t.Error(err)
	}
}

func TestContentCopyNeedsTwoStores(t *testing.T) {
	for _, args := range [][]string{nil, {"--from=mem://"}, {"--from=mem://", "--to=mem://"}, {"--from=mem://", "--to=file:///x", "more"}, {"--what"}} {
		if err := copyContent(t.Context(), args, &bytes.Buffer{}); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
}
