// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/uploader"
)

const (
	maxWarnings = 64
	// patience is how long a job may wait for a render pod before an intermediate status says so: most pods come sooner, and
	// then the status tells of the rendering instead.
	patience = 5 * time.Second
)

// setStatus computes the whole status from what the steps found out. It is pure.
func setStatus(job *platenv1alpha1.RenderJob, s *scope, outcome error) {
	now := metav1.NewTime(s.now)
	before := job.Status
	job.Status = platenv1alpha1.RenderJobStatus{
		Conditions:         before.Conditions,
		ObservedGeneration: &job.Generation,
		Format:             job.Spec.Output.Format,
		StartTime:          before.StartTime,

		LastHandledRetryUploads: truncate(job.Annotations[platenv1alpha1.RetryUploadsAnnotation], maxAnnotation),
	}
	if !s.job.Observed() || before.StartTime == nil {
		job.Status.StartTime = startTime(s)
	} else {
		job.Status.Attempts = before.Attempts
	}
	setProgress(&job.Status, s)
	setUploads(&job.Status, s)
	setConditions(job, s, outcome)
	if meta.IsStatusConditionTrue(job.Status.Conditions, platenv1alpha1.FinishedCondition) {
		job.Status.CompletionTime = &now
	}
}

func startTime(s *scope) *metav1.Time {
	if !s.state.AcceptedTime.IsZero() {
		return new(metav1.NewTime(s.state.AcceptedTime))
	}
	return new(metav1.NewTime(s.now))
}

// setProgress tells what has been rendered.
func setProgress(status *platenv1alpha1.RenderJobStatus, s *scope) {
	if s.state.Phase != pool.Unknown {
		status.Attempts = new(int32(s.state.Attempts)) //nolint:gosec // bounded by spec.backoffLimit
		status.PodName = s.state.PodName
		status.TotalPages = new(int32(s.state.TotalPages))       //nolint:gosec // at most 200, by the API
		status.RenderedPages = new(int32(s.state.RenderedPages)) //nolint:gosec // at most 200, by the API
	}
	if p := s.state.Progress; p != nil && s.state.Phase == pool.Rendering {
		status.Progress = &platenv1alpha1.RenderProgress{
			Percent: new(int32(p.Percent)), Frames: new(int64(p.Frames)), //nolint:gosec // 0..100, by the pool
		}
	}
	if m := s.manifest; m != nil {
		status.PodName = m.PodName
		status.TotalPages = new(int32(m.TotalPages))       //nolint:gosec // at most 200, by the API
		status.RenderedPages = new(int32(m.RenderedPages)) //nolint:gosec // at most 200, by the API
		status.RenderMilliseconds = &m.RenderMilliseconds
		status.Pages = s.pages
		for _, w := range m.Warnings {
			warn(status, w.Title, w.Details)
		}
		if status.Attempts == nil {
			status.Attempts = new(int32(1))
		}
	}
}

// setUploads tells what became of the uploads, in the words of the public API.
func setUploads(status *platenv1alpha1.RenderJobStatus, s *scope) {
	for _, provider := range s.missing {
		warn(status, titles[provider]+" connection not found for this workspace", "")
	}
	for _, c := range s.collisions {
		warn(status, fmt.Sprintf("RenderJob '%s' writes to the same file in %s, which ignores case: %s", c.job, c.provider, c.path),
			"choose another spec.output.fileName or folder")
	}
	status.Connections = settledBefore(s.job, s.again)
	for i, result := range s.uploads {
		spec := s.targets[i].connection.Spec
		c := platenv1alpha1.JobConnectionStatus{
			Name: result.Name, Type: platenv1alpha1.ConnectionStorage, Provider: spec.Provider,
			Status: platenv1alpha1.UploadPending, ReadyCount: s.targets[i].connection.Status.ReadyCount,
		}
		for _, p := range result.Files {
			page := platenv1alpha1.UploadedPage{Page: int32(p.Page), ExtraSize: &p.ExtraSize} //nolint:gosec // at most 200, by the API
			if p.Err == nil {
				page.Path, page.ContentHash = p.Path, p.ContentHash
			} else {
				page.Error = truncate(uploadMessage(p.Err), 256)
			}
			c.Pages = append(c.Pages, page)
			if p.Kept {
				warn(status, fmt.Sprintf("Kept the file that was already in %s at %s", spec.Provider, p.Path), "conflictPolicy is Keep")
			}
		}
		switch {
		case !result.Done:
		case result.Err != nil:
			c.Status = platenv1alpha1.UploadError
			c.Error = truncate(uploadMessage(result.Err), 1024)
			warn(status, fmt.Sprintf("Failed to upload to %s: %s", spec.Provider, c.Error), "")
		default:
			c.Status = platenv1alpha1.UploadSuccess
		}
		status.Connections = append(status.Connections, c)
	}
	slices.SortFunc(status.Connections, func(a, b platenv1alpha1.JobConnectionStatus) int { return strings.Compare(a.Name, b.Name) })
}

