// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/css"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/headlessexperimental"
	"github.com/chromedp/cdproto/inspector"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/render/template"
)

const (
	// documentURL is where pages seem to come from: an origin of its own that never resolves (RFC 2606). The browser asks for
	// it once, and is answered with the page's HTML.
	documentURL = "http://page.platen.invalid/"
	// readyTimeout is how long a page may take to load and to become ready, before it is painted as it is.
	readyTimeout = 30 * time.Second
	// pumpInterval is how often a page that loads gets a frame.
	pumpInterval = 3 * time.Millisecond
	// drawAttempts is how often a frame is asked for that comes without a picture.
	drawAttempts = 50
	// cssPixelsPerInch is fixed by CSS (https://www.w3.org/TR/css-values-4/#absolute-lengths).
	cssPixelsPerInch = 96
)

var errTabCrashed = errors.New("the page's process crashed")

// tab is one page in a browser context of its own.
type tab struct {
	ctx    context.Context //nolint:containedctx // chromedp keeps the target in it
	cancel context.CancelFunc
	// drawing is the process's.
	drawing chan struct{}
	// html is what documentURL answers with.
	html    atomic.Pointer[string]
	crashed chan struct{}
}

// newTab opens a blank tab in a new browser context, whose frames are drawn when they are asked for.
func (p *process) newTab(ctx context.Context) (*tab, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	browserContext, id, err := p.newTarget()
	if err != nil {
		return nil, fmt.Errorf("opening a tab: %w", err)
	}
	tabCtx, detach := chromedp.NewContext(p.ctx, chromedp.WithTargetID(id))
	cancel := sync.OnceFunc(func() {
		detach()
		// With its context the tab and all that it has stored are gone. This fails only when the browser is gone.
		_, _ = chromedp.CallBrowser(p.ctx, target.DisposeBrowserContext, target.DisposeBrowserContextParams{BrowserContextID: browserContext})
	})
	t := &tab{ctx: tabCtx, cancel: cancel, drawing: p.drawing, crashed: make(chan struct{})}
	// chromedp reads the tab's messages for as long as the context that opened it lasts, so it must be the tab's own.
	stop := context.AfterFunc(ctx, cancel)
	defer stop()
	err = chromedp.Do(tabCtx)
	if err == nil {
		err = chromedp.Listen(tabCtx, t.handle)
	}
	for _, quiet := range []cdp.Command[cdp.Empty, cdp.Empty]{css.Disable, dom.Disable, network.Disable, log.Disable} {
		// chromedp wants to know what the renderer never asks for; telling it costs time with each element and request.
		if err == nil {
			_, err = chromedp.Call(tabCtx, quiet, cdp.Empty{})
		}
	}
	if err == nil {
		_, err = chromedp.Call(tabCtx, fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{{URLPattern: documentURL}}})
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("opening a tab: %w", err)
	}
	return t, nil
}

func (p *process) newTarget() (cdp.BrowserContextID, target.ID, error) {
	created, err := chromedp.CallBrowser(p.ctx, target.CreateBrowserContext, target.CreateBrowserContextParams{DisposeOnDetach: new(true)})
	if err != nil {
		return "", "", err
	}
	_, err = chromedp.CallBrowser(p.ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorDeny, BrowserContextID: created.BrowserContextID,
	})
	if err != nil {
		return "", "", err
	}
	page, err := chromedp.CallBrowser(p.ctx, target.CreateTarget, target.CreateTargetParams{
		URL: "about:blank", BrowserContextID: created.BrowserContextID, EnableBeginFrameControl: new(true),
	})
	return created.BrowserContextID, page.TargetID, err
}

// handle answers the browser's events. It runs in chromedp's reader, so each answer has a goroutine, which ends with the tab.
func (t *tab) handle(event any) {
	switch e := event.(type) {
	case *fetch.EventRequestPaused:
		go func() {
			params := fetch.FulfillRequestParams{RequestID: e.RequestID, ResponseCode: 404}
			if html := t.html.Swap(nil); html != nil {
				params.ResponseCode, params.Body = 200, []byte(*html)
				params.ResponseHeaders = []*fetch.HeaderEntry{{Name: "Content-Type", Value: "text/html; charset=utf-8"}}
			}
			_, _ = chromedp.Call(t.ctx, fetch.FulfillRequest, params) // fails only when the tab is gone
		}()
	case *page.EventJavascriptDialogOpening:
		go func() {
			_, _ = chromedp.Call(t.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{}) // as above
		}()
	case *inspector.EventTargetCrashed:
		select {
		case <-t.crashed:
		default:
			close(t.crashed)
		}
	}
}

