// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platen-dev/platen/internal/render"
)

var (
	red255   = color.RGBA{255, 0, 0, 255}
	green255 = color.RGBA{0, 255, 0, 255}
	blue255  = color.RGBA{0, 0, 255, 255}
	white255 = color.RGBA{255, 255, 255, 255}
)

// The styles of docs/templates/styles.md, as pixels of a page of 200x100.
func TestStyles(t *testing.T) {
	const (
		box     = `<body style="margin:0;background:#fff"><div id="a" style="width:50px;height:50px;background:#00f"></div>`
		text    = `<body style="margin:0;background:#fff"><div id="a" style="font:100px/100px monospace;color:#00f;height:100px">██</div>`
		two     = `<title data-param="a">x</title><body style="margin:0;background:#fff"><p data-param="a" style="margin:0 0 10px;width:50px;height:40px;background:#00f">x</p><p data-param="a" style="margin:0;width:50px;height:40px;background:#00f">x</p>`
		list    = `<body style="margin:0;background:#fff"><p data-each="list" data-param="item" style="margin:0;width:50px;height:40px;background:#00f">x</p>`
		svg     = `<body style="margin:0;background:#fff"><svg id="a" width="100" height="100" style="display:block"><rect width="50" height="100" fill="#00f"/><path d="M50 0h50v100h-50z" fill="none"/></svg>`
		drawing = `<body style="margin:0;background:#fff"><svg width="200" height="100" style="display:block">`
		outline = `<body style="margin:0;background:#fff"><svg id="a" width="100" height="100" style="display:block" fill="none" stroke="currentColor" stroke-width="10">`
		img     = `<body style="margin:0;background:#fff"><img id="a" style="display:block" src="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='100' height='100'%3E%3Crect width='50' height='100'/%3E%3C/svg%3E">`
		low     = `<body style="margin:0;background:#fff"><p id="a" style="margin:0;height:100px;width:100px;background:#eee"><b style="display:inline-block;width:20px;height:20px;background:#00f;vertical-align:top"></b></p>`
	)
	const (
		half   = `data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='20' height='10'%3E%3Crect width='10' height='10' fill='red'/%3E%3C/svg%3E`
		halves = `data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='20' height='10'%3E%3Crect width='10' height='10' fill='red'/%3E%3Crect x='10' width='10' height='10' fill='lime'/%3E%3C/svg%3E`
	)
	type at map[image.Point]color.RGBA
	b := start(t)
	for name, c := range map[string]struct {
		page   string
		values map[string]any
		want   at
	}{
		"against what is important": {`<style>#a { background: #00f !important }</style>` + box, map[string]any{"a.backgroundColor": "#f00"}, at{{25, 25}: red255}},
		"under what is animated": {
			`<style>@keyframes b { from, to { background: #0f0 } } #a { animation: b 1s both }</style>` + box, map[string]any{"a.backgroundColor": "#f00"}, at{{25, 25}: green255},
		},
		"with a transition":               {`<style>#a { transition: all 1s }</style>` + box, map[string]any{"a.backgroundColor": "#f00"}, at{{25, 25}: red255}},
		"behind a page that is important": {`<style>body { background: #00f !important }</style>`, map[string]any{"canvasBackgroundColor": "#f00"}, at{{25, 25}: red255}},
		"a gradient over the page": {
			`<p style="margin:0">x`, map[string]any{"canvasBackgroundColor": "linear-gradient(#f00 50%, #0f0 50%)"}, at{{150, 5}: red255, {150, 45}: red255, {150, 55}: green255, {150, 95}: green255},
		},
		"a picture over the page":              {`<p>x`, map[string]any{"canvasBackgroundImage": halves}, at{{10, 95}: red255, {190, 5}: green255}},
		"a picture over a colour":              {`<p>x`, map[string]any{"canvasBackgroundImage": halves, "canvasBackgroundColor": "#00f"}, at{{10, 95}: red255, {190, 5}: green255}},
		"a picture over a page's background":   {`<style>html { background: #00f }</style><p>x`, map[string]any{"canvasBackgroundImage": halves}, at{{10, 95}: red255, {190, 5}: green255}},
		"a picture with a gap":                 {`<body style="background:#00f"><p>x`, map[string]any{"canvasBackgroundImage": half}, at{{10, 95}: red255, {190, 5}: blue255}},
		"a picture with a gap over a gradient": {`<p>x`, map[string]any{"canvasBackgroundImage": half, "canvasBackgroundColor": "linear-gradient(#0f0 50%, #00f 50%)"}, at{{10, 95}: red255, {190, 5}: green255, {190, 95}: blue255}},
		"moved":                                {box, map[string]any{"a.x": 100.0, "a.Y": "20"}, at{{25, 25}: white255, {105, 25}: blue255, {105, 15}: white255, {149, 69}: blue255}},
		"moved with unit":                      {box, map[string]any{"a.x": "2em"}, at{{30, 10}: white255, {34, 10}: blue255, {83, 10}: white255}},
		"resized":                              {box, map[string]any{"a.width": 80.0, "a.height": "10px"}, at{{79, 5}: blue255, {81, 5}: white255, {5, 12}: white255}},
		"moved and resized":                    {box, map[string]any{"a.x": 10.0, "a.width": 20.0}, at{{9, 5}: white255, {29, 5}: blue255, {31, 5}: white255}},
		"turned":                               {box, map[string]any{"a.rotation": 45.0}, at{{25, 25}: blue255, {1, 1}: white255, {58, 25}: blue255}},
		"any case":                             {box, map[string]any{"a.BACKGROUNDCOLOR": "#f00"}, at{{25, 25}: red255}},
		"of all that show a value":             {two, map[string]any{"a.backgroundColor": "#f00"}, at{{45, 25}: red255, {45, 75}: red255}},
		"of each item":                         {list, map[string]any{"list": []any{"x", "y"}, "item.backgroundColor": "#f00"}, at{{45, 25}: red255, {45, 60}: red255}},
		"filled":                               {box, map[string]any{"a.fill": "#f00"}, at{{25, 25}: red255}},
		"filled with a gradient":               {box, map[string]any{"a.fill": "linear-gradient(90deg, #f00 50%, #0f0 50%)"}, at{{10, 25}: red255, {40, 25}: green255}},
		"filled text":                          {text, map[string]any{"a.fill": "#f00"}, at{{30, 50}: red255}},
		"gradient text":                        {text, map[string]any{"a.color": "linear-gradient(90deg, #f00 30px, #0f0 30px)"}, at{{15, 50}: red255, {50, 50}: green255}},
		"filled SVG":                           {svg, map[string]any{"a.fill": "#f00"}, at{{25, 50}: red255, {75, 50}: white255}},
		"recoloured SVG":                       {svg, map[string]any{"a.svgColor": "#0f0"}, at{{25, 50}: green255, {75, 50}: white255}},
		"filled SVG of a style sheet":          {`<style>#a rect { fill: #00f } #a path { stroke: #00f; stroke-width: 8px }</style>` + svg, map[string]any{"a.fill": "#f00"}, at{{25, 50}: red255, {75, 50}: white255, {52, 50}: blue255}},
		"an outline of a style sheet":          {outline + `<g style="stroke:#00f"><path d="M20 50h60"/></g></svg>`, map[string]any{"a.stroke": "#f00"}, at{{50, 50}: red255, {50, 25}: white255}},
		"a drawing with a mask":                {`<body style="margin:0"><svg id="a" width="100" height="100"><mask id="m"><rect width="50" height="100" fill="#fff"/></mask><rect width="100" height="100" fill="#00f" mask="url(#m)"/></svg>`, map[string]any{"a.fill": "#f00"}, at{{25, 50}: red255, {75, 50}: white255}},
		"recoloured outline":                   {outline + `<circle cx="50" cy="50" r="30" stroke="#00f"/></svg>`, map[string]any{"a.svgColor": "#f00"}, at{{50, 20}: red255, {50, 50}: white255}},
		"recoloured outline of its colour":     {outline + `<circle cx="50" cy="50" r="30"/></svg>`, map[string]any{"a.svgColor": "#f00"}, at{{50, 20}: red255, {50, 50}: white255}},
		"a part of its own":                    {drawing + `<g id="m"><rect id="a" width="50" height="100"/><rect id="z" x="50" width="50" height="100"/></g></svg>`, map[string]any{"m.svgColor": "#00f", "a.fill": "#f00", "z.fill": "#0f0"}, at{{25, 50}: red255, {75, 50}: green255}},
		"recoloured and stroked":               {outline + `<circle cx="50" cy="50" r="30" fill="#0f0"/></svg>`, map[string]any{"a.svgColor": "#f00", "a.stroke": "#00f"}, at{{50, 20}: blue255, {50, 50}: red255}},
		"recoloured with what is not seen":     {`<style>.box { fill: transparent }</style>` + drawing + `<g id="a"><rect class="box" width="90" height="90"/><rect width="20" height="20"/></g></svg>`, map[string]any{"a.svgColor": "#f00"}, at{{10, 10}: red255, {50, 50}: white255}},
		"recoloured picture":                   {img, map[string]any{"a.svgColor": "#f00"}, at{{25, 50}: red255, {75, 50}: white255}},
		"with a border":                        {box, map[string]any{"a.borderWidth": 10.0, "a.borderColor": "#f00"}, at{{5, 25}: red255, {25, 25}: blue255, {65, 25}: red255}},
		"stroked":                              {box, map[string]any{"a.stroke": "#f00", "a.strokeWidth": 10.0}, at{{5, 25}: red255, {25, 25}: blue255}},
		"stroked text":                         {text, map[string]any{"a.textStrokeWidth": 20.0, "a.textStrokeColor": "#f00"}, at{{2, 50}: red255, {30, 50}: blue255}},
		"rounded":                              {box, map[string]any{"a.backgroundRadius": 25.0}, at{{2, 2}: white255, {25, 25}: blue255}},
		"with a shadow":                        {box, map[string]any{"a.dropShadowX": 60.0, "a.dropShadowColor": "#f00"}, at{{25, 25}: blue255, {80, 25}: red255, {80, 55}: white255}},
		"with a box shadow":                    {box, map[string]any{"a.boxShadowY": "30px", "a.boxShadowColor": "#0f0", "a.boxShadowSpread": 5.0}, at{{25, 25}: blue255, {52, 60}: green255, {25, 83}: green255}},
		"a shadow of the template":             {strings.Replace(box, "width:50px", "box-shadow:60px 0 0 0 #00f;width:50px", 1), map[string]any{"a.boxShadowColor": "#f00"}, at{{25, 25}: blue255, {80, 25}: red255, {80, 55}: white255}},
		"shadows of the template":              {strings.Replace(box, "width:50px", "box-shadow:60px 0 0 0 rgb(0 0 255 / .5), inset 0 0 0 9px #00f;width:50px", 1), map[string]any{"a.boxShadowColor": "#f00", "a.boxShadowY": 40}, at{{80, 25}: white255, {80, 60}: red255, {5, 45}: red255, {25, 45}: red255, {25, 55}: white255}},
		"a drop shadow of the template":        {strings.Replace(box, "width:50px", "filter:opacity(1) drop-shadow(60px 0 rgb(0 0 255));width:50px", 1), map[string]any{"a.dropShadowColor": "#f00", "a.dropShadowY": 30}, at{{25, 25}: blue255, {80, 25}: white255, {80, 55}: red255}},
		"a part of a drawing, turned":          {drawing + `<rect id="a" x="60" y="40" width="40" height="20" fill="#00f"/></svg>`, map[string]any{"a.rotation": 90}, at{{80, 35}: blue255, {65, 50}: white255}},
		"a moved part of a drawing, turned":    {drawing + `<g id="a" transform="translate(60 40)"><rect width="40" height="20" fill="#00f"/></g></svg>`, map[string]any{"a.rotate": "90deg"}, at{{80, 35}: blue255, {65, 50}: white255}},
		"a part of a drawing, scaled":          {drawing + `<rect id="a" x="60" y="40" width="40" height="20" fill="#00f"/></svg>`, map[string]any{"a.scale": 0.5}, at{{80, 50}: blue255, {65, 50}: white255, {35, 25}: white255}},
		"a part turned about a corner":         {`<style>#a { transform-origin: 60px 40px }</style>` + drawing + `<rect id="a" x="60" y="40" width="40" height="20" fill="#00f"/></svg>`, map[string]any{"a.rotation": 90}, at{{50, 60}: blue255, {80, 50}: white255}},
		"padded":                               {box, map[string]any{"a.paddingX": 20.0}, at{{85, 25}: blue255, {95, 25}: white255}},
		"at the bottom":                        {low, map[string]any{"a.verticalAlign": "bottom"}, at{{10, 10}: {0xee, 0xee, 0xee, 255}, {10, 90}: blue255}},
		"in the middle":                        {low, map[string]any{"a.verticalAlign": "middle"}, at{{10, 10}: {0xee, 0xee, 0xee, 255}, {10, 50}: blue255}},
	} {
		t.Run(name, func(t *testing.T) {
			picture := task("png", c.page)
			picture.Modifications = c.values
			outputs, warnings := run(t, b, picture)
			if len(warnings) > 0 {
				t.Errorf("warnings %v", warnings)
			}
			img, _ := decode(t, outputs[0].Data)
			for p, want := range c.want {
				if !near(img, p.X, p.Y, want) {
					t.Errorf("%v is %v, want %v", p, img.At(p.X, p.Y), want)
				}
			}
		})
	}
}

