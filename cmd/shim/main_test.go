// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// A time that is not ahead would end every request, or delete every job before it is fetched.
func TestTimesArePositive(t *testing.T) {
	good := options{wait: time.Minute, ttl: time.Hour, signedURLTTL: time.Hour}
	if err := good.check(); err != nil {
		t.Error(err)
	}
	for flag, change := range map[string]func(*options){
		"wait": func(o *options) { o.wait = 0 }, "job-ttl": func(o *options) { o.ttl = 0 }, "signed-url-ttl": func(o *options) { o.signedURLTTL = 0 },
	} {
		o := good
		change(&o)
		if err := o.check(); err == nil || err.Error() != "--"+flag+": 0s must be at least 1s" {
			t.Errorf("%s: %v", flag, err)
		}
	}
}

// The shim has jobs in memory, as many as the cluster has: a container that gets more memory uses it, and collects garbage no sooner than it must.
func TestMemoryFollowsTheContainersLimit(t *testing.T) {
	for _, c := range []struct {
		container, own string
		want           int64
	}{
		{container: "536870912", want: 200 << 20}, {container: "4294967296", want: 3784 << 20}, {container: "134217728", want: 134217728 / 3},
		{container: ""}, {container: "x"}, {container: "0"}, {container: "-1"}, {container: "536870912", own: "300MiB"}, {container: "536870912", own: "off"},
	} {
		if got := memoryLimit(c.container, c.own); got != c.want {
			t.Errorf("%+v: got %d", c, got)
		}
	}
}

// TestAContentServerThatHangs answers nothing, as one whose node is lost.
func TestAContentServerThatHangs(t *testing.T) {
	hang := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer s.Close()
	defer close(hang)
	transport := contentTransport("")
	defer transport.CloseIdleConnections()
	if patience := transport.ResponseHeaderTimeout; patience <= 0 || patience > time.Minute {
		t.Fatalf("callers wait for %s", patience)
	}
	transport.ResponseHeaderTimeout = 10 * time.Millisecond
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(request)
	if err == nil {
		_ = resp.Body.Close()
	}
	if late := net.Error(nil); !errors.As(err, &late) || !late.Timeout() {
		t.Errorf("got %v", err)
	}
}
