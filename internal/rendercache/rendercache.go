// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rendercache keeps what tasks have rendered, so that no namespace renders the same task twice.
//
// A cached render has files of its own in the content store, and a job gets copies of them: neither needs the other to stay. A task is
// cached only if the render pod reports that it would render the same again. Jobs with one task that come at the same time wait for the
// render of the first of them.
package rendercache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"
	utilcache "k8s.io/apimachinery/pkg/util/cache"

	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/render"
)

const (
	// cachedAttempt is the attempt of files from the cache. A pool's attempts have greater numbers.
	cachedAttempt = 1
	// parallelCopies bounds the copies of one render at a time.
	parallelCopies = 8
	// saveTimeout bounds the copying of one render to the cache.
	saveTimeout = 30 * time.Second
	// maxUncached bounds the tasks that are known not to be cached, and uncachedFor is how long they are.
	maxUncached = 4096
	uncachedFor = time.Hour
)

// Store is the part of a content.Store that a Cache uses.
type Store interface {
	Cached(ctx context.Context, key content.CacheKey) (content.Manifest, error)
	TakeCached(ctx context.Context, key content.CacheKey, f file.File, to content.Ref, attempt int) error
	PutCached(ctx context.Context, key content.CacheKey, from content.Ref, m content.Manifest) error
	WalkCached(ctx context.Context, visit func(content.CachedObject)) error
	RemoveCached(ctx context.Context, key content.CacheKey) error
	PutManifest(ctx context.Context, ref content.Ref, m content.Manifest) (content.Manifest, error)
	DeleteAttempt(ctx context.Context, ref content.Ref, attempt int) error
}

// Observer receives the cache's metrics.
type Observer interface {
	// Looked reports a task that was looked up, and whether the cache had it.
	Looked(hit bool)
	// Cached reports the bytes of all cached renders.
	Cached(bytes int64)
}

// Options of a Cache. All but Serves are required.
type Options struct {
	Store Store
	// Serves reports whether the cache looks after a namespace; the renders of others stay. nil is all namespaces.
	Serves func(namespace string) bool
	// Renderer names the renderer. What another one has rendered is not used.
	Renderer string
	// MaxAge is how long a render is used.
	MaxAge time.Duration
	// MaxBytes bounds the cached files of a namespace. The oldest renders give way.
	MaxBytes int64
	// Interval between two walks through the cached renders.
	Interval time.Duration
	// Now returns the time.
	Now func() time.Time
	// Wake is called for a job that need not wait any longer. It must not call the Cache.
	Wake     func(job types.NamespacedName)
	Observer Observer
	Log      logr.Logger
}

// Cache has what tasks have rendered. Make one with New and run Start.
type Cache struct {
	Options
	// uncached has the tasks whose last render was not cached: nobody waits for another one.
	uncached *utilcache.LRUExpireCache

	mu      sync.Mutex
	flights map[content.CacheKey]*flight
	// leads has the task of each job that others may wait for.
	leads map[types.NamespacedName]content.CacheKey
	// shelves by namespace, as of the last walk and since.
	shelves map[string]*shelf
}

// flight is a render under way of a task.
type flight struct {
	leader   types.NamespacedName
	priority int32
	waiting  map[types.NamespacedName]bool
}

// New returns a Cache.
func New(options Options) *Cache {
	return &Cache{
		Options: options, uncached: utilcache.NewLRUExpireCache(maxUncached),
		flights: map[content.CacheKey]*flight{}, leads: map[types.NamespacedName]content.CacheKey{}, shelves: map[string]*shelf{},
	}
}

// Key returns the key of a task: that of all tasks with the same pages, values and output options, whatever their files are called.
func (c *Cache) Key(namespace string, task render.Task) content.CacheKey {
	task.Name = ""
	task.Pages = slices.Clone(task.Pages)
	for i := range task.Pages {
		task.Pages[i].ID = ""
	}
	text, err := json.Marshal(struct {
		Renderer string
		Task     render.Task
	}{c.Renderer, task})
	if err != nil {
		panic(err) // every task can be encoded: it is sent to pods as JSON
	}
	sum := sha256.Sum256(text)
	return content.CacheKey{Namespace: namespace, Task: hex.EncodeToString(sum[:])}
}

