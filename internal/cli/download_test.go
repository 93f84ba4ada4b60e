// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/file"
)

// The signature in a content URL is all that it takes to fetch the file.
func TestDownloadErrorsDoNotShowTheSignature(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + listener.Addr().String()
	_ = listener.Close()
	d := downloader{&cluster{config: &rest.Config{Host: closed}}, platenNamespace}
	for name, contentURL := range map[string]string{
		"nobody answers": closed + "/content/a/1.png?signature=sealed",
		"not a URL":      "http://a b/1.png?signature=sealed",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := d.file(t.Context(), platenv1alpha1.RenderedPage{ContentURL: contentURL}, t.TempDir())
			if err == nil || !strings.Contains(err.Error(), "1.png") || strings.Contains(err.Error(), "sealed") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// fetchNamed fetches a file whose URL answers with a name, as a machine does that reaches no API server.
func fetchNamed(t *testing.T, name, folder string) (string, error) {
	t.Helper()
	const content = "a picture"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Disposition", file.Disposition(name))
		_, _ = w.Write([]byte(content))
	}))
	t.Cleanup(server.Close)
	sum := sha256.Sum256([]byte(content))
	d := downloader{&cluster{config: &rest.Config{Host: "http://192.0.2.1:1"}}, platenNamespace}
	return d.file(t.Context(), platenv1alpha1.RenderedPage{ContentURL: server.URL, Size: new(int64(len(content))), SHA256: hex.EncodeToString(sum[:])}, folder)
}

// While the manager hands over, the API server's proxy finds no content server for a moment.
func TestDownloadWaitsForAContentServer(t *testing.T) {
	const content = "a picture"
	sum := sha256.Sum256([]byte(content))
	for name, c := range map[string]struct {
		refusals, status, want int
		fails                  bool
	}{
		"a handover":   {refusals: 2, status: http.StatusServiceUnavailable, want: 3},
		"not allowed":  {refusals: 1, status: http.StatusForbidden, want: 1, fails: true},
		"no such name": {refusals: 1, status: http.StatusNotFound, want: 1, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			apiServer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if calls++; calls <= c.refusals {
					http.Error(w, "no endpoints available", c.status)
					return
				}
				w.Header().Set("Content-Disposition", file.Disposition("1.png"))
				_, _ = w.Write([]byte(content))
			}))
			t.Cleanup(apiServer.Close)
			d := downloader{&cluster{config: &rest.Config{Host: apiServer.URL}}, platenNamespace}
			page := platenv1alpha1.RenderedPage{ContentURL: "http://127.0.0.1:1/content/a/1.png", Size: new(int64(len(content))), SHA256: hex.EncodeToString(sum[:])}
			if _, err := d.file(t.Context(), page, t.TempDir()); (err != nil) != c.fails || calls != c.want {
				t.Errorf("%d calls, %v", calls, err)
			}
		})
	}
}

// A job's file name has at most 200 characters, and Linux takes 255 bytes.
func TestDownloadShortensNamesThatNoFolderTakes(t *testing.T) {
	folder, long := t.TempDir(), strings.Repeat("ж", 200)
	seen := map[string]bool{}
	for _, name := range []string{long + "_page_1.png", long + "_page_2.png", strings.Repeat("ж", 125) + "a.png"} {
		path, err := fetchNamed(t, name, folder)
		if err != nil {
			t.Fatal(err)
		}
		if data, err := os.ReadFile(path); err != nil || string(data) != "a picture" {
			t.Errorf("%s: %q, %v", path, data, err)
		}
		got := filepath.Base(path)
		if fits := len(name) <= 255; fits && got != name || !fits && (!strings.HasPrefix(got, "жжж") || !strings.HasSuffix(got, ".png")) || strings.ToValidUTF8(got, "?") != got {
			t.Errorf("%s became %s", name, got)
		}
		if seen[path] {
			t.Errorf("%s replaces another file", path)
		}
		seen[path] = true
	}
}

// What is wrong in the folder is not the network's fault, and no other way to the file helps.
func TestDownloadErrorsOfTheFolder(t *testing.T) {
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "card.png"), 0o750); err != nil {
		t.Fatal(err)
	}
	if _, err := fetchNamed(t, "card.png", folder); err == nil || !strings.Contains(err.Error(), "card.png") || strings.Contains(err.Error(), "API server") {
		t.Errorf("got %v", err)
	}
	if _, err := fetchNamed(t, "card.png", filepath.Join(folder, "gone")); err == nil || !strings.Contains(err.Error(), "gone") || strings.Contains(err.Error(), "API server") {
		t.Errorf("got %v", err)
	}
}
