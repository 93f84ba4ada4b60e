// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package storageconnection

import (
	"cmp"
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/storage"
)

// The bounds that the API sets for what a service says about an account.
const (
	maxAccountID   = 128
	maxEmail       = 320
	maxDisplayName = 256
)

// maxHandled is the bound that the API sets for lastHandledVerify.
const maxHandled = 256

// handled is the status.lastHandledVerify of a connection that has just been verified.
func handled(c *platenv1alpha1.StorageConnection) string {
	return reconcile.Truncate(c.Annotations[platenv1alpha1.VerifyAnnotation], maxHandled)
}

// isAsked tells whether somebody has asked for a verification with the annotation.
func isAsked(c *platenv1alpha1.StorageConnection) bool {
	asked := handled(c)
	return asked != "" && asked != c.Status.LastHandledVerify
}

// correctTimes takes the times of a clock that was ahead out of a status.
func correctTimes(status *platenv1alpha1.StorageConnectionStatus, now metav1.Time) {
	latest := now.Add(clockSkew)
	for _, last := range []**metav1.Time{&status.LastVerifiedTime, &status.LastUploadRetryTime} {
		if *last != nil && (*last).After(latest) {
			*last = nil
		}
	}
	for i := range status.Conditions {
		if c := &status.Conditions[i]; c.LastTransitionTime.After(latest) {
			c.LastTransitionTime = now
		}
	}
}

// setStatus computes the whole status from the scope and the outcome, except nextVerificationTime. It is pure.
func setStatus(connection *platenv1alpha1.StorageConnection, s *scope, outcome error) {
	status := &connection.Status
	now := metav1.NewTime(s.now)
	status.ObservedGeneration = &connection.Generation
	correctTimes(status, now)
	message := ""
	if !isOf(status.Account, &connection.Spec) {
		status.Account, status.Space, status.DefaultFolder, status.LastVerifiedTime = nil, nil, "", nil
	}
	if s.account != nil {
		status.LastVerifiedTime = &now
		status.Account = &platenv1alpha1.StorageAccount{
			ID:          reconcile.Truncate(s.account.ID, maxAccountID),
			Email:       reconcile.Truncate(s.account.Email, maxEmail),
			DisplayName: reconcile.Truncate(s.account.DisplayName, maxDisplayName),
		}
		status.Space = spaceOf(s.account)
		message = "connected as " + cmp.Or(status.Account.Email, status.Account.DisplayName, status.Account.ID)
	}
	status.CredentialsVersion = s.credentialsVersion
	status.LastHandledVerify = handled(connection)
	if outcome == nil {
		status.DefaultFolder = string(connection.Spec.DefaultFolder)
		if s.uploadsRetried || !connection.Ready() {
			status.ReadyCount = new(ptr.Deref(status.ReadyCount, 0) + 1)
		}
		last := ptr.Deref(status.LastUploadRetryTime, metav1.Time{})
		switch {
		case s.uploadsRetried:
			status.UploadRetries, status.LastUploadRetryTime = new(ptr.Deref(status.UploadRetries, 0)+1), &now
		case !s.uploadsFailed && s.now.Sub(last.Time) > forgetUploadRetries:
			status.UploadRetries, status.LastUploadRetryTime = nil, nil
		}
	}
	reconcile.Conditions{List: &status.Conditions, Generation: connection.Generation, Now: now}.
		Summarize(outcome, platenv1alpha1.VerifiedReason, message)
}

// isOf reports whether an account that answered belongs to the service or the bucket that a spec names. A spec that has come to name another one leaves
// the account of the one before in status, until the new one answers. Of the accounts, only Dropbox's have an e-mail address.
func isOf(account *platenv1alpha1.StorageAccount, spec *platenv1alpha1.StorageConnectionSpec) bool {
	bucket := ""
	switch {
	case account == nil:
		return true
	case spec.S3 != nil:
		bucket = spec.S3.Bucket
	case spec.GCS != nil:
		bucket = spec.GCS.Bucket
	case spec.AzureBlob != nil:
		bucket = spec.AzureBlob.Container
	default:
		return account.Email != ""
	}
	return account.Email == "" && account.ID == reconcile.Truncate(bucket, maxAccountID)
}

// spaceOf returns how full an account is, nil when the service does not say.
func spaceOf(account *storage.Account) *platenv1alpha1.StorageSpace {
	if account.SpaceAllocated <= 0 {
		return nil
	}
	return &platenv1alpha1.StorageSpace{Used: new(max(account.SpaceUsed, 0)), Allocated: new(account.SpaceAllocated)}
}

// logVerified writes one line for each verification, at level 1 unless the Ready condition has changed.
func logVerified(ctx context.Context, before, after *platenv1alpha1.StorageConnection, took time.Duration) {
	was, is := metav1.Condition{}, metav1.Condition{}
	if c := meta.FindStatusCondition(before.Status.Conditions, platenv1alpha1.ReadyCondition); c != nil {
		was = *c
	}
	if c := meta.FindStatusCondition(after.Status.Conditions, platenv1alpha1.ReadyCondition); c != nil {
		is = *c
	}
	level := 0
	if was.Status == is.Status && was.Reason == is.Reason {
		level = 1
	}
	ctrl.LoggerFrom(ctx).V(level).Info("Verified StorageConnection", "uid", after.UID, "generation", after.Generation,
		"provider", after.Spec.Provider, "ready", is.Status, "reason", is.Reason, "readyCount", ptr.Deref(after.Status.ReadyCount, 0), "duration", took)
}
