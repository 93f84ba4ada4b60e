// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gocloud.dev/blob"

	"github.com/platen-dev/platen/internal/connections"
	"github.com/platen-dev/platen/internal/connections/connectionstest"
	"github.com/platen-dev/platen/internal/contenturl"
	"github.com/platen-dev/platen/internal/file"
)

// newURL returns the URL of a new store.
var newURL = func(t *testing.T) string {
	t.Helper()
	return "file://" + t.TempDir() + "/not/made/yet"
}

func open(t *testing.T) *Store {
	t.Helper()
	store, err := Open(t.Context(), newURL(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// page returns a file with only its identity, name and format.
func page(n int) file.File {
	return file.File{ID: file.ID{Page: n}, Name: fmt.Sprintf("card_page_%d.png", n), Format: "png"}
}

func put(t *testing.T, store *Store, ref Ref, f file.File, data string) file.File {
	t.Helper()
	stored, err := store.Put(t.Context(), ref, 1, f, strings.NewReader(data), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func TestKeyNamesTheFileWithinItsAttempt(t *testing.T) {
	ref := Ref{Namespace: "ns", JobUID: "uid", Revision: "7"}
	for want, f := range map[string]file.File{
		"jobs/ns/uid/7/2/3.png":       page(3),
		"jobs/ns/uid/7/2/3_story.jpg": {ID: file.ID{Page: 3, ExtraSize: "story"}, Format: "jpg"},
	} {
		got := ref.Key(2, f)
		if parsed, ok := parseKey(got); got != want || !ok || parsed != (Object{Key: got, Ref: ref, Attempt: 2}) {
			t.Errorf("%+v: key %s of %+v, want %s", f, got, parsed, want)
		}
	}
}

func TestPutReturnsSizeAndHashes(t *testing.T) {
	store, ref := open(t), Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}
	for name, c := range map[string]struct {
		data, sha256, contentHash string
	}{
		// Computed by hand from the definition: the SHA-256 of nothing, and of the SHA-256 of the only block.
		"empty": {
			data:        "",
			sha256:      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
			contentHash: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		},
		"one block": {
			data:        "abc",
			sha256:      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
			contentHash: "4f8b42c22dd3729b519ba6f68d2da7cc5b2d606d05daed5ad5128cc03e6c6358",
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := page(1)
			want.Size, want.SHA256, want.ContentHash = int64(len(c.data)), c.sha256, c.contentHash
			if diff := cmp.Diff(want, put(t, store, ref, page(1), c.data)); diff != "" {
				t.Errorf("Put (-want +got):\n%s", diff)
			}
			inspected, err := store.Inspect(t.Context(), ref, 1, page(1))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, inspected); diff != "" {
				t.Errorf("Inspect (-want +got):\n%s", diff)
			}
		})
	}
}

func TestManifestIsReadAsItWasWritten(t *testing.T) {
	store, ref := open(t), Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}
	want := Manifest{
		Version: manifestVersion, Attempt: 1, Attempts: 1, RenderedTime: time.Unix(1_700_000_000, 0).UTC(), Files: []file.File{put(t, store, ref, page(1), "abc")},
		Warnings: []Warning{{Title: "pale"}}, RenderMilliseconds: 5, PodName: "pod", TotalPages: 2, RenderedPages: 1,
	}
	if _, err := store.PutManifest(t.Context(), ref, want); err != nil {
		t.Fatal(err)
	}
	got, err := store.Manifest(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("manifest (-want +got):\n%s", diff)
	}
}

func TestManifestOfAnotherVersionIsNotFound(t *testing.T) {
	store, ref := open(t), Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}
	for name, text := range map[string]string{
		"without a version": `{"pages":[{"page":1,"key":"jobs/uid/1/1.png"}],"podName":"pod"}`,
		"a later version":   `{"version":999,"files":[]}`,
		"another shape":     `{"version":1,"files":"none"}`,
		"cut off":           `{"version":1,"files":[`,
	} {
		t.Run(name, func(t *testing.T) {
			if err := store.put(t.Context(), ref.manifestKey(), strings.NewReader(text), 1<<20, blob.WriterOptions{ContentType: "application/json"}); err != nil {
				t.Fatal(err)
			}
			if m, err := store.Manifest(t.Context(), ref); !errors.Is(err, ErrNotFound) {
				t.Errorf("got %+v, %v, want ErrNotFound", m, err)
			}
			// It does not keep the next render from its commit.
			if m, err := store.PutManifest(t.Context(), ref, Manifest{PodName: "pod"}); err != nil || m.PodName != "pod" {
				t.Errorf("commit: %+v, %v", m, err)
			}
			if m, err := store.Manifest(t.Context(), ref); err != nil || m.PodName != "pod" {
				t.Errorf("got %+v, %v", m, err)
			}
		})
	}
}

