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
	// maxBody bounds a body, in bytes. The RenderJob of a request must fit into etcd, whose limit is 1.5 MiB.
	maxBody = 1 << 20
	// bodiesPerCaller and bodiesInAll bound the memory of the bodies being read, in bytes. Further requests wait.
	bodiesPerCaller = 8 * maxBody
	bodiesInAll     = 64 * maxBody
	// maxCreates bounds the jobs being created at a time: a burst waits here instead of in the API server.
	maxCreates = 64
	// maxIdleCallers is the number of callers at which the limiter starts to evict idle ones.
	maxIdleCallers = 1024
)

// Limits of one caller. All are required.
type Limits struct {
	// Rate is the number of requests a second, and Burst how many may arrive at once.
	Rate  float64
	Burst int
	// Concurrency bounds the open requests, including those that wait for their job.
	Concurrency int
}

// usage is what one caller uses.
type usage struct {
	open   int
	rate   *rate.Limiter
	bodies *semaphore.Weighted
}

// limiter applies Limits to each caller.
type limiter struct {
	limits  Limits
	bodies  *semaphore.Weighted
	creates chan struct{}
	mu      sync.Mutex
	usages  map[string]*usage
}

func newLimiter(limits Limits) *limiter {
	return &limiter{limits: limits, bodies: semaphore.NewWeighted(bodiesInAll), creates: make(chan struct{}, maxCreates), usages: map[string]*usage{}}
}

// tooManyError is the error for a caller above its limits.
type tooManyError struct {
	// after is how long to wait before the next try.
	after time.Duration
	limit string
}

// Error implements error.
func (t *tooManyError) Error() string { return "too many requests: " + t.limit }

// admit counts a request of the caller until the call of done. The error is a *tooManyError.
func (l *limiter) admit(caller string) (used *usage, done func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	used = l.usages[caller]
	if used == nil {
		l.evictIdle()
		used = &usage{rate: rate.NewLimiter(rate.Limit(l.limits.Rate), l.limits.Burst), bodies: semaphore.NewWeighted(bodiesPerCaller)}
		l.usages[caller] = used
	}
	if used.open >= l.limits.Concurrency {
		return nil, nil, &tooManyError{time.Second, fmt.Sprintf("a caller may have at most %d open at a time", l.limits.Concurrency)}
	}
	reservation := used.rate.Reserve()
	if wait := reservation.Delay(); wait > 0 {
		reservation.Cancel()
		return nil, nil, &tooManyError{wait, fmt.Sprintf("a caller may make at most %g a second", l.limits.Rate)}
	}
	used.open++
	return used, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		used.open--
	}, nil
}

// evictIdle drops the callers whose usage equals that of a new one.
func (l *limiter) evictIdle() {
	if len(l.usages) < maxIdleCallers {
		return
	}
	for name, used := range l.usages {
		if used.open == 0 && used.rate.Tokens() >= float64(l.limits.Burst) {
			delete(l.usages, name)
		}
	}
}

// reserve waits until a body of size bytes may be in memory. done releases them.
func (l *limiter) reserve(ctx context.Context, used *usage, size int64) (done func(), err error) {
	if err := used.bodies.Acquire(ctx, size); err != nil {
		return nil, err
	}
	if err := l.bodies.Acquire(ctx, size); err != nil {
		used.bodies.Release(size)
		return nil, err
	}
	return func() {
		l.bodies.Release(size)
		used.bodies.Release(size)
	}, nil
}

// retryAfter sets the header Retry-After, in whole seconds.
func retryAfter(h http.Header, d time.Duration) {
	h.Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(d.Seconds())))))
}

// bodySize returns the most memory that a request's body may need, in bytes.
func bodySize(r *http.Request) (int64, error) {
	switch {
	case r.ContentLength > maxBody:
		return 0, callers.Errorf(http.StatusRequestEntityTooLarge, "the body must be at most %d bytes", maxBody)
	case r.ContentLength >= 0 && r.Header.Get("Content-Encoding") == "":
		return r.ContentLength, nil
	default:
		return maxBody, nil
	}
}
