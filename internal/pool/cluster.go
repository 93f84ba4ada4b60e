// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package pool

import (
	"cmp"
	"slices"
	"time"
)

const (
	// quantum is the service, in pod seconds, by which a namespace may be ahead of another before it must give its last pods away.
	quantum = 10.0
	// unschedulableDelay is how long pods must find no node before that says anything about the cluster. The scheduler tries a pod within
	// milliseconds; whoever waits for a share of the pods waits for this time first.
	unschedulableDelay = time.Second
	// capacityMemory is how long the pool remembers how many pods the cluster had room for.
	capacityMemory = time.Minute
	// probeEvery is for how many pods of a full cluster one more is created, at least one in all, to see whether there is room again. A pod
	// that waits for a node makes an autoscaler add one, but it also competes with the pods of other namespaces for every place.
	probeEvery = 4
	// discardTimeout is how long the deletion of pods without a node may hold up the retirement of others.
	discardTimeout = 5 * time.Second
	// reliefTimeout is how long a pod may take to use the room that another namespace has made for it.
	reliefTimeout = 30 * time.Second
)

// cluster is what the pool knows about the pods of all namespaces.
type cluster struct {
	// service is that of the least served namespace that wants pods, and accounted is when service was last added up.
	service   float64
	accounted time.Time
	// capacity is how many pods nodes had room for when one found no node, and counts until forget.
	capacity int
	forget   time.Time
	// owed is how many pods namespaces with more than their share must give up.
	owed int
	// boosts of nodes in the last boostEvery.
	boosts map[string]*boost
}

// claim is what a namespace asks for and gets.
type claim struct {
	// want is how many pods the namespace needs, and live, how many it has. Of those, unscheduled have found no node, stuck ones for long,
	// and placed run.
	want, live, unscheduled, stuck, placed int
	// weight of the namespace.
	weight int
	// service that the namespace has had, in pod seconds by weight. active is true while it wants pods.
	service float64
	active  bool
	// share of the budget, and fair, the share of the pods for which the cluster has room.
	share, fair int
	// launchable is how many pods may be launched now, and giving, how many idle ones take no task: they are retired as soon as nothing of
	// the namespace waits for their places.
	launchable, giving int
	// relieved is when another namespace made room for the pods that had found no node; zero if none has, or if one has found the room.
	// lacked is how many those were, and found, how many others there were.
	relieved      time.Time
	lacked, found int
}

// shareOut divides a budget among claims by their weights. Nobody gets more than it wants, and nothing is left over while somebody wants
// more. Pods that cannot be divided go to those that have had the least service; who has one keeps it for a quantum.
func shareOut(claims []*claim, budget int, share func(*claim) *int) {
	total, weights := 0, 0
	for _, c := range claims {
		*share(c) = c.want
		total += c.want
		weights += c.weight
	}
	if total <= budget {
		return
	}
	slices.SortStableFunc(claims, func(a, b *claim) int { return cmp.Compare(a.want*b.weight, b.want*a.weight) })
	for len(claims) > 0 && claims[0].want*weights <= budget*claims[0].weight {
		budget -= claims[0].want
		weights -= claims[0].weight
		claims = claims[1:]
	}
	left := budget
	for _, c := range claims {
		*share(c) = budget * c.weight / weights
		left -= *share(c)
	}
	slices.SortStableFunc(claims, func(a, b *claim) int {
		aHolds, bHolds := a.holds(*share(a)), b.holds(*share(b))
		return cmp.Or(cmp.Compare(a.service-quantum*float64(aHolds), b.service-quantum*float64(bHolds)), aHolds-bHolds)
	})
	for _, c := range claims {
		if left == 0 {
			return
		}
		if *share(c) < c.want {
			*share(c)++
			left--
		}
	}
}

