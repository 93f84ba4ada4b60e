// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPercentile(t *testing.T) {
	ten := []time.Duration{9, 1, 8, 2, 7, 3, 6, 4, 5, 10}
	for i := range ten {
		ten[i] *= time.Second
	}
	for name, test := range map[string]struct {
		values []time.Duration
		p      float64
		want   float64
	}{
		"no values":  {p: 50, want: 0},
		"one value":  {values: ten[:1], p: 99, want: 9},
		"the median": {values: ten, p: 50, want: 5},
		"the 99th":   {values: ten, p: 99, want: 10},
		"the 1st":    {values: ten, p: 1, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Percentile(test.values, test.p); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestAgainst(t *testing.T) {
	for name, test := range map[string]struct {
		peerValue float64
		want      Figure
	}{
		"a value": {peerValue: 4, want: Figure{Value: 1, Peer: "peer", PeerValue: new(4.0), Ratio: new(0.25)}},
		"zero":    {peerValue: 0, want: Figure{Value: 1, Peer: "peer", PeerValue: new(0.0)}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, Figure{Value: 1}.Against("peer", test.peerValue)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
