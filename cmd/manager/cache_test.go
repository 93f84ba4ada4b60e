// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

func TestTrimKeepsWhatControllersRead(t *testing.T) {
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{
		Name:          "summer",
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
		Annotations:   map[string]string{corev1.LastAppliedConfigAnnotation: "{}", platenv1alpha1.RetryUploadsAnnotation: "now"},
	}}
	if _, err := trim(job); err != nil {
		t.Fatal(err)
	}
	if job.ManagedFields != nil || !maps.Equal(job.Annotations, map[string]string{platenv1alpha1.RetryUploadsAnnotation: "now"}) || job.Name != "summer" {
		t.Errorf("got %+v", job.ObjectMeta)
	}
	gone := cache.DeletedFinalStateUnknown{Key: "ns/name"}
	if got, err := trim(gone); err != nil || got != gone {
		t.Errorf("an object that is gone: %v, %v", got, err)
	}
}
