// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"image"
	"image/color"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/platen-dev/platen/internal/render"
)

// sheet is a page of 400x300 pixels with a label in each corner.
const sheet = `<!doctype html><style>body{margin:0} main{position:relative;width:400px;height:300px;background:#cce5ff;font:bold 24px "Liberation Sans"} b{position:absolute}</style>
	<main><b style="left:8px;top:8px">M-TL</b><b style="right:8px;top:8px">M-TR</b><b style="left:8px;bottom:8px">M-BL</b><b style="right:8px;bottom:8px">M-BR</b></main>`

// printed returns the size of a document's sheet and where its words are, as pdftotext prints them, and the warnings' titles.
func printed(t *testing.T, b *Browser, html string, options render.PDFOptions) (words string, titles []string) {
	t.Helper()
	document := task("pdf", html)
	document.Pages[0].Width, document.Pages[0].Height, document.PDF = 400, 300, options
	outputs, warnings := run(t, b, document)
	path := filepath.Join(t.TempDir(), "sheet.pdf")
	if err := os.WriteFile(path, outputs[0].Data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		titles = append(titles, w.Title)
	}
	words = output(t, "pdftotext", "-bbox", path, "-")
	_, words, _ = strings.Cut(words, "<page")
	return words, titles
}

// What a page says about paper moves nothing on the sheet that was asked for.
func TestPaperIsWhatWasAskedFor(t *testing.T) {
	b := start(t)
	want, titles := printed(t, b, sheet, render.PDFOptions{})
	if strings.Count(want, "M-") != 4 || len(titles) != 0 {
		t.Fatalf("the plain sheet has %s, warnings %v", want, titles)
	}
	const margins, size = "Rules of @page were not followed: margin", "Rules of @page were not followed: size"
	for name, c := range map[string]struct{ html, warning string }{
		"margin":                              {`<style>@page { margin: 30mm }</style>`, margins},
		"one margin":                          {`<style>@page { margin-left: 1cm; margin-top: 0 }</style>`, margins},
		"important":                           {`<style>@page :first { margin: 30mm !important }</style>`, "Rules of @page were not followed: :first margin"},
		"size":                                {`<style>@page { size: A4 }</style>`, size},
		"size, lying":                         {`<style>@page { size: A4 landscape }</style>`, size},
		"size in a unit":                      {`<style>@page { size: 6in 2in }</style>`, size},
		"orientation":                         {`<style>@page { size: portrait }</style>`, size},
		"both":                                {`<style>@page { size: A5; margin: 1cm 2cm }</style>`, "Rules of @page were not followed: size, margin"},
		"turned":                              {`<style>@page { page-orientation: rotate-left }</style>`, "Rules of @page were not followed: page-orientation"},
		"border and padding":                  {`<style>@page { border: 9px solid red; padding: 9px }</style>`, "Rules of @page were not followed: border, padding"},
		"named":                               {`<style>@page wide { size: A4 } main { page: wide }</style>`, "Rules of @page were not followed: wide size"},
		"in @media":                           {`<style>@media print { @page { margin: 2cm } }</style>`, margins},
		"in @layer":                           {`<style>@layer x { @page { margin: 2cm } }</style>`, margins},
		"imported":                            {`<style>@import url("data:text/css,@page { margin: 2cm }");</style>`, margins},
		"by a script":                         {`<script>const s = new CSSStyleSheet(); s.replaceSync('@page { margin: 2cm }'); document.adoptedStyleSheets = [s]</script>`, margins},
		"a header":                            {`<style>@page { @top-center { content: "x" } }</style>`, "Rules of @page were not followed: @top-center"},
		"for a press":                         {`<style>@page { bleed: 3mm; marks: crop }</style>`, "Rules of @page were not followed: bleed, marks"},
		"the same":                            {`<style>@page { size: 400px 300px; margin: 0 }</style>`, ""},
		"landscape":                           {`<style>@page { size: landscape; margin: 0 }</style>`, ""},
		"auto":                                {`<style>@page { size: auto; margin: auto }</style>`, ""},
		"a break":                             {`<style>main { break-before: page; page-break-after: always; break-inside: avoid }</style>`, ""},
		"a break at the end":                  {`<style>main { break-after: page } script { display: none }</style>`, ""},
		"a break before it":                   {`<style>main { break-before: right }</style><i style="display:block"></i>`, "Rules for page breaks were not followed: main"},
		"breaks for print":                    {`<style>i { display: block } @media print { i { page-break-after: always } }</style><i id="a"></i><i></i>`, "Rules for page breaks were not followed: i#a (2 elements)"},
		"a break at the end, and what is off": {`<style>main { break-after: page } i { position: fixed }</style><script>addEventListener('load', () => document.body.append(document.createElement('i')))</script>`, ""},
		"breaks of columns":                   {`<div style="columns:2;position:absolute"><p style="break-after:always;display:none"></p><i style="display:block;break-after:page"></i><i></i></div>`, ""},
		"breaks in a line":                    {`<p style="position:absolute"><br style="page-break-after:always"><i style="break-before:page"></i></p>`, ""},
		"a break of a child":                  {`<div><div><div style="break-after:page"></div></div><i style="display:block"></i></div>`, "Rules for page breaks were not followed: div"},
		"no break":                            {`<style>p { break-after: avoid }</style><p style="position:absolute"></p>`, ""},
		"wide":                                {`<div style="position:absolute;left:300px;top:9px;width:400px;height:9px"></div>`, ""},
		"a little":                            {`<div style="position:absolute;right:-30px;top:9px;width:60px;height:9px"></div>`, ""},
		"wide, hidden": {
			`<style>html,body{overflow-x:hidden}</style><div style="position:absolute;left:300px;top:9px;width:400px;height:9px"></div>`, "",
		},
		"wide for print":      {`<style>@media print { body { min-width: 992px !important } }</style>`, ""},
		"wide, right to left": {`<div style="position:absolute;left:-300px;top:9px;width:320px;height:9px"></div><script>document.documentElement.dir = 'rtl'</script>`, ""},
		"higher":              {`<div style="position:absolute;top:290px;width:9px;height:900px"></div>`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, titles := printed(t, b, c.html+sheet, render.PDFOptions{})
			if got != want {
				t.Errorf("the sheet has %s\nwant %s", got, want)
			}
			if c.warning == "" && len(titles) != 0 || c.warning != "" && !slices.Equal(titles, []string{c.warning}) {
				t.Errorf("warnings %q, want %q", titles, c.warning)
			}
		})
	}
}