func TestALineBreakBeginsALine(t *testing.T) {
	b := start(t)
	for style, want := range map[string]int{"": 2, "white-space:nowrap": 2, "white-space:pre": 2} {
		picture := task("png", `<body style="margin:0;background:#fff"><div data-param="a" style="font:20px/40px monospace;color:#00f;`+style+`"></div>`)
		picture.Modifications = map[string]any{"a": "\u2588  \u2588\r\n\u2588"}
		outputs, warnings := run(t, b, picture)
		img, _ := decode(t, outputs[0].Data)
		lines := 0
		for _, y := range []int{20, 60} {
			if near(img, 5, y, blue255) {
				lines++
			}
		}
		if lines != want || len(warnings) > 0 {
			t.Errorf("%q: %d lines, %v", style, lines, warnings)
		}
	}
}

// documentedStyles returns the names in the first column of the table of docs/templates/styles.md.
func documentedStyles(t *testing.T) (names []string) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "templates", "styles.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*`) \\|").FindAllSubmatch(page, -1) {
		for _, name := range regexp.MustCompile("`([A-Za-z]+)`").FindAllSubmatch(row[1], -1) {
			names = append(names, string(name[1]))
		}
	}
	if len(names) < 30 {
		t.Fatalf("only %v", names)
	}
	return names
}

