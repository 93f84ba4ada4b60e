// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package pool

import (
	"cmp"
	"time"
)

const (
	// noticeRate is the most jobs that wait of which JobChanged tells in a second.
	noticeRate = 20
	// wordsDelay is how long other words for the same reason wait: two quotas may refuse pods in turn.
	wordsDelay = 30 * time.Second
)

// notices has the jobs that wait and whose status may have to say so.
type notices struct {
	queue heapOf[*job]
	// tokens that are left since counted, at most noticeRate.
	tokens  float64
	counted time.Time
}

func newNotices(now time.Time) notices {
	return notices{
		tokens: noticeRate, counted: now,
		queue: heapOf[*job]{
			less: func(a, b *job) bool {
				return cmp.Or(a.noticeDue.Compare(b.noticeDue), a.Created.Compare(b.Created), cmp.Compare(a.sequence, b.sequence)) < 0
			},
			index: func(j *job) *int { return &j.noticeAt },
		},
	}
}

// notify plans to tell of a job's wait, if it then is another one than the job's status shows.
func (p *Pool) notify(j *job, due time.Time) {
	if j.noticeAt >= 0 {
		if !due.Before(j.noticeDue) {
			return
		}
		p.notices.queue.remove(j)
	}
	j.noticeDue = due
	p.notices.queue.push(j)
}

// notifyAll plans notices for the jobs of a namespace after a change of what they wait for.
func (p *Pool) notifyAll(ns *namespace, now time.Time) {
	wait, delay := Wait(ns.problem()), p.options.NoticeDelay
	switch {
	case !wait.Differs(ns.wait):
		return
	case wait.Reason == ns.wait.Reason:
		delay = wordsDelay
	}
	ns.wait = wait
	for _, j := range ns.ready.items {
		p.notify(j, latest(now, j.accepted).Add(delay))
	}
}

// flushNotices tells of the waits that are due, as far as the rate allows.
func (p *Pool) flushNotices(now time.Time) {
	n := &p.notices
	n.tokens = min(n.tokens+now.Sub(n.counted).Seconds()*noticeRate, noticeRate)
	n.counted = now
	for n.queue.len() > 0 && n.tokens >= 1 && !n.queue.top().noticeDue.After(now) {
		j := n.queue.top()
		n.queue.remove(j)
		if wait := p.waitOf(j); j.phase == Queued && wait.Differs(j.shown) {
			j.shown = wait
			n.tokens--
			p.jobChanged(j.Key)
		}
	}
}

// waitOf returns why a job waits. It is a function of the state: the same state gives the same words, and no pod is named.
func (p *Pool) waitOf(j *job) Wait {
	if j.wait.Reason != "" {
		return j.wait
	}
	if j.held {
		return Wait{ReasonQueued, "waiting for the render pods that the previous manager has left"}
	}
	ns := p.namespace(j.Key.Namespace)
	if problem := ns.problem(); problem.Reason != "" {
		return Wait(problem)
	}
	return Wait{ReasonQueued, "waiting for a render pod"}
}
