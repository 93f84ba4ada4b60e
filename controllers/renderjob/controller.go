// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package renderjob drives RenderJobs: it validates them, hands them to the pool, collects what was rendered, uploads it and
// reports all of it in one status write.
package renderjob

import (
	"context"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/connect"
	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/storage/uploader"
	"github.com/platen-dev/platen/internal/task"
)

// +kubebuilder:rbac:groups=platen.dev,resources=renderjobs,verbs=get;list;watch;delete
// +kubebuilder:rbac:groups=platen.dev,resources=renderjobs/status,verbs=get;patch
// +kubebuilder:rbac:groups=platen.dev,resources=rendertemplates,verbs=get;list;watch
// +kubebuilder:rbac:groups=platen.dev,resources=storageconnections,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconciler drives RenderJobs. Every exported field is required.
type Reconciler struct {
	// Client reads jobs, templates and connections from the cache and writes job status.
	Client client.Client
	// Reader reads ConfigMaps, which are not cached.
	Reader client.Reader
	// Limits bound what a job may ask for.
	Limits task.Limits
	// Pool renders.
	Pool *pool.Pool
	// Arrivals knows the stored files of unfinished renders.
	Arrivals Arrivals
	// Store keeps the rendered files.
	Store *content.Store
	// Signer makes content URLs.
	Signer *content.Signer
	// Uploader uploads.
	Uploader *uploader.Uploader
	// Connector opens connections.
	Connector *connect.Connector
	// Recorder writes an event for each failure that a user must act on.
	Recorder events.EventRecorder
	// Clock tells the time.
	Clock clock.PassiveClock
	// Sweep asks for a sweep of the content store.
	Sweep func()

	status reconcile.StatusWriter
}

// Arrivals knows the stored files of unfinished renders.
type Arrivals interface {
	// Files returns the files of a task that are stored so far.
	Files(taskID string) []file.File
}

// Reconcile drives one RenderJob towards the state that its spec asks for.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	job := &platenv1alpha1.RenderJob{}
	err := r.Client.Get(ctx, req.NamespacedName, job)
	if apierrors.IsNotFound(err) || (err == nil && !job.DeletionTimestamp.IsZero()) {
		// Memory follows the object.
		r.Pool.Forget(req.NamespacedName)
		r.Uploader.Forget(req.NamespacedName)
		r.status.Forget(req.NamespacedName)
		r.Sweep()
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	if r.status.IsStale(job) {
		return ctrl.Result{}, nil
	}

	if job.Finished() {
		return r.afterFinish(ctx, job)
	}

	s := &scope{job: job, now: r.Clock.Now(), revision: task.Revision(job)}
	outcome := reconcile.Run(ctx, s,
		r.suspend,
		r.recall,
		r.prepare,
		r.uploadAhead,
		r.collect,
		r.upload,
	)
	return r.finish(ctx, s, outcome)
}

// finish writes status, unless another status will follow so soon that this one is not worth a write.
func (r *Reconciler) finish(ctx context.Context, s *scope, outcome error) (ctrl.Result, error) {
	after := s.job.DeepCopy()
	setStatus(after, s, outcome)
	if delay := writeDelay(s, after, outcome); delay > 0 && !apiequality.Semantic.DeepEqual(s.job.Status, after.Status) {
		return ctrl.Result{RequeueAfter: delay}, nil
	}
	next, written, err := r.status.Finish(ctx, s.job, after, outcome)
	if err != nil || !written {
		return next, err
	}
	logProgress(ctx, s, after)
	if after.Finished() {
		r.Uploader.Forget(s.key()) // status holds the results; a retry begins anew
	}
	return next, nil
}

// afterFinish retries failed uploads that may succeed now, frees the memory of a finished job, and deletes the job once its time to
// live is over.
func (r *Reconciler) afterFinish(ctx context.Context, job *platenv1alpha1.RenderJob) (ctrl.Result, error) {
	key := client.ObjectKeyFromObject(job)
	r.Pool.Forget(key)
	if next, busy, err := r.retryUploads(ctx, job); busy || err != nil {
		return next, err
	}
	r.Uploader.Forget(key)
	if job.Generation > 1 {
		r.Sweep()
	}
	ttl := job.Spec.TTLSecondsAfterFinished
	if ttl == nil || job.Status.CompletionTime == nil || trackedByGitOps(job) {
		return ctrl.Result{}, nil
	}
	due := job.Status.CompletionTime.Add(time.Duration(*ttl) * time.Second)
	if wait := due.Sub(r.Clock.Now()); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	return ctrl.Result{}, client.IgnoreNotFound(r.Client.Delete(ctx, job, client.Preconditions{UID: &job.UID}))
}

// trackedByGitOps reports whether a GitOps tool would create the job again after its deletion.
func trackedByGitOps(job *platenv1alpha1.RenderJob) bool {
	_, argo := job.Annotations["argocd.argoproj.io/tracking-id"]
	_, argoLabel := job.Labels["argocd.argoproj.io/instance"]
	_, flux := job.Labels["kustomize.toolkit.fluxcd.io/name"]
	_, helm := job.Labels["helm.toolkit.fluxcd.io/name"]
	return argo || argoLabel || flux || helm
}
