// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// startTimeout bounds the start of a process.
	startTimeout = 30 * time.Second
	// memoryInterval is how often a render's memory is measured. A CPU fills about a gigabyte a second, so a page exceeds the limit
	// by some tens of megabytes at most.
	memoryInterval = 20 * time.Millisecond
)

var errClosed = errors.New("the browser is closed")

// process is one run of the browser, as the supervisor uses it.
type process interface {
	comparable
	// Lost is closed once the process has ended.
	Lost() <-chan struct{}
	// Meter returns a function that measures how many bytes the process holds.
	Meter() func() int64
	// Kill ends the process at once because it holds too much memory.
	Kill()
	// Close ends the process and waits until it is gone. It may be called again.
	Close()
}

// supervisor keeps one process running for all renders. It launches the process at the first use and after a crash, replaces it after
// maxRenders, and kills it when it holds more than maxMemory. A replaced process serves the renders that have begun with it.
type supervisor[P process] struct {
	launch     func(ctx context.Context) (P, error)
	maxRenders int
	// maxMemory in bytes; 0 is no limit.
	maxMemory int64
	logger    *slog.Logger

	// background counts the goroutines that launch and close processes. close waits for them.
	background sync.WaitGroup

	// mu guards the fields below. It is never held during a call to a process, except Lost.
	mu sync.Mutex
	// current is the process for the next render; zero when there is none.
	current P
	// renders counts the renders begun since current was launched.
	renders int
	// users counts the renders in progress by process. It has current and the replaced processes that still have some.
	users map[P]int
	// launching is nil unless a process is being launched.
	launching *launching[P]
	closed    bool
}

// launching is the launch of a process.
type launching[P process] struct {
	cancel context.CancelFunc
	// done is closed once the fields below are set.
	done    chan struct{}
	process P
	err     error
}

func newSupervisor[P process](launch func(ctx context.Context) (P, error), maxRenders int, maxMemory int64, logger *slog.Logger) *supervisor[P] {
	return &supervisor[P]{launch: launch, maxRenders: maxRenders, maxMemory: maxMemory, logger: logger, users: map[P]int{}}
}

// running returns the current process, or zero when none runs.
func (s *supervisor[P]) running() (none P) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == none || isClosed(s.current.Lost()) {
		return none
	}
	return s.current
}

// start returns the current process. It launches one if none runs, and shares a launch with other callers. When ctx ends, the launch
// goes on.
func (s *supervisor[P]) start(ctx context.Context) (none P, err error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return none, errClosed
	}
	current := s.current
	if current != none && !isClosed(current.Lost()) {
		s.mu.Unlock()
		return current, nil
	}
	if s.launching == nil {
		if current != none {
			s.logger.Warn("the browser has ended; starting another")
			delete(s.users, current)
			s.current = none
		}
		s.beginLaunch(current)
	}
	pending := s.launching
	s.mu.Unlock()
	select {
	case <-pending.done:
		return pending.process, pending.err
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

// acquire returns the current process for a render, and watches its memory until release is called.
func (s *supervisor[P]) acquire(ctx context.Context) (p P, release func(), err error) {
	for {
		if p, err = s.start(ctx); err != nil {
			return p, nil, err
		}
		if s.use(p) {
			break
		}
	}
	stopWatching := s.watch(p)
	return p, func() {
		stopWatching()
		s.release(p)
	}, nil
}

// use counts a render. It returns false when p has been closed since start returned it.
func (s *supervisor[P]) use(p P) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, open := s.users[p]; !open {
		return false
	}
	s.users[p]++
	s.renders++
	return true
}

// release ends a render. It closes a replaced process after its last render, and replaces the current one after maxRenders.
func (s *supervisor[P]) release(p P) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, open := s.users[p]; !open {
		return
	}
	s.users[p]--
	switch {
	case p != s.current && s.users[p] == 0:
		delete(s.users, p)
		s.background.Go(p.Close)
	case p == s.current && s.renders >= s.maxRenders && s.launching == nil:
		s.renders = 0 // if the launch fails, the next attempt follows after maxRenders more
		var none P
		s.beginLaunch(none)
	}
}

// beginLaunch closes the process that was lost, if any, and launches another in the background. mu must be held.
func (s *supervisor[P]) beginLaunch(lost P) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	pending := &launching[P]{cancel: cancel, done: make(chan struct{})}
	s.launching = pending
	s.background.Go(func() {
		defer cancel()
		var none P
		if lost != none {
			lost.Close() // its memory is free before another process needs some
		}
		p, err := s.launch(ctx)
		unused := none
		s.mu.Lock()
		switch {
		case s.closed:
			p, unused, err = none, p, errClosed
		case err != nil && s.current != none:
			s.logger.Warn("replacing the browser failed; the old one goes on", "error", err)
		case err == nil:
			if old := s.current; old != none && s.users[old] == 0 {
				delete(s.users, old)
				unused = old
			}
			s.current, s.renders, s.users[p] = p, 0, 0
		}
		s.launching = nil
		s.mu.Unlock()
		pending.process, pending.err = p, err
		close(pending.done)
		if unused != none {
			unused.Close()
		}
	})
}

// watch kills p as soon as it holds too much memory, because a page must not harm the pod's other processes. The caller calls stop at
// the end of the render.
func (s *supervisor[P]) watch(p P) (stop func()) {
	if s.maxMemory == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(memoryInterval)
		defer ticker.Stop()
		held := p.Meter()
		for {
			if bytes := held(); bytes > s.maxMemory && !isClosed(p.Lost()) {
				s.logger.Warn("a render took too much memory; ending the browser", "bytes", bytes, "limit", s.maxMemory)
				p.Kill()
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	}()
	return func() {
		cancel()
		<-stopped
	}
}

// close ends all processes and waits until they are gone.
func (s *supervisor[P]) close() {
	s.mu.Lock()
	s.closed = true
	if s.launching != nil {
		s.launching.cancel()
	}
	open := slices.Collect(maps.Keys(s.users))
	clear(s.users)
	var none P
	s.current = none
	s.mu.Unlock()
	s.background.Wait()
	for _, p := range open {
		p.Close()
	}
}

// isClosed reports whether a channel is closed. Nothing may ever be sent on the channel.
func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
