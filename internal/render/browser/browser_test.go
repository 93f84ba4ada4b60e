// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image"
	"image/color"
	_ "image/jpeg"
	_ "image/png"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	_ "golang.org/x/image/webp"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/render"
)

// start returns a browser, which ends with the test.
func start(t *testing.T) *Browser {
	t.Helper()
	b, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// task returns a task with pages of 200x100 pixels.
func task(format string, html ...string) render.Task {
	pages := make([]render.Page, 0, len(html))
	for i, h := range html {
		pages = append(pages, render.Page{Number: i + 1, ID: "id", Width: 200, Height: 100, HTML: h})
	}
	return render.Task{Format: file.Format(format), Scale: 1, Quality: 90, Pages: pages, Modifications: map[string]any{}}
}

// emitted is a file and its bytes.
type emitted struct {
	file.File
	Data []byte
}

// run renders a task, which must succeed.
func run(t *testing.T, b *Browser, task render.Task) ([]emitted, []render.Warning) {
	t.Helper()
	outputs, warnings, _ := runIn(t, b, task)
	return outputs, warnings
}

// runIn is run, and returns where the pages were painted too.
func runIn(t *testing.T, b *Browser, task render.Task) ([]emitted, []render.Warning, []render.Place) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var places placesSink
	places.SinkFunc = func(_ context.Context, f file.File, data []byte) error {
		places.outputs = append(places.outputs, emitted{f, data})
		return nil
	}
	warnings, err := b.Render(ctx, task, &places)
	if err != nil {
		t.Fatal(err)
	}
	return places.outputs, warnings, places.places
}

// placesSink keeps what is emitted, and where pages were painted.
type placesSink struct {
	render.SinkFunc
	outputs []emitted
	places  []render.Place
}

func (s *placesSink) Painted(place render.Place) { s.places = append(s.places, place) }

func decode(t *testing.T, data []byte) (image.Image, string) {
	t.Helper()
	img, format, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return img, format
}

// near reports whether a pixel has a colour. It ignores the small differences of lossy formats.
func near(img image.Image, x, y int, want color.RGBA) bool {
	r, g, b, _ := img.At(x, y).RGBA()
	differs := func(got uint32, want uint8) bool { d := int(got>>8) - int(want); return d > 20 || d < -20 }
	return !differs(r, want.R) && !differs(g, want.G) && !differs(b, want.B)
}

const red = `<body style="margin:0;background:rgb(255,0,0)"></body>`

func TestFormats(t *testing.T) {
	b := start(t)
	for format, decoder := range map[string]string{"png": "png", "jpg": "jpeg", "jpeg": "jpeg", "webp": "webp"} {
		t.Run(format, func(t *testing.T) {
			outputs, warnings := run(t, b, task(format, red))
			if len(outputs) != 1 || len(warnings) != 0 {
				t.Fatalf("got %d outputs and warnings %v", len(outputs), warnings)
			}
			img, got := decode(t, outputs[0].Data)
			if got != decoder || img.Bounds() != image.Rect(0, 0, 200, 100) || !near(img, 100, 50, color.RGBA{255, 0, 0, 255}) {
				t.Errorf("got %s %v %v", got, img.Bounds(), img.At(100, 50))
			}
		})
	}
}

func TestScale(t *testing.T) {
	b := start(t)
	for scale, want := range map[float64]image.Point{0.5: {X: 100, Y: 50}, 2: {X: 400, Y: 200}, 1.25: {X: 250, Y: 125}} {
		picture := task("png", red)
		picture.Scale = scale
		outputs, _ := run(t, b, picture)
		img, _ := decode(t, outputs[0].Data)
		if img.Bounds().Size() != want || outputs[0].Width != want.X || outputs[0].Height != want.Y {
			t.Errorf("scale %v: got %v and %dx%d, want %v", scale, img.Bounds(), outputs[0].Width, outputs[0].Height, want)
		}
	}
}

func TestModifications(t *testing.T) {
	b := start(t)
	dir := t.TempDir()
	document := task("pdf", `<h1 data-param="headline">previous</h1><p data-if="shown">shown</p><p data-if="!shown">hidden</p>
		<ul><li data-each="items"><span data-param="name"></span></li></ul>`)
	document.Modifications = map[string]any{
		"headline": `<script>document.title="x"</script><b>bold</b>`, "shown": true,
		"items": []any{map[string]any{"name": "first"}, map[string]any{"name": "second"}},
	}
	document.Pages[0].Width, document.Pages[0].Height = 1200, 600
	outputs, warnings := run(t, b, document)
	text := pdfText(t, dir, outputs[0].Data)
	for _, want := range []string{`<script>document.title="x"</script><b>bold</b>`, "shown", "first", "second"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in %q", want, text)
		}
	}
	if strings.Contains(text, "hidden") || strings.Contains(text, "previous") || len(warnings) != 0 {
		t.Errorf("got text %q and warnings %v", text, warnings)
	}
}

