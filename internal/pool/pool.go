// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pool decides which render pod renders which job. It has no API client and is given its clock, so that tests can check every
// decision as a function of the calls before it.
//
//	Enqueue ─► queued ──Next──► rendering ──Finish──► rendered
//	             ▲                  │
//	             └── pod lost, browser crashed, while attempts remain ──► failed
//
// All of it is memory and can be lost at any time: the controller enqueues the jobs again, and a pod that still renders announces its
// task with its next heartbeat and keeps it.
package pool

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/platen-dev/platen/internal/render"
)

var (
	// ErrUnknownPod means that the pod is not a render pod of this pool.
	ErrUnknownPod = errors.New("pod is not known to this pool")
	// ErrRetire means that the pod has been idle for too long and must exit.
	ErrRetire = errors.New("pod is retired")
	// ErrGone means that the task is no longer the pod's: the job was deleted, changed or assigned to another pod.
	ErrGone = errors.New("task is gone")
	// ErrNotReady means that the pool has just started and does not know the task yet. The pod must try again.
	ErrNotReady = errors.New("pool is starting")
)

// Job is one revision of a RenderJob to render.
type Job struct {
	Key types.NamespacedName
	UID types.UID
	// Revision of the spec, as task.Revision returns it. It names the render in the content store.
	Revision string
	// Timeout bounds one attempt, from the moment a pod takes the task.
	Timeout time.Duration
	// BackoffLimit bounds the attempts after the first one.
	BackoffLimit int
	// Attempts is the number of lost attempts before this process knew the job.
	Attempts int
	// Task for the pod. Its strings are shared with the API cache, so a queued job costs little memory.
	Task render.Task
	// TotalPages is the number of the template's pages. Task may have fewer.
	TotalPages int
}

// Assignment is a task that a pod holds.
type Assignment struct {
	Job
	// TaskID is unique for each attempt: "<job UID>.<revision>.<attempt>".
	TaskID string
	// Attempt at the job, from 1.
	Attempt int
	// Deadline by which the pod must have reported.
	Deadline time.Time
	// PodName of the pod that holds the task.
	PodName string
}

// Phase is where a job stands in the pool.
type Phase string

// The phases of a job.
const (
	Unknown   Phase = ""
	Queued    Phase = "Queued"
	Rendering Phase = "Rendering"
	Rendered  Phase = "Rendered"
	Failed    Phase = "Failed"
)

// State of a job in the pool.
type State struct {
	Phase   Phase
	PodName string
	// TaskID of the attempt that a pod renders, and FileCount, the number of its files. Zero unless Phase is Rendering.
	TaskID        string
	FileCount     int
	RenderedPages int
	// TotalPages of the template.
	TotalPages int
	// Progress of a video, nil before its first frame and for any other format.
	Progress *render.Progress
	Attempts int
	// AcceptedTime is when the job was enqueued.
	AcceptedTime time.Time
	// RenderedTime is when the last page was stored; zero before.
	RenderedTime time.Time
	// Message says why the job waits or why its last attempt was lost.
	Message string
	// Failure is set when Phase is Failed.
	Failure *render.Error
}

// Options of a Pool.
type Options struct {
	// MaxPodsPerNamespace bounds the render pods of one namespace. Default 10.
	MaxPodsPerNamespace int
	// IdleTimeout after which a pod without a task is retired. Default 60 s.
	IdleTimeout time.Duration
	// HeartbeatTimeout after which a rendering pod without a heartbeat counts as lost. Default 15 s.
	HeartbeatTimeout time.Duration
	// AdoptionGrace is how long a pod that exists at start may take to announce its task. Default 5 s.
	AdoptionGrace time.Duration
	// RetryDelay before the second attempt of a job. It doubles for each further one. Default 1 s.
	RetryDelay time.Duration
	// Now returns the time.
	Now func() time.Time
	// JobChanged is called after a job's State has changed, and NamespaceChanged when Decide may return something else. Neither may call
	// the pool.
	JobChanged       func(types.NamespacedName)
	NamespaceChanged func(namespace string)
}

// Pool holds the queues and the pods of all namespaces. It is safe for concurrent use.
type Pool struct {
	options Options
	started time.Time

	mu         sync.Mutex
	jobs       map[types.NamespacedName]*job
	namespaces map[string]*namespace
	changed    changes
}

