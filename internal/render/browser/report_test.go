// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"context"
	"errors"
	"image/color"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/render"
)

func TestReportsOfPagesAreBounded(t *testing.T) {
	long := strings.Repeat("é", 3000)
	for name, c := range map[string]struct {
		text string
		want report
	}{
		"a report":         {`{"warnings":[{"title":"a","details":"b"}],"unused":["x"]}`, report{Warnings: []render.Warning{{Title: "a", Details: "b"}}, Unused: []string{"x"}}},
		"empty":            {"", report{}},
		"no JSON":          {"{", report{}},
		"another type":     {`{"warnings":"none"}`, report{}},
		"texts elsewhere":  {`{"warnings":[{"title":1}]}`, report{}},
		"too long":         {`{"unused":["` + strings.Repeat("x", maxReport) + `"]}`, report{}},
		"too long a title": {`{"warnings":[{"title":"` + long + `","details":"` + long + `"}]}`, report{Warnings: []render.Warning{{Title: long[:maxTitle], Details: long[:maxDetails]}}}},
	} {
		if diff := cmp.Diff(c.want, readReport(c.text), cmp.AllowUnexported(report{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	many := readReport(`{"warnings":[` + strings.Repeat(`{"title":"a"},`, 1000) + `{"title":"b"}]}`)
	if len(many.Warnings) != maxWarnings {
		t.Errorf("%d warnings", len(many.Warnings))
	}
	if cut := bounded("aé", 2); cut != "a" || !utf8.ValidString(cut) {
		t.Errorf("%q", cut)
	}
}

// A warning of what could not be loaded has a cause, as far as one is known. The page itself learns none.
func TestLoadsThatFailHaveACause(t *testing.T) {
	const host = "the host does not exist, does not answer or may not be reached, or it has no such file, or the file is damaged"
	b := &Browser{options: Options{Blocked: func(target string) string {
		if target == "https://blocked.example/x.png" {
			return "blocked"
		}
		return ""
	}}}
	for title, want := range map[string]string{
		"Could not load data:image/png;base64,xxxx":                                       "the data is no PNG, or it is damaged",
		"Could not load data:image/SVG+xml,%3Csvg":                                        "the data is no SVG, or it is damaged",
		"Could not load data:image/svg+xml,<svg fill='#f00'/>":                            "a # ends the data of a URL: write %23 in its place, as in fill='%23f00'",
		"Could not load data:image/svg+xml;utf8,<svg fill='#f0%27/>":                      "a # ends the data of a URL: write %23 in its place, as in fill='%23f00'",
		"Could not load data:image/svg+xml,%3Csvg/>#shape":                                "the data is no SVG, or it is damaged",
		"Could not load data:image/svg+xml,%3Csvg%3E%3C/svg%3E#svgView(viewBox(0,0,1,1))": "the data is no SVG, or it is damaged",
		"Could not load data:image/jpg;base64,AAAA":                                       "the data is no JPEG, or it is damaged",
		"Could not load data:text/plain,x":                                                "the data is no file that the page can use there, or it is damaged",
		"Could not load data:,x":                                                          "the data is no file that the page can use there, or it is damaged",
		"Could not load https://example.invalid/x.png":                                    host,
		"Could not load http://example.invalid/x.css":                                     host,
		"Could not load https://blocked.example/x.png":                                    "blocked",
		"Could not load the font Brand Sans":                                              "",
		"Console error: Could not load https://example.com":                               "",
	} {
		for _, unblocked := range []bool{true, false} {
			one := *b
			if unblocked && want != "blocked" {
				one.options.Blocked = nil
			}
			warnings := []render.Warning{{Title: title}, {Title: title, Details: "known"}}
			one.explainLoads(warnings, nil)
			if warnings[0].Details != want || want != "blocked" && warnings[1].Details != "known" {
				t.Errorf("%s: %+v, want %s", title, warnings, want)
			}
		}
	}
}

// Nobody reads the data of a data: URL: the warning names the modifications that have it.
func TestLoadsThatFailNameTheirModification(t *testing.T) {
	const short = "data:image/png;base64,xxxx"
	long := "data:image/png;base64," + strings.Repeat("iVBOR", maxTitle)
	modifications := map[string]any{
		"photo": short + "\n", "title": "data", "covers": []any{map[string]any{"file": long + "A"}, map[string]any{"file": long + "B"}}, "logo": "https://example.invalid/x.png",
		"same": []any{"data:,x", "data:,x", "data:,x", "data:,x", "data:,x", "data:,x"}, "near": short + "y",
	}
	for url, want := range map[string]string{
		short:                           "the data is no PNG, or it is damaged; it is the value of photo",
		long + "A":                      "the data is no PNG, or it is damaged; it is the value of covers[0].file, covers[1].file", // which of them is cut off
		"data:,x":                       "the data is no file that the page can use there, or it is damaged; it is the value of same[0], same[1], same[2], 3 more",
		"data:image/png;base64,AAAA":    "the data is no PNG, or it is damaged",
		"https://example.invalid/x.png": "the host does not exist, does not answer or may not be reached, or it has no such file, or the file is damaged",
	} {
		warnings := []render.Warning{readable(render.Warning{Title: "Could not load " + url})}
		(&Browser{}).explainLoads(warnings, modifications)
		if got := warnings[0].Details; got != want {
			t.Errorf("%.60s: got %q, want %q", url, got, want)
		}
	}
}

// Whatever a page does to what every script shares, it is painted.
func TestPagesThatReplaceBuiltInsArePainted(t *testing.T) {
	b := start(t)
	for name, script := range map[string]string{
		"map":              `Array.prototype.map = null`,
		"filter":           `Array.prototype.filter = () => { throw new Error('mine') }`,
		"iterator":         `delete Array.prototype[Symbol.iterator]`,
		"Symbol.for":       `Symbol.for = () => { throw new Error('mine') }`,
		"querySelectorAll": `Document.prototype.querySelectorAll = null`,
		"stringify":        `JSON.stringify = () => ({})`,
		"toJSON":           `Array.prototype.toJSON = function () { return 'x'.repeat(2e6) }`,
		"Promise":          `window.Promise = class {}`,
		"fonts":            `Object.defineProperty(document, 'fonts', { value: null })`,
		"getComputedStyle": `window.getComputedStyle = null`,
		"warnings":         `window[Symbol.for('platen.warnings')].push(...Array(1e5).fill({ title: 'x'.repeat(100), details: 5 }))`,
	} {
		t.Run(name, func(t *testing.T) {
			outputs, warnings := run(t, b, task("png", `<!doctype html><body style="margin:0;background:rgb(255,0,0)"><script>`+script+`</script>`))
			if img, _ := decode(t, outputs[0].Data); !near(img, 150, 50, color.RGBA{255, 0, 0, 255}) {
				t.Errorf("%v, warnings %v", img.At(150, 50), warnings)
			}
			if len(warnings) > maxWarnings {
				t.Errorf("%d warnings", len(warnings))
			}
		})
	}
}

// The browser gives no bytes, and no error, for a picture that its encoder cannot have.
func TestAnEmptyFileIsAnError(t *testing.T) {
	wide := task("jpg", `<p>x</p>`)
	wide.Pages[0].Width, wide.Pages[0].Height, wide.Scale = 6551, 1, 10
	_, err := start(t).Render(t.Context(), wide, discard)
	problem := (*render.Error)(nil)
	if !errors.As(err, &problem) || !problem.Terminal || !strings.HasPrefix(problem.Message, "the browser made no jpg of page 1") {
		t.Errorf("got %v", err)
	}
}

// The browser hands a file over in one message, which is bounded.
func TestWhatIsTooLargeToHandOverNamesThePage(t *testing.T) {
	b := start(t)
	b.maxMessage = 32 << 10
	large := task("png", `<canvas></canvas><script>
		const c = document.querySelector("canvas").getContext("2d"), noise = c.createImageData(300, 150);
		let n = 1;
		for (let i = 0; i < noise.data.length; i++) noise.data[i] = (n = n * 48271 % 2147483647) & 255;
		c.putImageData(noise, 0, 0);</script>`)
	large.Pages[0].Number = 7
	_, err := b.Render(t.Context(), large, render.SinkFunc(func(context.Context, file.File, []byte) error { return nil }))
	problem := (*render.Error)(nil)
	if !errors.As(err, &problem) || !problem.Terminal || !strings.HasPrefix(problem.Message, "the file of page 7 is too large") {
		t.Errorf("got %v", err)
	}
	outputs, warnings := run(t, b, task("png", red+`<script>JSON.stringify = () => "x".repeat(1e5)</script>`))
	if img, _ := decode(t, outputs[0].Data); !near(img, 150, 50, color.RGBA{255, 0, 0, 255}) || len(warnings) != 1 {
		t.Errorf("%v, warnings %v", img.At(150, 50), warnings)
	}
}
