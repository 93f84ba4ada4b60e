// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// errStalled is why a context of Watch has ended.
var errStalled = errors.New("nothing was sent or answered for too long")

// Watched is a call that must make progress.
type Watched struct {
	parent   *Watched
	timer    *time.Timer
	patience time.Duration
	progress atomic.Int64 // when there was some, in nanoseconds since 1970
}

// watchKey is the context key of a *Watched.
type watchKey struct{}

// Watch returns a context that ends once there was no progress for as long as patience. A bound on the time of the whole call would
// be too short for a large file on a slow line, and much too long for a service that has gone silent.
func Watch(ctx context.Context, patience time.Duration) (context.Context, *Watched, context.CancelFunc) {
	parent, _ := ctx.Value(watchKey{}).(*Watched)
	w := &Watched{parent: parent, patience: patience}
	w.progress.Store(time.Now().UnixNano())
	ctx, cancel := context.WithCancelCause(context.WithValue(ctx, watchKey{}, w))
	w.timer = time.AfterFunc(patience, func() { cancel(errStalled) })
	return ctx, w, func() { w.timer.Stop(); cancel(nil) }
}

// Progress tells the calls that ctx belongs to that bytes were sent or an answer came.
func Progress(ctx context.Context) {
	w, _ := ctx.Value(watchKey{}).(*Watched)
	if w == nil || ctx.Err() != nil {
		return
	}
	for now := time.Now().UnixNano(); w != nil; w = w.parent {
		w.progress.Store(now)
		w.timer.Reset(w.patience)
	}
}

// LastProgress returns when there was progress, at first when the call began.
func (w *Watched) LastProgress() time.Time { return time.Unix(0, w.progress.Load()) }

// WatchedTransport reports the progress of requests: each read of a body, and the answer.
type WatchedTransport struct{ Next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t WatchedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil && req.Body != http.NoBody {
		sent := *req // a RoundTripper must not change the request
		sent.Body = watchedBody{req.Body, req.Context()}
		req = &sent
	}
	resp, err := t.Next.RoundTrip(req)
	if err == nil {
		Progress(req.Context())
	}
	return resp, err
}

type watchedBody struct {
	io.ReadCloser
	ctx context.Context //nolint:containedctx // it lives as long as the request whose body it is
}

// Read implements io.Reader.
func (b watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		Progress(b.ctx)
	}
	return n, err
}
