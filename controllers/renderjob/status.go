// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/plural"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/task"
	"github.com/platen-dev/platen/internal/tracing"
)

const (
	// maxWarnings and the limits below are those of the API.
	maxWarnings       = 64
	maxWarningTitle   = 512
	maxWarningDetails = 1024
	maxUploadError    = 1024
	maxPageError      = 256
	maxPath           = 2560
	maxContentHash    = 128
	maxPodName        = 253
	maxPage           = 200
	maxFiles          = 200
	// maxObject bounds a job in bytes. etcd refuses an object of more than 1.5 MiB, with what the cache does not show.
	maxObject = 1200 << 10
	// maxUploadedPages bounds status.connections[].pages, in bytes.
	maxUploadedPages = 400 << 10
	// otherSize is about the largest size of the conditions, the warnings and the spec without its modifications.
	otherSize = 160 << 10
	// pageSize is the size of a page in status.pages or status.connections[].pages without its texts, managed fields included.
	pageSize = 512

	// queuedDelay is how long a job waits for a render pod before status says so; the pool's Options.NoticeDelay must not be shorter. Most pods
	// come sooner, and then the status says that the job is rendering instead.
	queuedDelay = 5 * time.Second
)

// setStatus computes the whole status from the scope and the outcome. It is pure.
func setStatus(job *platenv1alpha1.RenderJob, s *scope, outcome error) {
	now := metav1.NewTime(s.now)
	before := job.Status
	job.Status = platenv1alpha1.RenderJobStatus{
		Conditions:         before.Conditions,
		ObservedGeneration: &job.Generation,
		RenderRevision:     s.revision,
		UploadRevision:     task.UploadRevision(job),
		Format:             job.Spec.Output.Format,
		StartTime:          before.StartTime,

		LastHandledRetryUploads: reconcile.Truncate(job.Annotations[platenv1alpha1.RetryUploadsAnnotation], maxRetryRequest),
	}
	switch {
	case before.StartTime == nil, !s.retry && !s.continues():
		job.Status.StartTime = startTime(s)
	default:
		job.Status.StartTime, job.Status.Attempts = before.StartTime, before.Attempts
	}
	if terminal := reconcile.AsTerminal(outcome); terminal != nil {
		job.Status.RenderRevision = s.failedRevision(terminal.Reason)
	}
	setProgress(&job.Status, s)
	ofRender := len(job.Status.Warnings)
	setUploads(&job.Status, s)
	if problem := job.WebhookProblem(); problem != "" { // its text may hold a secret
		warn(&job.Status, fmt.Sprintf("Annotation %s: %s", platenv1alpha1.WebhookURLAnnotation, problem), "nobody is called when the job has ended")
	}
	boundWarnings(&job.Status, ofRender)
	setConditions(job, s, outcome)
	if meta.IsStatusConditionTrue(job.Status.Conditions, platenv1alpha1.FinishedCondition) {
		job.Status.CompletionTime = &now
	}
}

// startTime returns when the pool accepted the job, else now.
func startTime(s *scope) *metav1.Time {
	if !s.state.AcceptedTime.IsZero() {
		return new(metav1.NewTime(s.state.AcceptedTime))
	}
	return new(metav1.NewTime(s.now))
}

// setProgress fills in what has been rendered.
func setProgress(status *platenv1alpha1.RenderJobStatus, s *scope) {
	if s.state.Phase != pool.Unknown {
		status.Attempts = count(s.state.Attempts)
		status.PodName = reconcile.Truncate(s.state.PodName, maxPodName)
		status.TotalPages = count(s.state.TotalPages)
		status.RenderedPages = count(s.state.RenderedPages)
	}
	if p := s.state.Progress; p != nil && s.state.Phase == pool.Rendering {
		status.Progress = &platenv1alpha1.RenderProgress{Percent: count(min(p.Percent, 100)), Frames: new(int64(max(p.Frames, 0)))}
	}
	if m := s.manifest; m != nil {
		status.PodName = reconcile.Truncate(m.PodName, maxPodName)
		status.TotalPages = count(m.TotalPages)
		status.RenderedPages = count(m.RenderedPages)
		status.RenderMilliseconds = new(max(m.RenderMilliseconds, 0))
		status.Pages = s.pages
		for _, w := range m.Warnings {
			warn(status, w.Title, w.Details)
		}
		status.Cache = s.cache
		least := 1
		if m.FromCache {
			least = 0
		}
		// The pool of a later process may have begun to count again.
		status.Attempts = count(max(m.Attempts, int(ptr.Deref(status.Attempts, 0)), least))
	}
}

