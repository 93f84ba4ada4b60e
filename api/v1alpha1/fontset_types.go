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

// FontImage is an image or an artifact of an OCI registry that has font files.
type FontImage struct {
	// reference of the image: its registry, repository and digest, as registry.example.com/acme/fonts@sha256:0123…. A tag in front of the digest does
	// not count. The registry is at an address that the manager may reach: a public one, or one that its flag --storage-outbound-allow allows.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('@sha256:[0-9a-f]{64}$')",message="must end with the image's digest, @sha256: and 64 hexadecimal digits, so that pictures stay as they are whatever becomes of a tag; crane digest IMAGE, oras resolve IMAGE or skopeo inspect docker://IMAGE print it"
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-zA-Z0-9-]+[.][a-zA-Z0-9.-]+|localhost|[a-zA-Z0-9.-]+:[0-9]+|[[][0-9a-fA-F:]+[]]:[0-9]+)(:[0-9]+)?/[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*)*(:[a-zA-Z0-9_.-]+)?(@[^@]*)?$')",message="must be REGISTRY/REPOSITORY@sha256:DIGEST with the registry's name in front, such as docker.io/acme/fonts@sha256:0123…, and the repository in lower case"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[^/@]*:[0-9]+/') || self.matches('^[^/]*:0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])/')",message="must have a port from 1 to 65535"
	Reference string `json:"reference,omitempty"`

	// pullSecretRef names a Secret of type kubernetes.io/dockerconfigjson that has a user and a password for the registry. The Secret must carry
	// the label platen.dev/credentials: "true". Default: the registry lets everybody read the image.
	// +optional
	PullSecretRef *SecretReference `json:"pullSecretRef,omitempty"`

	// path of the folder in the image whose font files are taken, with those of the folders in it, such as /usr/share/fonts; or of one file. Default: all
	// of the image.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^[^*?]+$') && !self.matches('(^|/)[.][.]?(/|$)')",message="must be a folder such as /usr/share/fonts, without . and .. and without wildcards"
	Path string `json:"path,omitempty"`
}

// FontSource is a place that has font files: a ConfigMap, a URL, or an image.
// +kubebuilder:validation:XValidation:rule="[has(self.configMapRef), has(self.url), has(self.image)].filter(given, given).size() == 1",message="needs exactly one of configMapRef, url and image"
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
	// +kubebuilder:validation:XValidation:rule="!self.matches('^https?://[^/?#@]*:[^]/?#:@]+([/?#]|$)') || self.matches('^https?://[^/?#]*:0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])([/?#]|$)')",message="must have a port from 1 to 65535"
	URL string `json:"url,omitempty"`

	// sha256 of the file at url, in hexadecimal. A file with another hash is refused, so that what the URL has changes no picture.
	// +optional
	// +kubebuilder:validation:MinLength=64
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9a-f]*$')",message="must be 64 hexadecimal digits in lower case, as sha256sum prints them"
	SHA256 string `json:"sha256,omitempty"`

	// image of an OCI registry. Every file in it whose name ends with .ttf, .otf, .woff or .woff2 is a font file.
	// +optional
	Image *FontImage `json:"image,omitempty"`
}

// ConfigMapName returns the name of the source's ConfigMap, empty if it is another kind of source.
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

	// url of the file, if it is at a URL.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	URL string `json:"url,omitempty"`

	// image that has the file.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`

	// path of the file in the image.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Path string `json:"path,omitempty"`

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
	// where it is: a ConfigMap and a key of it, a URL, or an image and a file of it.
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
// +kubebuilder:printcolumn:name="Families",type=string,JSONPath=`.status.families`
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
	// +kubebuilder:default={"observedGeneration":-1,"conditions":{{"type":"Ready","status":"Unknown","reason":"Pending","message":"Platen has not looked at it yet","lastTransitionTime":"1970-01-01T00:00:00Z"}}}
	Status FontSetStatus `json:"status,omitempty,omitzero"`
}

// FontSetList is a list of FontSets.
// +kubebuilder:object:root=true
type FontSetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []FontSet `json:"items"`
}