// within runs f with a context that ends with the tab, with ctx, or when the page's process crashes.
func (t *tab) within(ctx context.Context, f func(ctx context.Context) error) error {
	inner, cancel := context.WithCancelCause(t.ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	defer stop()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-t.crashed:
			cancel(errTabCrashed)
		case <-done:
		}
	}()
	err := f(inner)
	if cause := context.Cause(inner); err != nil && cause != nil {
		return cause
	}
	return err
}

// load brings a page into the tab and waits until it can be painted. The page gets frames meanwhile, without which it would wait
// for ever.
func (t *tab) load(ctx context.Context, task render.Task, p render.Page) (r report, err error) {
	err = t.pump(ctx, func() (err error) {
		r, err = t.open(ctx, task, p)
		return err
	})
	return r, err
}

// pump draws frames for as long as f runs.
func (t *tab) pump(ctx context.Context, f func() error) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = f()
	}()
	ticker := time.NewTicker(pumpInterval)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return err
		case <-ticker.C:
			drawn := t.within(ctx, func(ctx context.Context) error {
				_, err := t.frame(ctx, headlessexperimental.BeginFrameParams{})
				return err
			})
			if drawn != nil {
				<-done
				return errors.Join(err, drawn)
			}
		}
	}
}

// report is what a page says once it can be painted.
type report struct {
	Warnings []render.Warning `json:"warnings"`
	// Unused keys of modifications.
	Unused []string `json:"unused"`
}

func (t *tab) open(ctx context.Context, task render.Task, p render.Page) (r report, err error) {
	script, err := template.Script(template.ForPage(task.Modifications, p.Number))
	if err != nil {
		return report{}, err
	}
	if task.Filmed() {
		script = template.Film + script
	}
	patience := readyTimeout
	if deadline, ok := ctx.Deadline(); ok {
		// There must be time left to paint the page.
		patience = min(patience, time.Until(deadline)*3/4)
	}
	err = t.within(ctx, func(ctx context.Context) error {
		scale := task.Scale
		if task.Format == "pdf" {
			scale = 1
		}
		_, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: int64(p.Width), Height: int64(p.Height), DeviceScaleFactor: scale,
		})
		if err != nil {
			return err
		}
		if task.Transparent {
			_, err := chromedp.Call(ctx, emulation.SetDefaultBackgroundColorOverride, emulation.SetDefaultBackgroundColorOverrideParams{
				Color: &cdp.RGBA{A: 0.001}, // nothing of 255; a plain 0 would be left out and mean 1
			})
			if err != nil {
				return err
			}
		}
		if _, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script}); err != nil {
			return err
		}
		t.html.Store(&p.HTML)
		result, err := chromedp.Call(ctx, page.Navigate, page.NavigateParams{URL: documentURL})
		if err != nil {
			return err
		}
		if result.ErrorText != "" {
			return fmt.Errorf("loading the page: %s", result.ErrorText)
		}
		r, err = t.ready(ctx, patience)
		return err
	})
	return r, err
}

// ready waits until the page can be painted; what is not there after the patience becomes a warning.
func (t *tab) ready(ctx context.Context, patience time.Duration) (r report, err error) {
	result, err := chromedp.Call(ctx, runtime.Evaluate, runtime.EvaluateParams{
		Expression: template.Ready(patience), AwaitPromise: new(true), ReturnByValue: new(true),
	})
	if err != nil {
		return report{}, err
	}
	if result.ExceptionDetails != nil {
		return report{}, fmt.Errorf("waiting for the page: %s", result.ExceptionDetails.Text)
	}
	var text string
	if json.Unmarshal(result.Result.Value, &text) == nil {
		// A page may have put anything in there; what is no report is left out.
		_ = json.Unmarshal([]byte(text), &r)
	}
	return r, nil
}

