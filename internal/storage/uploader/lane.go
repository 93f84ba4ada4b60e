// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package uploader

import (
	"slices"
	"strings"
	"time"

	"github.com/platen-dev/platen/internal/failpoint"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/storage"
)

const (
	// maxStaging is how many large files of an account are staged at a time.
	maxStaging = 2
	// aheadBytes and aheadAge are when files of a render that goes on are staged: as soon as so many bytes wait, or one has waited
	// for so long. A render that is over sooner needs no calls of its own for that.
	aheadBytes = 8 << 20
	aheadAge   = time.Second
)

var (
	errSuperseded = &storage.Error{Class: storage.Stop, Reason: storage.ReasonSuperseded, Message: "The upload is not wanted any more"}
	errDeadline   = &storage.Error{Class: storage.Stop, Reason: storage.ReasonDeadlineExceeded, Message: "The upload did not begin before uploadTimeoutSeconds"}
)

// item is a file on its way. Everything in it is guarded by the Uploader's lock, but for file while busy.
type item struct {
	id         file.ID
	file       *storage.File
	connection *connection

	// joined says that the lane has it, wanted that it may stand, staged that its bytes are at the service, busy that a call for it is
	// in flight, and settled that result is its end.
	joined, wanted, staged, busy, settled bool
	// arrived is when it began to wait.
	arrived  time.Time
	deadline time.Time
	attempts int
	// notBefore is when it may be tried again, and last why it has to be.
	notBefore time.Time
	last      error
	// refused is why it could not be staged ahead.
	refused error
	result  storage.Result
}

// lane is the one committer of an account: whatever waits while a commit is in flight goes with the next, from all jobs. So the
// account's own uploads never contend for its lock, and no timer holds them up.
type lane struct {
	u     *Uploader
	key   string
	items []*item
	wake  chan struct{}

	running, committing bool
	// staging counts the large files being staged; batching says that small ones are.
	staging  int
	batching bool
	// held is until when the account wants to be left alone, after so many failures in a row.
	held     time.Time
	failures int
}

// lane returns the lane of an account. The lock must be held.
func (u *Uploader) lane(key string) *lane {
	l := u.lanes[key]
	if l == nil {
		l = &lane{u: u, key: key, wake: make(chan struct{}, 1)}
		u.lanes[key] = l
	}
	return l
}

// start makes sure that somebody looks after the lane. The lock must be held.
func (l *lane) start() {
	l.u.lanes[l.key] = l
	if !l.running {
		l.running = true
		l.u.running.Go(l.run)
	}
	l.nudge()
}