// A colour of text where there is none colours nothing, unless something else of the element takes it.
func TestAColourWithoutText(t *testing.T) {
	b := start(t)
	const circle, picture = `<div id="a" style="width:50px;height:50px;`, `<img id="a" alt="" src="data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==">`
	for page, instead := range map[string]string{
		`<svg><line id="a" x2="9" y2="9" stroke="#000"/></svg>`: "stroke", `<svg id="a" fill="none"><path stroke="#000" d="M0 0h9v9z"/><g></g></svg>`: "stroke",
		circle + `background:gold"></div>`: "backgroundColor", picture: "svgColor", strings.Replace(picture, "<img", `<img data-param="none"`, 1): "svgColor",
		`<svg><circle id="a" fill="teal" r="9"/></svg>`: "fill", `<svg id="a"><circle fill="teal" r="9"/></svg>`: "fill", `<svg id="a"><circle stroke="currentColor" r="9"/></svg>`: "",
		`<svg id="a">` + strings.Repeat(`<path/>`, 200) + `<path fill="currentColor"/></svg>`: "", `<svg id="a"><text>x</text></svg>`: "", `<svg><text id="a">x</text></svg>`: "", `<svg><symbol id="s"><path fill="currentColor"/></symbol><use id="a" href="#s"/></svg>`: "",
		`<svg id="a"><linearGradient id="g"><stop stop-color="currentColor"/></linearGradient><rect fill="url(#g)"/></svg>`: "",
		circle + `background:currentColor"></div>`: "", circle + `"><i style="border:1px solid"></i></div>`: "", circle + `"><i style="display:block;background:currentColor"></i></div>`: "",
		`<svg><path id="a" fill="currentColor" d="M0 0h9v9z"/></svg>`: "", circle + `border:1px solid"></div>`: "", circle + `box-shadow:0 0 9px currentColor"></div>`: "",
		circle + `background:linear-gradient(currentColor, white)"></div>`: "", circle + `"><svg><path fill="currentColor" d="M0 0h9v9z"/></svg></div>`: "",
		`<style>#a::before { content: "x" }</style>` + circle + `"></div>`: "", `<li id="a"></li>`: "", `<p id="a" data-param="none"></p>`: "",
		circle + `"></div><script></script>`: "", `<input id="a">`: "", circle + `">x</div>`: "", circle + `"><i></i></div>`: "",
		`<p id="a"><b data-if="sold">Sold</b></p>`: "", `<ul id="a"><li data-each="rows" data-param="item">x</li></ul>`: "", `<img id="a" alt="x">`: "", `<details id="a"></details>`: "",
		circle + `"></div><link rel="stylesheet" href="data:text/css,*{background:currentColor}">`: "", `<style>@import "data:text/css,*{background:currentColor}";</style>` + circle + `"></div>`: "",
		`<body onload="a.textContent = 1">` + circle + `"></div>`: "", circle + `"><template shadowrootmode="open">x</template></div>`: "",
		`<style>@keyframes k { to { background: currentColor } }</style>` + circle + `animation: k 1s 9s both"></div>`: "", circle + `mask-image:linear-gradient(currentColor, red)"></div>`: "",
	} {
		task := task("png", page)
		task.Modifications = map[string]any{"a.color": "red", "sold": false, "rows": []any{}}
		task.MayBeUnused = []string{"sold", "rows"}
		_, warnings := run(t, b, task)
		var want []render.Warning
		if instead != "" {
			want = []render.Warning{{Title: "Modification a.color colours nothing: the element has no text", Details: "did you mean a." + instead + "?"}}
		}
		if diff := cmp.Diff(want, warnings); diff != "" {
			t.Errorf("%s: warnings (-want +got):\n%s", page, diff)
		}
	}
}

