// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package model

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// lagging is a process's cache. Each kind follows the API server with a lag of its own, so two kinds may show different moments.
type lagging struct {
	p *process

	mu        sync.Mutex
	informers map[string]*informer
	indexes   map[string]map[string]client.IndexerFunc
}

var _ cache.Cache = &lagging{}

// informer is the cache of one kind.
type informer struct {
	cache *lagging
	kind  string
	// synced is closed once the first list is there.
	synced chan struct{}
	// delivering is held while handlers are called. It is a channel, so that virtual time goes on while somebody waits for it.
	delivering chan struct{}

	mu       sync.Mutex
	objects  map[types.NamespacedName]client.Object
	handlers []toolscache.ResourceEventHandler
}

func newCache(p *process) *lagging {
	return &lagging{p: p, informers: map[string]*informer{}, indexes: map[string]map[string]client.IndexerFunc{}}
}

// informer returns the informer of a kind, which it starts.
func (c *lagging) informer(kind string) *informer {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.informers[kind]
	if i == nil {
		i = &informer{
			cache: c, kind: kind, synced: make(chan struct{}), delivering: make(chan struct{}, 1),
			objects: map[types.NamespacedName]client.Object{},
		}
		c.informers[kind] = i
		c.p.tasks.Go(func() { i.run(c.p.ctx) })
	}
	return i
}

// Get implements client.Reader.
func (c *lagging) Get(ctx context.Context, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	kind := c.p.w.api.kindOf(o)
	i := c.informer(kind)
	if err := i.wait(ctx); err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	found := i.objects[key]
	if found == nil {
		return apierrors.NewNotFound(resource(kind), key.Name)
	}
	return into(found, o)
}

// List implements client.Reader.
func (c *lagging) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	i := c.informer(c.p.w.api.kindOf(list))
	if err := i.wait(ctx); err != nil {
		return err
	}
	i.mu.Lock()
	objects := make([]client.Object, 0, len(i.objects))
	for _, o := range i.objects {
		objects = append(objects, clone(o))
	}
	i.mu.Unlock()
	return fill(list, objects, func(field string, o client.Object) []string {
		c.mu.Lock()
		index := c.indexes[i.kind][field]
		c.mu.Unlock()
		if index == nil {
			return nil
		}
		return index(o)
	}, options)
}

// IndexField implements client.FieldIndexer.
func (c *lagging) IndexField(_ context.Context, o client.Object, field string, extract client.IndexerFunc) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	kind := c.p.w.api.kindOf(o)
	if c.indexes[kind] == nil {
		c.indexes[kind] = map[string]client.IndexerFunc{}
	}
	c.indexes[kind][field] = extract
	return nil
}

// GetInformer implements cache.Informers.
func (c *lagging) GetInformer(ctx context.Context, o client.Object, _ ...cache.InformerGetOption) (cache.Informer, error) {
	i := c.informer(c.p.w.api.kindOf(o))
	return i, i.wait(ctx)
}

// GetInformerForKind implements cache.Informers.
func (c *lagging) GetInformerForKind(ctx context.Context, gvk schema.GroupVersionKind, _ ...cache.InformerGetOption) (cache.Informer, error) {
	i := c.informer(gvk.Kind)
	return i, i.wait(ctx)
}

// RemoveInformer implements cache.Informers.
func (*lagging) RemoveInformer(context.Context, client.Object) error { return nil }

// Start implements cache.Informers.
func (*lagging) Start(ctx context.Context) error { <-ctx.Done(); return nil }

// WaitForCacheSync implements cache.Informers.
func (c *lagging) WaitForCacheSync(ctx context.Context) bool { return ctx.Err() == nil }

