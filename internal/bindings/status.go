// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package bindings

import (
	"slices"
	"strings"
	"sync"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/lru"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

const (
	// maxName is the bound that the API sets for a name in status.
	maxName = 253
	// maxValue bounds a default or an example in status, and maxValues all of them, in bytes.
	maxValue, maxValues = 1024, 128 << 10
)

// FromConfigMap tells whether the HTML of a page is in a ConfigMap.
func FromConfigMap(template *platenv1alpha1.RenderTemplate) bool {
	return slices.ContainsFunc(template.Spec.Pages, func(page platenv1alpha1.TemplatePage) bool { return page.HTMLFrom != nil })
}

// Known returns the values that a template takes without a look at ConfigMaps: status.parameters has what their pages bind. Before Platen has
// seen the template, what those pages bind is missing.
func Known(template *platenv1alpha1.RenderTemplate) []Parameter {
	status := &template.Status
	if !FromConfigMap(template) || status.ObservedGeneration == nil || *status.ObservedGeneration != template.Generation || len(status.Parameters) == 0 {
		return Parameters(template, Inline)
	}
	parameters := make([]Parameter, 0, len(status.Parameters))
	for _, from := range status.Parameters {
		p := Parameter{
			Parameter: platenv1alpha1.Parameter{Name: from.Name, Type: platenv1alpha1.ParameterType(from.Type), Default: from.Default}, Example: from.Example,
			Declared: from.Source == platenv1alpha1.ParameterDeclared, Style: from.Source == platenv1alpha1.ParameterStyle,
		}
		for _, page := range from.Pages {
			p.Pages = append(p.Pages, int(page))
		}
		at := slices.IndexFunc(template.Spec.Parameters, func(declared platenv1alpha1.Parameter) bool { return declared.Name == from.Name })
		if at >= 0 {
			declared := &template.Spec.Parameters[at]
			p.Required, p.Description = declared.Required, declared.Description
			if declared.Default != nil {
				p.Default = declared.Default
			}
		}
		parameters = append(parameters, p)
	}
	return parameters
}

// maxCached bounds the bytes of what Cached remembers: defaults and examples may take as much as a template.
const maxCached = 32 << 20

// version identifies a version of an object.
type version struct {
	uid             types.UID
	resourceVersion string
}

// cache remembers what versions of templates take, and forgets what was asked for least recently.
type cache struct {
	mu sync.Mutex
	// known has a []Parameter for each version, and size is that of all.
	known *lru.Cache
	size  int
}

func newCache() *cache {
	c := &cache{}
	c.known = lru.NewWithEvictionFunc(0, func(_ lru.Key, value any) { c.size -= sizeOf(value.([]Parameter)) }) //nolint:forcetypeassert,errcheck // add adds nothing else
	return c
}

func (c *cache) get(key version) (parameters []Parameter, ok bool) {
	value, ok := c.known.Get(key)
	parameters, _ = value.([]Parameter)
	return parameters, ok
}

func (c *cache) add(key version, parameters []Parameter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.known.Get(key); ok {
		return
	}
	c.known.Add(key, parameters)
	for c.size += sizeOf(parameters); c.size > maxCached; {
		c.known.RemoveOldest()
	}
}

// sizeOf returns about how many bytes parameters take.
func sizeOf(parameters []Parameter) int {
	size := 512
	for _, p := range parameters {
		size += 256 + len(p.Name) + len(p.Description) + 8*len(p.Pages)
		for _, value := range []*apiextensionsv1.JSON{p.Default, p.Example} {
			if value != nil {
				size += len(value.Raw)
			}
		}
	}
	return size
}

var versions = newCache()

// Cached is Known for a template as it is in the API server, and reads the pages of each version once. The caller must not change what the
// parameters point to.
func Cached(template *platenv1alpha1.RenderTemplate) []Parameter {
	key := version{template.UID, template.ResourceVersion}
	if key.uid == "" || key.resourceVersion == "" {
		return Known(template)
	}
	known, ok := versions.get(key)
	if !ok {
		known = Known(template)
		for i := range known {
			known[i].Name = strings.Clone(known[i].Name) // it may be the beginning of a long path
		}
		versions.add(key, known)
	}
	return slices.Clone(known)
}

// Status returns parameters as status has them. It leaves out what status has no room for.
func Status(parameters []Parameter) []platenv1alpha1.TemplateParameter {
	list := make([]platenv1alpha1.TemplateParameter, 0, len(parameters))
	left := maxValues
	fit := func(value *apiextensionsv1.JSON) *apiextensionsv1.JSON {
		if value == nil || string(value.Raw) == "null" || len(value.Raw) > min(maxValue, left) {
			return nil
		}
		left -= len(value.Raw)
		return value
	}
	for _, p := range parameters {
		if len(p.Name) > maxName {
			continue
		}
		to := platenv1alpha1.TemplateParameter{Name: p.Name, Type: string(p.Type), Source: platenv1alpha1.ParameterBound, Default: fit(p.Default), Example: fit(p.Example)}
		switch {
		case p.Declared:
			to.Source = platenv1alpha1.ParameterDeclared
		case p.Style:
			to.Source = platenv1alpha1.ParameterStyle
		}
		for _, page := range p.Pages {
			to.Pages = append(to.Pages, int32(page)) //nolint:gosec // at most 200, by the API
		}
		list = append(list, to)
	}
	return list
}
