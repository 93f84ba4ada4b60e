// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/headlessexperimental"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/render/encode"
)

const (
	// defaultSeconds is how long a page without animations that have an end is filmed.
	defaultSeconds = 5
	// maxSeconds bounds what a page's animations can ask for.
	maxSeconds = 60
	// frameQuality of the JPEG frames that the encoder gets.
	frameQuality = 92
	// pumpInterval is how often a page that loads gets a frame.
	pumpInterval = 8 * time.Millisecond
)

// filmFlags let the renderer say when a frame is drawn, and draw it whole.
// See https://chromedevtools.github.io/devtools-protocol/tot/HeadlessExperimental/.
var filmFlags = []chromedp.ExecAllocatorOption{
	chromedp.Flag("enable-begin-frame-control", true),
	chromedp.Flag("run-all-compositor-stages-before-draw", true),
	chromedp.Flag("disable-new-content-rendering-timeout", true),
	chromedp.Flag("disable-threaded-animation", true),
	chromedp.Flag("disable-threaded-scrolling", true),
	chromedp.Flag("disable-checker-imaging", true),
	chromedp.Flag("disable-image-animation-resync", true),
}

// film renders mp4 and gif. The page's time is in the renderer's hands: each frame is asked for, and encoded while the next is
// drawn. The browser is one of its own, because one whose frames are asked for cannot make screenshots in the usual way.
func (b *Browser) film(ctx context.Context, task render.Task, emit func(context.Context, render.Output) error) ([]render.Warning, error) {
	p, err := b.launch(ctx, filmFlags...)
	if err != nil {
		return nil, err
	}
	defer p.close()
	f := &filming{process: p, task: task}
	defer f.abort()
	var warnings []render.Warning
	for i, page := range task.Pages {
		more, err := f.shoot(ctx, page)
		if err != nil {
			return nil, explain(ctx, p, err)
		}
		warnings = append(warnings, more...)
		if task.Joined() && i < len(task.Pages)-1 {
			continue
		}
		data, err := f.cut(ctx)
		if err != nil {
			return nil, err
		}
		if task.Joined() {
			page = task.Pages[0]
		}
		err = emit(ctx, render.Output{
			Page: page.Number, PageID: page.ID, ContentType: task.ContentType(), Data: data,
			Width: f.width(page), Height: f.height(page),
		})
		if err != nil {
			return nil, err
		}
	}
	return warnings, nil
}

// filming is the making of one task's videos.
type filming struct {
	process *process
	task    render.Task
	// video that frames go to, nil between files.
	video *encode.Video
}

func (f *filming) width(p render.Page) int  { return f.even(scaled(p.Width, f.task.Scale)) }
func (f *filming) height(p render.Page) int { return f.even(scaled(p.Height, f.task.Scale)) }

// even is what H.264 makes of a dimension.
func (f *filming) even(pixels int) int {
	if f.task.Format == "mp4" {
		return pixels + pixels%2
	}
	return pixels
}

func (f *filming) abort() {
	if f.video != nil {
		f.video.Abort()
	}
}

// cut ends the file.
func (f *filming) cut(ctx context.Context) ([]byte, error) {
	video := f.video
	f.video = nil
	return video.Finish(ctx)
}

// shoot films one page.
func (f *filming) shoot(ctx context.Context, p render.Page) ([]render.Warning, error) {
	t, err := f.open(ctx, p)
	if err != nil {
		return nil, err
	}
	defer t.cancel()
	warnings, err := f.load(ctx, t, p)
	if err != nil {
		return nil, err
	}
	if f.video == nil {
		settings := encode.Settings{Format: f.task.Format, FPS: f.task.Video.FPS, Quality: f.task.Quality, Loop: f.task.Video.Loop}
		if f.video, err = encode.NewVideo(ctx, settings); err != nil {
			return nil, err
		}
	}
	return warnings, t.within(ctx, func(ctx context.Context) error { return f.roll(ctx) })
}

