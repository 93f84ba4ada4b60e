// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ParameterType says which values a parameter takes.
// +kubebuilder:validation:Enum=text;image;color;number;boolean;list;date
type ParameterType string

const (
	// ParameterText takes a string, shown as text and never as markup.
	ParameterText ParameterType = "text"
	// ParameterImage takes an http, https or data:image URL.
	ParameterImage ParameterType = "image"
	// ParameterColor takes a CSS colour or gradient.
	ParameterColor ParameterType = "color"
	// ParameterNumber takes a number, also as text.
	ParameterNumber ParameterType = "number"
	// ParameterBoolean takes true or false, also as 1 or 0 and as text.
	ParameterBoolean ParameterType = "boolean"
	// ParameterList takes a JSON array, for elements with data-each.
	ParameterList ParameterType = "list"
	// ParameterDate takes a text with a date, such as 2026-11-26, or a time (RFC 3339). The page shows it as it is given.
	ParameterDate ParameterType = "date"
)

// Parameter is one value that a template takes.
type Parameter struct {
	// name of the parameter, as in the page's data-param attributes and in the keys of spec.modifications.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z_][A-Za-z0-9_-]*$')",message="must be letters, digits, hyphens and underscores, with a letter or an underscore first"
	Name string `json:"name,omitempty"`

	// type says which values are accepted. Defaults to text.
	// +optional
	Type ParameterType `json:"type,omitempty"`

	// default is the value used when a job gives none.
	// +optional
	Default *apiextensionsv1.JSON `json:"default,omitempty"`

	// required says that a job must give this parameter. Defaults to false.
	// +optional
	Required *bool `json:"required,omitempty"`

	// description of the parameter for people who fill in the template.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Description string `json:"description,omitempty"`
}

// HTMLSource names an object that holds a page's HTML.
type HTMLSource struct {
	// configMapKeyRef names a ConfigMap key that holds the HTML. It is read when a job is rendered.
	// +required
	ConfigMapKeyRef ConfigMapKeySelector `json:"configMapKeyRef,omitempty,omitzero"`
}

// TemplatePage is one page of a template: a box of CSS pixels and the HTML in it.
// +kubebuilder:validation:XValidation:rule="has(self.html) != has(self.htmlFrom)",message="exactly one of html and htmlFrom must be set"
type TemplatePage struct {
	// name of the page, unique in the template.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?$')",message="must be letters, digits, hyphens and underscores, with a letter or a digit first and last"
	Name string `json:"name,omitempty"`

	// id is a UUID that REST clients see as pageId, unique in the template. When it is absent, one is derived from the
	// template's UID and the page's name, so that it never changes.
	// +optional
	// +kubebuilder:validation:MinLength=36
	// +kubebuilder:validation:MaxLength=36
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$')",message="must be a UUID in lower case, such as 123e4567-e89b-12d3-a456-426614174000"
	ID string `json:"id,omitempty"`

	// width of the page in CSS pixels, 1..5000.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=5000
	Width int32 `json:"width,omitempty"`

	// height of the page in CSS pixels, 1..5000.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=5000
	Height int32 `json:"height,omitempty"`

	// html of the page. Elements with data-param, data-if and data-each are filled from the job's modifications.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=524288
	HTML string `json:"html,omitempty"`

	// htmlFrom reads the HTML from a ConfigMap instead.
	// +optional
	HTMLFrom *HTMLSource `json:"htmlFrom,omitempty"`
}

// DynamicURLPolicy says whether a template has dynamic URLs.
// +kubebuilder:validation:Enum=Enabled;Disabled
type DynamicURLPolicy string

const (
	// DynamicURLsEnabled renders the template for everyone who has a signed URL.
	DynamicURLsEnabled DynamicURLPolicy = "Enabled"
	// DynamicURLsDisabled takes no dynamic URL, not even one that was valid before.
	DynamicURLsDisabled DynamicURLPolicy = "Disabled"
)

// DynamicURLs are URLs of the REST API that have the modifications in their query. Whoever has one gets the picture, without a token.
type DynamicURLs struct {
	// policy is Enabled or Disabled. Defaults to Disabled.
	// +optional
	// +default="Disabled"
	Policy DynamicURLPolicy `json:"policy,omitempty"`

	// keyVersion names the secret that signs the URLs. URLs of this version and of the one before are valid: a number that is one higher
	// changes the secret and leaves time to replace the URLs, and one that is two higher ends them all. Defaults to 1.
	// +optional
	// +default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	KeyVersion int32 `json:"keyVersion,omitempty"`

	// rendersPerHour bounds the different pictures that URLs ask for. A picture that was rendered before costs nothing. Defaults to 1000.
	// +optional
	// +default=1000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	RendersPerHour int32 `json:"rendersPerHour,omitempty"`
}

// FontSetReference names a FontSet in the same namespace.
type FontSetReference struct {
	// name of the FontSet.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of a FontSet: lower-case letters, digits, hyphens and dots, with a letter or a digit first and last"
	Name string `json:"name,omitempty"`
}

