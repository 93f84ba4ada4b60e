// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"context"
	"sync"
	"time"
)

// patience is how long calls of the bucket fail until that is an outage. Callers repeat what fails for a shorter time.
const patience = 10 * time.Second

// outage knows how long calls of a kind have failed, one and all. Its zero value has seen none.
type outage struct {
	mu sync.Mutex
	// since and last are the first and the last failure since a call succeeded; zero if none has failed.
	since, last time.Time
}

// ended takes note of a call. One that its caller has given up tells nothing.
func (o *outage) ended(ctx context.Context, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch now := time.Now(); {
	case err == nil:
		o.since, o.last = time.Time{}, time.Time{}
	case ctx.Err() != nil:
	case o.since.IsZero():
		o.since, o.last = now, now
	default:
		o.last = now
	}
}

// lasts reports whether calls have failed for so long that the next one is likely to fail too.
func (o *outage) lasts() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last.Sub(o.since) >= patience
}

// lately reports whether there was an outage a moment ago.
func (o *outage) lately() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last.Sub(o.since) >= patience && time.Since(o.last) < fullFor
}
