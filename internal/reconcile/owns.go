// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Owns reports whether a namespace is one of those that this manager leads. nil is all of them.
type Owns func(namespace string) bool

// Events passes the events of the manager's namespaces.
func (o Owns) Events() predicate.Predicate {
	return predicate.NewPredicateFuncs(func(object client.Object) bool { return o.has(object.GetNamespace()) })
}

// Requests passes the requests of the manager's namespaces: a manager that does not lead yet has those of all in its queue.
func (o Owns) Requests(r reconcile.Reconciler) reconcile.Reconciler {
	return reconcile.Func(func(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
		if !o.has(request.Namespace) {
			return reconcile.Result{}, nil
		}
		return r.Reconcile(ctx, request)
	})
}

func (o Owns) has(namespace string) bool { return o == nil || o(namespace) }
