// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package pool

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Bounds of one Decision: the first launches are few, and more follow while they succeed.
const (
	firstLaunches = 2
	maxLaunches   = 16
)

const (
	// launchTimeout is how long a launch may take until it counts as failed.
	launchTimeout = time.Minute
	// minLaunchDelay and maxLaunchDelay bound the wait after failed launches.
	minLaunchDelay = time.Second
	maxLaunchDelay = time.Minute
)

// namespace is a queue with its pods.
type namespace struct {
	name     string
	settings Settings
	// configured is true while the namespace has settings of its own.
	configured bool
	// ready has the jobs that a pod may take, and load, their load.
	ready heapOf[*job]
	load  int
	// held has the jobs that a pod of an earlier process may be rendering.
	held map[*job]bool
	// delayed is how many jobs wait for the time of their next attempt.
	delayed int
	// pods by UID, and list, the same in the order in which this process learned of them.
	pods map[types.UID]*pod
	list []*pod
	// leaving has pods that are being deleted and still run: they count in a quota.
	leaving map[types.UID]bool
	// departed has pods that do not exist any more although the API cache still showed them.
	departed map[types.UID]bool
	// observed is true once ObservePods has shown the pods of the namespace.
	observed bool
	// launching has the launches that Decide returned, by pod name, with their times.
	launching map[string]time.Time
	launcher  launcher
	// signaled is when NamespaceChanged was last called for a Decide that has not followed yet; zero otherwise.
	signaled time.Time
	// vacant is true once NamespaceChanged was called because no job and no pod is left: the settings may have to go.
	vacant bool
	// wait is the problem for which the namespace's jobs wait that have no reason of their own, as the notices know it; zero for none.
	wait Wait
	claim
}

// launcher paces the launches of a namespace.
type launcher struct {
	batch    int
	failure  *LaunchFailure
	failures int
	// retry is when the next launch may be tried after a failure.
	retry time.Time
	// room is how many pods have ended since a quota refused one: as many may be launched without waiting for retry.
	room int
}

// waits reports whether no launch may be tried.
func (l *launcher) waits(now time.Time) bool { return l.room == 0 && now.Before(l.retry) }

// most returns how many launches may be tried at once.
func (l *launcher) most() int {
	if l.room > 0 {
		return min(l.room, l.batch)
	}
	return l.batch
}

// begun records a launch, and reports whether it takes the room of a pod that has ended.
func (l *launcher) begun() (replaces bool) {
	if l.room == 0 {
		return false
	}
	l.room--
	return true
}

// failed records a failed launch. One that says nothing of render pods, such as that of an API server without a leader, does not hide an
// earlier one that does.
func (l *launcher) failed(failure LaunchFailure, now time.Time) {
	l.room = 0
	if failure.Reason == ReasonQueued && l.failure != nil {
		failure = *l.failure
	}
	if now.Before(l.retry) {
		l.failure = &failure // one of the same batch
		return
	}
	l.failure, l.batch = &failure, 1
	l.retry = now.Add(min(minLaunchDelay<<min(l.failures, 10), maxLaunchDelay))
	l.failures++
}

// roomInQuota lets a launch be tried at once if a quota has refused the last one: a pod has ended.
func (l *launcher) roomInQuota() {
	if l.failure != nil && l.failure.Reason == ReasonQuotaExceeded {
		l.room++
	}
}

// succeeded records a launch that succeeded. One that replaces a pod does not show that the quota admits more pods than before.
func (l *launcher) succeeded(replaces bool) {
	if !replaces {
		*l = launcher{batch: min(l.batch*2, maxLaunches)}
	}
}

// namespace returns a namespace, which it creates if needed.
func (p *Pool) namespace(name string) *namespace {
	ns := p.namespaces[name]
	if ns == nil {
		ns = &namespace{
			name: name, settings: p.options.Defaults, held: map[*job]bool{}, pods: map[types.UID]*pod{}, departed: map[types.UID]bool{}, launching: map[string]time.Time{},
			launcher: launcher{batch: firstLaunches},
			ready:    heapOf[*job]{less: before, index: func(j *job) *int { return &j.readyAt }},
		}
		ns.service = p.cluster.service - quantum
		p.namespaces[name] = ns
		i, _ := slices.BinarySearchFunc(p.order, name, byName)
		p.order = slices.Insert(p.order, i, ns)
	}
	return ns
}

func byName(ns *namespace, name string) int { return cmp.Compare(ns.name, name) }

func (p *Pool) removeNamespace(ns *namespace) {
	delete(p.namespaces, ns.name)
	if i, found := slices.BinarySearchFunc(p.order, ns.name, byName); found {
		p.order = slices.Delete(p.order, i, i+1)
	}
}