// Load gives a render the files of an earlier one of the same task, and returns the manifest that it has from then on. hit is false if
// there is none, or no room for the files.
func (c *Cache) Load(ctx context.Context, key content.CacheKey, task render.Task, totalPages int, to content.Ref) (m content.Manifest, hit bool, err error) {
	m, hit, err = c.load(ctx, key, task, totalPages, to)
	if err == nil {
		c.Observer.Looked(hit)
	}
	return m, hit, err
}

func (c *Cache) load(ctx context.Context, key content.CacheKey, task render.Task, totalPages int, to content.Ref) (content.Manifest, bool, error) {
	cached, err := c.Store.Cached(ctx, key)
	if errors.Is(err, content.ErrNotFound) || err == nil && c.Now().Sub(cached.RenderedTime) >= c.MaxAge {
		return content.Manifest{}, false, nil
	}
	if err != nil {
		return content.Manifest{}, false, fmt.Errorf("reading the render cache: %w", err)
	}
	files := task.Files()
	group, copying := errgroup.WithContext(ctx)
	group.SetLimit(parallelCopies)
	for i, f := range files {
		j := slices.IndexFunc(cached.Files, func(k file.File) bool { return k.ID == f.ID })
		if j < 0 {
			return content.Manifest{}, false, nil
		}
		files[i] = cached.Files[j]
		files[i].Name, files[i].PageID = f.Name, f.PageID
		group.Go(func() error { return c.Store.TakeCached(copying, key, files[i], to, cachedAttempt) })
	}
	if err := group.Wait(); err != nil {
		if ctx.Err() != nil {
			return content.Manifest{}, false, ctx.Err()
		}
		c.Log.V(1).Info("A cached render could not be used; the job is rendered", "namespace", key.Namespace, "error", err.Error())
		return content.Manifest{}, false, c.Store.DeleteAttempt(ctx, to, cachedAttempt)
	}
	m, err := c.Store.PutManifest(ctx, to, content.Manifest{
		Attempt: cachedAttempt, RenderedTime: c.Now(), Files: files, Warnings: cached.Warnings,
		TotalPages: totalPages, RenderedPages: len(task.Pages), FromCache: true,
	})
	return m, err == nil, err
}

