// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/lint"
	"github.com/platen-dev/platen/internal/plural"
	"github.com/platen-dev/platen/internal/preview"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/render"
)

// lintCommand is kubectl platen lint.
type lintCommand struct {
	*options
	file, output, browser string
	static, strict        bool
	outboundAllow         []string
	timeout               time.Duration
}

// lintResult is a template with what is wrong with it.
type lintResult struct {
	Namespace string         `json:"namespace"`
	Template  string         `json:"template"`
	Findings  []lint.Finding `json:"findings"`
}

func (o *options) lint() *cobra.Command {
	l := &lintCommand{options: o}
	command := &cobra.Command{
		Use:   "lint [TEMPLATE...]",
		Short: "Find mistakes in templates before a job does",
		Long: `Find mistakes in templates: bindings that the template does not declare, parameters that no page uses, defaults that do not fit, ids that
are used twice, pictures without alt text, a templateID that two templates have. With the browser of this machine (Chromium's headless
shell), also files and fonts that cannot be loaded, errors of scripts, and text that runs out of its box with the defaults.

With -f, it reads the templates, and the ConfigMaps and FontSets that they name, from a file. It refuses every object of Platen in the file that
kubectl apply would refuse, and every job that does not fit its template. It takes templates, and the ConfigMaps with values, from the file only,
and says of which jobs it lacks them. Only FontSets that the file does not have need the cluster. Without -f, it reads the templates of the
namespace.

Exit codes:
  0  no error was found; warnings do not count without --strict
  1  another failure: the message says what happened
  2  the command line is not valid
  3  a mistake was found`,
		Example: `  # The templates in a file; a warning fails the check, as a pipeline wants it.
  kubectl platen lint -f banner.yaml --strict

  # A template of the cluster, by its text alone.
  kubectl platen lint banner --static -n marketing`,
		Args:              arguments(0, -1, "template"),
		ValidArgsFunction: o.completeNames(-1, templateList),
		RunE:              func(c *cobra.Command, args []string) error { return l.run(c.Context(), args) },
	}
	f := command.Flags()
	f.VarP(&once{&l.file, oneFile}, "filename", "f", "file with the templates, - for the standard input")
	f.StringVarP(&l.output, "output", "o", "", "json to print the findings as JSON")
	f.BoolVar(&l.static, "static", false, "look at the text only, without a browser")
	f.BoolVar(&l.strict, "strict", false, "let warnings fail the check too")
	f.StringVar(&l.browser, "browser", "", "path of Chromium's headless shell (default: the one in PATH)")
	f.StringSliceVar(&l.outboundAllow, "outbound-allow", nil, "private address `prefixes` that pages may reach, such as 127.0.0.0/8")
	f.DurationVar(&l.timeout, "timeout", previewTimeout, "how long each template may take")
	must(command.MarkFlagFilename("filename", "yaml", "yml", "json"))
	must(command.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"json"}, cobra.ShellCompDirectiveNoFileComp)))
	return command
}

func (l *lintCommand) run(ctx context.Context, names []string) error {
	if err := checkOutput(l.output, "json"); err != nil {
		return err
	}
	found, err := within(ctx, l.timeout, func(ctx context.Context) (sources, error) { return l.read(ctx, names) })
	if err != nil {
		return err
	}
	unchecked, err := found.checkJobs(ctx, l.file, names)
	if len(unchecked) > 0 {
		fmt.Fprintf(l.ErrOut, "Not checked, because %s does not have it (add what kubectl get -o yaml prints of it):\n%s\n", fileName(l.file), listed(unchecked, 0))
	}
	if err != nil {
		return err
	}
	taken := takenIDs(found.templates)
	results := []lintResult{} // [] in JSON, not null
	for _, t := range found.templates {
		if len(names) > 0 && !slices.Contains(names, t.Name) {
			continue
		}
		if l.file != "" {
			if err := l.follows(&t); err != nil {
				return err
			}
		}
		// Each template has a time of its own: one that never ends must not let the next ones fail.
		findings, err := within(ctx, l.timeout, func(ctx context.Context) ([]lint.Finding, error) { return l.template(ctx, &t, &found) })
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("RenderTemplate '%s': %w", t.Name, err)
		}
		if f, ok := taken[t.Namespace][t.Name]; ok {
			findings = slices.Insert(findings, 0, f)
		}
		results = append(results, lintResult{t.Namespace, t.Name, findings})
	}
	return l.report(results, found.checked)
}

// within calls f with a context that ends after d.
func within[T any](ctx context.Context, d time.Duration, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return f(ctx)
}

