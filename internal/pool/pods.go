// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package pool

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/platen-dev/platen/internal/render"
)

// progressInterval is the least time between two changes of a job's progress.
const progressInterval = time.Second

// PodID identifies a pod by its token.
type PodID struct {
	Namespace, Name string
	UID             types.UID
}

// Problem is why a pod does not run, or how it ended.
type Problem struct {
	// Reason is one that a Wait may have, or how the pod ended, such as OOMKilled. Empty if nothing is wrong.
	Reason string
	// Message for the user. It names no pod.
	Message string
}

// PodView is a render pod as the API server shows it.
type PodView struct {
	Name string
	UID  types.UID
	// Node that the scheduler has chosen, empty before.
	Node string
	// Hash of what the pod was made from, and Template, which names what its RenderPool asked for; see Settings.
	Hash, Template string
	// Started is true once a container runs or has run, Ended once all have ended, and Deleting once the pod has a deletion timestamp.
	Started, Ended, Deleting bool
	// Bare is true while the pod has a node and no sandbox on it: neither a network nor volumes.
	Bare bool
	// Unfit is true if the pod may do what new pods may not: it takes no further task.
	Unfit bool
	// Disrupted is true if the cluster ended the pod: by a drain, a preemption, an eviction or the shutdown of its node.
	Disrupted bool
	Problem   Problem
}

type pod struct {
	PodID
	contact
	hash, template, node string
	// unfit is true for a pod that must not take another task.
	unfit bool
	// foreign is true for a pod that this process did not launch, until the pod polls or gets a task back: it may have a task of an earlier process.
	foreign bool
	// renders is how many tasks the pod has taken.
	renders int
	// announced is a task that the pod renders and whose job is not enqueued yet, and plan, its plan if the pod has shown it.
	announced string
	plan      *Plan
	job       *job
	// wake ends the pod's poll. It is nil if no poll is open.
	wake    chan struct{}
	problem Problem
	// bare is since when the pod is without a sandbox; zero if it has one, or no node.
	bare time.Time
	// troubled is since when the pod has its problem.
	troubled time.Time
	// asked is when Decide last returned the pod for deletion or for a lookup.
	asked time.Time
}

// become changes the state.
func (e *pod) become(state podState, now time.Time) {
	e.state, e.since = state, now
	if state == idle {
		e.heard = now
	}
}

// counts reports whether the pod counts as one of its namespace's.
func (e *pod) counts() bool { return e.state == starting || e.state == idle || e.state == rendering }

// answer ends the pod's poll.
func (e *pod) answer() {
	if e.wake != nil {
		close(e.wake)
		e.wake = nil
	}
}

// assignment returns the task that the pod holds, nil if none.
func (e *pod) assignment() *Assignment {
	if e.job == nil {
		return nil
	}
	j := e.job
	return &Assignment{
		Job: j.Job, TaskID: j.taskID(), Attempt: j.attempt, Attempts: j.attempts,
		Accepted: j.accepted, Deadline: j.run.deadline, PodName: e.Name, Files: j.run.files,
	}
}

