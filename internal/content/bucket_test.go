// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
	_ "gocloud.dev/blob/azureblob"
	_ "gocloud.dev/blob/s3blob"

	"github.com/platen-dev/platen/internal/file"
	_ "github.com/platen-dev/platen/internal/storage/gcs"
	"github.com/platen-dev/platen/test/s3"
	"github.com/platen-dev/platen/test/stores"
)

// bucket starts an S3 server, and returns the URL of its bucket.
func bucket(t *testing.T) (*s3.Server, string) {
	t.Helper()
	server, err := s3.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	for name, value := range s3.Credentials {
		t.Setenv(name, value)
	}
	return server, server.BucketURL()
}

// What a folder does, a bucket does too.
func TestBucketKeepsTheContract(t *testing.T) {
	expectContract(t, func(t *testing.T) string {
		t.Helper()
		_, url := bucket(t)
		return url
	})
}

func TestServersKeepTheContract(t *testing.T) {
	number := 0
	name := func() string {
		number++
		return fmt.Sprintf("store-%d", number)
	}
	t.Run("Google Cloud Storage", func(t *testing.T) {
		server := stores.StartGCS(t)
		t.Setenv("STORAGE_EMULATOR_HOST", server.Address)
		expectContract(t, func(t *testing.T) string {
			t.Helper()
			bucket := name()
			server.NewBucket(t, bucket)
			return "gs://" + bucket
		})
	})
	t.Run("Azure Blob Storage", func(t *testing.T) {
		server := stores.StartAzure(t)
		t.Setenv("AZURE_STORAGE_ACCOUNT", stores.Account)
		t.Setenv("AZURE_STORAGE_KEY", stores.AccountKey)
		expectContract(t, func(t *testing.T) string {
			t.Helper()
			bucket := name()
			server.NewContainer(t, bucket)
			return azureURL(bucket, server.Address)
		})
	})
}

// azureURL returns the URL of a container of the service at an address.
func azureURL(name, address string) string {
	return "azblob://" + name + "?" + url.Values{"protocol": {"http"}, "domain": {address}, "localemu": {"true"}}.Encode()
}

// A refusal must not end the program: a Writer of gocloud.dev/blob/azureblob panics.
func TestAzureRefusesAFile(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusForbidden)
	}))
	defer server.Close()
	t.Setenv("AZURE_STORAGE_ACCOUNT", stores.Account)
	t.Setenv("AZURE_STORAGE_KEY", stores.AccountKey)
	store, err := Open(t.Context(), azureURL("pictures", strings.TrimPrefix(server.URL, "http://")), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	_, err = store.Put(t.Context(), Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}, 1, page(1), strings.NewReader("picture"), 100)
	if err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("got %v", err)
	}
}

// expectContract runs the tests of folders with new stores at other URLs.
func expectContract(t *testing.T, address func(t *testing.T) string) {
	t.Helper()
	folder := newURL
	t.Cleanup(func() { newURL = folder })
	newURL = address
	for name, test := range map[string]func(*testing.T){
		"size and hashes":                TestPutReturnsSizeAndHashes,
		"manifest":                       TestManifestIsReadAsItWasWritten,
		"manifest of another version":    TestManifestOfAnotherVersionIsNotFound,
		"all or nothing":                 TestPutIsAllOrNothing,
		"another size":                   TestFileOfAnotherSizeIsNotOpened,
		"first commit":                   TestFirstCommitWins,
		"late file":                      TestLateFileOfALostAttemptHarmsNoOther,
		"delete":                         TestDeleteTakesARenderOrAJob,
		"delete an attempt":              TestDeleteAttemptLeavesOtherAttemptsAndCommittedRenders,
		"retain":                         TestMarksRetainOneRenderOfAJob,
		"content server":                 TestContentServer,
		"content server, another size":   TestContentServerServesNoFileOfAnotherSize,
		"content server refuses":         TestContentServerRefuses,
		"paths outside the store":        TestSignedPathsOutsideTheStoreAreNotServed,
		"old keys":                       TestHandlerServesFilesWithOldKeysButNoManifest,
		"cached render":                  TestCachedRenderOutlivesItsJob,
		"cached file of another size":    TestCachedFileOfAnotherSizeIsNotTaken,
		"the cache and the namespace":    TestContentServerServesNoCachedFiles,
		"usage is learned from a bucket": TestUsageIsLearnedFromAWalk,
	} {
		t.Run(name, test)
	}
}