type failing struct{ io.Reader }

func (f failing) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = errors.New("the pod is gone")
	}
	return n, err
}

func TestPutIsAllOrNothing(t *testing.T) {
	store := open(t)
	ref := Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}
	put(t, store, ref, page(1), "first")
	if _, err := store.Put(t.Context(), ref, 1, page(1), failing{strings.NewReader("second")}, 100); err == nil {
		t.Error("half a file was accepted")
	}
	if _, err := store.Put(t.Context(), ref, 1, page(1), strings.NewReader("second"), 5); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a file that is too large: %v", err)
	}
	r, err := store.NewReader(t.Context(), ref.Key(1, page(1)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if data, err := io.ReadAll(r); err != nil || string(data) != "first" {
		t.Errorf("got %q, %v", data, err)
	}
}

func TestFileOfAnotherSizeIsNotOpened(t *testing.T) {
	store, ref := open(t), Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}
	const data = "a picture"
	for name, tc := range map[string]struct {
		stored         string
		offset, length int64
		want           error
		read           string
	}{
		"as it was":               {stored: data, length: 9, read: data},
		"a part":                  {stored: data, offset: 2, length: 3, read: "pic"},
		"the end of it":           {stored: data, offset: 6, length: 3, read: "ure"},
		"shorter":                 {stored: "a pic", length: 9, want: ErrChanged},
		"longer":                  {stored: data + "!", length: 9, want: ErrChanged},
		"empty":                   {length: 9, want: ErrChanged},
		"shorter, its first part": {stored: "a pic", length: 3, want: ErrChanged},
		"it ends before the part": {stored: "a pic", offset: 6, length: 3, want: ErrChanged},
		"gone":                    {stored: "-", length: 9, want: ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			put(t, store, ref, page(1), tc.stored)
			if tc.stored == "-" {
				if _, err := store.Delete(t.Context(), ref); err != nil {
					t.Fatal(err)
				}
			}
			r, err := store.NewRangeReader(t.Context(), ref.Key(1, page(1)), int64(len(data)), tc.offset, tc.length)
			if !errors.Is(err, tc.want) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
			if err != nil {
				return
			}
			defer func() { _ = r.Close() }()
			if got, err := io.ReadAll(r); err != nil || string(got) != tc.read {
				t.Errorf("read %q, %v", got, err)
			}
		})
	}
}

func TestFirstCommitWins(t *testing.T) {
	store, ref := open(t), Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}
	for _, pod := range []string{"first", "second"} {
		if m, err := store.PutManifest(t.Context(), ref, Manifest{PodName: pod}); err != nil || m.PodName != "first" {
			t.Errorf("%s attempt: %+v, %v", pod, m, err)
		}
	}
}

func TestLateFileOfALostAttemptHarmsNoOther(t *testing.T) {
	store, ref := open(t), Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}
	committed, err := store.Put(t.Context(), ref, 2, page(1), strings.NewReader("second"), 100)
	if err != nil {
		t.Fatal(err)
	}
	put(t, store, ref, page(1), "first")
	if got, err := store.Inspect(t.Context(), ref, 2, page(1)); err != nil || got != committed {
		t.Errorf("got %+v, %v, want %+v", got, err, committed)
	}
}

