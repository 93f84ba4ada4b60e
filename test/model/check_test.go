// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package model

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/task"
)

// The ends that count as attempts: the pod or the render is at fault. A task that was taken from a cut-off pod ends as partition.
var counted = []string{endedBad, endedOOM, endedCrash, endedSilent, endedPartition, endedHang}

// check checks the invariants of a run whose jobs have ended.
func (w *world) check(load workload) {
	for _, key := range w.unfinished(load) {
		job := w.job(key)
		if job == nil {
			continue
		}
		if job.Finished() && w.mustRetry(job) {
			w.violate("uploads are retried once the connection is Ready again", "%s", key)
			continue
		}
		ready := meta.FindStatusCondition(job.Status.Conditions, platenv1alpha1.ReadyCondition)
		w.violate("every job ends", "%s: %+v", key, ready)
	}
	for i := range load.jobs {
		if job := w.job(load.jobKey(i)); job != nil && job.Finished() {
			w.checkAttempts(job)
			w.checkFiles(job)
			w.checkStored(job)
			w.checkMarks(job)
			w.checkWrites(job, load)
			w.checkCounts(job)
			w.checkHandOvers(job, load)
		}
	}
	w.checkPools()
	w.checkManifests()
	w.checkRequests(load)
}

// checkAttempts checks that status counts the attempts that were lost by a fault, and no disruption.
func (w *world) checkAttempts(job *platenv1alpha1.RenderJob) {
	attempts, faults := int(ptr.Deref(job.Status.Attempts, 0)), 0
	w.node.mu.Lock()
	ends := slices.Clone(w.node.ends[job.Name])
	w.node.mu.Unlock()
	for _, e := range ends {
		if slices.Contains(counted, e.how) {
			faults++
		}
	}
	limit := int(*job.Spec.BackoffLimit) + 1
	ready := meta.FindStatusCondition(job.Status.Conditions, platenv1alpha1.ReadyCondition)
	switch {
	case len(job.Status.Pages) > 0 && attempts < 1 && job.Status.Cache != platenv1alpha1.CacheHit:
		w.violate("attempts are at least 1", "%s", client.ObjectKeyFromObject(job))
	case attempts > limit:
		w.violate("attempts are bounded", "%s: %d of %d", client.ObjectKeyFromObject(job), attempts, limit)
	case attempts > faults+1:
		w.violate("only faults count as attempts", "%s: %d attempts, ends %v", client.ObjectKeyFromObject(job), attempts, ends)
	case ready.Reason == "BackoffLimitExceeded" && faults < limit:
		w.violate("only faults count as attempts", "%s failed: %s; ends %v", client.ObjectKeyFromObject(job), ready.Message, ends)
	}
}

// checkCounts checks that status counts the pages that the job was rendered with, whatever its template has become since.
func (w *world) checkCounts(job *platenv1alpha1.RenderJob) {
	pages, total, rendered := len(job.Status.Pages), int(ptr.Deref(job.Status.TotalPages, 0)), int(ptr.Deref(job.Status.RenderedPages, 0))
	if pages > 0 && (total != pages || rendered != pages) {
		w.violate("status counts the pages that it has", "%s: %d pages, of %d in all, %d rendered", client.ObjectKeyFromObject(job), pages, total, rendered)
	}
}

// checkHandOvers checks that no render of which status told is lost because of a hand-over: the pod keeps its task, and what it has rendered is
// taken.
func (w *world) checkHandOvers(job *platenv1alpha1.RenderJob, load workload) {
	others := w.plan
	others.faultsUntil, others.kill, others.loseAnswer, others.handOvers = 0, 0, 0, 0
	if load.edits > 0 || !reflect.DeepEqual(others, plan{}) {
		return
	}
	w.api.mu.Lock()
	writes := slices.Clone(w.api.writes[job.UID])
	w.api.mu.Unlock()
	w.node.mu.Lock()
	ends := slices.Clone(w.node.ends[job.Name])
	w.node.mu.Unlock()
	failed := meta.IsStatusConditionFalse(job.Status.Conditions, platenv1alpha1.ReadyCondition)
	for i, e := range ends {
		said := slices.ContainsFunc(writes, func(write statusWrite) bool {
			return write.at.Before(e.at) && meta.FindStatusCondition(write.job.Status.Conditions, platenv1alpha1.ReadyCondition).Reason == platenv1alpha1.RenderingReason
		})
		if said && (e.how == endedGone || e.how == endedWell && (failed || i < len(ends)-1)) {
			w.violate("a hand-over keeps every render that status tells of", "%s: %v, %v", client.ObjectKeyFromObject(job), ends, describe(writes, w.begin))
		}
	}
}

