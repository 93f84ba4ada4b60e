// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/headlessexperimental"
	"github.com/chromedp/cdproto/inspector"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"

	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/render/devtools"
	"github.com/platen-dev/platen/internal/render/template"
)

const (
	// documentURL is where pages seem to come from: an origin of its own that never resolves (RFC 2606). The browser asks for
	// it once, and is answered with the page's HTML.
	documentURL = "http://page.platen.invalid/"
	// inertPolicy is the policy of the document that inert pages are written into: no script, and no request but for what is in the
	// page (https://www.w3.org/TR/CSP3/).
	inertPolicy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; form-action 'none'; base-uri 'none'"
	// maxPages are written into one tab, before another takes its place: the browser keeps some memory for each.
	maxPages = 100
	// readyTimeout is how long a page may take to load and to become ready, before it is painted as it is.
	readyTimeout = 30 * time.Second
	// pumpInterval is how often a page that loads gets a frame.
	pumpInterval = 3 * time.Millisecond
	// inertTimeout is how long an inert page may take, before it is painted in a tab of its own.
	inertTimeout = 10 * time.Second
	// drawAttempts is how often a frame is asked for that comes without a picture.
	drawAttempts = 50
	// cssPixelsPerInch is fixed by CSS (https://www.w3.org/TR/css-values-4/#absolute-lengths).
	cssPixelsPerInch = 96
)

var (
	errTabCrashed = errors.New("the page's process crashed")
	// errRefused means that a page that seemed to need neither a script nor a request does.
	errRefused = errors.New("the page was refused something")
)

// tab is one page in a browser context of its own.
type tab struct {
	process *process
	context cdp.BrowserContextID
	session *devtools.Session
	// metrics and ground are what the browser has been told of the page's size and background.
	metrics emulation.SetDeviceMetricsOverrideParams
	ground  bool
	// document is what documentURL answers with, once, and arrived is told when it is in the tab.
	document atomic.Pointer[document]
	arrived  chan struct{}
	// pages that were written into the tab, before the first of which it has no document for them, and whether they are in quirks mode.
	pages  int
	quirks bool
	// refused is set when a written page was not allowed something.
	refused atomic.Bool
	// stuck is true when the tab has been left in the middle of a frame.
	stuck bool
}

// document is an answer for documentURL.
type document struct{ html, policy string }

// newTab opens a blank tab in a new browser context, whose frames are drawn when they are asked for.
func (p *process) newTab(ctx context.Context) (*tab, error) {
	// Who does not wait for the answer cannot dispose of the context.
	creating, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	created, err := devtools.Call(creating, p.Session, target.CreateBrowserContext, target.CreateBrowserContextParams{DisposeOnDetach: new(true)})
	if err != nil {
		return nil, fmt.Errorf("opening a tab: %w", err)
	}
	t := &tab{process: p, context: created.BrowserContextID, arrived: make(chan struct{}, 1)}
	if err := t.open(ctx); err != nil {
		t.end()
		return nil, fmt.Errorf("opening a tab: %w", err)
	}
	return t, nil
}

func (t *tab) open(ctx context.Context) error {
	_, err := devtools.Call(ctx, t.process.Session, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorDeny, BrowserContextID: t.context,
	})
	if err != nil {
		return err
	}
	created, err := devtools.Call(ctx, t.process.Session, target.CreateTarget, target.CreateTargetParams{
		URL: "about:blank", BrowserContextID: t.context, EnableBeginFrameControl: new(true),
	})
	if err != nil {
		return err
	}
	if t.session, err = t.process.Attach(ctx, created.TargetID, t.handle); err != nil {
		return err
	}
	// Without the runtime's events, a page without a script has no place where the renderer's scripts could run before it is loaded.
	for _, enable := range []cdp.Command[cdp.Empty, cdp.Empty]{{Method: page.Enable.Method}, inspector.Enable, runtime.Enable} {
		if _, err := devtools.Call(ctx, t.session, enable, cdp.Empty{}); err != nil {
			return err
		}
	}
	return t.intercept(ctx, documentURL)
}

// intercept has handle decide on the requests for what a pattern matches.
func (t *tab) intercept(ctx context.Context, pattern string) error {
	_, err := devtools.Call(ctx, t.session, fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{{URLPattern: pattern}}})
	return err
}

// end disposes of the tab's browser context: with it, the tab and all that it has stored are gone.
func (t *tab) end() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	// This fails only when the browser is gone.
	_, _ = devtools.Call(ctx, t.process.Session, target.DisposeBrowserContext, target.DisposeBrowserContextParams{BrowserContextID: t.context})
	if t.stuck {
		<-t.process.drawing
	}
}

