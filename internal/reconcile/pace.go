// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"sync"
	"time"
)

const (
	// lookInterval is how soon a controller looks again at what it reads and does not watch, and maxLookInterval how late: objects that change all the
	// time take the turns of others.
	lookInterval, maxLookInterval = time.Minute, 10 * time.Minute
	// lookGap is the least time between two such looks, so that many objects cost the API server no more requests a second than a few.
	lookGap = 200 * time.Millisecond
)

// Pace says when a controller looks again at objects that depend on others which it does not watch. The zero value is ready. It is safe for concurrent
// use.
type Pace struct {
	mu   sync.Mutex
	next time.Time
}

// Next returns how long to wait before an object is looked at again: a minute, or longer if there are more than some hundreds,
// but never more than ten minutes.
func (p *Pace) Next(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := now.Add(lookInterval)
	if p.next.After(at) {
		at = p.next
	}
	if latest := now.Add(maxLookInterval); at.After(latest) {
		return maxLookInterval
	}
	p.next = at.Add(lookGap)
	return at.Sub(now)
}
