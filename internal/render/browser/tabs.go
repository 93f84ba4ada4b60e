// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/platen-dev/platen/internal/render/devtools"
)

// openTab is a tab, as tabs uses it.
type openTab interface {
	// Ended reports whether the tab can show no more pages.
	Ended() bool
	// Fresh reports whether the tab has shown no page yet.
	Fresh() bool
	// Suits reports whether the tab can show a page with a need.
	Suits(n need) bool
	// Close disposes of the tab and all it has stored.
	Close()
}

// need is what a page needs of its tab.
type need struct {
	// scale is the number of device pixels per CSS pixel. A tab keeps the way it lays out text at its first scale.
	scale float64
	// alone is true when no other page may use the page's tab, before or after it.
	alone bool
}

// tabs keeps the tabs of one browser process that no page uses, and opens one ahead of need.
type tabs[T openTab] struct {
	open    func(ctx context.Context) (T, error)
	maxIdle int
	// patience bounds the opening of a tab ahead of need: pages wait for it.
	patience time.Duration
	logger   *slog.Logger

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

func newTabs[T openTab](open func(ctx context.Context) (T, error), maxIdle int, patience time.Duration, logger *slog.Logger) *tabs[T] {
	return &tabs[T]{open: open, maxIdle: maxIdle, patience: patience, logger: logger}
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

// takeIdle returns an idle tab if one suits: the one that was used last, so that a fresh one is left for a page that must be alone.
// opening is closed once another tab is idle; it is nil when none is being opened.
func (s *tabs[T]) takeIdle(n need) (t T, opening <-chan struct{}, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, t := range slices.Backward(s.idle) {
		ended := t.Ended()
		if !ended && !t.Suits(n) {
			continue
		}
		s.idle = slices.Delete(s.idle, i, i+1)
		if !ended {
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

// keep makes a tab idle for another page. If too many are idle then, it discards the one that has been idle for longest.
func (s *tabs[T]) keep(t T) {
	s.mu.Lock()
	s.idle = append(s.idle, t)
	full := !s.closed && len(s.idle) > s.maxIdle
	if full {
		t, s.idle = s.idle[0], s.idle[1:]
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

// openAhead opens a tab in the background unless a fresh one is idle.
func (s *tabs[T]) openAhead() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beginOpen()
}

// beginOpen is openAhead with mu held.
func (s *tabs[T]) beginOpen() {
	if s.closed || s.opening != nil || slices.ContainsFunc(s.idle, T.Fresh) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.patience)
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