// ObservePods updates the pods of a namespace. A pod that the pool has seen and that is missing now is gone: its job gets another
// attempt.
func (p *Pool) ObservePods(name string, views []PodView) {
	defer p.lock()()
	if len(views) == 0 && p.namespaces[name] == nil {
		return
	}
	ns := p.namespace(name)
	ns.observed = true
	now := p.options.Now()
	present := make(map[types.UID]bool, len(views))
	ns.observeLeaving(views)
	for _, v := range views {
		present[v.UID] = true
		if ns.departed[v.UID] {
			continue
		}
		entry := ns.pods[v.UID]
		if entry == nil {
			if v.Ended || v.Deleting {
				continue
			}
			entry = p.addPod(ns, PodID{Namespace: name, Name: v.Name, UID: v.UID}, now)
			_, mine := ns.launching[v.Name]
			delete(ns.launching, v.Name)
			entry.foreign = !mine && (p.listening.IsZero() || now.Before(p.listening.Add(p.options.AdoptionGrace)))
		}
		entry.seen, entry.node, entry.hash, entry.template, entry.unfit = true, v.Node, v.Hash, v.Template, v.Unfit
		if v.Started && entry.running.IsZero() {
			entry.running = now
		}
		switch {
		case !v.Bare:
			entry.bare = time.Time{}
		case entry.bare.IsZero():
			entry.bare = now
		}
		problem := v.Problem
		if problem == (Problem{}) {
			problem = p.sandboxProblem(entry, now)
		}
		if entry.problem.Reason != problem.Reason {
			entry.troubled = now
		}
		entry.problem = problem
		if v.Ended || v.Deleting {
			p.removePod(ns, entry, v.Disrupted || v.Deleting && (!v.Ended || v.Problem.Reason == ""))
		}
	}
	for _, entry := range slices.Clone(ns.list) {
		if entry.seen && !present[entry.UID] {
			p.removePod(ns, entry, true)
		}
	}
	maps.DeleteFunc(ns.departed, func(uid types.UID, _ bool) bool { return !present[uid] })
	p.hold(ns, now)
	p.settle(ns)
}

// sandboxProblem says that a pod has been without a sandbox for too long. The kubelet says why only in events, which the manager does not read.
func (p *Pool) sandboxProblem(entry *pod, now time.Time) Problem {
	if entry.bare.IsZero() || now.Sub(entry.bare) < p.options.SandboxTimeout {
		return Problem{}
	}
	return Problem{ReasonContainerStartFailed, fmt.Sprintf("a node has not made the sandbox of a render pod, such as its network and its volumes, for more than %d s; "+
		"the pod's events say why: kubectl describe pods -n %s -l app.kubernetes.io/component=renderer", int(p.options.SandboxTimeout.Seconds()), entry.Namespace)}
}

// observeLeaving updates the pods that are being deleted and still run. One that does not any more makes room in a quota.
func (ns *namespace) observeLeaving(views []PodView) {
	before := ns.leaving
	ns.leaving = map[types.UID]bool{}
	for _, v := range views {
		if v.Deleting && !v.Ended {
			ns.leaving[v.UID] = true
		}
	}
	for uid := range before {
		if !ns.leaving[uid] {
			ns.launcher.roomInQuota()
		}
	}
}

// hold keeps the jobs that a pod of an earlier process may be rendering, until those pods are heard.
func (p *Pool) hold(ns *namespace, now time.Time) {
	if !ns.adopting(p, now) {
		return
	}
	for _, j := range slices.Clone(ns.ready.items) {
		if p.mayBeRunning(j) {
			ns.removeReady(j)
			p.queue(ns, j, now)
		}
	}
}

// endHold lets the jobs go on that no pod of an earlier process renders.
func (p *Pool) endHold(ns *namespace, now time.Time) {
	for j := range ns.held {
		switch {
		case !j.AdoptOnly:
			j.held = false
			delete(ns.held, j)
			p.queue(ns, j, now)
		case !p.mayBeUnseen(ns, now):
			p.drop(j)
			p.jobChanged(j.Key)
		}
	}
}

// mayBeUnseen reports whether a namespace may have pods of an earlier process that this one has not seen yet.
func (p *Pool) mayBeUnseen(ns *namespace, now time.Time) bool {
	return !ns.observed && (p.listening.IsZero() || now.Before(p.listening.Add(p.options.AdoptionGrace)))
}

// Gone says that a lookup has found that a pod does not exist.
func (p *Pool) Gone(name string, uid types.UID) {
	defer p.lock()()
	if ns := p.namespaces[name]; ns != nil && ns.pods[uid] != nil {
		if ns.pods[uid].seen {
			ns.departed[uid] = true // the cache lags: it may show the pod again
		}
		p.removePod(ns, ns.pods[uid], true)
		p.settle(ns)
	}
}

