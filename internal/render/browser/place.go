// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"context"
	"errors"
	"time"

	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/render/template"
)

const (
	// maxPages bounds the pages that are written into one tab: the browser keeps some memory for each.
	maxPages = 100
	// inertTimeout bounds the painting of a written page.
	inertTimeout = 10 * time.Second
	// keptMemoryDivisor divides the memory limit: a tab is kept for the next page while the browser holds less than the quotient.
	keptMemoryDivisor = 3
)

// errBlocked means that a page that looked inert needs a script or a request.
var errBlocked = errors.New("the page needs a script or a request")

// show paints a page in the tab that it needs. A page with a script or a request gets a browser context that no other page uses after
// it. Making a context takes longer than painting, and most pages need neither: they are written one after the other into a tab
// in which the browser blocks both. A page that fails there is painted again in its own context. It costs time, nothing else.
func (b *Browser) show(ctx context.Context, c *chromium, task render.Task, p render.Page) ([]byte, report, error) {
	if template.Inert(p.HTML, template.ForPage(task.Modifications, p.Number)) {
		data, r, err := b.showInert(ctx, c, task, p)
		if err == nil || ctx.Err() != nil || isClosed(c.Lost()) {
			return data, r, err
		}
		b.options.Logger.Debug("painting a page again, in a tab of its own", "page", p.Number, "error", err)
	}
	t, err := c.tabs.take(ctx, need{scale: deviceScale(task), alone: true})
	if err != nil {
		return nil, report{}, err
	}
	defer c.tabs.discard(t)
	r, err := t.load(ctx, task, p)
	if err != nil {
		return nil, report{}, err
	}
	data, err := t.capture(ctx, task, p)
	return data, r, err
}

// showInert paints a page in a tab that other pages use after it. An error may only mean that the page needs a tab of its own.
func (b *Browser) showInert(ctx context.Context, c *chromium, task render.Task, p render.Page) ([]byte, report, error) {
	ctx, cancel := context.WithTimeout(ctx, inertTimeout)
	defer cancel()
	t, err := c.tabs.take(ctx, need{scale: deviceScale(task), quirks: template.Quirks(p.HTML)})
	if err != nil {
		return nil, report{}, err
	}
	var data []byte
	r, err := t.write(ctx, task, p)
	if err == nil {
		data, err = t.capture(ctx, task, p)
	}
	if err == nil && t.blocked.Load() {
		err = errBlocked
	}
	// A tab frees the memory of its pages late. Without the last condition, the next page could fail because of this one's memory.
	if err != nil || t.pages >= maxPages || b.options.MaxMemory > 0 && c.Meter()() > b.options.MaxMemory/keptMemoryDivisor {
		c.tabs.discard(t)
	} else {
		c.tabs.keep(t)
	}
	return data, r, err
}
