// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"testing"
	"time"
)

func TestLooksAreSpread(t *testing.T) {
	p, now := &Pace{}, time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for i := range 1000 {
		if got, want := p.Next(now), lookInterval+time.Duration(i)*lookGap; got != want {
			t.Fatalf("look %d: after %s, want %s", i, got, want)
		}
	}
	for range 10000 {
		p.Next(now)
	}
	if got := p.Next(now); got != maxLookInterval {
		t.Errorf("after 11,000 looks: after %s, want %s", got, maxLookInterval)
	}
	if got := p.Next(now.Add(time.Hour)); got != lookInterval {
		t.Errorf("an hour later: after %s, want %s", got, lookInterval)
	}
}
