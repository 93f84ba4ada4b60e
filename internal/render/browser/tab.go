// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/inspector"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"

	"github.com/platen-dev/platen/internal/render/devtools"
)

// documentURL is the address of every page: an origin of its own that never resolves (RFC 2606). A tab answers the browser's request
// for it with the page's HTML.
const documentURL = "http://page.platen.invalid/"

var errTabCrashed = errors.New("the page's process crashed")

// tab is one page in a browser context of its own. One render uses it at a time.
type tab struct {
	chromium *chromium
	context  cdp.BrowserContextID
	session  *devtools.Session
	// metrics and transparent are the page's size, scale and background as the browser has them.
	metrics     emulation.SetDeviceMetricsOverrideParams
	transparent bool
	// document is the answer to the next request for documentURL; nil once it is sent.
	document atomic.Pointer[document]
	// navigated signals that the tab has switched to a document from documentURL.
	navigated chan struct{}
	// pages counts the pages written into the tab; at zero the tab has no document for them yet.
	pages int
	// quirks is true when the last written page is in quirks mode.
	quirks bool
	// blocked is true once a written page needed a script or a request.
	blocked atomic.Bool
	// midFrame is true when a frame was requested and its answer never came. The tab then holds the turn to draw until it is closed.
	midFrame bool
}

// document is an answer to a request for documentURL.
type document struct{ html, policy string }

// openTab opens a blank tab in a new browser context. Its frames are drawn on request.
func (c *chromium) openTab(ctx context.Context) (*tab, error) {
	// Wait for the answer even if ctx has ended: without its id the context would leak.
	creating, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	created, err := devtools.Call(creating, c.Session, target.CreateBrowserContext, target.CreateBrowserContextParams{DisposeOnDetach: new(true)})
	if err != nil {
		return nil, fmt.Errorf("opening a tab: %w", err)
	}
	t := &tab{chromium: c, context: created.BrowserContextID, navigated: make(chan struct{}, 1)}
	if err := t.open(ctx); err != nil {
		t.Close()
		return nil, fmt.Errorf("opening a tab: %w", err)
	}
	return t, nil
}

func (t *tab) open(ctx context.Context) error {
	_, err := devtools.Call(ctx, t.chromium.Session, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorDeny, BrowserContextID: t.context,
	})
	if err != nil {
		return err
	}
	created, err := devtools.Call(ctx, t.chromium.Session, target.CreateTarget, target.CreateTargetParams{
		URL: "about:blank", BrowserContextID: t.context, EnableBeginFrameControl: new(true),
	})
	if err != nil {
		return err
	}
	if t.session, err = t.chromium.Attach(ctx, created.TargetID, t.handle); err != nil {
		return err
	}
	// Without the runtime's events, a page without a script gives the renderer's scripts no place to run before it is loaded.
	for _, enable := range []cdp.Command[cdp.Empty, cdp.Empty]{{Method: page.Enable.Method}, inspector.Enable, runtime.Enable} {
		if _, err := devtools.Call(ctx, t.session, enable, cdp.Empty{}); err != nil {
			return err
		}
	}
	return t.intercept(ctx, documentURL)
}

// Ended implements openTab.
func (t *tab) Ended() bool { return t.session.Ended() }

// Suits implements openTab.
func (t *tab) Suits(n need) bool {
	scale := t.metrics.DeviceScaleFactor == 0 || t.metrics.DeviceScaleFactor == n.scale
	return scale && (n.alone || t.pages == 0 || t.quirks == n.quirks)
}

// Close implements openTab. It disposes of the browser context, and with it of the tab and all it has stored.
func (t *tab) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_, _ = devtools.Call(ctx, t.chromium.Session, target.DisposeBrowserContext, target.DisposeBrowserContextParams{BrowserContextID: t.context}) // fails only when the browser is gone
	if t.midFrame {
		<-t.chromium.drawing
	}
}

// intercept makes the browser ask handle about requests for a URL pattern.
func (t *tab) intercept(ctx context.Context, pattern string) error {
	_, err := devtools.Call(ctx, t.session, fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{{URLPattern: pattern}}})
	return err
}

// handle answers the browser's events. The goroutine that reads all messages calls it, so every answer runs in a goroutine of its own,
// which ends with the tab.
func (t *tab) handle(s *devtools.Session, method string, params jsonv2.Value) {
	switch method {
	case fetch.RequestPaused.Method:
		var paused fetch.EventRequestPaused
		if devtools.ReadEvent(params, &paused) == nil {
			go t.answer(s, paused.RequestID)
		}
	case audits.IssueAdded.Method:
		// The page's process reports this before it answers the command that wrote the page.
		var added struct {
			Issue struct {
				Code string `json:"code"`
			} `json:"issue"`
		}
		if devtools.ReadEvent(params, &added) == nil && added.Issue.Code == string(audits.InspectorIssueCodeContentSecurityPolicyIssue) {
			t.blocked.Store(true)
		}
	case page.FrameNavigated.Method:
		var event page.EventFrameNavigated
		if devtools.ReadEvent(params, &event) == nil && event.Frame.ParentID == "" && event.Frame.URL == documentURL {
			select {
			case t.navigated <- struct{}{}:
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

// answer answers an intercepted request: the first one with the page, all others with an empty 404.
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
		t.blocked.Store(true)
	}
	_, _ = devtools.Call(ctx, s, fetch.FulfillRequest, params) // fails only when the tab is gone
}

// navigate shows a document from documentURL in the tab. After it returns, scripts run in that document.
func (t *tab) navigate(ctx context.Context, d document) error {
	select {
	case <-t.navigated: // to an earlier document
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
	// The page's process may learn of the document after the next command.
	return t.session.Wait(ctx, t.navigated)
}