// checkPools checks that a process does not write the status of a RenderPool again at once for the sake of its counts.
func (w *world) checkPools() {
	if w.plan.throttle > 0 || w.plan.loseAnswer > 0 || w.plan.mode == loseAnswer {
		return // a process does not know when what it writes is there
	}
	w.api.mu.Lock()
	defer w.api.mu.Unlock()
	for _, writes := range w.api.poolWrites {
		for i := range writes[:max(len(writes)-1, 0)] {
			a, b := writes[i], writes[i+1]
			same := slices.EqualFunc(a.pool.Status.Conditions, b.pool.Status.Conditions, func(x, y metav1.Condition) bool {
				return x.Type == y.Type && x.Status == y.Status && x.Reason == y.Reason && x.Message == y.Message && x.ObservedGeneration == y.ObservedGeneration
			})
			if same && a.process == b.process && b.at.Sub(a.at) < 4*time.Second {
				w.mu.Lock()
				w.broken = append(w.broken, fmt.Sprintf("counts are written seldom: RenderPool %s: %s, then %s after %s", b.pool.Namespace, a.process, b.process, b.at.Sub(a.at)))
				w.mu.Unlock()
			}
		}
	}
}

// checkFiles checks that each page of a job is committed once in each of its connections, with the bytes that status names.
func (w *world) checkFiles(job *platenv1alpha1.RenderJob) {
	key := client.ObjectKeyFromObject(job)
	sums := map[int32]string{}
	for _, p := range job.Status.Pages {
		sums[p.Page] = p.SHA256
	}
	w.account.mu.Lock()
	defer w.account.mu.Unlock()
	for _, c := range job.Status.Connections {
		for _, p := range c.Pages {
			path := fmt.Sprintf("/%s.%s%s", job.Namespace, c.Name, p.Path)
			f := w.account.files[path]
			for other := range w.account.files { // that of the connection's other accounts
				if w.reconnects && strings.HasPrefix(other, fmt.Sprintf("/%s.%s.", job.Namespace, c.Name)) && strings.HasSuffix(other, p.Path) && (f == nil || w.account.files[other].sum == sums[p.Page]) {
					f = w.account.files[other]
				}
			}
			switch {
			case p.Error != "":
			case f == nil:
				w.violate("uploaded files exist", "%s: %s", key, path)
			case f.sum != sums[p.Page]:
				w.violate("uploaded files are those in status", "%s: %s", key, path)
			case len(f.revisions) > w.versions(job):
				w.violate("one committed file a page", "%s: %s has %d revisions in %d calls", key, path, len(f.revisions), f.calls)
			}
		}
	}
}

// checkStored checks that the content store has the bytes that status names, whatever pods of lost attempts have sent since.
func (w *world) checkStored(job *platenv1alpha1.RenderJob) {
	key := client.ObjectKeyFromObject(job)
	folder := fmt.Sprintf("jobs/%s/%s/%s/", job.Namespace, job.UID, task.Revision(job))
	w.bucket.mu.Lock()
	defer w.bucket.mu.Unlock()
	if len(job.Status.Pages) == 0 || w.plan.wipe > 0 {
		return
	}
	var manifest content.Manifest
	if err := json.Unmarshal(w.bucket.objects[folder+"manifest.json"].data, &manifest); err != nil {
		w.violate("stored files are those in status", "%s: manifest: %v", key, err)
		return
	}
	for _, p := range job.Status.Pages {
		sum := sha256.Sum256(w.bucket.objects[fmt.Sprintf("%s%d/%d.png", folder, manifest.Attempt, p.Page)].data)
		if hex.EncodeToString(sum[:]) != p.SHA256 {
			w.violate("stored files are those in status", "%s: page %d", key, p.Page)
		}
	}
}

