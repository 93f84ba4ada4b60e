// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package uploader is the upload engine: it brings the files of jobs to their storage accounts with the fewest calls, writes none
// of them twice and ends in time.
//
//	Ensure ─► a lane for each account: what waits while a commit is in flight goes with the next
//	              │ large files, and those of a render that goes on, are staged meanwhile
//	              ▼
//	          Provider ─► stands | try again: the file, or the whole account, waits | failed
//
// Everything in here is memory: after a crash the jobs' controller asks again for what it wants, with files that are doubtful, and
// the providers look before they write.
package uploader

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/storage"
)

// Upload is what one generation of a job uploads.
type Upload struct {
	Job        types.NamespacedName
	UID        types.UID
	Generation int64
	// Deadline after which what is not uploaded has failed; not read before the upload is Complete.
	Deadline    time.Time
	Connections []Connection
	// Complete says that no file will follow and that all may stand. Until then files are only staged, where that can be done.
	Complete bool
}

// Connection is the part of an Upload that goes to one storage account.
type Connection struct {
	// Name of the StorageConnection.
	Name string
	// Open returns the provider. It is called until it succeeds.
	Open func(ctx context.Context) (storage.Provider, error)
	// Limit bounds the bytes that all uploads of this StorageConnection send; nil is no bound.
	Limit *rate.Limiter
	// Files in page order.
	Files []File
}

// File is one page's file.
type File struct {
	file.ID
	storage.File
}

// Result is how far a Connection has come.
type Result struct {
	// Name of the StorageConnection.
	Name string
	// Pages that are settled, in page order.
	Pages []Page
	// Err is why the first page that failed did so, nil while none has.
	Err error
	// Done is true when nothing more will happen.
	Done bool
}

// Page is one file that stands or has failed.
type Page struct {
	file.ID
	storage.Result
}

// Observer is told how the engine fares, for metrics.
type Observer interface {
	// Waited tells how long a file has waited for its account before its commit began.
	Waited(d time.Duration)
	// Retried tells that a file is tried again, and the reason of the error.
	Retried(reason string)
	// Queued tells by how many the files that are not settled have grown or shrunk.
	Queued(delta int)
}

// Options of an Uploader. All are required.
type Options struct {
	// Parallel is how many calls of providers are in flight at a time.
	Parallel int
	// Retry paces retries.
	Retry storage.RetryPolicy
	// Changed is called whenever a Connection of a job is done.
	Changed func(types.NamespacedName)
	// Observer is told how the engine fares.
	Observer Observer
}

// Uploader runs uploads. Make one with New and let Start own its goroutines.
type Uploader struct {
	Options
	// slots bound the calls in flight. Whoever waits for one is served in order, so no account starves.
	slots chan struct{}

	mu      sync.Mutex
	ctx     context.Context //nolint:containedctx // the lifetime of the uploads, which outlive the call that begins them
	running sync.WaitGroup
	uploads map[types.NamespacedName]*upload
	lanes   map[string]*lane
	// news are the jobs of which Changed is told when the lock is given back.
	news []types.NamespacedName
}

// unlock gives the lock back and then tells the news.
func (u *Uploader) unlock() {
	news := u.news
	u.news = nil
	u.mu.Unlock()
	for _, job := range news {
		u.Changed(job)
	}
}

// upload is what is known of one Upload.
type upload struct {
	Upload
	connections []*connection
	// stopped is closed when the upload is not wanted any more.
	stopped chan struct{}
}

// sameConnections tells whether an Upload goes where this one does.
func (e *upload) sameConnections(up Upload) bool {
	return slices.EqualFunc(e.connections, up.Connections, func(a *connection, b Connection) bool { return a.Name == b.Name })
}

// connection is how far one Connection of an upload has come.
type connection struct {
	Connection
	upload *upload
	// provider and the lane of its account, nil until the connection was opened.
	provider storage.Provider
	lane     *lane
	// opening is true while a goroutine looks for the lane.
	opening bool
	items   []*item
	err     error // of Open
}

// New returns an Uploader that does nothing until Start.
func New(options Options) *Uploader {
	return &Uploader{
		Options: options,
		slots:   make(chan struct{}, options.Parallel),
		uploads: map[types.NamespacedName]*upload{},
		lanes:   map[string]*lane{},
	}
}

// Start lets uploads run until ctx ends, and returns when all of them have ended.
func (u *Uploader) Start(ctx context.Context) error {
	u.mu.Lock()
	u.ctx = ctx
	for _, up := range u.uploads {
		for _, c := range up.connections {
			u.advance(c)
		}
	}
	u.unlock()
	<-ctx.Done()
	u.running.Wait()
	return nil
}

// NeedLeaderElection says that only the leader uploads.
func (u *Uploader) NeedLeaderElection() bool { return true }

// Ensure begins an upload, or goes on with the files that have come since. An upload of another generation of the job is stopped
// first; of its files at most those end that are in flight.
func (u *Uploader) Ensure(up Upload) {
	u.mu.Lock()
	defer u.unlock()
	entry := u.uploads[up.Job]
	switch {
	case entry == nil:
	case entry.UID != up.UID || entry.Generation != up.Generation:
		u.stop(entry)
		entry = nil
	case !entry.sameConnections(up):
		// What has been uploaded by now is looked for, not written again.
		u.stop(entry)
		entry = nil
		for _, c := range up.Connections {
			for i := range c.Files {
				c.Files[i].Doubtful = true
			}
		}
	}
	if entry == nil {
		entry = &upload{stopped: make(chan struct{})}
		u.uploads[up.Job] = entry
	}
	if entry.Complete {
		return
	}
	entry.Upload = up
	for i, c := range up.Connections {
		if i == len(entry.connections) {
			entry.connections = append(entry.connections, &connection{upload: entry})
		}
		entry.connections[i].Connection = c
		u.offer(entry.connections[i])
		u.advance(entry.connections[i])
	}
}