// takenIDs returns the findings of lint.TakenIDs by namespace.
func takenIDs(templates []platenv1alpha1.RenderTemplate) map[string]map[string]lint.Finding {
	byNamespace := map[string][]platenv1alpha1.RenderTemplate{}
	for _, t := range templates {
		byNamespace[t.Namespace] = append(byNamespace[t.Namespace], t)
	}
	taken := map[string]map[string]lint.Finding{}
	for namespace, templates := range byNamespace {
		taken[namespace] = lint.TakenIDs(templates)
	}
	return taken
}

// read returns all templates of the file or the namespace, because names alone do not tell whose templateID is taken, and what they
// read.
func (l *lintCommand) read(ctx context.Context, names []string) (found sources, err error) {
	where := fileName(l.file)
	if l.file != "" {
		if found, err = l.manifests(ctx, l.file); err != nil {
			return found, err
		}
	} else {
		c, err := l.cluster()
		if err != nil {
			return found, err
		}
		list := &platenv1alpha1.RenderTemplateList{}
		if err := c.list(ctx, list, false); err != nil {
			return found, err
		}
		found.templates, where = list.Items, "namespace "+c.namespace
		if len(found.templates) == 0 {
			if err := c.noNamespace(ctx); err != nil {
				return found, err
			}
		}
		if found.maps, err = c.pageSources(ctx, found.templates, names); err != nil {
			return found, err
		}
	}
	for _, name := range names {
		if err := refuseFile(name); l.file == "" && err != nil && !slices.ContainsFunc(found.templates, func(t platenv1alpha1.RenderTemplate) bool { return t.Name == name }) {
			return found, err
		}
	}
	if len(found.templates) == 0 && (found.checked == 0 || len(names) > 0) {
		return found, fmt.Errorf("%s holds no RenderTemplate of %s", where, platenv1alpha1.GroupVersion)
	}
	there := make([]string, 0, len(found.templates))
	for i := range found.templates {
		there = append(there, found.templates[i].Name)
	}
	for _, name := range names {
		if !slices.Contains(there, name) {
			return found, fmt.Errorf("%s holds no RenderTemplate '%s'; %s", where, name, among(name, there))
		}
	}
	return found, nil
}

// pageSources returns the ConfigMaps that hold pages of the named templates, or of all. It leaves out those that do not exist.
func (c *cluster) pageSources(ctx context.Context, templates []platenv1alpha1.RenderTemplate, names []string) ([]corev1.ConfigMap, error) {
	found := map[string]corev1.ConfigMap{}
	for _, t := range templates {
		for _, page := range t.Spec.Pages {
			if page.HTMLFrom == nil || len(names) > 0 && !slices.Contains(names, t.Name) {
				continue
			}
			name := page.HTMLFrom.ConfigMapKeyRef.Name
			if _, ok := found[name]; ok {
				continue
			}
			m := corev1.ConfigMap{}
			err := c.get(ctx, name, &m)
			if apierrors.IsNotFound(err) {
				continue // a mistake of this template, which hides nothing about the others
			}
			if err != nil {
				return nil, fmt.Errorf("RenderTemplate '%s', page %s: %w", t.Name, page.Name, explain(err))
			}
			found[name] = m
		}
	}
	maps := make([]corev1.ConfigMap, 0, len(found))
	for _, m := range found {
		maps = append(maps, m)
	}
	return maps, nil
}

