// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"k8s.io/client-go/util/workqueue"
	ctrlreconcile "sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// NewFairQueue returns a work queue that serves the namespaces in turn, and the requests of one namespace in the order of their arrival. However
// many requests a namespace has, only one of them comes before the first request of another namespace. It is for controller.Options.NewQueue.
func NewFairQueue(name string, limiter workqueue.TypedRateLimiter[ctrlreconcile.Request]) workqueue.TypedRateLimitingInterface[ctrlreconcile.Request] {
	type request = ctrlreconcile.Request
	queue := workqueue.NewTypedWithConfig(workqueue.TypedQueueConfig[request]{Name: name, Queue: &turns{pending: map[string][]request{}}})
	delaying := workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[request]{Name: name, Queue: queue})
	return workqueue.NewTypedRateLimitingQueueWithConfig(limiter, workqueue.TypedRateLimitingQueueConfig[request]{Name: name, DelayingQueue: delaying})
}

// turns holds the requests that wait. It implements workqueue.Queue, whose user locks it and pushes no request twice.
type turns struct {
	// pending has the requests of each namespace; none is empty.
	pending map[string][]ctrlreconcile.Request
	// order has the namespaces of pending: the first is served next.
	order  []string
	length int
}

// Touch implements workqueue.Queue: a request that waits keeps its place.
func (*turns) Touch(ctrlreconcile.Request) {}

// Push implements workqueue.Queue.
func (t *turns) Push(r ctrlreconcile.Request) {
	if len(t.pending[r.Namespace]) == 0 {
		t.order = append(t.order, r.Namespace)
	}
	t.pending[r.Namespace] = append(t.pending[r.Namespace], r)
	t.length++
}

// Len implements workqueue.Queue.
func (t *turns) Len() int { return t.length }

// Pop implements workqueue.Queue. There is a request.
func (t *turns) Pop() ctrlreconcile.Request {
	namespace := t.order[0]
	t.order = t.order[1:]
	first := t.pending[namespace][0]
	if rest := t.pending[namespace][1:]; len(rest) > 0 {
		t.pending[namespace] = rest
		t.order = append(t.order, namespace)
	} else {
		delete(t.pending, namespace)
	}
	t.length--
	return first
}