func TestDeleteTakesARenderOrAJob(t *testing.T) {
	store := open(t)
	fill := func(refs ...Ref) {
		for _, ref := range refs {
			put(t, store, ref, page(1), "x")
			if _, err := store.PutManifest(t.Context(), ref, Manifest{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	first, second := Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}, Ref{Namespace: "ns", JobUID: "uid", Revision: "2"}
	other := Ref{Namespace: "ns", JobUID: "uid2", Revision: "1"}
	fill(first, second, other)
	if removed, err := store.Delete(t.Context(), first); err != nil || removed != 2 {
		t.Errorf("removed %d, %v", removed, err)
	}
	if _, err := store.Manifest(t.Context(), first); !errors.Is(err, ErrNotFound) {
		t.Errorf("the manifest of a deleted render: %v", err)
	}
	fill(first)
	if removed, err := store.Delete(t.Context(), Ref{Namespace: "ns", JobUID: "uid"}); err != nil || removed != 4 {
		t.Errorf("removed %d, %v", removed, err)
	}
	if _, err := store.Inspect(t.Context(), other, 1, page(1)); err != nil {
		t.Error(err)
	}
}

// served returns a content server, the URL of a file in it, and its clock.
func served(t *testing.T) (handler http.Handler, fileURL *url.URL, clock *time.Time) {
	t.Helper()
	store := open(t)
	now := time.Unix(1_700_000_000, 0)
	signer := NewSigner([]byte("a key of thirty-two bytes, or so"), "http://content.example/", time.Hour)
	ref := Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}
	put(t, store, ref, page(1), "0123456789")
	put(t, store, ref, page(2), "another's")
	u, err := url.Parse(signer.URL(ref.Key(1, page(1)), `summer "sale"`+"\r\nX-Evil: 1.png", 10, now))
	if err != nil {
		t.Fatal(err)
	}
	return NewHandler(store, signer, func() time.Time { return now }), u, &now
}

func get(t *testing.T, h http.Handler, method, target string, header http.Header) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	maps.Copy(r.Header, header)
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, r)
	return recorder.Result()
}

