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
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/storage"
)

// Service is a storage service in a test.
type Service struct {
	Provider storage.Provider
	// Files returns the bytes of every file by its path, without the Provider.
	Files func(t *testing.T) map[string]string
}

// File returns a file to upload.
func File(t *testing.T, path string, data []byte) *storage.File {
	t.Helper()
	hash := file.NewBlockHash()
	_, _ = hash.Write(data) // never fails
	return &storage.File{
		File: file.File{Format: "png", Size: int64(len(data)), ContentHash: file.HashOfBlocks(hash.Blocks())},
		Path: path, ConflictPolicy: storage.Overwrite,
		Open: func(_ context.Context, offset, length int64) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(data[offset : offset+length])), nil
		},
	}
}

// UploadOne uploads one file.
func UploadOne(ctx context.Context, p storage.Provider, f *storage.File) storage.Result {
	return p.Upload(ctx, []*storage.File{f})[0]
}

// Run runs the tests, each with its own service.
func Run(t *testing.T, open func(t *testing.T) Service) {
	t.Helper()
	for name, test := range map[string]func(t *testing.T, s Service){
		"verifies the account":                            verifies,
		"creates a folder that may exist":                 createsFolder,
		"uploads one file":                                uploadsOne,
		"uploads several files":                           uploadsSeveral,
		"uploads an empty file":                           uploadsEmpty,
		"does not change names":                           keepsNames,
		"overwrites another file":                         overwrites,
		"renames the file if there is another":            renames,
		"keeps another file":                              keeps,
		"changes nothing when it uploads a file again":    repeats,
		"finds a file that was uploaded before":           findsUploaded,
		"does not take another file for the one it wants": findsAnother,
		"never leaves half a file":                        neverHalf,
		"reports a file that it cannot read":              unreadable,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func upload(t *testing.T, s Service, f *storage.File) storage.Result {
	t.Helper()
	result := UploadOne(t.Context(), s.Provider, f)
	if result.Err != nil {
		t.Fatalf("uploading %s: %v", f.Path, result.Err)
	}
	return result
}

// expectFiles compares all files of the service with what is wanted.
func expectFiles(t *testing.T, s Service, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, s.Files(t)); diff != "" {
		t.Errorf("files by path (-want +got):\n%.2000s", diff)
	}
}

// expectResult compares the path of a result and whether another file was kept there.
func expectResult(t *testing.T, got storage.Result, path string, kept bool) {
	t.Helper()
	if diff := cmp.Diff(storage.Result{Path: path, Kept: kept}, storage.Result{Path: got.Path, Kept: got.Kept}); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

func verifies(t *testing.T, s Service) {
	t.Helper()
	account, err := s.Provider.Verify(t.Context())
	if err != nil || account.ID == "" || s.Provider.Key() == "" {
		t.Errorf("account %+v, key %q, %v", account, s.Provider.Key(), err)
	}
}

func createsFolder(t *testing.T, s Service) {
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
	expectResult(t, upload(t, s, f), f.Path, false)
	expectFiles(t, s, map[string]string{f.Path: "hello"})
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
		if result.Err != nil {
			t.Error(result.Err)
		}
		expectResult(t, result, files[i].Path, false)
	}
	expectFiles(t, s, want)
}

func uploadsEmpty(t *testing.T, s Service) {
	t.Helper()
	upload(t, s, File(t, "/empty.png", nil))
	expectFiles(t, s, map[string]string{"/empty.png": ""})
}

func keepsNames(t *testing.T, s Service) {
	t.Helper()
	want := map[string]string{}
	for _, path := range []string{"/Größe & Co/🎉 e\u0301 日本語.png", "/a b/100%+1.png", "/شعار/it's #1 (final).png"} {
		upload(t, s, File(t, path, []byte(path)))
		want[path] = path
	}
	expectFiles(t, s, want)
}

func overwrites(t *testing.T, s Service) {
	t.Helper()
	upload(t, s, File(t, "/a.png", []byte("theirs")))
	expectResult(t, upload(t, s, File(t, "/a.png", []byte("ours"))), "/a.png", false)
	expectFiles(t, s, map[string]string{"/a.png": "ours"})
}

func renames(t *testing.T, s Service) {
	t.Helper()
	upload(t, s, File(t, "/a.png", []byte("theirs")))
	f := File(t, "/a.png", []byte("ours"))
	f.ConflictPolicy = storage.Rename
	expectResult(t, upload(t, s, f), "/a (1).png", false)
	// After doubt the provider finds the renamed file and does not upload it under another name.
	f.Doubtful = true
	expectResult(t, upload(t, s, f), "/a (1).png", false)
	third := File(t, "/a.png", []byte("third"))
	third.ConflictPolicy = storage.Rename
	expectResult(t, upload(t, s, third), "/a (2).png", false)
	expectFiles(t, s, map[string]string{"/a.png": "theirs", "/a (1).png": "ours", "/a (2).png": "third"})
}

func keeps(t *testing.T, s Service) {
	t.Helper()
	upload(t, s, File(t, "/a.png", []byte("theirs")))
	f := File(t, "/a.png", []byte("ours"))
	f.ConflictPolicy = storage.Keep
	expectResult(t, upload(t, s, f), "/a.png", true)
	f.Doubtful = true
	expectResult(t, upload(t, s, f), "/a.png", true)
	expectFiles(t, s, map[string]string{"/a.png": "theirs"})
}

func repeats(t *testing.T, s Service) {
	t.Helper()
	for _, policy := range []storage.ConflictPolicy{storage.Overwrite, storage.Rename, storage.Keep} {
		for range 2 {
			f := File(t, "/"+string(policy)+".png", []byte("same"))
			f.ConflictPolicy = policy
			expectResult(t, upload(t, s, f), f.Path, false)
		}
	}
	expectFiles(t, s, map[string]string{"/Overwrite.png": "same", "/Rename.png": "same", "/Keep.png": "same"})
}

func findsUploaded(t *testing.T, s Service) {
	t.Helper()
	f := File(t, "/a.png", []byte("hello"))
	upload(t, s, f)
	again := File(t, "/a.png", []byte("hello"))
	again.Doubtful = true
	again.Open = func(context.Context, int64, int64) (io.ReadCloser, error) {
		return nil, errors.New("a file that is uploaded already was read again")
	}
	expectResult(t, upload(t, s, again), "/a.png", false)
}

func findsAnother(t *testing.T, s Service) {
	t.Helper()
	upload(t, s, File(t, "/a.png", []byte("other")))
	f := File(t, "/a.png", []byte("hello"))
	f.Doubtful = true
	upload(t, s, f)
	expectFiles(t, s, map[string]string{"/a.png": "hello"})
}

func neverHalf(t *testing.T, s Service) {
	t.Helper()
	whole := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	f := File(t, "/half.png", whole)
	f.Open = func(context.Context, int64, int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(whole[:len(whole)/2])), nil
	}
	if result := UploadOne(t.Context(), s.Provider, f); result.Err == nil {
		t.Errorf("the provider uploaded half a file: %+v", result)
	}
	changed := File(t, "/changed.png", whole)
	changed.ContentHash = File(t, "", []byte("before")).ContentHash
	other := File(t, "/other.png", []byte("other"))
	results := s.Provider.Upload(t.Context(), []*storage.File{changed, other})
	if results[0].Err == nil || results[1].Err != nil {
		t.Errorf("one file has changed in the store, got %+v", results)
	}
	expectFiles(t, s, map[string]string{"/other.png": "other"})
}