type namespace struct {
	queue []*job
	pods  map[types.UID]*pod
	// launching has the jobs of pods that Decide returned and that are not created yet, by pod name.
	launching map[string]*job
	// message of the last launch that failed.
	message string
}

type job struct {
	Job
	phase    Phase
	accepted time.Time
	attempts int
	// notBefore is when the next attempt may begin.
	notBefore  time.Time
	deadline   time.Time
	pod        *pod
	podName    string
	pages      int
	progress   *render.Progress
	progressAt time.Time // when progress last changed
	rendered   time.Time
	message    string
	failure    *render.Error
}

type changes struct {
	jobs       map[types.NamespacedName]bool
	namespaces map[string]bool
}

// New returns an empty pool.
func New(options Options) *Pool {
	defaults := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	defaults(&options.IdleTimeout, time.Minute)
	defaults(&options.HeartbeatTimeout, 15*time.Second)
	defaults(&options.AdoptionGrace, 5*time.Second)
	defaults(&options.RetryDelay, time.Second)
	if options.MaxPodsPerNamespace == 0 {
		options.MaxPodsPerNamespace = 10
	}
	return &Pool{
		options:    options,
		started:    options.Now(),
		jobs:       map[types.NamespacedName]*job{},
		namespaces: map[string]*namespace{},
	}
}

// Enqueue adds a job to the pool unless it is there. It replaces a job with the same key and another UID or revision, whose task is
// then gone.
func (p *Pool) Enqueue(j Job) {
	defer p.lock()()
	if old := p.jobs[j.Key]; old != nil {
		if old.UID == j.UID && old.Revision == j.Revision {
			return
		}
		p.drop(old)
	}
	now := p.options.Now()
	entry := &job{Job: j, phase: Queued, accepted: now, attempts: j.Attempts}
	p.jobs[j.Key] = entry
	ns := p.namespace(j.Key.Namespace)
	for _, pod := range ns.pods {
		if uid, revision, attempt, ok := parseTaskID(pod.announced); ok && uid == j.UID && revision == j.Revision {
			entry.attempts = attempt - 1
			p.assign(entry, pod)
			return
		}
	}
	ns.queue = append(ns.queue, entry)
	p.dispatch(j.Key.Namespace)
	p.namespaceChanged(j.Key.Namespace)
}

// Forget removes a job. The pod that renders it gets ErrGone for its next heartbeat.
func (p *Pool) Forget(key types.NamespacedName) {
	defer p.lock()()
	if j := p.jobs[key]; j != nil {
		p.drop(j)
	}
}

// State returns the state of one revision of a job. Phase is Unknown if the pool does not have it.
func (p *Pool) State(key types.NamespacedName, uid types.UID, revision string) State {
	defer p.lock()()
	j := p.jobs[key]
	if j == nil || j.UID != uid || j.Revision != revision {
		return State{}
	}
	s := State{
		Phase: j.phase, PodName: j.podName, RenderedPages: j.pages, Attempts: j.attempts,
		TotalPages: j.TotalPages, Progress: j.progress, AcceptedTime: j.accepted, RenderedTime: j.rendered, Message: j.message, Failure: j.failure,
	}
	if j.phase == Rendering {
		s.TaskID, s.FileCount = taskID(j.UID, j.Revision, j.attempts), len(j.Task.Files())
	}
	if j.phase == Queued && s.Message == "" {
		s.Message = p.waitMessage(j)
	}
	return s
}

// Expire acts on the time that has passed: deadlines, missing heartbeats, due attempts. Call it about once a second.
func (p *Pool) Expire() {
	defer p.lock()()
	now := p.options.Now()
	for name, ns := range p.namespaces {
		for _, pod := range ns.pods {
			j := pod.job
			switch {
			case j != nil && now.After(j.deadline.Add(p.options.HeartbeatTimeout)):
				p.fail(j, &render.Error{
					Reason:   ReasonDeadlineExceeded,
					Message:  fmt.Sprintf("rendering took longer than timeoutSeconds (%d s)", int(j.Timeout.Seconds())),
					Terminal: true,
				})
			case j != nil && now.Sub(pod.lastSeen) > p.options.HeartbeatTimeout:
				p.lose(j, fmt.Sprintf("render pod %s has not sent a heartbeat for %s", pod.Name, p.options.HeartbeatTimeout))
			case pod.announced != "" && now.Sub(p.started) > p.options.AdoptionGrace:
				pod.announced = ""
			}
		}
		if len(ns.queue) > 0 {
			p.dispatch(name)
			p.namespaceChanged(name)
		}
		if len(ns.queue) == 0 && len(ns.pods) == 0 && len(ns.launching) == 0 {
			delete(p.namespaces, name)
		}
	}
}

