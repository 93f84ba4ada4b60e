// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gocloud.dev/blob"

	"github.com/platen-dev/platen/internal/file"
)

func TestCachedRenderOutlivesItsJob(t *testing.T) {
	store, first, later := open(t), Ref{Namespace: "ns", JobUID: "first", Revision: "1"}, Ref{Namespace: "ns", JobUID: "later", Revision: "1"}
	key := CacheKey{"ns", strings.Repeat("a", 64)}
	if _, err := store.Cached(t.Context(), key); !errors.Is(err, ErrNotFound) {
		t.Fatalf("before: %v", err)
	}
	f := put(t, store, first, page(1), "abc")
	if err := store.PutCached(t.Context(), key, first, Manifest{Attempt: 1, Files: []file.File{f}}); err != nil {
		t.Fatal(err)
	}
	// A later render of the task changes nothing.
	if err := store.PutCached(t.Context(), key, first, Manifest{Attempt: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Delete(t.Context(), Ref{Namespace: "ns", JobUID: "first"}); err != nil {
		t.Fatal(err)
	}
	m, err := store.Cached(t.Context(), key)
	if err != nil || len(m.Files) != 1 {
		t.Fatalf("manifest %+v, %v", m, err)
	}
	if err := store.TakeCached(t.Context(), key, m.Files[0], later, 1); err != nil {
		t.Fatal(err)
	}
	if err := store.RemoveCached(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	r, err := store.NewReader(t.Context(), later.Key(1, m.Files[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if data, err := io.ReadAll(r); string(data) != "abc" || err != nil {
		t.Errorf("got %q, %v", data, err)
	}
	if got := store.Usage("ns"); got != 3 {
		t.Errorf("usage %d, want the 3 bytes of the later job's file", got)
	}
	if err := store.TakeCached(t.Context(), key, m.Files[0], later, 1); !errors.Is(err, ErrNotFound) || store.Usage("ns") != 3 {
		t.Errorf("after the removal: %v, usage %d", err, store.Usage("ns"))
	}
	if err := store.WalkCached(t.Context(), func(o CachedObject) { t.Errorf("%+v is left", o) }); err != nil {
		t.Error(err)
	}
}

func TestCachedFileOfAnotherSizeIsNotTaken(t *testing.T) {
	store, key, later := open(t), CacheKey{Namespace: "ns", Task: strings.Repeat("c", 64)}, Ref{Namespace: "ns", JobUID: "later", Revision: "1"}
	f := put(t, store, Ref{Namespace: "ns", JobUID: "first", Revision: "1"}, page(1), "abc")
	if err := store.PutCached(t.Context(), key, Ref{Namespace: "ns", JobUID: "first", Revision: "1"}, Manifest{Attempt: 1, Files: []file.File{f}}); err != nil {
		t.Fatal(err)
	}
	if err := store.put(t.Context(), key.fileKey(f), strings.NewReader("a"), 10, blob.WriterOptions{ContentType: "image/png"}); err != nil {
		t.Fatal(err)
	}
	if err := store.TakeCached(t.Context(), key, f, later, 1); !errors.Is(err, ErrChanged) {
		t.Errorf("got %v", err)
	}
	if objects, err := store.Objects(t.Context(), later); err != nil || len(objects) > 0 {
		t.Errorf("the job has %+v, %v", objects, err)
	}
}

func TestCachedFilesOfAFolderTakeNoRoomOfTheirOwn(t *testing.T) {
	store := open(t)
	first, later, key := Ref{Namespace: "ns", JobUID: "first", Revision: "1"}, Ref{Namespace: "ns", JobUID: "later", Revision: "1"}, CacheKey{"ns", strings.Repeat("a", 64)}
	f := put(t, store, first, page(1), "abc")
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(store.folder, first.Key(1, f)), long, long); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(store.PutCached(t.Context(), key, first, Manifest{Attempt: 1, Files: []file.File{f}}), store.TakeCached(t.Context(), key, f, later, 1)); err != nil {
		t.Fatal(err)
	}
	same := make([]os.FileInfo, 0, 3)
	for _, name := range []string{first.Key(1, f), key.fileKey(f), later.Key(1, f)} {
		info, err := os.Stat(filepath.Join(store.folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if same = append(same, info); !os.SameFile(same[0], info) {
			t.Errorf("%s has its own bytes", name)
		}
	}
	if age := time.Since(same[2].ModTime()); age > time.Minute {
		t.Errorf("the later job's file seems to be %s old: the sweeper may delete it", age)
	}
}

func TestCachedFilesCountAgainstTheQuotaOnceAJobHasThem(t *testing.T) {
	store, err := Open(t.Context(), "file://"+t.TempDir(), Options{QuotaPerNamespace: 5})
	if err != nil {
		t.Fatal(err)
	}
	ref, key := Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}, CacheKey{"ns", strings.Repeat("a", 64)}
	f := put(t, store, ref, page(1), "abc")
	if err := store.PutCached(t.Context(), key, ref, Manifest{Attempt: 1, Files: []file.File{f}}); err != nil || store.Usage("ns") != 3 {
		t.Fatalf("%v, usage %d", err, store.Usage("ns"))
	}
	if err := store.TakeCached(t.Context(), key, f, Ref{Namespace: "ns", JobUID: "later", Revision: "1"}, 1); !errors.Is(err, ErrQuota) || store.Usage("ns") != 3 {
		t.Errorf("%v, usage %d", err, store.Usage("ns"))
	}
}

func TestContentServerServesNoCachedFiles(t *testing.T) {
	if _, ok := parseKey(CacheKey{"ns", strings.Repeat("a", 64)}.fileKey(page(1))); ok {
		t.Error("the key of a cached file is one of a job's file")
	}
}