func body(t *testing.T, resp *http.Response) string {
	t.Helper()
	data, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestURLsOfThePreviousKeyAreValidWhileItIsKept(t *testing.T) {
	signer, now := NewSigner([]byte("old"), "http://c", time.Hour), time.Unix(1_700_000_000, 0)
	parse := func() *url.URL {
		u, err := url.Parse(signer.URL("jobs/ns/uid/1/1/1.png", "name.png", 12345, now))
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	old := parse()
	signer.SetKeys([][]byte{[]byte("new"), []byte("old")})
	signed := parse()
	for name, u := range map[string]*url.URL{"old": old, "new": signed} {
		if _, err := signer.verify(u, now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	signer.SetKeys([][]byte{[]byte("new")})
	if _, err := signer.verify(old, now); err == nil {
		t.Error("a URL is valid whose key is gone")
	}
	if _, err := signer.verify(signed, now); err != nil {
		t.Error(err)
	}
}

func TestLostURLsAreSignedAgainUntilTheSameTime(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	signer := NewSigner([]byte("old"), "https://files.example.com/platen", time.Hour)
	const key = "jobs/ns/5d1c/9f2a/1/1.png"
	old := signer.URL(key, "summer.png", 5, now)
	if signer.Lost(old, now) {
		t.Error("its key is there")
	}
	signer.SetKeys([][]byte{[]byte("new"), []byte("old")})
	if signer.Lost(old, now) {
		t.Error("its key is kept")
	}
	signer.SetKeys([][]byte{[]byte("new")})
	if !signer.Lost(old, now) {
		t.Error("its key is gone")
	}
	if signer.Lost(old, now.Add(3*time.Hour)) {
		t.Error("it has expired")
	}
	for _, none := range []string{"", "https://example.com/picture.png", "https://files.example.com/content/../x?e=zzzzzz"} {
		if signer.Lost(none, now) {
			t.Errorf("%q is no content URL", none)
		}
	}
	again := signer.Again(old, key, "summer.png", 5, now.Add(time.Minute))
	if signer.Lost(again, now) || !Expiry(again).Equal(Expiry(old)) || !strings.HasPrefix(again, "https://files.example.com/platen/content/ns/") {
		t.Errorf("got %s for %s", again, old)
	}
	forged := strings.Replace(old, "e=", "e=z", 1)
	if got := Expiry(signer.Again(forged, key, "summer.png", 5, now)); got.After(now.Add(2 * time.Hour)) {
		t.Errorf("a URL that somebody made up is valid until %s", got)
	}
}

func TestContentServer(t *testing.T) {
	h, u, _ := served(t)
	resp := get(t, h, http.MethodGet, u.String(), nil)
	if got := body(t, resp); resp.StatusCode != http.StatusOK || got != "0123456789" {
		t.Errorf("GET: HTTP %d, %q", resp.StatusCode, got)
	}
	if got := resp.Header.Get("Content-Type"); got != "image/png" {
		t.Errorf("content type %q", got)
	}
	if resp.Header.Get("X-Evil") != "" || strings.ContainsAny(resp.Header.Get("Content-Disposition"), "\r\n") {
		t.Errorf("the file's name became a header: %v", resp.Header)
	}
	resp = get(t, h, http.MethodGet, u.String(), http.Header{"Range": {"bytes=2-4"}})
	if got := body(t, resp); resp.StatusCode != http.StatusPartialContent || got != "234" {
		t.Errorf("range: HTTP %d, %q", resp.StatusCode, got)
	}
	resp = get(t, h, http.MethodHead, u.String(), nil)
	if got := body(t, resp); resp.StatusCode != http.StatusOK || got != "" || resp.ContentLength != 10 {
		t.Errorf("HEAD: HTTP %d, %q, length %d", resp.StatusCode, got, resp.ContentLength)
	}
}

// Each part is read anew, and has headers: thousands of parts would be thousands of requests of a bucket. RFC 9110, 14.2 lets a server ignore them.
func TestManyRangesGetTheWholeFile(t *testing.T) {
	h, u, _ := served(t)
	for n, want := range map[int]int{2: http.StatusPartialContent, maxRanges: http.StatusPartialContent, maxRanges + 1: http.StatusOK, 5000: http.StatusOK} {
		ranges := make([]string, n)
		for i := range ranges {
			ranges[i] = "9-" // begins at the last byte
			if i < 2 {
				ranges[i] = fmt.Sprintf("%d-%d", 2*i, 2*i)
			} else if i < maxRanges {
				ranges[i] = "20-21" // behind the end
			}
		}
		resp := get(t, h, http.MethodGet, u.String(), http.Header{"Range": {"bytes=" + strings.Join(ranges, ",")}})
		if text := body(t, resp); resp.StatusCode != want || want == http.StatusOK && text != "0123456789" {
			t.Errorf("%d ranges: HTTP %d %q", n, resp.StatusCode, text)
		}
	}
}

func TestContentServerRefuses(t *testing.T) {
	h, u, clock := served(t)
	signature := u.Query().Get("s")
	flipped := "A" + signature[1:]
	if signature[0] == 'A' {
		flipped = "B" + signature[1:]
	}
	good := u.String()
	for name, target := range map[string]string{
		"a changed signature":   strings.Replace(good, "s="+signature, "s="+flipped, 1),
		"no signature":          strings.Replace(good, "s="+signature, "", 1),
		"another page":          strings.Replace(good, "/1.png", "/2.png", 1),
		"another size":          strings.Replace(good, "z=a", "z=b", 1),
		"no size":               strings.Replace(good, "z=a", "", 1),
		"a size that is none":   strings.Replace(good, "z=a", "z=-", 1),
		"another name":          strings.Replace(good, "n=summer", "n=winter", 1),
		"a later expiry":        strings.Replace(good, "e=", "e=z", 1),
		"a folder":              "http://content.example/content/",
		"a path above the root": "http://content.example/content/..%2f..%2fetc/passwd?" + u.RawQuery,
	} {
		resp := get(t, h, http.MethodGet, target, nil)
		if text := body(t, resp); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: HTTP %d %q", name, resp.StatusCode, text)
		}
	}
	if resp := get(t, h, http.MethodPost, good, nil); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: HTTP %d", resp.StatusCode)
	}
	*clock = clock.Add(3 * time.Hour)
	if resp := get(t, h, http.MethodGet, good, nil); resp.StatusCode != http.StatusForbidden {
		t.Errorf("an expired URL: HTTP %d", resp.StatusCode)
	}
}

// Neither somebody without a URL nor the people of one namespace take the connections of all.
func TestContentServerBoundsConnections(t *testing.T) {
	h, u, _ := served(t)
	server := httptest.NewUnstartedServer(h)
	server.Config.ConnContext = connections.Context
	server.Listener = connections.Listen(connectionstest.Elsewhere(server.Listener), connections.Limits{StrangersOfAddress: 1, OfClient: 2})
	server.Start()
	defer server.Close()
	ask := func(target string) (status int, closed bool) {
		t.Helper()
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: content.example\r\n\r\n", target)
		answer := bufio.NewReader(conn)
		resp, err := http.ReadResponse(answer, nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = body(t, resp)
		if resp.Close {
			if _, err := io.Copy(io.Discard, answer); err != nil { // until it does not count any more
				t.Fatal(err)
			}
		}
		return resp.StatusCode, resp.Close
	}
	good := u.RequestURI()
	for range 3 { // none of them stays
		if status, closed := ask(strings.Replace(good, "/1.png", "/2.png", 1)); status != http.StatusForbidden || !closed {
			t.Fatalf("a forged URL: HTTP %d, closed %t", status, closed)
		}
	}
	for range 2 {
		if status, closed := ask(good); status != http.StatusOK || closed {
			t.Fatalf("a good URL: HTTP %d, closed %t", status, closed)
		}
	}
	if status, closed := ask(good); status != http.StatusServiceUnavailable || !closed {
		t.Errorf("one connection more: HTTP %d, closed %t", status, closed)
	}
}

func TestContentServerServesNoFileOfAnotherSize(t *testing.T) {
	const data = "0123456789"
	for name, tc := range map[string]struct {
		size int64
		now  string
		want int
	}{
		"as it was stored":            {size: 10, now: data, want: http.StatusOK},
		"shorter":                     {size: 10, now: "012", want: http.StatusNotFound},
		"empty":                       {size: 10, now: "", want: http.StatusNotFound},
		"longer":                      {size: 10, now: data + "0", want: http.StatusNotFound},
		"a URL of an earlier version": {now: "012", want: http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			store, now := open(t), time.Unix(1_700_000_000, 0)
			ref, signer := Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}, NewSigner([]byte("key"), "http://content.example", time.Hour)
			target, h := signer.URL(ref.Key(1, page(1)), "a.png", tc.size, now), NewHandler(store, signer, func() time.Time { return now })
			put(t, store, ref, page(1), data)
			put(t, store, ref, page(1), tc.now)
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				for _, part := range []string{"", "bytes=0-1"} {
					header, want := http.Header{}, tc.want
					if part != "" {
						header.Set("Range", part)
						if want == http.StatusOK {
							want = http.StatusPartialContent
						}
					}
					resp := get(t, h, method, target, header)
					text := body(t, resp)
					if resp.StatusCode != want || method == http.MethodGet && tc.want == http.StatusNotFound && !strings.Contains(text, "render it again") {
						t.Errorf("%s %s: HTTP %d %q, want %d", method, part, resp.StatusCode, text, want)
					}
				}
			}
		})
	}
}

