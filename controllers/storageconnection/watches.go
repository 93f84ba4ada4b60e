// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package storageconnection

import (
	"context"
	"errors"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	"github.com/platen-dev/platen/internal/connect"
	"github.com/platen-dev/platen/internal/storage"
)

const (
	// secretIndex finds connections by the Secret that they name.
	secretIndex = "credentialsSecretRef.name"
	// failedUploadIndex finds finished jobs by the connections whose fault made an upload fail.
	failedUploadIndex = "status.connections.failed"
)

// SetupWithManager registers the controller. It watches only the metadata of Secrets: it sees that a Secret changed, never a value.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	if r.Client == nil || r.Connector == nil || r.Recorder == nil || r.Clock == nil || r.Interval == 0 {
		return errors.New("storageconnection: every field of the Reconciler must be set")
	}
	r.status.Client, r.status.Recorder, r.status.Action = r.Client, r.Recorder, "Verify"
	indexer := mgr.GetFieldIndexer()
	if err := errors.Join(
		indexer.IndexField(context.Background(), &platenv1alpha1.StorageConnection{}, secretIndex, secretOf),
		indexer.IndexField(context.Background(), &platenv1alpha1.RenderJob{}, failedUploadIndex, failedConnections),
	); err != nil {
		return err
	}
	secret := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}}
	return ctrl.NewControllerManagedBy(mgr).
		For(&platenv1alpha1.StorageConnection{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesMetadata(secret, handler.EnqueueRequestsFromMapFunc(r.connectionsOfSecret),
			builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})).
		Watches(&platenv1alpha1.RenderJob{}, handler.EnqueueRequestsFromMapFunc(r.connectionsOfJob), builder.WithPredicates(predicate.Funcs{
			UpdateFunc:  func(e event.UpdateEvent) bool { return uploadsChanged(e.ObjectOld, e.ObjectNew) },
			DeleteFunc:  func(event.DeleteEvent) bool { return false },
			GenericFunc: func(event.GenericEvent) bool { return false },
		})).
		WithOptions(controller.Options{MaxConcurrentReconciles: 4, ReconciliationTimeout: 2 * verifyTimeout}).
		Complete(r)
}

func secretOf(object client.Object) []string {
	connection, ok := object.(*platenv1alpha1.StorageConnection)
	if !ok {
		return nil
	}
	return []string{connect.SecretName(connection)}
}

// failedConnections names the connections whose fault made an upload of a finished job fail.
func failedConnections(object client.Object) (names []string) {
	job, ok := object.(*platenv1alpha1.RenderJob)
	if !ok || !job.Finished() {
		return nil
	}
	for _, c := range job.Status.Connections {
		if c.Status == platenv1alpha1.UploadError && storage.Reason(c.Reason).Fault() == storage.FaultOfConnection {
			names = append(names, c.Name)
		}
	}
	return names
}

// findFailure returns the result of an upload of the job that failed since the connection last became Ready, nil if there is none.
func findFailure(job *platenv1alpha1.RenderJob, connection *platenv1alpha1.StorageConnection) *platenv1alpha1.JobConnectionStatus {
	for i := range job.Status.Connections {
		c := &job.Status.Connections[i]
		if c.Name == connection.Name && c.Status == platenv1alpha1.UploadError && ptr.Deref(c.ReadyCount, 0) == ptr.Deref(connection.Status.ReadyCount, 0) {
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

// connectionsOfJob names the connections that are Ready although their fault has just made an upload of a job fail. The others are
// verified again anyway.
func (r *Reconciler) connectionsOfJob(ctx context.Context, object client.Object) (requests []ctrlreconcile.Request) {
	job, ok := object.(*platenv1alpha1.RenderJob)
	if !ok {
		return nil
	}
	for _, name := range failedConnections(job) {
		connection := &platenv1alpha1.StorageConnection{}
		key := client.ObjectKey{Namespace: job.Namespace, Name: name}
		err := r.Client.Get(ctx, key, connection)
		if err == nil && connection.Ready() && findFailure(job, connection) != nil {
			requests = append(requests, ctrlreconcile.Request{NamespacedName: key})
		} else if client.IgnoreNotFound(err) != nil {
			ctrl.LoggerFrom(ctx).Error(err, "Failed to read the connection of a RenderJob", "RenderJob", job.Name, "StorageConnection", name)
		}
	}
	return requests
}

// connectionsOfSecret names the connections whose credentials are in a Secret.
func (r *Reconciler) connectionsOfSecret(ctx context.Context, secret client.Object) []ctrlreconcile.Request {
	connections := &platenv1alpha1.StorageConnectionList{}
	err := r.Client.List(ctx, connections, client.InNamespace(secret.GetNamespace()), client.MatchingFields{secretIndex: secret.GetName()})
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Failed to list the connections of a Secret", "Secret", secret.GetName())
		return nil
	}
	requests := make([]ctrlreconcile.Request, 0, len(connections.Items))
	for i := range connections.Items {
		requests = append(requests, ctrlreconcile.Request{NamespacedName: client.ObjectKeyFromObject(&connections.Items[i])})
	}
	return requests
}