// count returns a number as the API takes it.
func count(n int) *int32 { return new(int32(min(max(n, 0), math.MaxInt32))) }

// setUploads fills in the results of the uploads, in the words of the public API.
func setUploads(status *platenv1alpha1.RenderJobStatus, s *scope) {
	for _, wanted := range slices.Concat(s.missing, s.goneBesidesMissing()) {
		if name := ptr.Deref(wanted.Name, ""); name != "" {
			warn(status, fmt.Sprintf("%s connection '%s' not found for this workspace", titles[wanted.Provider], name), absence(wanted, s.present))
			continue
		}
		details := "" // as the public API says it
		if len(s.present) > 0 {
			details = absence(wanted, s.present)
		}
		warn(status, titles[wanted.Provider]+" connection not found for this workspace", details)
	}
	for _, e := range s.idle {
		warn(status, fmt.Sprintf("spec.connections[%d] uploads nothing: it means StorageConnection '%s', as spec.connections[%d] does", e.Entry, e.Connection, e.First),
			fmt.Sprintf("the files are in %s, and not in %s; name another StorageConnection in one of the two, or create another job for the second folder", e.Used, e.Folder))
	}
	for _, c := range s.collisions {
		warn(status, fmt.Sprintf("RenderJob '%s' writes to the same file in %s, which ignores case: %s", c.job, c.provider, c.path),
			"choose another spec.output.fileName or folder")
	}
	if s.retry {
		status.Connections = slices.DeleteFunc(slices.Clone(s.job.Status.Connections), func(c platenv1alpha1.JobConnectionStatus) bool {
			return slices.ContainsFunc(s.uploads, func(u upload) bool { return u.Connection.Name == c.Name })
		})
		for i := range status.Connections {
			if c := &status.Connections[i]; slices.Contains(s.gone, c.Name) {
				c.Reason = string(storage.ReasonConnectionNotFound)
				c.Error = reconcile.Truncate(absence(platenv1alpha1.JobConnection{Provider: c.Provider, Name: &c.Name}, s.present), maxUploadError)
			}
		}
	}
	for _, u := range s.uploads {
		status.Connections = append(status.Connections, u.status())
		for _, p := range u.result.Files {
			if p.Kept {
				warn(status, fmt.Sprintf("Kept the file that was already in %s at %s", u.Connection.Spec.Provider, p.Path), storage.KeptByPolicy)
			}
		}
	}
	slices.SortFunc(status.Connections, func(a, b platenv1alpha1.JobConnectionStatus) int { return strings.Compare(a.Name, b.Name) })
	if left := boundPages(status.Connections, min(maxUploadedPages, maxObject-objectSize(s.job, status))); left > 0 {
		warn(status, fmt.Sprintf("status.connections leaves out %s: their paths are too long for one object", plural.Count(left, "file")),
			"shorten the folder or spec.output.fileName, or render fewer pages in one job")
	}
	failed := slices.DeleteFunc(slices.Clone(status.Connections), func(c platenv1alpha1.JobConnectionStatus) bool { return c.Status != platenv1alpha1.UploadError })
	for _, c := range failed {
		if slices.Contains(s.gone, c.Name) {
			continue // a warning above says so
		}
		to := string(c.Provider)
		// The provider alone is the public API's text. It would blame a connection that works, if the provider has another one, also one that the
		// job does not use.
		another := s.ofProvider[c.Provider] > 1 || slices.ContainsFunc(status.Connections, func(o platenv1alpha1.JobConnectionStatus) bool { return o.Provider == c.Provider && o.Name != c.Name })
		if len(failed) > 1 || another {
			to += " connection '" + c.Name + "'"
		}
		warn(status, fmt.Sprintf("Failed to upload to %s: %s", to, c.Error), "")
	}
}