func TestURLIsStableForAWhileAndValidForTheWholeTTL(t *testing.T) {
	signer := NewSigner([]byte("key"), "http://c", time.Hour)
	now := time.Unix(1_700_000_000, 0).Truncate(time.Hour)
	key := Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}.Key(1, page(1))
	first := signer.URL(key, "a.png", 0, now)
	if again := signer.URL(key, "a.png", 0, now.Add(59*time.Minute)); again != first {
		t.Errorf("%s and %s", first, again)
	}
	u, err := url.Parse(first)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signer.verify(u, now.Add(time.Hour+59*time.Minute)); err != nil {
		t.Error(err)
	}
}

// Every name that a job can have comes out of its URL as it went in, and the URL fits into status.
func TestEveryNameFitsIntoItsURL(t *testing.T) {
	store := open(t)
	ref := Ref{Namespace: strings.Repeat("n", 63), JobUID: strings.Repeat("u", 36), Revision: strings.Repeat("f", 16)}
	f := file.File{ID: file.ID{Page: 200, ExtraSize: strings.Repeat("s", 32)}, Format: "jpeg"}
	if _, err := store.Put(t.Context(), ref, 11, f, strings.NewReader("x"), 100); err != nil {
		t.Fatal(err)
	}
	signer := NewSigner([]byte("key"), strings.Repeat("b", contenturl.MaxBase), time.Hour)
	now := time.Unix(1_700_000_000, 0)
	handler := NewHandler(store, signer, func() time.Time { return now })
	suffix := "_" + strings.Repeat("s", 32) + "_page_200.jpeg"
	for _, base := range []string{
		"summer", "50%25 off", `say "hi"`, "a+b&c=d;e", "Grüße", strings.Repeat("報", 200), strings.Repeat("🎉", 100), strings.Repeat("Ж", 200),
		strings.Repeat("a", 253), "*''%41",
	} {
		name := base + suffix
		signed := signer.URL(ref.Key(11, f), name, 1, now)
		if len(signed) > 4096 {
			t.Errorf("%s: the URL has %d bytes", name, len(signed))
		}
		u, err := url.Parse(strings.TrimPrefix(signed, strings.Repeat("b", contenturl.MaxBase)))
		if err != nil {
			t.Fatal(err)
		}
		resp := get(t, handler, http.MethodGet, u.String(), nil)
		got, err := file.NameFromDisposition(resp.Header.Get("Content-Disposition"))
		if resp.StatusCode != http.StatusOK || err != nil || got != name {
			t.Errorf("HTTP %d, name %q, %v, want %q", resp.StatusCode, got, err, name)
		}
	}
}

