// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package uploader

import (
	"context"
	"io"

	"golang.org/x/time/rate"
)

// Burst is how many bytes a bounded connection may send at once; its limiter allows at least as many.
const Burst = 64 << 10

type opener = func(ctx context.Context, offset, length int64) (io.ReadCloser, error)

// throttled bounds what is read of a file. The bound is shared by all files that one limiter is made for.
func throttled(limit *rate.Limiter, open opener) opener {
	if limit == nil {
		return open
	}
	return func(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
		r, err := open(ctx, offset, length)
		if err != nil {
			return nil, err
		}
		return &throttledReader{ctx, r, limit}, nil
	}
}

type throttledReader struct {
	ctx context.Context //nolint:containedctx // it lives as long as the file is open
	io.ReadCloser
	limit *rate.Limiter
}

// Read implements io.Reader.
func (t *throttledReader) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p[:min(len(p), Burst)])
	if wait := t.limit.WaitN(t.ctx, n); wait != nil {
		return n, wait
	}
	return n, err
}
