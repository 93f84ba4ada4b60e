// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func TestOwns(t *testing.T) {
	for name, test := range map[string]struct {
		owns Owns
		want []string
	}{
		"all":  {nil, []string{"a", "b"}},
		"some": {func(namespace string) bool { return namespace == "b" }, []string{"b"}},
	} {
		var reconciled, passed []string
		reconciler := test.owns.Requests(reconcile.Func(func(_ context.Context, r reconcile.Request) (reconcile.Result, error) {
			reconciled = append(reconciled, r.Namespace)
			return reconcile.Result{}, nil
		}))
		for _, namespace := range []string{"a", "b"} {
			if _, err := reconciler.Reconcile(t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: "x"}}); err != nil {
				t.Error(err)
			}
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "x"}}
			if test.owns.Events().Update(event.UpdateEvent{ObjectOld: pod, ObjectNew: pod}) {
				passed = append(passed, namespace)
			}
		}
		if !slices.Equal(reconciled, test.want) || !slices.Equal(passed, test.want) {
			t.Errorf("%s: requests of %v and events of %v pass; want %v", name, reconciled, passed, test.want)
		}
	}
}
