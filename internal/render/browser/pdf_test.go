// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platen-dev/platen/internal/render"
)

func TestPDFHoldsEveryPageAtItsSize(t *testing.T) {
	b := start(t)
	dir := t.TempDir()
	document := task("pdf", "<p>one</p>", "<p>two</p>")
	document.Pages[1].Width, document.Pages[1].Height = 960, 480
	outputs, _ := run(t, b, document)
	if len(outputs) != 1 || outputs[0].Page != 1 {
		t.Fatalf("got %d outputs", len(outputs))
	}
	path := filepath.Join(dir, "joined.pdf")
	if err := os.WriteFile(path, outputs[0].Data, 0o600); err != nil {
		t.Fatal(err)
	}
	info := output(t, "pdfinfo", "-l", "2", path)
	for _, want := range []string{"Pages:           2", "150 x 75", "720 x 360 pts"} {
		if !strings.Contains(info, want) {
			t.Errorf("%q is missing in\n%s", want, info)
		}
	}
	output(t, "qpdf", "--check", path)
}

// The browser makes a sheet larger, up to whole units of its own.
func TestASheetIsAsLargeAsThePage(t *testing.T) {
	b := start(t)
	for _, c := range []struct {
		width, height int
		dpi           int
		want          string
	}{
		{600, 300, 960, "45 x 22.5 pts"},
		{1063, 650, 300, "255.12 x 156 pts"},
		{794, 1123, 96, "595.5 x 842.25 pts"},
	} {
		document := task("pdf", `<body style="margin:0;background:#00f">`)
		document.Pages[0].Width, document.Pages[0].Height, document.PDF.DPI = c.width, c.height, c.dpi
		outputs, _ := run(t, b, document)
		path := filepath.Join(t.TempDir(), "sheet.pdf")
		if err := os.WriteFile(path, outputs[0].Data, 0o600); err != nil {
			t.Fatal(err)
		}
		if info := output(t, "pdfinfo", path); !strings.Contains(info, c.want) {
			t.Errorf("%dx%d at %d: %q is missing in\n%s", c.width, c.height, c.dpi, c.want, info)
		}
		output(t, "qpdf", "--check", path)
		output(t, "pdftoppm", "-png", "-r", "384", "-singlefile", path, strings.TrimSuffix(path, ".pdf"))
		data, err := os.ReadFile(strings.TrimSuffix(path, ".pdf") + ".png")
		if err != nil {
			t.Fatal(err)
		}
		img, _ := decode(t, data)
		right, below := img.Bounds().Dx(), img.Bounds().Dy()
		for _, at := range [][2]int{{1, 1}, {right - 2, below / 2}, {right / 2, below - 2}} {
			if !near(img, at[0], at[1], blue255) {
				t.Errorf("%dx%d at %d: %v of %dx%d is %v", c.width, c.height, c.dpi, at, right, below, img.At(at[0], at[1]))
			}
		}
	}
}

func TestPDFOptions(t *testing.T) {
	b := start(t)
	document := task("pdf", `<h1>one</h1><a href="https://example.com/offer">offer</a>`, "<h1>two</h1>")
	document.Pages[0].Name, document.Pages[1].Name = "front", "back"
	document.PDF = render.PDFOptions{Margin: 96, DPI: 192, Title: "Summer sale"}
	outputs, _ := run(t, b, document)
	path := filepath.Join(t.TempDir(), "a.pdf")
	if err := os.WriteFile(path, outputs[0].Data, 0o600); err != nil {
		t.Fatal(err)
	}
	// 200x100 CSS pixels with a margin of 96 on each side, 192 pixels per inch, 72 points per inch.
	info := output(t, "pdfinfo", path)
	for _, want := range []string{"Summer sale", "Pages:           2", "147 x 109.5 pts"} {
		if !strings.Contains(info, want) {
			t.Errorf("%q is missing in\n%s", want, info)
		}
	}
	output(t, "qpdf", "--check", path)
	object := output(t, "qpdf", "--qdf", "--object-streams=disable", path, "-")
	for _, want := range []string{"https://example.com/offer", "/Outlines"} {
		if !strings.Contains(object, want) {
			t.Errorf("%q is missing in the document", want)
		}
	}
	if fonts := output(t, "pdffonts", path); !regexp.MustCompile(`yes +yes`).MatchString(fonts) {
		t.Errorf("fonts are not embedded:\n%s", fonts)
	}
}

