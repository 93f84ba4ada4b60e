// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package dropboxsim

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPersist kills a simulator, also in the middle of a line, and compares what the next one has.
func TestPersist(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	open := func() (*Server, *os.File) {
		t.Helper()
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		s := New()
		if err := s.Persist(file); err != nil {
			t.Fatal(err)
		}
		return s, file
	}
	post := func(s *Server, token, route, arg, body string) int {
		r := httptest.NewRequest(http.MethodPost, route, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/octet-stream")
		r.Header.Set("Dropbox-API-Arg", arg)
		if body == "" {
			r = httptest.NewRequest(http.MethodPost, route, strings.NewReader(arg))
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Set("Content-Type", "application/json")
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Code
	}

	first, file := open()
	first.AddAccount(Account{AppKey: "app", RefreshToken: "refresh"})
	answer := first.issue(first.accounts["app"], first.accounts["app"].Scopes, "refresh")
	token, _ := answer["access_token"].(string)
	for _, call := range []struct{ route, arg, body string }{
		{"/2/files/upload", `{"path":"/Renders/a.png"}`, "one"},
		{"/2/files/upload", `{"path":"/Renders/a.png","mode":"overwrite"}`, "two"},
		{"/2/files/upload", `{"path":"/Renders/gone.png"}`, "three"},
		{"/2/files/create_folder_v2", `{"path":"/Empty"}`, ""},
		{"/2/files/delete_v2", `{"path":"/Renders/gone.png"}`, ""},
	} {
		if code := post(first, token, call.route, call.arg, call.body); code != http.StatusOK {
			t.Fatalf("%s %s: HTTP %d", call.route, call.arg, code)
		}
	}
	want := first.Files("app")
	if _, err := file.WriteString(`{"account":{"appKey":"ha`); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}

	second, file := open()
	defer func() { _ = file.Close() }()
	if diff := cmp.Diff(want, second.Files("app")); diff != "" || len(want) != 1 || want[0].Commits != 2 {
		t.Errorf("files (-before +after): %s", diff)
	}
	if data, _ := second.Content("app", "/Renders/a.png"); string(data) != "two" {
		t.Errorf("content = %q, want two", data)
	}
	if e := second.accounts["app"].space(homeNamespace).entries["/empty"]; e == nil || !e.folder {
		t.Errorf("/Empty = %+v, want a folder", e)
	}
	if code := post(second, token, "/2/files/upload", `{"path":"/b.png"}`, "four"); code != http.StatusOK {
		t.Errorf("upload with the token of before: HTTP %d", code)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	third, last := open()
	defer func() { _ = last.Close() }()
	if got := len(third.Files("app")); got != 2 {
		t.Errorf("%d files after the second kill, want 2", got)
	}
}
