// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/task"
)

// keepsOutcome reports whether a job finished at an earlier generation with what its spec still asks for.
func (s *scope) keepsOutcome() bool {
	status := &s.job.Status
	switch ready := meta.FindStatusCondition(status.Conditions, platenv1alpha1.ReadyCondition); {
	case !meta.IsStatusConditionTrue(status.Conditions, platenv1alpha1.FinishedCondition) || ready == nil:
		return false
	case ready.Status == metav1.ConditionFalse:
		return status.RenderRevision == s.failedRevision(ready.Reason)
	default:
		return status.RenderRevision == s.revision && status.UploadRevision == task.UploadRevision(s.job)
	}
}

// failedRevision is the status.renderRevision of a render that failed with a reason. It has what else of the spec may change the outcome:
// the limits and, if the job was canceled, whether it still is.
func (s *scope) failedRevision(reason string) string {
	spec := &s.job.Spec
	switch {
	case reason != platenv1alpha1.CanceledReason:
		return fmt.Sprintf("%s-%d-%d", s.revision, spec.TimeoutSeconds, ptr.Deref(spec.BackoffLimit, defaultBackoffLimit))
	case s.job.Canceled():
		return s.revision + "-canceled"
	default:
		return s.revision
	}
}

// keepOutcome says in status that the outcome of an earlier generation is that of the present one.
func (r *Reconciler) keepOutcome(ctx context.Context, s *scope) (ctrl.Result, error) {
	r.Pool.Forget(s.key()) // the spec may have asked for something else in between
	after := s.job.DeepCopy()
	after.Status.ObservedGeneration = &after.Generation
	for i := range after.Status.Conditions {
		after.Status.Conditions[i].ObservedGeneration = after.Generation
	}
	if err := r.retain(ctx, s.job, after); err != nil {
		return ctrl.Result{}, err
	}
	next, _, err := r.status.Finish(ctx, s.job, after, nil)
	return next, err
}

// retain says in the content store whether the files outlive the job: those that its status is about to show. It comes before the write of that
// status, so that a crash in between leaves nobody with URLs that the job's deletion ends against its policy.
func (r *Reconciler) retain(ctx context.Context, before, after *platenv1alpha1.RenderJob) error {
	if after.Spec.ContentPolicy != platenv1alpha1.ContentRetain {
		if before.Observed() || after.Generation == 1 {
			return nil // no earlier spec has retained any
		}
		return r.Store.Release(ctx, after.Namespace, string(after.UID))
	}
	shown, until := &after.Status, urlsExpire(&after.Status)
	if until.IsZero() { // those of the last render are there until the next one has ended
		shown, until = &before.Status, urlsExpire(&before.Status)
	}
	if until.IsZero() {
		return nil
	}
	return r.Store.Retain(ctx, content.Ref{Namespace: after.Namespace, JobUID: string(after.UID), Revision: shown.RenderRevision}, until)
}

// awaitRoom makes of a status that of a job that waits until the content store has room for the mark of its files, and returns the outcome. The
// files have no URLs meanwhile.
func awaitRoom(after *platenv1alpha1.RenderJob, s *scope) error {
	outcome := reconcile.Waiting(platenv1alpha1.ContentStoreFullReason, roomRetry, "the content store is full; the job goes on when it has room to note that spec.contentPolicy retains its files")
	after.Status = *s.job.Status.DeepCopy()
	setStatus(after, s, outcome)
	after.Status.Pages = slices.Clone(after.Status.Pages)
	for i := range after.Status.Pages {
		after.Status.Pages[i].ContentURL = ""
	}
	return outcome
}

// urlsExpire returns when the last content URL of a status stops working; zero if there is none.
func urlsExpire(status *platenv1alpha1.RenderJobStatus) (last time.Time) {
	for _, p := range status.Pages {
		if expires := content.Expiry(p.ContentURL); expires.After(last) {
			last = expires
		}
	}
	if expires := status.ContentExpirationTime; expires != nil && expires.Time.Before(last) {
		return expires.Time
	}
	return last
}

// contentExpires returns when the files of a finished job are deleted; zero for never, or if they are gone already. Jobs that finished
// before the manager had a retention have it too.
func (r *Reconciler) contentExpires(job *platenv1alpha1.RenderJob) time.Time {
	expires := job.Status.ContentExpirationTime
	if expires == nil && r.Retention > 0 {
		expires = expiration(job.Status.CompletionTime, r.Retention)
	}
	for _, p := range job.Status.Pages {
		if p.ContentURL != "" && expires != nil {
			return expires.Time
		}
	}
	return time.Time{}
}

// signAgain replaces the content URLs of a finished job whose key is gone. They name the files of its own render, whatever status says, and
// expire when the old ones do. busy is false when there is nothing to do.
func (r *Reconciler) signAgain(ctx context.Context, s *scope) (next ctrl.Result, busy bool, err error) {
	lost := func(p platenv1alpha1.RenderedPage) bool { return r.Signer.Lost(p.ContentURL, s.now) }
	if !slices.ContainsFunc(s.job.Status.Pages, lost) {
		return ctrl.Result{}, false, nil
	}
	ref := content.Ref{Namespace: s.job.Namespace, JobUID: string(s.job.UID), Revision: s.job.Status.RenderRevision}
	manifest, err := r.Store.Manifest(ctx, ref)
	if errors.Is(err, content.ErrNotFound) {
		return ctrl.Result{}, false, nil
	}
	if err != nil {
		return ctrl.Result{}, false, fmt.Errorf("reading the content store: %w", err)
	}
	after, signed := s.job.DeepCopy(), false
	for _, f := range rename(s.job, validFiles(manifest.Files), len(manifest.Files)) {
		for i := range after.Status.Pages {
			p := &after.Status.Pages[i]
			if int(p.Page) == f.Page && ptr.Deref(p.ExtraSize, "") == f.ExtraSize && lost(*p) {
				p.ContentURL = r.Signer.Again(p.ContentURL, ref.Key(manifest.Attempt, f), f.Name, f.Size, s.now)
				signed = true
			}
		}
	}
	if !signed {
		return ctrl.Result{}, false, nil
	}
	next, _, err = r.status.Finish(ctx, s.job, after, nil)
	return next, true, err
}

func expiration(completed *metav1.Time, retention time.Duration) *metav1.Time {
	if completed == nil {
		return nil
	}
	return new(metav1.NewTime(completed.Add(retention)))
}

// expireContent deletes the files of a finished job, and says so in status.
func (r *Reconciler) expireContent(ctx context.Context, s *scope, expired time.Time) (ctrl.Result, error) {
	if _, err := r.Store.Delete(ctx, content.Ref{Namespace: s.job.Namespace, JobUID: string(s.job.UID)}); err != nil {
		return ctrl.Result{}, err
	}
	after := s.job.DeepCopy()
	status := &after.Status
	status.ContentExpirationTime = new(metav1.NewTime(expired))
	for i := range status.Pages {
		status.Pages[i].ContentURL = ""
	}
	status.Warnings = status.Warnings[:min(len(status.Warnings), maxWarnings-1)]
	warn(status, "The content store no longer keeps the files", "they were kept until "+expired.UTC().Format(time.RFC3339))
	next, _, err := r.status.Finish(ctx, s.job, after, nil)
	return next, err
}
