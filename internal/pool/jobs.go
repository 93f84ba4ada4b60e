// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package pool

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/render"
)

const (
	// defaultCost of a job that does not say it.
	defaultCost = 300 * time.Millisecond
	// podShare is the work for which a pod is worth its start, which takes about a second of CPU: shorter jobs share a pod.
	podShare = time.Second
	// onePod is the load of a job that keeps a pod busy for podShare or longer.
	onePod = 1000
	// maxUnconfirmed is how many attempts of a job that no pod confirmed do not count.
	maxUnconfirmed = 3
	// maxAhead is how far ahead the number of an attempt may be for which a pod of an earlier process shows no plan, and so no signature.
	maxAhead = 1 << 20
	// MaxLost is how many renders of a job that the content store has lost do not count as attempts.
	MaxLost = 3
	// lostFiles is why such a render is repeated.
	lostFiles = "the content store has lost files of the render"
)

// epoch is where the numbers of attempts begin. They have at most nine digits until 2056.
var epoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// job is a Job with its state.
type job struct {
	Job
	phase    Phase
	accepted time.Time
	sequence uint64
	// attempts that count, with the present one, and attempt, the number of the last one in this process; 0 before.
	attempts, attempt int
	// unconfirmed, disrupted and postponed attempts do not count.
	unconfirmed, disrupted, postponed int
	// notBefore is when the next attempt may begin.
	notBefore time.Time
	// readyAt, delayedAt and noticeAt are the places in heaps, -1 for none. held is true while a pod of an earlier process may have the job.
	readyAt, delayedAt, noticeAt int
	held                         bool
	noticeDue                    time.Time
	// shown is the wait of which JobChanged last told, and which State returns until it tells of another.
	shown Wait
	wait  Wait
	// run is set while a pod renders the job.
	run      *run
	podName  string
	rendered time.Time
	failure  *render.Error
}

// run is an attempt that a pod renders.
type run struct {
	pod               *pod
	started, deadline time.Time
	// confirmed is true once the pod has spoken of the task: it has received it.
	confirmed  bool
	pages      int
	progress   *render.Progress
	progressAt time.Time // when progress last changed
	// arrived is true while JobChanged has not told of the files that were stored last.
	arrived bool
	files   *Files
}

// Plan says what an attempt renders: the job's task, as it was when the pod took it.
type Plan struct {
	Key types.NamespacedName
	// Pages of the task, and TotalPages of the template.
	Pages, TotalPages int
	// Files that the attempt must have.
	Files []file.File
	// CacheKey is what the render cache calls the task; empty if it keeps nothing of the job.
	CacheKey string
	// Trace is the traceparent of the job's span; empty if it is not traced.
	Trace string
}

// Files are the files of one attempt, and live as long as it. They are safe for concurrent use.
type Files struct {
	mu     sync.Mutex
	plan   *Plan
	stored []file.File
}

// Plan returns the plan of the attempt, nil if this process does not know it yet.
func (f *Files) Plan() *Plan {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.plan
}

func (f *Files) expect(plan *Plan) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plan = plan
}

// Store records a stored file, and returns how many are stored.
func (f *Files) Store(stored file.File) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.stored {
		if f.stored[i].ID == stored.ID {
			f.stored[i] = stored
			return len(f.stored)
		}
	}
	f.stored = append(f.stored, stored)
	return len(f.stored)
}

// Stored returns the files that this process has stored, in the order of their arrival.
func (f *Files) Stored() []file.File {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]file.File(nil), f.stored...)
}

// remaining returns how long a render is expected to go on. One that is late by more than the start of another pod takes is not over soon.
func (j *job) remaining(now time.Time) time.Duration {
	if passed := now.Sub(j.run.started); passed > j.Cost+podShare {
		return passed
	}
	return j.Cost
}

// load of a job in thousandths of a pod.
func load(cost time.Duration, isolated bool) int {
	if cost <= 0 {
		cost = defaultCost
	}
	if isolated || cost >= podShare {
		return onePod
	}
	return max(int(onePod*cost/podShare), 1)
}

// queue puts a job where it waits: for pods of an earlier process, for its next attempt, or for a pod. Its phase must be Queued.
func (p *Pool) queue(ns *namespace, j *job, now time.Time) {
	switch {
	case p.mayBeAdopted(ns, j, now):
		j.held = true
		ns.held[j] = true
	case j.notBefore.After(now):
		p.delayed.push(j)
		ns.delayed++
	default:
		ns.addReady(j)
	}
}

// mayBeAdopted reports whether a pod may still say that it renders the job for an earlier process.
func (p *Pool) mayBeAdopted(ns *namespace, j *job, now time.Time) bool {
	return p.mayBeRunning(j) && (ns.adopting(p, now) || j.AdoptOnly && p.mayBeUnseen(ns, now))
}

// mayBeRunning reports whether a pod of an earlier process may render the job.
func (p *Pool) mayBeRunning(j *job) bool {
	return j.attempt == 0 && (p.listening.IsZero() || !j.Created.After(p.listening))
}

// unqueue removes a job from where it waits.
func (p *Pool) unqueue(j *job) {
	ns := p.namespace(j.Key.Namespace)
	if j.readyAt >= 0 {
		ns.removeReady(j)
	}
	if p.delayed.remove(j) {
		ns.delayed--
	}
	if j.held {
		j.held = false
		delete(ns.held, j)
	}
	p.notices.queue.remove(j)
}