func unreadable(t *testing.T, s Service) {
	t.Helper()
	f := File(t, "/a.png", []byte("hello"))
	f.Open = func(context.Context, int64, int64) (io.ReadCloser, error) {
		return nil, errors.New("the store is down")
	}
	err := UploadOne(t.Context(), s.Provider, f).Err
	if problem := storage.AsError(err); err == nil || problem.Reason != storage.ReasonContentUnreadable || problem.Class != storage.Retry || problem.Account {
		t.Errorf("got %+v", err)
	}
	expectFiles(t, s, map[string]string{})
}

// Silent starts a TCP server that accepts connections and never reads or answers, and returns its address.
func Silent(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var accepted []net.Conn
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			accepted = append(accepted, connection)
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-ended
		for _, connection := range accepted {
			_ = connection.Close()
		}
	})
	return listener.Addr().String()
}

// ExpectGivesUp expects every call of a provider to end when the service is Silent. The provider's patience must be short.
func ExpectGivesUp(t *testing.T, p storage.Provider) {
	t.Helper()
	_, err := p.Verify(t.Context())
	errs := map[string]error{"Verify": err}
	for name, size := range map[string]int{"a small file": 100, "a large file": 24 << 20} { // the large one fills the sockets' buffers
		for _, policy := range []storage.ConflictPolicy{storage.Overwrite, storage.Rename} {
			f := File(t, "/a.png", make([]byte, size))
			f.ConflictPolicy = policy
			errs["Upload of "+name+" with "+string(policy)] = UploadOne(t.Context(), p, f).Err
		}
	}
	for call, err := range errs {
		if problem := storage.AsError(err); err == nil || problem.Class != storage.Retry || problem.Reason != storage.ReasonUnreachable || !problem.Account {
			t.Errorf("%s: %v", call, err)
		}
	}
}

// Slowly returns the file with an Open that takes pause for each of 20 parts of the file.
func Slowly(f *storage.File, pause time.Duration) *storage.File {
	open := f.Open
	f.Open = func(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
		r, err := open(ctx, offset, length)
		return &slowReader{ReadCloser: r, part: f.Size/20 + 1, pause: pause}, err
	}
	return f
}

type slowReader struct {
	io.ReadCloser
	part  int64
	pause time.Duration
	// left is what is left of the part that is read.
	left int64
}

// Read implements io.Reader.
func (r *slowReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		<-time.After(r.pause)
		r.left = r.part
	}
	n, err := r.ReadCloser.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	return n, err
}