// balance divides the cluster's pods among the namespaces, retires those that are not needed or that another namespace needs more, and
// calls NamespaceChanged where Decide would return something.
func (p *Pool) balance(now time.Time) {
	claims := make([]*claim, 0, len(p.order))
	total, stuck, placed := 0, 0, 0
	for _, ns := range p.order {
		p.trim(ns, now)
		ns.account(now.Sub(p.cluster.accounted))
		ns.count(now)
		total += ns.live
		if ns.unscheduled == 0 || ns.unscheduled < ns.lacked || ns.live-ns.unscheduled > ns.found {
			ns.relieved = time.Time{}
		}
		stuck += ns.stuck
		placed += ns.placed
		claims = append(claims, &ns.claim)
	}
	p.cluster.accounted = now
	p.cluster.admit(claims)
	shareOut(slices.Clone(claims), p.options.MaxPods, func(c *claim) *int { return &c.share })
	room := p.cluster.room(p.options.MaxPods, placed, stuck > 0, now)
	for _, c := range claims {
		c.fair = c.share
	}
	if room < p.options.MaxPods {
		shareOut(slices.Clone(claims), room, func(c *claim) *int { return &c.fair })
	}

	// The namespaces that have less than their share need pods of those that have more, if there is no room for both.
	short, alike, owed, scheduled := false, p.alike(), 0, 0
	for _, c := range claims {
		scheduled += c.live - c.unscheduled
		missing := min(c.want, c.fair) - (c.live - c.unscheduled)
		if missing <= 0 || c.hopeless(now) {
			continue
		}
		short = true
		switch {
		case c.unscheduled == 0 || alike:
			owed += missing
		case c.relieved.IsZero():
			owed++ // nobody knows whether a pod of theirs fits into the place of another
		}
	}
	surplus := max(min(scheduled+owed-room, owed), 0)
	p.cluster.owed = surplus
	begins := surplus > 0 && slices.ContainsFunc(p.order, (*namespace).begins)
	for _, ns := range p.order {
		ns.giving = 0
		if surplus > 0 {
			surplus -= p.yield(ns, surplus, begins, now)
		}
		ns.launchable = 0
		if ns.launcher.waits(now) || ns.unscheduled > 0 || short && ns.live >= ns.fair {
			continue
		}
		most := p.options.MaxPods
		if room < most && ns.live >= ns.fair {
			most = room + max(room/probeEvery, 1)
		}
		ns.launchable = max(min(ns.want-ns.live, ns.share-ns.live, most-total), 0)
	}
	for _, ns := range p.order {
		p.signal(ns, now)
	}
}

// alike reports whether all namespaces make their pods from the same, so that each pod fits into the place of any other.
func (p *Pool) alike() bool {
	return !slices.ContainsFunc(p.order, func(ns *namespace) bool {
		return ns.settings.Hash == "" || ns.settings.Hash != p.order[0].settings.Hash
	})
}

// holds returns 1 if the namespace has more pods than a share, 0 otherwise.
func (c *claim) holds(share int) int { return min(max(c.live-c.unscheduled-share, 0), 1) }

// relieve records that another namespace has made room for a pod.
func (c *claim) relieve(now time.Time) {
	if c.unscheduled > 0 && c.relieved.IsZero() {
		c.relieved, c.lacked, c.found = now, c.unscheduled, c.live-c.unscheduled
	}
}

// rebalance does what balance does for a namespace alone, and the rest only if the namespace's claim has changed.
func (p *Pool) rebalance(ns *namespace, now time.Time) {
	p.trim(ns, now)
	before := ns.claim
	ns.count(now)
	if p.cluster.owed > 0 || ns.want != before.want || ns.live != before.live || ns.unscheduled != before.unscheduled {
		p.balance(now)
		return
	}
	ns.placed = before.placed // until its service is accounted
	p.signal(ns, now)
}

// hopeless reports whether room was made for the pods of the namespace, and they did not use it: what they ask for is nowhere.
func (c *claim) hopeless(now time.Time) bool {
	return !c.relieved.IsZero() && now.Sub(c.relieved) > reliefTimeout
}

// account adds up the service of the time since the last call.
func (ns *namespace) account(passed time.Duration) {
	ns.service += float64(ns.placed) * passed.Seconds() / float64(ns.settings.Weight)
}

// count sets the claim of the namespace.
func (ns *namespace) count(now time.Time) {
	ns.weight, ns.unscheduled, ns.stuck, ns.placed, ns.live = ns.settings.Weight, 0, 0, 0, len(ns.launching)
	for _, pod := range ns.list {
		if !pod.counts() || pod.state == idle && ns.stale(pod) {
			continue
		}
		ns.live++
		switch {
		case pod.state != starting || !pod.running.IsZero():
			ns.placed++
		case pod.problem.Reason == ReasonUnschedulable:
			ns.unscheduled++
			if now.Sub(pod.troubled) >= unschedulableDelay {
				ns.stuck++
			}
		}
	}
	ns.want = ns.need(now)
	if ns.launcher.waits(now) {
		ns.want = min(ns.want, ns.live) // more would be refused: others can use the room
	}
}

