// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package storageconnection

import (
	"context"
	"errors"

	"golang.org/x/time/rate"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
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
	"github.com/platen-dev/platen/internal/storage"
)

// failedUploadIndex finds finished jobs by the connections through which an upload failed, unless the file was at fault.
const failedUploadIndex = "status.connections.failed"

// workers is how many connections are verified at a time, and workersOfNamespace how many of one namespace: services that hang hold up
// nobody else.
const (
	workers            = 32
	workersOfNamespace = 4
)

// SetupWithManager registers the controller. Nobody watches Secrets: Reconcile looks at each connection's own by name.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	if r.Client == nil || r.Connector == nil || r.Recorder == nil || r.Clock == nil || r.Interval == 0 {
		return errors.New("storageconnection: every field of the Reconciler but Owns must be set")
	}
	r.status.Client, r.status.Recorder, r.status.Action = r.Client, r.Recorder, "Verify"
	r.looks, r.overdue = rate.NewLimiter(looksPerSecond, 2*looksPerSecond), rate.NewLimiter(overduePerSecond, 2*overduePerSecond)
	err := mgr.GetFieldIndexer().IndexField(context.Background(), &platenv1alpha1.RenderJob{}, failedUploadIndex, failedConnections)
	if err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).
		WithEventFilter(r.Owns.Events()).
		For(&platenv1alpha1.StorageConnection{}, builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, predicate.Funcs{
			UpdateFunc: func(e event.UpdateEvent) bool {
				const name = platenv1alpha1.VerifyAnnotation
				return e.ObjectNew.GetAnnotations()[name] != e.ObjectOld.GetAnnotations()[name]
			},
		}))).
		Watches(&platenv1alpha1.RenderJob{}, handler.EnqueueRequestsFromMapFunc(r.connectionsOfJob), builder.WithPredicates(predicate.Funcs{
			UpdateFunc:  func(e event.UpdateEvent) bool { return uploadsChanged(e.ObjectOld, e.ObjectNew) },
			DeleteFunc:  func(event.DeleteEvent) bool { return false },
			GenericFunc: func(event.GenericEvent) bool { return false },
		})).
		// Each time, the service is called again.
		WithOptions(controller.Options{MaxConcurrentReconciles: workers, RateLimiter: reconcile.Backoff(maxRetryDelay), ReconciliationTimeout: 2 * verifyTimeout}).
		Complete(r.Owns.Requests(r))
}

// failedConnections names the connections through which an upload of a finished job failed and may succeed later.
func failedConnections(object client.Object) (names []string) {
	job, ok := object.(*platenv1alpha1.RenderJob)
	if !ok || !job.Finished() {
		return nil
	}
	for _, c := range job.Status.Connections {
		if c.Status == platenv1alpha1.UploadError && storage.Reason(c.Reason).Fault() != storage.FaultOfFile {
			names = append(names, c.Name)
		}
	}
	return names
}

// findFailure returns the result of an upload of the job that failed since the connection last became Ready, nil if there is none. An upload through an
// earlier connection of the name is none of it.
func findFailure(job *platenv1alpha1.RenderJob, connection *platenv1alpha1.StorageConnection) *platenv1alpha1.JobConnectionStatus {
	for i := range job.Status.Connections {
		c := &job.Status.Connections[i]
		isSame := c.UID == "" || c.UID == string(connection.UID)
		if isSame && c.Name == connection.Name && c.Status == platenv1alpha1.UploadError && ptr.Deref(c.ReadyCount, 0) == ptr.Deref(connection.Status.ReadyCount, 0) {
			return c
		}
	}
	return nil
}

func uploadsChanged(before, after client.Object) bool {
	older, ok1 := before.(*platenv1alpha1.RenderJob)
	newer, ok2 := after.(*platenv1alpha1.RenderJob)
	return ok1 && ok2 && !apiequality.Semantic.DeepEqual(older.Status.Connections, newer.Status.Connections)
}

// connectionsOfJob asks for a verification of the connections that are Ready although an upload through them has failed since they were last
// verified. The others are verified again anyway.
func (r *Reconciler) connectionsOfJob(ctx context.Context, object client.Object) (requests []ctrlreconcile.Request) {
	job, ok := object.(*platenv1alpha1.RenderJob)
	if !ok {
		return nil
	}
	for _, name := range failedConnections(job) {
		connection := &platenv1alpha1.StorageConnection{}
		key := client.ObjectKey{Namespace: job.Namespace, Name: name}
		err := r.Client.Get(ctx, key, connection)
		if err == nil && connection.Ready() && findFailure(job, connection) != nil && !job.Status.CompletionTime.Before(connection.Status.LastVerifiedTime) {
			r.asked.Store(key, true)
			requests = append(requests, ctrlreconcile.Request{NamespacedName: key})
		} else if client.IgnoreNotFound(err) != nil {
			ctrl.LoggerFrom(ctx).Error(err, "Failed to read the connection of a RenderJob", "RenderJob", job.Name, "StorageConnection", name)
		}
	}
	return requests
}