func (t *tab) screenshot(ctx context.Context, task render.Task, p render.Page) (data []byte, err error) {
	if task.Scale != 1 {
		return t.scaledScreenshot(ctx, task, p)
	}
	shot := &headlessexperimental.ScreenshotParams{}
	quality := int64(task.Quality)
	switch task.Format {
	case "jpg", "jpeg":
		shot.Format, shot.Quality = headlessexperimental.ScreenshotParamsFormatJpeg, &quality
	case "webp":
		shot.Format, shot.Quality = headlessexperimental.ScreenshotParamsFormatWebp, &quality
	default:
		shot.Format, shot.OptimizeForSpeed = headlessexperimental.ScreenshotParamsFormatPng, fastPNG(task)
	}
	err = t.within(ctx, func(ctx context.Context) error {
		data, err = t.draw(ctx, headlessexperimental.BeginFrameParams{Screenshot: shot})
		return err
	})
	return data, err
}

// scaledScreenshot makes a picture whose pixels are not CSS pixels, which a frame that is asked for cannot have.
func (t *tab) scaledScreenshot(ctx context.Context, task render.Task, p render.Page) (data []byte, err error) {
	params := page.CaptureScreenshotParams{Clip: &page.Viewport{Width: float64(p.Width), Height: float64(p.Height), Scale: 1}}
	quality := int64(task.Quality)
	switch task.Format {
	case "jpg", "jpeg", "mp4":
		params.Format, params.Quality = page.CaptureScreenshotFormatJpeg, &quality
	case "webp":
		params.Format, params.Quality = page.CaptureScreenshotFormatWebp, &quality
	default:
		params.Format, params.OptimizeForSpeed = page.CaptureScreenshotFormatPng, new(fastPNG(task))
	}
	err = t.pump(ctx, func() error {
		return t.within(ctx, func(ctx context.Context) error {
			result, err := chromedp.Call(ctx, page.CaptureScreenshot, params)
			data = result.Data
			return err
		})
	})
	return data, err
}

// fastPNG tells whether the fast encoder will do: it spoils partial transparency, of which an opaque page has none.
func fastPNG(task render.Task) bool { return !task.Transparent }

// frame asks for a frame, once no other is being drawn, and returns its picture if it has one.
func (t *tab) frame(ctx context.Context, params headlessexperimental.BeginFrameParams) ([]byte, error) {
	select {
	case t.drawing <- struct{}{}:
		defer func() { <-t.drawing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	frame, err := chromedp.Call(ctx, headlessexperimental.BeginFrame, params)
	return frame.ScreenshotData, err
}

// draw asks for a frame until it is one: a page whose surface is new may have none at first.
func (t *tab) draw(ctx context.Context, params headlessexperimental.BeginFrameParams) ([]byte, error) {
	for range drawAttempts {
		if data, err := t.frame(ctx, params); err != nil || len(data) > 0 {
			return data, err
		}
	}
	return nil, errors.New("the browser drew nothing")
}

func (t *tab) print(ctx context.Context, task render.Task, p render.Page) (data []byte, err error) {
	dpi := float64(cssPixelsPerInch)
	if task.PDF.DPI > 0 {
		dpi = float64(task.PDF.DPI)
	}
	margin := task.PDF.Margin / dpi
	params := page.PrintToPDFParams{
		PrintBackground: new(true),
		// CSS pixels are an inch's 96th on paper; fewer or more of them to the inch scale the page.
		Scale:        cssPixelsPerInch / dpi,
		PaperWidth:   float64(p.Width)/dpi + 2*margin,
		PaperHeight:  float64(p.Height)/dpi + 2*margin,
		MarginTop:    &margin,
		MarginBottom: &margin,
		MarginLeft:   &margin,
		MarginRight:  &margin,
		PageRanges:   "1",
	}
	err = t.within(ctx, func(ctx context.Context) error {
		result, err := chromedp.Call(ctx, page.PrintToPDF, params)
		data = result.Data
		return err
	})
	return data, err
}
