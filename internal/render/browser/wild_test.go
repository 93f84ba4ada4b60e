// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Pages as people have them look right in a picture, and have their text in a document. mjml.html is what MJML makes of a mail; invoice.html
// and report.html have what pages for other tools of this kind have.
func TestPagesFromTheWild(t *testing.T) {
	b := start(t)
	for name, want := range map[string][]string{
		"mjml":    {"Thank you, Ada", "Your order is on its way.", "Track it", "58 €"},
		"invoice": {"2026-0117", "Cable, textile", "260.91 €", "Page 1 of 1"},
		"report":  {"Annual report", "1. Light", "The second business is paper.", "moves to a sheet"},
	} {
		t.Run(name, func(t *testing.T) {
			html, err := os.ReadFile(filepath.Join("testdata", "wild", name+".html"))
			if err != nil {
				t.Fatal(err)
			}
			for _, format := range []string{"png", "pdf"} {
				document := task(format, string(html))
				document.Pages[0].Width, document.Pages[0].Height = 560, 700
				if name == "mjml" {
					document.Modifications["name"] = "Ada"
				}
				outputs, warnings := run(t, b, document)
				if len(warnings) != 0 {
					t.Errorf("%s: warnings %v", format, warnings)
				}
				if format == "png" {
					comparePicture(t, "wild-"+name, outputs[0])
					continue
				}
				text := strings.Join(strings.Fields(pdfText(t, t.TempDir(), outputs[0].Data)), " ")
				for _, part := range want {
					if !strings.Contains(text, part) {
						t.Errorf("the document has %q, want %q in it", text, part)
					}
				}
			}
		})
	}
}
