// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/inspector"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/cdproto/target"

	"github.com/platen-dev/platen/internal/render/devtools"
)

// documentURL is the address of every page: an origin of its own that the browser takes for secure, as it takes https:, and from which pages still load over
// http: (https://w3c.github.io/webappsec-secure-contexts/#localhost). A tab answers the browser's request for it with the page's HTML; nothing else is there, and
// the proxy reaches no loopback address.
const documentURL = "http://page.platen.localhost/"

// fontsURL is where the fonts of the task are: the tab answers the browser's request for one of them by its hash.
const fontsURL = documentURL + "fonts/"

// pageEntries is the length of the history of a tab that shows a page: the blank document of a new tab, and the page.
const pageEntries = 2

// navigateTimeout bounds the time until a tab has switched to a document. The page before may keep its process busy.
const navigateTimeout = 10 * time.Second

var errTabCrashed = errors.New("the page's process crashed")

// policy is the Content-Security-Policy of a page's document (https://www.w3.org/TR/CSP3/).
type policy string

const (
	// alonePolicy is the policy of a page in a browser context that no other page uses: none.
	alonePolicy policy = ""
	// ownPolicy is the policy of a page in a tab that stays: scripts may run, and there is no request except for what the page holds
	// itself. The sandbox gives each document an origin that no other has, and so neither cookies nor storage.
	ownPolicy policy = "sandbox allow-scripts; default-src data: blob: 'unsafe-inline' 'unsafe-eval'; font-src data: blob: " + fontsURL + "; worker-src 'none'; form-action 'none'"
	// webPolicy is the policy of a page without scripts in a tab that stays. What it may load cannot run.
	webPolicy policy = "sandbox allow-scripts; default-src 'none'; style-src https: data: 'unsafe-inline'; img-src https: data:; font-src https: data: " + fontsURL + "; form-action 'none'"
)

// tab is one page in a browser context of its own. One render uses it at a time. A tab that stays shows one page after the other, each
// in a new document.
type tab struct {
	chromium *chromium
	context  cdp.BrowserContextID
	session  *devtools.Session
	// metrics, transparent and printed are the page's size, scale, background and medium as the browser has them.
	metrics     emulation.SetDeviceMetricsOverrideParams
	transparent bool
	printed     bool
	// wide is true when something lies beyond the right edge of the page that is to be printed.
	wide bool
	// document is the answer to the next request for documentURL; nil once it is sent.
	document atomic.Pointer[document]
	// fonts of the task, by their hashes.
	fonts atomic.Pointer[map[string][]byte]
	// policy of the document that is shown.
	policy atomic.Pointer[policy]
	// loader of the document from documentURL that the tab shows.
	loader atomic.Pointer[cdp.LoaderID]
	// navigated signals that the tab has switched to a document from documentURL.
	navigated chan struct{}
	// pages counts the pages shown in the tab.
	pages int
	// scripts run in each document, in this order.
	scripts []addedScript
	// stopped is true while scripts cannot run.
	stopped bool
	// blocked is true once a page in a tab that stays needed what its policy forbids.
	blocked atomic.Bool
	// modules are the scripts on their way to a page that no other page follows in the tab.
	modules *modules
	// unfinished counts the requests of pages that have no answer yet.
	unfinished atomic.Int32
	// epoch is when the pictures of a page that move began, and clock the time of the next frame, in milliseconds of uptime. With 0, frames
	// have the time at which they are drawn.
	epoch, clock float64
	// midFrame is true when a frame was requested and its answer never came. The tab then holds the turn to draw until it is closed.
	midFrame bool
	// patience is how long a frame may take before the tab counts as stuck; 0 is as long as the page's deadline allows.
	patience time.Duration
}

// addedScript is a script that runs in each document of a tab.
type addedScript struct {
	id     page.ScriptIdentifier
	source string
}

// document is an answer to a request for documentURL.
type document struct {
	html   string
	policy policy
}

// openTab opens a blank tab in a new browser context. Its frames are drawn on request.
func (c *chromium) openTab(ctx context.Context) (*tab, error) {
	// Wait for the answer even if ctx has ended: without its id the context would leak.
	creating, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	created, err := devtools.Call(creating, c.Session, target.CreateBrowserContext, target.CreateBrowserContextParams{DisposeOnDetach: new(true)})
	if err != nil {
		return nil, fmt.Errorf("opening a tab: %w", err)
	}
	t := &tab{chromium: c, context: created.BrowserContextID, navigated: make(chan struct{}, 1), modules: newModules()}
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
	return t.intercept(ctx, &fetch.RequestPattern{URLPattern: documentURL}, &fetch.RequestPattern{URLPattern: fontsURL + "*"})
}

// Ended implements openTab.
func (t *tab) Ended() bool { return t.session.Ended() }

// Fresh implements openTab.
func (t *tab) Fresh() bool { return t.pages == 0 }

// Suits implements openTab.
func (t *tab) Suits(n need) bool {
	return t.pages == 0 || !n.alone && t.metrics.DeviceScaleFactor == n.scale
}

// Close implements openTab. It disposes of the browser context, and with it of the tab and all it has stored.
func (t *tab) Close() {
	t.chromium.large.forget(t)
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_, _ = devtools.Call(ctx, t.chromium.Session, target.DisposeBrowserContext, target.DisposeBrowserContextParams{BrowserContextID: t.context}) // fails only when the browser is gone
	if t.midFrame {
		<-t.chromium.drawing
	}
}

