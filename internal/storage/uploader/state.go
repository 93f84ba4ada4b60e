// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package uploader

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/tracing"
)

const (
	// maxStaging is how many large files of an account are staged at a time.
	maxStaging = 2
	// The files of a render in progress are staged once aheadBytes wait, or one file has waited for aheadAge. A render that ends sooner
	// needs no such call.
	aheadBytes = 8 << 20
	aheadAge   = time.Second
)

var (
	errStuck    = &storage.Error{Class: storage.Retry, Reason: storage.ReasonUnreachable, Message: "The service did not answer in time", Doubt: true}
	errDeadline = &storage.Error{Class: storage.Stop, Reason: storage.ReasonDeadlineExceeded, Message: "The upload did not begin before uploadTimeoutSeconds"}
)

// stage is how far an item has come.
type stage int

const (
	// waiting: the file is in the content store only.
	waiting stage = iota
	// staging: a call sends its bytes to the service.
	staging
	// staged: its bytes are at the service, where nobody sees them.
	staged
	// committing: a call brings it to its path.
	committing
	// abandoned: a call is in flight and its result no longer matters.
	abandoned
	// settled: the item's result is final.
	settled
)

// item is a file on its way to a destination. The Uploader's lock guards it; while a call is in flight, file is the provider's.
type item struct {
	// file as the providers know it, and as Ensure asked for it.
	file        *storage.File
	asked       storage.File
	destination *destination
	stage       stage
	// call in flight for the item, nil for none.
	call *call
	// superseded is true once the item is not wanted any more.
	superseded atomic.Bool
	// broken is why the content store can never give the file's bytes; nil while it may.
	broken atomic.Pointer[storage.Error]
	// since is when the file began to wait.
	since time.Time
	// attempts that have failed, why the last one did, and when the next one may begin.
	attempts  int
	lastErr   error
	notBefore time.Time
	result    storage.Result
}

// inFlight reports whether a call for the item is in flight.
func (it *item) inFlight() bool {
	return it.stage == staging || it.stage == committing || it.stage == abandoned
}

// fresh returns the file for a provider that knows nothing of it, while another call may still use the file.
func (it *item) fresh() *storage.File {
	f := it.asked
	f.Doubtful = true
	return &f
}

// canBegin reports whether a call for the item may begin.
func (it *item) canBegin(now time.Time) bool {
	return (it.stage == waiting || it.stage == staged) && !now.Before(it.notBefore) && !it.isExpired(now)
}

// namespace of the item's job.
func (it *item) namespace() string { return it.destination.upload.Job.Namespace }

// isWanted reports whether the item may be committed.
func (it *item) isWanted() bool { return it.destination.upload.Complete }

// isExpired reports whether the item's deadline has passed.
func (it *item) isExpired(now time.Time) bool {
	return it.isWanted() && !now.Before(it.destination.upload.Deadline)
}

// isLarge reports whether the file is staged by itself, before it is committed with others.
func (it *item) isLarge() bool {
	limit := it.destination.provider.Limits().Bytes
	return limit > 0 && it.file.Size > limit && it.destination.stager() != nil
}

// machine is a destination or an account.
type machine interface {
	// next returns the actions to begin at now, and when to call next again at the latest; the zero time is only after a change of
	// state. It changes nothing.
	next(now time.Time) (actions []action, wakeAt time.Time)
}

// kind of an action.
type kind int

const (
	// openProvider opens the destination's provider.
	openProvider kind = iota
	// stageFiles stages the items in one call.
	stageFiles
	// commitFiles commits the items that are committable once a slot is free; items are those that are committable now.
	commitFiles
	// expireFiles ends the items, because their deadline has passed.
	expireFiles
)

// action is what a machine wants begun.
type action struct {
	kind        kind
	destination *destination
	account     *account
	items       []*item
}

// access is the state of a destination's access to its provider.
type access int

