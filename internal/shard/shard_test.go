// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"testing"
)

// Which shard a namespace has must never change: a release that computes another one would divide the namespaces in two ways during its rollout.
func TestOf(t *testing.T) {
	for namespace, want := range map[string][3]int{"": {0, 0, 2}, "default": {0, 1, 4}, "marketing": {0, 0, 0}, "team-a": {0, 0, 1}} {
		if got := [3]int{Of(namespace, 1), Of(namespace, 2), Of(namespace, 5)}; got != want {
			t.Errorf("'%s' has the shards %v of 1, 2 and 5; want %v", namespace, got, want)
		}
	}
	const namespaces = 1000
	for _, n := range []int{2, 3, Max} {
		count := make([]int, n)
		for i := range namespaces {
			count[Of(fmt.Sprintf("team-%d", i), n)]++
		}
		for shard, got := range count {
			if mean := namespaces / n; got < mean/2 || got > mean*2 {
				t.Errorf("shard %d of %d has %d of %d namespaces", shard, n, got, namespaces)
			}
		}
	}
}

func TestBudget(t *testing.T) {
	for _, c := range []struct {
		total, n int
		want     []int
	}{
		{100, 1, []int{100}},
		{100, 2, []int{50, 50}},
		{7, 3, []int{3, 2, 2}},
		{3, 3, []int{1, 1, 1}},
	} {
		got := make([]int, c.n)
		for shard := range got {
			got[shard] = Budget(c.total, shard, c.n)
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%d among %d: %v; want %v", c.total, c.n, got, c.want)
		}
	}
}

func TestShare(t *testing.T) {
	const namespace = "marketing"
	s := NewShare(3)
	if !s.Owns(namespace) {
		t.Error("a replica that leads no shard yet must get ready for all")
	}
	mine := Of(namespace, 3)
	for shard := range 3 {
		if s.Lead(shard); s.Owns(namespace) != (shard == mine) {
			t.Errorf("shard %d owns %s of shard %d: %v", shard, namespace, mine, s.Owns(namespace))
		}
	}
	if s := NewShare(1); !s.Owns(namespace) {
		t.Error("without shards, all namespaces belong to the leader")
	}
}

func TestLeaseName(t *testing.T) {
	for _, c := range []struct {
		shard, n int
		name     string
	}{{0, 1, "m"}, {0, 2, "m-0-of-2"}, {15, 16, "m-15-of-16"}} {
		if got := LeaseName("m", c.shard, c.n); got != c.name {
			t.Errorf("LeaseName: '%s'; want '%s'", got, c.name)
		}
		if shard, n, ok := ParseLeaseName("m", c.name); shard != c.shard || n != c.n || !ok {
			t.Errorf("ParseLeaseName of '%s': %d of %d, %v", c.name, shard, n, ok)
		}
	}
	for _, other := range []string{"", "n", "m-0", "m-0-of-1", "m-2-of-2", "m-00-of-2", "m-0-of-17", "m--1-of-2", "m-0-of-2-of-2"} {
		if shard, n, ok := ParseLeaseName("m", other); ok {
			t.Errorf("'%s' is taken for shard %d of %d", other, shard, n)
		}
	}
}
