// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package pool

import (
	"math/rand/v2"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

const (
	// askAgain is the least time between two requests for a pod's deletion, or for its lookup.
	askAgain = 10 * time.Second
	// signalAgain is when NamespaceChanged is called again if no Decide has followed.
	signalAgain = 5 * time.Second
)

// Launch is a render pod to create. The caller creates it and then calls Launched.
type Launch struct {
	PodName string
	// Hash of what the pod is to be made from.
	Hash string
	// replaces is true if the pod takes the room of one that has ended, after a quota has refused another.
	replaces bool
}

// LaunchFailure is why a render pod could not be created.
type LaunchFailure struct {
	// Reason is ReasonQuotaExceeded, ReasonPodForbidden or another one in CamelCase.
	Reason string
	// Message for the user. It names no pod.
	Message string
}

// Deletion is a render pod to delete. A pod that was told to exit is deleted, too: its room is free as soon as it has exited, and not one to
// two seconds later, when the kubelet finds that out.
type Deletion struct {
	PodID
	// Force is true for a pod that was not heard: nobody waits for its end.
	Force bool
}

// Decision is what to do about the render pods of a namespace.
type Decision struct {
	// Launch has the pods to create, in order. After a failure, the others need not be tried.
	Launch []Launch
	// Delete has pods that are not heard or not needed. If one does not exist, the caller calls Gone.
	Delete []Deletion
	// Lookup has pods that the API cache does not show. The caller reads them from the API server, and calls Gone for those that do not exist.
	Lookup []PodID
	// After is when to call Decide again, 0 for never. NamespaceChanged may call sooner.
	After time.Duration
}

// Decide returns what to do about the render pods of a namespace. It records the launches, and returns each deletion and lookup again
// after a while.
func (p *Pool) Decide(name string) Decision {
	defer p.lock()()
	ns := p.namespaces[name]
	if ns == nil {
		return Decision{}
	}
	now := p.options.Now()
	p.ripen(now)
	p.check(ns, now)
	p.balance(now)
	ns.signaled = time.Time{}
	delete(p.changed.namespaces, name)
	var d Decision
	for _, pod := range ns.list {
		if !p.asks(pod, now) {
			continue
		}
		pod.asked = now
		switch pod.state {
		case silent, retiring:
			d.Delete = append(d.Delete, Deletion{PodID: pod.PodID, Force: pod.state == silent})
		default:
			d.Lookup = append(d.Lookup, pod.PodID)
		}
	}
	for range min(ns.launchable, ns.launcher.most()) {
		replaces := ns.launcher.begun()
		podName := p.options.PodName()
		ns.launching[podName] = now
		ns.live++
		ns.launchable--
		d.Launch = append(d.Launch, Launch{PodName: podName, Hash: ns.settings.Hash, replaces: replaces})
	}
	if wait := ns.launcher.retry.Sub(now); wait > 0 && ns.need(now) > ns.live {
		d.After = wait
	}
	return d
}

// asks reports whether a pod has to be deleted or looked up now.
func (p *Pool) asks(pod *pod, now time.Time) bool {
	due := pod.state == silent || pod.state == retiring || !pod.seen && pod.counts() && now.Sub(pod.created) >= p.options.LookupAfter
	return due && (pod.asked.IsZero() || now.Sub(pod.asked) >= askAgain)
}

// signal calls NamespaceChanged if Decide would return something.
func (p *Pool) signal(ns *namespace, now time.Time) {
	if !ns.signaled.IsZero() && now.Sub(ns.signaled) < signalAgain {
		return
	}
	due := ns.launchable > 0 && ns.launcher.batch > 0
	for _, pod := range ns.list {
		due = due || p.asks(pod, now)
	}
	if due {
		ns.signaled = now
		p.namespaceChanged(ns.name)
	}
}

// Launched records the result of a Launch: the new pod's UID, or why it could not be created. Neither means that it was not tried.
func (p *Pool) Launched(name string, l Launch, uid types.UID, failure *LaunchFailure) {
	defer p.lock()()
	ns := p.namespace(name)
	now := p.options.Now()
	delete(ns.launching, l.PodName)
	switch {
	case failure != nil:
		p.options.Observer.LaunchFailed(failure.Reason)
		ns.launcher.failed(*failure, now)
	case uid == "":
	default:
		ns.launcher.succeeded(l.replaces)
		if ns.pods[uid] == nil {
			entry := p.addPod(ns, PodID{Namespace: name, Name: l.PodName, UID: uid}, now)
			entry.hash = l.Hash
		}
		ns.pods[uid].foreign = false
	}
	p.settle(ns)
}

// Status of a namespace's render pods.
type Status struct {
	// Ready pods wait for a task, Busy ones render, and Starting ones have not been heard yet.
	Ready, Busy, Starting int
	// Queued is the number of jobs that wait.
	Queued int
	// Problem is why jobs get no pod, if something is wrong.
	Problem Problem
}

// Status returns the status of a namespace's render pods.
func (p *Pool) Status(name string) Status {
	defer p.lock()()
	ns := p.namespaces[name]
	if ns == nil {
		return Status{}
	}
	s := Status{Starting: len(ns.launching), Queued: ns.waiting(), Problem: ns.problem()}
	for _, pod := range ns.list {
		switch pod.state {
		case starting:
			s.Starting++
		case idle:
			s.Ready++
		case rendering:
			s.Busy++
		case retiring, silent, gone:
		}
	}
	return s
}

// randomName returns a name for a new pod.
func randomName() string {
	const letters = "bcdfghjklmnpqrstvwxz2456789"
	name := []byte("platen-render-0123456789")
	for i := len(name) - 10; i < len(name); i++ {
		name[i] = letters[rand.IntN(len(letters))] //nolint:gosec // a name is no secret
	}
	return string(name)
}
