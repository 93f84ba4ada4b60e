// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package uploader

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/platen-dev/platen/internal/failpoint"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/tracing"
)

const (
	// openTimeout bounds how long a provider may take to open.
	openTimeout = 30 * time.Second
	// patience is how long a call may make no progress. Providers give up earlier, request by request.
	patience = 90 * time.Second
	// overtime is how long after the deadline of its files a call may go on: a file is rather finished than sent again.
	overtime = time.Minute
	// maxAhead bounds a call for files whose render goes on, which have no deadline yet.
	maxAhead = time.Hour
	// returnTimeout is how long a provider may take to return after its context has ended. Then the engine goes on without it.
	returnTimeout = 5 * time.Second
)

// call is a call of a provider. The Uploader's lock guards it.
type call struct {
	account *account
	items   []*item
	// files of the items, in the same order. They are the provider's until the call has returned.
	files []*storage.File
	// cancel ends the call at once.
	cancel context.CancelCauseFunc
	// superseded is true once no item is wanted any more: no byte of a file is read from then on, so that no file is committed.
	superseded atomic.Bool
}

// callKey is the context key of a *call.
type callKey struct{}

// begin begins an action. The lock must be held.
func (u *Uploader) begin(ctx context.Context, a action) {
	switch a.kind {
	case openProvider:
		a.destination.access = opening
		a.destination.attempts++
		span := a.destination.span
		u.calls.Go(func() { u.open(ctx, a.destination, span) })
	case stageFiles:
		a.account.take(a.items[0].namespace())
		c := newCall(a.account, a.items, staging)
		u.calls.Go(func() { u.stage(ctx, c) })
	case commitFiles:
		a.account.committing = true
		u.calls.Go(func() { u.commit(ctx, a.account, a.items[0].destination) })
	case expireFiles:
		for _, it := range a.items {
			u.settle(it, storage.Result{Err: a.account.whyExpired(it, time.Now())})
		}
		a.account.dropSettled()
	}
}

// newCall marks items as in flight. The lock must be held.
func newCall(a *account, items []*item, in stage) *call {
	c := &call{account: a, items: items}
	for _, it := range items {
		it.stage, it.call = in, c
		c.files = append(c.files, it.file)
	}
	return c
}

// supersede ends the call if none of its items is wanted any more. The bytes of a stage are seen by nobody, so it ends at once. A commit
// ends unless all its bytes were read: then it may take effect after a cancellation and undo what comes next, so it is waited for. The
// lock must be held.
func (c *call) supersede(in stage) {
	if slices.ContainsFunc(c.items, func(it *item) bool { return it.stage != abandoned }) {
		return
	}
	c.superseded.Store(true)
	if in == staging && c.cancel != nil {
		c.cancel(storage.ErrSuperseded)
	}
}

// deadline returns when the call ends at the latest.
func (c *call) deadline() time.Time {
	latest := time.Now()
	for _, it := range c.items {
		until := time.Now().Add(maxAhead)
		if it.isWanted() {
			until = it.destination.upload.Deadline
		}
		if until.After(latest) {
			latest = until
		}
	}
	return latest.Add(overtime)
}

// run makes a call with a slot and the name of its span, and returns what do returns. ok is false if do did not return in time. It then goes on by
// itself: the account makes no other call until it has returned, and its files are no longer the engine's.
func run[T any](ctx context.Context, u *Uploader, c *call, name string, with *slot, do func(ctx context.Context, files []*storage.File) T) (results T, ok bool) {
	ctx, cancelDeadline := context.WithDeadline(ctx, c.deadline())
	defer cancelDeadline()
	ctx, cancel := context.WithCancelCause(context.WithValue(ctx, callKey{}, c))
	defer cancel(nil)
	ctx, span := c.trace(ctx, u, name)
	defer span.End("")
	ctx, watched, stop := storage.Watch(ctx, patience)
	defer stop()
	u.mu.Lock()
	c.cancel = cancel
	if c.superseded.Load() { // while it waited for its slot
		cancel(storage.ErrSuperseded)
	}
	u.mu.Unlock()
	u.slots.begin(with, watched)
	done := make(chan T, 1)
	go func() { done <- do(ctx, c.files) }()
	select {
	case results := <-done:
		return results, true
	case <-ctx.Done():
	}
	tooLate := time.NewTimer(returnTimeout)
	defer tooLate.Stop()
	select {
	case results := <-done:
		return results, true
	case <-tooLate.C:
	}
	u.mu.Lock()
	c.account.stuck++
	for _, it := range c.items {
		it.file = it.fresh()
	}
	u.mu.Unlock()
	go func() { // ends with do, which may take for ever
		<-done
		u.mu.Lock()
		defer u.unlock()
		c.account.stuck--
		u.touch(c.account)
	}()
	return results, false
}

