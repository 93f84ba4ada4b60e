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
	"github.com/platen-dev/platen/internal/task"
)

// warnUnused warns of values that no page uses, before the jobs are made: of a whole table with a mistyped column, every job would be wrong. What
// a page uses whose ConfigMap the person may not read is not known.
func (r *renderCommand) warnUnused(ctx context.Context, c *cluster, template *platenv1alpha1.RenderTemplate) {
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
	unused := task.UnusedKeys(keys, len(template.Spec.Pages), html)
	lines := make([]string, 0, len(unused))
	for _, u := range unused {
		line := fmt.Sprintf("no page uses %s %s", r.flagOf(u.Key+":"), plain(u.Key))
		if u.Hint != "" {
			line += "; " + plain(u.Hint)
		}
		lines = append(lines, line)
	}
	switch {
	case len(lines) == 1:
		fmt.Fprintf(r.ErrOut, "Warning: %s\n", lines[0])
	case len(lines) > 1:
		fmt.Fprintf(r.ErrOut, "Warning: %d values change nothing:\n%s\n", len(lines), listed(lines))
	}
}
