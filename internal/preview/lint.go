// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package preview

import (
	"context"
	_ "embed" // the script
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/bindings"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/lint"
	"github.com/platen-dev/platen/internal/render"
)

//go:embed overflow.js
var overflow string

// overflowTitle begins the title of a warning of overflow.js.
const overflowTitle = "platen.lint "

// The rules that need a browser. docs/templates/lint.md describes them.
const (
	// RuleTextOverflow finds text that runs out of its box or out of the page.
	RuleTextOverflow = "text-overflow"
	// RuleUnreachableFile finds pictures, fonts, styles and scripts that cannot be loaded.
	RuleUnreachableFile = lint.UnreachableFile
	// RuleMissingFont finds fonts that are not installed.
	RuleMissingFont = "missing-font"
	// RuleScriptError finds errors of the page's scripts.
	RuleScriptError = "script-error"
	// RuleRenderFails finds templates of which no job can be rendered.
	RuleRenderFails = "render-fails"
	// RulePageWarning is what else a job of the template would be warned of.
	RulePageWarning = "page-warning"
)

// forPaper matches a page with rules for a printed one. What a document makes of them is no matter of a picture.
var forPaper = regexp.MustCompile(`@page\b|\bprint\b|\bbreak-(?:before|after)\b`)

// Lint renders each page of a template with its defaults, and with what the page itself has in the place of values without a default; one with rules for
// paper as a document, too. It returns what a job would be warned of, and text that runs out of its box. It does not look at the request's job. The error
// is that of Render.
func Lint(ctx context.Context, r Request) ([]lint.Finding, error) {
	job := &platenv1alpha1.RenderJob{}
	job.Name = "lint"
	r.Job = job
	r.Template = r.Template.DeepCopy()
	source := func(page platenv1alpha1.TemplatePage) (string, bool) {
		if page.HTMLFrom == nil {
			return page.HTML, true
		}
		html, err := r.configMapValue(ctx, "", page.HTMLFrom.ConfigMapKeyRef) // a missing one fails the render below
		return html, err == nil
	}
	given, err := json.Marshal(samples(bindings.Parameters(r.Template, source)))
	if err != nil {
		return nil, err
	}
	job.Spec.Modifications = &apiextensionsv1.JSON{Raw: given}
	work, b, err := r.open(ctx)
	if err != nil {
		return nil, err
	}
	defer b.close()
	var findings []lint.Finding
	pages := work.Pages
	work.Warnings = nil // they are about the made-up job, or about pages that package lint has named
	for _, page := range pages {
		plain := page
		page.HTML += `<script data-platen-ready="false">` + overflow + `</script>`
		work.Pages = []render.Page{page}
		nowhere := render.SinkFunc(func(context.Context, file.File, []byte) error { return nil })
		warnings, err := b.Render(ctx, work, nowhere)
		if err != nil {
			return findings, fmt.Errorf("page %s: %w", page.Name, err)
		}
		if forPaper.MatchString(plain.HTML) {
			document := work
			document.Format, document.Pages = file.Format(platenv1alpha1.FormatPDF), []render.Page{plain}
			more, err := b.Render(ctx, document, nowhere)
			if err != nil {
				return findings, fmt.Errorf("page %s in a PDF: %w", page.Name, err)
			}
			for _, w := range more {
				if strings.HasPrefix(w.Title, "Rules ") {
					warnings = append(warnings, render.Warning{Title: "In a PDF: " + w.Title, Details: w.Details})
				}
			}
		}
		for _, w := range warnings {
			if strings.HasPrefix(w.Title, "Modification ") && (strings.HasSuffix(w.Title, " is not used by the page") || strings.HasSuffix(w.Title, " names no element")) {
				continue // another page may use it; the rule unused-parameter tells
			}
			if strings.HasPrefix(w.Title, "Text runs out of its box") || strings.HasPrefix(w.Title, "Text is cut at the edge of the page") {
				continue // the rule text-overflow tells, and what to do
			}
			findings = append(findings, finding(page.Name, w))
		}
	}
	return findings, nil
}

// ofAttribute matches the title of a warning of bind.js that names a wrong attribute.
var ofAttribute = regexp.MustCompile(`(?s)^(dat.*) (?:is no attribute of Platen|does nothing|names no value)$`)

// finding turns a warning of a page into a finding.
func finding(page string, w render.Warning) lint.Finding {
	f := lint.Finding{Rule: RulePageWarning, Severity: lint.Warning, Where: "page " + page, Message: w.Title}
	element, overflows := strings.CutPrefix(w.Title, overflowTitle)
	switch {
	case overflows:
		f.Rule, f.Where, f.Message = RuleTextOverflow, f.Where+", "+element, w.Details+"; make room, or add data-fit"
		return f
	case strings.HasPrefix(w.Title, "Could not load") && lint.PlaceholderPattern.MatchString(w.Title):
		f.Rule, f.Subject = lint.Placeholder, lint.PlaceholderPattern.FindString(w.Title)
	case strings.HasPrefix(w.Title, "Could not load"):
		f.Rule, f.Subject = RuleUnreachableFile, strings.TrimPrefix(w.Title, "Could not load ")
	case ofAttribute.MatchString(w.Title):
		f.Rule, f.Subject = lint.UnknownAttribute, ofAttribute.FindStringSubmatch(w.Title)[1]
	case strings.HasPrefix(w.Title, "Font "):
		f.Rule = RuleMissingFont
	case strings.HasPrefix(w.Title, "Script error"), strings.HasPrefix(w.Title, "Console error"):
		f.Rule = RuleScriptError
	}
	if w.Details != "" {
		f.Message += ": " + w.Details
	}
	return f
}

// samples returns a value for each parameter without a default, as far as one is known or needed.
func samples(parameters []bindings.Parameter) map[string]any {
	given := map[string]any{}
	for _, p := range parameters {
		switch {
		case p.Default != nil || p.Style:
		case p.Example != nil:
			given[p.Name] = json.RawMessage(p.Example.Raw)
		case p.Required != nil && *p.Required:
			given[p.Name] = sample(p.Type)
		}
	}
	return given
}

// grey is an image of one grey pixel.
const grey = "data:image/gif;base64,R0lGODdhAQABAPAAAMDAwAAAACwAAAAAAQABAAACAkQBADs="

func sample(kind platenv1alpha1.ParameterType) any {
	switch kind {
	case platenv1alpha1.ParameterNumber:
		return 1
	case platenv1alpha1.ParameterBoolean:
		return true
	case platenv1alpha1.ParameterImage:
		return grey
	case platenv1alpha1.ParameterColor:
		return "grey"
	case platenv1alpha1.ParameterList:
		return []any{}
	case platenv1alpha1.ParameterDate:
		return "2026-01-31"
	default:
		return "Text"
	}
}