// drop removes a job from the pool, its queue and its pod. The lock must be held.
func (p *Pool) drop(j *job) {
	p.release(j)
	p.dequeue(j)
	delete(p.jobs, j.Key)
}

// dequeue removes a job from its queue.
func (p *Pool) dequeue(j *job) {
	ns := p.namespace(j.Key.Namespace)
	for i, q := range ns.queue {
		if q == j {
			ns.queue = append(ns.queue[:i:i], ns.queue[i+1:]...)
			return
		}
	}
}

// release takes a job from its pod, which becomes idle.
func (p *Pool) release(j *job) {
	if j.pod != nil {
		j.pod.job = nil
		j.pod.idleSince = p.options.Now()
		j.pod = nil
	}
}

// lose ends an attempt whose pod is lost.
func (p *Pool) lose(j *job, message string) {
	p.retry(j, &render.Error{Reason: ReasonPodLost, Message: message})
}

// retry queues a job for its next attempt, or fails it if none is left.
func (p *Pool) retry(j *job, failure *render.Error) {
	if j.attempts > j.BackoffLimit {
		p.fail(j, &render.Error{
			Reason:   ReasonBackoffLimitExceeded,
			Message:  fmt.Sprintf("%d attempts were lost, the last because %s", j.attempts, failure.Message),
			Terminal: true,
		})
		return
	}
	p.release(j)
	j.phase, j.pages, j.progress, j.message = Queued, 0, nil, failure.Message
	j.notBefore = p.options.Now().Add(p.options.RetryDelay << max(j.attempts-1, 0))
	p.requeue(j)
}

// requeue puts a job at the head of its queue, because it has waited before.
func (p *Pool) requeue(j *job) {
	ns := p.namespace(j.Key.Namespace)
	ns.queue = append([]*job{j}, ns.queue...)
	p.jobChanged(j.Key)
	p.dispatch(j.Key.Namespace)
	p.namespaceChanged(j.Key.Namespace)
}

// fail ends a job.
func (p *Pool) fail(j *job, failure *render.Error) {
	p.release(j)
	p.dequeue(j)
	j.phase, j.failure, j.message = Failed, failure, ""
	p.jobChanged(j.Key)
}

// namespace returns a namespace's state, which it creates if needed.
func (p *Pool) namespace(name string) *namespace {
	ns := p.namespaces[name]
	if ns == nil {
		ns = &namespace{pods: map[types.UID]*pod{}, launching: map[string]*job{}}
		p.namespaces[name] = ns
	}
	return ns
}

// lock takes the lock. It returns a function that releases the lock and then reports the changes.
func (p *Pool) lock() func() {
	p.mu.Lock()
	return func() {
		changed := p.changed
		p.changed = changes{}
		p.mu.Unlock()
		for key := range changed.jobs {
			p.options.JobChanged(key)
		}
		for name := range changed.namespaces {
			p.options.NamespaceChanged(name)
		}
	}
}

func (p *Pool) jobChanged(key types.NamespacedName) {
	if p.changed.jobs == nil {
		p.changed.jobs = map[types.NamespacedName]bool{}
	}
	p.changed.jobs[key] = true
}

func (p *Pool) namespaceChanged(name string) {
	if p.changed.namespaces == nil {
		p.changed.namespaces = map[string]bool{}
	}
	p.changed.namespaces[name] = true
}

func taskID(uid types.UID, revision string, attempt int) string {
	return fmt.Sprintf("%s.%s.%d", uid, revision, attempt)
}

func parseTaskID(id string) (uid types.UID, revision string, attempt int, ok bool) {
	parts := strings.Split(id, ".")
	if len(parts) != 3 {
		return "", "", 0, false
	}
	attempt, err := strconv.Atoi(parts[2])
	return types.UID(parts[0]), parts[1], attempt, err == nil
}