// The margin is around the page on each side, in whatever unit of paper, and whatever the page says of margins.
func TestTheMarginIsAroundThePage(t *testing.T) {
	b := start(t)
	const square = `<!doctype html><body style="margin:0;background:#cce5ff"><div style="position:fixed;inset:0;border:9px solid #080"></div><div style="position:fixed;inset:9px;background:#08f"></div>`
	for name, before := range map[string]string{"plain": "", "with margins": `<style>@page { margin: 3cm 0 1px } @page :first { margin-left: 0 }</style>`, "wide": `<div style="position:absolute;left:300px;top:20px;width:400px;height:9px"></div>`} {
		for _, dpi := range []int{96, 192, 72} {
			for _, margin := range []float64{20, 0} {
				document := task("pdf", before+square)
				document.PDF = render.PDFOptions{Margin: margin, DPI: dpi}
				outputs, _ := run(t, b, document)
				sheet, err := png.Decode(decodeWith(t, outputs[0].Data, "pdf", func(in, out string) []string {
					return []string{"pdftoppm", "-r", strconv.Itoa(dpi), "-png", "-singlefile", in, strings.TrimSuffix(out, ".png")}
				}))
				if err != nil {
					t.Fatal(err)
				}
				m := int(margin)
				white, green, blue := color.RGBA{255, 255, 255, 255}, color.RGBA{0, 0x88, 0, 255}, color.RGBA{0, 0x88, 255, 255}
				for _, at := range []image.Point{{0, 50}, {199, 50}, {100, 0}, {100, 99}} {
					side := image.Pt(sign(at.X, 200), sign(at.Y, 100)) // out of the page
					edge := at.Add(image.Pt(m, m))
					inner, outer := edge.Sub(side.Mul(4)), edge.Add(side.Mul(4))
					if !near(sheet, inner.X, inner.Y, green) || m > 0 && !near(sheet, outer.X, outer.Y, white) || !near(sheet, inner.X-9*side.X, inner.Y-9*side.Y, blue) {
						t.Errorf("%s, %d dpi, margin %d: at the edge %v there is %v, out of it %v", name, dpi, m, edge, sheet.At(inner.X, inner.Y), sheet.At(outer.X, outer.Y))
					}
				}
			}
		}
	}
}

// sign returns -1 at the beginning of a length, 1 at its end, and 0 in between.
func sign(at, length int) int {
	switch at {
	case 0:
		return -1
	case length - 1:
		return 1
	}
	return 0
}

