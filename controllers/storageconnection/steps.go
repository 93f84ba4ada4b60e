// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package storageconnection

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/storage"
)

const (
	// minRetryDelay is the shortest wait before Platen calls a service again that it could not reach.
	minRetryDelay = 10 * time.Second
	// minRepairDelay is the least time between two repairs of a connection. A failure that only uploads find would otherwise be retried
	// without a pause.
	minRepairDelay = time.Minute
)

// scope holds what one verification has found. Each field names the step that fills it in.
type scope struct {
	connection *platenv1alpha1.StorageConnection
	now        time.Time

	// provider is the client of the account; filled in by open.
	provider storage.Provider
	// account that answered, nil until then; filled in by verify.
	account *storage.Account
	// repaired reports that uploads failed for a reason that is gone, while the connection stayed Ready; filled in by
	// checkFailedUploads.
	repaired bool
	// repairAfter is when to look again for a repair that comes too soon, 0 for none; filled in by checkFailedUploads.
	repairAfter time.Duration
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
	return s.classify(s.provider.EnsureFolder(ctx, string(s.connection.Spec.DefaultFolder)))
}

// checkFailedUploads compares the account with the uploads that failed since the connection last became Ready. A full account is not
// Ready until it has room for one of them. Any other failure that the steps before would have found is repaired.
func (r *Reconciler) checkFailedUploads(ctx context.Context, s *scope) error {
	jobs := &platenv1alpha1.RenderJobList{}
	err := r.Client.List(ctx, jobs, client.InNamespace(s.connection.Namespace), client.MatchingFields{failedUploadIndex: s.connection.Name})
	if err != nil {
		return fmt.Errorf("listing the RenderJobs whose upload failed: %w", err)
	}
	var needed int64 // bytes of the smallest upload that found the account full
	for i := range jobs.Items {
		job := &jobs.Items[i]
		failure := findFailure(job, s.connection)
		switch {
		case failure == nil:
		case failure.Reason == string(storage.ReasonInsufficientSpace):
			if size := totalSize(job); needed == 0 || size < needed {
				needed = size
			}
		case storage.Reason(failure.Reason).Advice(string(s.connection.Spec.Provider)).Checked:
			s.repaired = true
		}
	}
	last, _ := r.repairs.Load(client.ObjectKeyFromObject(s.connection))
	if repaired, ok := last.(time.Time); ok && s.repaired {
		s.repairAfter = max(repaired.Add(minRepairDelay).Sub(s.now), 0)
		s.repaired = s.repairAfter == 0
	}
	space := spaceOf(s.account)
	if needed == 0 || space == nil {
		return nil
	}
	if free := *space.Allocated - *space.Used; free < needed {
		return reconcile.Terminal(string(storage.ReasonInsufficientSpace),
			"the account has %d bytes free, and an upload needs %d: make room; failed uploads then follow by themselves", max(free, 0), needed)
	}
	// A service may refuse files although it shows room. Its figures must change before the uploads are retried.
	s.repaired = s.repaired || !apiequality.Semantic.DeepEqual(space, s.connection.Status.Space)
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
		after := max(problem.RetryAfter, minRetryDelay+rand.N(minRetryDelay)) //nolint:gosec // no secret depends on it
		return reconcile.Waiting(string(problem.Reason), after, "%s", problem.Explain(provider))
	default:
		return reconcile.Terminal(string(problem.Reason), "%s", problem.Explain(provider))
	}
}