// Save keeps a committed render for later jobs with its task. repeatable says that another render would give the same. Save has no error:
// what is not kept is rendered again.
func (c *Cache) Save(ctx context.Context, key content.CacheKey, from content.Ref, m content.Manifest, repeatable bool) {
	size := int64(0)
	for _, f := range m.Files {
		size += f.Size
	}
	if !repeatable || size > c.MaxBytes {
		c.uncached.Add(key, true, uncachedFor)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	if err := c.save(ctx, key, from, m, size); err != nil {
		c.Log.Error(err, "Failed to keep a render in the cache", "namespace", key.Namespace)
		c.uncached.Add(key, true, uncachedFor)
		return
	}
	c.uncached.Remove(key)
}

func (c *Cache) save(ctx context.Context, key content.CacheKey, from content.Ref, m content.Manifest, size int64) error {
	if cached, err := c.Store.Cached(ctx, key); err == nil && c.Now().Sub(cached.RenderedTime) >= c.MaxAge {
		// The first manifest of a task stays: what is too old makes room for this one.
		if err := c.Store.RemoveCached(ctx, key); err != nil {
			return err
		}
	}
	for _, old := range c.makeRoom(key, size) {
		if err := c.Store.RemoveCached(ctx, old); err != nil {
			return err
		}
	}
	err := c.Store.PutCached(ctx, key, from, m)
	c.report()
	return err
}

// makeRoom counts a new entry, and returns the oldest ones that must go for it.
func (c *Cache) makeRoom(key content.CacheKey, size int64) (old []content.CacheKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shelves[key.Namespace] == nil {
		c.shelves[key.Namespace] = &shelf{}
	}
	c.shelves[key.Namespace].put(key, entry{size, c.Now()})
	return c.shelves[key.Namespace].evict(c.MaxBytes, key)
}

func (c *Cache) report() {
	c.mu.Lock()
	defer c.mu.Unlock()
	total := int64(0)
	for _, s := range c.shelves {
		total += s.bytes
	}
	c.Observer.Cached(total)
}

// Lead says that a job is about to render a task. It returns another job whose render of the task is under way: Wake is called for this
// one when that render has ended. wait is false if the job must render by itself: there is no other, the other one is less urgent, or
// their renders would differ.
func (c *Cache) Lead(key content.CacheKey, job types.NamespacedName, priority int32) (other types.NamespacedName, wait bool) {
	if _, known := c.uncached.Get(key); known {
		return types.NamespacedName{}, false
	}
	if before, leads := c.leadsTask(job); leads && before != key {
		c.Ended(job, false) // its spec has changed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.flights[key]
	switch {
	case f == nil:
		c.flights[key] = &flight{job, priority, map[types.NamespacedName]bool{}}
		c.leads[job] = key
		return types.NamespacedName{}, false
	case f.leader == job, f.priority < priority:
		return types.NamespacedName{}, false
	default:
		f.waiting[job] = true
		return f.leader, true
	}
}

// Leads reports whether others may wait for a job.
func (c *Cache) Leads(job types.NamespacedName) bool {
	_, leads := c.leadsTask(job)
	return leads
}

func (c *Cache) leadsTask(job types.NamespacedName) (key content.CacheKey, leads bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key, leads = c.leads[job]
	return key, leads
}

// Ended says that a job does not render any more, and wakes those that wait for it. failed says that it has failed: the others, and those that come in the
// next minute, then render at once.
func (c *Cache) Ended(job types.NamespacedName, failed bool) {
	c.mu.Lock()
	key, leads := c.leads[job]
	var waiting map[types.NamespacedName]bool
	if leads {
		waiting = c.flights[key].waiting
		delete(c.flights, key)
		delete(c.leads, job)
	}
	c.mu.Unlock()
	if leads && failed {
		c.uncached.Add(key, true, time.Minute)
	}
	for other := range waiting {
		c.Wake(other)
	}
}

// Start deletes the renders that are too old, or too many, until ctx ends.
func (c *Cache) Start(ctx context.Context) error {
	ticker := time.NewTicker(c.Interval)
	defer ticker.Stop()
	for {
		if err := c.Sweep(ctx); err != nil && ctx.Err() == nil {
			c.Log.Error(err, "Failed to sweep the render cache")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// NeedLeaderElection says that only the leader sweeps.
func (c *Cache) NeedLeaderElection() bool { return true }

// Sweep looks at all cached renders, and deletes those that are too old, and the oldest of a namespace that has too many bytes.
func (c *Cache) Sweep(ctx context.Context) error {
	found := map[string]*shelf{}
	shelfOf := func(namespace string) *shelf {
		if found[namespace] == nil {
			found[namespace] = &shelf{}
		}
		return found[namespace]
	}
	began := c.Now()
	err := c.Store.WalkCached(ctx, func(o content.CachedObject) {
		if c.Serves != nil && !c.Serves(o.Key.Namespace) {
			return
		}
		s := shelfOf(o.Key.Namespace)
		e := s.entries[o.Key]
		e.size += o.Size
		if o.ModTime.After(e.saved) {
			e.saved = o.ModTime
		}
		s.put(o.Key, e)
	})
	if err != nil {
		return err
	}
	var old []content.CacheKey
	for _, s := range found {
		for key, e := range s.entries {
			if began.Sub(e.saved) >= c.MaxAge {
				old = append(old, key)
				s.drop(key)
			}
		}
		old = append(old, s.evict(c.MaxBytes, content.CacheKey{})...)
	}
	c.mu.Lock()
	for namespace, s := range c.shelves {
		for key, e := range s.entries {
			if !e.saved.Before(began) { // saved while the walk was under way
				shelfOf(namespace).put(key, e)
			}
		}
	}
	c.shelves = found
	c.mu.Unlock()
	for _, key := range old {
		if err := c.Store.RemoveCached(ctx, key); err != nil {
			return err
		}
	}
	c.report()
	if len(old) > 0 {
		c.Log.Info("Swept the render cache", "removed", len(old))
	}
	return nil
}