// goneBesidesMissing returns the connections of failed uploads that are gone and that no missing one stands for.
func (s *scope) goneBesidesMissing() (gone []platenv1alpha1.JobConnection) {
	for _, c := range s.job.Status.Connections {
		isMissing := slices.ContainsFunc(s.missing, func(wanted platenv1alpha1.JobConnection) bool {
			return wanted.Provider == c.Provider && cmp.Or(ptr.Deref(wanted.Name, ""), c.Name) == c.Name
		})
		if slices.Contains(s.gone, c.Name) && !isMissing {
			gone = append(gone, platenv1alpha1.JobConnection{Provider: c.Provider, Name: &c.Name})
		}
	}
	return gone
}

// status returns what the job's status says about an upload.
func (u upload) status() platenv1alpha1.JobConnectionStatus {
	c := platenv1alpha1.JobConnectionStatus{
		Name: u.Connection.Name, Type: platenv1alpha1.ConnectionStorage, Provider: u.Connection.Spec.Provider,
		Status: platenv1alpha1.UploadPending, UID: string(u.Connection.UID), ReadyCount: u.Connection.Status.ReadyCount,
	}
	for _, p := range u.result.Files {
		if p.Page < 1 || p.Page > maxPage {
			continue
		}
		page := platenv1alpha1.UploadedPage{Page: int32(p.Page), ExtraSize: &p.ExtraSize}
		if p.Err == nil {
			page.Path, page.ContentHash = reconcile.Truncate(p.Path, maxPath), reconcile.Truncate(p.ContentHash, maxContentHash)
		} else {
			page.Error = reconcile.Truncate(storage.AsError(p.Err).Message, maxPageError)
		}
		c.Pages = append(c.Pages, page)
	}
	if u.result.Done {
		c.UID, c.ReadyCount = string(u.result.UID), &u.result.ReadyCount // the connection may have become Ready again, or was made anew, since it failed
	}
	switch {
	case !u.result.Done:
	case u.result.Err != nil:
		problem := storage.AsError(u.result.Err)
		c.Status, c.Reason, c.Error = platenv1alpha1.UploadError, validReason(string(problem.Reason), string(storage.ReasonUnexpected)), reconcile.Truncate(problem.Message, maxUploadError)
		c.Folder = reconcile.Truncate(u.Folder, maxPath)
	default:
		c.Status = platenv1alpha1.UploadSuccess
	}
	return c
}

// objectSize returns about how many bytes a job has without the pages of its connections.
func objectSize(job *platenv1alpha1.RenderJob, status *platenv1alpha1.RenderJobStatus) (size int) {
	size = otherSize
	if m := job.Spec.Modifications; m != nil {
		size += len(m.Raw)
	}
	for key, value := range job.Annotations {
		size += len(key) + len(value)
	}
	for _, p := range status.Pages {
		size += pageSize + len(p.ContentURL)
	}
	for _, c := range status.Connections {
		size += pageSize + len(c.Name) + len(c.UID) + len(c.Error) + len(c.Folder)
	}
	return size
}

// boundPages drops the pages that have more than limit bytes, and returns how many it dropped.
func boundPages(connections []platenv1alpha1.JobConnectionStatus, limit int) (left int) {
	size := 0
	for i := range connections {
		c := &connections[i]
		for j, p := range c.Pages {
			if size += pageSize + len(p.Path) + len(p.ContentHash) + len(p.Error); size > limit {
				left += len(c.Pages) - j
				c.Pages = c.Pages[:j]
				break
			}
		}
	}
	return left
}

// leaveOutUploads shortens a status that is too large by what was uploaded, and leaveOutFiles by everything that has a list.
func leaveOutUploads(status *platenv1alpha1.RenderJobStatus) {
	for i := range status.Connections {
		status.Connections[i].Pages = nil
	}
	tooLarge(status, "status.connections leaves out all files")
}

func leaveOutFiles(status *platenv1alpha1.RenderJobStatus) {
	status.Pages, status.Connections = nil, nil
	tooLarge(status, "status leaves out all files and connections")
}

// leaveOutAll makes the shortest status that ends a job, for one that leaves no room for its own. Without a revision, the next generation begins
// anew: it may be smaller.
func leaveOutAll(job *platenv1alpha1.RenderJob, s *scope) {
	now := metav1.NewTime(s.now)
	job.Status = platenv1alpha1.RenderJobStatus{ObservedGeneration: &job.Generation, StartTime: job.Status.StartTime, CompletionTime: &now}
	c := reconcile.Conditions{List: &job.Status.Conditions, Generation: job.Generation, Now: now, Finishes: true}
	c.Summarize(reconcile.Terminal(platenv1alpha1.StatusTooLargeReason, "the job has no room for its status: shorten it"), "", "")
}

