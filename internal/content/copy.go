// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"sync/atomic"
	"time"

	"gocloud.dev/blob"
	"golang.org/x/sync/errgroup"
)

// parallelCopies is how many objects Copy copies at a time.
const parallelCopies = 8

// Copied counts what Copy has done.
type Copied struct {
	// Objects and Bytes were copied.
	Objects, Bytes int64
	// Present objects were in the target already, with the same size.
	Present int64
	// Gone objects were deleted from the source meanwhile.
	Gone int64
}

// Copy copies every object of a store to another one, manifests last: a render whose manifest is in the target has its files there. It skips
// what the target has, so that it can go on after an error, and can run again for what was stored meanwhile.
func Copy(ctx context.Context, from, to *Store) (Copied, error) {
	c := &copier{from: from, to: to}
	for _, manifests := range []bool{false, true} {
		if err := c.pass(ctx, manifests); err != nil {
			return c.counts(), err
		}
	}
	return c.counts(), nil
}

type copier struct {
	from, to                      *Store
	objects, bytes, present, gone atomic.Int64
}

func (c *copier) counts() Copied {
	return Copied{Objects: c.objects.Load(), Bytes: c.bytes.Load(), Present: c.present.Load(), Gone: c.gone.Load()}
}

// pass copies all manifests, or everything else.
func (c *copier) pass(ctx context.Context, manifests bool) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelCopies)
	for _, root := range []string{prefix, cachePrefix} {
		err := c.from.each(ctx, root, func(key string, size int64, _ time.Time) error {
			if (path.Base(key) == manifestName) == manifests {
				group.Go(func() error { return c.copy(ctx, key, size) })
			}
			return nil
		})
		if err != nil {
			return cmp.Or(group.Wait(), err) // a copy that fails ends the walk
		}
	}
	return group.Wait()
}

// copy copies one object, unless the target has it.
func (c *copier) copy(ctx context.Context, key string, size int64) error {
	attributes, err := c.to.bucket.Attributes(ctx, key)
	switch err := readError(key, err); {
	case err == nil && attributes.Size == size:
		c.present.Add(1)
		return nil
	case err != nil && !errors.Is(err, ErrNotFound):
		return fmt.Errorf("looking in the target: %w", err)
	}
	r, err := c.from.bucket.NewReader(ctx, key, nil)
	if err := readError(key, err); errors.Is(err, ErrNotFound) {
		c.gone.Add(1)
		return nil
	} else if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	if err := c.to.put(ctx, key, &whole{r, r.Size()}, r.Size(), blob.WriterOptions{ContentType: contentType(key)}); err != nil {
		return err
	}
	c.objects.Add(1)
	c.bytes.Add(r.Size())
	return nil
}

// whole reads an object, and fails if it ends early.
type whole struct {
	r    io.Reader
	left int64
}

// Read implements io.Reader.
func (w *whole) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if w.left -= int64(n); errors.Is(err, io.EOF) && w.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
