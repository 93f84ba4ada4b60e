// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/destination"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/storage"
)

// maxRetryRequest bounds the part of a retry request that status keeps, in bytes.
const maxRetryRequest = 256

// uploadFailed reports whether a job has finished and one of its uploads failed.
func uploadFailed(job *platenv1alpha1.RenderJob) bool {
	return job.Finished() && meta.IsStatusConditionFalse(job.Status.Conditions, platenv1alpha1.UploadedCondition)
}

// retryRequest returns the value of the annotation that asks for failed uploads to be retried; empty when it is absent or handled.
func retryRequest(job *platenv1alpha1.RenderJob) string {
	value := reconcile.Truncate(job.Annotations[platenv1alpha1.RetryUploadsAnnotation], maxRetryRequest)
	if value == job.Status.LastHandledRetryUploads {
		return ""
	}
	return value
}

// uploadsToRetry returns the failed uploads of a finished job that may succeed now: all of them when a user asks, otherwise those whose
// connection has become Ready since, or was made anew, and whose failure was not the file's, or whose folder is another one now. It compares counts,
// because the API keeps times in whole seconds.
func uploadsToRetry(job *platenv1alpha1.RenderJob, connections []platenv1alpha1.StorageConnection) []upload {
	if !uploadFailed(job) {
		return nil
	}
	requested := retryRequest(job) != ""
	return slices.DeleteFunc(uploadsOf(destination.Resolve(job, connections).Targets), func(u upload) bool {
		last := platenv1alpha1.JobConnectionStatus{} // stays empty when the connection did not exist
		for _, c := range job.Status.Connections {
			if c.Name == u.Connection.Name {
				last = c
			}
		}
		isAnother := last.UID != "" && last.UID != string(u.Connection.UID) // its count begins anew
		isReadyAgain := u.Connection.Ready() && (isAnother || ptr.Deref(u.Connection.Status.ReadyCount, 0) > ptr.Deref(last.ReadyCount, 0))
		canSucceed := isReadyAgain && storage.Reason(last.Reason).Fault() != storage.FaultOfFile || hasAnotherFolder(u, last)
		return last.Status == platenv1alpha1.UploadSuccess || !requested && !canSucceed
	})
}

// hasAnotherFolder reports whether an upload goes to another folder than that of its last failure, because the connection has another default folder,
// which has been verified.
func hasAnotherFolder(u upload, last platenv1alpha1.JobConnectionStatus) bool {
	return last.Folder != "" && last.Folder != reconcile.Truncate(u.Folder, maxPath) && u.Connection.Ready() && u.Connection.Status.DefaultFolder == u.Folder
}

// goneConnections returns the names of the connections of a job's failed uploads that do not exist any more, or lead to another service now.
func goneConnections(job *platenv1alpha1.RenderJob, connections []platenv1alpha1.StorageConnection) (gone []string) {
	for _, c := range job.Status.Connections {
		exists := slices.ContainsFunc(connections, func(s platenv1alpha1.StorageConnection) bool {
			return s.Name == c.Name && s.Spec.Provider == c.Provider
		})
		if c.Status == platenv1alpha1.UploadError && !exists {
			gone = append(gone, c.Name)
		}
	}
	return gone
}

// retryUploads repeats failed uploads of a finished job, with the files in the content store. It writes status once, at the end.
// busy is false when there is nothing to do.
func (r *Reconciler) retryUploads(ctx context.Context, s *scope) (next ctrl.Result, busy bool, err error) {
	request := retryRequest(s.job)
	if request == "" && !uploadFailed(s.job) {
		return ctrl.Result{}, false, nil
	}
	connections := &platenv1alpha1.StorageConnectionList{}
	if err := r.Client.List(ctx, connections, client.InNamespace(s.job.Namespace)); err != nil {
		return ctrl.Result{}, false, fmt.Errorf("listing StorageConnections: %w", err)
	}
	s.retry, s.uploads = true, uploadsToRetry(s.job, connections.Items)
	isGone := request != "" && len(goneConnections(s.job, connections.Items)) > 0 // status says so
	if len(s.uploads) > 0 || isGone {
		if err := r.recall(ctx, s); err != nil {
			return ctrl.Result{}, false, err
		}
	}
	if s.manifest == nil {
		if request == "" {
			return ctrl.Result{}, false, nil
		}
		// Nothing failed, or the files are gone: status says that the request was handled.
		after := s.job.DeepCopy()
		after.Status.LastHandledRetryUploads = request
		next, _, err = r.status.Finish(ctx, s.job, after, nil)
		return next, true, err
	}
	outcome := reconcile.Run(ctx, s, r.collect, r.upload)
	if reconcile.AsWaiting(outcome) != nil {
		return ctrl.Result{}, true, nil //nolint:nilerr // the uploader reports its end
	}
	next, err = r.finish(ctx, s, outcome)
	return next, true, err
}