// admit lets namespaces that want pods again begin with little more credit than the others.
func (c *cluster) admit(claims []*claim) {
	first := true
	least := c.service
	for _, claim := range claims {
		if claim.active && claim.want > 0 && (first || claim.service < least) {
			first, least = false, claim.service
		}
	}
	c.service = least
	for _, claim := range claims {
		if claim.want > 0 && !claim.active {
			claim.service = max(claim.service, least-quantum)
		}
		claim.active = claim.want > 0
	}
}

// room returns for how many pods the cluster has room: the budget, or what nodes have taken while some pods find no node.
func (c *cluster) room(budget, placed int, stuck bool, now time.Time) int {
	if !stuck && !now.Before(c.forget) {
		c.capacity = 0
		return budget
	}
	if stuck {
		c.forget = now.Add(capacityMemory)
	}
	c.capacity = max(c.capacity, placed, 1)
	return min(budget, c.capacity)
}

// trim retires the pods that a namespace does not need.
func (p *Pool) trim(ns *namespace, now time.Time) {
	fresh, live, outdated := false, len(ns.launching), false
	for _, pod := range ns.list {
		stale := ns.stale(pod)
		outdated = outdated || stale
		fresh = fresh || !stale && (pod.state == idle || pod.state == rendering)
		if pod.counts() {
			live++
		}
	}
	need := -1
	for _, pod := range ns.list {
		switch {
		case pod.state == starting && ns.stale(pod) && pod.running.IsZero() && !pod.foreign:
			p.discard(pod, now)
			live--
		case pod.state == idle && ns.outdated(pod) && (!ns.stale(pod) || fresh || ns.unfit(pod)):
			p.retire(pod, now)
			live--
		case pod.state == idle && now.Sub(pod.since) >= ns.settings.IdleTimeout, pod.state == starting && !pod.foreign && now.Sub(pod.created) >= ns.settings.IdleTimeout:
			if need < 0 {
				need = ns.need(now)
			}
			if live > need {
				p.dismiss(pod, now)
				live--
			}
		}
	}
	if outdated && ns.launcher.failure != nil {
		// The pods that replace the outdated ones find no room beside them.
		for _, pod := range ns.list {
			if pod.state == idle && ns.stale(pod) {
				p.retire(pod, now)
				return
			}
		}
	}
}

// yield retires up to n pods of a namespace that has more than its share, and returns how many of its pods others can count on. Pods that are still
// rendering count, because they are retired when they end their tasks. begins says that one of the others has no pod that was heard.
func (p *Pool) yield(ns *namespace, n int, begins bool, now time.Time) int {
	if ns.live <= ns.fair {
		return 0
	}
	for _, pod := range ns.list {
		if ns.live > ns.fair && pod.state == starting && pod.problem.Reason == ReasonUnschedulable {
			ns.unscheduled--
			ns.live--
			p.discard(pod, now)
			ns.launcher.failed(LaunchFailure(pod.problem), now)
		}
	}
	n = max(min(n, ns.live-ns.fair), 0)
	if ns.discarding(now) {
		ns.giving = n // they have waited for longer than others' pods: the scheduler would give them the room
	}
	left := max(min(n, ns.live-len(ns.launching)-ns.fair), 0) // what is being launched goes before what can render
	for _, state := range []podState{starting, idle} {
		for _, pod := range ns.list {
			if left > 0 && pod.state == state && !pod.foreign {
				if begins {
					p.cluster.boost(pod.node, now)
				}
				if ns.giving > 0 {
					left--
					continue
				}
				ran := pod.state == idle || !pod.running.IsZero() // any other may have found no node
				p.dismiss(pod, now)
				ns.live--
				left--
				for _, other := range p.order {
					if ran {
						other.relieve(now)
					}
				}
			}
		}
	}
	return n
}

// discarding reports whether pods that have found no node are being deleted.
func (ns *namespace) discarding(now time.Time) bool {
	return slices.ContainsFunc(ns.list, func(pod *pod) bool {
		return pod.state == silent && pod.running.IsZero() && pod.problem.Reason == ReasonUnschedulable && now.Sub(pod.since) < discardTimeout
	})
}

// dismiss ends a pod that has no task.
func (p *Pool) dismiss(pod *pod, now time.Time) {
	if pod.state == starting {
		p.discard(pod, now)
	} else {
		p.retire(pod, now)
	}
}

// discard deletes a pod that was never heard.
func (p *Pool) discard(pod *pod, now time.Time) {
	pod.become(silent, now)
	pod.asked = time.Time{}
}
