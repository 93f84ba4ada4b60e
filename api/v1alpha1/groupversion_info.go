// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 is version v1alpha1 of the platen.dev API: render jobs, what they render and where the files go.
// Objects refer to each other by name within one namespace, which is the workspace and the trust boundary.
//
// +kubebuilder:object:generate=true
// +groupName=platen.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	// GroupVersion is the group and version of every type in this package.
	GroupVersion = schema.GroupVersion{Group: "platen.dev", Version: "v1alpha1"}

	// SchemeBuilder collects the functions that add this package's types to a scheme.
	SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme adds this package's types to a scheme.
	AddToScheme = SchemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&FontSet{}, &FontSetList{},
		&RenderJob{}, &RenderJobList{},
		&RenderPool{}, &RenderPoolList{},
		&RenderTemplate{}, &RenderTemplateList{},
		&StorageConnection{}, &StorageConnectionList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
