// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"unique"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/podspec"
	"github.com/platen-dev/platen/internal/task"
)

// trim drops from a cached object what no controller reads: its managed fields, kubectl's copy of what was applied, which is as large as the
// object, unless a job lacks some of it, and most of the spec of pods. The controllers write status only, and no status of pods, so that the API server keeps it all.
func trim(object any) (any, error) {
	if accessor, err := meta.Accessor(object); err == nil { // else it tells of an object that is gone
		accessor.SetManagedFields(nil)
		if job, ok := object.(*platenv1alpha1.RenderJob); !ok || !task.HasLeftOut(job) {
			delete(accessor.GetAnnotations(), corev1.LastAppliedConfigAnnotation)
		}
	}
	switch o := object.(type) {
	case *corev1.Pod:
		podspec.Trim(o)
	case *platenv1alpha1.RenderJob:
		share(o)
		clip(o)
	}
	return object, nil
}

// clip gives the lists of a cached job the memory that their items take. A decoder makes room for four.
func clip(job *platenv1alpha1.RenderJob) {
	job.Spec.Connections = slices.Clone(job.Spec.Connections)
	status := &job.Status
	status.Conditions, status.Pages, status.Connections = slices.Clone(status.Conditions), slices.Clone(status.Pages), slices.Clone(status.Connections)
	for i := range status.Connections {
		status.Connections[i].Pages = slices.Clone(status.Connections[i].Pages)
	}
}

// share lets the cached jobs share the strings that most of them have: ten thousand jobs would have as many copies of each.
func share(job *platenv1alpha1.RenderJob) {
	one := func(s *string) { *s = unique.Make(*s).Value() }
	one(&job.Namespace)
	one(&job.Spec.TemplateRef.Name)
	for i := range job.Status.Conditions {
		c := &job.Status.Conditions[i]
		one(&c.Type)
		one(&c.Reason)
		one(&c.Message)
	}
	for i := range job.Status.Pages {
		one(&job.Status.Pages[i].PageID)
	}
}
