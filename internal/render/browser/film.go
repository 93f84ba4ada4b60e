// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"

	"github.com/chromedp/cdproto/headlessexperimental"
	"github.com/chromedp/cdproto/runtime"
	"golang.org/x/sync/errgroup"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/render/devtools"
	"github.com/platen-dev/platen/internal/render/encode"
)

const (
	// defaultSeconds is how long a page without animations that have an end is filmed.
	defaultSeconds = 5
	// maxSeconds bounds what a page's animations can ask for, unless the task does.
	maxSeconds = 60
	// frameQuality of the JPEG frames that the encoder gets.
	frameQuality = 92
	// framesAhead is how many frames may wait for the encoder.
	framesAhead = 8
)

// film renders mp4 and gif. The page's time is in the renderer's hands: each frame is asked for, and encoded while the next is
// drawn.
func (b *Browser) film(ctx context.Context, p *process, task render.Task, sink render.Sink) ([]render.Warning, error) {
	f := &filming{task: task, maxMemory: b.encoderMemory(), tell: sink.Progress, browser: b, process: p}
	defer f.abort()
	reports := make([]report, 0, len(task.Pages))
	for i, page := range task.Pages {
		said, err := f.shoot(ctx, page)
		if err != nil {
			return nil, err
		}
		reports = append(reports, said)
		f.shot++
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
		err = sink.Emit(ctx, render.Output{
			ID: file.ID{Page: page.Number}, PageID: page.ID, ContentType: task.ContentType(), Data: data,
			Width: f.width(page), Height: f.height(page),
		})
		if err != nil {
			return nil, err
		}
	}
	return warnings(task, reports), nil
}

// filming is the making of one task's videos.
type filming struct {
	task render.Task
	// maxMemory of the encoder.
	maxMemory int64
	// tell is told of the progress.
	tell func(render.Progress)
	// shot pages, and frames of all pages.
	shot, frames int
	// browser and process have the tabs.
	browser *Browser
	process *process
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
func (f *filming) shoot(ctx context.Context, p render.Page) (report, error) {
	t, err := f.browser.spend(ctx, f.process, deviceScale(f.task))
	if err != nil {
		return report{}, err
	}
	defer f.browser.discard(f.process, t)
	said, err := t.load(ctx, f.task, p)
	if err != nil {
		return report{}, err
	}
	if f.video == nil {
		settings := encode.Settings{Format: f.task.Format, FPS: f.task.Video.FPS, Quality: f.task.Quality, Loop: f.task.Video.Loop, MaxMemory: f.maxMemory}
		if f.video, err = encode.NewVideo(ctx, settings); err != nil {
			return report{}, err
		}
	}
	return said, f.roll(ctx, t, p)
}

// roll takes the frames.
func (f *filming) roll(ctx context.Context, t *tab, p render.Page) error {
	length, err := evaluate[float64](ctx, t, "window[Symbol.for('platen.film')].duration()")
	if err != nil {
		return err
	}
	seconds := f.task.Video.Seconds
	if seconds == 0 {
		seconds = min(length/1000, cmp.Or(f.task.Video.MaxSeconds, maxSeconds))
	}
	if seconds == 0 {
		seconds = defaultSeconds
	}
	fps := f.task.Video.FPS
	frames := max(1, int(math.Round(seconds*float64(fps))))
	if _, err := evaluate[any](ctx, t, "window[Symbol.for('platen.film')].start()"); err != nil {
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
	// Some frames wait for the encoder while later ones are drawn; their number bounds the memory.
	pictures := make(chan []byte, framesAhead)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		for picture := range pictures {
			if err := f.video.Write(ctx, picture); err != nil {
				return err
			}
		}
		return nil
	})
	group.Go(func() error {
		defer close(pictures)
		var last []byte
		for i := range frames {
			script := fmt.Sprintf("window[Symbol.for('platen.film')].seek(%g)", float64(i)*1000/float64(fps))
			if _, err := evaluate[any](ctx, t, script); err != nil {
				return err
			}
			picture, err := f.still(ctx, t, p, params, i == 0)
			if err != nil {
				return err
			}
			// A frame without a picture looks like the one before.
			if len(picture) > 0 {
				last = picture
			}
			select {
			case pictures <- last:
			case <-ctx.Done():
				return ctx.Err()
			}
			f.frames++
			// How long later pages are is not known yet: each counts as much as another.
			percent := 100 * (f.shot*frames + i + 1) / (len(f.task.Pages) * frames)
			f.tell(render.Progress{Percent: percent, Frames: f.frames})
		}
		return nil
	})
	return group.Wait()
}

// still draws the page as it is. Only the first frame has a picture for sure.
func (f *filming) still(ctx context.Context, t *tab, p render.Page, params headlessexperimental.BeginFrameParams, first bool) ([]byte, error) {
	switch {
	case f.task.Scale != 1:
		return t.scaledScreenshot(ctx, f.task, p)
	case first:
		return t.draw(ctx, params)
	default:
		return t.picture(ctx, params)
	}
}

// evaluate runs a script in the page and returns its value.
func evaluate[T any](ctx context.Context, t *tab, script string) (value T, err error) {
	result, err := devtools.Call(ctx, t.session, runtime.Evaluate, runtime.EvaluateParams{Expression: script, ReturnByValue: new(true)})
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