// handle answers the browser's events. It runs in the goroutine that reads them, so each answer has a goroutine of its own, which ends
// with the tab.
func (t *tab) handle(s *devtools.Session, method string, params jsonv2.Value) {
	switch method {
	case fetch.RequestPaused.Method:
		var paused fetch.EventRequestPaused
		if devtools.ReadEvent(params, &paused) != nil {
			return
		}
		go t.answer(s, paused.RequestID)
	case audits.IssueAdded.Method:
		// The page's process tells this before it answers the command that wrote the page.
		var added struct {
			Issue struct {
				Code string `json:"code"`
			} `json:"issue"`
		}
		if devtools.ReadEvent(params, &added) == nil && added.Issue.Code == string(audits.InspectorIssueCodeContentSecurityPolicyIssue) {
			t.refused.Store(true)
		}
	case page.FrameNavigated.Method:
		var navigated page.EventFrameNavigated
		if devtools.ReadEvent(params, &navigated) == nil && navigated.Frame.ParentID == "" && navigated.Frame.URL == documentURL {
			select {
			case t.arrived <- struct{}{}:
			default:
			}
		}
	case page.JavascriptDialogOpening.Method:
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
			defer cancel()
			_, _ = devtools.Call(ctx, s, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{}) // fails only when the tab is gone
		}()
	case inspector.TargetCrashed.Method:
		s.End(errTabCrashed)
	}
}

// answer answers a request that has been intercepted: the first one with the page, and any other with nothing.
func (t *tab) answer(s *devtools.Session, id fetch.RequestID) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	params := fetch.FulfillRequestParams{RequestID: id, ResponseCode: 404}
	if d := t.document.Swap(nil); d != nil {
		params.ResponseCode, params.Body = 200, []byte(d.html)
		params.ResponseHeaders = []*fetch.HeaderEntry{{Name: "Content-Type", Value: "text/html; charset=utf-8"}}
		if d.policy != "" {
			params.ResponseHeaders = append(params.ResponseHeaders, &fetch.HeaderEntry{Name: "Content-Security-Policy", Value: d.policy})
		}
	} else {
		t.refused.Store(true)
	}
	_, _ = devtools.Call(ctx, s, fetch.FulfillRequest, params) // fails only when the tab is gone
}

// load brings a page into the tab and waits until it can be painted. The page gets frames meanwhile, without which it would wait
// for ever.
func (t *tab) load(ctx context.Context, task render.Task, p render.Page) (r report, err error) {
	script, err := template.Script(template.ForPage(task.Modifications, p.Number))
	if err != nil {
		return report{}, err
	}
	if task.Filmed() {
		script = template.Film + script
	}
	err = t.pump(ctx, func(ctx context.Context) error {
		if err := t.prepare(ctx, task, p); err != nil {
			return err
		}
		if t.pages > 0 {
			// Written pages ask for nothing; this one may.
			if err := t.intercept(ctx, documentURL); err != nil {
				return err
			}
		}
		if _, err := devtools.Call(ctx, t.session, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script}); err != nil {
			return err
		}
		if err := t.navigate(ctx, document{html: p.HTML}); err != nil {
			return err
		}
		r, err = t.evaluate(ctx, template.Ready(patience(ctx)))
		return err
	})
	return r, err
}

// write puts an inert page in the place of the one before it, and waits until it can be painted.
func (t *tab) write(ctx context.Context, task render.Task, p render.Page) (r report, err error) {
	script, err := template.Write(documentURL, p.HTML, template.ForPage(task.Modifications, p.Number), patience(ctx))
	if err != nil {
		return report{}, err
	}
	err = t.pump(ctx, func(ctx context.Context) error {
		if err := t.prepare(ctx, task, p); err != nil {
			return err
		}
		if t.pages == 0 {
			if err := t.intercept(ctx, "*"); err != nil {
				return err
			}
			if _, err := devtools.Call(ctx, t.session, audits.Enable, cdp.Empty{}); err != nil {
				return err
			}
			if err := t.navigate(ctx, document{policy: inertPolicy}); err != nil {
				return err
			}
		}
		t.pages++
		t.quirks = template.Quirks(p.HTML)
		r, err = t.evaluate(ctx, script)
		return err
	})
	return r, err
}

// deviceScale is the number of the browser's pixels for a CSS pixel. A document has none.
func deviceScale(task render.Task) float64 {
	if task.Format == "pdf" {
		return 1
	}
	return task.Scale
}

// prepare tells the browser of the page's size and background.
func (t *tab) prepare(ctx context.Context, task render.Task, p render.Page) error {
	metrics := emulation.SetDeviceMetricsOverrideParams{Width: int64(p.Width), Height: int64(p.Height), DeviceScaleFactor: deviceScale(task)}
	if metrics.Width != t.metrics.Width || metrics.Height != t.metrics.Height || metrics.DeviceScaleFactor != t.metrics.DeviceScaleFactor {
		if _, err := devtools.Call(ctx, t.session, emulation.SetDeviceMetricsOverride, metrics); err != nil {
			return err
		}
		t.metrics = metrics
	}
	if task.Transparent == t.ground {
		return nil
	}
	var ground emulation.SetDefaultBackgroundColorOverrideParams // white
	if task.Transparent {
		ground.Color = &cdp.RGBA{A: 0.001} // nothing of 255; a plain 0 would be left out and mean 1
	}
	_, err := devtools.Call(ctx, t.session, emulation.SetDefaultBackgroundColorOverride, ground)
	t.ground = task.Transparent
	return err
}