// YAML takes the rest of a gradient for a comment.
func TestAValueThatYAMLHasCut(t *testing.T) {
	picture := task("png", `<p id="a">x</p>`)
	picture.Modifications = map[string]any{"a.background": "linear-gradient(90deg,", "canvasBackgroundColor": "linear-gradient(rgb(1 2 3),"}
	_, warnings := run(t, start(t), picture)
	const hint = " is kept; a bracket of it is not closed: in YAML, # after a space begins a comment, so put quotes around the value"
	want := []string{"the template's own background" + hint, "the template's own style" + hint}
	got := make([]string, 0, len(warnings))
	for _, w := range warnings {
		got = append(got, w.Details)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("details %q, want %q", got, want)
	}
}

// A shadow without an offset, a blur and a spread is hidden by its element.
func TestAShadowThatNobodySees(t *testing.T) {
	b := start(t)
	for style, given := range map[string]map[string]any{
		"":                        {"a.boxShadowColor": "red"},
		"box-shadow:0 0 9px blue": {"a.boxShadowColor": "red"},
		"border:1px solid":        {"a.boxShadowColor": "red", "a.boxShadowSpread": "calc(1px + 1px)"},
	} {
		var want []render.Warning
		if style == "" {
			want = []render.Warning{{Title: "Modification a.boxShadowColor shows nothing: the shadow is as large as its element", Details: "give it a.boxShadowBlur, too, for instance"}}
		}
		picture := task("png", `<p id="a" style="`+style+`">x</p>`)
		picture.Modifications = given
		if _, warnings := run(t, b, picture); !cmp.Equal(want, warnings) {
			t.Errorf("%q: %v", style, warnings)
		}
	}
}

