// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/render"
)

// update overwrites the pictures: go test ./internal/render/browser -run Golden -update. Look at each one before you commit it.
var update = flag.Bool("update", false, "overwrite the golden pictures")

const (
	// goldenTolerance is the largest difference of a colour channel (0..255) that is ignored: fonts differ a little between versions.
	goldenTolerance = 32
	// goldenShare is the number of pixels in a thousand that may differ by more.
	goldenShare = 5
)

// golden is a page with its modifications.
type golden struct {
	name, html    string
	modifications map[string]any
	transparent   bool
}

// goldens are the golden set. Each page has a picture in testdata that a person has looked at.
var goldens = []golden{
	{
		name: "flat-card",
		html: `<body style="margin:0;background:#1d3557;color:#f1faee;font:16px 'Liberation Sans'"><div style="margin:20px;padding:16px;background:#457b9d;border-radius:12px">
			<h1 data-param="headline" style="margin:0;font-size:32px"></h1><p data-param="price" style="margin:8px 0 0"></p></div>`,
		modifications: map[string]any{"headline": "Summer sale", "price": "from 9.99 €"},
	},
	{
		name: "gradient-shadow",
		html: `<body style="margin:0;background:linear-gradient(135deg,#e63946,#1d3557)"><h1 style="margin:0;padding:40px;font:bold 44px 'Liberation Sans';color:#fff;text-shadow:3px 3px 6px #000">Shadow</h1>
			<div style="position:absolute;right:24px;bottom:24px;width:60px;height:60px;border-radius:50%;background:radial-gradient(circle at 30% 30%,#fff,#ffb703);box-shadow:0 6px 14px rgba(0,0,0,.6)"></div>`,
	},
	{
		name: "text-heavy",
		html: `<body style="margin:10px;font:9px/1.35 'Liberation Serif';columns:3;column-gap:10px;text-align:justify;hyphens:auto" lang="en"><p data-each="paragraphs" data-param="item" style="margin:0 0 4px">`,
		modifications: map[string]any{"paragraphs": []any{
			"The quick brown fox jumps over the lazy dog. Pack my box with five dozen liquor jugs. How vexingly quick daft zebras jump!",
			"Sphinx of black quartz, judge my vow. Jackdaws love my big sphinx of quartz. The five boxing wizards jump quickly.",
			"Typography is the craft of endowing human language with a durable visual form: kerning AV, To, Wa; ligatures fi fl; figures 0123456789.",
		}},
	},
	{
		name:          "emoji",
		html:          `<body style="margin:16px;font:40px 'Liberation Sans';background:#fff"><div data-param="line"></div><div style="font-size:24px">👩‍🚀 🏳️‍🌈 🇩🇪 👍🏽 ❤️ ☀️</div>`,
		modifications: map[string]any{"line": "Party 🎉🚀😀"},
	},
	{
		name:          "cjk",
		html:          `<body style="margin:16px;font:26px 'Liberation Sans';background:#fff"><div lang="zh" data-param="zh"></div><div lang="ja" data-param="ja"></div><div lang="ko" data-param="ko"></div>`,
		modifications: map[string]any{"zh": "夏季大促销 全场五折", "ja": "夏のセール、半額です", "ko": "여름 세일 반값"},
	},
	{
		name:          "arabic",
		html:          `<body dir="rtl" style="margin:16px;font:34px 'Liberation Sans';background:#fff"><div lang="ar" data-param="ar"></div><div lang="fa" style="font-size:26px" data-param="mixed"></div>`,
		modifications: map[string]any{"ar": "مرحبا بالعالم", "mixed": "خصم 50% على Platen"},
	},
	{
		name:          "combining",
		html:          `<body style="margin:16px;font:34px 'DejaVu Sans';background:#fff"><div data-param="one"></div><div data-param="two"></div>`,
		modifications: map[string]any{"one": "e\u0301 a\u0308 n\u0303 c\u0327 Z\u0323\u030c", "two": "Tiế\u0302ng Việt ộ ữ q\u0307\u0323"},
	},
	{
		name: "image",
		html: `<body style="margin:0;background:#eee"><img data-param="photo" style="width:120px;height:120px;margin:15px;border-radius:20px;object-fit:cover"><img data-param="photo" style="width:100px;height:50px;transform:rotate(-12deg)">`,
		modifications: map[string]any{"photo": "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='80' height='40'%3E" +
			"%3Crect width='40' height='40' fill='%23e63946'/%3E%3Crect x='40' width='40' height='40' fill='%232a9d8f'/%3E%3Ccircle cx='40' cy='20' r='14' fill='%23fff'/%3E%3C/svg%3E"},
	},
	{
		name: "list",
		html: `<body style="margin:12px;font:14px 'Liberation Sans'"><table style="width:100%;border-collapse:collapse"><tr data-each="rows" style="border-bottom:1px solid #ccc">
			<td data-param="name"></td><td data-param="price" style="text-align:right"></td></tr></table><ul style="margin:6px"><li data-each="tags" data-param="item"></li></ul>`,
		modifications: map[string]any{
			"rows": []any{map[string]any{"name": "Espresso", "price": "2.40"}, map[string]any{"name": "<b>Latte</b>", "price": 3.2}, map[string]any{"name": "Tea", "price": "1.90"}},
			"tags": []any{"hot", "fresh"},
		},
	},
	{
		name: "conditions",
		html: `<body style="margin:16px;font:24px 'Liberation Sans'"><p data-if="sale" style="color:#c00">On sale</p><p data-if="!sale">Regular price</p><p data-if="sold">Sold out</p><p data-if="!sold">In stock</p><p data-if="none">Nothing</p>`,
		modifications: map[string]any{
			"sale": true, "sold": false, "none": []any{},
		},
	},
	{
		name: "fit",
		html: `<body style="margin:12px;font-family:'Liberation Sans'"><div data-param="long" data-fit="shrink" style="width:276px;height:50px;font-size:60px;line-height:1.1;overflow:hidden;background:#ffe8d6"></div>
			<div data-param="long" data-fit="truncate" style="margin-top:12px;width:276px;height:44px;font-size:18px;line-height:22px;overflow:hidden;background:#cfe8ff"></div>`,
		modifications: map[string]any{"long": "A headline that is much longer than the designer thought when they drew the box for it, and goes on"},
	},
	{
		name: "drawing",
		html: `<body style="margin:0;background:#fff"><canvas id="c" width="150" height="150"></canvas><svg width="150" height="150" viewBox="0 0 100 100" style="vertical-align:top">
			<path d="M10 90 C 30 10, 70 10, 90 90" fill="none" stroke="#2a9d8f" stroke-width="6"/><text x="50" y="60" text-anchor="middle" font-family="Liberation Sans" font-size="16">SVG</text></svg>
			<script>const g = c.getContext("2d"); for (let i = 0; i < 6; i++) { g.fillStyle = "hsl(" + i * 60 + " 80% 50%)"; g.beginPath(); g.moveTo(75, 75); g.arc(75, 75, 60, i * Math.PI / 3, (i + 1) * Math.PI / 3); g.fill() }</script>`,
	},
	{
		name: "transparent", transparent: true,
		html: `<body style="margin:0"><div style="position:absolute;left:30px;top:30px;width:120px;height:90px;background:rgba(230,57,70,.5)"></div><div style="position:absolute;left:120px;top:20px;width:90px;height:90px;border-radius:50%;background:rgba(42,157,143,.6)"></div>`,
	},
	{
		name: "overrides",
		html: `<body style="margin:20px;font:20px 'Liberation Sans'"><h1 id="title" data-param="headline"></h1><a id="link" href="#">link</a>`,
		modifications: map[string]any{
			"headline": "Styled", "title.color": "#e63946", "title.fontSize": "48px", "title.text-transform": "uppercase", "link.href": "https://example.com/",
			"canvasBackgroundColor": "linear-gradient(90deg, #fff, #a8dadc)", "page2@title.color": "blue",
		},
	},
}