// titles of the providers, as people write them.
var titles = map[platenv1alpha1.ProviderType]string{
	platenv1alpha1.ProviderDropbox: "Dropbox", platenv1alpha1.ProviderS3: "S3",
	platenv1alpha1.ProviderGCS: "Google Cloud Storage", platenv1alpha1.ProviderAzureBlob: "Azure Blob Storage",
}

func uploadMessage(err error) string {
	return storage.AsError(err).Message
}

func uploadReason(err error) string {
	return string(storage.AsError(err).Reason)
}

func warn(status *platenv1alpha1.RenderJobStatus, title, details string) {
	if len(status.Warnings) < maxWarnings {
		status.Warnings = append(status.Warnings, platenv1alpha1.Warning{Title: truncate(title, 512), Details: new(truncate(details, 1024))})
	}
}

// setConditions is the table of docs/spec/v1alpha1/renderjob.md.
func setConditions(job *platenv1alpha1.RenderJob, s *scope, outcome error) {
	c := reconcile.Conditions{List: &job.Status.Conditions, Generation: job.Generation, Now: metav1.NewTime(s.now)}
	setRendered(c, s, outcome)
	setUploaded(c, s)

	waiting := (*reconcile.WaitingError)(nil)
	terminal := (*reconcile.TerminalError)(nil)
	switch {
	case outcome == nil:
		reason, message := platenv1alpha1.SucceededReason, summary(s)
		if len(job.Status.Warnings) > 0 {
			reason = platenv1alpha1.SucceededWithWarningsReason
			message = fmt.Sprintf("%s; %s", message, job.Status.Warnings[0].Title)
		}
		c.Set(platenv1alpha1.ReadyCondition, metav1.ConditionTrue, reason, message)
		c.Set(platenv1alpha1.FinishedCondition, metav1.ConditionTrue, reason, message)
		c.Remove(platenv1alpha1.ReconcilingCondition)
		c.Remove(platenv1alpha1.StalledCondition)
	case errors.As(outcome, &terminal):
		c.Set(platenv1alpha1.ReadyCondition, metav1.ConditionFalse, terminal.Reason, terminal.Message)
		c.Set(platenv1alpha1.StalledCondition, metav1.ConditionTrue, terminal.Reason, terminal.Message)
		c.Set(platenv1alpha1.FinishedCondition, metav1.ConditionTrue, platenv1alpha1.FailedReason, terminal.Message)
		c.Remove(platenv1alpha1.ReconcilingCondition)
	case errors.As(outcome, &waiting):
		c.Set(platenv1alpha1.ReadyCondition, metav1.ConditionUnknown, waiting.Reason, waiting.Message)
		c.Set(platenv1alpha1.FinishedCondition, metav1.ConditionFalse, waiting.Reason, waiting.Message)
		c.Set(platenv1alpha1.ReconcilingCondition, metav1.ConditionTrue, waiting.Reason, waiting.Message)
		c.Remove(platenv1alpha1.StalledCondition)
	default:
		// Tried again with backoff; the status stays as it was.
	}
}

func setRendered(c reconcile.Conditions, s *scope, outcome error) {
	terminal := (*reconcile.TerminalError)(nil)
	switch {
	case s.manifest != nil:
		c.Set(platenv1alpha1.RenderedCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason, summary(s))
	case errors.As(outcome, &terminal):
		c.Set(platenv1alpha1.RenderedCondition, metav1.ConditionFalse, terminal.Reason, terminal.Message)
	default:
		c.Set(platenv1alpha1.RenderedCondition, metav1.ConditionUnknown, platenv1alpha1.RenderingReason, "not rendered yet")
	}
}