// leftOutAll reports whether a status is that of leaveOutAll.
func leftOutAll(job *platenv1alpha1.RenderJob) bool {
	ready := meta.FindStatusCondition(job.Status.Conditions, platenv1alpha1.ReadyCondition)
	return ready != nil && ready.Reason == platenv1alpha1.StatusTooLargeReason
}

func tooLarge(status *platenv1alpha1.RenderJobStatus, what string) {
	status.Warnings = status.Warnings[:min(len(status.Warnings), 2)]
	warn(status, what+": the job is too large for the API server", "shorten spec.modifications or the annotations; modificationsFrom takes ConfigMaps")
}

// titles of the providers, as people write them.
var titles = map[platenv1alpha1.ProviderType]string{
	platenv1alpha1.ProviderDropbox: "Dropbox", platenv1alpha1.ProviderS3: "S3",
	platenv1alpha1.ProviderGCS: "Google Cloud Storage", platenv1alpha1.ProviderAzureBlob: "Azure Blob Storage",
}

// boundWarnings leaves out the warnings for which the API has no room, the last of the render's first: a failed upload matters more than a value that no
// page uses. ofRender is the number of the render's.
func boundWarnings(status *platenv1alpha1.RenderJobStatus, ofRender int) {
	over := len(status.Warnings) - maxWarnings
	if over <= 0 {
		return
	}
	uploads := status.Warnings[ofRender:]
	status.Warnings = slices.Clone(status.Warnings[:max(ofRender-over, 0)])
	if n := len(status.Warnings); n > 0 && status.Warnings[n-1].Title != render.MoreWarnings {
		status.Warnings = status.Warnings[:n-1]
		warn(status, render.MoreWarnings, render.MoreWarningsDetails)
	}
	status.Warnings = append(status.Warnings, uploads...)
	status.Warnings = status.Warnings[:min(len(status.Warnings), maxWarnings)]
}

// warn adds a warning; boundWarnings brings them all within the bound of the API.
func warn(status *platenv1alpha1.RenderJobStatus, title, details string) {
	if len(status.Warnings) < 2*maxWarnings {
		status.Warnings = append(status.Warnings, platenv1alpha1.Warning{
			Title:   cmp.Or(reconcile.Truncate(title, maxWarningTitle), "Warning"),
			Details: new(reconcile.Truncate(details, maxWarningDetails)),
		})
	}
}

// setConditions implements the table of docs/spec/v1alpha1/renderjob.md.
func setConditions(job *platenv1alpha1.RenderJob, s *scope, outcome error) {
	c := reconcile.Conditions{List: &job.Status.Conditions, Generation: job.Generation, Now: metav1.NewTime(s.now), Finishes: true}
	setRendered(c, s, outcome)
	setUploaded(c, s, job.Status.Connections)
	reason, message := platenv1alpha1.SucceededReason, ""
	if s.manifest != nil {
		message = summary(s, job.Status.Connections)
	}
	if len(job.Status.Warnings) > 0 {
		reason = platenv1alpha1.SucceededWithWarningsReason
		message = fmt.Sprintf("%s; %s", message, job.Status.Warnings[0].Title)
		if more := len(job.Status.Warnings) - 1; more > 0 {
			message += "; and " + plural.Count(more, "more warning")
		}
	}
	c.Summarize(outcome, reason, message)
}

func setRendered(c reconcile.Conditions, s *scope, outcome error) {
	terminal := reconcile.AsTerminal(outcome)
	switch {
	case s.manifest != nil:
		c.Set(platenv1alpha1.RenderedCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason, plural.Count(s.manifest.RenderedPages, "page")+" rendered")
	case terminal != nil:
		c.Set(platenv1alpha1.RenderedCondition, metav1.ConditionFalse, terminal.Reason, terminal.Message)
	default:
		c.Set(platenv1alpha1.RenderedCondition, metav1.ConditionUnknown, platenv1alpha1.RenderingReason, "not rendered yet")
	}
}

