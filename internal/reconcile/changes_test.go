// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"strconv"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

func TestChangesBlockNobodyBeforeTheControllerStarts(t *testing.T) {
	var c Changes
	for range 2 {
		for i := range 10_000 {
			c.Changed(types.NamespacedName{Namespace: "a", Name: strconv.Itoa(i)})
		}
	}
	q := newFairQueue(t)
	if err := c.Start(t.Context(), q); err != nil || q.Len() != 10_000 {
		t.Fatalf("%d requests, want one for each object; %v", q.Len(), err)
	}
	c.Changed(types.NamespacedName{Namespace: "a", Name: "late"})
	if q.Len() != 10_001 {
		t.Errorf("%d requests after a change while the controller runs", q.Len())
	}
}