// Next waits for a task for the pod. It returns nil and no error if ctx ends first. A pod that holds a task gets the same task again: the
// first answer was lost.
func (p *Pool) Next(ctx context.Context, id PodID) (*Assignment, error) {
	unlock := p.lock()
	now := p.options.Now()
	entry, err := p.known(id, now)
	if err != nil {
		unlock()
		return nil, err
	}
	ns := p.namespace(id.Namespace)
	entry.heard = now
	entry.announced, entry.plan, entry.contact.announced = "", nil, false
	if entry.state == starting && !entry.foreign {
		p.options.Observer.Started(now.Sub(entry.created))
	}
	entry.foreign = false // it asks for a task, so it has none of an earlier process
	if entry.job == nil && entry.state != idle {
		entry.become(idle, now)
	}
	entry.answer() // a poll that the pod has given up
	wake := make(chan struct{})
	entry.wake, entry.polling = wake, true
	p.settle(ns)
	if entry.job != nil || entry.state >= retiring {
		entry.wake, entry.polling = nil, false
		defer unlock()
		if entry.state >= retiring {
			return nil, ErrRetire
		}
		return entry.assignment(), nil
	}
	unlock()

	select {
	case <-wake:
	case <-ctx.Done():
	}
	defer p.lock()()
	if entry.wake != nil && entry.wake != wake {
		return nil, nil //nolint:nilnil // the pod has polled again
	}
	entry.wake, entry.polling = nil, false
	entry.heard = p.options.Now()
	switch {
	case entry.state >= retiring:
		return nil, ErrRetire
	case ctx.Err() != nil:
		return nil, nil //nolint:nilnil // a poll that ends without a task is no error
	}
	return entry.assignment(), nil
}

// Heartbeat records that the pod still renders the task, as Holds does. The error is ErrGone if the task is no longer the pod's.
func (p *Pool) Heartbeat(id PodID, task string, plan *Plan) error {
	_, err := p.Holds(id, task, plan)
	if err == ErrNotReady { //nolint:errorlint // returned by Holds as it is
		return nil
	}
	return err
}

// Holds returns the assignment if the pod holds the task. A pod of an earlier process gets its task back here, with the plan that it shows,
// nil for none. The error is ErrUnknownPod, ErrRetire, ErrGone, or ErrNotReady while the job of an announced task is not enqueued yet.
func (p *Pool) Holds(id PodID, task string, plan *Plan) (*Assignment, error) {
	defer p.lock()()
	now := p.options.Now()
	entry, err := p.known(id, now)
	if err != nil {
		return nil, err
	}
	if entry.job != nil {
		if entry.job.taskID() != task {
			return nil, ErrGone
		}
		entry.heard, entry.job.run.confirmed = now, true
		if entry.job.run.files.Plan() == nil {
			entry.job.expect(plan)
		}
		return entry.assignment(), nil
	}
	uid, revision, attempt, ok := parseTaskID(task)
	if !ok || !entry.foreign {
		return nil, ErrGone // an idle pod is heard when it polls, not when it insists on a lost task
	}
	if plan == nil && attempt > p.nextAttempt(now)+maxAhead {
		return nil, ErrGone // the pod has made it up, and all later attempts would have greater numbers
	}
	ns := p.namespace(id.Namespace)
	j := p.byUID[uid]
	switch {
	case j != nil && j.Key.Namespace == id.Namespace && j.Revision == revision && j.phase == Queued && j.attempt == 0:
		entry.heard = now
		p.adopt(j, entry, attempt, plan, now)
		p.settle(ns)
		return entry.assignment(), nil
	case j == nil && now.Before(p.listening.Add(p.options.AnnounceGrace)):
		entry.heard = now
		if entry.state != rendering {
			entry.become(rendering, now)
		}
		if entry.announced != task && plan != nil {
			p.jobChanged(plan.Key) // it may have been found to be impossible to render
		}
		entry.announced, entry.plan, entry.contact.announced = task, plan, true
		p.settle(ns)
		return nil, ErrNotReady
	}
	return nil, ErrGone
}

