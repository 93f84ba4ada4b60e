// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestOverwritten(t *testing.T) {
	at := func(version string) client.Object {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "b", ResourceVersion: version}}
	}
	var o Overwritten
	if o.Stale(at("1")) {
		t.Error("nothing has been written")
	}
	o.Note(at("1"), at("2"))
	for range 2 {
		if !o.Stale(at("1")) {
			t.Error("the cache is behind")
		}
	}
	if o.Stale(at("2")) || o.Stale(at("1")) {
		t.Error("the cache has caught up")
	}
	o.Note(at("2"), at("2"))
	if o.Stale(at("2")) {
		t.Error("a write that changed nothing brings no event")
	}
	o.Note(at("2"), at("3"))
	o.Forget(client.ObjectKeyFromObject(at("2")))
	if o.Stale(at("2")) {
		t.Error("it was forgotten")
	}
}