// intercept makes the browser ask handle about requests.
func (t *tab) intercept(ctx context.Context, patterns ...*fetch.RequestPattern) error {
	_, err := devtools.Call(ctx, t.session, fetch.Enable, fetch.EnableParams{Patterns: patterns})
	return err
}

// watch prepares a tab that stays: handle decides about all requests, and learns what policies forbid.
func (t *tab) watch(ctx context.Context) error {
	if err := t.intercept(ctx, &fetch.RequestPattern{URLPattern: "http*"}, &fetch.RequestPattern{URLPattern: "http*", RequestStage: fetch.RequestStageResponse}); err != nil {
		return err
	}
	_, err := devtools.Call(ctx, t.session, audits.Enable, cdp.Empty{})
	return err
}

// clean removes what a page may have left in a tab that stays: cookies, and at times the memory of its documents. It returns false if there may
// be more: the cookies of an answer that is still to come, or entries in the history.
func (t *tab) clean(ctx context.Context) bool {
	if t.unfinished.Load() != 0 || t.pages >= maxPages {
		return false
	}
	if *t.policy.Load() == webPolicy {
		if _, err := devtools.Call(ctx, t.chromium.Session, storage.ClearCookies, storage.ClearCookiesParams{BrowserContextID: t.context}); err != nil {
			return false
		}
	}
	if t.pages%collectEvery == 0 {
		if _, err := devtools.Call(ctx, t.session, heapprofiler.CollectGarbage, cdp.Empty{}); err != nil {
			return false
		}
	}
	history, err := devtools.Call(ctx, t.session, page.GetNavigationHistory, cdp.Empty{})
	return err == nil && len(history.Entries) == pageEntries
}

// stop ends the scripts of the page that is shown, or lets scripts run again.
func (t *tab) stop(ctx context.Context, stopped bool) error {
	if t.stopped == stopped {
		return nil
	}
	t.stopped = stopped
	_, err := devtools.Call(ctx, t.session, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: stopped})
	return err
}

// handle answers the browser's events. The goroutine that reads all messages calls it, so every answer runs in a goroutine of its own,
// which ends with the tab.
func (t *tab) handle(s *devtools.Session, method string, params jsonv2.Value) {
	switch method {
	case fetch.RequestPaused.Method:
		var paused fetch.EventRequestPaused
		if devtools.ReadEvent(params, &paused) == nil {
			go t.answer(s, paused)
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
			t.loader.Store(&event.Frame.LoaderID)
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
	case runtime.ConsoleAPICalled.Method:
		t.noteLarge(params)
		t.answerModules(params)
	default:
		t.modules.handle(method, params)
	}
}

// answer answers an intercepted request: the first one with the page, those that the page's policy allows with what the network says,
// all others with an empty 404.
func (t *tab) answer(s *devtools.Session, paused fetch.EventRequestPaused) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	params := fetch.FulfillRequestParams{RequestID: paused.RequestID, ResponseCode: 404}
	answer := paused.ResponseStatusCode != 0 || paused.ResponseErrorReason != ""
	var d *document
	if paused.Request.URL == documentURL && !answer {
		d = t.document.Swap(nil)
	}
	hash, isFont := strings.CutPrefix(paused.Request.URL, fontsURL)
	switch {
	case isFont:
		if data, ok := (*t.fonts.Load())[hash]; ok {
			params.ResponseCode, params.Body = 200, data
			// A page in a tab that stays has an origin of its own.
			params.ResponseHeaders = []*fetch.HeaderEntry{{Name: "Access-Control-Allow-Origin", Value: "*"}}
		}
	case d != nil:
		params.ResponseCode, params.Body = 200, []byte(d.html)
		params.ResponseHeaders = []*fetch.HeaderEntry{{Name: "Content-Type", Value: "text/html; charset=utf-8"}}
		if d.policy != alonePolicy {
			params.ResponseHeaders = append(params.ResponseHeaders, &fetch.HeaderEntry{Name: "Content-Security-Policy", Value: string(d.policy)})
		}
	case *t.policy.Load() == webPolicy && strings.HasPrefix(paused.Request.URL, "https:"):
		if answer {
			t.unfinished.Add(-1)
		} else {
			t.unfinished.Add(1)
		}
		_, _ = devtools.Call(ctx, s, fetch.ContinueRequest, fetch.ContinueRequestParams{RequestID: paused.RequestID}) // fails only when the request or the tab is gone
		return
	default:
		t.blocked.Store(true)
	}
	_, _ = devtools.Call(ctx, s, fetch.FulfillRequest, params) // fails only when the request or the tab is gone
}

// navigate shows a document from documentURL in the tab. After it returns, scripts run in that document.
func (t *tab) navigate(ctx context.Context, d document) error {
	ctx, cancel := context.WithTimeout(ctx, navigateTimeout)
	defer cancel()
	select {
	case <-t.navigated: // to an earlier document
	default:
	}
	t.policy.Store(&d.policy)
	t.document.Store(&d)
	result, err := devtools.Call(ctx, t.session, page.Navigate, page.NavigateParams{URL: documentURL})
	if err == nil && result.ErrorText != "" {
		err = fmt.Errorf("loading the page: %s", result.ErrorText)
	}
	if err != nil {
		return err
	}
	// The page's process may learn of the document after the next command.
	if err := t.session.Wait(ctx, t.navigated); err != nil {
		return err
	}
	if *t.loader.Load() != result.LoaderID {
		return errors.New("the page before has navigated elsewhere")
	}
	return nil
}
