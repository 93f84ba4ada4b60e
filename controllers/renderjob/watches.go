// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"context"
	"errors"
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	ctrlreconcile "sigs.k8s.io/controller-runtime/pkg/reconcile"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/task"
)

const (
	// templateIndex finds jobs by the template that they name.
	templateIndex = "spec.templateRef.name"
	// failedIndex finds finished jobs with a failed upload.
	failedIndex = "uploadFailed"
)

// SetupWithManager registers the controller. changed has the jobs whose state in the pool or in the uploader has changed.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, changed *reconcile.Changes) error {
	switch {
	case r.Client == nil, r.Reader == nil, r.Fonts == nil, r.Pool == nil, r.Arrivals == nil, r.Store == nil, r.Signer == nil, r.Uploader == nil,
		r.Connector == nil, r.Limits == task.Limits{}, r.Recorder == nil, r.Clock == nil, r.Sweeper == nil, changed == nil:
		return errors.New("renderjob: every field of the Reconciler but Owns must be set")
	}
	r.status.Client, r.status.Recorder, r.status.Action = r.Client, r.Recorder, "Render"
	for field, value := range map[string]func(*platenv1alpha1.RenderJob) []string{
		templateIndex: func(job *platenv1alpha1.RenderJob) []string { return []string{job.Spec.TemplateRef.Name} },
		failedIndex: func(job *platenv1alpha1.RenderJob) []string {
			if uploadFailed(job) {
				return []string{"true"}
			}
			return nil
		},
	} {
		err := mgr.GetFieldIndexer().IndexField(context.Background(), &platenv1alpha1.RenderJob{}, field, func(o client.Object) []string {
			job, ok := o.(*platenv1alpha1.RenderJob)
			if !ok {
				return nil
			}
			return value(job)
		})
		if err != nil {
			return err
		}
	}
	return ctrl.NewControllerManagedBy(mgr).
		WithEventFilter(r.Owns.Events()).
		For(&platenv1alpha1.RenderJob{}).
		Watches(&platenv1alpha1.RenderJob{}, r.observer()).
		Watches(&platenv1alpha1.RenderTemplate{}, handler.EnqueueRequestsFromMapFunc(r.jobsOfTemplate)).
		Watches(&platenv1alpha1.FontSet{}, handler.EnqueueRequestsFromMapFunc(r.jobsOfFontSet)).
		Watches(&platenv1alpha1.StorageConnection{}, handler.EnqueueRequestsFromMapFunc(r.jobsOfConnection), builder.WithPredicates(predicate.Funcs{
			CreateFunc:  func(e event.CreateEvent) bool { return mayTakeUploads(&platenv1alpha1.StorageConnection{}, e.Object) },
			UpdateFunc:  func(e event.UpdateEvent) bool { return mayTakeUploads(e.ObjectOld, e.ObjectNew) },
			DeleteFunc:  func(event.DeleteEvent) bool { return false },
			GenericFunc: func(event.GenericEvent) bool { return false },
		})).
		Watches(&platenv1alpha1.StorageConnection{}, handler.EnqueueRequestsFromMapFunc(r.uploadsOfConnection), builder.WithPredicates(predicate.Funcs{
			CreateFunc:  func(event.CreateEvent) bool { return false },
			UpdateFunc:  func(e event.UpdateEvent) bool { return e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() },
			GenericFunc: func(event.GenericEvent) bool { return false },
		})).
		WatchesRawSource(changed).
		WithOptions(controller.Options{MaxConcurrentReconciles: 8, RateLimiter: reconcile.Backoff(reconcile.MaxBackoff), NewQueue: reconcile.NewFairQueue, ReconciliationTimeout: time.Minute}).
		Complete(r.Owns.Requests(r))
}

// observer follows the jobs in the cache: how they spell their files' names, and when they are gone. It reconciles nothing.
func (r *Reconciler) observer() handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[ctrlreconcile.Request]
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, _ queue) { r.spellings.set(e.Object) },
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, _ queue) { r.spellings.set(e.ObjectNew) },
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, _ queue) {
			r.spellings.remove(client.ObjectKeyFromObject(e.Object))
			r.Sweeper.Deleted(e.Object.GetNamespace(), e.Object.GetUID())
		},
	}
}

// jobsOfTemplate names the unfinished jobs that wait for a template. A finished job is not rendered again when its template
// changes.
func (r *Reconciler) jobsOfTemplate(ctx context.Context, template client.Object) (requests []ctrlreconcile.Request) {
	jobs := &platenv1alpha1.RenderJobList{}
	err := r.Client.List(ctx, jobs, client.InNamespace(template.GetNamespace()), client.MatchingFields{templateIndex: template.GetName()}, client.UnsafeDisableDeepCopy)
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Failed to list the jobs of a template", "RenderTemplate", template.GetName())
		return nil
	}
	for i := range jobs.Items {
		if !jobs.Items[i].Finished() {
			requests = append(requests, ctrlreconcile.Request{NamespacedName: client.ObjectKeyFromObject(&jobs.Items[i])})
		}
	}
	return requests
}

// jobsOfFontSet names the unfinished jobs whose template names a FontSet.
func (r *Reconciler) jobsOfFontSet(ctx context.Context, set client.Object) (requests []ctrlreconcile.Request) {
	templates := &platenv1alpha1.RenderTemplateList{}
	if err := r.Client.List(ctx, templates, client.InNamespace(set.GetNamespace()), client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Failed to list the templates of a FontSet", "FontSet", set.GetName())
		return nil
	}
	for i := range templates.Items {
		if templates.Items[i].NamesFontSet(set.GetName()) {
			requests = append(requests, r.jobsOfTemplate(ctx, &templates.Items[i])...)
		}
	}
	return requests
}

// jobsOfConnection names the jobs with a failed upload in the namespace of a connection that may take it now.
func (r *Reconciler) jobsOfConnection(ctx context.Context, connection client.Object) (requests []ctrlreconcile.Request) {
	jobs := &platenv1alpha1.RenderJobList{}
	err := r.Client.List(ctx, jobs, client.InNamespace(connection.GetNamespace()), client.MatchingFields{failedIndex: "true"}, client.UnsafeDisableDeepCopy)
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Failed to list the jobs with a failed upload", "StorageConnection", connection.GetName())
		return nil
	}
	for i := range jobs.Items {
		requests = append(requests, ctrlreconcile.Request{NamespacedName: client.ObjectKeyFromObject(&jobs.Items[i])})
	}
	return requests
}

// uploadsOfConnection names the jobs that upload through a connection whose spec has changed, or that is gone: they would go on with the old one until
// their uploads are too late.
func (r *Reconciler) uploadsOfConnection(_ context.Context, connection client.Object) (requests []ctrlreconcile.Request) {
	for _, job := range r.Uploader.Jobs(client.ObjectKeyFromObject(connection)) {
		requests = append(requests, ctrlreconcile.Request{NamespacedName: job})
	}
	return requests
}

// mayTakeUploads reports whether a connection is Ready, and has become so since the older version, or has another spec or a default folder that was
// verified since: one that is switched on again goes on with the retries that its policy has ended.
func mayTakeUploads(before, after client.Object) bool {
	older, ok1 := before.(*platenv1alpha1.StorageConnection)
	newer, ok2 := after.(*platenv1alpha1.StorageConnection)
	return ok1 && ok2 && newer.Ready() && (ptr.Deref(newer.Status.ReadyCount, 0) > ptr.Deref(older.Status.ReadyCount, 0) ||
		newer.Generation != older.Generation || newer.Status.DefaultFolder != older.Status.DefaultFolder)
}
