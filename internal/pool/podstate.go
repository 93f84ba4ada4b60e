// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package pool

import "time"

// podState is where a pod stands. No state lasts for ever: next ends each of them.
type podState int

const (
	// starting: the pod exists and has not been heard.
	starting podState = iota
	// idle: the pod polls for a task.
	idle
	// rendering: the pod has a task, or says that it has one of an earlier process.
	rendering
	// retiring: the pod must exit.
	retiring
	// silent: the pod was not heard in time. It counts for nothing and is deleted, also if it is heard again.
	silent
	// gone: nothing is left of the pod.
	gone
)

func (s podState) String() string {
	return [...]string{"starting", "idle", "rendering", "retiring", "silent", "gone"}[s]
}

// contact is what next needs to know of a pod: when it did what. It holds no reference, so that every transition is a row of a table.
type contact struct {
	state podState
	// created is when this process first knew the pod, and since, when the state began.
	created, since time.Time
	// seen is true once the API cache has shown the pod.
	seen bool
	// running is when its container was first seen running; zero before.
	running time.Time
	// heard is the pod's last sign of life: the beginning of a poll, its end, or a request for its task.
	heard time.Time
	// polling is true while a poll is open.
	polling bool
	// announced is true while the pod renders a task of an earlier process whose job is not enqueued yet.
	announced bool
}

// next returns the state that a pod has now. listening is when this process began to hear pods, zero before, and awake, when it was last
// unable to.
func (c contact) next(o *Options, listening, awake, now time.Time) podState {
	// past reports whether a time has passed since a moment, of which the process was able to hear all.
	past := func(from time.Time, timeout time.Duration) bool {
		return !now.Before(latest(from, listening, awake).Add(timeout))
	}
	switch c.state {
	case starting:
		switch {
		case !c.seen && past(c.created, o.UnseenTimeout),
			!c.running.IsZero() && !listening.IsZero() && past(c.running, o.StartTimeout),
			past(c.created, o.PendingTimeout):
			return silent
		}
	case idle:
		if c.polling && past(c.heard, o.PollTimeout+o.Lease) || !c.polling && past(c.heard, o.Lease) {
			return silent
		}
	case rendering:
		switch {
		case past(c.heard, o.Lease):
			return silent
		case c.announced && past(listening, o.AnnounceGrace):
			return idle
		}
	case retiring:
		if past(c.since, o.RetireTimeout) {
			return silent
		}
	case silent:
		if !c.seen && past(c.since, o.PendingTimeout) {
			return gone
		}
	case gone:
	}
	return c.state
}

func latest(times ...time.Time) (last time.Time) {
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}
