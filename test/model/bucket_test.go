// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package model

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"
)

// bucket is the content store of all processes.
type bucket struct {
	w *world

	mu      sync.Mutex
	objects map[string]object
	// manifests are all manifests that were ever written, by key.
	manifests map[string][]string
}

type object struct {
	data    []byte
	written time.Time
}

var (
	errNoObject = errors.New("no such object")
	errExists   = errors.New("the object exists")
)

// wipe loses everything, as a volume that is replaced.
func (b *bucket) wipe() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.w.trace("the content store loses %d objects", len(b.objects))
	clear(b.objects)
}

// isFull reports whether the volume is full.
func (b *bucket) isFull() bool {
	at := b.w.elapsed()
	return b.w.plan.fullFor > 0 && at >= b.w.plan.fullFrom && at < b.w.plan.fullFrom+b.w.plan.fullFor
}

// opened has the process of each open bucket, by the host of its URL. The parts of the manager open a bucket by its URL.
var opened sync.Map

type opener struct{}

func init() { blob.DefaultURLMux().RegisterBucket("model", opener{}) }

// OpenBucketURL implements blob.BucketURLOpener.
func (opener) OpenBucketURL(_ context.Context, u *url.URL) (*blob.Bucket, error) {
	p, ok := opened.Load(u.Host)
	if !ok {
		return nil, fmt.Errorf("no process %s", u.Host)
	}
	return blob.NewBucket(&mount{p.(*process)}), nil //nolint:forcetypeassert // only processes are stored
}

// mount is a process's access to the bucket.
type mount struct{ p *process }

var _ driver.Bucket = &mount{}

func (m *mount) access(ctx context.Context, what string) error {
	if err := m.p.reach(ctx, what); err != nil {
		return err
	}
	if m.p.w.happens(m.p.w.plan.storeError, "store error of "+what) {
		return errors.New("input/output error")
	}
	return nil
}

// object returns what the store has at a key.
func (b *bucket) object(key string) (object, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o, ok := b.objects[key]
	if !ok {
		return object{}, errNoObject
	}
	return o, nil
}

// NewRangeReader implements driver.Bucket.
func (m *mount) NewRangeReader(ctx context.Context, key string, offset, length int64, _ *driver.ReaderOptions) (driver.Reader, error) {
	if err := m.access(ctx, "read "+m.p.w.alias(key)); err != nil {
		return nil, err
	}
	o, err := m.p.w.bucket.object(key)
	if err != nil {
		return nil, err
	}
	part := o.data[min(offset, int64(len(o.data))):]
	if length >= 0 {
		part = part[:min(length, int64(len(part)))]
	}
	return reader{bytes.NewReader(part), &driver.ReaderAttributes{ModTime: o.written, Size: int64(len(o.data))}}, nil
}

type reader struct {
	*bytes.Reader
	attributes *driver.ReaderAttributes
}

// Close implements driver.Reader.
func (reader) Close() error { return nil }

// Attributes implements driver.Reader.
func (r reader) Attributes() *driver.ReaderAttributes { return r.attributes }

// As implements driver.Reader.
func (reader) As(any) bool { return false }

// NewTypedWriter implements driver.Bucket.
func (m *mount) NewTypedWriter(ctx context.Context, key, _ string, o *driver.WriterOptions) (driver.Writer, error) {
	return &writer{m: m, ctx: ctx, key: key, ifNotExist: o.IfNotExist}, nil
}

type writer struct {
	bytes.Buffer
	m          *mount
	ctx        context.Context //nolint:containedctx // as in the drivers of gocloud.dev
	key        string
	ifNotExist bool
}

// Close implements driver.Writer: it commits the object.
func (w *writer) Close() error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	world := w.m.p.w
	b, what := world.bucket, "store "+world.alias(w.key)
	return world.effect(w.ctx, w.m.p, what, func() error {
		switch {
		case b.isFull():
			return &fs.PathError{Op: "write", Path: w.key, Err: syscall.ENOSPC}
		case world.happens(world.plan.storeError, "store error of "+what):
			return errors.New("input/output error")
		}
		return nil
	}, func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if _, exists := b.objects[w.key]; exists && w.ifNotExist {
			return errExists
		}
		b.objects[w.key] = object{bytes.Clone(w.Bytes()), time.Now()}
		if strings.HasPrefix(w.key, "jobs/") && strings.HasSuffix(w.key, "/manifest.json") {
			b.manifests[w.key] = append(b.manifests[w.key], w.String())
		}
		return nil
	})
}