func TestWhatIsNotOnTheSheetIsSaid(t *testing.T) {
	b := start(t)
	for name, c := range map[string]struct{ html, warning string }{
		"zoom":                {`<style>html { zoom: 2 }</style>` + sheet, "Text is cut at the edge of the page: M-TR"},
		"a long list":         {strings.Repeat("<p>line</p>", 30), "Text is cut at the edge of the page: line"},
		"a broken sheet":      {`<p style="margin:0">x</p><style>main{break-before:page}</style>` + sheet, "Rules for page breaks were not followed: main; Text is cut at the edge of the page: M-BL"},
		"a wide line":         {`<p style="white-space:nowrap">` + strings.Repeat("word ", 60), "Text is cut at the edge of the page: " + strings.TrimSpace(strings.Repeat("word ", 12)) + "…"},
		"hidden for print":    {`<style>@media print { main { display: none } }</style>` + sheet, "Rules for print hide text: M-TLM-TRM-BLM-BR"},
		"hidden by intention": {`<style>@media print { .no-print { display: none } }</style><p class="no-print">x</p>` + sheet, ""},
		"hidden anyway":       {`<style>@media print { p { display: block } } p { display: none }</style><p>x</p>` + sheet, ""},
		"clipped":             {`<div style="width:100px;overflow:hidden;height:20px"><p style="width:900px;margin:0">` + strings.Repeat("word ", 30) + `</p></div>`, ""},
		"off on purpose":      {`<p style="position:absolute;left:-9999px">skip</p>` + sheet, ""},
		"a running header":    {`<style>header { position: running(top) }</style>` + sheet, "Rules for paper that the browser does not know: position: running()"},
		"other rules":         {`<style>i { float: footnote } a::after { content: leader('.') target-counter(attr(href), page) } h1 { string-set: title content() } /* position: running(x) */</style>` + sheet, "Rules for paper that the browser does not know: float: footnote, string-set, target-counter(), leader()"},
		"a filter behind":     {`<div style="width:50px;height:50px;backdrop-filter:blur(2px)"></div>`, "A document does not show this as a picture does: backdrop-filter"},
		"a gradient":          {`<div style="width:50px;height:50px;border:9px solid;border-image:linear-gradient(in oklch, red, blue) 9"></div>`, "A document does not show this as a picture does: gradients in other colour spaces than sRGB"},
		"behind a dialog":     {`<style>dialog::backdrop{backdrop-filter:blur(2px)}</style><dialog id=d>x</dialog><script>d.showModal()</script>`, "A document does not show this as a picture does: backdrop-filter"},
		"a dialog":            {`<dialog open>x</dialog><dialog id=d>y</dialog><script>d.showModal()</script>`, ""},
		"mixed pictures":      {`<div style="width:50px;height:50px;background:-webkit-cross-fade(linear-gradient(red,red),linear-gradient(blue,blue),50%)"></div>`, "A document does not show this as a picture does: cross-fade()"},
		"a frame of no size":  {`<iframe width=0 height=0 srcdoc="<p>x"></iframe><iframe style="width:1px;height:1px;border:0" srcdoc="<p>x"></iframe>`, ""},
		"a usual gradient":    {`<div style="width:50px;height:50px;background:linear-gradient(in srgb, red, hsl(90 50% 50%))"></div>`, ""},
		"masks":               {`<div style="width:50px;height:50px;background:red;mask:linear-gradient(red 0 0) content-box,linear-gradient(red 0 0);mask-composite:exclude"></div>`, "A document does not show this as a picture does: mask-composite: exclude"},
		"one mask":            {`<div style="width:50px;height:50px;background:red;mask:linear-gradient(rgb(0, 0, 0), #0000)"></div>`, ""},
		"light":               {`<div style="width:50px;height:50px;background:red;mix-blend-mode:plus-lighter"></div>`, "A document does not show this as a picture does: mix-blend-mode: plus-lighter"},
		"boxes that cross":    {`<div style="transform-style:preserve-3d;position:relative"><p style="width:80px;height:60px;background:red;transform:rotateY(40deg);position:absolute"></p><p style="width:80px;height:60px;background:blue;transform:rotateY(-40deg);position:absolute"></p></div>`, "A document does not show this as a picture does: boxes that go through each other"},
		"a box behind":        {`<div style="transform-style:preserve-3d;background:#ccc;width:90px;height:90px"><p style="width:80px;height:60px;background:red;transform:translateZ(-9px)"></p></div>`, "A document does not show this as a picture does: boxes behind the one that holds them"},
		"a box before":        {`<div style="transform-style:preserve-3d;background:#ccc;width:90px;height:90px"><p style="width:80px;height:60px;background:red;transform:translateZ(9px)"></p></div>`, ""},
		"boxes side by side":  {`<div style="transform-style:preserve-3d;display:flex;gap:50px"><p style="width:80px;height:60px;background:red;transform:rotateY(40deg)"></p><p style="width:80px;height:60px;background:blue;transform:rotateY(-40deg)"></p></div>`, ""},
		"a dead link":         {`<a href="#elsewhere">x</a>`, "A link leads nowhere: #elsewhere"},
		"links":               {`<a href="#gr%C3%B6%C3%9Fe">x</a><a href="#top">y</a><a href="#">z</a><a href="#n">n</a><a name="n"></a><i id="größe">x</i>`, ""},
		"no relative links":   {`<a href="shop/">x</a>`, "A link leads nowhere: shop/"},
		"relative to a base":  {`<base href="https://example.com/"><a href="shop/">x</a>`, ""},
		"a link to a script":  {`<svg><a href="javascript:go()"><text y="9">x</text></a></svg>`, "A link leads nowhere: javascript:go()"},
		"a link to a file":    {`<a href="file:///c:/x.txt">x</a><a href="shop/">x</a>`, "A link leads nowhere: file:///c:/x.txt"},
		"other links":         {`<a href="https://example.com">x</a><a href="mailto:a@example.com">x</a><a href="tel:1">x</a><a href="app:x">x</a><a>x</a><svg><a href="http://example.com/x"><text y="9">x</text></a></svg>`, ""},
		"a map":               {`<img usemap="#m" width=9 height=9 src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="><map name=m><area href="https://example.com/" shape=rect coords=0,0,9,9></map>`, "A link of an image map is not in a document: https://example.com/"},
		"what is not shown":   {`<div><template shadowrootmode=open>y</template><p>x</p></div><video><source src="data:video/mp4,"></video>`, "Could not load data:video/mp4,"},
		"empty below":         {`<div style="height:100vh;box-sizing:border-box;padding:9px">x</div>`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if _, titles := printed(t, b, c.html, render.PDFOptions{}); strings.Join(titles, "; ") != c.warning {
				t.Errorf("warnings %q, want %q", titles, c.warning)
			}
		})
	}
}

