// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"strings"
	"testing"
	"time"

	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/shard"
)

func TestShardsNeedWhatTheyNeed(t *testing.T) {
	for flags, word := range map[string]string{
		"--shards=0":  "--shards: 0 must be at least 1",
		"--shards=17": "--shards: 17 must be at most 16",
		"--shards=2":  "set --content-store to a bucket",
		"--shards=2 --content-store=s3://renders":                        "",
		"--shards=2 --content-store=s3://renders --leader-elect=false":   "--leader-elect",
		"--shards=3 --content-store=s3://renders --max-pods=2":           "--max-pods: 2 must be at least 1 for each of 3 shards",
		"--shards=1 --content-store=file:///var/lib/platen --max-pods=1": "",
	} {
		var o options
		set := flag.NewFlagSet("manager", flag.ContinueOnError)
		o.register(set)
		if err := set.Parse(strings.Fields(flags)); err != nil {
			t.Fatal(err)
		}
		err := o.check()
		if (err == nil) != (word == "") || err != nil && !strings.Contains(err.Error(), word) {
			t.Errorf("%s: error %v, want one with '%s'", flags, err, word)
		}
	}
}

func TestElsewhere(t *testing.T) {
	o := &options{shards: 3, namespace: "platen-system", dispatchName: "platen-dispatch", dispatchPort: 9443, maxPodsTotal: 7}
	own := o.ownShare(pool.New(pool.Options{Now: time.Now}))
	const namespace = "marketing"
	number := shard.Of(namespace, 3)
	own.lead(number)
	if url := own.elsewhere(namespace); url != "" || !own.serves(namespace) {
		t.Errorf("a namespace of the manager's own shard is at '%s'; serves %v", url, own.serves(namespace))
	}
	own = o.ownShare(pool.New(pool.Options{Now: time.Now}))
	own.lead((number + 1) % 3)
	want := "https://platen-dispatch-" + string(rune('0'+number)) + ".platen-system.svc:9443"
	if url := own.elsewhere(namespace); url != want || own.serves(namespace) {
		t.Errorf("a namespace of shard %d is at '%s', want '%s'; serves %v", number, url, want, own.serves(namespace))
	}
}

func TestWhoLeadsBeside(t *testing.T) {
	for _, c := range []struct {
		shards, own int
		label       string
		beside      bool
	}{
		{1, 0, "", false},
		{1, 0, "0", false},
		{1, 0, "1", false},
		{2, 0, "", false}, // a leader of all
		{2, 0, "0", false},
		{2, 0, "1", true},
		{2, 0, "2", false}, // a leader of one of three
		{2, 0, "01", false},
	} {
		own := (&options{shards: c.shards, maxPodsTotal: 10}).ownShare(pool.New(pool.Options{Now: time.Now}))
		own.lead(c.own)
		if got := own.leadsBeside(c.label); got != c.beside {
			t.Errorf("shard %d of %d: a pod with the label '%s' leads beside it: %v, want %v", c.own, c.shards, c.label, got, c.beside)
		}
	}
}