const (
	// closed: the provider is not open yet.
	closed access = iota
	// opening: Open is being called.
	opening
	// opened: the items are with the account.
	opened
	// failed: the provider could not be opened in time.
	failed
	// stopped: the upload is no longer wanted.
	stopped
)

// destination is a Connection of an upload and how far it has come.
type destination struct {
	Connection
	// upload is the argument of the last Ensure.
	upload *Upload
	// planned is when the upload became complete; zero before.
	planned time.Time
	limit   *limit
	items   []*item
	access  access
	// attempts to open the provider since the last Ensure, and when the next one may begin.
	attempts  int
	notBefore time.Time
	// err is why the provider could not be opened.
	err error
	// provider once opened, and the key of its account.
	provider storage.Provider
	key      string
	// span of the destination, nil if the job is not traced and once it has ended.
	span *tracing.Live
}

// endSpan ends the destination's span. stopped is why its upload ends early; empty if it does not.
func (d *destination) endSpan(stopped string) {
	if d.span == nil {
		return
	}
	if err := d.result().Err; err != nil && stopped == "" {
		stopped = storage.Outcome(err)
	}
	d.span.End(stopped, attribute.Int("platen.files", len(d.items)))
	d.span = nil
}

// next implements machine. While the render goes on, each Ensure allows one attempt. Once the upload is complete, attempts follow by time.
func (d *destination) next(now time.Time) (actions []action, wakeAt time.Time) {
	switch {
	case d.access != closed, d.attempts > 0 && !d.upload.Complete:
		return nil, time.Time{}
	case now.Before(d.notBefore):
		return nil, d.notBefore
	default:
		return []action{{kind: openProvider, destination: d}}, time.Time{}
	}
}

// stager returns the provider as a Stager, nil if it is none.
func (d *destination) stager() storage.Stager {
	s, _ := d.provider.(storage.Stager)
	return s
}

// isDone reports whether nothing more will happen.
func (d *destination) isDone() bool {
	return (d.access == opened || d.access == failed) && !slices.ContainsFunc(d.items, func(it *item) bool { return it.stage != settled })
}

func (d *destination) result() Result {
	result := Result{Name: d.Name, UID: d.UID, ReadyCount: d.ReadyCount, Planned: d.planned, Err: d.err, Done: d.isDone()}
	for _, it := range d.items {
		if it.stage == settled {
			result.Files = append(result.Files, it.result)
			result.Err = cmp.Or(result.Err, it.result.Err)
		}
	}
	return result
}

// account is a storage account and the items of all jobs that go to it. It has one commit in flight at a time; the next one takes
// every file that waits by then. So the account's own uploads never contend for its lock, and none waits for a timer.
type account struct {
	key   string
	items []*item
	// committing is true while a commit waits for its slot or is in flight.
	committing bool
	// stuck counts the calls that did not return in time. One of them may still take effect and undo what follows.
	stuck int
	// heldUntil is when the account may be called again, and heldFor is why not before.
	heldUntil time.Time
	heldFor   *storage.Error
	// failures counts the failures of the whole account in a row.
	failures int
	// turns has the number of the last call with files of each namespace, and turn is the number of the last call.
	turns map[string]int
	turn  int
}

// take records that a call takes files of a namespace.
func (a *account) take(namespace string) {
	if a.turns == nil {
		a.turns = map[string]int{}
	}
	a.turn++
	a.turns[namespace] = a.turn
}

// inTurn returns the items: first those of the namespace that has waited longest for a call, and those of one namespace in the order of their
// arrival. So a namespace with a thousand files delays another one, which uploads to the same account, by one call.
func (a *account) inTurn() []*item {
	if len(a.turns) == 0 {
		return a.items
	}
	return slices.SortedStableFunc(slices.Values(a.items), func(x, y *item) int {
		return cmp.Compare(a.turns[x.namespace()], a.turns[y.namespace()])
	})
}

// isIdle reports whether the account has nothing to do and nothing to remember.
func (a *account) isIdle(now time.Time) bool {
	return len(a.items) == 0 && !a.committing && a.stuck == 0 && !now.Before(a.heldUntil)
}

