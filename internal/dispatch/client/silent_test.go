// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// roundTripper is a function that answers requests.
type roundTripper func(r *http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A manager that hangs keeps its connections open. A pod must have left it when another one leads, after the lease of 15 seconds: else a new job
// waits for the pod.
func TestIdlePodLeavesASilentServer(t *testing.T) {
	const lease = 15 * time.Second
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		began, polls := time.Now(), 0
		c, err := New(Options{URL: "https://dispatch", TokenFile: token, Logger: slog.New(slog.DiscardHandler), Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if polls++; polls == 1 {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			answer := httptest.NewRecorder()
			retire(answer, r)
			return answer.Result(), nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began) - retryPause; polls != 2 || took > lease {
			t.Errorf("the pod asked %d times, again after %s", polls, took)
		}
	})
}
