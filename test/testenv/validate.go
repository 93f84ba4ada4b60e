// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"context"
	"errors"
	"strings"

	k8sruntime "k8s.io/apimachinery/pkg/runtime"

	"github.com/platen-dev/platen/internal/crdschema"
)

// Validator validates the objects of one kind against its CRD as the API server does, but without a server.
type Validator struct{ schema *crdschema.Schema }

// NewValidator returns the Validator of a kind such as RenderJob.
func NewValidator(kind string) (*Validator, error) {
	schema, err := crdschema.Of(kind)
	return &Validator{schema}, err
}

// Default sets the defaults of the CRD in an object, as the API server does before it validates the object.
func (v *Validator) Default(object k8sruntime.Object) error {
	content, err := k8sruntime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return err
	}
	v.schema.Default(content)
	return k8sruntime.DefaultUnstructuredConverter.FromUnstructured(content, object)
}

// Validate returns an error if the API server would refuse the object or drop some of its fields. The error says why, and which fields.
func (v *Validator) Validate(ctx context.Context, object k8sruntime.Object) error {
	content, err := k8sruntime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return err
	}
	var problems []string
	for _, path := range v.schema.Prune(content) {
		problems = append(problems, "the CRD does not know the field "+path)
	}
	for _, e := range v.schema.Validate(ctx, content) {
		problems = append(problems, e.Error())
	}
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, "\n"))
	}
	return nil
}
