// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package crdschema says what the API server takes of an object of Platen's kinds, without an API server: it applies the schemas, the defaults
// and the rules of the CRDs in the same order.
package crdschema

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	schemacel "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	metavalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/yaml"

	"github.com/platen-dev/platen/config/crd"
)

// Schema is what the CRD of a kind says about its objects. It is safe for concurrent use.
type Schema struct {
	schema     validation.SchemaValidator
	structural *structuralschema.Structural
	rules      *schemacel.Validator
}

var (
	lock    sync.Mutex
	schemas = map[string]*Schema{}
)

// Of returns the Schema of a kind of Platen, such as RenderJob, or of ConfigMaps, which have the pages and the fonts of templates. The first call
// for a kind compiles its rules.
func Of(kind string) (*Schema, error) {
	lock.Lock()
	defer lock.Unlock()
	if s := schemas[kind]; s != nil {
		return s, nil
	}
	s, err := compile(kind)
	if err != nil {
		return nil, fmt.Errorf("the CRD of %s: %w", kind, err)
	}
	schemas[kind] = s
	return s, nil
}

func compile(kind string) (*Schema, error) {
	properties, err := read(kind)
	if err != nil {
		return nil, err
	}
	s := &Schema{}
	if s.structural, err = structuralschema.NewStructural(properties); err != nil {
		return nil, err
	}
	s.rules = schemacel.NewValidator(s.structural, true, celconfig.PerCallLimit)
	// The schemas of CRDs leave metadata to Kubernetes.
	properties.Properties["metadata"] = metadata
	s.schema, _, err = validation.NewSchemaValidator(properties)
	return s, err
}

func read(kind string) (*apiextensions.JSONSchemaProps, error) {
	if kind == "ConfigMap" {
		return configMap.DeepCopy(), nil
	}
	data, err := crd.Read(kind)
	if err != nil {
		return nil, err
	}
	definition := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(data, definition); err != nil {
		return nil, err
	}
	properties := &apiextensions.JSONSchemaProps{}
	return properties, apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(definition.Spec.Versions[0].Schema.OpenAPIV3Schema, properties, nil)
}

type properties = map[string]apiextensions.JSONSchemaProps

var (
	text  = apiextensions.JSONSchemaProps{Type: "string"}
	texts = apiextensions.JSONSchemaProps{Type: "object", AdditionalProperties: &apiextensions.JSONSchemaPropsOrBool{Allows: true, Schema: &text}}
	// metadata is the schema of the fields that people write. The API server fails to decode an object that does not fit.
	metadata = apiextensions.JSONSchemaProps{Type: "object", Properties: properties{
		"name": text, "generateName": text, "namespace": text, "labels": texts, "annotations": texts,
		"finalizers": {Type: "array", Items: &apiextensions.JSONSchemaPropsOrArray{Schema: &text}},
	}}
	configMap = apiextensions.JSONSchemaProps{Type: "object", Properties: properties{
		"apiVersion": text, "kind": text, "metadata": {Type: "object"}, "immutable": {Type: "boolean"}, "data": keyed(""), "binaryData": keyed("byte"),
	}}
)

// keyed is the schema of the data of a ConfigMap.
func keyed(format string) apiextensions.JSONSchemaProps {
	values := *texts.DeepCopy()
	values.AdditionalProperties.Schema.Format = format
	values.XValidations = apiextensions.ValidationRules{{
		Rule: "self.all(key, key.matches('^[-._a-zA-Z0-9]{1,253}$') && key != '.' && !key.startsWith('..'))", Message: "a key must be letters, digits, hyphens, dots and underscores",
	}}
	return values
}

// Default sets the defaults that an object lacks.
func (s *Schema) Default(object map[string]any) { defaulting.Default(object, s.structural) }

// Prune removes the fields that the API server does not know, and returns their paths.
func (s *Schema) Prune(object map[string]any) []string {
	options := structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	return pruning.PruneWithOptions(object, s.structural, true, options)
}

// Validate returns what the schema and the rules refuse of an object. As in the API server, rules wait until the types are right.
func (s *Schema) Validate(ctx context.Context, object map[string]any) field.ErrorList {
	refused := validation.ValidateCustomResource(nil, object, s.schema)
	refused = append(refused, listtype.ValidateListSetsAndMaps(nil, s.structural, object)...)
	if slices.ContainsFunc(refused, blocks) {
		return refused
	}
	broken, _ := s.rules.Validate(ctx, nil, s.structural, object, nil, celconfig.RuntimeCELCostBudget)
	return append(refused, broken...)
}

// blocks tells whether the API server skips the rules because of an error.
func blocks(err *field.Error) bool {
	switch err.Type {
	case field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid:
		return true
	default:
		return false
	}
}

// Admit makes of an object that is to be created what the API server would keep: without fields that it does not know, whose paths it returns,
// without status, and with defaults. It returns what the API server would refuse.
func (s *Schema) Admit(ctx context.Context, object map[string]any) (unknown []string, refused field.ErrorList) {
	meta, _, unknown, err := objectmeta.GetObjectMetaWithOptions(object, objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	unknown = append(unknown, s.Prune(object)...)
	s.Default(object)
	defaulting.PruneNonNullableNullsWithoutDefaults(object, s.structural)
	delete(object, "status")
	path := field.NewPath("metadata")
	switch {
	case meta != nil:
		if meta.Namespace == "" {
			meta.Namespace = "default" // kubectl sets one, whose name the kubeconfig says
		}
		if meta.Name == "" && meta.GenerateName != "" {
			meta.Name = names.SimpleNameGenerator.GenerateName(meta.GenerateName)
		}
		refused = metavalidation.ValidateObjectMeta(meta, true, metavalidation.NameIsDNSSubdomain, path)
	case err == nil:
		refused = field.ErrorList{field.Required(path.Child("name"), "")}
	}
	refused = append(refused, s.Validate(ctx, object)...)
	if err != nil && !slices.ContainsFunc(refused, func(e *field.Error) bool { return strings.HasPrefix(e.Field, "metadata") }) {
		refused = append(refused, field.Invalid(path, nil, err.Error()))
	}
	return unknown, refused
}
