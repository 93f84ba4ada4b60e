// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package model

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// link carries the requests of a pod to the process that leads.
type link struct{ pod *pod }

// RoundTrip implements http.RoundTripper.
func (l *link) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, w := r.Context(), l.pod.node.w
	what := fmt.Sprintf("%s %s %s", l.pod.name, r.Method, w.alias(r.URL.Path))
	if err := l.travel(ctx, what); err != nil {
		return nil, err
	}
	p := w.leading()
	if p == nil {
		return nil, errors.New("connect: connection refused")
	}
	if w.happens(w.plan.loseRequest, "lose request "+what) {
		w.trace("%s: lost", what)
		return nil, errLost
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	serving, stop := context.WithCancel(p.ctx)
	defer stop()
	defer context.AfterFunc(ctx, stop)()
	inner := r.Clone(serving)
	inner.Header.Set("Authorization", "Bearer "+string(l.pod.uid))
	inner.RequestURI, inner.ContentLength = r.URL.RequestURI(), int64(len(body))
	inner.Body = io.NopCloser(&arriving{Reader: bytes.NewReader(body), ctx: serving, late: l.late(what, r)})
	answer := &answer{header: http.Header{}, status: http.StatusOK}
	done := make(chan struct{})
	p.tasks.Go(func() {
		defer close(done)
		p.dispatch.ServeHTTP(answer, inner)
	})
	select {
	case <-done:
	case <-serving.Done():
		// The handler goes on by itself, as after a broken connection.
		return nil, errLost
	}
	if w.happens(w.plan.loseReply, "lose reply "+what) {
		w.trace("%s: the reply is lost", what)
		return nil, errLost
	}
	if err := l.travel(ctx, "answer to "+what); err != nil {
		return nil, err
	}
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/heartbeat") || answer.status >= 300 {
		w.trace("%s: %d", what, answer.status)
	}
	if p.isDead() {
		return nil, errLost
	}
	return &http.Response{
		StatusCode: answer.status, Header: answer.header, Body: io.NopCloser(&answer.body), Request: r, ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}

// travel takes the time of the network. It hangs while the network is broken.
func (l *link) travel(ctx context.Context, what string) error {
	if err := sleep(ctx, l.pod.node.w.between("travel "+what, 200*time.Microsecond, 4*time.Millisecond)); err != nil {
		return err
	}
	for left := l.pod.isCut(); left > 0; left = l.pod.isCut() {
		if err := sleep(ctx, left); err != nil {
			return err
		}
	}
	return nil
}

// late returns how long the body of a request is on its way.
func (l *link) late(what string, r *http.Request) time.Duration {
	w := l.pod.node.w
	if r.Method != http.MethodPut || !w.happens(w.plan.latePage, "late "+what) {
		return 0
	}
	d := w.between("late "+what, time.Second, 40*time.Second)
	w.trace("%s: the body takes %s", what, d)
	if w.happens(0.5, "cut during "+what) {
		// Nothing else comes through meanwhile: the manager gives the job to another pod before the body arrives.
		l.pod.ended(endedPartition)
		l.pod.cut(d)
	}
	return d
}

// arriving is a body that arrives after a while.
type arriving struct {
	io.Reader
	ctx  context.Context //nolint:containedctx // that of the request
	late time.Duration
}

// Read implements io.Reader.
func (a *arriving) Read(data []byte) (int, error) {
	if a.late > 0 {
		if err := sleep(a.ctx, a.late); err != nil {
			return 0, io.ErrUnexpectedEOF
		}
		a.late = 0
	}
	return a.Reader.Read(data)
}

// answer is a http.ResponseWriter.
type answer struct {
	header http.Header
	status int
	wrote  bool
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if !a.wrote {
		a.status, a.wrote = status, true
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(data []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(data)
}
