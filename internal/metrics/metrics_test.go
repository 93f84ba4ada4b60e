// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestEveryMetricIsRegisteredAndDocumented(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	if err := Register(registry); err != nil {
		t.Fatal(err)
	}
	u := Uploads{}
	u.Called("dropbox", "files/upload", "ok", time.Second)
	u.Sent("dropbox", 10)
	u.Refreshed("dropbox", "TokenExpired")
	u.Dequeued(time.Second)
	u.Retried("RateLimited")
	Content{}.Used(1)
	Content{}.Refused("full")
	Cache{}.Looked(true)
	Cache{}.Cached(1)
	u.QueueChanged(1)
	u.Settled("ok", time.Second)
	Jobs{}.Finished("Succeeded", time.Second, "0123456789abcdef0123456789abcdef")
	Connections{}.Counted("dropbox", "True", 1)
	Shards{}.Led(0, true)
	Pool{}.Rendered(time.Second)
	Renders{}.Painted("shared", 1)
	Pool{}.Counted(1, 2, 3, 4, 5)
	Pool{}.Taken(time.Second)
	Pool{}.Ended("rendered")
	Pool{}.Started(time.Second)
	Pool{}.LaunchFailed("QuotaExceeded")
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	table := Table()
	for _, f := range families {
		if !strings.Contains(table, "`"+f.GetName()+"`") {
			t.Errorf("%s is not documented", f.GetName())
		}
	}
	if len(families) != len(all) {
		t.Errorf("%d metrics are gathered, want %d", len(families), len(all))
	}
}
