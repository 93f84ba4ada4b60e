// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlreconcile "sigs.k8s.io/controller-runtime/pkg/reconcile"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/connect"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/storage"
)

const (
	// failedIndex finds finished jobs of which an upload has failed.
	failedIndex = "uploadFailed"
	// maxAnnotation bounds what is kept of the annotation that asks for uploads to be made again.
	maxAnnotation = 256
)

// failedUpload returns the condition of a finished job of which an upload has failed, and nil of any other.
func failedUpload(job *platenv1alpha1.RenderJob) *metav1.Condition {
	uploaded := meta.FindStatusCondition(job.Status.Conditions, platenv1alpha1.UploadedCondition)
	if !job.Finished() || uploaded == nil || uploaded.Status != metav1.ConditionFalse {
		return nil
	}
	return uploaded
}

// asked returns the value of the annotation that asks for uploads to be made again; empty when it was acted upon or is not there.
func asked(job *platenv1alpha1.RenderJob) string {
	value := truncate(job.Annotations[platenv1alpha1.RetryUploadsAnnotation], maxAnnotation)
	if value == job.Status.LastHandledRetryUploads {
		return ""
	}
	return value
}

// dueAgain picks the connections to which a finished job is uploaded once more: those where it failed and that have become Ready
// since, when the failure was the connection's; or, when a user asks, all where it failed. It counts and does not compare times,
// which the API keeps by the second.
func dueAgain(job *platenv1alpha1.RenderJob, connections []platenv1alpha1.StorageConnection) []target {
	uploaded := failedUpload(job)
	if uploaded == nil {
		return nil
	}
	byHand := asked(job) != ""
	if !byHand && storage.Reason(uploaded.Reason).Fault() == storage.FaultOfFile {
		return nil
	}
	targets, _ := resolveConnections(job, connections)
	return slices.DeleteFunc(targets, func(t target) bool {
		before := int64(0)
		for _, c := range job.Status.Connections {
			if c.Name == t.connection.Name && c.Status == platenv1alpha1.UploadSuccess {
				return true
			}
			if c.Name == t.connection.Name {
				before = valueOr(c.ReadyCount, 0)
			}
		}
		healed := isReady(t.connection) && valueOr(t.connection.Status.ReadyCount, 0) > before
		return !byHand && !healed
	})
}

// uploadAgain brings a finished job's files from the content store to where they could not be brought before. Status is written
// once, at the end. done is false when there is nothing to do.
func (r *Reconciler) uploadAgain(ctx context.Context, job *platenv1alpha1.RenderJob) (result ctrl.Result, done bool, err error) {
	byHand := asked(job)
	if byHand == "" && failedUpload(job) == nil {
		return ctrl.Result{}, false, nil
	}
	connections := &platenv1alpha1.StorageConnectionList{}
	if err := r.Client.List(ctx, connections, client.InNamespace(job.Namespace)); err != nil {
		return ctrl.Result{}, false, fmt.Errorf("listing StorageConnections: %w", err)
	}
	s := &scope{job: job, now: r.Clock.Now(), again: dueAgain(job, connections.Items)}
	if len(s.again) > 0 {
		if err := r.recall(ctx, s); err != nil {
			return ctrl.Result{}, false, err
		}
	}
	if s.manifest == nil {
		if byHand == "" {
			return ctrl.Result{}, false, nil
		}
		// Nothing has failed, or the files are gone: it is said that the wish was seen.
		after := job.DeepCopy()
		after.Status.LastHandledRetryUploads = byHand
		retry, err := reconcile.PatchStatus(ctx, r.Client, after, job)
		return ctrl.Result{RequeueAfter: retry}, true, err
	}
	outcome := reconcile.Run(ctx, s, r.collect, r.upload)
	if waiting := (*reconcile.WaitingError)(nil); errors.As(outcome, &waiting) {
		return ctrl.Result{RequeueAfter: patience}, true, nil
	}
	result, err = r.finish(ctx, s, outcome)
	return result, true, err
}

// settledBefore are the connections of which nothing is asked again.
func settledBefore(job *platenv1alpha1.RenderJob, again []target) []platenv1alpha1.JobConnectionStatus {
	if again == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(job.Status.Connections), func(c platenv1alpha1.JobConnectionStatus) bool {
		return slices.ContainsFunc(again, func(t target) bool { return t.connection.Name == c.Name })
	})
}

// reportTrouble has the connections verified for whose sake an upload has failed.
func (r *Reconciler) reportTrouble(s *scope) {
	for i, result := range s.uploads {
		if !result.Done || result.Err == nil {
			continue
		}
		problem := storage.AsError(result.Err)
		if problem.Class != storage.Stop || problem.Reason.Fault() == storage.FaultOfFile {
			continue
		}
		bytes := int64(0)
		for _, p := range s.manifest.Pages {
			bytes += p.Size
		}
		r.Connector.Report(s.targets[i].connection, connect.Trouble{Reason: problem.Reason, Bytes: bytes})
	}
}

// jobsOfConnection names the jobs that may be uploaded again now that a connection is Ready.
func (r *Reconciler) jobsOfConnection(ctx context.Context, connection client.Object) []ctrlreconcile.Request {
	jobs := &platenv1alpha1.RenderJobList{}
	err := r.Client.List(ctx, jobs, client.InNamespace(connection.GetNamespace()), client.MatchingFields{failedIndex: "true"})
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "listing the jobs that could not be uploaded", "StorageConnection", connection.GetName())
		return nil
	}
	requests := make([]ctrlreconcile.Request, 0, len(jobs.Items))
	for i := range jobs.Items {
		requests = append(requests, ctrlreconcile.Request{NamespacedName: client.ObjectKeyFromObject(&jobs.Items[i])})
	}
	return requests
}

// becameReady tells whether a connection has become Ready once more.
func becameReady(before, after client.Object) bool {
	older, ok1 := before.(*platenv1alpha1.StorageConnection)
	newer, ok2 := after.(*platenv1alpha1.StorageConnection)
	return ok1 && ok2 && isReady(after) && valueOr(newer.Status.ReadyCount, 0) > valueOr(older.Status.ReadyCount, 0)
}

func isReady(o client.Object) bool {
	connection, ok := o.(*platenv1alpha1.StorageConnection)
	return ok && meta.IsStatusConditionTrue(connection.Status.Conditions, platenv1alpha1.ReadyCondition)
}

// deadline of a job's uploads.
func deadline(job *platenv1alpha1.RenderJob, now time.Time) time.Time {
	return now.Add(time.Duration(job.Spec.UploadTimeoutSeconds) * time.Second)
}
