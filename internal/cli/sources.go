// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// sources are templates and the objects that they read. An object of a file has the namespace that kubectl apply would create it in.
type sources struct {
	templates []platenv1alpha1.RenderTemplate
	maps      []corev1.ConfigMap
	sets      []platenv1alpha1.FontSet
	// jobs of a file, which render its templates.
	jobs []platenv1alpha1.RenderJob
	// checked counts the objects of Platen in a file, of all kinds.
	checked int
}

// in returns what a template in a namespace can read.
func (s *sources) in(namespace string) sources {
	others := func(object client.Object) bool { return object.GetNamespace() != namespace }
	return sources{
		maps: slices.DeleteFunc(slices.Clone(s.maps), func(m corev1.ConfigMap) bool { return others(&m) }),
		sets: slices.DeleteFunc(slices.Clone(s.sets), func(set platenv1alpha1.FontSet) bool { return others(&set) }),
	}
}

// configMap returns a ConfigMap; nil if it is not among the sources.
func (s *sources) configMap(namespace, name string) *corev1.ConfigMap {
	n := slices.IndexFunc(s.maps, func(m corev1.ConfigMap) bool { return m.Name == name && m.Namespace == namespace })
	if n < 0 {
		return nil
	}
	return &s.maps[n]
}

// addPages adds the ConfigMaps that hold a template's pages from the cluster, unless they are found.
func (o *options) addPages(ctx context.Context, template *platenv1alpha1.RenderTemplate, found *sources) error {
	for i, page := range template.Spec.Pages {
		if page.HTMLFrom == nil {
			continue
		}
		if err := o.addConfigMap(ctx, template.Namespace, found, fmt.Sprintf("spec.pages[%d].htmlFrom", i), page.HTMLFrom.ConfigMapKeyRef.Name); err != nil {
			return err
		}
	}
	return nil
}

// addFontSets adds the FontSets that a template names and their ConfigMaps from the cluster, unless they are found.
func (o *options) addFontSets(ctx context.Context, template *platenv1alpha1.RenderTemplate, found *sources) error {
	for i, ref := range template.Spec.FontSetRefs {
		field := fmt.Sprintf("spec.fontSetRefs[%d]", i)
		named := func(set platenv1alpha1.FontSet) bool {
			return set.Name == ref.Name && set.Namespace == template.Namespace
		}
		n := slices.IndexFunc(found.sets, named)
		if n < 0 {
			set := platenv1alpha1.FontSet{}
			if err := o.lookUp(ctx, field, "FontSet", ref.Name, &set); err != nil {
				return err
			}
			n, found.sets = len(found.sets), append(found.sets, set)
		}
		for _, source := range found.sets[n].Spec.Sources {
			if source.ConfigMapRef == nil {
				continue // the preview fetches it
			}
			if err := o.addConfigMap(ctx, template.Namespace, found, field+": FontSet '"+ref.Name+"'", source.ConfigMapName()); err != nil {
				return err
			}
		}
	}
	return nil
}

// addConfigMap adds a ConfigMap of the cluster to those that are found, unless it is among them.
func (o *options) addConfigMap(ctx context.Context, namespace string, found *sources, field, name string) error {
	if found.configMap(namespace, name) != nil {
		return nil
	}
	m := corev1.ConfigMap{}
	err := o.lookUp(ctx, field, "ConfigMap", name, &m)
	if err == nil {
		found.maps = append(found.maps, m)
		return nil
	}
	// The reason is more often in the file than in the cluster.
	if n := slices.IndexFunc(found.maps, func(m corev1.ConfigMap) bool { return m.Name == name }); n >= 0 {
		return fmt.Errorf("%s: ConfigMap '%s' of the file is in namespace %s, and the template in %s: give both the same metadata.namespace", field, name, found.maps[n].Namespace, namespace)
	}
	return err
}

// absentError says that an object that a field names is neither in the file nor in the cluster.
type absentError struct{ field, kind, name, namespace string }

// Error implements error.
func (e *absentError) Error() string { return e.field + ": " + e.text(true) }

// text says what is missing, and what to do.
func (e *absentError) text(inFile bool) string {
	advice := "create it"
	if inFile {
		advice = "add it to the file, or create it"
	}
	return fmt.Sprintf("%s '%s' does not exist in namespace %s; %s", e.kind, e.name, e.namespace, advice)
}

// lookUp reads an object that a field names from the cluster.
func (o *options) lookUp(ctx context.Context, field, kind, name string, into client.Object) error {
	c, err := o.cluster()
	if err != nil {
		return fmt.Errorf("%s: %s '%s' is not in the file: %w", field, kind, name, err)
	}
	err = c.get(ctx, name, into)
	if apierrors.IsNotFound(err) {
		return &absentError{field, kind, name, c.namespace}
	}
	if err != nil {
		return explain(err)
	}
	return nil
}