// Pages of one document may use the same ids: a link leads to the target of its own page.
func TestLinksLeadToTheirOwnPage(t *testing.T) {
	const page = `<!doctype html><body style="margin:0"><a href="#größe">down</a><p id="größe" style="margin:%s 0 0">here</p>`
	document := task("pdf", strings.Replace(page, "%s", "10px", 1), strings.Replace(page, "%s", "50px", 1))
	outputs, warnings := run(t, start(t), document)
	path := filepath.Join(t.TempDir(), "links.pdf")
	if err := os.WriteFile(path, outputs[0].Data, 0o600); err != nil {
		t.Fatal(err)
	}
	output(t, "qpdf", "--check", path)
	lines := strings.Split(output(t, "pdfinfo", "-dests", path), "\n")
	pages := map[string]int{}
	for _, line := range lines {
		if fields := strings.Fields(line); len(fields) > 1 && strings.Contains(line, "[ XYZ") {
			pages[fields[0]]++
		}
	}
	objects := output(t, "qpdf", "--qdf", "--object-streams=disable", path, "-")
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`/Dest (/\S+)`).FindAllStringSubmatch(objects, -1) {
		names[m[1]] = true
		if strings.Count(objects, m[1]+" [") != 1 {
			t.Errorf("%s is no target", m[1])
		}
	}
	if pages["1"] != 1 || pages["2"] != 1 || len(names) != 2 || len(warnings) != 0 {
		t.Errorf("targets on the pages %v, links to %v; warnings %v\n%s", pages, names, warnings, strings.Join(lines, "\n"))
	}
}

// A document is tagged: a screen reader reads each page's headings, paragraphs and links as what they are.
func TestEachPageIsTagged(t *testing.T) {
	document := task("pdf", `<h1>One</h1><a href="https://example.com/a">first</a>`, `<h2>Two</h2><p>Text</p><a href="https://example.com/b">second</a>`, `<h3>Three</h3>`)
	document.Pages[1].Height = 300
	outputs, _ := run(t, start(t), document)
	path := filepath.Join(t.TempDir(), "tags.pdf")
	if err := os.WriteFile(path, outputs[0].Data, 0o600); err != nil {
		t.Fatal(err)
	}
	output(t, "qpdf", "--check", path)
	got := strings.Join(strings.Fields(output(t, "pdfinfo", "-struct-text", path)), " ")
	for _, want := range []string{`Document H1 (block) NonStruct "One"`, `"first"`, `Part H2 (block) NonStruct "Two" P (block) NonStruct "Text"`, `"second"`, `H3 (block) NonStruct "Three"`} {
		if strings.Count(got, want) != 1 {
			t.Errorf("%s is not there once", want)
		}
	}
	if t.Failed() || strings.Contains(got, "Warning") {
		t.Errorf("the tags are %s", got)
	}
}

// The cells of a table name their headings. The names are the same in each render, also in a browser that has made others, and lead to headings of their own page.
func TestTablesNameTheirHeadings(t *testing.T) {
	const table = `<table><tr><th>Item<th>Price<tr><td>Cable<td>9 €</table>`
	b := start(t)
	document := task("pdf", table, "<p>Text</p>", table)
	outputs, _ := run(t, b, document)
	for range 2 {
		again, _ := run(t, b, document)
		if !bytes.Equal(again[0].Data, outputs[0].Data) {
			t.Error("two renders differ")
		}
	}
	path := filepath.Join(t.TempDir(), "tables.pdf")
	if err := os.WriteFile(path, outputs[0].Data, 0o600); err != nil {
		t.Fatal(err)
	}
	output(t, "qpdf", "--check", path)
	objects := output(t, "qpdf", "--qdf", "--object-streams=disable", path, "-")
	names := regexp.MustCompile(`/ID \((\S+)\)`).FindAllStringSubmatch(objects, -1)
	for _, name := range names { // in its heading, in a cell, and in the index
		if got := strings.Count(objects, "("+name[1]+")"); got != 3 {
			t.Errorf("%s is there %d times, want 3", name[1], got)
		}
	}
	if len(names) != 4 || strings.Count(objects, "/IDTree") != 1 || !strings.HasPrefix(names[3][1], "page003.") {
		t.Errorf("the headings are %v", names)
	}
}

func TestADocumentInCMYKIsMadeInRGBWithAWarning(t *testing.T) {
	b := start(t)
	document := task("pdf", "<p>one</p>", "<p>two</p>")
	document.PDF.CMYK = true
	outputs, warnings := run(t, b, document)
	want := []render.Warning{{
		Title:   "The PDF was made in RGB, not in CMYK",
		Details: "Platen does not convert colours; a print shop's software does it with the profile of its press",
	}}
	if diff := cmp.Diff(want, warnings); diff != "" || len(outputs) != 1 {
		t.Errorf("%d documents; warnings (-want +got):\n%s", len(outputs), diff)
	}
}

// pdfText returns the text of a document.
func pdfText(t *testing.T, dir string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, "page.pdf")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return output(t, "pdftotext", "-layout", path, "-")
}
