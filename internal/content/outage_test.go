// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"
)

// brokenBucket is a bucket that answers with errors.
type brokenBucket struct {
	driver.Bucket
	write, read error
}

func (b *brokenBucket) NewTypedWriter(context.Context, string, string, *driver.WriterOptions) (driver.Writer, error) {
	return &brokenWriter{err: b.write}, nil
}

func (b *brokenBucket) NewRangeReader(context.Context, string, int64, int64, *driver.ReaderOptions) (driver.Reader, error) {
	return nil, b.read
}

func (*brokenBucket) Close() error { return nil }

func (*brokenBucket) ErrorCode(err error) gcerrors.ErrorCode {
	if errors.Is(err, ErrNotFound) {
		return gcerrors.NotFound
	}
	return gcerrors.Unknown
}

type brokenWriter struct {
	bytes.Buffer
	err error
}

func (w *brokenWriter) Close() error { return w.err }

func TestOutagesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket, metrics := &brokenBucket{}, &observed{}
		store := newStore(blob.NewBucket(bucket), Options{Observer: metrics})
		defer func() { _ = store.Close() }()
		ref := Ref{Namespace: "ns", JobUID: "uid", Revision: "1"}
		put := func(ctx context.Context) error {
			_, err := store.Put(ctx, ref, 1, page(1), strings.NewReader("1234"), 100)
			return err
		}
		expect := func(when string, err error, unavailable bool) {
			t.Helper()
			if errors.Is(err, ErrUnavailable) != unavailable {
				t.Errorf("%s: %v", when, err)
			}
		}
		broken := errors.New("read-only file system")

		bucket.write = broken
		expect("the first failure", put(t.Context()), false)
		time.Sleep(patience / 2)
		bucket.write = nil
		expect("a success", put(t.Context()), false)
		bucket.write = broken
		expect("the first failure after it", put(t.Context()), false)
		time.Sleep(patience / 2)
		expect("a failure soon after", put(t.Context()), false)
		expect("new work soon after", store.Check("ns"), false)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		time.Sleep(patience / 2)
		expect("a caller that has gone", put(gone), false)
		expect("a failure later", put(t.Context()), true)
		expect("new work then", store.Check("ns"), true)
		if !slices.Equal(metrics.refused, []string{"unavailable"}) {
			t.Errorf("metrics %v", metrics.refused)
		}
		time.Sleep(fullFor)
		expect("new work that tries again", store.Check("ns"), false)
		expect("its failure", put(t.Context()), true)

		bucket.read = ErrNotFound
		if _, err := store.Manifest(t.Context(), ref); !errors.Is(err, ErrNotFound) {
			t.Errorf("reads while no write works: %v", err)
		}
		bucket.read = broken
		_, err := store.Manifest(t.Context(), ref)
		expect("the first read that fails", err, false)
		time.Sleep(patience)
		_, err = store.Manifest(t.Context(), ref)
		expect("a read later", err, true)

		bucket.write = nil
		expect("a write that works again", put(t.Context()), false)
		expect("new work after that", store.Check("ns"), false)
	})
}