func setUploaded(c reconcile.Conditions, s *scope) {
	if len(s.missing) > 0 && len(s.targets) == 0 {
		c.Set(platenv1alpha1.UploadedCondition, metav1.ConditionFalse, string(storage.ReasonConnectionNotFound),
			"spec.connections names a connection that does not exist in this namespace")
		return
	}
	if len(s.uploads) == 0 {
		c.Remove(platenv1alpha1.UploadedCondition)
		return
	}
	pending := ""
	for _, result := range s.uploads {
		switch {
		case !result.Done:
			pending = result.Name
		case result.Err != nil:
			c.Set(platenv1alpha1.UploadedCondition, metav1.ConditionFalse, uploadReason(result.Err),
				fmt.Sprintf("StorageConnection '%s': %s", result.Name, uploadMessage(result.Err)))
			return
		}
	}
	if pending != "" {
		c.Set(platenv1alpha1.UploadedCondition, metav1.ConditionUnknown, platenv1alpha1.UploadingReason,
			fmt.Sprintf("StorageConnection '%s' is being uploaded to", pending))
		return
	}
	if len(s.missing) > 0 {
		c.Set(platenv1alpha1.UploadedCondition, metav1.ConditionFalse, string(storage.ReasonConnectionNotFound),
			"spec.connections names a connection that does not exist in this namespace")
		return
	}
	c.Set(platenv1alpha1.UploadedCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason, uploadSummary(s.uploads))
}

func summary(s *scope) string {
	parts := []string{plural(s.manifest.RenderedPages, "page") + " rendered"}
	for _, result := range s.uploads {
		if result.Done && result.Err == nil {
			parts = append(parts, "uploaded to "+result.Name)
		}
	}
	return strings.Join(parts, ", ")
}

func uploadSummary(results []uploader.Result) string {
	parts := make([]string, 0, len(results))
	for _, result := range results {
		parts = append(parts, fmt.Sprintf("%s in %s", plural(len(result.Files), "file"), result.Name))
	}
	return strings.Join(parts, ", ")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// quiet keeps intermediate states of short jobs out of the API server: it returns how long to wait before status is written,
// and 0 when it is to be written now.
func quiet(s *scope, after *platenv1alpha1.RenderJob, outcome error) time.Duration {
	waiting := (*reconcile.WaitingError)(nil)
	if !errors.As(outcome, &waiting) {
		return 0
	}
	started := s.now
	if !s.state.AcceptedTime.IsZero() {
		started = s.state.AcceptedTime
	}
	published := (*metav1.Condition)(nil)
	if s.job.Observed() {
		published = meta.FindStatusCondition(s.job.Status.Conditions, platenv1alpha1.ReadyCondition)
	}
	switch waiting.Reason {
	case platenv1alpha1.QueuedReason:
		return started.Add(patience).Sub(s.now)
	case platenv1alpha1.RenderingReason:
		if published != nil && published.Reason == waiting.Reason && s.now.Sub(published.LastTransitionTime.Time) >= 0 &&
			valueOr(s.job.Status.Attempts, 0) == valueOr(after.Status.Attempts, 0) {
			if !apiequality.Semantic.DeepEqual(s.job.Status.Progress, after.Status.Progress) {
				return 0 // the pool has it change at most once a second
			}
			return patience // that it renders was told; the end will be
		}
		return started.Add(progressDelay).Sub(s.now)
	case platenv1alpha1.UploadingReason:
		if published != nil && published.Reason == waiting.Reason {
			return patience
		}
		return s.state.RenderedTime.Add(progressDelay).Sub(s.now)
	case platenv1alpha1.TemplateNotFoundReason, platenv1alpha1.SourceNotFoundReason:
		// What is applied together does not arrive together.
		return s.job.CreationTimestamp.Add(arrivalDelay).Sub(s.now)
	default:
		return 0
	}
}

// renderFailure is a failed render as the user is told of it.
func renderFailure(failure *render.Error) error {
	reason := failure.Reason
	if reason == "" {
		reason = platenv1alpha1.RenderFailedReason
	}
	return reconcile.Terminal(reason, "%s", failure.Message)
}

// truncate cuts text to at most limit bytes without splitting a character.
func truncate(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text
	}
	cut := limit - len("…")
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
