// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package uploader is the upload engine: it uploads the files of jobs to their storage accounts with the fewest calls, writes no file
// twice, and ends by the deadline.
//
//	Ensure ─► destination: a connection of a job ─► account: the files of all jobs that go to it
//	                 │ next                                  │ next
//	                 ▼                                       ▼
//	               open                           stage, commit, expire ─► settled | again: the file, or the whole account, waits
//
// A destination and an account are state machines (state.go): next decides from their state and the time alone, and returns the
// actions to begin. Start calls next of the machines that are due and begins their actions. The result of each call of a provider changes their
// state (calls.go).
//
// All state is in memory. After a crash the controller of the jobs calls Ensure again and marks the files as doubtful, so that the
// providers look before they write.
package uploader

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"k8s.io/apimachinery/pkg/types"

	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/tracing"
)

// Upload is what one revision of a job uploads.
type Upload struct {
	Job types.NamespacedName
	UID types.UID
	// Revision of what is uploaded and where. Another one supersedes it.
	Revision string
	// Deadline is when a file that is not uploaded yet fails. It has no effect until the upload is Complete.
	Deadline    time.Time
	Connections []Connection
	// Complete says that no file will follow and that all files may be committed. Until then the engine only stages files, where the
	// provider can.
	Complete bool
	// Trace is the traceparent of the job's span; empty if it is not traced.
	Trace string
}

// Connection is the part of an Upload that goes to one storage account.
type Connection struct {
	// Name of the StorageConnection.
	Name string
	// Version names what Open opens and the folder of the Files. With another one, an upload that has not succeeded begins anew.
	Version string
	// Open returns the provider. The engine calls it until it succeeds.
	Open func(ctx context.Context) (storage.Provider, error)
	// UID of the StorageConnection, and ReadyCount, which is how often it had become Ready when the upload was planned. The engine returns them in the
	// Result.
	UID        types.UID
	ReadyCount int64
	// BytesPerSecond bounds what all uploads of this StorageConnection send together; 0 is no bound.
	BytesPerSecond int64
	// Files in page order.
	Files []storage.File
}

// Result is how far a Connection has come.
type Result struct {
	// Name of the StorageConnection.
	Name string
	// UID and ReadyCount are those of the first Ensure: a failure says nothing of what the StorageConnection has become since.
	UID        types.UID
	ReadyCount int64
	// Planned is when Ensure was first called with the whole upload.
	Planned time.Time
	// Files that are uploaded or have failed, in page order.
	Files []storage.Result
	// Err is why the first file that failed did so, nil if none has.
	Err error
	// Done is true when nothing more will happen.
	Done bool
}

// Observer receives the engine's metrics.
type Observer interface {
	// Dequeued reports how long a file waited before its commit began.
	Dequeued(waited time.Duration)
	// Settled reports that a file will not be tried again, how long after it was ready, and the result: ok, or the reason of the error.
	Settled(result string, took time.Duration)
	// Retried reports that a file will be tried again, and the reason of the error.
	Retried(reason string)
	// QueueChanged reports the change in the number of unfinished files.
	QueueChanged(delta int)
}

// Options of an Uploader. All but Tracer are required.
type Options struct {
	// Parallel is how many calls of providers are in flight at a time.
	Parallel int
	// Retry paces retries.
	Retry storage.RetryPolicy
	// Changed is called whenever a Connection of a job is done.
	Changed func(types.NamespacedName)
	// Observer receives metrics.
	Observer Observer
	// Tracer makes a span of each Connection of a traced job, and of each call of a provider for it. Default none.
	Tracer *tracing.Tracer
}

// Uploader runs uploads. Make one with New and run Start.
type Uploader struct {
	Options
	// slots bound the calls in flight.
	slots *slots
	// wake has a value when a machine has become due.
	wake  chan struct{}
	calls sync.WaitGroup

	mu       sync.Mutex
	uploads  map[types.NamespacedName][]*destination
	accounts map[string]*account
	limits   map[types.NamespacedName]*limit
	// due is when to call next of each machine; the zero time is at once. A machine that waits for a call is not in it.
	due map[machine]time.Time
	// changed lists the jobs to report through Changed once the lock is released.
	changed []types.NamespacedName
}

// New returns an Uploader that makes no call until Start.
func New(options Options) *Uploader {
	return &Uploader{
		Options:  options,
		slots:    newSlots(options.Parallel),
		wake:     make(chan struct{}, 1),
		uploads:  map[types.NamespacedName][]*destination{},
		accounts: map[string]*account{},
		limits:   map[types.NamespacedName]*limit{},
		due:      map[machine]time.Time{},
	}
}