func TestSignedPathsOutsideTheStoreAreNotServed(t *testing.T) {
	store := open(t)
	signer := NewSigner([]byte("key"), "http://c", time.Hour)
	now := time.Now()
	h := NewHandler(store, signer, func() time.Time { return now })
	for _, key := range []string{"jobs/ns/uid/1/1/1.png/../../../../../secret", "jobs/ns/uid/1/manifest.json", "jobs/ns/uid/1/retained-0", "jobs/ns/uid/1/1/" + strings.Repeat("a", 99), "jobs/ns/u_u/1/1/1.png"} {
		resp := get(t, h, http.MethodGet, signer.URL(key, "x", 0, now), nil)
		if resp.StatusCode == http.StatusOK {
			t.Errorf("%s: %s", key, http.StatusText(resp.StatusCode))
		}
	}
}

func TestDeleteAttemptLeavesOtherAttemptsAndCommittedRenders(t *testing.T) {
	store := open(t)
	ref := Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}
	for _, attempt := range []int{1, 2} {
		if _, err := store.Put(t.Context(), ref, attempt, page(1), strings.NewReader("x"), 10); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []int{1, 2} { // the second call comes after the commit
		if err := store.DeleteAttempt(t.Context(), ref, want); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Inspect(t.Context(), ref, 1, page(1)); !errors.Is(err, ErrNotFound) {
			t.Errorf("the attempt's file: %v", err)
		}
		if _, err := store.Inspect(t.Context(), ref, 2, page(1)); err != nil {
			t.Errorf("the other attempt's file: %v", err)
		}
		if _, err := store.PutManifest(t.Context(), ref, Manifest{Attempt: 2}); err != nil {
			t.Fatal(err)
		}
	}
}