// svgColor colours all that an element paints, so a text on a box of its own vanishes.
func TestAColourForPicturesHidesText(t *testing.T) {
	b := start(t)
	warning := []render.Warning{{Title: "Modification a.svgColor hides the text: the box gets the same colour", Details: "svgColor is for pictures; a.color colours the text, and a.backgroundColor the box"}}
	for page, want := range map[string][]render.Warning{
		`<p id="a" style="background:gold">Sold</p>`: warning, `<p id="a">Sold</p>`: nil, `<p id="a" style="background:rgba(0,0,0,.1)">Sold</p>`: nil, `<p id="a" style="background:color(srgb 1 0 0 / .2)">Sold</p>`: nil, `<div id="a" style="background:gold"></div>`: nil,
		`<div id="a" style="background:gold"><img alt="x" src="data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="></div>`: nil,
	} {
		task := task("png", page)
		task.Modifications = map[string]any{"a.svgColor": "teal"}
		if _, warnings := run(t, b, task); !cmp.Equal(want, warnings) {
			t.Errorf("%s: %v", page, warnings)
		}
	}
}

// A style that takes the colour may come after it, and a colour may change slowly.
func TestAColourForAnotherStyle(t *testing.T) {
	b := start(t)
	for _, c := range []struct{ page, style, value string }{
		{`<div id="a"></div>`, "a.outline", "1px solid"}, {`<div id="a"></div>`, "a.borderBottom", "1px solid"}, {`<div id="a"></div>`, "a.boxShadow", "0 0 9px"},
		{`<div id="a" style="transition:all 9s;background:currentColor"></div>`, "a.width", "9px"},
	} {
		task := task("png", c.page)
		task.Modifications = map[string]any{"a.color": "red", c.style: c.value}
		if _, warnings := run(t, b, task); len(warnings) > 0 {
			t.Errorf("%s with %s: %v", c.page, c.style, warnings)
		}
	}
}

