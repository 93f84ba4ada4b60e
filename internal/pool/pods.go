// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package pool

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/platen-dev/platen/internal/render"
)

// Reasons of failures that the pool finds, in addition to those of package render.
const (
	ReasonPodLost              = "PodLost"
	ReasonDeadlineExceeded     = "DeadlineExceeded"
	ReasonBackoffLimitExceeded = "BackoffLimitExceeded"
)

// progressInterval is the least time between two changes of a job's progress.
const progressInterval = time.Second

// PodID identifies a pod by its token.
type PodID struct {
	Namespace, Name string
	UID             types.UID
}

// PodView is a render pod as the API server shows it.
type PodView struct {
	Name string
	UID  types.UID
	// Owner is the UID of the job for which the pod was created.
	Owner types.UID
	// Ended is true once the pod's containers have ended, and Deleting once the pod has a deletion timestamp.
	Ended, Deleting bool
	// Message says why the pod waits (Unschedulable, ErrImagePull) or how it ended (OOMKilled).
	Message string
}

// Launch is a render pod to create. The caller creates it and then calls Launched.
type Launch struct {
	Job     types.NamespacedName
	JobUID  types.UID
	PodName string
}

type pod struct {
	PodID
	owner types.UID
	// seen is true once the API cache has shown the pod: then its absence means that it is gone.
	seen bool
	// connected is true once the pod has polled this process or sent a heartbeat to it.
	connected bool
	// adoptUntil is the end of the time in which a pod of an earlier process may announce its task.
	adoptUntil time.Time
	// announced is a task that the pod renders and that the pool does not know yet.
	announced string
	lastSeen  time.Time
	idleSince time.Time
	job       *job
	// wake ends the pod's poll. It is nil if no poll waits.
	wake    chan struct{}
	retired bool
	message string
}

// ObservePods updates the pods of a namespace. A pod that the pool has seen and that is missing now is gone: its job gets another
// attempt.
func (p *Pool) ObservePods(name string, views []PodView) {
	defer p.lock()()
	ns := p.namespace(name)
	now := p.options.Now()
	present := map[types.UID]bool{}
	for _, v := range views {
		present[v.UID] = true
		entry := ns.pods[v.UID]
		if entry == nil {
			if v.Ended || v.Deleting {
				continue
			}
			entry = p.addPod(ns, PodID{Namespace: name, Name: v.Name, UID: v.UID}, v.Owner)
			if ns.launching[v.Name] != nil {
				delete(ns.launching, v.Name)
			} else {
				entry.adoptUntil = now.Add(p.options.AdoptionGrace)
			}
		}
		entry.seen = true
		if entry.message != v.Message {
			entry.message = v.Message
			p.queueChanged(ns)
		}
		if v.Ended || v.Deleting {
			p.removePod(ns, entry, v.Deleting && !v.Ended)
		}
	}
	for uid, entry := range ns.pods {
		if entry.seen && !present[uid] {
			p.removePod(ns, entry, true)
		}
	}
	p.dispatch(name)
}

// Decide returns the render pods that a namespace needs in addition to its present ones, and records them as launching.
func (p *Pool) Decide(name string) []Launch {
	defer p.lock()()
	ns := p.namespace(name)
	now := p.options.Now()
	if ns.adopting(now) {
		return nil
	}
	available := len(ns.launching)
	for _, pod := range ns.pods {
		if pod.job == nil && !pod.retired {
			available++
		}
	}
	var launches []Launch
	for _, j := range ns.queue {
		if j.notBefore.After(now) {
			continue
		}
		if available > 0 {
			available--
			continue
		}
		if len(ns.pods)+len(ns.launching) >= p.options.MaxPodsPerNamespace {
			break
		}
		podName := ns.freeName(j)
		ns.launching[podName] = j
		launches = append(launches, Launch{Job: j.Key, JobUID: j.UID, PodName: podName})
	}
	return launches
}

// Launched records the result of a Launch: the new pod's UID, or the error of its creation.
func (p *Pool) Launched(l Launch, uid types.UID, err error) {
	defer p.lock()()
	ns := p.namespace(l.Job.Namespace)
	delete(ns.launching, l.PodName)
	message := ""
	if err != nil {
		message = fmt.Sprintf("render pod could not be created: %v", err)
	} else if ns.pods[uid] == nil {
		p.addPod(ns, PodID{Namespace: l.Job.Namespace, Name: l.PodName, UID: uid}, l.JobUID)
	}
	if ns.message != message {
		ns.message = message
		p.queueChanged(ns)
	}
}

