// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
	"github.com/platen-dev/platen/test/program"
)

// TestDropboxSDK runs Dropbox's own JavaScript SDK through OAuth with PKCE, uploads, sessions, batches, folders, listings and errors.
func TestDropboxSDK(t *testing.T) {
	folder := filepath.Join("..", "sdk")
	if _, err := os.Stat(filepath.Join(folder, "node_modules", "dropbox")); err != nil {
		t.Fatal("run `make sdk`, as `make test` does")
	}
	if err := program.SeeScript("../..", "dropbox.js"); err != nil {
		t.Fatal(err)
	}
	sim := dropboxsim.New()
	sim.AddAccount(dropboxsim.Account{
		AppKey: "app", RefreshToken: "refresh", Email: "ada@example.com", DisplayName: "Ada",
		RedirectURIs: []string{"https://app.example.com/callback"},
	})
	server := httptest.NewServer(sim)
	defer server.Close()
	command := exec.CommandContext(t.Context(), "node", "dropbox.js")
	command.Dir = folder
	command.Env = append(os.Environ(), "SIMULATOR_URL="+server.URL, "APP_KEY=app")
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	var output map[string]any
	if err := json.Unmarshal(stdout.Bytes(), &output); err != nil {
		t.Fatalf("%v: %s", err, &stdout)
	}
	for path, want := range map[string]string{
		"state":                               "state-1",
		"grant.expires_in":                    "14400",
		"grant.token_type":                    "bearer",
		"grant.refresh_token":                 "true",
		"replayed":                            "400",
		"refreshed":                           "true",
		"account.email":                       "ada@example.com",
		"account.name.display_name":           "Ada",
		"account.root_info.home_namespace_id": "1",
		"check.result":                        "ping",
		"upload.path_display":                 "/Grüße 🎉.txt",
		"conflict.status":                     "409",
		"conflict.error.error.reason.conflict..tag": "file",
		"renamed.path_display":                      "/Grüße 🎉 (1).txt",
		"download":                                  "hello",
		"appended.entries.0..tag":                   "success",
		"appended.entries.1..tag":                   "success",
		"finished.entries.0..tag":                   "success",
		"finished.entries.1.path_display":           "/batch/1.txt",
		"session.size":                              "13",
		"lostOffset.status":                         "409",
		"lostOffset.error.error.correct_offset":     "3",
		"folder.metadata.path_display":              "/Folder",
		"again.error.error.path.conflict..tag":      "folder",
		"missing.error.error.path..tag":             "not_found",
		"malformed.error.error.path..tag":           "malformed_path",
		"forbidden.error.error.reason..tag":         "disallowed_name",
		"unauthorized.status":                       "401",
		"unauthorized.error.error..tag":             "invalid_access_token",
	} {
		if got := lookUp(output, path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	listed := fmt.Sprint(output["listed"])
	for _, entry := range []string{"file /Grüße 🎉.txt", "file /session.txt", "folder /batch", "folder /Folder"} {
		if !strings.Contains(listed, entry) {
			t.Errorf("%s is not in %s", entry, listed)
		}
	}
	for path, want := range map[string]string{"/batch/0.txt": "first", "/batch/1.txt": "other", "/session.txt": "one two three"} {
		if data, _ := sim.Content("app", path); string(data) != want {
			t.Errorf("%s holds %q", path, data)
		}
	}
}

// lookUp returns the value at a path; ".tag" is one name.
func lookUp(value any, path string) string {
	for name := range strings.SplitSeq(strings.ReplaceAll(path, "..tag", "/.tag"), "/") {
		parts := []string{name}
		if name != ".tag" {
			parts = strings.Split(name, ".")
		}
		for _, part := range parts {
			switch v := value.(type) {
			case map[string]any:
				value = v[part]
			case []any:
				n := 0
				if _, err := fmt.Sscan(part, &n); err != nil || n >= len(v) {
					return "nothing"
				}
				value = v[n]
			default:
				return fmt.Sprintf("nothing at %s of %v", part, value)
			}
		}
	}
	return fmt.Sprint(value)
}
