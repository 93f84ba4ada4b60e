// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command render measures the renderer without a cluster, side by side with the same Chromium as plain chromedp drives it, and with
// Gotenberg where its binary is given.
package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/png"
	"os"
	"os/signal"
	"strings"
	"sync"
	"time"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/render/browser"
	"github.com/platen-dev/platen/test/bench/report"
)

const (
	width, height = 1200, 630
	quality       = 90
	// maxDifferent is how many percent of the pixels may differ from a peer's, which may hint its fonts.
	maxDifferent = 5
)

var (
	names     = []string{"card", "text", "images", "script"}
	formats   = []string{"png", "jpeg", "webp", "avif", "pdf"}
	parallels = []int{1, 2, 4}
)

// templates are the pages that are measured.
func templates() map[string]string {
	var square bytes.Buffer
	picture := image.NewNRGBA(image.Rect(0, 0, 300, 300))
	for i := range picture.Pix {
		picture.Pix[i] = byte(i * i >> 7)
	}
	if err := png.Encode(&square, picture); err != nil {
		panic(err) // a bytes.Buffer takes everything
	}
	source := "data:image/png;base64," + base64.StdEncoding.EncodeToString(square.Bytes())
	card := `<body style="margin:0;background:linear-gradient(135deg,#123,#48c);font:60px sans-serif;color:#fff">
			<h1 style="text-shadow:2px 2px 8px #000">Hello World</h1>`
	return map[string]string{
		"card":   card,
		"script": card + `<script>document.title = "a page that needs a browser context of its own"</script>`,
		"text":   `<body style="margin:20px;font:14px/1.3 serif;columns:4">` + strings.Repeat("<p>The quick brown fox jumps over the lazy dog, again and again. </p>", 120),
		"images": `<body style="margin:0">` + strings.Repeat(`<img style="width:150px;height:150px;border-radius:20px" src="`+source+`">`, 24),
	}
}

