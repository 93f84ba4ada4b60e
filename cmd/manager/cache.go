// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
)

// trim drops from a cached object what no controller reads: its managed fields and kubectl's copy of what was applied, which is as large as the
// object. The controllers write status only, so that the API server keeps both.
func trim(object any) (any, error) {
	if accessor, err := meta.Accessor(object); err == nil { // else it tells of an object that is gone
		accessor.SetManagedFields(nil)
		delete(accessor.GetAnnotations(), corev1.LastAppliedConfigAnnotation)
	}
	return object, nil
}