func TestGolden(t *testing.T) {
	b := start(t)
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			page := task("png", g.html)
			page.Pages[0].Width, page.Pages[0].Height = 300, 150
			page.Modifications, page.Transparent, page.TemplatePages = g.modifications, g.transparent, 2
			page.MayBeUnused = []string{"page2@title.color"} // page 2 has the title, and is not rendered
			outputs, warnings := run(t, b, page)
			if len(warnings) != 0 {
				t.Errorf("warnings %v", warnings)
			}
			comparePicture(t, g.name, outputs[0])
		})
	}
}

// comparePicture compares a picture with the golden one of a name, or replaces that with -update.
func comparePicture(t *testing.T, name string, got emitted) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name+".png")
	if *update {
		if err := os.WriteFile(path, got.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	compare(t, got, path)
}

// compare fails the test when too many pixels differ too much from the picture at path.
func compare(t *testing.T, got emitted, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	img, _ := decode(t, got.Data)
	if img.Bounds() != want.Bounds() {
		t.Fatalf("the picture is %v, want %v", img.Bounds(), want.Bounds())
	}
	differing := 0
	for y := range want.Bounds().Dy() {
		for x := range want.Bounds().Dx() {
			if distance(img, want, x, y) > goldenTolerance {
				differing++
			}
		}
	}
	if size := want.Bounds().Dx() * want.Bounds().Dy(); differing*1000 > goldenShare*size {
		kept := filepath.Join(os.TempDir(), "platen-"+filepath.Base(path))
		_ = os.WriteFile(kept, got.Data, 0o600) // the test fails even if this does not work
		t.Errorf("%d of %d pixels differ from %s; the picture is kept as %s", differing, size, path, kept)
	}
}

// distance returns the largest difference of two pixels' channels, alpha included.
func distance(a, b image.Image, x, y int) (largest int) {
	p, _ := color.NRGBAModel.Convert(a.At(x, y)).(color.NRGBA)
	q, _ := color.NRGBAModel.Convert(b.At(x, y)).(color.NRGBA)
	for _, pair := range [][2]uint8{{p.R, q.R}, {p.G, q.G}, {p.B, q.B}, {p.A, q.A}} {
		largest = max(largest, int(pair[0])-int(pair[1]), int(pair[1])-int(pair[0]))
	}
	return largest
}

// Every page of the golden set has the same bytes in every format, whatever is rendered before it and beside it, and in whatever browser.
func TestGoldenPagesHaveTheSameBytesInEveryFormat(t *testing.T) {
	type key struct{ page, format string }
	tasks := map[key]render.Task{}
	pages := goldens
	var scripts strings.Builder
	for _, s := range sentences {
		fmt.Fprintf(&scripts, `<p lang=%q style="margin:0">%s</p>`, s.lang, s.text)
	}
	pages = append(slices.Clone(pages), golden{name: "scripts", html: scripts.String()})
	for _, g := range pages {
		for _, format := range []string{"png", "jpg", "webp", "avif", "pdf", "mp4", "webm", "gif"} {
			page := film(format, g.html)
			page.Modifications, page.Transparent, page.Video.Seconds = g.modifications, g.transparent, 0.2
			tasks[key{g.name, format}] = page
		}
	}
	want := map[key][]byte{}
	first := start(t)
	order := slices.Collect(maps.Keys(tasks))
	for _, k := range order {
		outputs, _ := run(t, first, tasks[k])
		want[k] = outputs[0].Data
	}
	// Another browser, another order, and two neighbours at a time that could each change what the next page looks like.
	seed := uint64(time.Now().UnixNano())
	t.Logf("the seed is %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	second := start(t)
	group, ctx := errgroup.WithContext(t.Context())
	const beside = 3
	group.SetLimit(beside)
	for i, k := range order {
		group.Go(func() error {
			_, err := second.Render(ctx, tasks[k], render.SinkFunc(func(_ context.Context, _ file.File, data []byte) error {
				if !bytes.Equal(data, want[k]) {
					t.Errorf("%v has other bytes beside others", k)
				}
				return nil
			}))
			return err
		})
		neighbour := task([]string{"png", "pdf", "jpg", "webp"}[i%4], leakyPages[i%len(leakyPages)])
		group.Go(func() error {
			_, err := second.Render(ctx, neighbour, render.SinkFunc(func(context.Context, file.File, []byte) error { return nil }))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}
