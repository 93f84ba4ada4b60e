// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package storageconnection

import (
	"math"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/storage"
)

const (
	// minRetryDelay and maxRetryDelay bound the wait before Platen calls a service again that it could not reach.
	minRetryDelay = 10 * time.Second
	maxRetryDelay = 5 * time.Minute
	// minUploadRetry and maxUploadRetry bound the time between two retries of failed uploads while the connection stays Ready.
	minUploadRetry = time.Minute
	maxUploadRetry = time.Hour
	// forgetUploadRetries is how long no upload must have failed before the next retry comes soon again.
	forgetUploadRetries = 2 * maxUploadRetry

	// soon is how often Platen looks for a changed Secret while somebody may be at work on the connection, because it began or ceased to work
	// less than atWork ago; seldom is how often it looks otherwise.
	soon   = 2 * time.Second
	seldom = 30 * time.Second
	atWork = 5 * time.Minute
)

// dueTime returns when a connection is to be verified by what its status says; the zero time is at once.
func dueTime(c *platenv1alpha1.StorageConnection) time.Time {
	if ptr.Deref(c.Status.ObservedGeneration, -1) != c.Generation || c.Status.NextVerificationTime == nil {
		return time.Time{}
	}
	return c.Status.NextVerificationTime.Time
}

const (
	// clockSkew is how far the clocks of two managers may differ, and longestPlan how far ahead a verification may be planned: services may ask to wait
	// for a day.
	clockSkew   = time.Minute
	longestPlan = 25 * time.Hour
)

// misplanned reports whether what a status says of times is from a clock that was wrong: it would keep a connection from its verification until that time.
func misplanned(c *platenv1alpha1.StorageConnection, interval time.Duration, now time.Time) bool {
	latest := now.Add(clockSkew)
	ready := meta.FindStatusCondition(c.Status.Conditions, platenv1alpha1.ReadyCondition)
	return ptr.Deref(c.Status.LastVerifiedTime, metav1.Time{}).After(latest) || ready != nil && ready.LastTransitionTime.After(latest) ||
		dueTime(c).After(latest.Add(max(2*interval, longestPlan)))
}

// nextVerification returns when to verify a connection again after an outcome. jitter, from 0 to 1, spreads connections that were verified
// together.
func nextVerification(s *scope, after *platenv1alpha1.StorageConnection, outcome error, interval time.Duration, jitter float64) time.Time {
	delay, spread := interval, interval/5
	lasted := sinceTransition(after, s.now)
	if waiting := reconcile.AsWaiting(outcome); waiting != nil {
		delay = min(max(lasted/4, minRetryDelay), maxRetryDelay)
		spread = delay / 2
		delay = max(delay, waiting.After)
	}
	if terminal := reconcile.AsTerminal(outcome); terminal != nil && terminal.Reason == string(storage.ReasonInsufficientSpace) {
		delay = min(max(lasted/4, time.Minute), interval) // somebody may be making room
	}
	next := s.now.Add(delay + time.Duration(jitter*float64(spread)))
	if outcome == nil && !s.retryUploads.IsZero() && !s.uploadsRetried && s.retryUploads.Before(next) {
		next = s.retryUploads
	}
	return next
}

// sinceTransition returns how long the Ready condition has had its status.
func sinceTransition(c *platenv1alpha1.StorageConnection, now time.Time) time.Duration {
	if ready := meta.FindStatusCondition(c.Status.Conditions, platenv1alpha1.ReadyCondition); ready != nil {
		return now.Sub(ready.LastTransitionTime.Time)
	}
	return 0
}

// lookDelay returns after how long to look for a changed Secret again.
func lookDelay(c *platenv1alpha1.StorageConnection, now time.Time, jitter float64) time.Duration {
	delay := seldom
	if sinceTransition(c, now) < atWork {
		delay = soon
	}
	return delay + time.Duration(jitter*float64(delay)/4)
}

// uploadRetry returns when to retry an upload that failed while the connection stayed Ready: after a minute, and each further time twice
// as long. A failure that a check of the connection would have found is retried at once the first time: somebody has repaired it.
func uploadRetry(c *platenv1alpha1.StorageConnection, failed *metav1.Time, repaired bool) time.Time {
	retries := ptr.Deref(c.Status.UploadRetries, 0)
	if retries == 0 && repaired {
		return time.Time{}.Add(1) // at once
	}
	delay := min(time.Duration(math.Exp2(float64(min(max(retries-1, 0), 10))))*minUploadRetry, maxUploadRetry)
	last := ptr.Deref(c.Status.LastUploadRetryTime, metav1.Time{}).Time
	if failed != nil && failed.After(last) {
		last = failed.Time
	}
	return last.Add(delay)
}