func setUploaded(c reconcile.Conditions, s *scope, connections []platenv1alpha1.JobConnectionStatus) {
	with := func(status platenv1alpha1.UploadStatus) *platenv1alpha1.JobConnectionStatus {
		i := slices.IndexFunc(connections, func(c platenv1alpha1.JobConnectionStatus) bool { return c.Status == status })
		if i < 0 {
			return nil
		}
		return &connections[i]
	}
	failed, pending := with(platenv1alpha1.UploadError), with(platenv1alpha1.UploadPending)
	switch {
	case failed != nil && slices.Contains(s.gone, failed.Name):
		c.Set(platenv1alpha1.UploadedCondition, metav1.ConditionFalse, failed.Reason, failed.Error)
	case failed != nil:
		reason := cmp.Or(failed.Reason, string(storage.ReasonUnexpected)) // an older version wrote none, and a condition must have one
		c.Set(platenv1alpha1.UploadedCondition, metav1.ConditionFalse, reason, fmt.Sprintf("StorageConnection '%s': %s", failed.Name, failed.Error))
	case pending != nil:
		c.Set(platenv1alpha1.UploadedCondition, metav1.ConditionUnknown, platenv1alpha1.UploadingReason,
			fmt.Sprintf("uploading to StorageConnection '%s'", pending.Name))
	case len(s.missing) > 0:
		c.Set(platenv1alpha1.UploadedCondition, metav1.ConditionFalse, string(storage.ReasonConnectionNotFound),
			absence(s.missing[0], s.present))
	case len(connections) == 0:
		c.Remove(platenv1alpha1.UploadedCondition)
	default:
		parts := make([]string, 0, len(connections))
		for _, c := range connections {
			part, kept := uploadedTo(c)
			if !kept {
				part = fmt.Sprintf("%s in %s", plural.Count(len(s.manifest.Files), "file"), c.Name)
			}
			parts = append(parts, part)
		}
		c.Set(platenv1alpha1.UploadedCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason, strings.Join(parts, ", "))
	}
}