// nudge makes the lane look again.
func (l *lane) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run looks after the lane until nothing is left in it.
func (l *lane) run() {
	for {
		l.u.mu.Lock()
		now := time.Now()
		next := l.step(now)
		if len(l.items) == 0 && !now.Before(l.held) {
			l.running = false
			delete(l.u.lanes, l.key)
			l.u.unlock()
			return
		}
		l.u.unlock()
		var due <-chan time.Time
		timer := time.NewTimer(time.Until(next))
		if !next.IsZero() {
			due = timer.C
		}
		select {
		case <-l.wake:
		case <-due:
		case <-l.u.ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// step starts whatever may be started and returns when to look again; the zero time is when nudged. The lock must be held.
func (l *lane) step(now time.Time) (next time.Time) {
	at := func(t time.Time) {
		if t.After(now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, it := range l.items {
		if it.settled || it.busy || !it.wanted {
			continue
		}
		if !now.Before(it.deadline) {
			l.fail(it, errDeadline)
			continue
		}
		at(it.deadline)
		at(it.notBefore)
	}
	l.items = slices.DeleteFunc(l.items, func(it *item) bool { return it.settled && !it.busy })
	if now.Before(l.held) {
		at(l.held)
		return next
	}
	l.stage(now, at)
	if !l.committing && len(l.takeable(now)) > 0 {
		l.committing = true
		l.u.running.Go(l.commit)
	}
	return next
}

// ready tells whether a call for the item may be made now.
func (it *item) ready(now time.Time) bool {
	return !it.settled && !it.busy && it.refused == nil && !now.Before(it.notBefore)
}

// large tells whether the file is staged by itself.
func (it *item) large() bool {
	limit := it.connection.provider.Limits().Bytes
	_, canStage := it.connection.provider.(storage.Stager)
	return canStage && limit > 0 && it.file.Size > limit
}

// stage starts to stage large files, small ones that are too many for one commit, and those of renders that go on.
func (l *lane) stage(now time.Time, at func(time.Time)) {
	var wanted, ahead []*item
	var wantedBytes, aheadWaiting int64
	for _, it := range l.items {
		stager, ok := it.connection.provider.(storage.Stager)
		switch {
		case !ok || it.staged || !it.ready(now):
		case it.large():
			if l.staging < maxStaging {
				l.staging++
				l.send(stager, []*item{it}, func() { l.staging-- })
			}
		case it.wanted:
			wanted = append(wanted, it)
			wantedBytes += it.file.Size
		default:
			ahead = append(ahead, it)
			aheadWaiting += it.file.Size
		}
	}
	if l.batching {
		return
	}
	var batch []*item
	switch {
	case len(wanted) > 0 && wantedBytes > wanted[0].connection.provider.Limits().Bytes:
		batch = append(wanted, ahead...) //nolint:gocritic // wanted is not used again
	case len(ahead) > 0 && (aheadWaiting >= aheadBytes || now.Sub(ahead[0].arrived) >= aheadAge):
		batch = ahead
	case len(ahead) > 0:
		at(ahead[0].arrived.Add(aheadAge))
	}
	if len(batch) == 0 {
		return
	}
	if stager, ok := batch[0].connection.provider.(storage.Stager); ok {
		batch = slices.DeleteFunc(batch, func(it *item) bool { return it.connection.provider != storage.Provider(stager) })
		l.batching = true
		l.send(stager, batch, func() { l.batching = false })
	}
}

// send stages items in the background. The lock must be held.
func (l *lane) send(stager storage.Stager, items []*item, done func()) {
	files := begin(items)
	l.u.running.Go(func() {
		errs := slices.Repeat([]error{l.u.ctx.Err()}, len(items))
		if l.slot() {
			errs = stager.Stage(l.u.ctx, files)
			<-l.u.slots
		}
		l.u.mu.Lock()
		defer l.u.unlock()
		done()
		for i, it := range items {
			it.busy, it.staged = false, errs[i] == nil
			if errs[i] != nil {
				problem := *storage.AsError(errs[i])
				problem.Doubt = false // what is staged does not stand
				l.retry(it, &problem)
			}
		}
		l.nudge()
	})
}

// begin marks items as busy and returns their files.
func begin(items []*item) []*storage.File {
	files := make([]*storage.File, 0, len(items))
	for _, it := range items {
		it.busy = true
		files = append(files, it.file)
	}
	return files
}

// slot waits for one of the calls that may be in flight; false when everything ends.
func (l *lane) slot() bool {
	select {
	case l.u.slots <- struct{}{}:
		return true
	case <-l.u.ctx.Done():
		return false
	}
}

// takeable lists what the next commit takes: of one provider, as much as it allows, and no two files with one path.
func (l *lane) takeable(now time.Time) (items []*item) {
	var provider storage.Provider
	var limits storage.Limits
	bytes := int64(0)
	paths := map[string]bool{}
	for _, it := range l.items {
		if !it.wanted || !it.ready(now) || (it.large() && !it.staged) {
			continue
		}
		if provider == nil {
			provider, limits = it.connection.provider, it.connection.provider.Limits()
		}
		path := strings.ToLower(it.file.Path)
		if it.connection.provider != provider || paths[path] {
			continue
		}
		if !it.staged {
			if bytes+it.file.Size > limits.Bytes && limits.Bytes > 0 && len(items) > 0 {
				continue
			}
			bytes += it.file.Size
		}
		paths[path] = true
		if items = append(items, it); len(items) == limits.Files {
			break
		}
	}
	return items
}

// commit brings what waits to its place, once there is a slot: what arrives until then goes along.
func (l *lane) commit() {
	ok := l.slot()
	if ok {
		defer func() { <-l.u.slots }()
	}
	l.u.mu.Lock()
	now := time.Now()
	var items []*item
	if ok && !now.Before(l.held) {
		items = l.takeable(now)
	}
	files := begin(items)
	for _, it := range items {
		l.u.Observer.Waited(now.Sub(it.arrived))
	}
	l.u.unlock()

	var results []storage.Result
	if len(files) > 0 {
		failpoint.Hit("upload.before-send")
		results = items[0].connection.provider.Upload(l.u.ctx, files)
	}

	l.u.mu.Lock()
	defer l.u.unlock()
	l.committing = false
	for i, it := range items {
		it.busy = false
		// A provider that has lost what was staged says so by forgetting its session.
		it.staged = it.staged && it.file.Session != nil
		if err := results[i].Err; err != nil {
			l.retry(it, storage.AsError(err))
			continue
		}
		l.failures = 0
		l.u.settle(it, results[i])
		l.u.report(it.connection)
	}
	l.nudge()
}

// retry says when an item is tried again, or ends it. What concerns the whole account holds or ends everything of it. The lock must
// be held.
func (l *lane) retry(it *item, problem *storage.Error) {
	switch {
	case it.settled || l.u.ctx.Err() != nil:
	case problem.Class == storage.Stop:
		l.refuse(it, problem)
		if problem.Account {
			for _, other := range l.items {
				if !other.busy && other.connection.provider == it.connection.provider {
					l.refuse(other, problem)
				}
			}
		}
	default:
		now := time.Now()
		it.attempts++
		it.last = problem
		it.file.Doubtful = it.file.Doubtful || problem.Doubt
		l.u.Observer.Retried(string(problem.Reason))
		until := now.Add(max(problem.RetryAfter, l.u.Retry.Delay(it.attempts)))
		if problem.Account {
			if now.After(l.held) {
				l.failures++
				l.held = now.Add(l.u.Retry.Delay(l.failures))
			}
			if asked := now.Add(problem.RetryAfter); asked.After(l.held) {
				l.held = asked
			}
			until = l.held
		} else {
			it.notBefore = until
		}
		if it.wanted && until.After(it.deadline) {
			l.fail(it, problem)
		}
	}
}

// refuse ends an item that is wanted, and remembers why one that is not yet wanted will not stand.
func (l *lane) refuse(it *item, problem *storage.Error) {
	if it.wanted {
		l.fail(it, problem)
	} else if it.refused == nil {
		it.refused = problem
	}
}

// fail ends an item with the last real error.
func (l *lane) fail(it *item, err error) {
	if err == error(errDeadline) && it.last != nil { //nolint:errorlint // the very value
		err = it.last
	}
	l.u.settle(it, storage.Result{Err: err})
	l.u.report(it.connection)
}