// Next waits for a task for the pod. It returns nil and no error if ctx ends first. A pod that holds a task gets the same task again: the
// first answer was lost.
func (p *Pool) Next(ctx context.Context, id PodID) (*Assignment, error) {
	unlock := p.lock()
	entry, err := p.contact(id)
	if err != nil {
		unlock()
		return nil, err
	}
	entry.announced = ""
	if entry.job == nil && p.options.Now().Sub(entry.idleSince) >= p.options.IdleTimeout {
		entry.retired = true
		p.namespaceChanged(id.Namespace)
		unlock()
		return nil, ErrRetire
	}
	wake := make(chan struct{}, 1)
	entry.wake = wake
	p.dispatch(id.Namespace)
	if a := entry.assignment(); a != nil {
		entry.wake = nil
		unlock()
		return a, nil
	}
	unlock()

	select {
	case <-wake:
	case <-ctx.Done():
	}
	defer p.lock()()
	if entry.wake == wake {
		entry.wake = nil
	}
	entry.lastSeen = p.options.Now()
	if ctx.Err() != nil {
		return nil, nil //nolint:nilnil // a poll that ends without a task is no error
	}
	return entry.assignment(), nil
}

// Heartbeat records that the pod still renders the task. The error is ErrGone if the task is no longer the pod's.
func (p *Pool) Heartbeat(id PodID, task string) error {
	_, err := p.Holds(id, task)
	if err == ErrNotReady { //nolint:errorlint // returned by Holds as it is
		return nil
	}
	return err
}

// Holds returns the assignment if the pod holds the task. A pod of an earlier process gets its task back here. The error is
// ErrUnknownPod, ErrGone, or ErrNotReady while the job of an announced task is not enqueued yet.
func (p *Pool) Holds(id PodID, task string) (*Assignment, error) {
	defer p.lock()()
	entry, err := p.contact(id)
	if err != nil {
		return nil, err
	}
	if a := entry.assignment(); a != nil {
		if a.TaskID == task {
			return a, nil
		}
		return nil, ErrGone
	}
	uid, revision, attempt, ok := parseTaskID(task)
	if !ok {
		return nil, ErrGone
	}
	for _, j := range p.namespace(id.Namespace).queue {
		if j.UID == uid && j.Revision == revision && j.attempts < attempt {
			p.dequeue(j)
			j.attempts = attempt - 1
			p.assign(j, entry)
			return entry.assignment(), nil
		}
	}
	if p.options.Now().Sub(p.started) <= p.options.AdoptionGrace {
		entry.announced = task
		return nil, ErrNotReady
	}
	return nil, ErrGone
}

// Stored records how many of a task's files are stored. The pages in their own size come first.
func (p *Pool) Stored(id PodID, task string, files int) {
	defer p.lock()()
	if j := p.held(id, task); j != nil {
		j.pages = min(files, len(j.Task.Pages))
	}
}

// Progress records the progress of a video, at most once a second, because each change is a write of the job's status.
func (p *Pool) Progress(id PodID, task string, progress render.Progress) {
	defer p.lock()()
	j := p.held(id, task)
	now := p.options.Now()
	if j == nil || now.Sub(j.progressAt) < progressInterval {
		return
	}
	progress.Percent = min(max(progress.Percent, 0), 100)
	progress.Frames = max(progress.Frames, 0)
	j.progress, j.progressAt = &progress, now
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
		p.release(j)
		j.phase, j.message, j.rendered = Rendered, "", p.options.Now()
		j.pages = len(j.Task.Pages)
		p.jobChanged(j.Key)
	case failure.Terminal:
		p.fail(j, failure)
	default:
		p.retry(j, failure)
	}
	p.dispatch(id.Namespace)
	return nil
}

// contact returns the pod with an identity and records that it is alive.
func (p *Pool) contact(id PodID) (*pod, error) {
	ns := p.namespaces[id.Namespace]
	if ns == nil {
		return nil, ErrUnknownPod
	}
	entry := ns.pods[id.UID]
	if entry == nil || entry.Name != id.Name {
		return nil, ErrUnknownPod
	}
	if entry.retired {
		return nil, ErrRetire
	}
	if !entry.connected {
		entry.connected = true
		entry.idleSince = p.options.Now()
	}
	entry.lastSeen = p.options.Now()
	return entry, nil
}

// held returns the job of a task that the pod holds, nil if it does not hold it.
func (p *Pool) held(id PodID, task string) *job {
	entry, err := p.contact(id)
	if err != nil {
		return nil
	}
	if a := entry.assignment(); a != nil && a.TaskID == task {
		return entry.job
	}
	return nil
}