// An inline element gets a box for what has no effect on it without one.
func TestStylesOfInlineElements(t *testing.T) {
	b := start(t)
	page := `<!doctype html><body style="margin:40px">x <span id="a" style="background:red">Now only</span> x`
	plain, _ := run(t, b, task("png", page))
	for key, value := range map[string]string{"a.rotation": "20", "a.rotate": "20deg", "a.scale": "2", "a.translate": "9px", "a.transform": "rotate(20deg)", "a.width": "90", "a.height": "9px"} {
		picture := task("png", page)
		picture.Modifications = map[string]any{key: value}
		if got, warnings := run(t, b, picture); len(warnings) > 0 || bytes.Equal(got[0].Data, plain[0].Data) {
			t.Errorf("%s changes nothing, and %v", key, warnings)
		}
	}
}

// Whatever an SVG has can be moved.
func TestDrawingsAreMoved(t *testing.T) {
	b := start(t)
	for name, drawing := range map[string]string{
		"rect": `<rect id="a" width="20" height="20" fill="red"/>`, "circle": `<circle id="a" r="20" fill="red"/>`, "text": `<text id="a" y="9" font-size="60" fill="red">█</text>`,
		"g": `<g id="a"><rect x="5" y="5" width="20" height="20" fill="red"/></g>`, "path": `<path id="a" d="M5 5h20v20h-20z" fill="red"/>`,
		"moved path": `<path id="a" style="translate:3px 3px" d="M5 5h20v20h-20z" fill="red"/>`, "line": `<line id="a" x1="0" y1="0" x2="20" y2="20" stroke="red" stroke-width="20"/>`,
	} {
		picture := task("png", `<body style="margin:0"><svg width="200" height="100">`+drawing+`</svg>`)
		picture.Modifications = map[string]any{"a.x": 100.0, "a.y": "60"}
		outputs, warnings := run(t, b, picture)
		img, _ := decode(t, outputs[0].Data)
		at := image.Pt(110, 70)
		if name == "text" {
			at.Y = 50 // above its line
		}
		if !near(img, at.X, at.Y, red255) || near(img, 10, 10, red255) || len(warnings) > 0 {
			t.Errorf("%s: %v, %v", name, img.At(at.X, at.Y), warnings)
		}
	}
	picture := task("png", `<svg><g id="a"><rect/></g></svg>`)
	picture.Modifications = map[string]any{"a.x": "10%", "a.y": "far"}
	if _, warnings := run(t, b, picture); !slices.Equal(titlesOf(warnings), []string{`Modification a.x: "10%" is no number of pixels`, `Modification a.y: "far" is no value of the CSS property x`}) {
		t.Errorf("warnings %v", warnings)
	}
}

// A drawing has no box: a warning says what it has instead.
func TestStylesOfBoxesOnDrawings(t *testing.T) {
	b := start(t)
	for style, instead := range map[string]string{"backgroundColor": "fill", "background": "fill", "borderColor": "stroke", "borderWidth": "strokeWidth", "borderRadius": "rx", "border": "stroke", "borderTop": "stroke"} {
		picture := task("png", `<svg><rect id="a" width="9" height="9"/></svg>`)
		picture.Modifications = map[string]any{"a." + style: "4px"}
		if strings.HasSuffix(style, "olor") || style == "background" || style == "border" || style == "borderTop" {
			picture.Modifications["a."+style] = "red"
		}
		_, warnings := run(t, b, picture)
		if want := []render.Warning{{Title: "Modification a." + style + " does nothing: a rect has no box", Details: "did you mean a." + instead + "?"}}; !cmp.Equal(want, warnings) {
			t.Errorf("%s: %v", style, warnings)
		}
	}
	for page, want := range map[string]render.Warning{
		`<svg><circle id="a" r="9"/></svg>`:             {Title: "Modification a.borderRadius does nothing: a circle has no box"},
		`<svg fill="none"><circle id="a" r="9"/></svg>`: {Title: "Modification a.backgroundColor does nothing: a circle has no box", Details: "did you mean a.fill?"},
		`<svg><line id="a" x2="9" stroke="red"/></svg>`: {Title: "Modification a.backgroundColor does nothing: a line has no box", Details: "did you mean a.stroke?"},
	} {
		picture := task("png", page)
		picture.Modifications = map[string]any{"a.borderRadius": "4px"}
		if want.Details != "" {
			picture.Modifications = map[string]any{"a.backgroundColor": "red"}
		}
		if _, warnings := run(t, b, picture); !cmp.Equal(warnings, []render.Warning{want}) {
			t.Errorf("%s: %v", page, warnings)
		}
	}
}