// template returns what is wrong with one template.
func (l *lintCommand) template(ctx context.Context, t *platenv1alpha1.RenderTemplate, found *sources) ([]lint.Finding, error) {
	source := func(page platenv1alpha1.TemplatePage) (string, bool) {
		if page.HTMLFrom == nil {
			return page.HTML, true
		}
		m := found.configMap(t.Namespace, page.HTMLFrom.ConfigMapKeyRef.Name)
		if m == nil {
			return "", false
		}
		text, known := m.Data[page.HTMLFrom.ConfigMapKeyRef.Key]
		return text, known
	}
	findings := append(lint.Template(t, source), found.unusedValues(ctx, t, source)...)
	missing := found.missingPages(t, l.file != "")
	if l.file == "" { // what the file does not have may be in the cluster
		findings = append(missing, findings...)
	}
	if l.static {
		return findings, nil
	}
	if l.file != "" && len(missing) > 0 {
		return append(findings, missing...), nil
	}
	absent := (*absentError)(nil)
	if err := l.addFontSets(ctx, t, found); errors.As(err, &absent) {
		return append(findings, renderFails(absent.field, "%s", absent.text(l.file != ""))), nil
	} else if err != nil {
		return nil, err
	}
	readable := found.in(t.Namespace)
	request := preview.Request{Template: t, ConfigMaps: readable.maps, FontSets: readable.sets, Chromium: l.browser}
	if err := request.OutboundAllow.Set(strings.Join(l.outboundAllow, ",")); err != nil {
		return nil, usage("--outbound-allow: %w", err)
	}
	painted, err := preview.Lint(ctx, request)
	invalid, failed := (*reconcile.TerminalError)(nil), (*render.Error)(nil)
	switch {
	case errors.Is(err, preview.ErrNoBrowser) && l.browser == "":
		fmt.Fprintf(l.ErrOut, "Only the text was checked: %s\n", err)
		l.static = true
	case errors.As(err, &invalid), errors.As(err, &failed) && failed.Terminal:
		if !slices.ContainsFunc(findings, func(f lint.Finding) bool { return f.Severity == lint.Error }) {
			painted = append(painted, renderFails("a job with the defaults", "%s", err))
		} else {
			fmt.Fprintf(l.ErrOut, "The pages of RenderTemplate '%s' are not rendered, and not checked with a browser, before its errors are corrected\n", t.Name)
		}
	case err != nil:
		return nil, err
	}
	for _, f := range painted {
		same := func(other lint.Finding) bool {
			return f.Rule == other.Rule && strings.HasPrefix(other.Where, f.Where) && f.Subject != "" && strings.HasPrefix(other.Subject, f.Subject)
		}
		if !slices.ContainsFunc(findings, same) {
			findings = append(findings, f)
		}
	}
	return findings, nil
}

// missingPages returns a finding for each page whose ConfigMap, or key in it, does not exist in the cluster, or in the file.
func (s *sources) missingPages(t *platenv1alpha1.RenderTemplate, file bool) (findings []lint.Finding) {
	for _, page := range t.Spec.Pages {
		if page.HTMLFrom == nil {
			continue
		}
		ref, where := page.HTMLFrom.ConfigMapKeyRef, "page "+page.Name
		m := s.configMap(t.Namespace, ref.Name)
		if m == nil && file {
			findings = append(findings, renderFails(where, "ConfigMap '%s' is not in the file, and with -f its pages are read from there only; add it to the file", ref.Name))
		} else if m == nil {
			findings = append(findings, renderFails(where, "ConfigMap '%s' does not exist in namespace %s; create it", ref.Name, t.Namespace))
		} else if _, missing := ref.TextIn(m); missing != "" {
			if m.BinaryData[ref.Key] == nil {
				missing += "; add it"
			}
			findings = append(findings, renderFails(where, "%s", missing))
		}
	}
	return findings
}

// renderFails returns a finding without whose mending no job renders.
func renderFails(where, format string, args ...any) lint.Finding {
	return lint.Finding{Rule: preview.RuleRenderFails, Severity: lint.Error, Where: where, Message: fmt.Sprintf(format, args...)}
}

// report prints the findings. The error says how many there are, if there are some that count. checked is the number of objects of a file.
func (l *lintCommand) report(results []lintResult, checked int) error {
	counted, namespaces := map[lint.Severity]int{}, map[string]bool{}
	for i := range results {
		namespaces[results[i].Namespace] = true
	}
	for i := range results {
		name := results[i].Template
		if len(namespaces) > 1 {
			name = results[i].Namespace + "/" + name
		}
		slices.SortStableFunc(results[i].Findings, func(a, b lint.Finding) int { return cmp.Compare(a.Severity, b.Severity) })
		for _, f := range results[i].Findings {
			counted[f.Severity]++
			if l.output == "" {
				fmt.Fprintf(l.Out, "%s: %s: %s: %s [%s]\n", name, f.Severity, plain(f.Where), plain(f.Message), f.Rule)
			}
		}
		if results[i].Findings == nil {
			results[i].Findings = []lint.Finding{}
		}
	}
	if l.output == "json" {
		e := json.NewEncoder(l.Out)
		e.SetEscapeHTML(false) // people read it: <img> is easier than \u003cimg\u003e
		e.SetIndent("", "    ")
		if err := e.Encode(results); err != nil {
			return err
		}
	}
	errorCount, warnings := counted[lint.Error], counted[lint.Warning]
	summary := plural.Count(errorCount, "error") + " and " + plural.Count(warnings, "warning") + " in "
	if len(results) > 0 || l.file == "" {
		summary += plural.Count(len(results), "template")
	} else { // reading it has found every mistake that an object of another kind can have
		summary += plural.Count(checked, "object")
	}
	if errorCount > 0 || l.strict && warnings > 0 {
		return &exitError{exitRenderFailed, errors.New(summary)}
	}
	if l.output == "" {
		fmt.Fprintln(l.Out, summary)
	}
	return nil
}