// checkMarks checks that the files in status outlive a finished job if its spec says so, and none do otherwise. While two managers lead, the older
// one may know an earlier spec.
func (w *world) checkMarks(job *platenv1alpha1.RenderJob) {
	if w.plan.wipe > 0 || w.plan.twoLeaders > 0 || w.plan.mode == usurp {
		return
	}
	w.bucket.mu.Lock()
	defer w.bucket.mu.Unlock()
	var marked []string
	for key := range w.bucket.objects {
		if strings.HasPrefix(key, fmt.Sprintf("jobs/%s/%s/", job.Namespace, job.UID)) && strings.Contains(key, "/retained-") {
			marked = append(marked, strings.Split(key, "/")[3])
		}
	}
	retains := job.Spec.ContentPolicy == platenv1alpha1.ContentRetain
	if retains && len(job.Status.Pages) > 0 && !slices.Equal(marked, []string{task.Revision(job)}) || !retains && len(marked) > 0 {
		w.violate("files outlive a job as its policy says", "%s: contentPolicy '%s', retained are %v", client.ObjectKeyFromObject(job), job.Spec.ContentPolicy, marked)
	}
}

// versions returns how many different contents the files of a job may have had: one for each spec, and one more if the store was lost.
func (w *world) versions(job *platenv1alpha1.RenderJob) int {
	n := int(job.Generation)
	if w.plan.wipe > 0 {
		n *= 2
	}
	return n
}

// checkWrites checks that each write of a status says something new, that none takes back what an earlier one said, and their number.
func (w *world) checkWrites(job *platenv1alpha1.RenderJob, load workload) {
	key := client.ObjectKeyFromObject(job)
	w.api.mu.Lock()
	writes := slices.Clone(w.api.writes[job.UID])
	w.api.mu.Unlock()
	w.node.mu.Lock()
	ends := slices.Clone(w.node.ends[job.Name])
	w.node.mu.Unlock()
	reason := func(i int) string {
		return meta.FindStatusCondition(writes[i].job.Status.Conditions, platenv1alpha1.ReadyCondition).Reason
	}
	rendered := func(s statusWrite) bool {
		return meta.IsStatusConditionTrue(s.job.Status.Conditions, platenv1alpha1.RenderedCondition)
	}
	// causes counts what gave a reason to write again: another spec, process, attempt, or the end or the loss of one.
	causes, last, caused := 1, 0, false
	var said []string
	for i, write := range writes {
		before := writes[max(i-1, 0)]
		cause := write.job.Generation != before.job.Generation || write.process != before.process ||
			ptr.Deref(write.job.Status.Attempts, 0) != ptr.Deref(before.job.Status.Attempts, 0) || before.job.Finished() ||
			w.plan.wipe > 0 && rendered(before) && !rendered(write) ||
			slices.ContainsFunc(ends, func(e end) bool { return e.at.After(before.at) && !e.at.After(write.at) && e.how != endedWell })
		if cause || i > 0 && load.followed(before.job) || (load.templates || load.pools) && w.turned(job.Namespace, before.at, write.at) {
			causes++
		}
		if cause || load.followed(before.job) || w.turned(job.Namespace, before.at, write.at) {
			said = nil
		}
		switch {
		case i > 1 && !cause && !caused && !load.templates && !load.cached && reason(i) == reason(i-2) && reason(i) != reason(i-1) && write.at.Sub(before.at) < 5*time.Second &&
			reason(i-1) != platenv1alpha1.RetryingReason && w.plan.wipe == 0:
			w.violate("status does not flap", "%s: %v", key, describe(writes, w.begin))
			return
		case i > 0 && reason(i) != reason(last) && slices.Contains(said, reason(i)):
			w.violate("no status is taken back", "%s: %v", key, describe(writes, w.begin))
			return
		case i > 0 && !cause && isNothingNew(before.job, write.job):
			w.violate("a write says something new", "%s: %v", key, describe(writes, w.begin))
			return
		}
		said, last, caused = append(said, reason(i)), i, cause
	}
	if limit := 3 * causes; len(writes) > limit {
		w.violate("writes are bounded", "%s: %d writes for %d causes: %v", key, len(writes), causes, describe(writes, w.begin))
	}
}

// followed reports whether a job waited for another one's render of the same, which may end in any way.
func (l workload) followed(job *platenv1alpha1.RenderJob) bool {
	ready := meta.FindStatusCondition(job.Status.Conditions, platenv1alpha1.ReadyCondition)
	return l.cached && ready != nil && ready.Reason == platenv1alpha1.QueuedReason
}