// summary returns one line that says what was done.
func summary(s *scope, connections []platenv1alpha1.JobConnectionStatus) string {
	parts := []string{plural.Count(s.manifest.RenderedPages, "page") + " rendered"}
	for _, c := range connections {
		if c.Status != platenv1alpha1.UploadSuccess {
			continue
		}
		part, _ := uploadedTo(c)
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

// uploadedTo says how much was uploaded through a connection, and whether others' files were kept.
func uploadedTo(c platenv1alpha1.JobConnectionStatus) (text string, keeps bool) {
	kept := 0
	for _, p := range c.Pages {
		if p.Kept() {
			kept++
		}
	}
	switch kept {
	case 0:
		return "uploaded to " + c.Name, false
	case len(c.Pages):
		return "nothing uploaded to " + c.Name, true
	default:
		return fmt.Sprintf("%d of %s uploaded to %s", len(c.Pages)-kept, plural.Count(len(c.Pages), "file"), c.Name), true
	}
}

// writeDue keeps the intermediate states of short jobs, and the changing words of long waits, out of the API server. It reports whether a
// waiting job's status is due to be written. If it is not, next is when to look again; 0 waits for the pool or the uploader to report a
// change.
func writeDue(s *scope, after *platenv1alpha1.RenderJob, outcome error) (next time.Duration, due bool) {
	published, shown := "", pool.Wait{} // what the Ready condition of this generation says
	if ready := meta.FindStatusCondition(s.job.Status.Conditions, platenv1alpha1.ReadyCondition); ready != nil && s.job.Observed() {
		published, shown = ready.Reason, pool.Wait{Reason: ready.Reason, Message: ready.Message}
	}
	since := func(moment time.Time, delay time.Duration) (time.Duration, bool) {
		if moment.IsZero() {
			moment = s.now
		}
		left := moment.Add(delay).Sub(s.now)
		return left, left <= 0
	}
	switch reason := reconcile.AsWaiting(outcome).Reason; {
	case s.state.Phase == pool.Queued:
		// The pool tells of waits that are old enough, and of those that have changed, and not of too many at once.
		wait := pool.Wait{Reason: reason}
		if ready := meta.FindStatusCondition(after.Status.Conditions, platenv1alpha1.ReadyCondition); ready != nil {
			wait.Message = ready.Message
		}
		return 0, wait.Differs(shown) && s.now.Sub(s.state.AcceptedTime) >= queuedDelay
	case reason == platenv1alpha1.RenderingReason:
		if published == reason && ptr.Deref(s.job.Status.Attempts, 0) == ptr.Deref(after.Status.Attempts, 0) {
			return 0, !apiequality.Semantic.DeepEqual(s.job.Status.Progress, after.Status.Progress) // the pool changes it at most once a second
		}
		return since(s.state.StartedTime, progressDelay)
	case reason == platenv1alpha1.UploadingReason:
		if published == reason {
			return 0, false
		}
		return since(s.uploadsPlanned(), progressDelay)
	case s.follows:
		if published == reason {
			return 0, false
		}
		return since(s.job.CreationTimestamp.Time, queuedDelay)
	case reason == platenv1alpha1.TemplateNotFoundReason, reason == platenv1alpha1.SourceNotFoundReason:
		// Objects that a user applies together arrive one after the other.
		return since(s.job.CreationTimestamp.Time, arrivalDelay)
	default: // suspended
		return 0, true
	}
}

// conditionReason matches what the API takes as the reason of a condition.
var conditionReason = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_,:]{0,126}[A-Za-z0-9_])?$`)

// validReason returns reason if it can be that of a condition, else the other one.
func validReason(reason, otherwise string) string {
	if !conditionReason.MatchString(reason) {
		return otherwise
	}
	return reason
}

// renderFailure is the outcome of a failed render. Reason and message come from a render pod: they may say anything, also what the page
// shows.
func renderFailure(failure *render.Error) error {
	return &reconcile.TerminalError{Reason: validReason(failure.Reason, platenv1alpha1.RenderFailedReason), Message: failure.Message, Note: "the render failed: the job's Ready condition says why"}
}

// report writes a line for each stage that a job has reached since its last status, and tells the observer of its end. It says nothing of what
// the job renders.
func (r *Reconciler) report(ctx context.Context, s *scope, after *platenv1alpha1.RenderJob) {
	log := ctrl.LoggerFrom(ctx).WithValues("uid", after.UID, "generation", after.Generation)
	reached := func(kind string) bool {
		return meta.IsStatusConditionTrue(after.Status.Conditions, kind) &&
			(!s.job.Observed() || !meta.IsStatusConditionTrue(s.job.Status.Conditions, kind))
	}
	started := s.state.AcceptedTime
	if started.IsZero() {
		started = after.Status.StartTime.Time
	}
	if reached(platenv1alpha1.FinishedCondition) {
		reason := meta.FindStatusCondition(after.Status.Conditions, platenv1alpha1.FinishedCondition).Reason
		r.trace(after, reason, started, s.now)
		if r.Observer != nil {
			r.Observer.Finished(reason, s.now.Sub(started), tracing.TraceID(r.Tracer.Traceparent(runOf(after))))
		}
	}
	ready := meta.FindStatusCondition(after.Status.Conditions, platenv1alpha1.ReadyCondition)
	if reached(platenv1alpha1.RenderedCondition) {
		log.Info("Rendered RenderJob", "pod", after.Status.PodName, "attempt", ptr.Deref(after.Status.Attempts, 0),
			"pages", ptr.Deref(after.Status.RenderedPages, 0), "duration", time.Duration(s.manifest.RenderMilliseconds)*time.Millisecond)
	}
	if reached(platenv1alpha1.UploadedCondition) {
		names := make([]string, 0, len(after.Status.Connections))
		for _, c := range after.Status.Connections {
			names = append(names, c.Name)
		}
		log.Info("Uploaded RenderJob", "connections", names, "files", len(s.manifest.Files))
	}
	switch {
	case !reached(platenv1alpha1.FinishedCondition):
		log.V(1).Info("Wrote status of RenderJob", "reason", ready.Reason)
	case ready.Status == metav1.ConditionTrue:
		log.Info("Finished RenderJob", "reason", ready.Reason, "warnings", len(after.Status.Warnings), "duration", s.now.Sub(started))
	default:
		log.Info("Failed RenderJob", "reason", ready.Reason, "pod", after.Status.PodName, "attempt", ptr.Deref(after.Status.Attempts, 0),
			"duration", s.now.Sub(started))
	}
}
