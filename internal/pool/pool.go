// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pool decides which render pod renders which job, and how many render pods each namespace has. It has no API client, no
// goroutine, and is given its clock, so that tests can check every decision as a function of the calls before it.
//
// A job:
//
//	Enqueue ─► queued ──Next──► rendering ──Finish──► rendered
//	             ▲                  │
//	             ├── Postpone ──────┤
//	             └── pod lost, browser crashed, while attempts remain ──► failed
//
// A pod belongs to its namespace's pool, never to a job, and counts only while it is heard:
//
//	Decide ─► launching ─► starting ──Next──► idle ⇄ rendering
//	                          │                │  ╲      │
//	                          │                │   retiring
//	                          └── not heard ───┴─► silent ─► gone
//
// All of it is memory and can be lost at any time: the controllers enqueue the jobs and observe the pods again, and a pod that still
// renders announces its task with its next heartbeat and keeps it.
package pool

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/render"
)

var (
	// ErrUnknownPod means that the pod is not a render pod of this pool.
	ErrUnknownPod = errors.New("pod is not known to this pool")
	// ErrRetire means that the pod is not needed any more, or was not heard for too long, and must exit.
	ErrRetire = errors.New("pod is retired")
	// ErrGone means that the task is no longer the pod's: the job was deleted, changed or assigned to another pod.
	ErrGone = errors.New("task is gone")
	// ErrNotReady means that this process does not know the task yet. The pod must try again.
	ErrNotReady = errors.New("pool is starting")
)

// Reasons of failures that the pool finds, in addition to those of package render.
const (
	ReasonPodLost              = "PodLost"
	ReasonDeadlineExceeded     = "DeadlineExceeded"
	ReasonBackoffLimitExceeded = "BackoffLimitExceeded"
)

// Reasons of a Wait.
const (
	// ReasonQueued means that the job waits for its turn.
	ReasonQueued = "Queued"
	// ReasonRetrying means that an attempt was lost and that another follows.
	ReasonRetrying = "Retrying"
	// ReasonQuotaExceeded means that the quota of the namespace admits no more render pods.
	ReasonQuotaExceeded = "QuotaExceeded"
	// ReasonPodForbidden means that the API server refuses render pods in the namespace.
	ReasonPodForbidden = "PodForbidden"
	// ReasonUnschedulable means that no node has room for a render pod.
	ReasonUnschedulable = "Unschedulable"
	// ReasonImagePullFailed means that a node could not pull the image of a render pod.
	ReasonImagePullFailed = "ImagePullFailed"
	// ReasonContainerStartFailed means that a node cannot start the container of a render pod.
	ReasonContainerStartFailed = "ContainerStartFailed"
	// ReasonContentStoreFull means that the content store has no room for the job's files.
	ReasonContentStoreFull = "ContentStoreFull"
	// ReasonContentStoreUnavailable means that the content store does not work.
	ReasonContentStoreUnavailable = "ContentStoreUnavailable"
)

// Job is one revision of a RenderJob to render. It has nothing of what is rendered, so that a queued job costs little memory.
type Job struct {
	Key      types.NamespacedName
	UID      types.UID
	Revision string
	// Priority orders the jobs of a namespace, the highest first. Jobs of one priority are ordered by Created.
	Priority int32
	// Created is the creation time of the RenderJob.
	Created time.Time
	// Timeout bounds one attempt, from the moment a pod takes the task.
	Timeout time.Duration
	// BackoffLimit bounds the attempts after the first one.
	BackoffLimit int
	// Attempts is the number of lost attempts before this process knew the job.
	Attempts int
	// Lost is the number of renders that the content store has lost. The next one waits as after disruptions.
	Lost int
	// Pages to render, TotalPages of the template, and Files that a render has.
	Pages, TotalPages, Files int
	// Cost is how long a render is expected to take. 0 is defaultCost.
	Cost time.Duration
	// AdoptOnly is true for a job whose task cannot be built now: its template has changed since a pod took it, perhaps. The pool gives it to a
	// pod that renders it for an earlier process and to no other, and drops it, with JobChanged, once there can be none.
	AdoptOnly bool
}