// navigate has the tab show a document. When it returns, scripts run in that one.
func (t *tab) navigate(ctx context.Context, d document) error {
	select {
	case <-t.arrived: // the one before
	default:
	}
	t.document.Store(&d)
	result, err := devtools.Call(ctx, t.session, page.Navigate, page.NavigateParams{URL: documentURL})
	if err == nil && result.ErrorText != "" {
		err = fmt.Errorf("loading the page: %s", result.ErrorText)
	}
	if err != nil {
		return err
	}
	// The page's process may be told of the document after the next command.
	return t.session.Wait(ctx, t.arrived)
}

// patience is how long a page may take to become ready: there must be time left to paint it.
func patience(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return min(readyTimeout, time.Until(deadline)*3/4)
	}
	return readyTimeout
}

// pump draws frames for as long as f runs.
func (t *tab) pump(ctx context.Context, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	ticker := time.NewTicker(pumpInterval)
	defer ticker.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-ticker.C:
		}
		select {
		case err := <-done:
			return err
		case t.process.drawing <- struct{}{}:
		}
		if _, err := t.frame(ctx, headlessexperimental.BeginFrameParams{}); err != nil {
			cancel()
			return errors.Join(<-done, err)
		}
	}
}

// report is what a page says once it can be painted.
type report struct {
	Warnings []render.Warning `json:"warnings"`
	// Unused keys of modifications.
	Unused []string `json:"unused"`
}

// evaluate runs a script that resolves to a report once the page can be painted.
func (t *tab) evaluate(ctx context.Context, script string) (r report, err error) {
	result, err := devtools.Call(ctx, t.session, runtime.Evaluate, runtime.EvaluateParams{
		Expression: script, AwaitPromise: new(true), ReturnByValue: new(true),
	})
	if err != nil {
		return report{}, err
	}
	if result.ExceptionDetails != nil {
		said := result.ExceptionDetails.Text
		if thrown := result.ExceptionDetails.Exception; thrown != nil {
			said += " " + thrown.Description
		}
		return report{}, fmt.Errorf("waiting for the page: %.500s", said)
	}
	var text string
	if json.Unmarshal(result.Result.Value, &text) == nil {
		// A page may have put anything in there; what is no report is left out.
		_ = json.Unmarshal([]byte(text), &r)
	}
	return r, nil
}

func (t *tab) screenshot(ctx context.Context, task render.Task, p render.Page) ([]byte, error) {
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
	return t.draw(ctx, headlessexperimental.BeginFrameParams{Screenshot: shot})
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
	err = t.pump(ctx, func(ctx context.Context) error {
		result, err := devtools.Call(ctx, t.session, page.CaptureScreenshot, params)
		data = result.Data
		return err
	})
	return data, err
}

// fastPNG tells whether the fast encoder will do: it spoils partial transparency, of which an opaque page has none.
func fastPNG(task render.Task) bool { return !task.Transparent }

// frame asks for a frame and ends the turn to draw, which the caller must have.
func (t *tab) frame(ctx context.Context, params headlessexperimental.BeginFrameParams) (devtools.Reply, error) {
	reply, err := t.session.Send(ctx, headlessexperimental.BeginFrame.Method, params)
	if err != nil {
		// The frame may still be in the making, and no other must begin before the tab is gone.
		t.stuck = true
		return nil, err
	}
	<-t.process.drawing
	return reply, nil
}

// picture asks for a frame, once no other is being drawn, and returns its picture if it has one.
func (t *tab) picture(ctx context.Context, params headlessexperimental.BeginFrameParams) ([]byte, error) {
	select {
	case t.process.drawing <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	reply, err := t.frame(ctx, params)
	if err != nil {
		return nil, err
	}
	// Others draw while the picture is decoded.
	frame, err := devtools.Decode(headlessexperimental.BeginFrame, reply)
	return frame.ScreenshotData, err
}

// draw asks for a frame until it is one: a page whose surface is new may have none at first.
func (t *tab) draw(ctx context.Context, params headlessexperimental.BeginFrameParams) ([]byte, error) {
	for range drawAttempts {
		if data, err := t.picture(ctx, params); err != nil || len(data) > 0 {
			return data, err
		}
	}
	return nil, errors.New("the browser drew nothing")
}

func (t *tab) print(ctx context.Context, task render.Task, p render.Page) ([]byte, error) {
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
	result, err := devtools.Call(ctx, t.session, page.PrintToPDF, params)
	return result.Data, err
}
