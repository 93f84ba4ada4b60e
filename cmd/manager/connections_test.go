// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

func TestConnectionsAreCountedByProviderAndStatus(t *testing.T) {
	connection := func(provider platenv1alpha1.ProviderType, ready ...metav1.ConditionStatus) (c platenv1alpha1.StorageConnection) {
		c.Spec.Provider = provider
		for _, status := range ready {
			c.Status.Conditions = append(c.Status.Conditions, metav1.Condition{Type: platenv1alpha1.ReadyCondition, Status: status})
		}
		return c
	}
	counts := count([]platenv1alpha1.StorageConnection{
		connection(platenv1alpha1.ProviderDropbox, metav1.ConditionTrue), connection(platenv1alpha1.ProviderDropbox, metav1.ConditionTrue),
		connection(platenv1alpha1.ProviderDropbox, metav1.ConditionFalse), connection(platenv1alpha1.ProviderS3),
	})
	for key, want := range map[connectionKey]int{
		{platenv1alpha1.ProviderDropbox, metav1.ConditionTrue}:    2,
		{platenv1alpha1.ProviderDropbox, metav1.ConditionFalse}:   1,
		{platenv1alpha1.ProviderDropbox, metav1.ConditionUnknown}: 0,
		{platenv1alpha1.ProviderS3, metav1.ConditionUnknown}:      1,
	} {
		if counts[key] != want {
			t.Errorf("%v: %d connections, want %d", key, counts[key], want)
		}
	}
	if len(counts) != 4*3 {
		t.Errorf("%d kinds of connections are counted: %v; want every provider with every status, so that none disappears", len(counts), counts)
	}
}
