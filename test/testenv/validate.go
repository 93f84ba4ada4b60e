// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	schemacel "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// Validator validates the objects of one kind against its CRD as the API server does, but without a server.
type Validator struct {
	schema     validation.SchemaValidator
	structural *structuralschema.Structural
	rules      *schemacel.Validator
}

// NewValidator returns the Validator of a resource such as renderjobs.
func NewValidator(resource string) (*Validator, error) {
	folder, err := crds()
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(folder, "platen.dev_"+resource+".yaml"))
	if err != nil {
		return nil, err
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(data, crd); err != nil {
		return nil, fmt.Errorf("reading the CRD of %s: %w", resource, err)
	}
	props := &apiextensions.JSONSchemaProps{}
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(
		crd.Spec.Versions[0].Schema.OpenAPIV3Schema, props, nil); err != nil {
		return nil, err
	}
	v := &Validator{}
	if v.structural, err = structuralschema.NewStructural(props); err != nil {
		return nil, err
	}
	if v.schema, _, err = validation.NewSchemaValidator(props); err != nil {
		return nil, err
	}
	v.rules = schemacel.NewValidator(v.structural, true, celconfig.PerCallLimit)
	return v, nil
}

// Default sets the defaults of the CRD in an object, as the API server does before it validates the object.
func (v *Validator) Default(object k8sruntime.Object) error {
	content, err := k8sruntime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return err
	}
	defaulting.Default(content, v.structural)
	return k8sruntime.DefaultUnstructuredConverter.FromUnstructured(content, object)
}

// Validate returns an error if the API server would refuse the object or drop some of its fields. The error says why, and which fields.
func (v *Validator) Validate(ctx context.Context, object k8sruntime.Object) error {
	content, err := k8sruntime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return err
	}
	pruned := k8sruntime.DeepCopyJSON(content)
	pruning.Prune(pruned, v.structural, true)
	var problems []string
	if diff := cmp.Diff(content, pruned); diff != "" {
		problems = append(problems, "fields that the CRD does not know:\n"+diff)
	}
	list := append(validation.ValidateCustomResource(nil, content, v.schema), listtype.ValidateListSetsAndMaps(nil, v.structural, content)...)
	broken, _ := v.rules.Validate(ctx, nil, v.structural, content, nil, celconfig.RuntimeCELCostBudget)
	for _, e := range append(list, broken...) {
		problems = append(problems, e.Error())
	}
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, "\n"))
	}
	return nil
}
