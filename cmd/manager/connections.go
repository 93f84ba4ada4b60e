// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/metrics"
)

// countInterval is the interval between counts of the StorageConnections.
const countInterval = 15 * time.Second

// connectionKey is a kind of StorageConnections: a provider, and a status of the Ready condition.
type connectionKey struct {
	provider platenv1alpha1.ProviderType
	ready    metav1.ConditionStatus
}

// countConnections keeps the metric of the StorageConnections of the manager's own namespaces until ctx ends. The client reads from the cache.
func countConnections(ctx context.Context, c client.Reader, owns func(namespace string) bool) error {
	return every(ctx, countInterval, "Failed to count StorageConnections", func(ctx context.Context) error {
		connections := &platenv1alpha1.StorageConnectionList{}
		if err := c.List(ctx, connections); err != nil {
			return fmt.Errorf("listing StorageConnections: %w", err)
		}
		mine := slices.DeleteFunc(connections.Items, func(c platenv1alpha1.StorageConnection) bool { return !owns(c.Namespace) })
		for key, n := range count(mine) {
			metrics.Connections{}.Counted(string(key.provider), string(key.ready), n)
		}
		return nil
	})
}

// count counts connections. The result has every provider with every status.
func count(connections []platenv1alpha1.StorageConnection) map[connectionKey]int {
	counts := map[connectionKey]int{}
	for _, provider := range []platenv1alpha1.ProviderType{
		platenv1alpha1.ProviderDropbox, platenv1alpha1.ProviderS3, platenv1alpha1.ProviderGCS, platenv1alpha1.ProviderAzureBlob,
	} {
		for _, status := range []metav1.ConditionStatus{metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown} {
			counts[connectionKey{provider, status}] = 0
		}
	}
	for i := range connections {
		status := metav1.ConditionUnknown
		if ready := meta.FindStatusCondition(connections[i].Status.Conditions, platenv1alpha1.ReadyCondition); ready != nil {
			status = ready.Status
		}
		counts[connectionKey{connections[i].Spec.Provider, status}]++
	}
	return counts
}
