// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
)

// freeAddress returns an address at which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// statusOf returns the status with which a probe is answered, 0 if it is not.
func statusOf(t *testing.T, url string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

func TestWaitsForAnAnswer(t *testing.T) {
	for name, down := range map[string]int{"it is starting": http.StatusServiceUnavailable, "it is busy": http.StatusTooManyRequests} {
		t.Run(name, func(t *testing.T) {
			var up atomic.Bool
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if up.Load() {
					w.WriteHeader(http.StatusForbidden) // is an answer
				} else {
					w.WriteHeader(down)
				}
			}))
			defer server.Close()
			probes, done := freeAddress(t), make(chan error, 1)
			go func() { done <- Await(t.Context(), &rest.Config{Host: server.URL}, probes, logr.Discard()) }()
			for deadline := time.Now().Add(30 * time.Second); statusOf(t, "http://"+probes+"/healthz") != http.StatusOK; {
				if time.Now().After(deadline) {
					t.Fatal("the program does not say that it is alive")
				}
			}
			if status := statusOf(t, "http://"+probes+"/readyz"); status != http.StatusServiceUnavailable {
				t.Errorf("readiness: HTTP %d", status)
			}
			select {
			case err := <-done:
				t.Fatalf("it did not wait: %v", err)
			default:
			}
			up.Store(true)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			listener, err := net.Listen("tcp", probes)
			if err != nil {
				t.Fatalf("the address of the probes is not free: %v", err)
			}
			_ = listener.Close()
		})
	}
}

func TestWaitEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Await(ctx, &rest.Config{Host: "http://" + freeAddress(t)}, "0", logr.Discard()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
