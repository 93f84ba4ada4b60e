// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/platen-dev/platen/internal/render"
)

// brand is the file of an installed font under the name of a family that is not installed.
func brand(t *testing.T, file, weight string) render.Font {
	t.Helper()
	data, err := os.ReadFile("/usr/share/fonts/truetype/liberation/" + file + ".ttf")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return render.Font{Family: "7 Brand Sans", Style: "normal", Weight: weight, Stretch: "100%", SHA256: hex.EncodeToString(sum[:]), Size: int64(len(data)), Data: data}
}

// ownFace is a page's own @font-face.
func ownFace(f render.Font) string {
	return fmt.Sprintf(`@font-face { font-family: "%s"; font-weight: %s; src: url(data:font/ttf;base64,%s) }`, f.Family, f.Weight, base64.StdEncoding.EncodeToString(f.Data))
}

const brandText = `<body style="margin:8px;font:24px '7 Brand Sans',monospace">Hamburg <b>bold</b>`

// A page uses the task's fonts like installed ones: in every format, in a shared tab and in one of its own, and without a warning.
func TestPagesUseTheTasksFonts(t *testing.T) {
	b := start(t)
	given := []render.Font{brand(t, "LiberationMono-Regular", "400"), brand(t, "LiberationSerif-Bold", "700")}
	// The page brings the same fonts itself.
	want := "<style>" + ownFace(given[0]) + ownFace(given[1]) + "</style>" + brandText
	for name, c := range map[string]struct{ format, more string }{
		"a picture":                  {"png", ""},
		"a page with scripts":        {"png", `<script>document.title = document.fonts.size</script>`},
		"a page that loads pictures": {"png", `<link rel="icon" href="https://example.invalid/icon.png">`},
		"a page of its own":          {"png", `<iframe hidden></iframe>`},
		"a film":                     {"gif", ""},
	} {
		t.Run(name, func(t *testing.T) {
			page, like := task(c.format, brandText+c.more), task(c.format, want+c.more)
			page.Fonts = given
			page.Video.FPS, page.Video.Seconds = 2, 1
			like.Video = page.Video
			outputs, warnings, places := runIn(t, b, page)
			expected, _ := run(t, b, like)
			if !bytes.Equal(outputs[0].Data, expected[0].Data) || len(warnings) != 0 {
				t.Errorf("the page does not look like one that brings the fonts; warnings %v", warnings)
			}
			if alone := strings.Contains(c.more, "iframe") || c.format == "gif"; alone == (places[0] == render.PlaceShared) {
				t.Errorf("painted in %v", places)
			}
		})
	}
	document := task("pdf", brandText)
	document.Fonts = given
	outputs, _ := run(t, b, document)
	dir := t.TempDir()
	if text := pdfText(t, dir, outputs[0].Data); !strings.Contains(text, "Hamburg bold") {
		t.Errorf("the document has %q", text)
	}
	file := filepath.Join(dir, "fonts.pdf")
	if err := os.WriteFile(file, outputs[0].Data, 0o600); err != nil {
		t.Fatal(err)
	}
	if list := output(t, "pdffonts", file); !strings.Contains(list, "LiberationMono") || !strings.Contains(list, "LiberationSerif-Bold") {
		t.Errorf("the document's fonts are %s", list)
	}
}

// The next page of the same tab has only its own task's fonts.
func TestFontsStayWithTheirTask(t *testing.T) {
	b := start(t)
	page, other := task("png", brandText), task("png", brandText)
	page.Fonts = []render.Font{brand(t, "LiberationSerif-Regular", "400")}
	before, _ := run(t, b, other)
	run(t, b, page)
	after, warnings := run(t, b, other)
	if !bytes.Equal(before[0].Data, after[0].Data) || len(warnings) != 1 || !strings.HasPrefix(warnings[0].Title, "Font 7 Brand Sans is not installed") {
		t.Errorf("the page after one with fonts differs; warnings %v", warnings)
	}
}

// A page's own @font-face is what its author sees while they write it.
func TestThePagesOwnFontFaceWins(t *testing.T) {
	b := start(t)
	own := "<style>" + strings.ToLower(ownFace(brand(t, "LiberationSerif-Regular", "400"))[:40]) + ownFace(brand(t, "LiberationSerif-Regular", "400"))[40:] + "</style>"
	page, like := task("png", own+brandText), task("png", own+brandText)
	page.Fonts = []render.Font{brand(t, "LiberationMono-Regular", "400")}
	outputs, _ := run(t, b, page)
	expected, _ := run(t, b, like)
	if !bytes.Equal(outputs[0].Data, expected[0].Data) {
		t.Error("the task's font is shown")
	}
	broken := task("png", brandText)
	broken.Fonts = []render.Font{brand(t, "LiberationMono-Regular", "400")}
	broken.Fonts[0].Data = []byte("no font")
	if _, warnings := run(t, b, broken); len(warnings) != 1 || warnings[0].Title != "Could not load the font 7 Brand Sans" {
		t.Errorf("warnings %v", warnings)
	}
}
