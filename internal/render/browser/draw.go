// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/headlessexperimental"
	"github.com/chromedp/cdproto/page"

	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/render/devtools"
)

const (
	// drawAttempts bounds the frames that are requested until one has a picture.
	drawAttempts = 50
	// cssPixelsPerInch is a constant of CSS (https://www.w3.org/TR/css-values-4/#absolute-lengths).
	cssPixelsPerInch = 96
	// pointsPerInch is a constant of PDF (ISO 32000-2, 8.3.2.3).
	pointsPerInch = 72
	// maxShrink is the factor by which Chromium makes a printed page smaller when something lies far beyond its right edge. A scale makes up
	// for it. maxPrintScale is the largest that Page.printToPDF takes.
	maxShrink, maxPrintScale = 1.5, 2
)

// shortest is what Chromium's clock counts, in milliseconds.
const shortest = 0.001

// framePatience is how long a frame may take in a tab before another tab is tried: some frames with pictures that move Chromium never answers
// (docs/design/rendering.md).
const framePatience = 5 * time.Second

// errStuck means that a frame did not come within the tab's patience.
var errStuck = errors.New("the browser did not answer a request for a frame")

// capture returns the picture or the document of a page that is ready; for AVIF a PNG.
func (t *tab) capture(ctx context.Context, task render.Task, p render.Page) ([]byte, error) {
	data, err := t.take(ctx, task, p)
	if errors.Is(err, devtools.ErrTooLarge) {
		return nil, &render.Error{
			Reason: render.ReasonRenderFailed, Terminal: true, Err: err,
			Message: fmt.Sprintf("the file of page %d is too large for the browser to hand over: make the page or its pictures smaller", p.Number),
		}
	}
	if err == nil && len(data) == 0 { // the encoder cannot have so large a picture
		return nil, &render.Error{
			Reason: render.ReasonRenderFailed, Terminal: true,
			Message: fmt.Sprintf("the browser made no %s of page %d: make the page smaller, or choose another format", task.Format, p.Number),
		}
	}
	return data, err
}

// take is capture, with the browser's error if the file is too large.
func (t *tab) take(ctx context.Context, task render.Task, p render.Page) ([]byte, error) {
	switch {
	case task.Format == "pdf":
		return t.print(ctx, task, p)
	case deviceScale(task) != 1:
		return t.scaledPicture(ctx, task, p)
	default:
		format, quality := imageFormat(task)
		return t.picture(ctx, headlessexperimental.BeginFrameParams{Screenshot: &headlessexperimental.ScreenshotParams{
			Format: headlessexperimental.ScreenshotParamsFormat(format), Quality: quality, OptimizeForSpeed: quality == nil,
		}})
	}
}

// scaledPicture returns a picture at a scale other than 1. A requested frame cannot have such a picture.
func (t *tab) scaledPicture(ctx context.Context, task render.Task, p render.Page) (data []byte, err error) {
	format, quality := imageFormat(task)
	params := page.CaptureScreenshotParams{
		Clip:   &page.Viewport{Width: float64(p.Width), Height: float64(p.Height), Scale: 1},
		Format: page.CaptureScreenshotFormat(format), Quality: quality,
	}
	if quality == nil {
		params.OptimizeForSpeed = new(true)
	}
	err = t.pump(ctx, pumpInterval, 0, func(ctx context.Context) error {
		_, data, err = devtools.CallForBytes(ctx, t.session, page.CaptureScreenshot, params)
		return err
	})
	return data, err
}

// imageFormat returns Chromium's name for a task's pictures or frames, and their quality; nil for PNG.
func imageFormat(task render.Task) (format string, quality *int64) {
	switch {
	case task.Format == "mp4" || task.Format == "webm":
		return "jpeg", new(int64(task.Quality))
	case resized(task):
		return "png", nil
	case task.Format == "jpg" || task.Format == "jpeg":
		return "jpeg", new(int64(task.Quality))
	case task.Format == "webp":
		return "webp", new(int64(task.Quality))
	default:
		return "png", nil
	}
}

// picture requests frames until one has a picture: a page whose surface is new may have none at first.
func (t *tab) picture(ctx context.Context, params headlessexperimental.BeginFrameParams) ([]byte, error) {
	for range drawAttempts {
		if data, err := t.framePicture(ctx, params); err != nil || len(data) > 0 {
			return data, err
		}
	}
	return nil, errors.New("the browser drew nothing")
}

// framePicture requests a frame and returns its picture, if it has one.
func (t *tab) framePicture(ctx context.Context, params headlessexperimental.BeginFrameParams) ([]byte, error) {
	frame, err := t.frame(ctx, params)
	return frame.ScreenshotData, err
}