func (p *Pool) addPod(ns *namespace, id PodID, owner types.UID) *pod {
	now := p.options.Now()
	entry := &pod{PodID: id, owner: owner, lastSeen: now, idleSince: now}
	ns.pods[id.UID] = entry
	return entry
}

// removePod removes a pod. Its job gets another attempt. deleted says that somebody deleted the pod while it ran: then the lost attempt
// does not count, unless the pod was created for this job.
func (p *Pool) removePod(ns *namespace, entry *pod, deleted bool) {
	delete(ns.pods, entry.UID)
	if entry.wake != nil {
		entry.wake <- struct{}{}
		entry.wake = nil
	}
	cause := entry.message
	if cause == "" {
		cause = "it was deleted"
	}
	message := fmt.Sprintf("render pod %s ended: %s", entry.Name, cause)
	switch {
	case entry.job != nil && deleted && entry.owner != entry.job.UID:
		j := entry.job
		p.release(j)
		j.attempts--
		j.phase, j.pages, j.progress, j.message = Queued, 0, nil, message
		p.requeue(j)
	case entry.job != nil:
		p.lose(entry.job, message)
	case !entry.connected:
		// The pod never connected: that was an attempt of the job for which it was created.
		for _, j := range ns.queue {
			if j.UID == entry.owner {
				p.dequeue(j)
				j.attempts++
				p.lose(j, message)
				break
			}
		}
	}
	p.namespaceChanged(entry.Namespace)
}

// dispatch assigns queued jobs to pods that poll: to the pod that was created for the job, else to the one that is idle for longest.
func (p *Pool) dispatch(name string) {
	ns := p.namespace(name)
	now := p.options.Now()
	if ns.adopting(now) {
		return
	}
	for _, j := range append([]*job(nil), ns.queue...) {
		if j.notBefore.After(now) {
			continue
		}
		entry := ns.idlePod(j.UID)
		if entry == nil {
			return
		}
		p.dequeue(j)
		p.assign(j, entry)
	}
}

// assign assigns a job to a pod.
func (p *Pool) assign(j *job, entry *pod) {
	j.attempts++
	j.phase, j.pod, j.podName, j.pages, j.progress, j.message = Rendering, entry, entry.Name, 0, nil, ""
	j.deadline = p.options.Now().Add(j.Timeout)
	entry.job, entry.announced = j, ""
	if entry.wake != nil {
		entry.wake <- struct{}{}
		entry.wake = nil
	}
	p.jobChanged(j.Key)
}

// queueChanged reports a change of every queued job of a namespace: its message.
func (p *Pool) queueChanged(ns *namespace) {
	for _, j := range ns.queue {
		p.jobChanged(j.Key)
	}
}

// waitMessage returns what a queued job waits for.
func (p *Pool) waitMessage(j *job) string {
	ns := p.namespace(j.Key.Namespace)
	for _, pod := range ns.pods {
		if !pod.connected && pod.message != "" {
			return fmt.Sprintf("render pod %s waits: %s", pod.Name, pod.message)
		}
	}
	if ns.message != "" {
		return ns.message
	}
	return "waiting for a render pod"
}

// assignment returns the task that the pod holds, nil if none.
func (e *pod) assignment() *Assignment {
	if e.job == nil {
		return nil
	}
	return &Assignment{
		Job:      e.job.Job,
		TaskID:   taskID(e.job.UID, e.job.Revision, e.job.attempts),
		Attempt:  e.job.attempts,
		Deadline: e.job.deadline,
		PodName:  e.Name,
	}
}

// adopting reports whether a pod of an earlier process may still announce its task.
func (ns *namespace) adopting(now time.Time) bool {
	for _, pod := range ns.pods {
		if !pod.connected && pod.adoptUntil.After(now) {
			return true
		}
	}
	return false
}

// idlePod returns a polling pod without a job: that of the owner, else the one idle for longest, else nil.
func (ns *namespace) idlePod(owner types.UID) *pod {
	var best *pod
	for _, pod := range ns.pods {
		switch {
		case pod.wake == nil || pod.job != nil || pod.retired:
		case pod.owner == owner:
			return pod
		case best == nil || pod.idleSince.Before(best.idleSince):
			best = pod
		}
	}
	return best
}

// freeName returns the name of a job's next pod. It is deterministic, so that a Create that is repeated after a crash finds the pod
// instead of creating a second one.
func (ns *namespace) freeName(j *job) string {
	for n := j.attempts + 1; ; n++ {
		name := fmt.Sprintf("render-%s-%s-%d", j.UID, j.Revision, n)
		taken := ns.launching[name] != nil
		for _, pod := range ns.pods {
			taken = taken || pod.Name == name
		}
		if !taken {
			return name
		}
	}
}
