// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package renderjob drives RenderJobs: it validates them, hands them to the pool, collects what was rendered, uploads it and
// tells all of it in one status write.
package renderjob

import (
	"context"
	"errors"
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
	"github.com/platen-dev/platen/internal/failpoint"
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

// Reconciler drives RenderJobs.
type Reconciler struct {
	// Client reads jobs, templates and connections from the cache and writes job status.
	Client client.Client
	// Reader reads ConfigMaps, which are not cached.
	Reader client.Reader
	// Limits of what a job may ask for.
	Limits task.Limits
	// Pool renders.
	Pool *pool.Pool
	// Arrivals tells which files of a render that goes on are stored.
	Arrivals Arrivals
	// Store keeps the rendered files.
	Store *content.Store
	// Signer makes content URLs.
	Signer *content.Signer
	// Uploader uploads.
	Uploader *uploader.Uploader
	// Connector opens connections.
	Connector *connect.Connector
	// Recorder writes events; only what a user should look at becomes one.
	Recorder events.EventRecorder
	// Clock tells the time.
	Clock clock.PassiveClock
	// Sweep asks for a sweep of the content store.
	Sweep func()

	overwritten reconcile.Overwritten
}

// Arrivals tells which files of a task are stored, while it goes on.
type Arrivals interface {
	Files(taskID string) map[file.ID]content.Object
}

// Reconcile drives one RenderJob towards the state that its spec asks for.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	job := &platenv1alpha1.RenderJob{}
	err := r.Client.Get(ctx, req.NamespacedName, job)
	if apierrors.IsNotFound(err) || (err == nil && !job.DeletionTimestamp.IsZero()) {
		// Memory follows the object.
		r.Pool.Forget(req.NamespacedName)
		r.Uploader.Forget(req.NamespacedName)
		r.overwritten.Forget(req.NamespacedName)
		r.Sweep()
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	if r.overwritten.Stale(job) {
		return ctrl.Result{}, nil
	}

	if job.Finished() {
		return r.afterFinish(ctx, job)
	}

	s := &scope{job: job, now: r.Clock.Now()}
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

// finish writes status if there is something to tell, and then events.
func (r *Reconciler) finish(ctx context.Context, s *scope, outcome error) (ctrl.Result, error) {
	after := s.job.DeepCopy()
	setStatus(after, s, outcome)
	result, err := reconcile.Result(outcome)
	if err != nil || apiequality.Semantic.DeepEqual(s.job.Status, after.Status) {
		return result, err
	}
	if wait := quiet(s, after, outcome); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	failpoint.Hit("status.before-patch")
	retry, err := reconcile.PatchStatus(ctx, r.Client, after, s.job)
	if err != nil {
		return ctrl.Result{}, err
	}
	if retry > 0 {
		return ctrl.Result{RequeueAfter: retry}, nil
	}
	r.overwritten.Note(s.job, after)
	r.reportTrouble(s)
	if after.Finished() {
		r.Uploader.Forget(s.key()) // status knows all; what is uploaded again begins anew
	}
	if terminal := (*reconcile.TerminalError)(nil); errors.As(outcome, &terminal) {
		r.Recorder.Eventf(s.job, nil, "Warning", terminal.Reason, "Render", "%s", terminal.Message)
	}
	return result, nil
}

// afterFinish makes uploads again that can be, releases what memory still holds of a finished job, and deletes the job when its time
// has come.
func (r *Reconciler) afterFinish(ctx context.Context, job *platenv1alpha1.RenderJob) (ctrl.Result, error) {
	key := client.ObjectKeyFromObject(job)
	r.Pool.Forget(key)
	if result, busy, err := r.uploadAgain(ctx, job); busy || err != nil {
		return result, err
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

// trackedByGitOps tells whether a GitOps tool would create the job again after its deletion.
func trackedByGitOps(job *platenv1alpha1.RenderJob) bool {
	_, argo := job.Annotations["argocd.argoproj.io/tracking-id"]
	_, argoLabel := job.Labels["argocd.argoproj.io/instance"]
	_, flux := job.Labels["kustomize.toolkit.fluxcd.io/name"]
	_, helm := job.Labels["helm.toolkit.fluxcd.io/name"]
	return argo || argoLabel || flux || helm
}