// frame waits for the turn to draw, requests a frame and returns it, with its picture if it has one.
func (t *tab) frame(ctx context.Context, params headlessexperimental.BeginFrameParams) (frame headlessexperimental.BeginFrameResult, err error) {
	select {
	case t.chromium.drawing <- struct{}{}:
	case <-ctx.Done():
		return frame, ctx.Err()
	}
	reply, err := t.beginFrame(ctx, params)
	if err != nil {
		return frame, err
	}
	// Others draw while this decodes the picture.
	frame, frame.ScreenshotData, err = devtools.Decode(headlessexperimental.BeginFrame, reply)
	return frame, err
}

// beginFrame requests a frame and ends the turn to draw, which the caller has.
func (t *tab) beginFrame(ctx context.Context, params headlessexperimental.BeginFrameParams) (devtools.Reply, error) {
	call, cancel := ctx, context.CancelFunc(func() {})
	if t.patience > 0 {
		call, cancel = context.WithTimeout(ctx, t.patience)
	}
	defer cancel()
	if t.clock > 0 {
		t.clock += shortest // a frame at the time of the one before is not drawn
	}
	params.FrameTimeTicks = t.clock
	reply, err := t.session.Send(call, headlessexperimental.BeginFrame.Method, params)
	if err != nil {
		// Chromium may still draw the frame, so no other may begin before the tab is closed.
		t.midFrame = true
		if call.Err() != nil && ctx.Err() == nil {
			return nil, errStuck
		}
		return nil, err
	}
	<-t.chromium.drawing
	return reply, nil
}

// print returns the page as a document of one sheet.
func (t *tab) print(ctx context.Context, task render.Task, p render.Page) ([]byte, error) {
	margin := inches(task, task.PDF.Margin)
	width, height := sheetSize(task, p)
	params := page.PrintToPDFParams{
		PrintBackground: new(true),
		// A CSS pixel is 1/96 inch on paper. The scale makes it 1/dpi inch.
		Scale:        printScale(task),
		PaperWidth:   width,
		PaperHeight:  height,
		MarginTop:    &margin,
		MarginBottom: &margin,
		MarginLeft:   &margin,
		MarginRight:  &margin,
		PageRanges:   "1",
	}
	if t.wide {
		params.Scale *= maxShrink
	}
	_, data, err := devtools.CallForBytes(ctx, t.session, page.PrintToPDF, params)
	return data, err
}

// inches returns a length on paper.
func inches(task render.Task, pixels float64) float64 {
	return pixels * printScale(task) / cssPixelsPerInch
}

// sheetSize returns the size of a page's sheet, in inches.
func sheetSize(task render.Task, p render.Page) (width, height float64) {
	return inches(task, float64(p.Width)+2*task.PDF.Margin), inches(task, float64(p.Height)+2*task.PDF.Margin)
}

// far is something beyond a page's right edge, further away than what Chromium makes a page smaller for.
const far = `document.documentElement.append(Object.assign(document.createElement('div'), { style: 'all: initial !important; position: absolute !important; ' +
	'top: 0 !important; left: 0 !important; width: 200vw !important; height: 1px !important; visibility: hidden !important' }))`

// widen makes sure that a page which is to be printed keeps its scale. Chromium makes a page smaller by as much as something lies beyond its
// right edge, up to maxShrink. With something that is far enough, it is always maxShrink, for which print makes up.
func (t *tab) widen(ctx context.Context, task render.Task, p render.Page, r *report) error {
	t.wide = false
	metrics, err := devtools.Call(ctx, t.session, page.GetLayoutMetrics, cdp.Empty{})
	if err != nil || metrics.CSSContentSize.X+metrics.CSSContentSize.Width <= float64(p.Width) {
		return err
	}
	if printScale(task)*maxShrink > maxPrintScale {
		r.Warnings = append(r.Warnings, render.Warning{
			Title:   "The page was made smaller, because something lies beyond its right edge",
			Details: "at output.pdf.dpi 72 and more it keeps its size",
		})
		return nil
	}
	t.wide = true
	// A page may have replaced what the script needs.
	unread, err := evaluate[[]string](ctx, t, "(async () => { try { return await window[Symbol.for('platen.steady')]() } catch { return [] } finally { "+far+" } })()")
	for _, url := range unread {
		r.Warnings = append(r.Warnings, render.Warning{
			Title:   bounded("Rules for the page's width may be those of a narrower page: "+url, maxTitle),
			Details: "something lies beyond the right edge of the page, and this style sheet of another server cannot be read; add crossorigin to its link, or hide what lies beyond the edge",
		})
	}
	return err
}

// printScale returns the scale of a document.
func printScale(task render.Task) float64 {
	if task.PDF.DPI > 0 {
		return cssPixelsPerInch / float64(task.PDF.DPI)
	}
	return 1
}
