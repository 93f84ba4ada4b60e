// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package namespaces has the flag of the programs that names the namespaces they serve.
package namespaces

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/cache"
)

// List of the namespaces that a program serves. An empty list means all of them. It implements flag.Value: names separated by commas.
type List []string

// String implements flag.Value.
func (l *List) String() string { return strings.Join(*l, ",") }

// Set implements flag.Value.
func (l *List) Set(text string) error {
	*l = nil
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
			return fmt.Errorf("'%s' must be the name of a namespace: %s", name, problems[0])
		}
		*l = append(*l, name)
	}
	return nil
}

// Serves reports whether the list has a namespace.
func (l *List) Serves(namespace string) bool { return len(*l) == 0 || slices.Contains(*l, namespace) }

// Cache returns the list as the DefaultNamespaces of a cache; nil for all namespaces.
func (l *List) Cache() map[string]cache.Config {
	if len(*l) == 0 {
		return nil
	}
	all := map[string]cache.Config{}
	for _, name := range *l {
		all[name] = cache.Config{}
	}
	return all
}