// Assignment is a task that a pod holds.
type Assignment struct {
	Job
	// TaskID is "<job UID>.<revision>.<attempt>".
	TaskID string
	// Attempt is the number of this attempt. No other attempt of any process at this revision has it, and later ones have greater
	// numbers. It counts nothing.
	Attempt int
	// Attempts at the job that count, with this one.
	Attempts int
	// Accepted is when the job was enqueued.
	Accepted time.Time
	// Deadline by which the pod must have reported.
	Deadline time.Time
	// PodName of the pod that holds the task.
	PodName string
	// Files of the attempt.
	Files *Files
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

// Wait is why a job is queued.
type Wait struct {
	// Reason in CamelCase: one of the constants above, or one that Postpone was given.
	Reason string
	// Message for the user. It names no pod and does not change while nothing changes.
	Message string
}

// Differs reports whether a person must learn that a job waits for something else than before: for another reason, or because the API server refuses pods
// for another cause, which only the words say.
func (w Wait) Differs(before Wait) bool {
	refused := w.Reason == ReasonQuotaExceeded || w.Reason == ReasonPodForbidden
	return w.Reason != before.Reason || refused && w.Message != before.Message
}

// State of a job in the pool.
type State struct {
	Phase Phase
	// Wait is set when Phase is Queued.
	Wait    Wait
	PodName string
	// TaskID and Attempt are those of the attempt that a pod renders, zero unless Phase is Rendering.
	TaskID  string
	Attempt int
	// Lost is that of the Job.
	Lost int
	// Attempts that count, with the one that is running or has ended the job.
	Attempts                         int
	RenderedPages, TotalPages, Files int
	// Progress of a video, nil before its first frame and for any other format.
	Progress *render.Progress
	// AcceptedTime is when the job was enqueued.
	AcceptedTime time.Time
	// StartedTime is when the pod took the attempt that it renders; zero unless Phase is Rendering.
	StartedTime time.Time
	// RenderedTime is when the last file was stored; zero before.
	RenderedTime time.Time
	// Failure is set when Phase is Failed.
	Failure *render.Error
}

// Settings of a namespace's render pods.
type Settings struct {
	// MinReady is how many pods are kept ready for the next job.
	MinReady int
	// Max bounds the pods. Default 10.
	Max int
	// RendersPerPod after which a pod is replaced. 0 is no bound.
	RendersPerPod int
	// IdleTimeout after which a pod that is not needed is retired. Default 60 s.
	IdleTimeout time.Duration
	// IsolatePods gives each render a pod of its own.
	IsolatePods bool
	// Weight of the namespace when pods are scarce. Default 1.
	Weight int
	// Hash of what pods are made from. A pod with another hash is replaced. Empty replaces none.
	Hash string
	// Template names what the RenderPool asks for about its pods; empty for nothing. A pod with another hash and another template takes no
	// further task, also while no pod replaces it.
	Template string
}

func (s Settings) withDefaults() Settings {
	if s.Max == 0 {
		s.Max = 10
	}
	if s.IdleTimeout == 0 {
		s.IdleTimeout = time.Minute
	}
	s.Weight = max(s.Weight, 1)
	return s
}

// Options of a Pool. Now, JobChanged and NamespaceChanged are required.
type Options struct {
	// MaxPods bounds the render pods of all namespaces. Default 100.
	MaxPods int
	// Defaults are the settings of namespaces that Configure does not name.
	Defaults Settings
	// Lease is how long a pod may be silent. Default 15 s.
	Lease time.Duration
	// PollTimeout is the longest poll. Default 10 s.
	PollTimeout time.Duration
	// StartTimeout is how long a pod whose container runs may take to its first poll. Default 60 s.
	StartTimeout time.Duration
	// SandboxTimeout is how long a node may take to make the sandbox of a pod until that is a problem. Default 15 s.
	SandboxTimeout time.Duration
	// PendingTimeout is how long a pod may take until its container runs. Default 10 min.
	PendingTimeout time.Duration
	// RetireTimeout is how long a retired pod may take to end. Default 30 s.
	RetireTimeout time.Duration
	// LookupAfter is the age at which a pod that the API cache does not show is looked up, and UnseenTimeout that at which it no longer
	// counts. Default 10 s and 60 s.
	LookupAfter, UnseenTimeout time.Duration
	// AdoptionGrace is how long the pods of an earlier process may take to be heard, and AnnounceGrace how long their tasks may wait for
	// their jobs, both from Listen. Default 20 s and 60 s.
	AdoptionGrace, AnnounceGrace time.Duration
	// RetryDelay before the second attempt of a job. It doubles for each further one, up to MaxRetryDelay. Default 1 s and 1 min.
	RetryDelay, MaxRetryDelay time.Duration
	// NoticeDelay is how long a job waits, and for how long the reason has been another, before JobChanged says so. Default 5 s.
	NoticeDelay time.Duration
	// Observer receives metrics. Default none.
	Observer Observer
	// PodName returns a name for a new pod. Default platen-render- and ten random letters.
	PodName func() string
	// Now returns the time.
	Now func() time.Time
	// JobChanged is called after a job's State has changed in a way that its status shows: at once when a pod takes it and when it ends,
	// and for jobs that wait when the reason changes, at most 20 times a second. NamespaceChanged is called when Decide would return
	// something. Neither may call the pool.
	JobChanged       func(types.NamespacedName)
	NamespaceChanged func(namespace string)
}

func (o *Options) setDefaults() {
	defaults := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	defaults(&o.Lease, 15*time.Second)
	defaults(&o.PollTimeout, 10*time.Second)
	defaults(&o.StartTimeout, time.Minute)
	defaults(&o.SandboxTimeout, 15*time.Second)
	defaults(&o.PendingTimeout, 10*time.Minute)
	defaults(&o.RetireTimeout, 30*time.Second)
	defaults(&o.LookupAfter, 10*time.Second)
	defaults(&o.UnseenTimeout, time.Minute)
	defaults(&o.AdoptionGrace, 20*time.Second)
	defaults(&o.AnnounceGrace, time.Minute)
	defaults(&o.RetryDelay, time.Second)
	defaults(&o.MaxRetryDelay, time.Minute)
	defaults(&o.NoticeDelay, 5*time.Second)
	if o.MaxPods == 0 {
		o.MaxPods = 100
	}
	if o.Observer == nil {
		o.Observer = unobserved{}
	}
	if o.PodName == nil {
		o.PodName = randomName
	}
	o.Defaults = o.Defaults.withDefaults()
}

// Pool holds the queues and the pods of all namespaces. It is safe for concurrent use.
type Pool struct {
	options Options

	mu         sync.Mutex
	jobs       map[types.NamespacedName]*job
	byUID      map[types.UID]*job
	namespaces map[string]*namespace
	// order has the namespaces by name.
	order []*namespace
	// listening is when pods could reach this process for the first time; zero before.
	listening time.Time
	// awake is when Expire last found that time had passed without it: nobody could be heard.
	awake, expired time.Time
	// lastAttempt is the greatest number of an attempt.
	lastAttempt int
	sequence    uint64
	delayed     heapOf[*job]
	notices     notices
	changed     changes
	cluster     cluster
}

// changes to report, each once and in the order of keys.
type changes struct {
	jobs       map[types.NamespacedName]bool
	keys       []types.NamespacedName
	namespaces map[string]bool
}

// New returns an empty pool.
func New(options Options) *Pool {
	options.setDefaults()
	return &Pool{
		options:    options,
		jobs:       map[types.NamespacedName]*job{},
		byUID:      map[types.UID]*job{},
		namespaces: map[string]*namespace{},
		delayed:    heapOf[*job]{less: func(a, b *job) bool { return a.notBefore.Before(b.notBefore) }, index: func(j *job) *int { return &j.delayedAt }},
		notices:    newNotices(options.Now()),
		cluster:    cluster{boosts: map[string]*boost{}},
	}
}

// Listen says that pods can reach this process from now on: it leads, and serves them. The time in which pods of an earlier process may
// announce their tasks begins. A pod that is heard says the same.
func (p *Pool) Listen() {
	defer p.lock()()
	p.listen(p.options.Now())
}

func (p *Pool) listen(now time.Time) {
	if p.listening.IsZero() {
		p.listening = now
	}
}

// Limit sets MaxPods.
func (p *Pool) Limit(maxPods int) {
	defer p.lock()()
	p.options.MaxPods = maxPods
}

// Configure sets the settings of a namespace's pods. Zero settings are the defaults.
func (p *Pool) Configure(name string, s Settings) {
	defer p.lock()()
	configured := s != Settings{}
	if !configured {
		s = p.options.Defaults
	}
	s = s.withDefaults()
	if !configured && p.namespaces[name] == nil {
		return
	}
	ns := p.namespace(name)
	ns.configured = configured
	if ns.settings == s {
		return
	}
	if ns.settings.Hash != s.Hash {
		p.forgetProblem(ns)
	}
	ns.settings = s
	ns.weigh()
	p.settle(ns)
}

// forgetProblem lets pods be tried at once that are made from something else than those that could not be created or do not start. The jobs that
// have told of those tell anew why they wait.
func (p *Pool) forgetProblem(ns *namespace) {
	if ns.problem() == (Problem{}) {
		return
	}
	ns.launcher = launcher{batch: firstLaunches}
	due := p.options.Now().Add(p.options.NoticeDelay)
	for _, j := range ns.ready.items {
		j.shown = Wait{}
		p.notify(j, due)
	}
}

// Enqueue adds a job. If the pool has its revision, Enqueue updates its priority, timeout, limit and cost. A job with the same key and another UID
// or revision is replaced: its task is gone. The pool does not take a job that is AdoptOnly if no pod can have it.
func (p *Pool) Enqueue(j Job) {
	defer p.lock()()
	now := p.options.Now()
	if old := p.jobs[j.Key]; old != nil {
		if old.UID == j.UID && old.Revision == j.Revision {
			p.update(old, j)
			return
		}
		p.drop(old)
	}
	p.sequence++
	entry := &job{Job: j, phase: Queued, accepted: now, attempts: j.Attempts, sequence: p.sequence, readyAt: -1, delayedAt: -1, noticeAt: -1}
	if j.Lost > 0 {
		entry.wait = Wait{ReasonRetrying, lostFiles}
		entry.notBefore = now.Add(p.disruptionDelay(j.Lost - 1))
	}
	p.jobs[j.Key], p.byUID[j.UID] = entry, entry
	ns := p.namespace(j.Key.Namespace)
	for _, pod := range ns.list {
		if uid, revision, attempt, ok := parseTaskID(pod.announced); ok && uid == j.UID && revision == j.Revision {
			p.adopt(entry, pod, attempt, pod.plan, now)
			return
		}
	}
	if j.AdoptOnly && !p.mayBeAdopted(ns, entry, now) {
		p.drop(entry)
		return
	}
	p.notify(entry, now.Add(p.options.NoticeDelay))
	p.queue(ns, entry, now)
	p.settle(ns)
}

// update takes over what of a job may change without another render.
func (p *Pool) update(j *job, to Job) {
	ns := p.namespace(j.Key.Namespace)
	queued := j.readyAt >= 0
	if queued {
		ns.removeReady(j)
	}
	j.Priority, j.Created, j.BackoffLimit, j.Cost = to.Priority, to.Created, to.BackoffLimit, to.Cost
	if j.run != nil {
		j.run.deadline = j.run.deadline.Add(to.Timeout - j.Timeout)
	}
	j.Timeout = to.Timeout
	if queued {
		ns.addReady(j)
	}
}

// Forget removes a job. The pod that renders it gets ErrGone for its next heartbeat.
func (p *Pool) Forget(key types.NamespacedName) {
	defer p.lock()()
	if j := p.jobs[key]; j != nil {
		ns := p.namespace(key.Namespace)
		p.drop(j)
		p.settle(ns)
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
		Phase: j.phase, PodName: j.podName, Lost: j.Lost, Attempts: j.attempts, TotalPages: j.TotalPages, Files: j.Files,
		AcceptedTime: j.accepted, RenderedTime: j.rendered, Failure: j.failure,
	}
	switch {
	case j.phase == Queued:
		s.Wait = cmp.Or(j.shown, p.waitOf(j)) // a reason that comes and goes at once is not worth a word
	case j.phase == Rendered:
		s.RenderedPages = j.Pages
	case j.run != nil:
		s.TaskID, s.Attempt, s.RenderedPages, s.Progress = j.taskID(), j.attempt, j.run.pages, j.run.progress
		s.StartedTime = j.run.started
	}
	return s
}

// Len returns how many jobs and namespaces the pool remembers. It is 0 when no job and no pod is left and no namespace is configured.
func (p *Pool) Len() int {
	defer p.lock()()
	return len(p.jobs) + len(p.byUID) + len(p.namespaces) + p.delayed.len() + p.notices.queue.len()
}

// Files returns the stored files of a task that a pod renders, in the order of their arrival.
func (p *Pool) Files(taskID string) []file.File {
	defer p.lock()()
	uid, _, _ := strings.Cut(taskID, ".")
	if j := p.byUID[types.UID(uid)]; j != nil && j.run != nil && j.taskID() == taskID {
		return j.run.files.Stored()
	}
	return nil
}

// Expire acts on the time that has passed: leases, deadlines, due attempts and notices. Call it about once a second.
func (p *Pool) Expire() {
	defer p.lock()()
	now := p.options.Now()
	if !p.expired.IsZero() && now.Sub(p.expired) > p.options.Lease/2 {
		p.awake = now // this process stood still: it could hear nobody
	}
	p.expired = now
	p.ripen(now)
	p.endBoosts(now)
	for _, ns := range slices.Clone(p.order) {
		p.check(ns, now)
		for _, pod := range ns.list {
			if j := pod.job; j != nil && j.run.arrived {
				j.run.arrived = false
				p.jobChanged(j.Key)
			}
		}
		if ns.isEmpty() {
			p.removeNamespace(ns)
			continue
		}
		if vacant := ns.isVacant(); vacant != ns.vacant {
			ns.vacant = vacant
			if vacant && ns.configured {
				p.namespaceChanged(ns.name)
			}
		}
		p.dispatch(ns, now)
	}
	p.balance(now)
	p.flushNotices(now)
	p.observe()
}

// ripen makes the jobs ready whose next attempt is due.
func (p *Pool) ripen(now time.Time) {
	for p.delayed.len() > 0 && !p.delayed.top().notBefore.After(now) {
		j := p.delayed.top()
		p.delayed.remove(j)
		ns := p.namespace(j.Key.Namespace)
		ns.delayed--
		ns.addReady(j)
	}
}

// settle acts on a change in a namespace: pods take jobs, and Decide is called if it would return something.
func (p *Pool) settle(ns *namespace) {
	now := p.options.Now()
	p.ripen(now)
	p.check(ns, now)
	p.rebalance(ns, now)
	p.endBoosts(now)
	p.dispatch(ns, now)
	p.flushNotices(now)
}

// lock takes the lock. It returns a function that releases the lock and then reports the changes.
func (p *Pool) lock() func() {
	p.mu.Lock()
	return func() {
		changed := p.changed
		p.changed = changes{}
		p.mu.Unlock()
		for _, key := range changed.keys {
			p.options.JobChanged(key)
		}
		for _, name := range slices.Sorted(maps.Keys(changed.namespaces)) {
			p.options.NamespaceChanged(name)
		}
	}
}

func (p *Pool) jobChanged(key types.NamespacedName) {
	if p.changed.jobs == nil {
		p.changed.jobs = map[types.NamespacedName]bool{}
	}
	if !p.changed.jobs[key] {
		p.changed.jobs[key] = true
		p.changed.keys = append(p.changed.keys, key)
	}
}

func (p *Pool) namespaceChanged(name string) {
	if p.changed.namespaces == nil {
		p.changed.namespaces = map[string]bool{}
	}
	p.changed.namespaces[name] = true
}