// Letters with a gradient leave the element its background.
func TestAGradientOfTheLettersKeepsTheBox(t *testing.T) {
	b := start(t)
	const letters = "linear-gradient(lime, lime)"
	for name, c := range map[string]struct {
		style string
		given map[string]any
		box   color.RGBA
	}{
		"a colour":         {style: "background:red", given: map[string]any{"a.color": letters}, box: red255},
		"a picture":        {style: "background:linear-gradient(red,red)", given: map[string]any{"a.color": letters}, box: red255},
		"a given colour":   {given: map[string]any{"a.color": letters, "a.backgroundColor": "red"}, box: red255},
		"a given gradient": {given: map[string]any{"a.color": letters, "a.backgroundColor": "linear-gradient(red,red)"}, box: red255},
		"none":             {given: map[string]any{"a.color": letters}, box: color.RGBA{255, 255, 255, 255}},
		"several":          {style: "background:red", given: map[string]any{"a.color": `linear-gradient(transparent, rgb(0, 0, 0, 0)), url("data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="), ` + letters}, box: red255},
	} {
		picture := task("png", `<body style="margin:0"><div id="a" style="width:200px;height:100px;font:90px/90px DejaVu Sans;`+c.style+`">█</div>`)
		picture.Modifications = c.given
		outputs, warnings := run(t, b, picture)
		if img, _ := decode(t, outputs[0].Data); !near(img, 20, 50, green255) || !near(img, 150, 50, c.box) || len(warnings) > 0 {
			t.Errorf("%s: letters %v, box %v, %v", name, img.At(20, 50), img.At(150, 50), warnings)
		}
	}
}

// Nor is it what a mistyped name means there.
func TestAMistypedColourWithoutText(t *testing.T) {
	b := start(t)
	for page, instead := range map[string]string{`<div id="a"></div>`: "backgroundColor", `<svg><circle id="a"/></svg>`: "fill", `<p id="a">x</p>`: "color",
		`<svg id="a" fill="none"><g clip-path="url(#c)"><path stroke="#000" d="M0 0h9v9z"/></g><defs><clipPath id="c"><rect width="9" height="9" fill="#fff"/></clipPath></defs></svg>`: "stroke",
		`<svg id="a" fill="none" stroke="currentColor"><path d="M0 0h9v9z"/></svg>`:                                                                                                     "color", `<div id="a" style="background:currentColor"></div>`: "color",
	} {
		task := task("png", page)
		task.Modifications = map[string]any{"a.colour": "red"}
		if _, warnings := run(t, b, task); len(warnings) != 1 || warnings[0].Details != "did you mean a."+instead+"?" {
			t.Errorf("%s: %v", page, warnings)
		}
	}
}

// What does not count gets no hint at what counts.
func TestAColourBesideABackground(t *testing.T) {
	task := task("png", `<div id="a"></div>`)
	task.Modifications = map[string]any{"a.color": "red", "a.bgColor": "red"}
	if _, warnings := run(t, start(t), task); len(warnings) != 1 || warnings[0].Details != "" {
		t.Errorf("warnings %v", warnings)
	}
}

// So does one of two names of a style. A style beside another is none of them.
func TestOneStyleByTwoNames(t *testing.T) {
	b := start(t)
	for _, c := range []struct{ first, second, firstValue, secondValue string }{
		{"a.backgroundColor", "a.bgColor", "red", "blue"}, {"a.bgColor", "a.textBackgroundColor", "red", "blue"}, {"a.background", "a.bg", "red", "blue"},
		{"a.bgRadius", "a.borderRadius", "1", "2"}, {"a.left", "a.x", "1px", "2"}, {"a.rotate", "a.rotation", "1deg", "2"}, {"a.textStrokeWidth", "a.webkitTextStrokeWidth", "1", "2px"},
	} {
		picture := task("png", `<p id="a">x</p>`)
		picture.Modifications = map[string]any{c.first: c.firstValue, c.second: c.secondValue, "a.backgroundPosition": "center"}
		_, warnings := run(t, b, picture)
		if want := []render.Warning{{Title: "Modification " + c.first + " does not count", Details: c.second + " is the same style"}}; !cmp.Equal(want, warnings) {
			t.Errorf("%s and %s: %v", c.first, c.second, warnings)
		}
	}
}

