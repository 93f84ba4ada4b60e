// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/network"

	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/render/devtools"
)

const (
	// modulesPatience bounds the wait for scripts that scripts load. A page that takes longer is painted without them, with a warning.
	modulesPatience = 5 * time.Second
	// modulesPause is how long no script may be on its way before the wait is over: one that has come may load the next.
	modulesPause = 20 * time.Millisecond
)

// importing matches pages whose scripts may load others by import(). The page's load event does not wait for these, and no other script of the
// page learns of them.
var importing = regexp.MustCompile(`\bimport\s*\(|<script[^>]*\ssrc`)

// modules are the scripts that are on their way to a tab.
type modules struct {
	mu   sync.Mutex
	open map[network.RequestID]string // addresses
	// changed signals that a script has come or was asked for.
	changed chan struct{}
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
			m.change(func() { m.open[sent.RequestID] = sent.Request.URL })
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

// awaitModules waits until a page is loaded and no script is on its way, and returns warnings of those that do not come.
func (t *tab) awaitModules(ctx context.Context) ([]render.Warning, error) {
	waiting, cancel := context.WithTimeout(ctx, modulesPatience)
	defer cancel()
	// A page that fails here, or takes longer, is waited for when it is painted.
	_, _ = evaluate[any](waiting, t, "new Promise((resolve) => document.readyState === 'complete' ? resolve() : addEventListener('load', () => resolve(), { once: true }))")
	pause := time.NewTimer(modulesPause)
	defer pause.Stop()
	for {
		select {
		case <-t.modules.changed:
			pause.Reset(modulesPause)
		case <-pause.C:
			if len(t.modules.addresses()) == 0 {
				return nil, nil
			}
		case <-waiting.Done():
			var warnings []render.Warning
			for _, url := range t.modules.addresses() {
				warnings = append(warnings, render.Warning{
					Title: bounded("There was no answer yet when the page was painted: "+url, maxTitle), Details: "the script is a part of the page that another script loads",
				})
			}
			return warnings, ctx.Err()
		}
	}
}
