// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	ten := []time.Duration{9, 1, 8, 2, 7, 3, 6, 4, 5, 10}
	for i := range ten {
		ten[i] *= time.Second
	}
	for _, c := range []struct {
		values []time.Duration
		p      float64
		want   float64
	}{{nil, 50, 0}, {ten[:1], 99, 9}, {ten, 50, 5}, {ten, 99, 10}, {ten, 1, 1}} {
		if got := Percentile(c.values, c.p); got != c.want {
			t.Errorf("Percentile(%v, %v) = %v, want %v", c.values, c.p, got, c.want)
		}
	}
}

func TestAgainst(t *testing.T) {
	f := Figure{Value: 1}.Against("peer", 4)
	if f.Ratio == nil || *f.Ratio != 0.25 {
		t.Errorf("ratio %v", f.Ratio)
	}
	if f := (Figure{Value: 1}).Against("peer", 0); f.Ratio != nil {
		t.Errorf("a ratio to nothing: %v", *f.Ratio)
	}
}