// picture returns what a document's sheet shows, at a pixel per CSS pixel.
func picture(t *testing.T, document []byte) image.Image {
	t.Helper()
	img, err := png.Decode(decodeWith(t, document, "pdf", func(in, out string) []string {
		return []string{"pdftoppm", "-r", "96", "-png", "-singlefile", in, strings.TrimSuffix(out, ".png")}
	}))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// Chromium would move what crosses the lower edge to the next sheet, as a whole.
func TestWhatCrossesTheLowerEdgeIsOnTheSheet(t *testing.T) {
	b := start(t)
	const green = `background:#080;color:#080`
	for name, html := range map[string]string{
		"a picture":             `<body style="margin:0"><div style="height:60px"></div><svg width=200 height=90 style="display:block"><rect width=200 height=90 fill="#080" /></svg>`,
		"a block in a line":     `<body style="margin:0"><div style="height:60px"></div><span style="display:inline-block;width:200px;height:90px;` + green + `"></span>`,
		"a canvas, positioned":  `<body style="margin:0"><div style="position:absolute;top:60px;left:0"><canvas width=200 height=90 style="` + green + `"></canvas></div>`,
		"a box in columns":      `<body style="margin:0"><div style="position:absolute;top:60px;left:0;display:flex"><button style="border:0;width:200px;height:90px;` + green + `"></button></div>`,
		"the body's background": `<body style="margin:0;background:#080"><div style="height:60px"></div><svg width=200 height=90></svg>`,
		"a body that hides":     `<body style="margin:0;height:20px;overflow:hidden"><div style="height:60px"></div><svg width=200 height=90 style="display:block;` + green + `"></svg>`,
	} {
		t.Run(name, func(t *testing.T) {
			outputs, warnings := run(t, b, task("pdf", "<!doctype html>"+html))
			if img := picture(t, outputs[0].Data); !near(img, 100, 90, color.RGBA{0, 0x88, 0, 255}) || len(warnings) != 0 {
				t.Errorf("the sheet has %v; warnings %v", img.At(100, 90), warnings)
			}
		})
	}
}

// A document shows what a picture of the page shows.
func TestADocumentLooksLikeThePicture(t *testing.T) {
	b := start(t)
	const cube = `<style>.p{perspective:300px;width:200px} .c{transform-style:preserve-3d;width:50px;height:50px;position:relative;transform:rotateX(-20deg) rotateY(30deg);margin:20px 70px} .c b{position:absolute;inset:0}</style>`
	const fill = `<style>@keyframes fill{from{width:0}to{width:100px}} .f{height:20px;background:#08f;animation:fill linear both;animation-timeline:scroll()}</style>`
	for name, html := range map[string]string{
		"an animation that follows the scroll position": fill + `<body style="margin:0;height:300px"><div class=f></div>`,
		"one that a script has moved":                   fill + `<body style="margin:0;height:300px"><div class=f style="position:fixed;top:0"></div><script>scrollTo(0, 100)</script>`,
		"what a script shows once it is seen": `<body style="margin:0"><div id=d style="width:50px;height:50px"></div><script>
			new IntersectionObserver(([e]) => { if (e.isIntersecting) d.style.background = '#080' }).observe(d)</script>`,
		"a background of the body":              `<body style="margin:20px;background:linear-gradient(red,blue)"><div style="height:60px"></div>`,
		"a background of the body and the root": `<style>html{background:#ff8}</style><body style="margin:20px;background:#8ff"><div style="height:60px"></div>`,
		"a body with another direction":         `<body dir=rtl style="margin:0"><div style="width:50px;height:50px;background:#080"></div>`,
		"vertical lines":                        `<body style="margin:0;writing-mode:vertical-rl"><div style="width:50px;height:50px;background:#080"></div>`,
		"what blends with the page":             `<body style="margin:20px;background:#ff0"><div style="height:60px;background:#0ff;mix-blend-mode:multiply"></div>`,
		"what blends with the root":             `<style>html{background:linear-gradient(90deg,#ff0,#f0f)}</style><div style="height:60px;background:#0ff;mix-blend-mode:multiply"></div>`,
		"what blends with nothing":              `<div style="height:60px;background:#0ff;mix-blend-mode:difference"></div>`,
		"a canvas of WebGL":                     `<canvas id=c width=100 height=60></canvas><script>const g = c.getContext("webgl"); g.clearColor(1, 0.5, 0, 1); g.clear(g.COLOR_BUFFER_BIT)</script>`,
		"a canvas that is drawn elsewhere":      `<canvas id=c width=100 height=60></canvas><script>const g = c.transferControlToOffscreen().getContext("2d"); g.fillStyle = "#08f"; g.fillRect(0, 0, 90, 50)</script>`,
		"the back of a box": `<style>b{position:absolute;width:80px;height:60px;backface-visibility:hidden;background:#08f}</style><div style="perspective:400px">
			<div style="transform-style:preserve-3d"><b></b><b style="transform:rotateY(180deg);background:red"></b></div></div>`,
		"the back of a turned card": `<style>b{position:absolute;width:80px;height:60px;backface-visibility:hidden;background:#08f}</style>
			<div style="transform-style:preserve-3d;transform:rotateX(180deg);width:80px;height:60px"><b style="transform:rotateX(180deg);background:red"></b><b></b></div>`,
		"a mirrored box": `<div style="width:80px;height:60px;background:#08f;transform:scale3d(-1,1,1);backface-visibility:hidden"></div>`,
		"page numbers":   `<style>p::after{content:"Page " counter(page) " of " counter(pages)}</style><p>`,
		"a box that a transform centres": `<style>div{position:absolute;left:50%;top:50%;width:160px;height:90px;background:linear-gradient(red,blue)}</style>
			<div style="transform:translate(-50%,-50%);transition:transform 9s"></div>`,
		"a box that is centred by properties": `<style>div{position:absolute;left:50%;top:50%;width:160px;height:90px;background:linear-gradient(red,blue)}</style><div style="translate:-50% -50%"></div>`,
		"a box that lies":                     `<div style="position:absolute;left:200px;top:0;width:100px;height:200px;background:linear-gradient(red,blue);transform:rotate(90deg);transform-origin:0 0"></div>`,
		"a box that is made smaller":          `<div style="position:absolute;left:0;top:0;width:400px;height:200px;background:linear-gradient(red,blue);transform:scale(.5);transform-origin:0 0"></div>`,
		"a box that is moved up":              `<div style="position:absolute;left:0;top:120px;width:200px;height:60px;background:linear-gradient(red,blue);translate:10px calc(-100% + 2px);rotate:9deg"></div>`,
		"a cube": cube + `<div class=p><div class=c><b style="background:red;transform:translateZ(25px)"></b><b style="background:#0f0;transform:rotateY(90deg) translateZ(25px)"></b>
			<b style="background:blue;transform:rotateX(90deg) translateZ(25px)"></b><b style="background:#ff0;transform:rotateY(180deg) translateZ(25px)"></b><b style="background:#0ff;transform:rotateY(-90deg) translateZ(25px)"></b>
			<b style="background:#f0f;transform:rotateX(-90deg) translateZ(25px)"></b></div></div>`,
		"a cube without a perspective": cube + `<div class=c><b style="background:red;transform:translateZ(25px)"></b><b style="background:#0f0;transform:rotateY(90deg) translateZ(25px)"></b><b style="background:blue;transform:rotateX(90deg) translateZ(25px)"></b></div>`,
		"cards behind each other":      `<div style="transform-style:preserve-3d;position:relative"><p style="margin:0;width:80px;height:60px;background:red;transform:translateZ(20px)"></p><p style="margin:-30px 0 0 40px;width:80px;height:60px;background:#08f;transform:translateZ(9px)"></p></div>`,
		"a background that stands":     `<body style="margin:20px;height:900px;background:linear-gradient(red,blue) fixed"><div style="height:60px;background:linear-gradient(90deg,#0f0,#ff0) fixed"></div>`,
		"one of the root":              `<html style="background:radial-gradient(circle,red 20px,#ff0 21px) right bottom/50% 50% no-repeat fixed #08f"><body style="height:900px">`,
		"one that blends":              `<body style="margin:20px;height:900px;background:linear-gradient(#ff0,#f0f) fixed"><div style="height:60px;background:#0ff;mix-blend-mode:multiply"></div>`,
		"cards in columns":             `<style>body{margin:0} p{margin:0 0 4px;height:44px;background:#08f;break-inside:avoid}</style><div style="columns:3;height:96px;column-fill:auto"><p><p style="height:60px"><p><p>`,
		"a break of columns":           `<style>body{margin:0} p{margin:0 0 4px;height:20px;background:#08f}</style><div style="columns:3;height:90px;column-fill:auto"><p><p style="break-before:column"><p style="page-break-after:always"><p>`,
		"a heading in columns":         `<style>body{margin:0} p{margin:0;height:20px;background:#08f}</style><div style="columns:3;height:90px;column-fill:auto"><p><p><p><p style="background:#080;break-after:avoid"><p></div>`,
		"a table in the middle":        `<table style="position:absolute;top:55%;left:0;width:200px;height:80px;transform:translateY(-50%);border-spacing:0"><tr><td style="background:#08f"><tr><td style="background:#080"></table>`,
		"a dialog in the middle":       `<dialog open style="transform:translateY(-50%);top:50%;height:90px;padding:0;border:0;background:#080"></dialog>`,
	} {
		t.Run(name, func(t *testing.T) {
			still, _ := run(t, b, task("png", "<!doctype html>"+html))
			document, warnings := run(t, b, task("pdf", "<!doctype html>"+html))
			want, _ := decode(t, still[0].Data)
			got := picture(t, document[0].Data)
			differing := 0
			for y := range 100 {
				for x := range 200 {
					if distance(got, want, x, y) > 100 {
						differing++
					}
				}
			}
			if differing > 200 || len(warnings) != 0 { // letters have other edges
				t.Errorf("%d pixels differ; warnings %v", differing, warnings)
			}
		})
	}
}

// moved is a picture that is moved.
type moved struct {
	image.Image
	by image.Point
}

func (m moved) At(x, y int) color.Color { return m.Image.At(x+m.by.X, y+m.by.Y) }

// What is behind elements in tiles, or a gradient of wide colours, is as sharp in print as a larger picture shows it.
func TestTilesAreSharp(t *testing.T) {
	b := start(t)
	const dots = `radial-gradient(circle,#d00 4px,#0000 4.5px)`
	const rings = `url(&quot;data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='16' height='16'%3E%3Ccircle cx='8' cy='8' r='5' fill='none' stroke='blue' stroke-width='2'/%3E%3C/svg%3E&quot;)`
	fill := func(style string) string {
		return `<!doctype html><body style="margin:0"><div style="width:200px;height:100px;` + style + `"></div>`
	}
	for name, html := range map[string]string{
		"dots":                 fill("background:" + dots + " 3px 5px/16px 16px,#ff8"),
		"one in the other":     fill("background:linear-gradient(90deg,#080 50%,#0000 0) 0 0/20px 20px,linear-gradient(rgb(0,0,255) 50%,rgb(255 255 0/50%) 0) 0 0/10px 30px"),
		"in parts of the box":  fill("background:conic-gradient(#000 25%,#fff 0 50%,#000 0 75%,#fff 0) 0 0/10% 20%"),
		"in a row":             fill("background:" + dots + " 0 10px/16px 16px repeat-x"),
		"of the page":          `<!doctype html><body style="margin:0;background:` + dots + ` 0 0/16px 16px">`,
		"of the root":          `<!doctype html><html style="background:` + dots + ` 0 0/16px 16px"><body>`,
		"in a shadow root":     `<!doctype html><body style="margin:0"><div><template shadowrootmode=open>` + fill("background:"+dots+" 0 0/16px 16px") + `</template></div>`,
		"before an element":    `<!doctype html><style>p::before{content:"";display:block;width:200px;height:100px;background:` + dots + ` 0 0/16px 16px}</style><body style="margin:0"><p style="margin:0">`,
		"of a drawing":         fill("background:" + rings),
		"of a larger drawing":  fill("background:" + rings + " 0 0/32px"),
		"of a turned box":      fill("background:" + dots + " 0 0/16px 16px;transform:rotate(30deg) scale(.5)"),
		"a whole gradient":     fill("background:linear-gradient(in oklch longer hue 90deg,red,blue)"),
		"one of wide colours":  fill("background:linear-gradient(90deg,oklch(.7 .3 30),color(display-p3 0 0 1)) no-repeat 0 0/90% 50%"),
		"one in a padded box":  fill("box-sizing:border-box;padding:9px;border:9px solid #080;background:radial-gradient(in hsl,red,blue)"),
		"a usual one":          fill("background:linear-gradient(red,blue)"),
		"a usual one, in part": fill("background:linear-gradient(red,blue) no-repeat 0 0/50% 50%"),
	} {
		t.Run(name, func(t *testing.T) {
			large := task("png", html)
			large.Scale = 3
			still, _ := run(t, b, large)
			document, warnings := run(t, b, task("pdf", html))
			want, _ := decode(t, still[0].Data)
			got, err := png.Decode(decodeWith(t, document[0].Data, "pdf", func(in, out string) []string {
				return []string{"pdftoppm", "-r", "288", "-png", "-singlefile", in, strings.TrimSuffix(out, ".png")}
			}))
			if err != nil {
				t.Fatal(err)
			}
			like := func(x, y int) bool { // the tool moves tiles by parts of a pixel
				for _, at := range []image.Point{{}, {X: 1}, {X: -1}, {Y: 1}, {Y: -1}, {X: 1, Y: 1}, {X: -1, Y: -1}, {X: 1, Y: -1}, {X: -1, Y: 1}} {
					if image.Pt(x, y).Add(at).In(want.Bounds()) && distance(got, moved{want, at}, x, y) <= 100 {
						return true
					}
				}
				return false
			}
			differing := 0
			for y := range 300 {
				for x := range 600 {
					if !like(x, y) {
						differing++
					}
				}
			}
			if differing > 300 || len(warnings) != 0 {
				t.Errorf("%d pixels differ; warnings %v", differing, warnings)
			}
		})
	}
}

// The number of the page and of all pages, which only boxes in the margin of a sheet have in Chromium.
func TestPagesShowTheirNumbers(t *testing.T) {
	const number = `<style>p::after{content:"Page " counter(page) " of " counter(pages)}</style><p>`
	document := task("pdf", number, number, `<style>section{counter-increment:page} b::after{content:"No. " counter(page)}</style><section><b></b></section><section><b></b></section>`)
	outputs, warnings := run(t, start(t), document)
	if text := strings.Fields(pdfText(t, t.TempDir(), outputs[0].Data)); strings.Join(text, " ") != "Page 1 of 3 Page 2 of 3 No. 1 No. 2" || len(warnings) != 0 {
		t.Errorf("the document has %q; warnings %v", text, warnings)
	}
}

// The sheet has a scale of its own. Something beyond the right edge must not change it.
func TestAWidePageKeepsItsScale(t *testing.T) {
	b := start(t)
	const wide = `<div style="position:absolute;left:300px;top:9px;width:400px;height:9px"></div>`
	for _, options := range []render.PDFOptions{{DPI: 192}, {DPI: 72}, {DPI: 96, Margin: 40}} {
		want, _ := printed(t, b, sheet, options)
		got, titles := printed(t, b, wide+sheet, options)
		if got != want || len(titles) != 0 {
			t.Errorf("%+v: the sheet has %s\nwant %s; warnings %v", options, got, want, titles)
		}
	}
	if _, titles := printed(t, b, wide+sheet, render.PDFOptions{DPI: 48}); len(titles) != 1 {
		t.Errorf("warnings %q", titles)
	}
}

// A document is laid out, filled in and waited for as it is printed.
func TestStylesForPrintCountWhileADocumentLoads(t *testing.T) {
	b := start(t)
	words, titles := printed(t, b, `<style>p { font-size: 10px } @media print { p { font-size: 90px } }</style><p data-fit="shrink" style="width:380px;height:60px;overflow:hidden">Wide words</p>
		<script>document.write('<i>' + (matchMedia('print').matches ? 'paper' : 'screen') + '</i>')</script>`, render.PDFOptions{})
	if !strings.Contains(words, "paper") || !strings.Contains(words, "words") || len(titles) != 0 {
		t.Errorf("the sheet has %s, warnings %v", words, titles)
	}
	picture, _ := run(t, b, task("png", `<style>body { background: red } @media print { body { background: blue } }</style>`))
	if img, _ := decode(t, picture[0].Data); !near(img, 9, 9, color.RGBA{255, 0, 0, 255}) {
		t.Errorf("a picture after a document has styles for print")
	}
}

// Something beyond the right edge, for which Chromium would take a page for a narrower one, changes nothing of the page's styles.
func TestAWidePageHasTheStylesOfItsWidth(t *testing.T) {
	b := start(t)
	const narrow, wide = "@media (max-width: 190px) { body { background: #f00 !important } }", "@media (min-width: 190px) { body { background: #0f0 } }"
	for name, html := range map[string]string{
		"rules":           "<style>" + narrow + wide + "</style>",
		"nested rules":    "<style>@layer x { @supports (color: red) { " + wide + " } } " + narrow + " body { @media (max-width: 190px) { background: #f00 } }</style>",
		"an element":      "<style media='(min-width: 190px)'>body { background: #0f0 }</style><link rel=stylesheet media='(max-width: 190px)' href='data:text/css,body{background:red!important}'>",
		"an import":       "<style>@import 'data:text/css,body{background:lime}' (min-width: 190px); @import 'data:text/css,body{background:red!important}' (max-width: 190px);</style>",
		"a script":        "<script>const s = new CSSStyleSheet(); s.replaceSync('" + narrow + wide + "'); document.adoptedStyleSheets = [s]</script>",
		"a rule of print": "<style>@media print and (min-width: 190px) { body { background: #0f0 } }</style>",
	} {
		t.Run(name, func(t *testing.T) {
			outputs, warnings := run(t, b, task("pdf", `<!doctype html><body style="margin:0">`+html+`<i style="position:absolute;left:300px;top:0;width:50px;height:50px"></i>`))
			if img := picture(t, outputs[0].Data); !near(img, 100, 50, green255) || len(warnings) != 0 {
				t.Errorf("the page is %v; warnings %v", img.At(100, 50), warnings)
			}
		})
	}
}

// That holds for style sheets of other servers that come with CORS. Of others, a warning tells, unless nothing of them goes by the page's width.
func TestAWidePageWithStylesOfAnotherServer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/cors") {
			w.Header().Set("Access-Control-Allow-Origin", "*")
		}
		w.Header().Set("Content-Type", "text/css")
		if strings.HasSuffix(r.URL.Path, "/plain.css") {
			_, _ = io.WriteString(w, "body { background: #0f0 }")
			return
		}
		_, _ = io.WriteString(w, "@media (min-width: 190px) { body { background: #0f0 } }")
	}))
	t.Cleanup(server.Close)
	b := startBehind(t, loopback, 0)
	for path, want := range map[string][]string{
		"/cors/rules.css": nil, "/cors/plain.css": nil,
		"/rules.css": {"Rules for the page's width may be those of a narrower page: " + server.URL + "/rules.css"},
	} {
		outputs, warnings := run(t, b, task("pdf", `<!doctype html><link rel=stylesheet href="`+server.URL+path+`"><body style="margin:0"><i style="position:absolute;left:300px;top:0;width:50px;height:50px"></i>`))
		if img := picture(t, outputs[0].Data); want == nil && !near(img, 100, 50, green255) || !slices.Equal(titlesOf(warnings), want) {
			t.Errorf("%s: the page is %v; warnings %v", path, img.At(100, 50), warnings)
		}
	}
}
