// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command render measures the renderer without a cluster. The peers are plain chromedp with the same Chromium, takumi-js, which it installs
// from npm, and Gotenberg if -gotenberg names its binary. It runs in the root of the repository.
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
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/render/browser"
	"github.com/platen-dev/platen/internal/render/procs"
	"github.com/platen-dev/platen/test/bench/report"
)

const (
	width, height = 1200, 630
	quality       = 90
	// maxDifferent is the percentage of pixels that may differ from a peer's picture: the peer may hint its fonts.
	maxDifferent = 5
)

var (
	names     = []string{"card", "script", "web", "text", "images"}
	parallels = []int{1, 4}
	// formats of each template; others are measured as png only.
	formats = map[string][]string{"card": {"png", "jpeg", "webp", "avif", "pdf"}, "script": {"png", "pdf"}, "text": {"png", "pdf"}}
)

// assets serves the pictures and fonts of the template "web", over HTTPS.
func assets(ctx context.Context) (*httptest.Server, error) {
	logo := square()
	font, err := exec.CommandContext(ctx, "fc-match", "-f", "%{file}", "Liberation Serif").Output()
	if err != nil {
		return nil, fmt.Errorf("looking for a font: %w", err)
	}
	return httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		if r.URL.Path == "/logo.png" {
			w.Header().Set("Content-Type", "image/png")
			_, _ = w.Write(logo)
			return
		}
		http.ServeFile(w, r, string(font))
	})), nil
}

// square returns a PNG of 300x300.
func square() []byte {
	var square bytes.Buffer
	picture := image.NewNRGBA(image.Rect(0, 0, 300, 300))
	for i := range picture.Pix {
		picture.Pix[i] = byte(i * i >> 7)
	}
	if err := png.Encode(&square, picture); err != nil {
		panic(err) // writing to a bytes.Buffer never fails
	}
	return square.Bytes()
}

// templates returns the measured pages by name. server has the assets of "web".
func templates(server string) map[string]string {
	source := "data:image/png;base64," + base64.StdEncoding.EncodeToString(square())
	card := `<body style="margin:0;background:linear-gradient(135deg,#123,#48c);font:60px sans-serif;color:#fff">
			<h1 style="text-shadow:2px 2px 8px #000">Hello World</h1>`
	return map[string]string{
		"card":   card,
		"script": card + `<script>document.querySelector("h1").append("!")</script>`,
		"web":    `<style>@font-face{font-family:brand;src:url(` + server + `/font)}h1{font-family:brand}</style>` + card + `<img src="` + server + `/logo.png" width="100" height="100">`,
		"text":   `<body style="margin:20px;font:14px/1.3 serif;columns:4">` + strings.Repeat("<p>The quick brown fox jumps over the lazy dog, again and again. </p>", 120),
		"images": `<body style="margin:0">` + strings.Repeat(`<img style="width:150px;height:150px;border-radius:20px" src="`+source+`">`, 24),
	}
}