// Expect sets the plan of a task that the pod holds. It says nothing of the pod: that may not have received the task.
func (p *Pool) Expect(id PodID, task string, plan *Plan) {
	defer p.lock()()
	entry, err := p.known(id, p.options.Now())
	if err == nil && entry.job != nil && entry.job.taskID() == task {
		entry.job.expect(plan)
	}
}

// Stored records how many of a task's files are stored. The pages in their own size come first. While others follow, the next Expire tells
// of them, so that they are uploaded meanwhile, many at a time.
func (p *Pool) Stored(id PodID, task string, files int) {
	defer p.lock()()
	if j := p.held(id, task); j != nil {
		j.run.pages = min(files, j.Pages)
		j.run.arrived = files < j.Files
	}
}

// Progress records the progress of a video, at most once a second, because each change is a write of the job's status.
func (p *Pool) Progress(id PodID, task string, progress render.Progress) {
	defer p.lock()()
	j := p.held(id, task)
	now := p.options.Now()
	if j == nil || now.Sub(j.run.progressAt) < progressInterval {
		return
	}
	progress.Percent = min(max(progress.Percent, 0), 100)
	progress.Frames = max(progress.Frames, 0)
	j.run.progress, j.run.progressAt = &progress, now
	p.jobChanged(j.Key)
}

// Finish ends an attempt. failure is nil if all files are stored. The error is ErrGone if the task is no longer the pod's.
func (p *Pool) Finish(id PodID, task string, failure *render.Error) error {
	defer p.lock()()
	j := p.held(id, task)
	if j == nil {
		return ErrGone
	}
	switch {
	case failure == nil:
		now := p.options.Now()
		p.options.Observer.Ended(OutcomeRendered)
		p.options.Observer.Rendered(now.Sub(j.run.started))
		p.release(j)
		p.unqueue(j)
		j.phase, j.rendered = Rendered, now
		p.jobChanged(j.Key)
	case failure.Terminal:
		p.fail(j, failure)
	default:
		p.retry(j, failure)
	}
	p.settle(p.namespace(id.Namespace))
	return nil
}

// Postpone puts a task back into the queue for a reason that is not the attempt's fault. The attempt does not count, and each further one
// comes later. The error is ErrGone if the task is no longer the pod's.
func (p *Pool) Postpone(id PodID, task, reason, message string) error {
	defer p.lock()()
	j := p.held(id, task)
	if j == nil {
		return ErrGone
	}
	p.options.Observer.Ended(OutcomePostponed)
	p.requeue(j, Wait{reason, message}, p.backoff(j.postponed))
	j.postponed++
	p.settle(p.namespace(id.Namespace))
	return nil
}

// Lose puts a task back whose stored files the content store has lost. That counts as an attempt only after MaxLost times. The error is ErrGone
// if the task is no longer the pod's.
func (p *Pool) Lose(id PodID, task string) error {
	defer p.lock()()
	j := p.held(id, task)
	if j == nil {
		return ErrGone
	}
	j.Lost++
	p.lose(j, lostFiles, j.Lost <= MaxLost)
	p.settle(p.namespace(id.Namespace))
	return nil
}

// known returns the pod with an identity. The error is ErrUnknownPod or ErrRetire, or ErrNotReady while the pods of an earlier process
// may not be observed yet.
func (p *Pool) known(id PodID, now time.Time) (*pod, error) {
	p.listen(now)
	var entry *pod
	if ns := p.namespaces[id.Namespace]; ns != nil {
		entry = ns.pods[id.UID]
	}
	switch {
	case entry != nil && entry.Name == id.Name:
	case now.Before(p.listening.Add(p.options.AdoptionGrace)):
		return nil, ErrNotReady
	default:
		return nil, ErrUnknownPod
	}
	if entry.state >= retiring {
		return nil, ErrRetire
	}
	return entry, nil
}

