// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"time"

	"k8s.io/client-go/util/workqueue"
	ctrlreconcile "sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// minBackoff is how soon an object is reconciled again after its first failure.
const minBackoff = 5 * time.Millisecond

// MaxBackoff is the longest time until an object is reconciled again that costs nothing but requests to the API server.
const MaxBackoff = 30 * time.Second

// Backoff returns the rate limiter of a controller: after each further failure, an object is reconciled twice as late, and after most in the end. That
// of controller-runtime goes on to 17 minutes, so once an API server takes writes again that has refused them for a while, objects would wait as
// long again. It is for controller.Options.RateLimiter.
func Backoff(most time.Duration) workqueue.TypedRateLimiter[ctrlreconcile.Request] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[ctrlreconcile.Request](minBackoff, most)
}
