// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package pool

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// On a full cluster, the first pod of a namespace starts where another namespace gives a pod up, beside more pods of that namespace. They use
// the node's CPU, so the exit and the start take several times as long as on an idle node. Pods of namespaces with long queues rest meanwhile.
const (
	// startBoost is how long pods rest at most.
	startBoost = 3 * time.Second
	// boostEvery is the least time from one boost of a node to the next, so that resting costs others little.
	boostEvery = 10 * time.Second
	// boostPods is how many pods of a node rest: the exit of a pod and the start of another use less than two cores.
	boostPods = 2
)

// boost is the time for which a node gives its CPU to the first pod of a namespace.
type boost struct {
	begun time.Time
	ended bool
	// resting has the pods that get no task until the boost has ended.
	resting map[types.UID]bool
}

// boost begins a boost of a node if there was none for boostEvery.
func (c *cluster) boost(node string, now time.Time) {
	if node != "" && c.boosts[node] == nil {
		c.boosts[node] = &boost{begun: now, resting: map[types.UID]bool{}}
	}
}

// rests reports whether an idle pod gets no task now, because its node is boosted. It rests only if its namespace has more work than its pods
// end in about a second: a short queue is no flood.
func (c *cluster) rests(ns *namespace, pod *pod) bool {
	b := c.boosts[pod.node]
	if b == nil || b.ended || ns.load <= onePod*len(ns.list) {
		return false
	}
	if len(b.resting) < boostPods {
		b.resting[pod.UID] = true
	}
	return b.resting[pod.UID]
}

// endBoosts ends the boosts that have lasted for long enough, or for which no namespace waits any more. It gives tasks to the pods that rested.
func (p *Pool) endBoosts(now time.Time) {
	if len(p.cluster.boosts) == 0 {
		return
	}
	begins, ended := slices.ContainsFunc(p.order, (*namespace).begins), false
	for node, b := range p.cluster.boosts {
		if !b.ended && (!begins || now.Sub(b.begun) >= startBoost) {
			b.ended, ended = true, true
		}
		if now.Sub(b.begun) >= boostEvery {
			delete(p.cluster.boosts, node)
		}
	}
	if ended {
		for _, ns := range p.order {
			p.dispatch(ns, now)
		}
	}
}

// begins reports whether the namespace has jobs that a pod may take, and no pod that has been heard.
func (ns *namespace) begins() bool {
	return ns.ready.len() > 0 && !slices.ContainsFunc(ns.list, func(pod *pod) bool { return pod.state == idle || pod.state == rendering })
}