// trace begins the span of a call, below that of the first destination that is traced.
func (c *call) trace(ctx context.Context, u *Uploader, name string) (context.Context, *tracing.Live) {
	if u.Tracer == nil {
		return ctx, nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	var below []*tracing.Live
	for _, it := range c.items {
		if span := it.destination.span; span != nil && !slices.Contains(below, span) {
			below = append(below, span)
		}
	}
	return u.Tracer.Start(ctx, name, below...)
}

// open opens a destination's provider and hands its items to the account. After a failure it sets the next
// attempt, or ends the items if no attempt can help in time.
func (u *Uploader) open(ctx context.Context, d *destination, below *tracing.Live) {
	bounded, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	bounded, span := u.Tracer.Start(bounded, "open", below)
	provider, err := d.Open(bounded)
	span.End("")
	u.mu.Lock()
	defer u.unlock()
	if d.access != opening || ctx.Err() != nil {
		return
	}
	if err == nil {
		d.access, d.provider, d.key = opened, provider, provider.Key()
		a := u.account(d.key)
		a.items = append(a.items, d.items...)
		u.touch(a)
		u.report(d)
		return
	}
	problem := storage.AsError(err)
	d.notBefore = time.Now().Add(max(u.Retry.Delay(d.attempts), problem.RetryAfter))
	if d.upload.Complete && (problem.Class == storage.Stop || d.notBefore.After(d.upload.Deadline)) {
		d.access, d.err = failed, err
		for _, it := range d.items {
			u.settle(it, storage.Result{Err: err})
		}
		return
	}
	d.access = closed
	u.touch(d)
}

// stage sends the bytes of items to the service.
func (u *Uploader) stage(ctx context.Context, c *call) {
	d := c.items[0].destination
	with := u.slots.acquire(ctx, d.upload.Job.Namespace, c.account.key)
	if with == nil {
		return
	}
	errs, ok := run(ctx, u, c, "stage", with, d.stager().Stage)
	u.slots.release(with)
	if !ok {
		errs = slices.Repeat([]error{errStuck}, len(c.items))
	}

	u.mu.Lock()
	defer u.unlock()
	for i, it := range c.items {
		it.call = nil
		switch {
		case it.stage == abandoned:
			u.settle(it, storage.Result{Err: storage.ErrSuperseded})
		case errs[i] == nil:
			it.stage = staged
		default:
			it.stage = waiting
			problem := *storage.AsError(errs[i])
			problem.Doubt = false // nobody sees staged bytes
			u.retry(ctx, c.account, it, &problem)
		}
	}
	c.account.dropSettled()
	u.touch(c.account)
}

// commit uploads files to their paths. It chooses them once it has a slot, so that it includes files that arrive until then. first is
// the destination of the first file that waits now, whose namespace has the slot.
func (u *Uploader) commit(ctx context.Context, a *account, first *destination) {
	with := u.slots.acquire(ctx, first.upload.Job.Namespace, a.key)
	if with == nil {
		return
	}
	defer u.slots.release(with)
	u.mu.Lock()
	now := time.Now()
	items := a.committable(now)
	for _, it := range items {
		u.Observer.Dequeued(now.Sub(it.since))
	}
	if len(items) > 0 {
		a.take(items[0].namespace())
	}
	c := newCall(a, items, committing)
	u.unlock()

	var results []storage.Result
	if len(items) > 0 {
		failpoint.Hit("upload.before-send")
		var ok bool
		if results, ok = run(ctx, u, c, "commit", with, items[0].destination.provider.Upload); !ok {
			results = slices.Repeat([]storage.Result{{Err: errStuck}}, len(items))
		}
	}

	u.mu.Lock()
	defer u.unlock()
	a.committing = false
	for i, it := range items {
		it.call = nil
		switch {
		case it.stage == abandoned:
			u.settle(it, storage.Result{Err: storage.ErrSuperseded})
		case results[i].Err == nil:
			a.failures = 0
			u.settle(it, results[i])
		default:
			// A provider that has lost what was staged forgets its session.
			it.stage = waiting
			if it.file.Session != nil {
				it.stage = staged
			}
			u.retry(ctx, a, it, storage.AsError(results[i].Err))
		}
	}
	a.dropSettled()
	u.touch(a)
}

// retry sets when an item is tried again after a failure, or ends it. A failure of the account holds or ends all its items. The
// lock must be held.
func (u *Uploader) retry(ctx context.Context, a *account, it *item, problem *storage.Error) {
	if ctx.Err() != nil {
		return
	}
	if broken := it.broken.Load(); broken != nil { // whatever the provider has made of it
		u.settle(it, storage.Result{Err: broken})
		if broken == storage.ErrContentLost {
			u.changed = append(u.changed, it.destination.upload.Job) // the job is rendered again, and need not wait for the others
		}
		return
	}
	if problem.Class == storage.Stop {
		u.settle(it, storage.Result{Err: problem})
		for _, other := range a.items {
			if problem.Account && !other.inFlight() && other.destination.provider == it.destination.provider {
				u.settle(other, storage.Result{Err: problem})
			}
		}
		return
	}
	now := time.Now()
	it.attempts++
	it.lastErr = problem
	it.file.Doubtful = it.file.Doubtful || problem.Doubt
	u.Observer.Retried(string(problem.Reason))
	until := now.Add(max(problem.RetryAfter, u.Retry.Delay(it.attempts)))
	if problem.Account {
		a.hold(now, u.Retry, problem)
		until = a.heldUntil
	} else {
		it.notBefore = until
	}
	if it.isWanted() && until.After(it.destination.upload.Deadline) {
		u.settle(it, storage.Result{Err: problem})
	}
}

// hold makes the account wait after a failure that concerns all of it. Failures during one hold count once.
func (a *account) hold(now time.Time, policy storage.RetryPolicy, problem *storage.Error) {
	if now.After(a.heldUntil) {
		a.failures++
		a.heldUntil, a.heldFor = now.Add(policy.Delay(a.failures)), problem
	}
	if requested := now.Add(problem.RetryAfter); requested.After(a.heldUntil) {
		a.heldUntil, a.heldFor = requested, problem
	}
}

// dropSettled removes the items that have ended.
func (a *account) dropSettled() {
	a.items = slices.DeleteFunc(a.items, func(it *item) bool { return it.stage == settled })
	if len(a.items) == 0 {
		a.turns = nil
	}
}