// dispose is what the manager gives Options.Dispose.
func dispose(as func(any) bool, disposition string) {
	if input := (*awss3.GetObjectInput)(nil); as(&input) {
		input.ResponseContentDisposition = &disposition
	}
}

func TestRedirectToTheBucket(t *testing.T) {
	server, bucketURL := bucket(t)
	store, err := Open(t.Context(), bucketURL, Options{Redirect: true, Dispose: dispose})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	now, ref := time.Unix(1_700_000_000, 0), Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}
	put(t, store, ref, page(1), strings.Repeat("picture ", 1000))
	signer := NewSigner([]byte("key"), "http://content.example", time.Hour)
	h := NewHandler(store, signer, func() time.Time { return now })
	before := server.Sent.Load()
	answer := get(t, h, http.MethodGet, signer.URL(ref.Key(1, page(1)), "Sommer-Köln.png", 8000, now), nil)
	if text := body(t, answer); answer.StatusCode != http.StatusFound || strings.Contains(text, "picture") || server.Sent.Load()-before > 500 {
		t.Fatalf("HTTP %d %q; the bucket has sent %d bytes", answer.StatusCode, text, server.Sent.Load()-before)
	}
	if cached := answer.Header.Get("Cache-Control"); !strings.Contains(cached, "private") {
		t.Errorf("Cache-Control: %s", cached)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, answer.Header.Get("Location"), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if text := body(t, got); text != strings.Repeat("picture ", 1000) || got.Header.Get("Content-Type") != "image/png" {
		t.Errorf("HTTP %d %s of %d bytes", got.StatusCode, got.Header.Get("Content-Type"), len(text))
	}
	if got := got.Header.Get("Content-Disposition"); !strings.Contains(got, "K%C3%B6ln") {
		t.Errorf("it is saved as %s", got)
	}
	if resp := get(t, h, http.MethodHead, signer.URL(ref.Key(1, page(1)), "a.png", 8000, now), nil); resp.StatusCode != http.StatusOK || resp.ContentLength != 8000 {
		t.Errorf("HEAD: HTTP %d, %d bytes", resp.StatusCode, resp.ContentLength)
	}
	direct := get(t, h, http.MethodGet, signer.URL(ref.Key(1, page(1)), "a.png", 8000, now), http.Header{file.DirectHeader: {"true"}, "Range": {"bytes=8-14"}})
	if text := body(t, direct); direct.StatusCode != http.StatusPartialContent || text != "picture" {
		t.Errorf("one that cannot reach the bucket: HTTP %d, %q", direct.StatusCode, text)
	}
	if resp := get(t, h, http.MethodGet, signer.URL(ref.Key(1, page(2)), "a.png", 0, now), nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a file that is gone: HTTP %d", resp.StatusCode)
	}
	if resp := get(t, h, http.MethodGet, signer.URL(ref.Key(1, page(1)), "a.png", 8001, now), nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a file of another size: HTTP %d", resp.StatusCode)
	}
	if resp := get(t, h, http.MethodGet, signer.URL(ref.manifestKey(), "a.png", 0, now), nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a manifest: HTTP %d", resp.StatusCode)
	}
}

// Films of several pods arrive at the same time: the manager must not hold much of each.
func TestLargeFilesReachABucketInFewParts(t *testing.T) {
	server, bucketURL := bucket(t)
	handler := server.Config.Handler
	var mu sync.Mutex
	var inFlight, most, largest int64
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		inFlight++
		most, largest = max(most, inFlight), max(largest, r.ContentLength)
		mu.Unlock()
		defer func() {
			mu.Lock()
			inFlight--
			mu.Unlock()
		}()
		handler.ServeHTTP(w, r)
	})
	store, err := Open(t.Context(), bucketURL, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	const size = 8*partBytes + 1
	f, err := store.Put(t.Context(), Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}, 1, page(1), io.LimitReader(zeros{}, size), size)
	if err != nil || f.Size != size {
		t.Fatalf("%+v, %v", f, err)
	}
	mu.Lock()
	defer mu.Unlock()
	if most > parallelParts || largest > partBytes+4096 {
		t.Errorf("%d requests at a time, with up to %d bytes", most, largest)
	}
}

