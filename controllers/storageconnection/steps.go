// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package storageconnection

import (
	"context"
	"errors"
	"fmt"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/plural"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/storage"
)

// scope holds what one verification has found. Each field names the step that fills it in.
type scope struct {
	connection *platenv1alpha1.StorageConnection
	now        time.Time
	// credentialsVersion of the Secret, read before its values; filled in by Reconcile.
	credentialsVersion string

	// provider is the client of the account; filled in by open.
	provider storage.Provider
	// account that answered, nil until then; filled in by verify.
	account *storage.Account
	// uploadsFailed reports that uploads have failed since the connection last became Ready. retryUploads is when they are due for a retry, the
	// zero time for never, and uploadsRetried reports that this is now. Filled in by checkFailedUploads.
	uploadsFailed  bool
	retryUploads   time.Time
	uploadsRetried bool
}

// open makes or finds the client of the connection.
func (r *Reconciler) open(ctx context.Context, s *scope) (err error) {
	s.provider, err = r.Connector.Open(ctx, s.connection)
	return s.classify(err)
}

// verify asks the service who the account is and how full it is.
func (r *Reconciler) verify(ctx context.Context, s *scope) error {
	account, err := s.provider.Verify(ctx)
	if err != nil {
		return s.classify(err)
	}
	s.account = &account
	return nil
}

// ensureFolder creates the default folder, unless nothing is uploaded through the connection.
func (r *Reconciler) ensureFolder(ctx context.Context, s *scope) error {
	if s.connection.Spec.UploadPolicy == platenv1alpha1.UploadDisabled {
		return nil
	}
	err := s.provider.EnsureFolder(ctx, string(s.connection.Spec.DefaultFolder))
	if problem := (*storage.Error)(nil); errors.As(err, &problem) && problem.Reason.Fault() == storage.FaultOfFile {
		return reconcile.Terminal(string(problem.Reason), "spec.defaultFolder cannot be made: %s. %s",
			problem.Message, problem.Reason.AdviceOfConnection(string(s.connection.Spec.Provider)).Do)
	}
	return s.classify(err)
}

// checkFailedUploads compares the account with the uploads that failed since the connection last became Ready. A full account is not
// Ready until it has room for one of them. Every other failure that was not the file's is retried when it is due, although a check may not
// find it: the account may have been suspended for a moment, or the folder closed. What found the connection disabled is retried once it is not.
func (r *Reconciler) checkFailedUploads(ctx context.Context, s *scope) error {
	jobs := &platenv1alpha1.RenderJobList{}
	err := r.Client.List(ctx, jobs, client.InNamespace(s.connection.Namespace), client.MatchingFields{failedUploadIndex: s.connection.Name},
		client.UnsafeDisableDeepCopy) // they are only read, and may be many
	if err != nil {
		return fmt.Errorf("listing the RenderJobs whose upload failed: %w", err)
	}
	space := spaceOf(s.account)
	var needed int64 // bytes of the smallest upload that found the account full
	due := func(failed *metav1.Time, repaired bool) {
		if at := uploadRetry(s.connection, failed, repaired); s.retryUploads.IsZero() || at.Before(s.retryUploads) {
			s.retryUploads = at
		}
	}
	var lastFull *metav1.Time
	for i := range jobs.Items {
		job := &jobs.Items[i]
		failure := findFailure(job, s.connection)
		if failure == nil {
			continue
		}
		s.uploadsFailed = true
		reason, failed := storage.Reason(failure.Reason), job.Status.CompletionTime
		advice := reason.Advice(string(s.connection.Spec.Provider))
		switch {
		case reason == storage.ReasonInsufficientSpace && space != nil:
			if size := totalSize(job); needed == 0 || size < needed {
				needed, lastFull = size, failed
			}
		case reason == storage.ReasonInsufficientSpace:
			due(failed, false)
		case reason == storage.ReasonDisabled:
			if s.connection.Spec.UploadPolicy != platenv1alpha1.UploadDisabled {
				s.retryUploads = time.Time{}.Add(1) // at once, whatever else has failed
			}
		case reason.Fault() != storage.FaultOfFile:
			due(failed, advice.Checked)
		}
	}
	if needed > 0 {
		if free := *space.Allocated - *space.Used; free < needed {
			return reconcile.Terminal(string(storage.ReasonInsufficientSpace),
				"the account has %s free, and an upload needs %d: make room, and Platen uploads any failed files again", plural.Count(max(free, 0), "byte"), needed)
		}
		// Figures that have changed tell that somebody made room. A service may refuse files although it shows room all the time.
		due(lastFull, !apiequality.Semantic.DeepEqual(space, s.connection.Status.Space))
	}
	s.uploadsRetried = !s.retryUploads.IsZero() && !s.retryUploads.After(s.now)
	return nil
}

// totalSize is the size of a job's files, in bytes.
func totalSize(job *platenv1alpha1.RenderJob) (bytes int64) {
	for _, page := range job.Status.Pages {
		bytes += ptr.Deref(page.Size, 0)
	}
	return bytes
}

// classify turns a storage error into an outcome: Waiting when the service may recover by itself, Terminal when a user must act.
func (s *scope) classify(err error) error {
	problem := (*storage.Error)(nil)
	provider := string(s.connection.Spec.Provider)
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &problem):
		return err
	case problem.Class == storage.Retry:
		return reconcile.Waiting(string(problem.Reason), problem.RetryAfter, "%s", problem.Explain(provider))
	default:
		return reconcile.Terminal(string(problem.Reason), "%s", problem.Explain(provider))
	}
}
