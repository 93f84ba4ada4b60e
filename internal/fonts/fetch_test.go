// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package fonts_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/fonts"
	"github.com/platen-dev/platen/internal/outbound"
	"github.com/platen-dev/platen/internal/reconcile"
)

// loopback lets a Fetcher reach the tests' servers.
var loopback = outbound.Policy{Allowed: outbound.Prefixes{netip.MustParsePrefix("127.0.0.0/8")}}

// site serves files by their paths and counts the requests.
type site struct {
	mu       sync.Mutex
	files    map[string][]byte
	requests int
}

// ServeHTTP implements http.Handler.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	data, ok := s.files[r.URL.Path]
	switch {
	case r.URL.Path == "/metadata":
		http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
	case r.URL.Path == "/moved":
		http.Redirect(w, r, "/font", http.StatusFound)
	case r.URL.Path == "/cut":
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte("cut"))
	case !ok:
		http.NotFound(w, r)
	default:
		_, _ = w.Write(data)
	}
}

func (s *site) put(path string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[path] = data
}

func (s *site) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

func serve(t *testing.T, files map[string][]byte) (s *site, url string) {
	t.Helper()
	s = &site{files: files}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, server.URL
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func TestFetchingAFont(t *testing.T) {
	font := installed(t, "LiberationSans-Bold")
	huge := make([]byte, 16<<20+1)
	_, url := serve(t, map[string][]byte{"/font": font, "/page": []byte("<html>"), "/huge": huge})
	for name, c := range map[string]struct {
		policy        outbound.Policy
		url           string
		data          []byte
		reason, words string
	}{
		"a font":             {policy: loopback, url: url + "/font", data: font},
		"moved":              {policy: loopback, url: url + "/moved", data: font},
		"another file":       {loopback, url + "/font", []byte("other"), "InvalidFont", "sha256: the file at url has the hash " + hash(font)},
		"a page":             {loopback, url + "/page", []byte("<html>"), "InvalidFont", "url: the file is no font that pages can use: it is not a TTF, OTF, WOFF or WOFF2 file"},
		"too large":          {loopback, url + "/huge", huge, "InvalidFont", "url: the file has more than 16777216 bytes"},
		"missing":            {loopback, url + "/missing", font, "SourceNotFound", "url: the file cannot be fetched: the answer was HTTP 404, and must be 200"},
		"cut":                {loopback, url + "/cut", font, "SourceNotFound", "url: the file cannot be fetched: the answer ended too early"},
		"a private address":  {outbound.Policy{}, url + "/font", font, "SourceNotFound", "only public addresses may be reached, on ports 80 and 443; ask for it"},
		"moved to metadata":  {loopback, url + "/metadata", font, "SourceNotFound", "only public addresses may be reached"},
		"nobody listens":     {loopback, "http://127.0.0.1:1/font", font, "SourceNotFound", "no connection, or no answer within 15s"},
		"no URL":             {loopback, "http://[x/font", font, "InvalidFont", "url: it is no URL of HTTP"},
		"no server, no port": {loopback, "http://127.0.0.1:99999/", font, "SourceNotFound", "no connection"},
	} {
		t.Run(name, func(t *testing.T) {
			file, err := fonts.NewFetcher(c.policy, nil, "ask for it").Fetch(t.Context(), platenv1alpha1.FontSource{URL: c.url, SHA256: hash(c.data)})
			reason, message := "", ""
			if terminal := reconcile.AsTerminal(err); terminal != nil {
				reason, message = terminal.Reason, terminal.Message
			} else if waiting := reconcile.AsWaiting(err); waiting != nil {
				reason, message = waiting.Reason, waiting.Message
			}
			if reason != c.reason || !strings.Contains(message, c.words) || (err == nil) != (c.reason == "") {
				t.Errorf("got %v, want %s: %s", err, c.reason, c.words)
			}
			if err == nil && (file.Family != "Liberation Sans" || file.Weight != "700" || file.URL != c.url || !bytes.Equal(file.Data, font)) {
				t.Errorf("got %+v", file.Font)
			}
		})
	}
}

// A file is fetched once: its hash says that it cannot change. One that is not there is asked for again after a while.
func TestALibraryFetchesAFileOnce(t *testing.T) {
	regular, bold := installed(t, "LiberationSans-Regular"), installed(t, "LiberationSans-Bold")
	server, url := serve(t, map[string][]byte{"/regular": regular})
	var wanted []types.NamespacedName
	clock := clocktesting.NewFakePassiveClock(time.Unix(1_800_000_000, 0))
	library := fonts.New(fonts.Options{
		Fetcher: fonts.NewFetcher(loopback, nil, ""), Wanted: func(set types.NamespacedName) { wanted = append(wanted, set) }, Clock: clock,
	})
	set := &platenv1alpha1.FontSet{}
	set.Namespace, set.Name = "marketing", "brand"
	set.Spec.Sources = []platenv1alpha1.FontSource{{URL: url + "/regular", SHA256: hash(regular)}}

	_, err := library.Files(t.Context(), set)
	if waiting := reconcile.AsWaiting(err); waiting == nil || waiting.Message != "spec.sources[0].url: the file is being fetched" || server.asked() != 0 {
		t.Errorf("before: %v, %d requests", err, server.asked())
	}
	if want := []types.NamespacedName{{Namespace: "marketing", Name: "brand"}}; !slices.Equal(wanted, want) {
		t.Errorf("wanted are %v", wanted)
	}
	for range 2 {
		if err := library.Fetch(t.Context(), set); err != nil {
			t.Fatal(err)
		}
		files, err := library.Files(t.Context(), set)
		if err != nil || len(files) != 1 || files[0].Family != "Liberation Sans" || files[0].Data != nil {
			t.Fatalf("%+v, %v", files, err)
		}
		if data, err := library.Data(t.Context(), set, files[0].SHA256); err != nil || !bytes.Equal(data, regular) {
			t.Errorf("%d bytes, %v", len(data), err)
		}
	}
	if server.asked() != 1 || len(wanted) != 1 {
		t.Errorf("%d requests, wanted %v", server.asked(), wanted)
	}
	if _, err := library.Data(t.Context(), set, hash(bold)); !errors.Is(err, fonts.ErrNotFound) {
		t.Errorf("another hash: %v", err)
	}

	set.Spec.Sources = append(set.Spec.Sources, platenv1alpha1.FontSource{URL: url + "/bold", SHA256: hash(bold)})
	for range 2 {
		if err := library.Fetch(t.Context(), set); err != nil {
			t.Fatal(err)
		}
		if _, err := library.Files(t.Context(), set); reconcile.AsWaiting(err) == nil || err.Error() != "spec.sources[1].url: the file cannot be fetched: the answer was HTTP 404, and must be 200" {
			t.Errorf("a missing file: %v", err)
		}
	}
	if server.asked() != 2 {
		t.Errorf("%d requests", server.asked())
	}
	server.put("/bold", bold)
	clock.SetTime(clock.Now().Add(30 * time.Second))
	if err := library.Fetch(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	if files, err := library.Files(t.Context(), set); err != nil || len(files) != 2 || files[1].Weight != "700" {
		t.Errorf("%+v, %v", files, err)
	}
}

// The files that a Library keeps have a bound. It fetches another again when a pod asks for it.
func TestALibraryKeepsSomeFiles(t *testing.T) {
	files := map[string][]byte{}
	server, url := serve(t, files)
	library := fonts.New(fonts.Options{Fetcher: fonts.NewFetcher(loopback, nil, ""), Clock: clocktesting.NewFakePassiveClock(time.Unix(1_800_000_000, 0))})
	set := &platenv1alpha1.FontSet{}
	for _, name := range []string{"/a", "/b", "/c"} {
		// What is behind a font's tables belongs to none of them.
		data := append(bytes.Clone(installed(t, "LiberationSans-Bold")), bytes.Repeat([]byte(name), 6<<20)...)
		server.put(name, data)
		set.Spec.Sources = append(set.Spec.Sources, platenv1alpha1.FontSource{URL: url + name, SHA256: hash(data)})
		if err := library.Fetch(t.Context(), set); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) {
		data := files[name]
		if got, err := library.Data(t.Context(), set, hash(data)); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	read("/c")
	read("/b")
	if got := server.asked(); got != 3 {
		t.Errorf("%d requests, want 3", got)
	}
	read("/a")
	read("/b")
	if got := server.asked(); got != 4 {
		t.Errorf("%d requests, want 4", got)
	}
	read("/c") // which was not used for the longest time
	if got := server.asked(); got != 5 {
		t.Errorf("%d requests, want 5", got)
	}
}