// zeros is a file without an end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestAFolderCannotRedirect(t *testing.T) {
	if _, err := Open(t.Context(), "file://"+t.TempDir(), Options{Redirect: true}); err == nil || !strings.Contains(err.Error(), "file://") {
		t.Errorf("got %v", err)
	}
}

func TestCopyMovesAStoreToABucketAndBack(t *testing.T) {
	_, bucketURL := bucket(t)
	folder, back := open(t), open(t)
	remote, err := Open(t.Context(), bucketURL, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = remote.Close() }()
	first, second := Ref{Namespace: "a", JobUID: "one", Revision: "1"}, Ref{Namespace: "b", JobUID: "two", Revision: "1"}
	until := time.Unix(2_000_000_000, 0)
	commit := func(ref Ref) {
		t.Helper()
		f := put(t, folder, ref, page(1), "picture of "+ref.JobUID)
		if _, err := folder.PutManifest(t.Context(), ref, Manifest{Attempt: 1, PodName: ref.JobUID, RenderedPages: 1, TotalPages: 1, Files: []file.File{f}}); err != nil {
			t.Fatal(err)
		}
	}
	commit(first)
	if err := folder.Retain(t.Context(), first, until); err != nil {
		t.Fatal(err)
	}
	if got, err := Copy(t.Context(), folder, remote); err != nil || got.Objects != 3 || got.Present != 0 {
		t.Fatalf("got %+v, %v", got, err)
	}
	commit(second)
	if got, err := Copy(t.Context(), folder, remote); err != nil || got.Objects != 2 || got.Present != 3 {
		t.Errorf("the second time: %+v, %v", got, err)
	}
	if got, err := Copy(t.Context(), remote, back); err != nil || got.Objects != 5 {
		t.Errorf("back: %+v, %v", got, err)
	}
	if diff := cmp.Diff(map[Ref]time.Time{first: until}, marks(t, back)); diff != "" {
		t.Errorf("marks (-want +got):\n%s", diff)
	}
	for _, store := range []*Store{remote, back} {
		for _, ref := range []Ref{first, second} {
			m, err := store.Manifest(t.Context(), ref)
			if err != nil || m.PodName != ref.JobUID {
				t.Fatalf("manifest of %s: %+v, %v", ref.JobUID, m, err)
			}
			r, err := store.NewReader(t.Context(), ref.Key(1, m.Files[0]))
			if err != nil {
				t.Fatal(err)
			}
			if data, err := io.ReadAll(r); err != nil || string(data) != "picture of "+ref.JobUID {
				t.Errorf("got %q, %v", data, err)
			}
			_ = r.Close()
		}
	}
}

// A manifest in the target says that the files are there, also if the copy ends halfway.
func TestCopyWritesManifestsLast(t *testing.T) {
	from := open(t)
	for _, uid := range []string{"one", "two"} {
		ref := Ref{Namespace: "a", JobUID: uid, Revision: "1"}
		put(t, from, ref, page(1), "picture")
		if _, err := from.PutManifest(t.Context(), ref, Manifest{PodName: uid}); err != nil {
			t.Fatal(err)
		}
	}
	_, bucketURL := bucket(t)
	to, err := Open(t.Context(), bucketURL, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = to.Close() }()
	c := &copier{from: from, to: to}
	if err := c.pass(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	for _, uid := range []string{"one", "two"} {
		if _, err := to.Manifest(t.Context(), Ref{Namespace: "a", JobUID: uid, Revision: "1"}); !errors.Is(err, ErrNotFound) {
			t.Errorf("manifest of %s: %v", uid, err)
		}
	}
	if got := c.counts(); got.Objects != 2 {
		t.Errorf("got %+v", got)
	}
}