func TestSpecialKeys(t *testing.T) {
	b := start(t)
	pages := task("png", `<body style="margin:0"><div id="box" style="width:50px;height:50px"></div>`, red)
	pages.Modifications = map[string]any{
		"canvasBackgroundColor": "rgb(0,0,255)", "box.backgroundColor": "rgb(0,255,0)",
		"page2@canvasBackgroundColor": "linear-gradient(rgb(9,9,9),rgb(9,9,9))",
		"nothing.color":               "red",
	}
	outputs, warnings := run(t, b, pages)
	first, _ := decode(t, outputs[0].Data)
	second, _ := decode(t, outputs[1].Data)
	if !near(first, 150, 80, color.RGBA{0, 0, 255, 255}) || !near(first, 20, 20, color.RGBA{0, 255, 0, 255}) {
		t.Errorf("first page: got %v and %v", first.At(150, 80), first.At(20, 20))
	}
	if !near(second, 100, 50, color.RGBA{9, 9, 9, 255}) {
		t.Errorf("second page: got %v", second.At(100, 50))
	}
	if len(warnings) == 0 || !strings.Contains(warnings[0].Title, "nothing.color") {
		t.Errorf("warnings %v do not name the missing element", warnings)
	}
}

// titlesOf returns the titles of warnings.
func titlesOf(warnings []render.Warning) []string {
	list := make([]string, 0, len(warnings))
	for _, w := range warnings {
		list = append(list, w.Title)
	}
	return list
}