// held returns the job of a task that the pod holds, nil if it does not hold it.
func (p *Pool) held(id PodID, task string) *job {
	now := p.options.Now()
	entry, err := p.known(id, now)
	if err != nil || entry.job == nil || entry.job.taskID() != task {
		return nil
	}
	entry.heard, entry.job.run.confirmed = now, true
	return entry.job
}

func (p *Pool) addPod(ns *namespace, id PodID, now time.Time) *pod {
	entry := &pod{PodID: id, hash: ns.settings.Hash, template: ns.settings.Template, contact: contact{created: now, since: now}}
	ns.pods[id.UID] = entry
	ns.list = append(ns.list, entry)
	return entry
}

func (ns *namespace) forgetPod(entry *pod) {
	delete(ns.pods, entry.UID)
	ns.list = slices.DeleteFunc(ns.list, func(e *pod) bool { return e == entry })
}

// removePod removes a pod. Its job gets another attempt. excused says that the lost attempt does not count.
func (p *Pool) removePod(ns *namespace, entry *pod, excused bool) {
	ns.forgetPod(entry)
	if !ns.leaving[entry.UID] {
		ns.launcher.roomInQuota()
	}
	cause := entry.problem.Message
	if cause == "" {
		cause = "it was deleted"
	}
	if j := entry.job; j != nil {
		p.lose(j, "the render pod ended: "+cause, excused)
	}
	entry.become(gone, p.options.Now())
	entry.answer()
}

// check moves the pods of a namespace to the states that they have now, and ends what must not wait any longer.
func (p *Pool) check(ns *namespace, now time.Time) {
	for _, entry := range slices.Clone(ns.list) {
		if j := entry.job; j != nil && now.After(j.run.deadline.Add(p.options.Lease)) {
			p.fail(j, &render.Error{
				Reason:   ReasonDeadlineExceeded,
				Message:  fmt.Sprintf("rendering took longer than timeoutSeconds (%d s)", int(j.Timeout.Seconds())),
				Terminal: true,
			})
		}
		if entry.problem == (Problem{}) {
			entry.problem = p.sandboxProblem(entry, now)
		}
		switch state := entry.next(&p.options, p.listening, p.awake, now); state {
		case entry.state:
		case gone:
			ns.forgetPod(entry)
		default:
			p.moved(entry, state, now)
		}
	}
	for name, begun := range ns.launching {
		if now.Sub(begun) >= launchTimeout {
			delete(ns.launching, name)
		}
	}
	if len(ns.held) > 0 && !ns.adopting(p, now) {
		p.endHold(ns, now)
	}
	if ns.launcher.failure != nil && !now.Before(ns.launcher.retry) && ns.waiting() == 0 && ns.need(now) <= ns.live {
		ns.launcher = launcher{batch: firstLaunches} // nobody waits any more
	}
	p.notifyAll(ns, now)
}

// moved puts a pod into a state that it has reached by the passing of time.
func (p *Pool) moved(entry *pod, state podState, now time.Time) {
	entry.announced, entry.plan, entry.contact.announced = "", nil, false
	entry.become(state, now)
	entry.asked = time.Time{}
	if j := entry.job; state == silent && j != nil {
		excused := !j.run.confirmed && j.unconfirmed < maxUnconfirmed
		if excused {
			j.unconfirmed++
		}
		p.lose(j, fmt.Sprintf("the render pod was not heard for %s", p.options.Lease), excused)
	}
	if state == silent {
		entry.answer()
	}
}

// retire tells an idle pod to exit.
func (p *Pool) retire(entry *pod, now time.Time) {
	entry.become(retiring, now)
	if b := p.cluster.boosts[entry.node]; b != nil {
		delete(b.resting, entry.UID) // another one can rest
	}
	entry.answer()
}

// dispatch gives the ready jobs of a namespace to its pods that poll, but for those that it must give up soon and those that rest.
func (p *Pool) dispatch(ns *namespace, now time.Time) {
	for ns.ready.len() > 0 {
		entry := p.idlePod(ns)
		if entry == nil {
			return
		}
		p.assign(ns.ready.top(), entry, now)
	}
}