func main() {
	each := flag.Duration("each", 2*time.Second, "how long each combination is measured")
	binary := flag.String("gotenberg", "", "path of Gotenberg's binary, to measure it too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *each, *binary)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
}

// contestant renders a page to a format.
type contestant interface {
	name() string
	makes(format string) bool
	render(ctx context.Context, html, format string) ([]byte, error)
}

// ours is the renderer.
type ours struct{ browser *browser.Browser }

func (ours) name() string { return "platen" }

func (ours) makes(string) bool { return true }

func (o ours) render(ctx context.Context, html, format string) (data []byte, err error) {
	task := render.Task{Format: file.Format(format), Scale: 1, Quality: quality, Pages: []render.Page{{Number: 1, Width: width, Height: height, HTML: html}}}
	_, err = o.browser.Render(ctx, task, render.Emit(func(_ context.Context, o render.Output) error { data = o.Data; return nil }))
	return data, err
}

// combination is one line of the table.
type combination struct {
	template, format string
	parallel         int
}

// result of a measurement.
type result struct {
	perSecond float64
	times     []time.Duration
}

// milliseconds that p percent of the renders did not exceed.
func (r result) milliseconds(p float64) float64 { return 1000 * report.Percentile(r.times, p) }

// results by combination and contestant.
type results map[combination]map[string]result

func run(ctx context.Context, each time.Duration, binary string) error {
	b, err := browser.New(browser.Options{})
	if err != nil {
		return err
	}
	defer b.Close()
	if err := b.Start(ctx); err != nil {
		return err
	}
	p, stop, err := newPlain(ctx, b.ExecPath())
	if err != nil {
		return err
	}
	defer stop()
	field := []contestant{ours{b}, p}
	if binary != "" {
		g, stop, err := newGotenberg(ctx, binary, b.ExecPath())
		if err != nil {
			return err
		}
		defer stop()
		field = append(field, g)
	}
	// As long as no page has been rendered besides another, the browser holds no more than one.
	used, err := memory(ctx, each, ours{b})
	if err != nil {
		return err
	}
	all, err := compete(ctx, each, field)
	if err != nil {
		return err
	}
	film, err := video(ctx, b)
	if err != nil {
		return err
	}
	return report.Write(os.Stdout, "render", append(append(figures(all, field), film), used...))
}

// compete measures every combination, one contestant after the other, and prints the table.
func compete(ctx context.Context, each time.Duration, field []contestant) (results, error) {
	fmt.Printf("%-9s %-7s %9s", "template", "format", "at a time")
	for i, c := range field {
		fmt.Printf(" | %14s/s  p50 ms  p99 ms", c.name())
		if i > 0 {
			fmt.Print("  ratio")
		}
	}
	fmt.Println()
	pages, all := templates(), results{}
	for _, name := range names {
		for _, peer := range field[1:] {
			if err := samePixels(ctx, field[0], peer, pages[name]); err != nil {
				return nil, fmt.Errorf("%s, %s: %w", name, peer.name(), err)
			}
		}
		for _, format := range formats {
			for _, parallel := range parallels {
				fmt.Printf("%-9s %-7s %9d", name, format, parallel)
				found := map[string]result{}
				for i, c := range field {
					if !c.makes(format) {
						continue
					}
					r, err := measure(ctx, each, parallel, c, pages[name], format)
					if err != nil {
						return nil, fmt.Errorf("%s, %s to %s: %w", c.name(), name, format, err)
					}
					found[c.name()] = r
					fmt.Printf(" | %16.1f %7.0f %7.0f", r.perSecond, r.milliseconds(50), r.milliseconds(99))
					if i > 0 {
						fmt.Printf(" %6.2f", found[field[0].name()].perSecond/r.perSecond)
					}
				}
				fmt.Println()
				all[combination{name, format, parallel}] = found
			}
		}
	}
	return all, nil
}

// figures are what the report is about: the card.
func figures(all results, field []contestant) []report.Figure {
	of := func(format string, parallel int, c contestant) result {
		return all[combination{"card", format, parallel}][c.name()]
	}
	platen, chromedp := field[0], field[1]
	png4, png1, jpeg4, pdf1 := of("png", 4, platen), of("png", 1, platen), of("jpeg", 4, platen), of("pdf", 1, platen)
	card := []report.Figure{
		report.Figure{Name: "png_c4_per_second", Value: png4.perSecond, Unit: "1/s", Goal: ">= 2.5x"}.Against(chromedp.name(), of("png", 4, chromedp).perSecond),
		report.Figure{Name: "png_c1_p50_ms", Value: png1.milliseconds(50), Unit: "ms", Goal: "<= 100"}.Against(chromedp.name(), of("png", 1, chromedp).milliseconds(50)),
		report.Figure{Name: "jpeg_c4_per_second", Value: jpeg4.perSecond, Unit: "1/s"}.Against(chromedp.name(), of("jpeg", 4, chromedp).perSecond),
		report.Figure{Name: "pdf_c1_p50_ms", Value: pdf1.milliseconds(50), Unit: "ms"}.Against(chromedp.name(), of("pdf", 1, chromedp).milliseconds(50)),
	}
	if len(field) > 2 {
		card = append(card, report.Figure{Name: "png_c4_vs_gotenberg", Value: png4.perSecond, Unit: "1/s", Goal: ">= 3x"}.Against(field[2].name(), of("png", 4, field[2]).perSecond))
	}
	return card
}

// measure renders for a while, so many at a time.
func measure(ctx context.Context, each time.Duration, parallel int, c contestant, html, format string) (result, error) {
	// What is measured is a warm contestant.
	if _, err := c.render(ctx, html, format); err != nil {
		return result{}, err
	}
	var mu sync.Mutex
	var r result
	var problems []error
	began := time.Now()
	var all sync.WaitGroup
	for range parallel {
		all.Go(func() {
			for time.Since(began) < each {
				start := time.Now()
				_, err := c.render(ctx, html, format)
				took := time.Since(start)
				mu.Lock()
				r.times = append(r.times, took)
				if err != nil {
					problems = append(problems, err)
				}
				failed := len(problems) > 0
				mu.Unlock()
				if failed {
					return
				}
			}
		})
	}
	all.Wait()
	r.perSecond = float64(len(r.times)) / time.Since(began).Seconds()
	return r, errors.Join(problems...)
}

// samePixels makes sure that both did the same work.
func samePixels(ctx context.Context, one, other contestant, html string) error {
	var pictures [2]image.Image
	for i, c := range []contestant{one, other} {
		data, err := c.render(ctx, html, "png")
		if err != nil {
			return err
		}
		if pictures[i], err = png.Decode(bytes.NewReader(data)); err != nil {
			return err
		}
	}
	if pictures[0].Bounds() != pictures[1].Bounds() {
		return fmt.Errorf("sizes differ: %v and %v", pictures[0].Bounds(), pictures[1].Bounds())
	}
	different := 0
	for y := range height {
		for x := range width {
			r0, g0, b0, _ := pictures[0].At(x, y).RGBA()
			r1, g1, b1, _ := pictures[1].At(x, y).RGBA()
			if r0 != r1 || g0 != g1 || b0 != b1 {
				different++
			}
		}
	}
	share := 100 * float64(different) / (width * height)
	fmt.Printf("# %.2f %% of the pixels differ between %s and %s\n", share, one.name(), other.name())
	if share > maxDifferent {
		return fmt.Errorf("%.1f %% of the pixels differ", share)
	}
	return nil
}

// memory is the most that the browser holds while it renders one card after the other: with its share of what other browsers on the
// machine use as well, such as the program itself, and without any of that.
func memory(ctx context.Context, each time.Duration, o ours) ([]report.Figure, error) {
	done := make(chan error, 1)
	go func() {
		_, err := measure(ctx, each, 1, o, templates()["card"], "png")
		done <- err
	}()
	var pss, unshared int64
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case err := <-done:
			return []report.Figure{
				{Name: "pss_mib", Value: float64(pss) / (1 << 20), Unit: "MiB", Goal: "<= 155"},
				{Name: "unshared_mib", Value: float64(unshared) / (1 << 20), Unit: "MiB"},
			}, err
		case <-ticker.C:
			proportional, own := o.browser.Memory()
			pss, unshared = max(pss, proportional), max(unshared, own)
		}
	}
}
