// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package storagetest holds the tests that every storage provider passes.
package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/storage"
)

// Service is a storage service for the length of a test, and what the test sees of it behind the provider's back.
type Service struct {
	Provider storage.Provider
	// Files returns the bytes of every file by its path.
	Files func(t *testing.T) map[string]string
}

// File returns a file to upload.
func File(t *testing.T, path string, data []byte) *storage.File {
	t.Helper()
	hash := content.NewBlockHash()
	_, _ = hash.Write(data) // never fails
	return &storage.File{
		Path: path, Size: int64(len(data)), ContentType: "image/png", ConflictPolicy: storage.Overwrite,
		ContentHash: content.HashOfBlocks(hash.Blocks()),
		Open: func(_ context.Context, offset, length int64) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(data[offset : offset+length])), nil
		},
	}
}

// One uploads one file.
func One(ctx context.Context, p storage.Provider, f *storage.File) (storage.Result, error) {
	result := p.Upload(ctx, []*storage.File{f})[0]
	return result, result.Err
}

// Run runs the tests, each with a service of its own.
func Run(t *testing.T, open func(t *testing.T) Service) {
	t.Helper()
	for _, c := range []struct {
		name string
		test func(t *testing.T, s Service)
	}{
		{"verifies", verifies},
		{"ensures a folder twice", ensuresFolderTwice},
		{"uploads one file", uploadsOne},
		{"uploads several files", uploadsSeveral},
		{"uploads an empty file", uploadsEmpty},
		{"keeps names as they are", keepsNames},
		{"overwrites", overwrites},
		{"renames", renames},
		{"keeps", keeps},
		{"changes nothing when a file is uploaded again", repeats},
		{"finds what was uploaded before", finds},
		{"does not find what is another's", findsOthers},
		{"never leaves half a file", neverHalf},
		{"tells of a file that cannot be read", unreadable},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

func upload(t *testing.T, s Service, f *storage.File) storage.Result {
	t.Helper()
	done, err := One(t.Context(), s.Provider, f)
	if err != nil {
		t.Fatalf("uploading %s: %v", f.Path, err)
	}
	return done
}

func expect(t *testing.T, s Service, want map[string]string) {
	t.Helper()
	got := s.Files(t)
	for path, data := range want {
		if found, ok := got[path]; !ok || found != data {
			t.Errorf("%s holds %.40q (%t), want %.40q", path, found, ok, data)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d files stand there, want %d", len(got), len(want))
	}
}

func verifies(t *testing.T, s Service) {
	t.Helper()
	account, err := s.Provider.Verify(t.Context())
	if err != nil || account.ID == "" || s.Provider.Key() == "" {
		t.Errorf("account %+v, key %q, %v", account, s.Provider.Key(), err)
	}
}

func ensuresFolderTwice(t *testing.T, s Service) {
	t.Helper()
	for range 2 {
		if err := s.Provider.EnsureFolder(t.Context(), "/Renders/2024"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Provider.EnsureFolder(t.Context(), "/"); err != nil {
		t.Error(err)
	}
}

func uploadsOne(t *testing.T, s Service) {
	t.Helper()
	f := File(t, "/Marketing/Campaign-2024/card.png", []byte("hello"))
	if done := upload(t, s, f); done.Path != f.Path || done.Kept {
		t.Errorf("got %+v", done)
	}
	expect(t, s, map[string]string{f.Path: "hello"})
}

func uploadsSeveral(t *testing.T, s Service) {
	t.Helper()
	n := min(s.Provider.Limits().Files, 20)
	files := make([]*storage.File, 0, n)
	want := map[string]string{}
	for i := range n {
		path, data := fmt.Sprintf("/Renders/card_page_%d.png", i+1), fmt.Sprintf("page %d", i+1)
		files, want[path] = append(files, File(t, path, []byte(data))), data
	}
	for i, result := range s.Provider.Upload(t.Context(), files) {
		if result.Err != nil || result.Path != files[i].Path {
			t.Errorf("got %+v", result)
		}
	}
	expect(t, s, want)
}

func uploadsEmpty(t *testing.T, s Service) {
	t.Helper()
	upload(t, s, File(t, "/empty.png", nil))
	expect(t, s, map[string]string{"/empty.png": ""})
}

func keepsNames(t *testing.T, s Service) {
	t.Helper()
	want := map[string]string{}
	for _, path := range []string{"/Größe & Co/🎉 e\u0301 日本語.png", "/a b/100%+1.png", "/شعار/it's #1 (final).png"} {
		upload(t, s, File(t, path, []byte(path)))
		want[path] = path
	}
	expect(t, s, want)
}

func overwrites(t *testing.T, s Service) {
	t.Helper()
	upload(t, s, File(t, "/a.png", []byte("theirs")))
	if done := upload(t, s, File(t, "/a.png", []byte("ours"))); done.Path != "/a.png" || done.Kept {
		t.Errorf("got %+v", done)
	}
	expect(t, s, map[string]string{"/a.png": "ours"})
}

func renames(t *testing.T, s Service) {
	t.Helper()
	upload(t, s, File(t, "/a.png", []byte("theirs")))
	f := File(t, "/a.png", []byte("ours"))
	f.ConflictPolicy = storage.Rename
	if done := upload(t, s, f); done.Path != "/a (1).png" {
		t.Errorf("got %+v", done)
	}
	// After doubt the renamed file is found, and not uploaded under another name.
	f.Doubtful = true
	if done := upload(t, s, f); done.Path != "/a (1).png" {
		t.Errorf("after doubt: %+v", done)
	}
	third := File(t, "/a.png", []byte("third"))
	third.ConflictPolicy = storage.Rename
	if done := upload(t, s, third); done.Path != "/a (2).png" {
		t.Errorf("got %+v", done)
	}
	expect(t, s, map[string]string{"/a.png": "theirs", "/a (1).png": "ours", "/a (2).png": "third"})
}

func keeps(t *testing.T, s Service) {
	t.Helper()
	upload(t, s, File(t, "/a.png", []byte("theirs")))
	f := File(t, "/a.png", []byte("ours"))
	f.ConflictPolicy = storage.Keep
	if done := upload(t, s, f); done.Path != "/a.png" || !done.Kept {
		t.Errorf("got %+v", done)
	}
	f.Doubtful = true
	if done := upload(t, s, f); !done.Kept {
		t.Errorf("after doubt: %+v", done)
	}
	expect(t, s, map[string]string{"/a.png": "theirs"})
}

func repeats(t *testing.T, s Service) {
	t.Helper()
	for _, policy := range []storage.ConflictPolicy{storage.Overwrite, storage.Rename, storage.Keep} {
		for range 2 {
			f := File(t, "/"+string(policy)+".png", []byte("same"))
			f.ConflictPolicy = policy
			if done := upload(t, s, f); done.Path != f.Path || done.Kept {
				t.Errorf("%s: %+v", policy, done)
			}
		}
	}
	expect(t, s, map[string]string{"/Overwrite.png": "same", "/Rename.png": "same", "/Keep.png": "same"})
}

func finds(t *testing.T, s Service) {
	t.Helper()
	f := File(t, "/a.png", []byte("hello"))
	upload(t, s, f)
	again := File(t, "/a.png", []byte("hello"))
	again.Doubtful = true
	again.Open = func(context.Context, int64, int64) (io.ReadCloser, error) {
		return nil, errors.New("a file that stands already is read again")
	}
	if done := upload(t, s, again); done.Path != "/a.png" {
		t.Errorf("got %+v", done)
	}
}

func findsOthers(t *testing.T, s Service) {
	t.Helper()
	upload(t, s, File(t, "/a.png", []byte("other")))
	f := File(t, "/a.png", []byte("hello"))
	f.Doubtful = true
	upload(t, s, f)
	expect(t, s, map[string]string{"/a.png": "hello"})
}

func neverHalf(t *testing.T, s Service) {
	t.Helper()
	whole := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	f := File(t, "/half.png", whole)
	f.Open = func(context.Context, int64, int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(whole[:len(whole)/2])), nil
	}
	if done, err := One(t.Context(), s.Provider, f); err == nil {
		t.Errorf("half a file was taken: %+v", done)
	}
	changed := File(t, "/changed.png", whole)
	changed.ContentHash = File(t, "", []byte("before")).ContentHash
	other := File(t, "/other.png", []byte("other"))
	results := s.Provider.Upload(t.Context(), []*storage.File{changed, other})
	if results[0].Err == nil || results[1].Err != nil {
		t.Errorf("a file that changed in the store: %+v", results)
	}
	expect(t, s, map[string]string{"/other.png": "other"})
}

func unreadable(t *testing.T, s Service) {
	t.Helper()
	f := File(t, "/a.png", []byte("hello"))
	f.Open = func(context.Context, int64, int64) (io.ReadCloser, error) {
		return nil, errors.New("the store is away")
	}
	_, err := One(t.Context(), s.Provider, f)
	if problem := storage.AsError(err); err == nil || problem.Reason != storage.ReasonContentUnreadable || problem.Class != storage.Retry || problem.Account {
		t.Errorf("got %+v", err)
	}
	expect(t, s, map[string]string{})
}
