// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package pool

import "time"

// Outcomes of an attempt.
const (
	// OutcomeRendered means that all files are stored.
	OutcomeRendered = "rendered"
	// OutcomeFailed means that the job has failed.
	OutcomeFailed = "failed"
	// OutcomeRetried means that another attempt follows, and that this one counts.
	OutcomeRetried = "retried"
	// OutcomeDisrupted means that another attempt follows, and that this one does not count: its pod was drained, preempted or deleted, or never
	// answered, or the content store has lost its files.
	OutcomeDisrupted = "disrupted"
	// OutcomePostponed means that the job had to wait for something else, such as room in the content store.
	OutcomePostponed = "postponed"
)

// Observer receives the pool's metrics. It must not call the pool.
type Observer interface {
	// Counted reports, about once a second, how many pods of all namespaces are in each state, and how many jobs wait.
	Counted(starting, ready, busy, ending, queued int)
	// Taken reports how long a job has waited for its first attempt.
	Taken(waited time.Duration)
	// Ended reports the end of an attempt; the outcome is one of the constants.
	Ended(outcome string)
	// Rendered reports how long an attempt has taken whose files are all stored.
	Rendered(took time.Duration)
	// Started reports how long a new pod has taken from its creation to its first poll.
	Started(took time.Duration)
	// LaunchFailed reports why a pod could not be created: ReasonQuotaExceeded, ReasonPodForbidden, or another reason that passes.
	LaunchFailed(reason string)
}

// unobserved is an Observer that does nothing.
type unobserved struct{}

func (unobserved) Counted(int, int, int, int, int) {}
func (unobserved) Taken(time.Duration)             {}
func (unobserved) Ended(string)                    {}
func (unobserved) Rendered(time.Duration)          {}
func (unobserved) Started(time.Duration)           {}
func (unobserved) LaunchFailed(string)             {}

// observe counts the pods and the jobs that wait.
func (p *Pool) observe() {
	var launching, ready, busy, ending, queued int
	for _, ns := range p.order {
		launching += len(ns.launching)
		queued += ns.waiting()
		for _, pod := range ns.list {
			switch pod.state {
			case starting:
				launching++
			case idle:
				ready++
			case rendering:
				busy++
			case retiring, silent, gone:
				ending++
			}
		}
	}
	p.options.Observer.Counted(launching, ready, busy, ending, queued)
}