// turned reports whether what the pods of a namespace wait for has become something else between two moments.
func (w *world) turned(namespace string, from, to time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.turns {
		// A moment before from: the manager sees the turn a little later.
		if t.namespace == namespace && t.at.After(from.Add(-10*time.Second)) && !t.at.After(to) {
			return true
		}
	}
	within := func(d time.Duration) bool {
		at := w.begin.Add(d)
		return d > 0 && at.After(from.Add(-time.Minute)) && !at.After(to)
	}
	return within(w.plan.quotaFor) || within(w.plan.forbidden) || within(w.plan.fullFrom+w.plan.fullFor)
}

// isNothingNew reports whether a status differs from an earlier one in words only.
func isNothingNew(before, after *platenv1alpha1.RenderJob) bool {
	return slices.EqualFunc(before.Status.Conditions, after.Status.Conditions, func(a, b metav1.Condition) bool {
		return a.Type == b.Type && a.Status == b.Status && a.Reason == b.Reason
	}) && len(before.Status.Pages) == len(after.Status.Pages) && before.Status.PodName == after.Status.PodName &&
		len(before.Status.Warnings) == len(after.Status.Warnings) &&
		slices.EqualFunc(before.Status.Connections, after.Status.Connections, func(a, b platenv1alpha1.JobConnectionStatus) bool {
			return a.Name == b.Name && a.Status == b.Status && len(a.Pages) == len(b.Pages)
		})
}

func describe(writes []statusWrite, begin time.Time) (list []string) {
	for _, write := range writes {
		ready := meta.FindStatusCondition(write.job.Status.Conditions, platenv1alpha1.ReadyCondition)
		list = append(list, fmt.Sprintf("\n\t%10.3fs %s %s (%s) attempts=%d", write.at.Sub(begin).Seconds(), write.process, ready.Reason, ready.Message,
			ptr.Deref(write.job.Status.Attempts, 0)))
	}
	return list
}

// checkManifests checks that a render is committed once.
func (w *world) checkManifests() {
	w.bucket.mu.Lock()
	defer w.bucket.mu.Unlock()
	for key, versions := range w.bucket.manifests {
		if len(versions) > 1 && w.plan.wipe == 0 {
			w.violate("the first commit of a render wins", "%s: %d", key, len(versions))
		}
	}
}

// checkRequests checks that the API server is treated well.
func (w *world) checkRequests(load workload) {
	w.api.mu.Lock()
	defer w.api.mu.Unlock()
	for namespace, times := range w.api.refused {
		for i := range times {
			if n := slices.IndexFunc(times[i:], func(t time.Time) bool { return t.Sub(times[i]) > 45*time.Second }); n > 15 || n < 0 && len(times)-i > 15 {
				w.violate("refused pods are retried with backoff", "%s: %d refusals in 45 s", namespace, max(n, len(times)-i))
				break
			}
		}
	}
	total, looks := 0, 0
	for what, n := range w.api.calls {
		if what != "get Secret" {
			total += n
		} else {
			looks += n
		}
	}
	limit := 100 + 60*load.jobs + int(w.plan.refusingFor/time.Second) // and one a second that is refused
	if total > limit {
		w.violate("requests are bounded", "%d for %d jobs: %v", total, load.jobs, w.api.calls)
	}
	// While somebody may be at work on a connection, its Secret is looked at every two seconds.
	connections := load.namespaces * load.connections
	if limit := 100 + 60*load.jobs + connections*int(w.elapsed()/(1900*time.Millisecond)); looks > limit {
		w.violate("looks at Secrets are bounded", "%d for %d connections: %v", looks, connections, w.api.calls)
	}
}

// checkEmpty checks that nothing stays of jobs that are gone.
func (w *world) checkEmpty() {
	if p := w.leading(); p != nil {
		if n := p.pool.Len(); n > 0 {
			w.violate("the pool forgets", "%d entries", n)
		}
		if n := p.uploads.Len(); n > 0 {
			w.violate("the uploader forgets", "%d entries", n)
		}
	}
	for _, o := range w.api.list("Pod") {
		w.violate("no pod stays", "%s", w.alias(o.GetName()))
	}
	w.bucket.mu.Lock()
	keys := slices.DeleteFunc(slices.Sorted(maps.Keys(w.bucket.objects)), func(key string) bool { return strings.HasPrefix(key, "cache/") })
	w.bucket.mu.Unlock()
	if len(keys) > 0 {
		w.violate("no file of a deleted job stays", "%v", keys)
	}
}