// Finished jobs of earlier managers have URLs of files with the old keys in their statuses.
func TestHandlerServesFilesWithOldKeysButNoManifest(t *testing.T) {
	store := open(t)
	for name, status := range map[string]int{"1.png": http.StatusOK, "manifest.json": http.StatusNotFound} {
		key := "jobs/0c6ffb94-0000-4000-8000-000000000000/1/" + name
		if err := store.put(t.Context(), key, strings.NewReader("x"), 10, blob.WriterOptions{ContentType: "image/png"}); err != nil {
			t.Fatal(err)
		}
		signer := NewSigner([]byte("key"), "https://content.example", time.Hour)
		w := httptest.NewRecorder()
		NewHandler(store, signer, time.Now).ServeHTTP(w, httptest.NewRequest(http.MethodGet, signer.URL(key, name, 0, time.Now()), nil))
		if w.Code != status {
			t.Errorf("%s: status %d, want %d", name, w.Code, status)
		}
	}
}

// The bucket of a folder lists pages, and walks through all that is before a page to find it.
func TestWalksOfAFolderGrowWithIt(t *testing.T) {
	store := open(t)
	jobs := 0
	allocations := func(n int) float64 {
		for ; jobs < n; jobs++ {
			ref := Ref{Namespace: "ns", JobUID: fmt.Sprint("uid-", jobs), Revision: "1"}
			path := filepath.Join(store.folder, ref.Key(1, page(1)))
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		return testing.AllocsPerRun(1, func() {
			found := 0
			if err := store.Walk(t.Context(), func(Object) error { found++; return nil }); err != nil || found != n {
				t.Errorf("found %d of %d files, %v", found, n, err)
			}
		})
	}
	const few, many = 500, 3000
	before := allocations(few)
	if ratio := allocations(many) / before; ratio > 1.5*many/few {
		t.Errorf("a walk of %d files allocates %.0f times as often as one of %d", many, ratio, few)
	}
}

func TestFoldersOfDeletedJobsGo(t *testing.T) {
	store := open(t)
	job, other := Ref{Namespace: "ns", JobUID: "one", Revision: "1"}, Ref{Namespace: "ns", JobUID: "two", Revision: "1"}
	key := CacheKey{"ns", strings.Repeat("a", 64)}
	for _, ref := range []Ref{job, other} {
		f := put(t, store, ref, page(1), "picture")
		m := Manifest{Attempt: 1, RenderedPages: 1, TotalPages: 1, Files: []file.File{f}}
		if _, err := store.PutManifest(t.Context(), ref, m); err != nil {
			t.Fatal(err)
		}
		if err := store.PutCached(t.Context(), key, ref, m); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.Delete(t.Context(), Ref{Namespace: "ns", JobUID: "one"}); err != nil {
		t.Fatal(err)
	}
	if err := store.RemoveCached(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	for folder, want := range map[string]string{"jobs/ns": "two", "cache": "ns", "cache/ns": ""} {
		entries, err := os.ReadDir(filepath.Join(store.folder, folder))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s has %q, want %q", folder, got, want)
		}
	}
	put(t, store, job, page(1), "picture") // of a late attempt
}

// A folder without files is not found as a file's is. It goes once nothing has been written there for long, and the folders above it then.
func TestFoldersThatHaveLongBeenEmptyGo(t *testing.T) {
	store := open(t)
	kept := put(t, store, Ref{Namespace: "full", JobUID: "one", Revision: "1"}, page(1), "picture")
	for _, folder := range []string{"jobs/gone/uid/revision", "jobs/new/uid"} {
		if err := os.MkdirAll(filepath.Join(store.folder, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 { // levels
		for _, folder := range []string{"jobs", "jobs/full", "jobs/full/one", "jobs/full/one/1", "jobs/gone", "jobs/gone/uid", "jobs/gone/uid/revision"} {
			err := os.Chtimes(filepath.Join(store.folder, folder), time.Time{}, time.Now().Add(-2*emptyFor))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
		found := 0
		if err := store.Walk(t.Context(), func(Object) error { found++; return nil }); err != nil || found != 1 {
			t.Fatalf("found %d files, %v", found, err)
		}
	}
	var folders []string
	for _, pattern := range []string{"jobs/*", "jobs/new/*"} {
		found, err := filepath.Glob(filepath.Join(store.folder, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, folder := range found {
			folders = append(folders, filepath.Base(folder))
		}
	}
	if got := strings.Join(folders, " "); got != "full new uid" {
		t.Errorf("the folders %s are left, and %+v", got, kept)
	}
}

// A write makes its folder, and another attempt at the same job may delete the last file next to it.
func TestWritesAndDeletionsOfOneJobMeet(t *testing.T) {
	store, ref := open(t), Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}
	var attempts sync.WaitGroup
	for attempt := range 2 {
		attempts.Go(func() {
			for range 300 {
				_, err := store.Put(t.Context(), ref, attempt+1, page(1), strings.NewReader("picture"), 100)
				if err = errors.Join(err, store.DeleteAttempt(t.Context(), ref, attempt+1)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	attempts.Wait()
}

// TestWriteThatFailsLeavesNothing limits the size of files, as a full disk does in the middle of one.
func TestWriteThatFailsLeavesNothing(t *testing.T) {
	store := open(t)
	ref := Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}
	put(t, store, ref, page(1), "whole")
	limitFiles(t, 4<<10, func() {
		if _, err := store.Put(t.Context(), ref, 1, page(1), strings.NewReader(strings.Repeat("x", 8<<10)), 1<<20); !errors.Is(err, syscall.EFBIG) {
			t.Errorf("a file: %v", err)
		}
		if _, err := store.PutManifest(t.Context(), ref, Manifest{PodName: strings.Repeat("x", 8<<10)}); !errors.Is(err, syscall.EFBIG) {
			t.Errorf("a manifest: %v", err)
		}
	})
	objects, err := store.Objects(t.Context(), ref)
	if err != nil || len(objects) != 1 || objects[0].Size != int64(len("whole")) {
		t.Errorf("the store has %+v, %v, want the earlier file only", objects, err)
	}
}

// limitFiles calls f while no file can grow beyond a number of bytes.
func limitFiles(t *testing.T, most uint64, f func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: most, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}

// TestWalkRemovesWhatAWriteHasLeft finds the temporary files of a process that was killed while it wrote.
func TestWalkRemovesWhatAWriteHasLeft(t *testing.T) {
	store := open(t)
	ref := Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}
	old, young := ref.manifestKey()+".18ebff09de4bc7fe.tmp", ref.manifestKey()+".18ebff09de4bc7ff.tmp"
	for _, key := range []string{old, young} {
		name := filepath.Join(store.folder, key)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o750), os.WriteFile(name, []byte("{"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-2 * emptyFor)
	if err := os.Chtimes(filepath.Join(store.folder, old), long, long); err != nil {
		t.Fatal(err)
	}
	if err := store.Walk(t.Context(), func(Object) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(store.folder, old)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old one: %v", err)
	}
	if _, err := os.Stat(filepath.Join(store.folder, young)); err != nil {
		t.Errorf("the young one, which may be a write under way: %v", err)
	}
}