// unlock releases the lock and then reports the jobs that have changed.
func (u *Uploader) unlock() {
	changed := u.changed
	u.changed = nil
	u.mu.Unlock()
	for _, job := range changed {
		u.Changed(job)
	}
}

// Start runs uploads until ctx ends, and returns when the last call has ended.
func (u *Uploader) Start(ctx context.Context) error {
	defer u.calls.Wait()
	for ctx.Err() == nil {
		var due <-chan time.Time
		if at := u.decide(ctx, time.Now()); !at.IsZero() {
			due = time.After(time.Until(at))
		}
		select {
		case <-u.wake:
		case <-due:
		case <-ctx.Done():
		}
	}
	return nil
}

// NeedLeaderElection says that only the leader uploads.
func (u *Uploader) NeedLeaderElection() bool { return true }

// decide begins the next actions of all machines that are due. It returns when the next one is due, zero for none.
func (u *Uploader) decide(ctx context.Context, now time.Time) (next time.Time) {
	u.mu.Lock()
	defer u.unlock()
	for m, at := range u.due {
		if !at.After(now) {
			var actions []action
			actions, at = m.next(now)
			for _, a := range actions {
				u.begin(ctx, a)
			}
			u.due[m] = at
			if at.IsZero() {
				delete(u.due, m)
			}
			if a, ok := m.(*account); ok {
				a.dropSettled() // stopped uploads leave theirs
				if a.isIdle(now) {
					delete(u.accounts, a.key)
				}
			}
		}
		next = earlier(next, at)
	}
	return next
}

// touch makes a machine due at once, because its state has changed. The lock must be held.
func (u *Uploader) touch(m machine) {
	u.due[m] = time.Time{}
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// Ensure begins an upload, or adds the files that are new since the last call. It first stops an upload of another revision of the
// job, one through a Connection that the new one has not, and one through a Connection of another Version that has not succeeded; only files of it that
// are in flight may still be uploaded.
func (u *Uploader) Ensure(up Upload) {
	u.mu.Lock()
	defer u.unlock()
	known, begun, whole := u.uploads[up.Job], false, false
	if len(known) > 0 {
		switch first := known[0].upload; {
		case first.UID != up.UID || first.Revision != up.Revision:
			u.stop(up.Job)
			known = nil
		case first.Complete && !up.Complete:
			return
		default:
			begun, whole = true, first.Complete
		}
	}
	for _, d := range known {
		if !slices.ContainsFunc(up.Connections, func(c Connection) bool { return c.Name == d.Name }) {
			u.end(d)
		}
	}
	destinations := make([]*destination, 0, len(up.Connections))
	for _, c := range up.Connections {
		d := (*destination)(nil)
		if at := slices.IndexFunc(known, func(d *destination) bool { return d.Name == c.Name }); at >= 0 {
			d = known[at]
		}
		doubtful := false
		switch {
		case d == nil:
			// One that has been stopped may have uploaded files to the same account.
			d, doubtful = u.destination(c, &up), begun
		case whole && d.isDone() && (d.Version == c.Version || d.result().Err == nil):
			destinations = append(destinations, d)
			continue
		case d.Version != c.Version:
			u.end(d)
			d, doubtful = u.destination(c, &up), true
		case whole:
			d.limit.set(c.BytesPerSecond)
			destinations = append(destinations, d)
			continue
		}
		destinations = append(destinations, d)
		c.UID, c.ReadyCount = d.UID, d.ReadyCount
		d.Connection, d.upload = c, &up
		if up.Complete {
			d.planned = time.Now()
		}
		d.limit.set(c.BytesPerSecond)
		u.add(d, doubtful)
		if d.access == closed {
			d.attempts, d.notBefore = 0, time.Time{}
			u.touch(d)
		}
		u.report(d)
	}
	u.uploads[up.Job] = destinations
}

// destination returns the destination of a connection that is new to an upload. The lock must be held.
func (u *Uploader) destination(c Connection, up *Upload) *destination {
	d := &destination{Connection: c, limit: u.acquireLimit(types.NamespacedName{Namespace: up.Job.Namespace, Name: c.Name})}
	if up.Trace != "" {
		d.span = u.Tracer.Begin(up.Trace, "upload", attribute.String("platen.connection", c.Name))
	}
	return d
}

// add adds an item for each new file of a destination. A file whose content has changed, because its page was rendered again, replaces the
// older one, and one that the complete render does not have goes. The lock must be held.
func (u *Uploader) add(d *destination, doubtful bool) {
	now := time.Now()
	if d.upload.Complete {
		d.items = slices.DeleteFunc(d.items, func(it *item) bool {
			gone := !slices.ContainsFunc(d.Files, func(f storage.File) bool { return f.ID == it.file.ID })
			if gone {
				u.abandon(it)
			}
			return gone
		})
	}
	for _, f := range d.Files {
		at := slices.IndexFunc(d.items, func(it *item) bool { return it.file.ID == f.ID })
		if at >= 0 && d.items[at].file.ContentHash == f.ContentHash && d.items[at].file.Path == f.Path {
			continue
		}
		fresh := &item{destination: d, since: now}
		f.Open, f.Superseded, f.Doubtful = d.limit.throttle(f.Open, &fresh.broken), fresh.superseded.Load, f.Doubtful || doubtful
		fresh.file, fresh.asked = &f, f
		u.Observer.QueueChanged(1)
		if at < 0 {
			d.items = append(d.items, fresh)
		} else {
			u.abandon(d.items[at])
			d.items[at] = fresh
		}
		if d.access == opened {
			a := u.account(d.key)
			a.items = append(a.items, fresh)
		}
	}
	if d.upload.Complete {
		for _, it := range d.items {
			it.since = now
		}
	}
	if d.access == opened {
		u.touch(u.account(d.key))
	}
}

// account returns the account of a key. The lock must be held.
func (u *Uploader) account(key string) *account {
	a := u.accounts[key]
	if a == nil {
		a = &account{key: key}
		u.accounts[key] = a
	}
	return a
}

// Results returns how far the upload of one revision of a job has come; ok is false if it is not Complete or not known.
func (u *Uploader) Results(job types.NamespacedName, uid types.UID, revision string) (results []Result, ok bool) {
	u.mu.Lock()
	defer u.unlock()
	for _, d := range u.uploads[job] {
		if d.upload.UID != uid || d.upload.Revision != revision || !d.upload.Complete {
			return nil, false
		}
		results = append(results, d.result())
	}
	return results, results != nil
}

// Jobs returns the jobs with an upload through a connection.
func (u *Uploader) Jobs(connection types.NamespacedName) (jobs []types.NamespacedName) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for job, destinations := range u.uploads {
		if job.Namespace == connection.Namespace && slices.ContainsFunc(destinations, func(d *destination) bool { return d.Name == connection.Name }) {
			jobs = append(jobs, job)
		}
	}
	return jobs
}

