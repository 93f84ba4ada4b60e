// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/platen-dev/platen/internal/callers"
)

const (
	// maxBody bounds a request, in bytes. A RenderJob with it must fit into etcd, whose limit is 1.5 MiB.
	maxBody = 1 << 20
	// bodiesPerCaller and bodiesInAll bound the bytes of the bodies that are being read and made into jobs; others wait for them.
	// One caller cannot take all.
	bodiesPerCaller = 8 * maxBody
	bodiesInAll     = 64 * maxBody
	// maxCreates bounds the jobs that are being created at a time: a burst waits here instead of in the API server.
	maxCreates = 64
	// maxIdleCallers is how many callers are remembered before those without a debt are forgotten.
	maxIdleCallers = 1024
)

// Limits of one caller. All are required.
type Limits struct {
	// Rate of requests a second, and how many may come at once.
	Rate  float64
	Burst int
	// Concurrency is how many requests may be open, those that wait for their job among them.
	Concurrency int
}

// account is what a caller has used.
type account struct {
	open   int
	rate   *rate.Limiter
	bodies *semaphore.Weighted
}

// ledger keeps the accounts of the callers that are known.
type ledger struct {
	limits   Limits
	bodies   *semaphore.Weighted
	creates  chan struct{}
	mu       sync.Mutex
	accounts map[string]*account
}

func newLedger(limits Limits) *ledger {
	return &ledger{limits: limits, bodies: semaphore.NewWeighted(bodiesInAll), creates: make(chan struct{}, maxCreates), accounts: map[string]*account{}}
}

// tooManyError is a refusal with the seconds after which to try again.
type tooManyError struct {
	after time.Duration
	what  string
}

func (t *tooManyError) Error() string { return "too many requests: " + t.what }

// open counts a request of the caller in; close counts it out. The error is a *tooManyError.
func (l *ledger) open(caller string) (a *account, closed func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a = l.accounts[caller]
	if a == nil {
		l.forget()
		a = &account{rate: rate.NewLimiter(rate.Limit(l.limits.Rate), l.limits.Burst), bodies: semaphore.NewWeighted(bodiesPerCaller)}
		l.accounts[caller] = a
	}
	if a.open >= l.limits.Concurrency {
		return nil, nil, &tooManyError{time.Second, fmt.Sprintf("at most %d of a caller may be open at a time", l.limits.Concurrency)}
	}
	reservation := a.rate.Reserve()
	if wait := reservation.Delay(); wait > 0 {
		reservation.Cancel()
		return nil, nil, &tooManyError{wait, fmt.Sprintf("at most %g a second of a caller", l.limits.Rate)}
	}
	a.open++
	return a, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		a.open--
	}, nil
}

// forget drops the accounts that are as good as new.
func (l *ledger) forget() {
	if len(l.accounts) < maxIdleCallers {
		return
	}
	for name, a := range l.accounts {
		if a.open == 0 && a.rate.Tokens() >= float64(l.limits.Burst) {
			delete(l.accounts, name)
		}
	}
}

// lend waits until the caller may have a body of that many bytes in memory; done gives them back.
func (l *ledger) lend(ctx context.Context, a *account, size int64) (done func(), err error) {
	if err := a.bodies.Acquire(ctx, size); err != nil {
		return nil, err
	}
	if err := l.bodies.Acquire(ctx, size); err != nil {
		a.bodies.Release(size)
		return nil, err
	}
	return func() {
		l.bodies.Release(size)
		a.bodies.Release(size)
	}, nil
}

// retryAfter writes the header, in whole seconds.
func retryAfter(h http.Header, d time.Duration) {
	h.Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(d.Seconds())))))
}

// bodySize is how many bytes of memory a request's body may take.
func bodySize(r *http.Request) (int64, error) {
	switch {
	case r.ContentLength > maxBody:
		return 0, callers.Refuse(http.StatusRequestEntityTooLarge, "the body must be at most %d bytes", maxBody)
	case r.ContentLength >= 0:
		return r.ContentLength, nil
	default:
		return maxBody, nil
	}
}