// offer makes items of a connection's files that have none yet. A file whose content has changed, since its page was rendered again,
// takes the place of the older one. The lock must be held.
func (u *Uploader) offer(c *connection) {
	for _, f := range c.Files {
		at := slices.IndexFunc(c.items, func(it *item) bool { return it.id == f.ID })
		if at >= 0 && c.items[at].file.ContentHash == f.ContentHash && c.items[at].file.Path == f.Path {
			continue
		}
		fresh := &item{id: f.ID, file: new(f.File), connection: c, arrived: time.Now()}
		fresh.file.Open = throttled(c.Limit, f.Open)
		u.Observer.Queued(1)
		if at < 0 {
			c.items = append(c.items, fresh)
		} else {
			u.settle(c.items[at], storage.Result{Err: errSuperseded})
			c.items[at] = fresh
		}
	}
}

// advance brings a connection's items into the lane of its account, once that is known. The lock must be held.
func (u *Uploader) advance(c *connection) {
	switch {
	case u.ctx == nil || u.ctx.Err() != nil:
	case c.lane != nil:
		u.join(c)
	case !c.opening:
		c.opening = true
		u.running.Go(func() { u.open(c) })
	}
}

// open finds the lane of a connection. While it fails for a reason that may pass, it is tried again until the deadline.
func (u *Uploader) open(c *connection) {
	for attempts := 1; ; attempts++ {
		provider, err := c.Open(u.ctx)
		u.mu.Lock()
		problem := storage.AsError(err)
		pause := max(u.Retry.Delay(attempts), problem.RetryAfter)
		switch up := c.upload; {
		case err == nil:
			c.provider, c.lane, c.opening = provider, u.lane(provider.Key()), false
			u.join(c)
			u.unlock()
			return
		case !up.Complete, problem.Class == storage.Stop, time.Now().Add(pause).After(up.Deadline):
			c.opening = false
			if up.Complete {
				c.err = err
				u.settleAll(c, err)
				u.report(c)
			}
			u.unlock()
			return
		}
		u.unlock()
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-c.upload.stopped:
			timer.Stop()
			return
		case <-u.ctx.Done():
			timer.Stop()
			return
		}
	}
}

// join hands a connection's items to its lane. The lock must be held.
func (u *Uploader) join(c *connection) {
	for _, it := range c.items {
		if it.settled {
			continue
		}
		if c.upload.Complete && !it.wanted {
			it.wanted, it.arrived, it.deadline = true, time.Now(), c.upload.Deadline
		}
		if it.wanted && it.refused != nil {
			u.settle(it, storage.Result{Err: it.refused})
			continue
		}
		if !it.joined {
			it.joined = true
			c.lane.items = append(c.lane.items, it)
		}
	}
	c.lane.start()
	u.report(c)
}

// report tells the job's controller when a connection is done. The lock must be held.
func (u *Uploader) report(c *connection) {
	if c.upload.Complete && c.done() && u.uploads[c.upload.Job] == c.upload {
		u.news = append(u.news, c.upload.Job)
	}
}

// done tells whether nothing more will happen to a connection.
func (c *connection) done() bool {
	return !c.opening && !slices.ContainsFunc(c.items, func(it *item) bool { return !it.settled })
}

// Results tells how far the upload of one generation of a job has come; ok is false when it has not begun or is not complete.
func (u *Uploader) Results(job types.NamespacedName, uid types.UID, generation int64) (results []Result, ok bool) {
	u.mu.Lock()
	defer u.unlock()
	entry := u.uploads[job]
	if entry == nil || entry.UID != uid || entry.Generation != generation || !entry.Complete {
		return nil, false
	}
	for _, c := range entry.connections {
		result := Result{Name: c.Name, Err: c.err, Done: (c.lane != nil || c.err != nil) && c.done()}
		for _, it := range c.items {
			if !it.settled {
				continue
			}
			result.Pages = append(result.Pages, Page{ID: it.id, Result: it.result})
			if result.Err == nil {
				result.Err = it.result.Err
			}
		}
		results = append(results, result)
	}
	return results, true
}

// Forget stops a job's upload and drops what is known of it.
func (u *Uploader) Forget(job types.NamespacedName) {
	u.mu.Lock()
	defer u.unlock()
	if entry := u.uploads[job]; entry != nil {
		u.stop(entry)
		delete(u.uploads, job)
	}
}

// stop ends an upload. The lock must be held.
func (u *Uploader) stop(entry *upload) {
	close(entry.stopped)
	for _, c := range entry.connections {
		u.settleAll(c, errSuperseded)
		if c.lane != nil {
			c.lane.nudge()
		}
	}
}

// settle ends an item; what is settled stays so. The lock must be held.
func (u *Uploader) settle(it *item, result storage.Result) {
	if !it.settled {
		it.settled, it.result = true, result
		u.Observer.Queued(-1)
	}
}

func (u *Uploader) settleAll(c *connection, err error) {
	for _, it := range c.items {
		u.settle(it, storage.Result{Err: err})
	}
}
