// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrlreconcile "sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Changes is a source of requests for a controller: other parts of the program say which objects it has to look at again. It blocks none of
// them, whether the controller runs or not, and holds each object once.
type Changes struct {
	mu      sync.Mutex
	queue   workqueue.TypedRateLimitingInterface[ctrlreconcile.Request]
	waiting map[ctrlreconcile.Request]bool // until Start
}

// Changed asks for the reconciliation of an object.
func (c *Changes) Changed(object types.NamespacedName) {
	request := ctrlreconcile.Request{NamespacedName: object}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.queue != nil {
		c.queue.Add(request)
		return
	}
	if c.waiting == nil {
		c.waiting = map[ctrlreconcile.Request]bool{}
	}
	c.waiting[request] = true
}

// Start implements source.Source.
func (c *Changes) Start(_ context.Context, queue workqueue.TypedRateLimitingInterface[ctrlreconcile.Request]) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for request := range c.waiting {
		queue.Add(request)
	}
	c.queue, c.waiting = queue, nil
	return nil
}