// before orders the jobs of a namespace: by priority, then age, then arrival.
func before(a, b *job) bool {
	return cmp.Or(cmp.Compare(b.Priority, a.Priority), a.Created.Compare(b.Created), cmp.Compare(a.sequence, b.sequence)) < 0
}

func (ns *namespace) isEmpty() bool {
	return !ns.configured && ns.isVacant() && ns.launcher.failure == nil && len(ns.departed) == 0
}

// isVacant reports whether the namespace has neither waiting jobs nor pods.
func (ns *namespace) isVacant() bool {
	return ns.waiting() == 0 && len(ns.pods) == 0 && len(ns.launching) == 0
}

// waiting returns how many jobs are queued.
func (ns *namespace) waiting() int { return ns.ready.len() + len(ns.held) + ns.delayed }

func (ns *namespace) addReady(j *job) {
	ns.ready.push(j)
	ns.load += load(j.Cost, ns.settings.IsolatePods)
}

func (ns *namespace) removeReady(j *job) {
	if ns.ready.remove(j) {
		ns.load -= load(j.Cost, ns.settings.IsolatePods)
	}
}

// weigh sets the load of the ready jobs after a change of the settings.
func (ns *namespace) weigh() {
	ns.load = 0
	for _, j := range ns.ready.items {
		ns.load += load(j.Cost, ns.settings.IsolatePods)
	}
}

// adopting reports whether a pod of an earlier process may still say that it renders a job.
func (ns *namespace) adopting(p *Pool, now time.Time) bool {
	for _, pod := range ns.list {
		if pod.foreign && pod.state == starting &&
			(p.listening.IsZero() || now.Before(latest(p.listening, p.awake).Add(p.options.AdoptionGrace))) {
			return true
		}
	}
	return false
}

// need returns how many pods the namespace's work asks for.
func (ns *namespace) need(now time.Time) int {
	work := ns.load
	for _, pod := range ns.list {
		if pod.state != rendering {
			continue
		}
		if j := pod.job; j == nil || ns.outdated(pod) {
			work += onePod
		} else {
			work += load(j.remaining(now), ns.settings.IsolatePods)
		}
	}
	need := (work + onePod - 1) / onePod
	if ready := ns.settings.MinReady; ready > 0 {
		// A short render does not ask for another ready pod: its own is ready again soon.
		need = max(need, ready+max(work-onePod/2+onePod-1, 0)/onePod)
	}
	return min(need, ns.settings.Max)
}

// stale reports whether a pod is made from something else than new pods.
func (ns *namespace) stale(pod *pod) bool {
	return ns.settings.Hash != "" && pod.hash != ns.settings.Hash
}

// unfit reports whether a pod must not take another task: it may do what new pods may not, or was made for another template, which may have
// been laxer.
func (ns *namespace) unfit(pod *pod) bool {
	return pod.unfit || ns.stale(pod) && pod.template != ns.settings.Template
}

// outdated reports whether a pod is stale or unfit, or has rendered enough.
func (ns *namespace) outdated(pod *pod) bool {
	s := ns.settings
	return ns.stale(pod) || ns.unfit(pod) || s.RendersPerPod > 0 && pod.renders >= s.RendersPerPod || s.IsolatePods && pod.renders > 0
}

// problem is why the namespace's jobs get no pod, in the words of its launches or its pods.
func (ns *namespace) problem() Problem {
	if f := ns.launcher.failure; f != nil {
		return Problem(*f)
	}
	var problems []Problem
	for _, pod := range ns.list {
		if pod.state == starting && pod.problem.Reason != "" {
			problems = append(problems, pod.problem)
		}
	}
	if len(problems) == 0 {
		return Problem{}
	}
	return slices.MinFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Message, b.Message))
	})
}

// idlePod returns a pod of a namespace that may take a task, the one that rendered last: the others may become superfluous. It returns nil
// if there is none.
func (p *Pool) idlePod(ns *namespace) *pod {
	var best *pod
	kept := ns.giving
	for _, pod := range ns.list {
		if pod.state != idle || pod.wake == nil || ns.unfit(pod) {
			continue
		}
		if kept > 0 {
			kept--
			continue
		}
		if p.cluster.rests(ns, pod) {
			continue
		}
		if best == nil || ns.outdated(best) && !ns.outdated(pod) ||
			ns.outdated(best) == ns.outdated(pod) && (pod.since.After(best.since) || pod.since.Equal(best.since) && pod.UID < best.UID) {
			best = pod
		}
	}
	return best
}
