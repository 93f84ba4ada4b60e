// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command render measures the renderer without a cluster, side by side with the same Chromium as plain chromedp drives it: a new
// tab for each render and the default screenshot.
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

	"github.com/chromedp/chromedp"

	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/render/browser"
	"github.com/platen-dev/platen/internal/render/encode"
	"github.com/platen-dev/platen/test/bench/report"
)

const (
	width, height = 1200, 630
	plainName     = "plain chromedp"
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
	return map[string]string{
		"card": `<body style="margin:0;background:linear-gradient(135deg,#123,#48c);font:60px sans-serif;color:#fff">
			<h1 style="text-shadow:2px 2px 8px #000">Hello World</h1>`,
		"text":   `<body style="margin:20px;font:14px/1.3 serif;columns:4">` + strings.Repeat("<p>The quick brown fox jumps over the lazy dog, again and again. </p>", 120),
		"images": `<body style="margin:0">` + strings.Repeat(`<img style="width:150px;height:150px;border-radius:20px" src="`+source+`">`, 24),
	}
}

func main() {
	each := flag.Duration("each", 3*time.Second, "how long each combination is measured")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *each)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
}

// once renders a page to a format.
type once func(ctx context.Context, html, format string) ([]byte, error)

// result of a measurement.
type result struct {
	perSecond float64
	times     []time.Duration
}

func run(ctx context.Context, each time.Duration) error {
	b, err := browser.New(browser.Options{Parallel: 1})
	if err != nil {
		return err
	}
	defer b.Close()
	ours := func(ctx context.Context, html, format string) (data []byte, err error) {
		task := render.Task{Format: format, Scale: 1, Quality: 90, Pages: []render.Page{{Number: 1, Width: width, Height: height, HTML: html}}}
		_, err = b.Render(ctx, task, render.Emit(func(_ context.Context, o render.Output) error { data = o.Data; return nil }))
		return data, err
	}
	allocator, cancel := chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.ExecPath(b.ExecPath()))...)
	defer cancel()
	root, cancelRoot := chromedp.NewContext(allocator)
	defer cancelRoot()
	if err := errors.Join(chromedp.Do(root), b.Start(ctx)); err != nil {
		return err
	}
	plain := func(ctx context.Context, html, _ string) (data []byte, err error) {
		tab, cancel := chromedp.NewContext(root)
		defer cancel()
		stop := context.AfterFunc(ctx, cancel)
		defer stop()
		page := "data:text/html;base64," + base64.StdEncoding.EncodeToString([]byte(html))
		return shoot(tab, page)
	}

	fmt.Println("template  format  at a time   ours/s   p50 ms   p99 ms   plain/s   ratio")
	figures := map[string]report.Figure{}
	pages := templates()
	for _, name := range []string{"card", "text", "images"} {
		if err := samePixels(ctx, ours, plain, pages[name]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, format := range []string{"png", "jpeg", "webp", "avif", "pdf"} {
			for _, parallel := range []int{1, 2, 4} {
				mine, err := measure(ctx, each, parallel, ours, pages[name], format)
				if err != nil {
					return err
				}
				line := fmt.Sprintf("%-9s %-7s %9d %8.1f %8.0f %8.0f", name, format, parallel, mine.perSecond,
					1000*report.Percentile(mine.times, 50), 1000*report.Percentile(mine.times, 99))
				var peer result
				if format == "png" {
					if peer, err = measure(ctx, each, parallel, plain, pages[name], format); err != nil {
						return err
					}
					line += fmt.Sprintf(" %9.1f %7.2f", peer.perSecond, mine.perSecond/peer.perSecond)
				}
				fmt.Println(line)
				if name == "card" {
					note(figures, format, parallel, mine, peer)
				}
			}
		}
	}
	film, err := video(ctx, b)
	if err != nil {
		return err
	}
	return report.Write(os.Stdout, "render", []report.Figure{
		figures["png_c4"], figures["png_c1"], figures["jpeg_c4"], figures["pdf_c1"], film,
	})
}

