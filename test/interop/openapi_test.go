// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr"

	"github.com/platen-dev/platen/internal/shim"
	"github.com/platen-dev/platen/test/program"
)

// TestOpenAPIIsClean lints /openapi.json with Redocly's recommended rules. Warnings count.
func TestOpenAPIIsClean(t *testing.T) {
	folder := filepath.Join("..", "sdk")
	if _, err := os.Stat(filepath.Join(folder, "node_modules", "@redocly")); err != nil {
		t.Fatal("run `make sdk`, as `make test` does")
	}
	server, err := shim.New(shim.Options{Derive: func(string) []byte { return nil }, Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	if err := program.SeeScript("../..", "lint.js"); err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	server.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/openapi.json", nil))
	lint := func(document []byte) string {
		t.Helper()
		file := filepath.Join(t.TempDir(), "openapi.json")
		if err := os.WriteFile(file, document, 0o600); err != nil {
			t.Fatal(err)
		}
		command := exec.CommandContext(t.Context(), "node", "lint.js", file)
		command.Dir = folder
		var stderr bytes.Buffer
		command.Stderr = &stderr
		out, err := command.Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, &stderr)
		}
		return strings.TrimSpace(string(out))
	}
	if problems := lint(answer.Body.Bytes()); problems != "[]" {
		t.Errorf("problems: %s", problems)
	}
	if problems := lint(bytes.Replace(answer.Body.Bytes(), []byte(`"license"`), []byte(`"licence"`), 1)); problems == "[]" {
		t.Error("the linter finds nothing in a document with a mistake")
	}
}
