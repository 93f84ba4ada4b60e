// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package uploader

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/platen-dev/platen/internal/failpoint"
	"github.com/platen-dev/platen/internal/storage"
)

// begin begins an action. The lock must be held.
func (u *Uploader) begin(ctx context.Context, a action) {
	switch a.kind {
	case openProvider:
		a.destination.access = opening
		a.destination.attempts++
		u.calls.Go(func() { u.open(ctx, a.destination) })
	case stageFiles:
		files := send(a.items, staging)
		u.calls.Go(func() { u.stage(ctx, a.account, a.items, files) })
	case commitFiles:
		a.account.committing = true
		u.calls.Go(func() { u.commit(ctx, a.account) })
	case expireFiles:
		for _, it := range a.items {
			u.settle(it, storage.Result{Err: cmp.Or(it.lastErr, error(errDeadline))})
		}
		a.account.dropSettled()
	}
}

// send marks items as in flight and returns their files.
func send(items []*item, in stage) []*storage.File {
	files := make([]*storage.File, 0, len(items))
	for _, it := range items {
		it.stage = in
		files = append(files, it.file)
	}
	return files
}

// waitForSlot waits until a call may begin. It returns false if ctx ends first.
func (u *Uploader) waitForSlot(ctx context.Context) bool {
	select {
	case u.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// open opens a destination's provider and hands its items to the account. After a failure it sets the next
// attempt, or ends the items if no attempt can help in time.
func (u *Uploader) open(ctx context.Context, d *destination) {
	provider, err := d.Open(ctx)
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
func (u *Uploader) stage(ctx context.Context, a *account, items []*item, files []*storage.File) {
	if !u.waitForSlot(ctx) {
		return
	}
	errs := items[0].destination.stager().Stage(ctx, files)
	<-u.slots

	u.mu.Lock()
	defer u.unlock()
	for i, it := range items {
		switch {
		case it.stage == abandoned:
			u.settle(it, storage.Result{Err: errSuperseded})
		case errs[i] == nil:
			it.stage = staged
		default:
			it.stage = waiting
			problem := *storage.AsError(errs[i])
			problem.Doubt = false // nobody sees staged bytes
			u.retry(ctx, a, it, &problem)
		}
	}
	a.dropSettled()
	u.touch(a)
}

// commit uploads files to their paths. It chooses them once it has a slot, so that it includes files that arrive until then.
func (u *Uploader) commit(ctx context.Context, a *account) {
	if !u.waitForSlot(ctx) {
		return
	}
	defer func() { <-u.slots }()
	u.mu.Lock()
	now := time.Now()
	items := a.committable(now)
	for _, it := range items {
		u.Observer.Dequeued(now.Sub(it.since))
	}
	files := send(items, committing)
	u.unlock()

	var results []storage.Result
	if len(files) > 0 {
		failpoint.Hit("upload.before-send")
		results = items[0].destination.provider.Upload(ctx, files)
	}

	u.mu.Lock()
	defer u.unlock()
	a.committing = false
	for i, it := range items {
		switch {
		case it.stage == abandoned:
			u.settle(it, storage.Result{Err: errSuperseded})
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
		a.hold(now, u.Retry, problem.RetryAfter)
		until = a.heldUntil
	} else {
		it.notBefore = until
	}
	if it.isWanted() && until.After(it.destination.upload.Deadline) {
		u.settle(it, storage.Result{Err: problem})
	}
}

// hold makes the account wait after a failure that concerns all of it. Failures during one hold count once.
func (a *account) hold(now time.Time, policy storage.RetryPolicy, retryAfter time.Duration) {
	if now.After(a.heldUntil) {
		a.failures++
		a.heldUntil = now.Add(policy.Delay(a.failures))
	}
	if requested := now.Add(retryAfter); requested.After(a.heldUntil) {
		a.heldUntil = requested
	}
}

// dropSettled removes the items that have ended.
func (a *account) dropSettled() {
	a.items = slices.DeleteFunc(a.items, func(it *item) bool { return it.stage == settled })
}
