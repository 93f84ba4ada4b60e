// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package crd holds Platen's CustomResourceDefinitions for programs that check objects without a cluster.
package crd

import (
	"embed"
	"strings"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

//go:embed bases/*.yaml
var bases embed.FS

// Read returns the CustomResourceDefinition of a kind, such as RenderJob, in YAML.
func Read(kind string) ([]byte, error) {
	return bases.ReadFile("bases/" + platenv1alpha1.GroupVersion.Group + "_" + strings.ToLower(kind) + "s.yaml")
}
