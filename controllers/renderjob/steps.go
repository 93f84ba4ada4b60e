// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/task"
)

const (
	// sourceRetry is how often to look for a missing ConfigMap; ConfigMaps are not watched.
	sourceRetry = 30 * time.Second
	// progressDelay is how long a render or an upload takes before an intermediate status is written.
	progressDelay = time.Second
	// arrivalDelay is how old a job must be before status says that its template or a ConfigMap is missing. Creation times have whole seconds only.
	arrivalDelay = 2 * time.Second
	// maxPageID is the bound that the API sets for pages[].pageID.
	maxPageID = 36
	// defaultBackoffLimit counts when spec.backoffLimit is absent.
	defaultBackoffLimit = 2
)

// scope holds what one reconciliation has found. Each field names the step that fills it in.
type scope struct {
	job *platenv1alpha1.RenderJob
	now time.Time
	// revision of the job's spec: what is rendered.
	revision string

	// state of the job in the pool; filled in by recall, and by prepare once it has queued the job.
	state pool.State
	// manifest of the rendered files, nil until they are rendered; filled in by recall.
	manifest *content.Manifest
	// pages with their content URLs; filled in by collect.
	pages []platenv1alpha1.RenderedPage
	// uploads of the rendered files, one for each connection; filled in by upload. For a finished job, retryUploads fills
	// in only those that are retried.
	uploads []upload
	// retry is true for a finished job; filled in by retryUploads.
	retry bool
	// missing are the providers of named connections that do not exist; filled in by upload.
	missing []platenv1alpha1.ProviderType
	// collisions with the files of other jobs; filled in by upload.
	collisions []collision
}

func (s *scope) key() types.NamespacedName { return client.ObjectKeyFromObject(s.job) }

func (s *scope) ref() content.Ref {
	return content.Ref{Namespace: s.job.Namespace, JobUID: string(s.job.UID), Revision: s.revision}
}

// suspend stops a job whose spec.suspend is true, and ends it when it was canceled.
func (r *Reconciler) suspend(_ context.Context, s *scope) error {
	if !s.job.Suspended() {
		return nil
	}
	r.Pool.Forget(s.key())
	r.Uploader.Forget(s.key())
	if s.job.Annotations[platenv1alpha1.CanceledAnnotation] != "" {
		return reconcile.Terminal(platenv1alpha1.CanceledReason, "the job was canceled")
	}
	return reconcile.Waiting(platenv1alpha1.SuspendedReason, 0, "spec.suspend is true")
}

// recall finds out how far the job has come, in this process or in an earlier one.
func (r *Reconciler) recall(ctx context.Context, s *scope) error {
	s.state = r.Pool.State(s.key(), s.job.UID, s.job.Generation)
	if s.state.Phase != pool.Unknown && s.state.Phase != pool.Rendered {
		return nil
	}
	manifest, err := r.Store.Manifest(ctx, s.ref())
	if errors.Is(err, content.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the content store: %w", err)
	}
	s.manifest = &manifest
	return nil
}

// prepare validates the job against its template and hands it to the pool.
func (r *Reconciler) prepare(ctx context.Context, s *scope) error {
	if s.manifest != nil || s.state.Phase != pool.Unknown {
		return nil
	}
	template := &platenv1alpha1.RenderTemplate{}
	name := s.job.Spec.TemplateRef.Name
	err := r.Client.Get(ctx, types.NamespacedName{Namespace: s.job.Namespace, Name: name}, template)
	if apierrors.IsNotFound(err) {
		return reconcile.Waiting(platenv1alpha1.TemplateNotFoundReason, 0,
			"spec.templateRef.name: RenderTemplate '%s' does not exist in namespace '%s'; the job starts when it is created", name, s.job.Namespace)
	}
	if err != nil {
		return fmt.Errorf("reading RenderTemplate %s: %w", name, err)
	}
	work, err := task.Build(ctx, s.job, template, r.Limits, r.configMapValue)
	if err != nil {
		return err
	}
	attempts := 0
	if s.job.Observed() && s.job.Status.Attempts != nil {
		// A pod may still render the last attempt and will then report it. Only the attempts before it are known to be lost.
		attempts = max(int(*s.job.Status.Attempts)-1, 0)
	}
	r.Pool.Enqueue(pool.Job{
		Key: s.key(), UID: s.job.UID, Generation: s.job.Generation, Revision: s.revision,
		Timeout:      time.Duration(s.job.Spec.TimeoutSeconds) * time.Second,
		BackoffLimit: int(ptr.Deref(s.job.Spec.BackoffLimit, defaultBackoffLimit)),
		Attempts:     attempts,
		Task:         work,
		TotalPages:   len(template.Spec.Pages),
	})
	ctrl.LoggerFrom(ctx).Info("Accepted RenderJob", "uid", s.job.UID, "generation", s.job.Generation,
		"template", name, "pages", len(work.Pages), "attempts", attempts)
	s.state = r.Pool.State(s.key(), s.job.UID, s.job.Generation)
	return nil
}

// configMapValue reads one key of a ConfigMap in the job's namespace.
func (r *Reconciler) configMapValue(ctx context.Context, namespace string, ref platenv1alpha1.ConfigMapKeySelector) (string, error) {
	configMap := &corev1.ConfigMap{}
	err := r.Reader.Get(ctx, types.NamespacedName{Namespace: namespace, Name: ref.Name}, configMap)
	if apierrors.IsNotFound(err) {
		return "", reconcile.Waiting(platenv1alpha1.SourceNotFoundReason, sourceRetry,
			"ConfigMap '%s' does not exist in namespace '%s'", ref.Name, namespace)
	}
	if err != nil {
		return "", fmt.Errorf("reading ConfigMap %s: %w", ref.Name, err)
	}
	value, ok := configMap.Data[ref.Key]
	if !ok {
		return "", reconcile.Waiting(platenv1alpha1.SourceNotFoundReason, sourceRetry,
			"ConfigMap '%s' has no key '%s'", ref.Name, ref.Key)
	}
	return value, nil
}

// collect waits for the pool and reads what was rendered.
func (r *Reconciler) collect(_ context.Context, s *scope) error {
	if s.manifest == nil {
		switch s.state.Phase {
		case pool.Failed:
			return renderFailure(s.state.Failure)
		case pool.Rendering:
			return reconcile.Waiting(platenv1alpha1.RenderingReason, progressDelay, "render pod %s is rendering", s.state.PodName)
		case pool.Rendered:
			// The pool reports Rendered only after the manifest was written.
			return errors.New("the content store has lost the manifest of a finished render")
		default:
			reason := platenv1alpha1.QueuedReason
			if s.state.Attempts > 0 {
				reason = platenv1alpha1.RetryingReason
			}
			return reconcile.Waiting(reason, progressDelay, "%s", s.state.Message)
		}
	}
	for _, f := range s.manifest.Files {
		s.pages = append(s.pages, platenv1alpha1.RenderedPage{
			Page:       int32(f.Page), //nolint:gosec // at most 200, by the API
			ExtraSize:  &f.ExtraSize,
			PageID:     reconcile.Truncate(f.PageID, maxPageID),
			ContentURL: r.Signer.URL(s.ref().Key(s.manifest.Attempt, f), f.Name, s.now),
			Size:       &f.Size,
			SHA256:     f.SHA256,
			Width:      pixels(f.Width),
			Height:     pixels(f.Height),
		})
	}
	return nil
}

// pixels bounds a render pod's figure to what the API allows; 0 leaves the field out.
func pixels(n int) int32 { return int32(min(max(n, 0), math.MaxInt32)) }