// whyExpired returns the error of an item whose deadline has passed: that of its last try, or that for which the account waits.
func (a *account) whyExpired(it *item, now time.Time) error {
	switch {
	case it.lastErr != nil:
		return it.lastErr
	case a.heldFor != nil && now.Before(a.heldUntil):
		return a.heldFor
	default:
		return errDeadline
	}
}

// next implements machine.
func (a *account) next(now time.Time) (actions []action, wakeAt time.Time) {
	at := func(t time.Time) {
		if t.After(now) {
			wakeAt = earlier(wakeAt, t)
		}
	}
	var expired []*item
	for _, it := range a.items {
		switch {
		case it.inFlight() || it.stage == settled:
		case it.isExpired(now):
			expired = append(expired, it)
		default:
			at(it.notBefore)
			if it.isWanted() {
				at(it.destination.upload.Deadline)
			}
		}
	}
	if len(expired) > 0 {
		actions = append(actions, action{kind: expireFiles, account: a, items: expired})
	}
	if now.Before(a.heldUntil) {
		at(a.heldUntil)
		return actions, wakeAt
	}
	if a.stuck > 0 {
		return actions, wakeAt
	}
	for _, items := range a.stageable(now, at) {
		actions = append(actions, action{kind: stageFiles, account: a, items: items})
	}
	if items := a.committable(now); len(items) > 0 && !a.committing {
		actions = append(actions, action{kind: commitFiles, account: a, items: items})
	}
	return actions, wakeAt
}

// stageable returns the items of each call to stage: a large file by itself, and small files together if they are too many bytes for
// one commit or their render takes long.
func (a *account) stageable(now time.Time, at func(time.Time)) (calls [][]*item) {
	large, small := 0, false // in flight
	for _, it := range a.items {
		if it.stage == staging || it.stage == abandoned {
			if it.isLarge() {
				large++
			} else {
				small = true
			}
		}
	}
	var wanted, ahead []*item
	var wantedBytes, aheadBytesWaiting int64
	for _, it := range a.inTurn() {
		switch {
		case it.stage != waiting || !it.canBegin(now) || it.destination.stager() == nil:
		case it.isLarge():
			if large < maxStaging {
				large++
				calls = append(calls, []*item{it})
			}
		case it.isWanted():
			wanted = append(wanted, it)
			wantedBytes += it.file.Size
		default:
			ahead = append(ahead, it)
			aheadBytesWaiting += it.file.Size
		}
	}
	if small {
		return calls
	}
	var batch []*item
	switch {
	case len(wanted) > 0 && wantedBytes > wanted[0].destination.provider.Limits().Bytes:
		batch = slices.Concat(wanted, ahead)
	case len(ahead) > 0 && (aheadBytesWaiting >= aheadBytes || now.Sub(ahead[0].since) >= aheadAge):
		batch = ahead
	case len(ahead) > 0:
		at(ahead[0].since.Add(aheadAge))
	}
	if len(batch) > 0 {
		provider := batch[0].destination.provider
		calls = append(calls, slices.DeleteFunc(batch, func(it *item) bool { return it.destination.provider != provider }))
	}
	return calls
}

// committable returns what one commit takes: files of one provider, as many as it allows, and no two with the same path.
func (a *account) committable(now time.Time) (items []*item) {
	if now.Before(a.heldUntil) || a.stuck > 0 {
		return nil
	}
	var provider storage.Provider
	var limits storage.Limits
	bytes := int64(0)
	paths := map[string]bool{}
	for _, it := range a.inTurn() {
		if !it.isWanted() || !it.canBegin(now) || (it.isLarge() && it.stage != staged) {
			continue
		}
		if provider == nil {
			provider, limits = it.destination.provider, it.destination.provider.Limits()
		}
		path := storage.PathKey(it.file.Path)
		if it.destination.provider != provider || paths[path] {
			continue
		}
		if it.stage != staged {
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

// earlier returns the earlier of two times; the zero time means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
