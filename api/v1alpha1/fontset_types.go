// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ConfigMapReference names a ConfigMap in the same namespace.
type ConfigMapReference struct {
	// name of the ConfigMap.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of a ConfigMap: lower-case letters, digits, hyphens and dots, with a letter or a digit first and last"
	Name string `json:"name,omitempty"`
}

// FontSource is a place that has font files: a ConfigMap, or a URL.
// +kubebuilder:validation:XValidation:rule="has(self.configMapRef) != has(self.url)",message="needs either configMapRef or url"
// +kubebuilder:validation:XValidation:rule="has(self.url) == has(self.sha256)",message="url and sha256 need each other; sha256sum FILE prints the hash of the file that the URL must have"
type FontSource struct {
	// configMapRef names a ConfigMap. Every key of its binaryData is a font file: TTF, OTF, WOFF or WOFF2. It is read when a job is rendered.
	// +optional
	ConfigMapRef *ConfigMapReference `json:"configMapRef,omitempty"`

	// url of one font file, http or https, at an address that the manager may reach: a public one, or one that its flag --storage-outbound-allow allows.
	// It needs sha256.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#@]+([/?#].*)?$')",message="must be an http or https URL without a user and a password"
	URL string `json:"url,omitempty"`

	// sha256 of the file at url, in hexadecimal. A file with another hash is refused, so that what the URL has changes no picture.
	// +optional
	// +kubebuilder:validation:MinLength=64
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9a-f]*$')",message="must be 64 hexadecimal digits in lower case, as sha256sum prints them"
	SHA256 string `json:"sha256,omitempty"`
}

// ConfigMapName returns the name of the source's ConfigMap, empty if it is a URL.
func (s *FontSource) ConfigMapName() string {
	if s.ConfigMapRef == nil {
		return ""
	}
	return s.ConfigMapRef.Name
}

// FontSetSpec says where the fonts are.
type FontSetSpec struct {
	// sources of the fonts. A font of a later source wins over one of an earlier source with the same family, style and weight.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Sources []FontSource `json:"sources,omitempty"`
}

// Font is one font file of a FontSet, as the file itself says.
type Font struct {
	// family is the name by which pages use the font, as in CSS's font-family.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	Family string `json:"family,omitempty"`

	// style is normal, italic or oblique.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:MinLength=1
	Style string `json:"style,omitempty"`

	// weight is CSS's font-weight: one number, or the first and the last of a variable font, such as "100 900".
	// +optional
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:MinLength=1
	Weight string `json:"weight,omitempty"`

	// configMap that has the file.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ConfigMap string `json:"configMap,omitempty"`

	// key of the file in the ConfigMap's binaryData.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`

	// url of the file, if no ConfigMap has it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	URL string `json:"url,omitempty"`

	// size of the file in bytes.
	// +optional
	Size *int64 `json:"size,omitempty"`

	// sha256 of the file in hexadecimal.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:MinLength=1
	SHA256 string `json:"sha256,omitempty"`
}

// FontWarning is something about a font that its user should know.
type FontWarning struct {
	// where it is: a ConfigMap and a key of it, or a URL.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Where string `json:"where,omitempty"`

	// message says what is unusual and what to do.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// FontSetStatus says which fonts there are, and whether templates can use them.
type FontSetStatus struct {
	// conditions of the set: Ready, and Reconciling or Stalled while they are true.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the metadata.generation that this status describes; -1 before Platen has seen the object.
	// +optional
	ObservedGeneration *int64 `json:"observedGeneration,omitempty"`

	// families are the names by which pages use the fonts, sorted.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=255
	Families []string `json:"families,omitempty"`

	// fonts of the set, at most 256.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Fonts []Font `json:"fonts,omitempty"`

	// warnings about fonts, at most 32. Templates can use the set all the same.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Warnings []FontWarning `json:"warnings,omitempty"`
}

// FontSet is a set of font files that templates name, so that their pages can use the fonts.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=fs,categories=platen
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Families",type=string,JSONPath=`.status.families[*]`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type FontSet struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec says where the fonts are.
	// +required
	Spec FontSetSpec `json:"spec,omitempty,omitzero"`

	// status says which fonts there are.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status FontSetStatus `json:"status,omitempty,omitzero"`
}

// FontSetList is a list of FontSets.
// +kubebuilder:object:root=true
type FontSetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []FontSet `json:"items"`
}