func main() {
	duration := flag.Duration("duration", 2*time.Second, "how long each engine renders each template in each format")
	gotenberg := flag.String("gotenberg", "", "path of Gotenberg's binary; measures it too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *duration, *gotenberg)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
}

// engine renders a page to a format.
type engine interface {
	name() string
	supports(format string) bool
	render(ctx context.Context, html, format string) ([]byte, error)
}

// platen is the renderer.
type platen struct{ browser *browser.Browser }

func (platen) name() string { return "platen" }

func (platen) supports(string) bool { return true }

func (p platen) render(ctx context.Context, html, format string) (data []byte, err error) {
	task := render.Task{Format: file.Format(format), Scale: 1, Quality: quality, Pages: []render.Page{{Number: 1, Width: width, Height: height, HTML: html}}}
	_, err = p.browser.Render(ctx, task, render.SinkFunc(func(_ context.Context, _ file.File, emitted []byte) error { data = emitted; return nil }))
	return data, err
}

// scenario is one line of the table.
type scenario struct {
	template, format string
	parallel         int
}

// result is what one engine did in one scenario.
type result struct {
	perSecond float64
	// cpu is the CPU time of one render: of this process, of the browser and of the encoders. It depends less than the others on what
	// else the machine does.
	cpu time.Duration
	// times has the duration of each render.
	times []time.Duration
}

// milliseconds returns the duration that p percent of the renders did not exceed.
func (r result) milliseconds(p float64) float64 { return 1000 * report.Percentile(r.times, p) }

// results maps a scenario and the name of an engine to its result.
type results map[scenario]map[string]result

func run(ctx context.Context, duration time.Duration, gotenbergPath string) error {
	server, err := assets(ctx)
	if err != nil {
		return err
	}
	defer server.Close()
	// The CPU time of a browser that is replaced meanwhile would be missing.
	b, err := browser.New(browser.Options{Flags: []string{"--ignore-certificate-errors"}, MaxRenders: math.MaxInt})
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
	engines := []engine{platen{b}, p}
	if gotenbergPath != "" {
		g, stop, err := newGotenberg(ctx, gotenbergPath, b.ExecPath())
		if err != nil {
			return err
		}
		defer stop()
		engines = append(engines, g)
	}
	pages := templates(server.URL)
	// Measure memory first: the peer's browser then shares the least with ours.
	used, err := memory(ctx, duration, platen{b}, pages["card"])
	if err != nil {
		return err
	}
	all, err := measureAll(ctx, duration, engines, pages)
	if err != nil {
		return err
	}
	list := figures(all, engines)
	card, err := takumi(ctx, duration, platen{b}, pages["card"])
	if err != nil {
		return err
	}
	long, err := document(ctx, platen{b}, p)
	if err != nil {
		return err
	}
	films, err := video(ctx, b)
	if err != nil {
		return err
	}
	return report.Write(os.Stdout, "render", slices.Concat(list, []report.Figure{card, long}, films, used))
}

// measureAll measures each engine in each scenario and prints the table.
func measureAll(ctx context.Context, duration time.Duration, engines []engine, pages map[string]string) (results, error) {
	fmt.Printf("%-9s %-7s %9s", "template", "format", "at a time")
	for i, e := range engines {
		fmt.Printf(" | %14s/s  p50 ms  p99 ms  CPU ms", e.name())
		if i > 0 {
			fmt.Print("  ratio")
		}
	}
	fmt.Println()
	all := results{}
	for _, name := range names {
		for _, peer := range engines[1:] {
			if err := samePixels(ctx, engines[0], peer, pages[name]); err != nil {
				return nil, fmt.Errorf("%s, %s: %w", name, peer.name(), err)
			}
		}
		of := formats[name]
		if of == nil {
			of = []string{"png"}
		}
		for _, format := range of {
			for _, parallel := range parallels {
				fmt.Printf("%-9s %-7s %9d", name, format, parallel)
				byEngine := map[string]result{}
				for i, e := range engines {
					if !e.supports(format) {
						continue
					}
					r, err := measure(ctx, duration, parallel, e, pages[name], format)
					if err != nil {
						return nil, fmt.Errorf("%s, %s to %s: %w", e.name(), name, format, err)
					}
					byEngine[e.name()] = r
					fmt.Printf(" | %16.1f %7.0f %7.0f %7.0f", r.perSecond, r.milliseconds(50), r.milliseconds(99), 1000*r.cpu.Seconds())
					if i > 0 {
						fmt.Printf(" %6.2f", byEngine[engines[0].name()].perSecond/r.perSecond)
					}
				}
				fmt.Println()
				all[scenario{name, format, parallel}] = byEngine
			}
		}
	}
	return all, nil
}

// figures returns the figures of the report, all of the card and its variants. A ratio is to plain chromedp, which runs with the same
// browser in turn.
func figures(all results, engines []engine) []report.Figure {
	of := func(template, format string, parallel int, e engine) result {
		return all[scenario{template, format, parallel}][e.name()]
	}
	var list []report.Figure
	add := func(name, template, format string, parallel int, goal string, peer engine) {
		f := report.Figure{Name: name, Value: of(template, format, parallel, engines[0]).perSecond, Unit: "1/s", Goal: goal}
		list = append(list, f.Against(peer.name(), of(template, format, parallel, peer).perSecond))
	}
	addTime := func(name, template, format, goal string, peer engine) {
		f := report.Figure{Name: name, Value: of(template, format, 1, engines[0]).milliseconds(50), Unit: "ms", Goal: goal}
		list = append(list, f.Against(peer.name(), of(template, format, 1, peer).milliseconds(50)))
	}
	addCPU := func(name, template, format string, peer engine) {
		f := report.Figure{Name: name, Value: 1000 * of(template, format, 4, engines[0]).cpu.Seconds(), Unit: "ms"}
		list = append(list, f.Against(peer.name(), 1000*of(template, format, 4, peer).cpu.Seconds()))
	}
	chromedp := engines[1]
	add("png_c4_per_second", "card", "png", 4, ">= 5x", chromedp)
	addTime("png_c1_p50_ms", "card", "png", "<= 0.15x", chromedp)
	add("png_script_c4_per_second", "script", "png", 4, ">= 3x", chromedp)
	add("png_web_c4_per_second", "web", "png", 4, ">= 3x", chromedp)
	add("jpeg_c4_per_second", "card", "jpeg", 4, "", chromedp)
	addTime("pdf_c1_p50_ms", "text", "pdf", "", chromedp)
	add("pdf_c4_per_second", "text", "pdf", 4, ">= 5x", chromedp)
	add("pdf_card_c4_per_second", "card", "pdf", 4, "", chromedp)
	add("pdf_script_c4_per_second", "script", "pdf", 4, ">= 1.5x", chromedp)
	addCPU("png_cpu_ms", "card", "png", chromedp)
	addCPU("png_script_cpu_ms", "script", "png", chromedp)
	addCPU("jpeg_cpu_ms", "card", "jpeg", chromedp)
	addCPU("pdf_cpu_ms", "text", "pdf", chromedp)
	addCPU("pdf_card_cpu_ms", "card", "pdf", chromedp)
	for _, e := range engines[2:] {
		add("png_c4_vs_"+e.name(), "card", "png", 4, "", e)
	}
	return list
}

// measure renders a page repeatedly for the duration, parallel renders at a time.
func measure(ctx context.Context, duration time.Duration, parallel int, e engine, html, format string) (result, error) {
	// The first render warms the engine up and does not count.
	if _, err := e.render(ctx, html, format); err != nil {
		return result{}, err
	}
	var mu sync.Mutex
	var r result
	var problems []error
	used := cpu()
	began := time.Now()
	var all sync.WaitGroup
	for range parallel {
		all.Go(func() {
			for time.Since(began) < duration {
				start := time.Now()
				_, err := e.render(ctx, html, format)
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
	r.cpu = (cpu() - used) / time.Duration(len(r.times))
	return r, errors.Join(problems...)
}

// cpu returns the CPU time of this process and its descendants.
func cpu() (total time.Duration) {
	for _, pid := range procs.Tree(os.Getpid()) {
		total += procs.CPU(pid)
	}
	return total
}

// samePixels fails when the pictures of two engines differ, because then they do not do the same work.
func samePixels(ctx context.Context, one, other engine, html string) error {
	var pictures [2]image.Image
	for i, e := range []engine{one, other} {
		data, err := e.render(ctx, html, "png")
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

// memory returns what the browser holds: with its part of the memory that it shares with other processes (PSS) before the first page and
// at most with four pages at a time, and at most without shared memory.
func memory(ctx context.Context, duration time.Duration, p platen, html string) ([]report.Figure, error) {
	idle, _ := p.browser.Memory()
	done := make(chan error, 1)
	go func() {
		_, err := measure(ctx, duration, 4, p, html, "png")
		done <- err
	}()
	var pss, unshared int64
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case err := <-done:
			return []report.Figure{
				{Name: "pss_idle_mib", Value: float64(idle) / (1 << 20), Unit: "MiB", Goal: "<= 120"},
				{Name: "pss_c4_mib", Value: float64(pss) / (1 << 20), Unit: "MiB", Goal: "<= 200"},
				{Name: "unshared_c4_mib", Value: float64(unshared) / (1 << 20), Unit: "MiB"},
			}, err
		case <-ticker.C:
			proportional, alone := p.browser.Memory()
			pss, unshared = max(pss, proportional), max(unshared, alone)
		}
	}
}
