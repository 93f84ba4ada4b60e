// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/platen-dev/platen/internal/dispatch/wire"
)

// pod is a client, and the server that it asks first.
type pod struct {
	*Client
	t    *testing.T
	pool *x509.CertPool
	// answer of the first server, and how often it was asked.
	answer http.HandlerFunc
	asked  atomic.Int32
}

func newPod(t *testing.T) *pod {
	t.Helper()
	p := &pod{t: t, pool: x509.NewCertPool()}
	first := p.serve(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		p.answer(w, r)
	})
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	p.Client, err = New(Options{
		URL: first.URL, TokenFile: token, Logger: slog.New(slog.DiscardHandler),
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: p.pool, MinVersion: tls.VersionTLS13}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *pod) serve(handler http.HandlerFunc) *httptest.Server {
	p.t.Helper()
	s := httptest.NewTLSServer(handler)
	p.t.Cleanup(s.Close)
	p.pool.AddCert(s.Certificate())
	return s
}

// moved answers that another server has the pod's namespace.
func moved(url string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(wire.ServerHeader, url)
		w.WriteHeader(http.StatusMisdirectedRequest)
	}
}

func retire(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) }

func (p *pod) run() {
	p.t.Helper()
	if err := p.Run(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
}

func TestPodGoesToItsServer(t *testing.T) {
	p := newPod(t)
	polls := 0
	second := p.serve(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("%s has the token '%s'", r.URL, r.Header.Get("Authorization"))
		}
		if polls++; polls == 3 {
			retire(w, r)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	p.answer = moved(second.URL)
	p.run()
	if polls != 3 || p.asked.Load() != 1 {
		t.Errorf("the pod has polled its server %d times, and the first one %d times; want 3 and 1", polls, p.asked.Load())
	}
}

// The number of shards may change: the server that a pod was sent to is away then, or sends it elsewhere.
func TestPodFollowsItsNamespace(t *testing.T) {
	p := newPod(t)
	gone := p.serve(nil)
	gone.Close()
	third := p.serve(retire)
	second := p.serve(moved(third.URL))
	p.answer = func(w http.ResponseWriter, r *http.Request) {
		if p.asked.Load() == 1 {
			moved(gone.URL)(w, r)
			return
		}
		moved(second.URL)(w, r)
	}
	p.run()
	if p.asked.Load() != 2 {
		t.Errorf("the pod has asked the first server %d times; want 2", p.asked.Load())
	}
}

func TestPodGoesToNoServerWithoutTLS(t *testing.T) {
	p := newPod(t)
	plain := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the pod sends %s", r.URL) }))
	t.Cleanup(plain.Close)
	p.answer = func(w http.ResponseWriter, r *http.Request) {
		if p.asked.Load() > 2 {
			retire(w, r)
			return
		}
		moved(plain.URL)(w, r)
	}
	p.run()
}