// note keeps what the report is about.
func note(figures map[string]report.Figure, format string, parallel int, mine, peer result) {
	p50 := 1000 * report.Percentile(mine.times, 50)
	switch {
	case format == "png" && parallel == 4:
		figures["png_c4"] = report.Figure{Name: "png_c4_per_second", Value: mine.perSecond, Unit: "1/s", Goal: ">= 2.5x"}.Against(plainName, peer.perSecond)
	case format == "png" && parallel == 1:
		figures["png_c1"] = report.Figure{Name: "png_c1_p50_ms", Value: p50, Unit: "ms", Goal: "<= 100"}.Against(plainName, 1000*report.Percentile(peer.times, 50))
	case format == "jpeg" && parallel == 4:
		figures["jpeg_c4"] = report.Figure{Name: "jpeg_c4_per_second", Value: mine.perSecond, Unit: "1/s"}
	case format == "pdf" && parallel == 1:
		figures["pdf_c1"] = report.Figure{Name: "pdf_c1_p50_ms", Value: p50, Unit: "ms"}
	}
}

// shoot is what a program does that knows nothing better.
func shoot(ctx context.Context, page string) ([]byte, error) {
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, height), chromedp.Navigate(page)); err != nil {
		return nil, err
	}
	return chromedp.Run(ctx, chromedp.CaptureScreenshot())
}

// measure renders for a while, so many at a time.
func measure(ctx context.Context, each time.Duration, parallel int, do once, html, format string) (result, error) {
	var mu sync.Mutex
	var r result
	var problems []error
	began := time.Now()
	var all sync.WaitGroup
	for range parallel {
		all.Go(func() {
			for time.Since(began) < each {
				start := time.Now()
				_, err := do(ctx, html, format)
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
func samePixels(ctx context.Context, ours, plain once, html string) error {
	var pictures [2]image.Image
	for i, do := range []once{ours, plain} {
		data, err := do(ctx, html, "png")
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
	// Fonts are hinted by default, and not by the renderer, whose text does not depend on the scale.
	if share := float64(different) / (width * height); share > 0.05 {
		return fmt.Errorf("%.1f %% of the pixels differ", 100*share)
	}
	return nil
}

// video films four seconds at 1280x720 and 30 frames a second, and encodes as many frames with ffmpeg alone.
func video(ctx context.Context, b *browser.Browser) (report.Figure, error) {
	const seconds, fps = 4, 30
	const page = `<style>body{margin:0;background:#123;overflow:hidden} div{width:200px;height:200px;background:linear-gradient(45deg,#f80,#08f);animation:go 4s linear}
		@keyframes go{to{transform:translate(1000px,500px) rotate(360deg)}} h1{color:#fff;font:80px sans-serif}</style><div></div><h1>Summer sale</h1>`
	task := render.Task{
		Format: "mp4", Scale: 1, Quality: 90, Video: render.VideoOptions{FPS: fps},
		Pages: []render.Page{{Number: 1, Width: 1280, Height: 720, HTML: page}},
	}
	start := time.Now()
	if _, err := b.Render(ctx, task, render.Emit(func(context.Context, render.Output) error { return nil })); err != nil {
		return report.Figure{}, err
	}
	ours := seconds * fps / time.Since(start).Seconds()

	still := task
	still.Format = "jpeg"
	var frame []byte
	if _, err := b.Render(ctx, still, render.Emit(func(_ context.Context, o render.Output) error { frame = o.Data; return nil })); err != nil {
		return report.Figure{}, err
	}
	start = time.Now()
	encoder, err := encode.NewVideo(ctx, encode.Settings{Format: "mp4", FPS: fps, Quality: 90})
	if err != nil {
		return report.Figure{}, err
	}
	for range seconds * fps {
		if err := encoder.Write(frame); err != nil {
			encoder.Abort()
			return report.Figure{}, err
		}
	}
	if _, err := encoder.Finish(ctx); err != nil {
		return report.Figure{}, err
	}
	alone := seconds * fps / time.Since(start).Seconds()
	return report.Figure{Name: "video_720p_fps", Value: ours, Unit: "1/s", Goal: ">= 40"}.Against("ffmpeg alone, one still frame", alone), nil
}