// drop removes a job from the pool.
func (p *Pool) drop(j *job) {
	p.release(j)
	p.unqueue(j)
	delete(p.jobs, j.Key)
	if p.byUID[j.UID] == j {
		delete(p.byUID, j.UID)
	}
}

// release takes a job from its pod, which is idle then.
func (p *Pool) release(j *job) {
	if j.run == nil {
		return
	}
	pod := j.run.pod
	j.run, pod.job = nil, nil
	if pod.state == rendering {
		pod.become(idle, p.options.Now())
	}
}

// assign gives a job to a pod.
func (p *Pool) assign(j *job, pod *pod, now time.Time) {
	p.lastAttempt = p.nextAttempt(now)
	if j.attempt == 0 {
		p.options.Observer.Taken(now.Sub(j.accepted))
	}
	pod.heard = now // its poll has been open for as long as it takes
	p.start(j, pod, p.lastAttempt, now)
}

// nextAttempt returns the number of the next attempt.
func (p *Pool) nextAttempt(now time.Time) int {
	return max(p.lastAttempt+1, int(now.Sub(epoch)/time.Second))
}

// adopt gives a job back to a pod that has rendered it for an earlier process. plan is nil if the pod does not show it.
func (p *Pool) adopt(j *job, pod *pod, attempt int, plan *Plan, now time.Time) {
	p.lastAttempt = max(p.lastAttempt, attempt)
	pod.foreign = false // it has no other task of an earlier process
	p.start(j, pod, attempt, now)
	j.AdoptOnly = false // another attempt builds the task again, as any does
	j.run.confirmed = true
	j.expect(plan)
}

// expect sets the plan of the job's attempt. What the job has was that of its template when it was enqueued.
func (j *job) expect(plan *Plan) {
	if plan == nil {
		return
	}
	j.Pages, j.TotalPages, j.Files = plan.Pages, plan.TotalPages, len(plan.Files)
	j.run.files.expect(plan)
}

func (p *Pool) start(j *job, pod *pod, attempt int, now time.Time) {
	p.unqueue(j)
	j.attempts++
	j.attempt = attempt
	j.phase, j.podName, j.wait, j.shown = Rendering, pod.Name, Wait{}, Wait{}
	j.run = &run{pod: pod, started: now, deadline: now.Add(j.Timeout), files: &Files{}}
	pod.become(rendering, now)
	pod.job, pod.announced, pod.plan = j, "", nil
	pod.renders++
	pod.answer()
	p.jobChanged(j.Key)
}

// lose ends an attempt whose pod is lost. excused says that the attempt does not count.
func (p *Pool) lose(j *job, message string, excused bool) {
	if excused {
		p.options.Observer.Ended(OutcomeDisrupted)
		p.requeue(j, Wait{ReasonRetrying, message}, p.disruptionDelay(j.disrupted))
		j.disrupted++
		return
	}
	p.retry(j, &render.Error{Reason: ReasonPodLost, Message: message})
}

// retry queues a job for its next attempt, or fails it if none is left.
func (p *Pool) retry(j *job, failure *render.Error) {
	if j.attempts > j.BackoffLimit {
		p.fail(j, &render.Error{
			Reason:   ReasonBackoffLimitExceeded,
			Message:  lost(j.attempts) + failure.Message,
			Terminal: true,
		})
		return
	}
	p.options.Observer.Ended(OutcomeRetried)
	j.attempts++ // requeue takes one back
	p.requeue(j, Wait{ReasonRetrying, failure.Message}, p.backoff(j.attempts-2))
}

func lost(attempts int) string {
	if attempts == 1 {
		return "the only attempt was lost because "
	}
	return fmt.Sprintf("%d attempts were lost, the last because ", attempts)
}

// requeue ends an attempt that does not count and queues its job again.
func (p *Pool) requeue(j *job, wait Wait, delay time.Duration) {
	now := p.options.Now()
	p.release(j)
	j.attempts--
	j.phase, j.wait, j.notBefore = Queued, wait, now.Add(delay)
	p.queue(p.namespace(j.Key.Namespace), j, now)
	p.notify(j, now)
}

// backoff returns the delay after a number of earlier delays.
func (p *Pool) backoff(earlier int) time.Duration {
	return min(p.options.RetryDelay<<min(max(earlier, 0), 20), p.options.MaxRetryDelay)
}

// disruptionDelay returns the delay after a disruption: none after the first one.
func (p *Pool) disruptionDelay(earlier int) time.Duration {
	return p.backoff(earlier) - p.options.RetryDelay
}

// fail ends a job.
func (p *Pool) fail(j *job, failure *render.Error) {
	p.options.Observer.Ended(OutcomeFailed)
	p.release(j)
	p.unqueue(j)
	j.phase, j.failure, j.wait = Failed, failure, Wait{}
	p.jobChanged(j.Key)
}

// taskID returns the name of the job's last attempt.
func (j *job) taskID() string {
	return string(j.UID) + "." + j.Revision + "." + strconv.Itoa(j.attempt)
}

func parseTaskID(id string) (uid types.UID, revision string, attempt int, ok bool) {
	parts := strings.Split(id, ".")
	if len(parts) != 3 {
		return "", "", 0, false
	}
	attempt, err := strconv.Atoi(parts[2])
	return types.UID(parts[0]), parts[1], attempt, err == nil && attempt > 0
}