// open makes a tab whose frames are asked for.
func (f *filming) open(ctx context.Context, p render.Page) (*tab, error) {
	browserContext, err := chromedp.CallBrowser(f.process.ctx, target.CreateBrowserContext, target.CreateBrowserContextParams{})
	if err != nil {
		return nil, fmt.Errorf("opening a tab: %w", err)
	}
	_, err = chromedp.CallBrowser(f.process.ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorDeny, BrowserContextID: browserContext.BrowserContextID,
	})
	if err != nil {
		return nil, fmt.Errorf("opening a tab: %w", err)
	}
	created, err := chromedp.CallBrowser(f.process.ctx, target.CreateTarget, target.CreateTargetParams{
		URL: "about:blank", BrowserContextID: browserContext.BrowserContextID, EnableBeginFrameControl: new(true),
		Width: int64(p.Width), Height: int64(p.Height),
	})
	if err != nil {
		return nil, fmt.Errorf("opening a tab: %w", err)
	}
	return f.process.newTab(ctx, chromedp.WithTargetID(created.TargetID))
}

// load loads the page while it gets frames, without which it would wait for ever.
func (f *filming) load(ctx context.Context, t *tab, p render.Page) (warnings []render.Warning, err error) {
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		warnings, err = t.load(ctx, f.task, p)
	}()
	ticker := time.NewTicker(pumpInterval)
	defer ticker.Stop()
	for {
		select {
		case <-loaded:
			return warnings, err
		case <-ticker.C:
			pumped := t.within(ctx, func(ctx context.Context) error {
				_, err := chromedp.Call(ctx, headlessexperimental.BeginFrame, headlessexperimental.BeginFrameParams{})
				return err
			})
			if pumped != nil {
				<-loaded
				return nil, pumped
			}
		}
	}
}

// roll takes the frames.
func (f *filming) roll(ctx context.Context) error {
	length, err := evaluate[float64](ctx, "window[Symbol.for('platen.film')].duration()")
	if err != nil {
		return err
	}
	seconds := f.task.Video.Seconds
	if seconds == 0 {
		seconds = min(length/1000, maxSeconds)
	}
	if seconds == 0 {
		seconds = defaultSeconds
	}
	fps := f.task.Video.FPS
	frames := max(1, int(math.Round(seconds*float64(fps))))
	if _, err := evaluate[any](ctx, "window[Symbol.for('platen.film')].start()"); err != nil {
		return err
	}
	params := headlessexperimental.BeginFrameParams{
		Interval: 1000 / float64(fps),
		Screenshot: &headlessexperimental.ScreenshotParams{
			Format: headlessexperimental.ScreenshotParamsFormatJpeg, Quality: new(int64(frameQuality)), OptimizeForSpeed: true,
		},
	}
	if f.task.Format == "gif" {
		params.Screenshot.Format, params.Screenshot.Quality = headlessexperimental.ScreenshotParamsFormatPng, nil
	}
	var last []byte
	for i := range frames {
		if _, err := evaluate[any](ctx, fmt.Sprintf("window[Symbol.for('platen.film')].seek(%g)", float64(i)*1000/float64(fps))); err != nil {
			return err
		}
		frame, err := chromedp.Call(ctx, headlessexperimental.BeginFrame, params)
		if err != nil {
			return err
		}
		// A frame without data looks like the one before.
		if len(frame.ScreenshotData) > 0 {
			last = frame.ScreenshotData
		}
		if len(last) == 0 {
			return fmt.Errorf("frame %d of %d was not drawn", i+1, frames)
		}
		if err := f.video.Write(last); err != nil {
			return err
		}
	}
	return nil
}

// evaluate runs a script in the page and returns its value.
func evaluate[T any](ctx context.Context, script string) (value T, err error) {
	result, err := chromedp.Call(ctx, runtime.Evaluate, runtime.EvaluateParams{Expression: script, ReturnByValue: new(true)})
	if err != nil {
		return value, err
	}
	if result.ExceptionDetails != nil {
		return value, fmt.Errorf("the page's clock: %s", result.ExceptionDetails.Text)
	}
	if len(result.Result.Value) > 0 {
		err = json.Unmarshal(result.Result.Value, &value)
	}
	return value, err
}
