// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package uploader

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/platen-dev/platen/internal/storage"
)

// lendAfter is how long a call may make no progress before others may use its slot.
const lendAfter = 2 * time.Second

// slots bound the calls in flight. The next one goes to the namespace with the fewest, then to the account with the fewest, then to
// whoever waits longest. A call that makes no progress lends its slot, so that a service that hangs holds up nobody else; one slot is
// always out of reach of a namespace, and of all namespaces whose calls hang. With those whose slot is lent, a namespace has at most
// Parallel calls.
type slots struct {
	mu       sync.Mutex
	parallel int
	waiting  []*slot // longest first
	calls    map[*slot]bool
}

// slot of a call.
type slot struct {
	namespace, account string
	// granted is closed once the call may begin.
	granted chan struct{}
	// lent is true while the call makes no progress.
	lent bool
	// lend checks whether the call makes progress.
	lend *time.Timer
	// call is nil before it has begun.
	call *storage.Watched
}

func newSlots(parallel int) *slots { return &slots{parallel: parallel, calls: map[*slot]bool{}} }

// acquire waits until a call may begin; it returns nil if ctx ends first.
func (s *slots) acquire(ctx context.Context, namespace, account string) *slot {
	mine := &slot{namespace: namespace, account: account, granted: make(chan struct{})}
	s.mu.Lock()
	s.waiting = append(s.waiting, mine)
	s.grant()
	s.mu.Unlock()
	select {
	case <-mine.granted:
		return mine
	case <-ctx.Done():
		s.release(mine)
		return nil
	}
}

// begin says that the call has begun.
func (s *slots) begin(mine *slot, call *storage.Watched) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mine.call = call
	mine.lend = time.AfterFunc(lendAfter, func() { s.check(mine) })
}

// check lends the slot of a call that makes no progress, and takes it back when the call goes on.
func (s *slots) check(mine *slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.calls[mine] {
		return
	}
	idle := time.Since(mine.call.LastProgress())
	mine.lent = idle >= lendAfter
	if mine.lent {
		mine.lend.Reset(lendAfter)
	} else {
		mine.lend.Reset(lendAfter - idle)
	}
	s.grant()
}

// release gives a slot back, or stops waiting for it.
func (s *slots) release(mine *slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if mine.lend != nil {
		mine.lend.Stop()
	}
	delete(s.calls, mine)
	s.waiting = slices.DeleteFunc(s.waiting, func(w *slot) bool { return w == mine })
	s.grant()
}

// grant lets calls begin while slots are free. The lock must be held.
func (s *slots) grant() {
	for s.grantNext() {
	}
}

// grantNext lets one call begin, and reports whether it could.
func (s *slots) grantNext() bool {
	inUse, held := 0, map[string]int{}                    // slots that are not lent, in all and by namespace
	calls, accounts := map[string]int{}, map[string]int{} // calls by namespace and by account
	hangs := map[string]bool{}                            // namespaces with a call whose slot is lent
	for c := range s.calls {
		calls[c.namespace]++
		accounts[c.account]++
		if c.lent {
			hangs[c.namespace] = true
		} else {
			inUse++
			held[c.namespace]++
		}
	}
	heldByHanging := 0
	for namespace := range hangs {
		heldByHanging += held[namespace]
	}
	if inUse >= s.parallel {
		return false
	}
	most := max(s.parallel-1, 1) // the last slot is for others
	var next *slot
	for _, w := range s.waiting {
		switch {
		case calls[w.namespace] >= s.parallel, held[w.namespace] >= most, hangs[w.namespace] && heldByHanging >= most:
		case next == nil, calls[w.namespace] < calls[next.namespace],
			calls[w.namespace] == calls[next.namespace] && accounts[w.account] < accounts[next.account]:
			next = w
		}
	}
	if next == nil {
		return false
	}
	s.waiting = slices.DeleteFunc(s.waiting, func(w *slot) bool { return w == next })
	s.calls[next] = true
	close(next.granted)
	return true
}
