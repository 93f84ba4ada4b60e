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
	open := func() *Server {
		t.Helper()
		s := New()
		if err := s.Persist(path); err != nil {
			t.Fatal(err)
		}
		return s
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

	first := open()
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
	first.AddAccount(Account{AppKey: "removed", RefreshToken: "refresh"})
	removed := first.issue(first.accounts["removed"], first.accounts["removed"].Scopes, "refresh")["access_token"].(string)
	if code := post(first, removed, "/2/files/upload", `{"path":"/large.bin"}`, strings.Repeat("x", 1<<20)); code != http.StatusOK {
		t.Fatalf("upload to the other account: HTTP %d", code)
	}
	first.RemoveAccount("removed")
	if _, err := first.journal.WriteString(`{"account":{"appKey":"ha`); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	second := open()
	if info, err := os.Stat(path); err != nil || info.Size() > 1<<16 {
		t.Errorf("the journal keeps what is gone: %d bytes, %v", info.Size(), err)
	}
	if second.accounts["removed"] != nil || second.tokens[removed] != nil {
		t.Error("the removed account is back")
	}
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
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	third := open()
	defer func() { _ = third.Close() }()
	if got := len(third.Files("app")); got != 2 {
		t.Errorf("%d files after the second kill, want 2", got)
	}
}
