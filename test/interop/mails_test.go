// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/render/browser"
	"github.com/platen-dev/platen/test/program"
)

// TestMails renders what MJML, React Email and Foundation for Emails make of mails: the same bytes each time, with all of the text, and without a
// warning, such as of text that runs out of its box.
func TestMails(t *testing.T) {
	folder := filepath.Join("..", "sdk")
	if _, err := os.Stat(filepath.Join(folder, "node_modules", "mjml")); err != nil {
		t.Fatal("run `make sdk`, as `make test` does")
	}
	if err := program.SeeScript("../..", "mails.js"); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "node", "mails.js")
	command.Dir = folder
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	var mails map[string]string
	if err := json.Unmarshal(stdout.Bytes(), &mails); err != nil || len(mails) != 3 {
		t.Fatalf("%d mails, %v: %s", len(mails), err, &stdout)
	}
	b, err := browser.New(browser.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	for tool, html := range mails {
		for _, format := range []file.Format{"png", "pdf"} {
			t.Run(tool+", "+string(format), func(t *testing.T) {
				mail := render.Task{
					Name: "mail", Format: format, Scale: 1, Quality: 90, TemplatePages: 1,
					Pages: []render.Page{{Number: 1, Name: "mail", Width: 600, Height: 700, HTML: html}},
				}
				var files [2][]byte
				for i := range files {
					warnings, err := b.Render(t.Context(), mail, render.SinkFunc(func(_ context.Context, _ file.File, data []byte) error {
						files[i] = data
						return nil
					}))
					if err != nil || len(warnings) != 0 {
						t.Fatalf("%v, warnings %v", err, warnings)
					}
				}
				if !bytes.Equal(files[0], files[1]) {
					t.Error("two renders differ")
				}
				if format != "pdf" {
					return
				}
				command := exec.CommandContext(t.Context(), "pdftotext", "-layout", "-", "-")
				command.Stdin = bytes.NewReader(files[0])
				out, err := command.Output()
				if err != nil {
					t.Fatal(err)
				}
				text := strings.Join(strings.Fields(string(out)), " ")
				for _, want := range []string{"Thank you, Ada", "Your order is on its way.", "Reading lamp, brass 1 49.00 €", "Cable, textile, 3 m 2 9.00 €", "Track it"} {
					if !strings.Contains(text, want) {
						t.Errorf("the document has %q, want %q in it", text, want)
					}
				}
			})
		}
	}
}