// Delete implements driver.Bucket.
func (m *mount) Delete(ctx context.Context, key string, _ *driver.DeleteOptions) error {
	b := m.p.w.bucket
	return m.p.w.effect(ctx, m.p, "unstore "+m.p.w.alias(key), nil, func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if _, ok := b.objects[key]; !ok {
			return errNoObject
		}
		delete(b.objects, key)
		return nil
	})
}

// ListPaged implements driver.Bucket.
func (m *mount) ListPaged(ctx context.Context, o *driver.ListOptions) (*driver.ListPage, error) {
	if err := m.access(ctx, "list "+m.p.w.alias(o.Prefix)); err != nil {
		return nil, err
	}
	b := m.p.w.bucket
	b.mu.Lock()
	defer b.mu.Unlock()
	page := &driver.ListPage{}
	for _, key := range slices.Sorted(maps.Keys(b.objects)) {
		rest, ok := strings.CutPrefix(key, o.Prefix)
		if !ok {
			continue
		}
		if folder, _, nested := strings.Cut(rest, o.Delimiter); o.Delimiter != "" && nested {
			name := o.Prefix + folder + o.Delimiter
			if n := len(page.Objects); n == 0 || page.Objects[n-1].Key != name {
				page.Objects = append(page.Objects, &driver.ListObject{Key: name, IsDir: true})
			}
			continue
		}
		page.Objects = append(page.Objects, &driver.ListObject{Key: key, ModTime: b.objects[key].written, Size: int64(len(b.objects[key].data))})
	}
	return page, nil
}

// Attributes implements driver.Bucket.
func (m *mount) Attributes(ctx context.Context, key string) (*driver.Attributes, error) {
	if err := m.access(ctx, "stat "+m.p.w.alias(key)); err != nil {
		return nil, err
	}
	o, err := m.p.w.bucket.object(key)
	if err != nil {
		return nil, err
	}
	return &driver.Attributes{ModTime: o.written, CreateTime: o.written, Size: int64(len(o.data))}, nil
}

// ErrorCode implements driver.Bucket.
func (*mount) ErrorCode(err error) gcerrors.ErrorCode {
	switch {
	case errors.Is(err, errNoObject):
		return gcerrors.NotFound
	case errors.Is(err, errExists):
		return gcerrors.FailedPrecondition
	default:
		return gcerrors.Unknown
	}
}

// As implements driver.Bucket.
func (*mount) As(any) bool { return false }

// ErrorAs implements driver.Bucket.
func (*mount) ErrorAs(err error, target any) bool { return errors.As(err, target) }

// Copy implements driver.Bucket.
func (m *mount) Copy(ctx context.Context, to, from string, _ *driver.CopyOptions) error {
	w := m.p.w
	what := "copy " + w.alias(from) + " to " + w.alias(to)
	return w.effect(ctx, m.p, what, func() error {
		switch {
		case w.bucket.isFull():
			return &fs.PathError{Op: "copy", Path: to, Err: syscall.ENOSPC}
		case w.happens(w.plan.storeError, "store error of "+what):
			return errors.New("input/output error")
		}
		return nil
	}, func() error {
		o, err := w.bucket.object(from)
		if err != nil {
			return err
		}
		w.bucket.mu.Lock()
		defer w.bucket.mu.Unlock()
		w.bucket.objects[to] = object{o.data, time.Now()}
		return nil
	})
}

// SignedURL implements driver.Bucket.
func (*mount) SignedURL(context.Context, string, *driver.SignedURLOptions) (string, error) {
	return "", errors.ErrUnsupported
}

// Close implements driver.Bucket.
func (*mount) Close() error { return nil }

var _ io.Closer = &writer{}
