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
	// maxPages bounds the pages that are shown in one tab: the browser keeps some memory for each.
	maxPages = 100
	// collectEvery is the number of pages after which a tab frees the memory of their documents. Left to itself, it lets that of several dozen
	// pile up: 1 MiB each for a card.
	collectEvery = 10
	// keptMemoryDivisor divides the memory limit: a tab is kept for the next page while the browser holds less than the quotient.
	keptMemoryDivisor = 3
	// hungPatience is how long a browser may take to draw a blank page after another page was stuck in it. It may still be busy with that one.
	hungPatience = 15 * time.Second
)

// errBlocked means that a page needs more than it seemed to.
var errBlocked = errors.New("the page needs what a tab that stays does not give")

// show paints a page in the place that it needs. Each page gets a new document, which replaces the one before it. Most pages can leave
// nothing else behind: their policy gives them an origin of their own, no storage, and no request but for pictures, fonts and styles.
// They share a tab, because making a browser context takes longer than painting. All others get a context that no page uses after
// them. A page that fails in a shared tab is painted again alone. It costs time, nothing else.
func (b *Browser) show(ctx context.Context, c *chromium, task render.Task, p render.Page) ([]byte, report, error) {
	needs := template.Examine(p.HTML, template.ForPage(task.Modifications, p.Number))
	place := render.PlaceAlone
	if policyFor(needs) != alonePolicy {
		data, r, err := b.showShared(ctx, c, task, p, needs)
		if err == nil || ctx.Err() != nil || isClosed(c.Lost()) {
			r.place = render.PlaceShared
			return data, r, err
		}
		place = render.PlaceRepeated
		b.options.Logger.Debug("painting a page again, in a browser context of its own", "page", p.Number, "error", err)
	}
	data, r, err := showAlone(ctx, c, task, p, b.patience)
	if errors.Is(err, errStuck) && ctx.Err() == nil && c.check(ctx, c.hungPatience) {
		// Perhaps the page is slow and not the tab stuck: the second tab has all the time that is left.
		place = render.PlaceRepeated
		data, r, err = showAlone(ctx, c, task, p, 0)
	}
	r.place = place
	return data, r, err
}

// showAlone paints a page in a browser context that no page uses after it.
func showAlone(ctx context.Context, c *chromium, task render.Task, p render.Page, patience time.Duration) ([]byte, report, error) {
	t, err := c.tabs.take(ctx, need{scale: deviceScale(task), alone: true})
	if err != nil {
		return nil, report{}, err
	}
	defer c.tabs.discard(t)
	t.patience = patience
	r, err := t.load(ctx, task, p, alonePolicy)
	if err != nil {
		return nil, report{}, err
	}
	r.varies = true // nobody has watched what it loads
	data, err := t.capture(ctx, task, p)
	if err == nil {
		_ = t.foresee(ctx, &r) // nobody needs the tab any more
	}
	return data, r, err
}

// policyFor returns the policy of a page's document.
func policyFor(needs template.Needs) policy {
	switch {
	case needs.Alone || needs.Scripts && needs.Requests:
		return alonePolicy
	case needs.Requests:
		return webPolicy
	default:
		return ownPolicy
	}
}

// showShared paints a page in a tab that other pages use after it. An error may only mean that the page needs a tab of its own.
func (b *Browser) showShared(ctx context.Context, c *chromium, task render.Task, p render.Page, needs template.Needs) ([]byte, report, error) {
	t, err := c.tabs.take(ctx, need{scale: deviceScale(task)})
	if err != nil {
		return nil, report{}, err
	}
	t.patience = b.patience
	var data []byte
	r, err := t.load(ctx, task, p, policyFor(needs))
	r.varies = needs.Requests || needs.Varies || needs.Timed
	if err == nil {
		data, err = t.capture(ctx, task, p)
	}
	// What the page was denied until now is known once its process has answered.
	switch {
	case err == nil && r.Looping:
		_, err = evaluate[any](ctx, t, "0")
	case err == nil && needs.Scripts:
		// Nobody watches what the page does from here on.
		err = t.stop(ctx, true)
	}
	if err == nil && t.blocked.Load() {
		err = errBlocked
	}
	busy := false
	if err == nil && r.Looping {
		busy = t.foresee(ctx, &r) != nil || t.stop(ctx, true) != nil
	}
	// A tab frees the memory of its pages late. Without the last condition, the next page could fail because of this one's memory.
	if err != nil || busy || t.blocked.Load() || !t.clean(ctx) || b.options.MaxMemory > 0 && c.Meter()() > b.options.MaxMemory/keptMemoryDivisor {
		c.tabs.discard(t)
	} else {
		c.tabs.keep(t)
	}
	return data, r, err
}