// Two styles with names for one property count both if they set different ones, and so does the one that the browser takes.
func TestStylesThatCountBoth(t *testing.T) {
	b := start(t)
	for _, c := range []struct {
		first, second, firstValue, secondValue string
		want                                   []string
	}{
		{"a.backgroundColor", "a.bgColor", "red", "linear-gradient(transparent 50%, lime 50%)", nil},
		{"a.backgroundColor", "a.bgColor", "red", "redd", []string{`Modification a.bgColor: "redd" is no value of the CSS property background-color`}},
		{"a.paddingLeft", "a.paddingX", "1px", "2px", nil},
	} {
		picture := task("png", `<p id="a">x</p>`)
		picture.Modifications = map[string]any{c.first: c.firstValue, c.second: c.secondValue}
		if _, warnings := run(t, b, picture); !slices.Equal(titlesOf(warnings), c.want) {
			t.Errorf("%s and %s: %v", c.first, c.second, warnings)
		}
	}
}

// Of two spellings of a style, the one that does not count gets a warning.
func TestAStyleInTwoSpellings(t *testing.T) {
	picture := task("png", `<body style="margin:0"><div id=a style="height:50px"></div><div id=b style="height:50px"></div>`)
	picture.Modifications = map[string]any{
		"a.background-color": "blue", "a.backgroundColor": "red", "a.--one-two": "1", "a.--oneTwo": "2", "b.BackgroundColor": "blue", "b.opacity": 1.0,
	}
	outputs, warnings := run(t, start(t), picture)
	if diff := cmp.Diff([]string{"Modification a.background-color does not count"}, titlesOf(warnings)); diff != "" || warnings[0].Details != "a.backgroundColor is the same style" {
		t.Errorf("%+v (-want +got):\n%s", warnings, diff)
	}
	img, _ := decode(t, outputs[0].Data)
	if !near(img, 100, 20, color.RGBA{255, 0, 0, 255}) || !near(img, 100, 80, color.RGBA{0, 0, 255, 255}) {
		t.Errorf("the boxes are %v and %v", img.At(100, 20), img.At(100, 80))
	}
}

// Every documented style with a value that it does not take leaves the picture as it is, and gets a warning with the value as it was given.
func TestEveryStyleRefusesWhatItDoesNotTake(t *testing.T) {
	names := documentedStyles(t)
	b := start(t)
	for name, element := range map[string]string{
		"text": `<b id="%s">x</b> `, "box": `<div id="%s" style="width:9px;height:9px;background:#00f"></div>`,
		"SVG": `<svg id="%s" width="9" height="9" style="display:block"><rect width="9" height="9" fill="#00f"/></svg>`,
	} {
		t.Run(name, func(t *testing.T) {
			page, given := strings.Builder{}, map[string]any{}
			page.WriteString(`<body style="columns:4;margin:0;font:9px monospace">`)
			for _, style := range names {
				fmt.Fprintf(&page, element, "of-"+style)
				given["of-"+style+"."+style] = "nonsense!"
			}
			before, _ := run(t, b, task("png", page.String()))
			picture := task("png", page.String())
			picture.Modifications = given
			after, warnings := run(t, b, picture)
			if !bytes.Equal(before[0].Data, after[0].Data) {
				t.Error("a value that no style takes has changed the picture")
			}
			titles := strings.Join(titlesOf(warnings), "\n")
			for _, style := range names {
				if strings.Count(titles, "Modification of-"+style+"."+style) != 1 {
					t.Errorf("%s: not one warning in\n%s", style, titles)
				}
			}
			if strings.Count(titles, `"nonsense!"`) != len(warnings)-strings.Count(titles, "names no CSS property")-strings.Count(titles, "no model is connected") {
				t.Errorf("a value is not shown as it was given:\n%s", titles)
			}
		})
	}
}

// A parameter of type color takes what the browser takes.
func TestColorsOfParameters(t *testing.T) {
	list, err := os.ReadFile(filepath.Join("..", "..", "values", "testdata", "colors.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var calls strings.Builder
	for line := range strings.Lines(string(list)) {
		sign, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if sign == "+" || sign == "-" {
			fmt.Fprintf(&calls, "if (CSS.supports('background', %q) !== %t) console.error(%q)\n", text, sign == "+", text)
		}
	}
	_, warnings := run(t, start(t), task("png", "<script>"+calls.String()+"</script>"))
	for _, w := range warnings {
		t.Errorf("the browser does not agree: %s", w.Title)
	}
}

// A style that several elements get is one mistake if the browser does not take its value.
func TestAStyleOfSeveralElementsWarnsOnce(t *testing.T) {
	picture := task("png", `<p data-param="a">x</p><p data-param="a">y</p>`)
	picture.Modifications = map[string]any{"a.color": "bleu", "a.colr": "red", "a.muted": true}
	_, warnings := run(t, start(t), picture)
	if len(warnings) != 3 {
		t.Errorf("warnings %v, want one for each key", warnings)
	}
}
