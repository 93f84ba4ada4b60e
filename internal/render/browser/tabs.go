// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/platen-dev/platen/internal/render/devtools"
)

// openTab is a tab, as tabs uses it.
type openTab interface {
	// Ended reports whether the tab can show no more pages.
	Ended() bool
	// Suits reports whether the tab can show a page with a need.
	Suits(n need) bool
	// Close disposes of the tab and all it has stored.
	Close()
}

// need is what a page needs of its tab.
type need struct {
	// scale is the number of device pixels per CSS pixel. A tab keeps the way it lays out text at its first scale.
	scale float64
	// alone is true when no other page may follow the page in its tab.
	alone bool
	// quirks is true for a page in quirks mode. It matters unless alone: a document keeps how it has parsed a style attribute.
	quirks bool
}

// tabs keeps the tabs of one browser process that no page uses, and opens one ahead of need.
type tabs[T openTab] struct {
	open    func(ctx context.Context) (T, error)
	maxIdle int
	logger  *slog.Logger

	// background counts the goroutines that open and close tabs. close waits for them.
	background sync.WaitGroup

	// mu guards the fields below.
	mu sync.Mutex
	// idle tabs, the one that has been idle for longest first.
	idle []T
	// opening is closed once the tab that is being opened ahead of need is idle; nil when none is being opened.
	opening chan struct{}
	// cancel stops the opening.
	cancel context.CancelFunc
	closed bool
}

func newTabs[T openTab](open func(ctx context.Context) (T, error), maxIdle int, logger *slog.Logger) *tabs[T] {
	return &tabs[T]{open: open, maxIdle: maxIdle, logger: logger}
}

// take returns a tab that suits a page: an idle one, the one that is being opened, or else a new one. The caller calls keep when another
// page may use the tab, or discard.
func (s *tabs[T]) take(ctx context.Context, n need) (T, error) {
	if n.alone {
		// The tab does not come back: open the next one once this one is open.
		defer s.openAhead()
	}
	t, opening, ok := s.takeIdle(n)
	if !ok && opening != nil {
		select {
		case <-opening:
		case <-ctx.Done():
			return t, context.Cause(ctx)
		}
		t, _, ok = s.takeIdle(n)
	}
	if ok {
		return t, nil
	}
	return s.open(ctx)
}

// takeIdle returns an idle tab if one suits, and discards those before it that do not. opening is closed once another tab is idle; it is
// nil when none is being opened.
func (s *tabs[T]) takeIdle(n need) (t T, opening <-chan struct{}, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.idle) > 0 {
		t, s.idle = s.idle[0], s.idle[1:]
		if !t.Ended() && t.Suits(n) {
			return t, nil, true
		}
		if !s.closed { // otherwise the tab ends with its browser
			s.background.Go(t.Close)
			s.beginOpen()
		}
	}
	var none T
	return none, s.opening, false
}

// keep makes a tab idle for another page, or discards it when enough tabs are idle.
func (s *tabs[T]) keep(t T) {
	s.mu.Lock()
	full := !s.closed && len(s.idle) >= s.maxIdle
	if !full {
		s.idle = append(s.idle, t)
	}
	s.mu.Unlock()
	if full {
		s.discard(t)
	}
}

// discard closes a tab in the background, so that no render waits for it.
func (s *tabs[T]) discard(t T) {
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.background.Go(t.Close)
		s.beginOpen()
	}
	s.mu.Unlock()
	if closed {
		t.Close()
	}
}

// openAhead opens a tab in the background unless one is idle.
func (s *tabs[T]) openAhead() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beginOpen()
}

// beginOpen is openAhead with mu held.
func (s *tabs[T]) beginOpen() {
	if s.closed || s.opening != nil || len(s.idle) > 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	opened := make(chan struct{})
	s.opening, s.cancel = opened, cancel
	s.background.Go(func() {
		defer cancel()
		t, err := s.open(ctx)
		switch {
		case err == nil:
			s.keep(t)
		case !errors.Is(err, devtools.ErrLost) && !errors.Is(err, context.Canceled):
			s.logger.Warn("opening a tab ahead of need", "error", err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.opening = nil
		close(opened)
	})
}

// close waits until no tab is being opened or closed, and opens no more. The tabs end with their browser.
func (s *tabs[T]) close() {
	s.mu.Lock()
	s.closed = true
	if s.cancel != nil {
		s.cancel()
	}
	s.mu.Unlock()
	s.background.Wait()
}