// RenderTemplateSpec says what is rendered.
type RenderTemplateSpec struct {
	// templateID is the number by which REST clients name this template. It must be unique in the namespace.
	// +optional
	// +kubebuilder:validation:Minimum=1
	TemplateID *int64 `json:"templateID,omitempty"`

	// title is the name that people see. Defaults to the object's name.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	Title string `json:"title,omitempty"`

	// description of the template for people who choose one.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Description string `json:"description,omitempty"`

	// parameters are the values that the template takes. Platen checks a job's modifications against them before it uses a render pod.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=100
	Parameters []Parameter `json:"parameters,omitempty"`

	// fontSetRefs name the FontSets whose fonts the pages can use by the names of their families. A font of a later set wins over one of an
	// earlier set with the same family, style and weight, and a page's own @font-face over both.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	FontSetRefs []FontSetReference `json:"fontSetRefs,omitempty"`

	// dynamicURLs says whether people without a token get the template's pictures by signed URLs.
	// +optional
	DynamicURLs DynamicURLs `json:"dynamicURLs,omitempty,omitzero"`

	// pages of the template, numbered from 1 in this order.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=200
	// +kubebuilder:validation:XValidation:rule="self.all(p, !has(p.id) || self.exists_one(q, has(q.id) && q.id == p.id))",message="page ids must be unique in the template"
	Pages []TemplatePage `json:"pages,omitempty"`
}

// TemplateWarning is a likely mistake in a template.
type TemplateWarning struct {
	// rule that found it, such as missing-alt; docs/templates/lint.md describes the rules.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Rule string `json:"rule,omitempty"`

	// where it is: a field, or a page and an element, such as "page front, <img id=logo>".
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Where string `json:"where,omitempty"`

	// message says what is wrong and what to do.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// ParameterSource says where a parameter comes from.
// +kubebuilder:validation:Enum=Declared;Bound;Style
type ParameterSource string

const (
	// ParameterDeclared is a parameter of spec.parameters.
	ParameterDeclared ParameterSource = "Declared"
	// ParameterBound is a value that a page shows, and that the template does not declare.
	ParameterBound ParameterSource = "Bound"
	// ParameterStyle is a style or the link of an element that has an id, such as title.color.
	ParameterStyle ParameterSource = "Style"
)

// TemplateParameter is a value that a template takes.
type TemplateParameter struct {
	// name of the parameter, as in the keys of a job's modifications.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// type of the value: that of spec.parameters, or what the pages show the value as. An object has the values of bindings such as
	// order.total.
	// +required
	// +kubebuilder:validation:Enum=text;image;color;number;boolean;list;date;object
	Type string `json:"type,omitempty"`

	// source says whether spec.parameters declares the parameter, or a page has it.
	// +required
	Source ParameterSource `json:"source,omitempty"`

	// default is what a job without the value gets. Absent if it has more than 1024 bytes.
	// +optional
	Default *apiextensionsv1.JSON `json:"default,omitempty"`

	// example is a value of the right form: the default, or what the page has in the value's place. Absent if it has more than 1024 bytes.
	// +optional
	Example *apiextensionsv1.JSON `json:"example,omitempty"`

	// pages are the numbers of the pages that use the value, as far as their HTML tells.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=200
	// +kubebuilder:validation:items:Minimum=1
	Pages []int32 `json:"pages,omitempty"`
}

// RenderTemplateStatus says whether jobs can render the template.
type RenderTemplateStatus struct {
	// conditions of the template: Ready, and Reconciling or Stalled while they are true.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the metadata.generation that this status describes; -1 before Platen has seen the object.
	// +optional
	ObservedGeneration *int64 `json:"observedGeneration,omitempty"`

	// parameters are the values that the template takes, if the HTML of a page is in a ConfigMap: spec.parameters, and what the pages bind.
	// Absent if spec has all pages, because everybody can read them there.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=300
	Parameters []TemplateParameter `json:"parameters,omitempty"`

	// warnings about what is seldom meant, at most 32. Jobs render the template all the same.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Warnings []TemplateWarning `json:"warnings,omitempty"`
}

// RenderTemplate is a set of HTML pages with named parameters.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=rt,categories=platen
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="ID",type=integer,JSONPath=`.spec.templateID`
// +kubebuilder:printcolumn:name="Width",type=integer,JSONPath=`.spec.pages[0].width`
// +kubebuilder:printcolumn:name="Height",type=integer,JSONPath=`.spec.pages[0].height`
// +kubebuilder:printcolumn:name="Warnings",type=string,JSONPath=`.status.warnings[*].rule`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type RenderTemplate struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec says what is rendered.
	// +required
	Spec RenderTemplateSpec `json:"spec,omitempty,omitzero"`

	// status says whether jobs can render the template.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1,"conditions":{{"type":"Ready","status":"Unknown","reason":"Pending","message":"Platen has not looked at it yet","lastTransitionTime":"1970-01-01T00:00:00Z"}}}
	Status RenderTemplateStatus `json:"status,omitempty,omitzero"`
}

// NamesFontSet reports whether spec.fontSetRefs name a FontSet.
func (t *RenderTemplate) NamesFontSet(name string) bool {
	return slices.ContainsFunc(t.Spec.FontSetRefs, func(ref FontSetReference) bool { return ref.Name == name })
}

// RenderTemplateList is a list of RenderTemplates.
// +kubebuilder:object:root=true
type RenderTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []RenderTemplate `json:"items"`
}