// run follows the API server.
func (i *informer) run(ctx context.Context) {
	w := i.cache.p.w
	changed := make(chan struct{}, 1)
	next := i.list(ctx, changed, true)
	defer w.api.unwatch(i.kind, changed)
	planned := w.plan.eventMode
	for ctx.Err() == nil {
		c, ok := w.api.changeAt(i.kind, next)
		if !ok {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		what := i.cache.p.String() + " " + i.kind
		mode := ""
		if i.kind == w.plan.eventKind && next == w.plan.eventAt {
			mode, planned = planned, ""
		}
		switch {
		case mode == gap, w.happens(w.plan.gaps, "gap "+what):
			w.trace("%s: the watch of %ss breaks", i.cache.p, i.kind)
			if sleep(ctx, w.between("length of gap", time.Second, 20*time.Second)) != nil {
				return
			}
			next = i.list(ctx, changed, false)
			continue
		case mode == stall, w.happens(w.plan.stalls, "stall "+what):
			w.trace("%s: the watch of %ss stalls", i.cache.p, i.kind)
			if sleep(ctx, w.between("length of stall", 500*time.Millisecond, 8*time.Second)) != nil {
				return
			}
		default:
			if lag := time.Until(c.at.Add(w.between("lag "+what, time.Millisecond, 15*time.Millisecond))); lag > 0 && sleep(ctx, lag) != nil {
				return
			}
		}
		next++
		i.show(ctx, c.event, c.object, false)
	}
}

// list replaces what the cache shows by what the API server has, and returns the number of changes so far.
func (i *informer) list(ctx context.Context, changed chan struct{}, first bool) int {
	w := i.cache.p.w
	if sleep(ctx, w.between("list "+i.kind, 5*time.Millisecond, 50*time.Millisecond)) != nil {
		return 0
	}
	objects, next := w.api.snapshot(i.kind, changed)
	i.mu.Lock()
	gone := make([]client.Object, 0)
	for key, o := range i.objects {
		if objects[key] == nil {
			gone = append(gone, o)
		}
	}
	i.mu.Unlock()
	for _, o := range gone {
		i.show(ctx, watch.Deleted, o, false)
	}
	for _, o := range sorted(objects) {
		i.show(ctx, watch.Added, o, first)
	}
	if first {
		close(i.synced)
	}
	return next
}

// show applies a change and tells the handlers.
func (i *informer) show(ctx context.Context, event watch.EventType, o client.Object, initial bool) {
	if !i.lock(ctx) {
		return
	}
	defer i.unlock()
	key := client.ObjectKeyFromObject(o)
	i.mu.Lock()
	before := i.objects[key]
	if event == watch.Deleted {
		delete(i.objects, key)
	} else {
		i.objects[key] = o
	}
	handlers := i.handlers
	i.mu.Unlock()
	for _, h := range handlers {
		switch {
		case event == watch.Deleted:
			h.OnDelete(o)
		case before == nil:
			h.OnAdd(o, initial)
		case before.GetResourceVersion() != o.GetResourceVersion():
			h.OnUpdate(before, o)
		}
	}
}

func (i *informer) lock(ctx context.Context) bool {
	select {
	case i.delivering <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (i *informer) unlock() { <-i.delivering }

// wait waits for the first list.
func (i *informer) wait(ctx context.Context) error {
	select {
	case <-i.synced:
		return nil
	case <-i.cache.p.ctx.Done():
		return errKilled
	case <-ctx.Done():
		return ctx.Err()
	}
}

// AddEventHandlerWithOptions implements cache.Informer.
func (i *informer) AddEventHandlerWithOptions(h toolscache.ResourceEventHandler, _ toolscache.HandlerOptions) (
	toolscache.ResourceEventHandlerRegistration, error,
) {
	if !i.lock(i.cache.p.ctx) {
		return nil, errKilled
	}
	defer i.unlock()
	i.mu.Lock()
	i.handlers = append(i.handlers, h)
	objects := sorted(i.objects)
	i.mu.Unlock()
	for _, o := range objects {
		h.OnAdd(o, true)
	}
	return i, nil
}

// AddEventHandler implements cache.Informer.
func (i *informer) AddEventHandler(h toolscache.ResourceEventHandler) (toolscache.ResourceEventHandlerRegistration, error) {
	return i.AddEventHandlerWithOptions(h, toolscache.HandlerOptions{})
}

// AddEventHandlerWithResyncPeriod implements cache.Informer.
func (i *informer) AddEventHandlerWithResyncPeriod(h toolscache.ResourceEventHandler, _ time.Duration) (
	toolscache.ResourceEventHandlerRegistration, error,
) {
	return i.AddEventHandlerWithOptions(h, toolscache.HandlerOptions{})
}

// RemoveEventHandler implements cache.Informer.
func (*informer) RemoveEventHandler(toolscache.ResourceEventHandlerRegistration) error { return nil }

// AddIndexers implements cache.Informer.
func (*informer) AddIndexers(toolscache.Indexers) error { return nil }

// HasSynced implements cache.Informer and its registrations.
func (i *informer) HasSynced() bool {
	select {
	case <-i.synced:
		return true
	default:
		return false
	}
}

// HasSyncedChecker implements cache.Informer and its registrations.
func (i *informer) HasSyncedChecker() toolscache.DoneChecker { return i }

// Name implements toolscache.DoneChecker.
func (i *informer) Name() string { return i.kind }

// Done implements toolscache.DoneChecker.
func (i *informer) Done() <-chan struct{} { return i.synced }

// IsStopped implements cache.Informer.
func (i *informer) IsStopped() bool { return i.cache.p.ctx.Err() != nil }