// Len returns how many jobs, accounts and connections the engine remembers. It is 0 when nothing is left to do.
func (u *Uploader) Len() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.uploads) + len(u.accounts) + len(u.limits) + len(u.due)
}

// Forget stops a job's upload and drops what is known of it.
func (u *Uploader) Forget(job types.NamespacedName) {
	u.mu.Lock()
	defer u.unlock()
	u.stop(job)
}

// ForgetOthers stops a job's upload, and drops what is known of it, unless it is of this UID and revision.
func (u *Uploader) ForgetOthers(job types.NamespacedName, uid types.UID, revision string) {
	u.mu.Lock()
	defer u.unlock()
	if d := u.uploads[job]; len(d) > 0 && (d[0].upload.UID != uid || d[0].upload.Revision != revision) {
		u.stop(job)
	}
}

// stop ends a job's upload. The lock must be held.
func (u *Uploader) stop(job types.NamespacedName) {
	for _, d := range u.uploads[job] {
		u.end(d)
	}
	delete(u.uploads, job)
}

// end ends the upload to a destination. The lock must be held.
func (u *Uploader) end(d *destination) {
	if d.access == opened {
		u.touch(u.account(d.key))
	}
	d.access = stopped
	d.endSpan(string(storage.ReasonSuperseded))
	for _, it := range d.items {
		u.abandon(it)
	}
	delete(u.due, d)
	u.releaseLimit(d.limit)
}

// abandon ends an item that is no longer wanted. An item in flight ends with its call. The lock must be held.
func (u *Uploader) abandon(it *item) {
	it.superseded.Store(true)
	if !it.inFlight() {
		u.settle(it, storage.Result{Err: storage.ErrSuperseded})
		return
	}
	in := it.stage
	it.stage = abandoned
	if it.call != nil {
		it.call.supersede(in)
	}
}

// settle ends an item; a settled item stays as it is. The lock must be held.
func (u *Uploader) settle(it *item, result storage.Result) {
	if it.stage == settled {
		return
	}
	result.ID = it.file.ID
	it.stage, it.result = settled, result
	u.Observer.QueueChanged(-1)
	u.Observer.Settled(storage.Outcome(result.Err), time.Since(it.since))
	u.report(it.destination)
}

// report notes that a destination is done, for the job's controller. The lock must be held.
func (u *Uploader) report(d *destination) {
	if d.upload.Complete && d.isDone() {
		d.endSpan("")
		u.changed = append(u.changed, d.upload.Job)
	}
}