// A style that the browser does not take keeps the template's, and says so.
func TestStylesThatTheBrowserDoesNotTake(t *testing.T) {
	const page = `<body style="margin:0;background:rgb(255,0,0)"><div id="box" style="width:50px;height:50px;background-color:rgb(0,255,0)"></div><script>CSS.supports = () => true</script>`
	const lengthHint, colourHint = "; it takes a length with its unit, such as 48px", "; it takes a CSS colour, such as #0a7 or rebeccapurple"
	hints := map[string]string{
		"box.backgroundColor": colourHint, "box.svgColor": colourHint, "box.marginTop": "; a length needs a unit, such as 80px", "box.width": lengthHint, "box.verticalAlign": "; it takes top, middle or bottom",
		"box.webkitLineClamp": "", "box.margin": "; a length needs a unit, such as 1px 2.5px -3px auto",
		"box.background":      "; it takes a CSS colour, a gradient or a picture, such as #0a7, linear-gradient(#0a7, white) or url(https://...)",
		"box.bg":              "; it takes a CSS colour, a gradient or a picture, such as #0a7, linear-gradient(#0a7, white) or url(https://...)",
		"box.backgroundImage": "; the address of a picture stands in url(), such as url(https://example.com/a.png)",
		"box.border":          "; it takes a width, a style and a colour, such as 2px solid #0a7",
		"box.outlineColor":    colourHint,
		"box.borderTop":       "; a length needs a unit, such as 2px solid red",
		"box.textDecoration":  "; it takes a line and a colour, such as underline or underline #0a7",
		"box.boxShadow":       "; it takes lengths and a colour, such as 2px 2px 4px #0008",
		"box.textAlign":       "; it takes left, center, right or justify",
		"box.display":         "; it takes words such as block, inline-block, flex or none",
		"box.filter":          "; it takes functions, such as blur(4px) or grayscale(1)",
		"box.transform":       "; it takes functions, such as rotate(45deg) or scale(1.5)",
		"box.font":            "; it takes a size and a family, such as 48px Lora; for the family alone there is fontFamily",
		"box.lineHeight":      "; it takes a number, such as 1.2, or a length, such as 24px",
		"box.gradient":        "did you mean box.backgroundImage?",
		"box.fontFamily":      "; it takes names of fonts, such as Lora; one with a word that begins with a digit stands in quotes",
		"box.animationName":   "",
		"box.fontWeight":      "; it takes normal, bold or a number, such as 700",
		"box.shadow":          "did you mean box.boxShadow?",
		"box.font-colour":     "did you mean box.backgroundColor?",
		"box.bold":            "did you mean box.fontWeight?",
		"box.visible":         "did you mean box.visibility?",
		"box.hide":            "did you mean box.visibility?",
	}
	b := start(t)
	for key, c := range map[string]struct {
		value any
		want  []string
	}{
		"box.margin":            {"1px 2.5 -3 auto", []string{`Modification box.margin: "1px 2.5 -3 auto" is no value of the CSS property margin`}},
		"canvasBackgroundColor": {"bleu", []string{`Modification canvasBackgroundColor: "bleu" is no CSS colour or gradient`}},
		"canvasBackgroundImage": {"foo.png", []string{`Modification canvasBackgroundImage: "foo.png" is no image URL`}},
		"box.backgroundColor":   {"#12345", []string{`Modification box.backgroundColor: "#12345" is no value of the CSS property background-color`}},
		"box.background-color":  {"red !important", []string{`Modification box.background-color: "red !important" is no value of the CSS property background-color`}},
		"box.marginTop":         {80.0, []string{"Modification box.marginTop: 80 is no value of the CSS property margin-top"}},
		"box.dropShadowX":       {"far", []string{`Modification box.dropShadowX: "far" is no length`}},
		"box.svgColor":          {"bleu", []string{`Modification box.svgColor: "bleu" is no value of the CSS property color`}},
		"box.prompt":            {"A sunset", []string{"Modification box.prompt is ignored: no model is connected"}},
		"box.muted":             {true, []string{"Modification box.muted names no CSS property"}},
		"box.size":              {"40px", []string{"Modification box.size names no CSS property"}},
		"box.pageOrientation":   {"upright", []string{"Modification box.pageOrientation names no CSS property"}},
		"box.backgroundCollor":  {"red", []string{"Modification box.backgroundCollor names no CSS property"}},
		"box.cssText":           {"background: red", []string{"Modification box.cssText names no CSS property"}},
		"box.webkitLineClamp":   {"many", []string{`Modification box.webkitLineClamp: "many" is no value of the CSS property -webkit-line-clamp`}},
		"box.width":             {"wide", []string{`Modification box.width: "wide" is no value of the CSS property width`}},
		"box.verticalAlign":     {"48px", []string{`Modification box.verticalAlign: "48px" is no vertical alignment`}},
		"box.background":        {"redd", []string{`Modification box.background: "redd" is no value of the CSS property background`}},
		"box.bg":                {"linear-gradient(red blue)", []string{`Modification box.bg: "linear-gradient(red blue)" is no value of the CSS property background`}},
		"box.backgroundImage":   {"https://example.com/a.png", []string{`Modification box.backgroundImage: "https://example.com/a.png" is no value of the CSS property background-image`}},
		"box.border":            {"redd", []string{`Modification box.border: "redd" is no value of the CSS property border`}},
		"box.borderTop":         {"2 solid red", []string{`Modification box.borderTop: "2 solid red" is no value of the CSS property border-top`}},
		"box.outlineColor":      {"redd", []string{`Modification box.outlineColor: "redd" is no value of the CSS property outline-color`}},
		"box.textDecoration":    {"underlined", []string{`Modification box.textDecoration: "underlined" is no value of the CSS property text-decoration`}},
		"box.boxShadow":         {"redd", []string{`Modification box.boxShadow: "redd" is no value of the CSS property box-shadow`}},
		"box.lineHeight":        {"1,2", []string{`Modification box.lineHeight: "1,2" is no value of the CSS property line-height`}},
		"box.gradient":          {"red", []string{"Modification box.gradient names no CSS property"}},
		"box.fontFamily":        {"Press Start 2P", []string{`Modification box.fontFamily: "Press Start 2P" is no value of the CSS property font-family`}},
		"box.animationName":     {"2p", []string{`Modification box.animationName: "2p" is no value of the CSS property animation-name`}},
		"box.textAlign":         {"middle", []string{`Modification box.textAlign: "middle" is no value of the CSS property text-align`}},
		"box.display":           {"hidden", []string{`Modification box.display: "hidden" is no value of the CSS property display`}},
		"box.filter":            {"blur", []string{`Modification box.filter: "blur" is no value of the CSS property filter`}},
		"box.transform":         {45.0, []string{"Modification box.transform: 45 is no value of the CSS property transform"}},
		"box.font":              {"Arial", []string{`Modification box.font: "Arial" is no value of the CSS property font`}},
		"box.fontWeight":        {"fat", []string{`Modification box.fontWeight: "fat" is no value of the CSS property font-weight`}},
		"box.opacity":           {50.0, []string{"Modification box.opacity: 50 is shown as 1"}},
		"box.shadow":            {"1px 1px red", []string{"Modification box.shadow names no CSS property"}},
		"box.font-colour":       {"red", []string{"Modification box.font-colour names no CSS property"}},
		"box.bold":              {true, []string{"Modification box.bold names no CSS property"}},
		"box.visible":           {false, []string{"Modification box.visible names no CSS property"}},
		"box.hide":              {true, []string{"Modification box.hide names no CSS property"}},
		"box.cssFloat":          {"left", nil},
		"box.height":            {nil, nil},
		"box.color":             {"", nil},
	} {
		t.Run(key, func(t *testing.T) {
			picture := task("png", page)
			picture.Modifications = map[string]any{key: c.value}
			outputs, warnings := run(t, b, picture)
			want, ok := hints[key]
			if !strings.HasPrefix(want, "did you mean") {
				want = "the template's own style is kept" + want
			}
			if ok && (len(warnings) != 1 || warnings[0].Details != want) {
				t.Errorf("details %v, want %s", warnings, want)
			}
			if diff := cmp.Diff(c.want, titlesOf(warnings), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			img, _ := decode(t, outputs[0].Data)
			if !near(img, 100, 80, color.RGBA{255, 0, 0, 255}) || !near(img, 49, 49, color.RGBA{0, 255, 0, 255}) || !near(img, 52, 20, color.RGBA{255, 0, 0, 255}) {
				t.Errorf("the page is %v, its box %v, beside it %v", img.At(100, 80), img.At(49, 49), img.At(52, 20))
			}
		})
	}
}

// docs/templates/values.md says which values are true.
func TestWhatDataIfTakesForTrue(t *testing.T) {
	const page = `<body style="margin:0"><div data-if="x" style="width:50px;height:50px;background:rgb(255,0,0)"></div><div data-each="rows"><b data-if="!x"></b></div>`
	b := start(t)
	for name, c := range map[string]struct {
		value any
		shown bool
		want  []string
	}{
		"true": {value: true, shown: true}, "false": {value: false}, "null": {}, "zero": {value: 0.0}, "another number": {value: -1.0, shown: true},
		"no text": {value: ""}, "text": {value: "none", shown: true}, "no items": {value: []any{}}, "items": {value: []any{0.0}, shown: true},
		"an object":     {value: map[string]any{}, shown: true},
		"false as text": {value: " False", shown: true, want: []string{`data-if="!x" is false: x is the text " False"`, `data-if="x" is true: x is the text " False"`}},
		"no as text":    {value: "no", shown: true, want: []string{`data-if="!x" is false: x is the text "no"`, `data-if="x" is true: x is the text "no"`}},
		"off as text":   {value: "OFF", shown: true, want: []string{`data-if="!x" is false: x is the text "OFF"`, `data-if="x" is true: x is the text "OFF"`}},
		"zero as text":  {value: "0", shown: true, want: []string{`data-if="!x" is false: x is the text "0"`, `data-if="x" is true: x is the text "0"`}},
	} {
		t.Run(name, func(t *testing.T) {
			picture := task("png", page)
			picture.Modifications = map[string]any{"x": c.value, "rows": []any{1.0, 2.0}}
			outputs, warnings := run(t, b, picture)
			if diff := cmp.Diff(c.want, titlesOf(warnings), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			img, _ := decode(t, outputs[0].Data)
			if shown := near(img, 20, 20, color.RGBA{255, 0, 0, 255}); shown != c.shown {
				t.Errorf("shown: %v", shown)
			}
		})
	}
}

// No declaration reaches into a list or an object, so the advice about a text that says false leaves it out there, and names the item.
func TestATextThatSaysFalseInAFieldIsNamed(t *testing.T) {
	picture := task("png", `<ul><li data-each="rows"><b data-if="item.sold">x</b><b data-if="new">x</b></li></ul><p data-if="order.paid">x</p><p data-if="late">x</p>`)
	picture.Pages[0].Height = 600
	picture.Modifications = map[string]any{
		"rows":  []any{map[string]any{"sold": true, "new": false}, map[string]any{"sold": "false", "new": "no"}},
		"order": map[string]any{"paid": "off"}, "late": "no",
	}
	_, warnings := run(t, start(t), picture)
	const ofField = "every text but the empty one is true; give the boolean false, without quotes"
	want := []render.Warning{
		{Title: `rows[1]: data-if="item.sold" is true: item.sold is the text "false"`, Details: ofField},
		{Title: `rows[1]: data-if="new" is true: new is the text "no"`, Details: ofField},
		{Title: `data-if="order.paid" is true: order.paid is the text "off"`, Details: ofField},
		{Title: `data-if="late" is true: late is the text "no"`, Details: "every text but the empty one is true; give the boolean false, or declare the parameter as boolean"},
	}
	if diff := cmp.Diff(want, warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

// The address of a picture is taken within url(), too, as a style has it; and a key that names what an element shows is told from a style.
func TestNamesAndValuesOfOtherTools(t *testing.T) {
	const green = `data:image/svg+xml,<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9" fill="lime"/></svg>`
	picture := task("png", `<body style="margin:0"><p data-param="title">x</p><img id="logo" data-param="photo" alt=""><i data-each="rows" data-param="item"></i>`)
	picture.Modifications = map[string]any{"rows": []any{"a"}, "item.text": "b", "canvasBackgroundImage": " url('" + green + "') ", "title.text": "New", "logo.src": "https://example.com/a.png"}
	outputs, warnings := run(t, start(t), picture)
	if img, _ := decode(t, outputs[0].Data); !near(img, 150, 90, color.RGBA{0, 255, 0, 255}) {
		t.Errorf("the background is %v", img.At(150, 90))
	}
	want := []render.Warning{
		{Title: "Modification item.text names no CSS property"}, // item is no key
		{Title: "Modification logo.src names no CSS property", Details: "to change what the element shows, give photo"},
		{Title: "Modification title.text names no CSS property", Details: "to change what the element shows, give title"},
	}
	slices.SortFunc(warnings, func(a, b render.Warning) int { return strings.Compare(a.Title, b.Title) })
	if diff := cmp.Diff(want, warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestItemsThatDoNotFitThePageAreNamed(t *testing.T) {
	b := start(t)
	const emptyGIF = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
	acts := func(list string) string {
		return `<p data-each="days"><i data-each="` + list + `"><b data-param="name">x</b></i></p>`
	}
	const fields, whole = `<li data-each="rows"><b data-param="name">NAME</b> <i data-param="price">0</i></li>`, `<li data-each="rows" data-param="item">x</li>`
	for _, c := range []struct {
		name, page, modifications string
		want                      []string
	}{
		{"texts for objects", fields, `{"rows": ["a", "b"]}`, []string{"rows[0]: this page shows fields of each item, name and price, and this item is a text"}},
		{"a text among objects", fields, `{"rows": [{"name": "a", "price": 1}, 7]}`, []string{"rows[1]: this page shows fields of each item, name and price, and this item is a number"}},
		{"lists for objects", fields, `{"rows": [["a", 1]]}`, []string{"rows[0]: this page shows fields of each item, name and price, and this item is a list"}},
		{"lists by index", `<li data-each="rows"><b data-param="0">NAME</b></li>`, `{"rows": [["a", 1]]}`, nil},
		{"the list's name", `<li data-each="rows"><b data-param="rows.name">NAME</b></li>`, `{"rows": [{"name": "a"}]}`, []string{`data-param="rows.name" shows no value: within data-each="rows", a field of an item has its name alone`}},
		{"a value of a video", `<video data-param="rows"></video>`, `{"rows": "x"}`, []string{`data-param="rows" shows nothing: the element video has no text`}},
		{"null for an object", fields, `{"rows": [null]}`, []string{"rows[0]: this page shows fields of each item, name and price, and this item is null"}},
		{"null for a text", whole, `{"rows": ["a", null]}`, []string{"rows[1]: this page shows each item, and this item is null"}},
		{"an object for a text", whole, `{"rows": [{"x": 1}]}`, []string{`data-param="item" shows {"x":1}, which is an object`}},
		{"a list for a text", `<p data-param="headline">`, `{"headline": ["a"]}`, []string{`data-param="headline" shows ["a"], which is a list`}},
		{"fields by item", `<li data-each="rows"><b data-param="item.name">NAME</b></li>`, `{"rows": ["a"]}`, []string{"rows[0]: this page shows fields of each item, name, and this item is a text"}},
		{"a list in an item", `<ul data-each="rows"><li data-each="tags" data-param="item">x</li></ul>`, `{"rows": ["a"]}`, []string{"rows[0]: this page shows fields of each item, tags, and this item is a text"}},
		{"a text for an object", `<p data-param="order.total">0</p><p data-param="order.total">0</p>`, `{"order": "x"}`, []string{`data-param="order.total" shows no value: order is "x", which is a text`}},
		{"a list for an object", `<p data-param="order.total">0</p>`, `{"order": [1]}`, []string{`data-param="order.total" shows no value: order is [1], which is a list`}},
		{"a number for a field with fields", `<li data-each="rows"><b data-param="item.price.net">0</b><a data-param-href="page.link">x</a></li>`, `{"rows": [{"price": 3, "page": true}]}`,
			[]string{`data-param="item.price.net" shows no value: item.price is 3, which is a number`, `data-param-href="page.link" shows no value: page is true, which is true or false`}},
		{"a text for an object with a list", `<li data-each="order.lines" data-param="item">x</li>`, `{"order": "x"}`, []string{`data-each="order.lines" shows no value: order is "x", which is a text`}},
		{"an object without the field, or a list with fewer items", `<p data-param="order.total">0</p><p data-param="rows.3">0</p>`, `{"order": {}, "rows": [1]}`, nil},
		{"a field that is given by itself", `<p data-param="order.total">0</p>`, `{"order": "x", "order.total": 1}`, nil},
		{"items that fit", fields, `{"rows": [{"name": "a", "price": 1}]}`, nil},
		{"texts that fit", whole, `{"rows": ["a", 1, false]}`, nil},
		{"values from outside", `<p data-each="rows"><b data-param="item"></b><i data-param="unit">kg</i></p>`, `{"rows": [1], "unit": "g"}`, nil},
		{"no value from outside", `<p data-each="rows"><b data-param="item"></b><i data-param="unit">kg</i></p>`, `{"rows": [1]}`, nil},
		{"lists in lists that fit", `<ul data-each="rows"><li data-each="item.tags"><b data-param="item">x</b><i data-param="unit">kg</i></li></ul>`, `{"rows": [{"tags": ["a"]}]}`, nil},
		{"an item without a field of the others", fields, `{"rows": [{"name": "a", "price": 1}, {"name": "b"}, {"name": "c", "price": null}]}`, []string{"rows[1]: this page shows price of each item, and this item has none"}},
		{"two fields that others have", fields, `{"rows": [{"name": "a"}, {"price": 1}]}`, []string{"rows[0]: this page shows price of each item, and this item has none", "rows[1]: this page shows name of each item, and this item has none"}},
		{"by item, and a picture", `<p data-each="rows"><b data-param="item.name">x</b><img data-param="photo" src="` + emptyGIF + `"></p>`, `{"rows": [{"photo": "` + emptyGIF + `"}, {"name": "b"}]}`,
			[]string{"rows[0]: this page shows name of each item, and this item has none", "rows[1]: this page shows photo of each item, and this item has none"}},
		{"a list in an item that lacks a field", `<p data-each="groups"><b data-param="name">x</b><i data-each="rows"><b data-param="name">x</b></i></p>`, `{"groups": [{"name": "a", "rows": []}, {"rows": [{"name": "b"}]}]}`, []string{"groups[1]: this page shows name of each item, and this item has none"}},
		{"a text in a list of an item", acts("acts"), `{"days": [{"acts": [{"name": "a"}]}, {"acts": ["b"]}]}`, []string{"days[1].acts[0]: this page shows fields of each item, name, and this item is a text"}},
		{"a text in a list of an item, by item", acts("item.acts"), `{"days": [{"acts": [{"name": "a"}]}, {"acts": ["b"]}]}`, []string{"days[1].acts[0]: this page shows fields of each item, name, and this item is a text"}},
		{"a text in a list of a list", acts("item"), `{"days": [[{"name": "a"}], ["b"]]}`, []string{"days[1][0]: this page shows fields of each item, name, and this item is a text"}},
		{"a text in a list beside the items", acts("acts"), `{"days": [{}, {}], "acts": ["b"]}`, []string{"acts[0]: this page shows fields of each item, name, and this item is a text"}},
		{"no field in a list of an item", acts("acts"), `{"days": [{"acts": []}, {"acts": [{"name": "a"}, {"x": 1}]}]}`, []string{"days[1].acts[1]: this page shows name of each item, and this item has none"}},
		{"a field that items of another inner list have", acts("acts"), `{"days": [{"acts": [{"name": "a"}]}, {"acts": [{"x": 1}]}]}`, []string{"days[1].acts[0]: this page shows name of each item, and this item has none"}},
		{"a field that items of a list beside have", acts("acts"), `{"days": [{"acts": [{"x": 1}]}, {}], "acts": [{"name": "a"}, {"name": "b"}]}`, nil},
		{"no list in an item", acts("acts"), `{"days": [{"acts": []}, {"acts": "x"}]}`, []string{`days[1].acts: data-each="acts" shows nothing: "x" is no list`}},
		{"false in a list of an item", `<p data-each="days"><i data-each="acts"><b data-if="sold">x</b></i></p>`, `{"days": [{}, {"acts": [{"sold": "no"}]}]}`, []string{`days[1].acts[0]: data-if="sold" is true: sold is the text "no"`}},
		{"false of an item in its list", `<p data-each="days"><i data-each="acts"><b data-if="sold">x</b></i></p>`, `{"days": [{}, {"sold": "no", "acts": [{}]}]}`, []string{`days[1]: data-if="sold" is true: sold is the text "no"`}},
		{"false beside a list", `<p data-each="rows"><b data-if="order.paid">x</b></p>`, `{"rows": [{"order": {}}], "order": {"paid": "no"}}`, []string{`data-if="order.paid" is true: order.paid is the text "no"`}},
		{"null among objects", fields, `{"rows": [{"name": "a", "price": 1}, null]}`, []string{"rows[1]: this page shows fields of each item, name and price, and this item is null"}},
		{"a field that no item has", fields, `{"rows": [{"name": "a"}, {"name": "b"}]}`, nil},
		{"a field that data-if asks for", `<li data-each="rows"><b data-param="name"></b><i data-if="price">for <i data-param="price">0</i></i></li>`, `{"rows": [{"name": "a", "price": 1}, {"name": "b"}]}`, nil},
		{"a field that is empty", fields, `{"rows": [{"name": "a", "price": 1}, {"name": "b", "price": ""}]}`, nil},
		{"a field in whose place is nothing", `<li data-each="rows"><b data-param="name"></b><img data-param="photo" alt=""></li>`, `{"rows": [{"name": "a", "photo": "` + emptyGIF + `"}, {"x": 1}]}`, nil},
		{"a field from outside", fields, `{"rows": [{"name": "a", "price": 1}, {"name": "b"}], "price": 2}`, nil},
		{"nothing of the item", `<p data-each="rows">row <i data-param="unit">kg</i></p>`, `{"rows": [1], "unit": "g"}`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			picture := task("png", c.page)
			if err := json.Unmarshal([]byte(c.modifications), &picture.Modifications); err != nil {
				t.Fatal(err)
			}
			_, warnings := run(t, b, picture)
			if !slices.Equal(titlesOf(warnings), c.want) {
				t.Errorf("warnings %v, want %v", warnings, c.want)
			}
		})
	}
}

func TestAValueIsShownInAField(t *testing.T) {
	b := start(t)
	const dot = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
	for _, c := range []struct {
		page  string
		value any
		// shown is an expression that tells what the page shows, which is green if it is true.
		shown    string
		warnings []string
	}{
		{`<input id=a data-param="v" value="x">`, "new", `a.value === 'new'`, nil},
		{`<input id=a data-param="v" type=number>`, 7.0, `a.value === '7'`, nil},
		{`<input id=a data-param="v" type=number value=3>`, "many", `a.value === '3'`, []string{`Modification v: "many" is no value of an input of the type number`}},
		{`<input id=a data-param="v" type=checkbox>`, true, `a.checked`, nil},
		{`<input id=a data-param="v" type=checkbox checked>`, false, `!a.checked`, nil},
		{`<input id=a data-param="v" type=checkbox>`, "no", `a.checked`, []string{`data-param="v" is true: v is the text "no"`}},
		{`<input data-param="v" type=radio name=r value=s checked><input id=a data-param="v" type=radio name=r value=m>`, "m", `a.checked`, nil},
		{`<input id=a data-param="v" type=image>`, dot, `a.src.endsWith('ggg==')`, nil},
		{`<textarea id=a data-param="v">x</textarea>`, "a\nb", `a.value === 'a\nb'`, nil},
		{`<select id=a data-param="v"><option value=s>Small<option value=m>Middle</select>`, "m", `a.value === 'm'`, nil},
		{`<select id=a data-param="v"><option value=s>Small<option value=m>Middle</select>`, "Middle", `a.value === 'm'`, nil},
		{`<select id=a data-param="v"><option value=s>Small</select>`, "l", `a.value === 's'`, []string{`Modification v: "l" is no value of the select: it is none of its options`}},
		{`<meter id=a data-param="v" max=10></meter>`, "7.5", `a.value === 7.5`, nil},
		{`<progress id=a data-param="v" max=10></progress>`, 4.0, `a.value === 4`, nil},
		{`<progress id=a data-param="v" value=1 max=10></progress>`, "half", `a.value === 1`, []string{`Modification v: "half" is no value of a progress, which shows a number`}},
		{`<svg><image id=a data-param="v" width=9 height=9 /></svg>`, dot, `a.href.baseVal.endsWith('ggg==')`, nil},
	} {
		picture := task("png", `<!doctype html><body style="margin:0;background:#f00">`+c.page+`<script>onload = () => { if (`+c.shown+`) document.body.style.background = '#0f0' }</script>`)
		picture.Modifications = map[string]any{"v": c.value}
		outputs, warnings := run(t, b, picture)
		if img, _ := decode(t, outputs[0].Data); !near(img, 195, 95, green255) || !slices.Equal(titlesOf(warnings), c.warnings) {
			t.Errorf("%s: %v shows %v, warnings %v", c.page, c.value, img.At(195, 95), warnings)
		}
	}
}

func TestAListThatIsNoneIsNamed(t *testing.T) {
	picture := task("png", `<p data-each="points" data-param="item">x</p>`)
	for value, want := range map[any][]string{nil: nil, "": nil, "a, b": {`data-each="points" shows nothing: "a, b" is no list`}, false: {`data-each="points" shows nothing: false is no list`}} {
		picture.Modifications = map[string]any{"points": value}
		if _, warnings := run(t, start(t), picture); !slices.Equal(titlesOf(warnings), want) {
			t.Errorf("%v: warnings %v", value, warnings)
		}
	}
	// Some clients send a list as a text.
	picture.Modifications = map[string]any{"points": `["a", "b"]`}
	if _, warnings := run(t, start(t), picture); len(warnings) != 1 || !strings.HasPrefix(warnings[0].Details, "it is a text: give the list without quotes") {
		t.Errorf("a list in a text: warnings %v", warnings)
	}
}

// A modification with the name of an element changes nothing: only data-param shows a value.
func TestAnIDIsNoParameter(t *testing.T) {
	picture := task("png", `<p id="headline">x</p>`)
	picture.Modifications = map[string]any{"headline": "y"}
	if _, warnings := run(t, start(t), picture); len(warnings) != 1 || warnings[0].Title != "Modification headline is not used by the page" {
		t.Errorf("warnings %v", warnings)
	}
}

func TestPagesAreEmittedInOrder(t *testing.T) {
	b := start(t)
	slow := `<body><script>for (let i = 0, sum = 0; i < 3e8; i++) sum += i;</script></body>`
	outputs, _ := run(t, b, task("png", slow, red, slow, red))
	for i, o := range outputs {
		if o.Page != i+1 {
			t.Fatalf("output %d is page %d", i, o.Page)
		}
	}
	if len(outputs) != 4 {
		t.Fatalf("got %d outputs", len(outputs))
	}
}

// arriving is a page with a box that slides in within a minute, and one that spins for ever.
const arriving = `<style>body{margin:0} div{width:40px;height:40px;background:rgb(255,0,0)} #in{animation:in 60s both} #spin{animation:spin 3s infinite linear}
	@keyframes in{from{opacity:0;transform:translateX(-100px)}} @keyframes spin{to{transform:rotate(360deg)}}</style><div id=in></div><div id=spin></div>`

func TestStillsShowHowAnimationsEnd(t *testing.T) {
	outputs, _ := run(t, start(t), task("png", arriving))
	img, _ := decode(t, outputs[0].Data)
	for _, y := range []int{2, 38, 42, 78} {
		if !near(img, 2, y, color.RGBA{255, 0, 0, 255}) {
			t.Errorf("at 2,%d: %v", y, img.At(2, y))
		}
	}
}

func TestSameInputSameBytes(t *testing.T) {
	first, second := start(t), start(t)
	for _, format := range []string{"png", "jpeg", "webp", "avif", "pdf", "mp4", "gif"} {
		t.Run(format, func(t *testing.T) {
			document := film(format, "<h1>Hello</h1>", arriving)
			document.PDF.Title, document.Video.Seconds = "Hello", 0.5
			one, _ := run(t, first, document)
			<-time.After(time.Second) // dates in a PDF have seconds
			two, _ := run(t, second, document)
			if len(one) == 0 || len(one) != len(two) {
				t.Fatalf("%d and %d files", len(one), len(two))
			}
			for i := range one {
				if !bytes.Equal(one[i].Data, two[i].Data) {
					t.Errorf("two renders of page %d differ", one[i].Page)
				}
			}
		})
	}
}

func TestTooManyPixelsAreAnInvalidTask(t *testing.T) {
	b, err := New(Options{MaxPixels: 1000})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Render(t.Context(), task("png", red), discard)
	problem := (*render.Error)(nil)
	if !errors.As(err, &problem) || problem.Reason != render.ReasonInvalidTask {
		t.Errorf("got %v", err)
	}
	if b.supervisor.running() != nil {
		t.Error("a browser was started")
	}
}

func TestEachExtraSizeIsLaidOut(t *testing.T) {
	b := start(t)
	const halves = `<style>body{margin:0} div{width:50vw;height:100vh;background:rgb(255,0,0)}</style><div></div>`
	sizes := task("png", halves, red)
	sizes.Scale = 2
	sizes.ExtraSizes = []render.Size{{Name: "wide", Width: 400, Height: 50}, {Name: "high", Width: 50, Height: 300}}
	sizes.Modifications = map[string]any{"nothing": 1}
	outputs, warnings := run(t, b, sizes)
	for i, want := range sizes.Files() {
		if i >= len(outputs) || outputs[i].ID != want.ID {
			t.Fatalf("file %d of %d: want %+v", i, len(outputs), want)
		}
	}
	for i, want := range map[int]image.Point{0: {X: 400, Y: 200}, 2: {X: 800, Y: 100}, 4: {X: 100, Y: 600}} {
		img, _ := decode(t, outputs[i].Data)
		if img.Bounds().Size() != want || outputs[i].Width != want.X || outputs[i].Height != want.Y {
			t.Errorf("%+v is %v and reported as %dx%d, want %v", outputs[i].ID, img.Bounds(), outputs[i].Width, outputs[i].Height, want)
		}
		if !near(img, want.X/2-4, want.Y/2, color.RGBA{255, 0, 0, 255}) || !near(img, want.X/2+4, want.Y/2, color.RGBA{255, 255, 255, 255}) {
			t.Errorf("%+v has the layout of another size", outputs[i].ID)
		}
	}
	if len(warnings) != 1 {
		t.Errorf("got %d warnings, want 1 for all sizes", len(warnings))
	}
}

func BenchmarkWarmPNG(b *testing.B) {
	browser, err := New(Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(browser.Close)
	card := task("png", `<body style="margin:0;background:linear-gradient(135deg,#123,#48c);font:60px sans-serif;color:#fff"><h1 style="text-shadow:2px 2px 8px #000">Hello World</h1>`)
	card.Pages[0].Width, card.Pages[0].Height = 1200, 630
	if err := browser.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := browser.Render(b.Context(), card, discard); err != nil {
			b.Fatal(err)
		}
	}
}

var discard = render.SinkFunc(func(context.Context, file.File, []byte) error { return nil })

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}
