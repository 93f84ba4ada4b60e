// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/render/procs"
)

// BenchmarkBesideChromiumAlone measures the CPU time of a render beside the least that Chromium needs for a new document and its file: a
// navigation, a frame, and a frame with a picture or a print. Nothing waits for fonts or scripts then, and nothing is checked. Both take turns.
func BenchmarkBesideChromiumAlone(b *testing.B) {
	card := `<body style="margin:0;background:linear-gradient(135deg,#123,#48c);font:60px sans-serif;color:#fff"><h1 style="text-shadow:2px 2px 8px #000">Hello World</h1>`
	for _, format := range []file.Format{"png", "jpeg", "pdf"} {
		b.Run(string(format), func(b *testing.B) {
			renderer, bare := startBench(b), startBench(b)
			c, release, err := bare.supervisor.acquire(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			defer release()
			picture := render.Task{Format: format, Scale: 1, Quality: 90, Pages: []render.Page{{Number: 1, Width: 1200, Height: 630, HTML: card}}}
			whole := func() error {
				_, err := renderer.Render(b.Context(), picture, discard)
				return err
			}
			least := func() error { return c.paintOnly(b.Context(), picture) }
			const each = 10 // Linux counts in hundredths of a second
			cpu := func() time.Duration { return procs.CPU(os.Getpid()) + renderer.cpu() + bare.cpu() }
			var used [2]time.Duration
			for b.Loop() {
				for i, paint := range []func() error{whole, least} {
					before := cpu()
					for range each {
						if err := paint(); err != nil {
							b.Fatal(err)
						}
					}
					used[i] += cpu() - before
				}
			}
			b.ReportMetric(float64(used[0].Milliseconds())/float64(each*b.N), "cpu-ms/render")
			b.ReportMetric(float64(used[1].Milliseconds())/float64(each*b.N), "chromium-cpu-ms/render")
			b.ReportMetric(float64(used[0])/float64(used[1]), "ratio")
		})
	}
}

// paintOnly shows a task's first page in a tab that stays, and makes its file.
func (c *chromium) paintOnly(ctx context.Context, task render.Task) error {
	t, err := c.tabs.take(ctx, need{scale: deviceScale(task)})
	if err != nil {
		return err
	}
	if t.pages++; t.pages == 1 {
		if err := t.watch(ctx); err != nil {
			return err
		}
	}
	if err := t.prepare(ctx, task, task.Pages[0]); err != nil {
		return err
	}
	err = t.pump(ctx, pumpDelay, 0, func(ctx context.Context) error {
		if err := t.navigate(ctx, document{html: task.Pages[0].HTML, policy: ownPolicy}); err != nil {
			return err
		}
		_, err := evaluate[any](ctx, t, `new Promise((resolve) => requestAnimationFrame(resolve))`)
		return err
	})
	if err != nil {
		return err
	}
	if _, err = t.capture(ctx, task, task.Pages[0]); err != nil {
		return err
	}
	if t.pages == maxPages {
		c.tabs.discard(t)
	} else {
		c.tabs.keep(t)
	}
	return nil
}

// cpu returns the CPU time of the browser's processes.
func (b *Browser) cpu() (total time.Duration) {
	if c := b.supervisor.running(); c != nil {
		for _, pid := range procs.Tree(c.Pid()) {
			total += procs.CPU(pid)
		}
	}
	return total
}

func startBench(b *testing.B) *Browser {
	b.Helper()
	renderer, err := New(Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(renderer.Close)
	return renderer
}
