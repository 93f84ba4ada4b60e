// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package uploader

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"

	"github.com/platen-dev/platen/internal/storage"
)

// burst is how many bytes a bounded connection may send at once.
const burst = 64 << 10

// limit bounds the bytes that all uploads of a StorageConnection send.
type limit struct {
	*rate.Limiter
	connection types.NamespacedName
	// users is how many destinations share it.
	users int
}

// acquireLimit returns the limit of a connection for one more user. The lock must be held.
func (u *Uploader) acquireLimit(connection types.NamespacedName) *limit {
	l := u.limits[connection]
	if l == nil {
		l = &limit{Limiter: rate.NewLimiter(rate.Inf, burst), connection: connection}
		u.limits[connection] = l
	}
	l.users++
	return l
}

// releaseLimit forgets a limit with its last user. The lock must be held.
func (u *Uploader) releaseLimit(l *limit) {
	if l.users--; l.users == 0 {
		delete(u.limits, l.connection)
	}
}

// set changes the limit, also for files that are being read; 0 is no bound.
func (l *limit) set(bytesPerSecond int64) {
	if bytesPerSecond == 0 {
		l.SetLimit(rate.Inf)
	} else {
		l.SetLimit(rate.Limit(bytesPerSecond))
	}
}

type opener = func(ctx context.Context, offset, length int64) (io.ReadCloser, error)

// throttle bounds how fast a file is read, and ends reads for calls that are superseded. It keeps in broken why the file can never be read
// whole: it is lost, or its bytes are not those that were rendered.
func (l *limit) throttle(open opener, broken *atomic.Pointer[storage.Error]) opener {
	return func(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
		c, _ := ctx.Value(callKey{}).(*call)
		if c != nil && c.superseded.Load() {
			return nil, storage.ErrSuperseded
		}
		r, err := open(ctx, offset, length)
		if err != nil {
			for _, known := range []*storage.Error{storage.ErrContentLost, storage.ErrContentChanged} {
				if errors.Is(err, known) {
					broken.Store(known)
				}
			}
			return nil, err
		}
		return &throttledReader{ctx: ctx, ReadCloser: r, limit: l.Limiter, call: c, left: length, broken: broken}, nil
	}
}

type throttledReader struct {
	ctx context.Context //nolint:containedctx // it lives as long as the file is open
	io.ReadCloser
	limit *rate.Limiter
	// call that reads the file; nil outside of one.
	call *call
	// left is how many bytes are to come. A file that ends before is broken.
	left   int64
	broken *atomic.Pointer[storage.Error]
}

// Read implements io.Reader.
func (t *throttledReader) Read(p []byte) (int, error) {
	if t.call != nil && t.call.superseded.Load() {
		return 0, storage.ErrSuperseded
	}
	if t.limit.Limit() == rate.Inf {
		return t.read(p)
	}
	n, err := t.read(p[:min(len(p), burst)])
	if wait := t.limit.WaitN(t.ctx, n); wait != nil {
		return n, wait
	}
	return n, err
}

func (t *throttledReader) read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if t.left -= int64(n); errors.Is(err, io.EOF) && t.left > 0 {
		t.broken.Store(storage.ErrContentChanged)
		err = storage.ErrContentChanged
	}
	return n, err
}
