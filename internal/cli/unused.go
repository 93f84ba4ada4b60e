// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/nearest"
	"github.com/platen-dev/platen/internal/task"
)

// warnUnused warns of values, and of fields in them, that no page uses, before the jobs of the specs are made: of a whole table with a mistyped
// column, every job would be wrong. What a page uses whose ConfigMap the person may not read is not known.
func (r *renderCommand) warnUnused(ctx context.Context, c *cluster, template *platenv1alpha1.RenderTemplate, specs ...platenv1alpha1.RenderJobSpec) {
	keys := slices.Clone(r.columns)
	for _, pair := range slices.Concat(r.set, r.setString, r.setJSON) {
		key, _, _ := strings.Cut(pair, "=")
		keys = append(keys, key)
	}
	sources := map[string]*corev1.ConfigMap{}
	html := func(n int) (string, bool) {
		page := template.Spec.Pages[n-1]
		if page.HTMLFrom == nil {
			return page.HTML, true
		}
		ref := page.HTMLFrom.ConfigMapKeyRef
		if sources[ref.Name] == nil {
			sources[ref.Name] = &corev1.ConfigMap{}
			_ = c.get(ctx, ref.Name, sources[ref.Name]) // one that cannot be read has no keys
		}
		text, ok := sources[ref.Name].Data[ref.Key]
		return text, ok
	}
	var lines []string
	seen := map[string]bool{} // the rows of a table have the same fields
	warn := func(what, key, hint string) {
		line := fmt.Sprintf("no page uses %s%s %s", plain(what), r.flagOf(key+":"), plain(key))
		if hint != "" {
			line += "; " + plain(hint)
		}
		if !seen[line] {
			seen[line], lines = true, append(lines, line)
		}
	}
	for _, u := range task.UnusedKeys(keys, len(template.Spec.Pages), html) {
		warn("", u.Key, u.Hint)
		for _, ending := range []string{" is not used by ", " names no element", ": the template has "} {
			r.said = append(r.said, "Modification "+nearest.Shown(u.Key)+ending)
		}
	}
	declared := func(key string) bool {
		return slices.ContainsFunc(template.Spec.Parameters, func(p platenv1alpha1.Parameter) bool { return p.Name == key })
	}
	fields := task.UnusedFields(template, html)
	for _, spec := range specs {
		if spec.Modifications == nil {
			continue
		}
		for _, u := range fields(spec.Modifications.Raw) {
			warn(u.Path+" of ", u.Key, u.Hint)
			r.said = append(r.said, fmt.Sprintf("Modification %s: no page uses %.100s", nearest.Shown(u.Key), u.Path))
		}
		for _, u := range task.WrongBackgrounds(spec.Modifications.Raw) {
			line := fmt.Sprintf("%s %s: %s", r.flagOf(u.Key+":"), u.Key, plain(u.Hint))
			if !seen[line] && !declared(u.Key[strings.LastIndex(u.Key, "@")+1:]) {
				seen[line], lines = true, append(lines, line)
				r.said = append(r.said, fmt.Sprintf("Modification %s: ", nearest.Shown(u.Key)))
			}
		}
	}
	switch {
	case len(lines) == 1:
		fmt.Fprintf(r.ErrOut, "Warning: %s\n", lines[0])
	case len(lines) > 1:
		fmt.Fprintf(r.ErrOut, "Warning: %d values change nothing:\n%s\n", len(lines), listed(lines, 0))
	}
}

// unsaid returns the warnings of a job without those that warnUnused has given in its own words.
func (r *renderCommand) unsaid(warnings []platenv1alpha1.Warning) []platenv1alpha1.Warning {
	return slices.DeleteFunc(slices.Clone(warnings), func(w platenv1alpha1.Warning) bool {
		return slices.ContainsFunc(r.said, func(title string) bool { return strings.HasPrefix(w.Title, title) })
	})
}
