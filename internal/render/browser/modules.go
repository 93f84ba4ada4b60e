// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"

	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/render/devtools"
)

const (
	// modulesPatience bounds the wait for scripts that scripts load. A page that takes longer is painted without them, with a warning.
	modulesPatience = 5 * time.Second
	// modulesPause is how long no script may be on its way before the wait is over: one that has come may load the next.
	modulesPause = 20 * time.Millisecond
)

// importing matches pages whose scripts may load others by import(), also those that they import. The page's load event does not wait for these,
// and no other script of the page learns of them.
var importing = regexp.MustCompile(`(?:^|[^@\w-])import\b|<script[^>]*\ssrc`)

// modulesMessage begins a message of requests.js to the console: nothing is left for the page's scripts to do, unless a script is on its way that
// the browser alone knows of.
const modulesMessage = "platen.modules"

// modules are the scripts that are on their way to a tab.
type modules struct {
	mu   sync.Mutex
	open map[network.RequestID]string // addresses
	// sent counts the scripts that were asked for, and told those of them that the page knows to have come.
	sent, told int
	// waited is how long scripts were waited for.
	waited time.Duration
	// changed signals that a script has come or was asked for.
	changed chan struct{}
	// answering is true while an answer to the page is under way. A page that is not hostile asks again only after it.
	answering atomic.Bool
}

func newModules() *modules {
	return &modules{open: map[network.RequestID]string{}, changed: make(chan struct{}, 1)}
}

// handle reads an event of the browser's.
func (m *modules) handle(method string, params jsonv2.Value) {
	switch method {
	case network.RequestWillBeSent.Method:
		var sent network.EventRequestWillBeSent
		if devtools.ReadEvent(params, &sent) == nil && sent.Type == network.ResourceTypeScript && sent.LoaderID != "" { // a worker's own script has no loader
			m.change(func() { m.open[sent.RequestID], m.sent = sent.Request.URL, m.sent+1 })
		}
	case network.LoadingFinished.Method:
		var finished network.EventLoadingFinished
		if devtools.ReadEvent(params, &finished) == nil {
			m.change(func() { delete(m.open, finished.RequestID) })
		}
	case network.LoadingFailed.Method:
		var failed network.EventLoadingFailed
		if devtools.ReadEvent(params, &failed) == nil {
			m.change(func() { delete(m.open, failed.RequestID) })
		}
	}
}

func (m *modules) change(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// addresses returns those of the scripts on their way, sorted.
func (m *modules) addresses() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Values(m.open))
}

// followModules makes the browser tell which scripts are on their way.
func (t *tab) followModules(ctx context.Context) error {
	_, err := devtools.Call(ctx, t.session, network.Enable, network.EnableParams{})
	return err
}

// tell reports whether scripts were asked for since it was called last.
func (m *modules) tell() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	sent := m.sent > m.told
	m.told = m.sent
	return sent
}

// awaitModules waits until a page is loaded and no script is on its way.
func (t *tab) awaitModules(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, modulesPatience)
	defer cancel()
	// A page that fails here, or takes longer, is waited for when it is painted.
	_, _ = evaluate[any](waiting, t, "new Promise((resolve) => document.readyState === 'complete' ? resolve() : addEventListener('load', () => resolve(), { once: true }))")
	t.modules.tell()
	t.modules.quiet(waiting)
	return ctx.Err()
}

// quiet waits until no script is on its way, and reports whether that came to be before ctx ended and the patience with the page's scripts did.
func (m *modules) quiet(ctx context.Context) bool {
	began := time.Now()
	m.mu.Lock()
	ctx, cancel := context.WithTimeout(ctx, modulesPatience-m.waited)
	m.mu.Unlock()
	defer cancel()
	defer m.change(func() { m.waited += time.Since(began) })
	pause := time.NewTimer(modulesPause)
	defer pause.Stop()
	for {
		select {
		case <-m.changed:
			pause.Reset(modulesPause)
		case <-pause.C:
			if len(m.addresses()) == 0 {
				return true
			}
		case <-ctx.Done():
			return false
		}
	}
}

// late returns warnings of the scripts that have not come.
func (m *modules) late() (warnings []render.Warning) {
	for _, url := range m.addresses() {
		warnings = append(warnings, render.Warning{
			Title: bounded("There was no answer yet when the page was painted: "+url, maxTitle), Details: "the script is a part of the page that another script loads",
		})
	}
	return warnings
}

// answerModules answers a page that asks whether a script is on its way, once that has come. The page may say anything.
func (t *tab) answerModules(params jsonv2.Value) {
	var called runtime.EventConsoleAPICalled
	if !bytes.Contains(params, []byte(modulesMessage)) || devtools.ReadEvent(params, &called) != nil || called.Type != runtime.ConsoleAPICalledTypeDebug {
		return
	}
	if !t.modules.answering.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer t.modules.answering.Store(false)
		came := t.modules.tell() && t.modules.quiet(context.Background())
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		// Fails only when the page is gone, or has replaced what answers it.
		_, _ = evaluate[any](ctx, t, fmt.Sprintf("window[Symbol.for('platen.requests')].answer(%t)", came))
	}()
}
