// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package renderjob drives RenderJobs: it validates them, hands them to the pool, collects what was rendered, uploads it and
// reports all of it in one status write.
package renderjob

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/connect"
	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/fonts"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/rendercache"
	"github.com/platen-dev/platen/internal/storage/uploader"
	"github.com/platen-dev/platen/internal/task"
	"github.com/platen-dev/platen/internal/tracing"
)

// +kubebuilder:rbac:groups=platen.dev,resources=renderjobs,verbs=get;list;watch;delete
// +kubebuilder:rbac:groups=platen.dev,resources=renderjobs/status,verbs=get;patch
// +kubebuilder:rbac:groups=platen.dev,resources=rendertemplates,verbs=get;list;watch
// +kubebuilder:rbac:groups=platen.dev,resources=fontsets,verbs=get;list;watch
// +kubebuilder:rbac:groups=platen.dev,resources=storageconnections,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconciler drives RenderJobs. Every exported field but Cache, Retention, Observer and Tracer is required.
type Reconciler struct {
	// Client reads jobs, templates and connections from the cache and writes job status.
	Client client.Client
	// Reader reads ConfigMaps, which are not cached.
	Reader client.Reader
	// Fonts finds the fonts of FontSets.
	Fonts *fonts.Library
	// Limits bound what a job may ask for.
	Limits task.Limits
	// Pool renders.
	Pool *pool.Pool
	// Arrivals knows the stored files of unfinished renders.
	Arrivals Arrivals
	// Store keeps the rendered files.
	Store *content.Store
	// Cache has what earlier jobs have rendered; nil for none.
	Cache *rendercache.Cache
	// Retention is how long the store keeps the files of a finished job. 0 is for ever.
	Retention time.Duration
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
	// Owns has the namespaces to reconcile; nil is all of them.
	Owns reconcile.Owns
	// Sweeper deletes files that no job needs.
	Sweeper Sweeper
	// Observer receives metrics; nil for none.
	Observer Observer
	// Tracer makes a trace of each run of a job; nil for none.
	Tracer *tracing.Tracer

	status    reconcile.StatusWriter
	spellings spellings
	waits     waits
}

// Observer receives the metrics of jobs.
type Observer interface {
	// Finished reports how long a job took from its acceptance to its end, the reason of its Finished condition, and its trace ID if it is traced.
	Finished(result string, took time.Duration, trace string)
}

// Arrivals knows the stored files of unfinished renders.
type Arrivals interface {
	// Files returns the files of a task that are stored so far.
	Files(taskID string) []file.File
}

// Sweeper deletes files that no job needs. It takes requests at once, and may drop them: it also looks for such files by itself.
type Sweeper interface {
	// Deleted says that a job is gone.
	Deleted(namespace string, uid types.UID)
	// Superseded says that a job has finished with another revision than before.
	Superseded(job types.NamespacedName, uid types.UID)
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
		r.waits.forget(req.NamespacedName)
		r.settleFlight(req.NamespacedName, nil)
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	defer r.settleFlight(req.NamespacedName, job)
	if r.status.IsStale(job) {
		return ctrl.Result{}, nil
	}

	s := &scope{job: job, now: r.Clock.Now(), revision: task.Revision(job)}
	switch {
	case job.Finished():
		return r.afterFinish(ctx, s)
	case s.keepsOutcome():
		return r.keepOutcome(ctx, s)
	}
	// What an earlier spec asked for ends before anything else begins.
	r.Uploader.ForgetOthers(s.key(), job.UID, s.uploadRevision())
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

// finish writes status, unless it is not worth a write yet.
func (r *Reconciler) finish(ctx context.Context, s *scope, outcome error) (ctrl.Result, error) {
	after := s.job.DeepCopy()
	setStatus(after, s, outcome)
	if after.Status.CompletionTime != nil && s.manifest != nil && r.Retention > 0 {
		after.Status.ContentExpirationTime = expiration(after.Status.CompletionTime, r.Retention)
	}
	if reconcile.AsWaiting(outcome) != nil {
		if next, due := writeDue(s, after, outcome); !due {
			return ctrl.Result{RequeueAfter: next}, nil
		}
		if next := r.waits.hold(s, outcome); next > 0 {
			return ctrl.Result{RequeueAfter: next}, nil
		}
	}
	if err := r.retain(ctx, s.job, after); errors.Is(err, content.ErrFull) && !s.retry {
		outcome = awaitRoom(after, s)
	} else if err != nil {
		return ctrl.Result{}, err
	}
	next, written, err := r.status.Finish(ctx, s.job, after, outcome,
		func() { leaveOutUploads(&after.Status) },
		func() { leaveOutFiles(&after.Status) },
		func() { leaveOutAll(after, s) })
	if err != nil || !written {
		return next, err
	}
	r.waits.wrote(s, outcome)
	if leftOutAll(after) {
		r.Recorder.Eventf(s.job, nil, corev1.EventTypeWarning, platenv1alpha1.StatusTooLargeReason, "Render", reconcile.NoRoom)
	}
	r.report(ctx, s, after)
	if after.Finished() {
		r.Uploader.Forget(s.key()) // status holds the results; a retry begins anew
		if after.Generation > 1 {
			r.Sweeper.Superseded(s.key(), after.UID)
		}
	}
	return next, nil
}

// afterFinish retries failed uploads that may succeed now, frees the memory of a finished job, and deletes first its files and then
// the job when their time is over.
func (r *Reconciler) afterFinish(ctx context.Context, s *scope) (ctrl.Result, error) {
	r.Pool.Forget(s.key())
	if next, busy, err := r.retryUploads(ctx, s); busy || err != nil {
		return next, err
	}
	r.Uploader.Forget(s.key())
	if next, busy, err := r.signAgain(ctx, s); busy || err != nil {
		return next, err
	}
	if due := s.job.ExpirationTime(); !due.IsZero() && !due.After(s.now) {
		return ctrl.Result{}, client.IgnoreNotFound(r.Client.Delete(ctx, s.job, client.Preconditions{UID: &s.job.UID}))
	}
	expires := r.contentExpires(s.job)
	if !expires.IsZero() && !expires.After(s.now) {
		return r.expireContent(ctx, s, expires)
	}
	return ctrl.Result{RequeueAfter: soonest(s.now, s.job.ExpirationTime(), expires)}, nil
}

// soonest returns the time until the first of some moments that are set; 0 if none is.
func soonest(now time.Time, moments ...time.Time) (wait time.Duration) {
	for _, m := range moments {
		if left := m.Sub(now); !m.IsZero() && (wait == 0 || left < wait) {
			wait = left
		}
	}
	return wait
}
