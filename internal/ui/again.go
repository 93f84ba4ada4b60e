// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// again returns the address of the template's form with the values of a job.
func again(job *platenv1alpha1.RenderJob) string {
	return "/ui/templates/" + url.PathEscape(job.Spec.TemplateRef.Name) + "?" + url.Values{"from": {job.Name}}.Encode()
}

// triedAgain returns when the uploads of a job were last retried; zero if they were not, or if another tool asked and gave no time.
func triedAgain(job *platenv1alpha1.RenderJob) time.Time {
	at, err := time.Parse(time.RFC3339Nano, job.Status.LastHandledRetryUploads)
	if err != nil {
		return time.Time{}
	}
	return at
}

// startFrom fills a form with the values of the job that the address names, if it does and the workspace has it.
func (s *Server) startFrom(r *http.Request, v *visitor, form *formView) error {
	name := r.URL.Query().Get("from")
	if name == "" {
		return nil
	}
	job, err := s.findJob(r.Context(), v, name)
	if err != nil {
		return err
	}
	form.fill(job)
	return nil
}

// fill puts the values of a job into the form. What the job does not give stays the template's default.
func (f *formView) fill(job *platenv1alpha1.RenderJob) {
	f.From = job.Name
	given := map[string]any{}
	if job.Spec.Modifications != nil {
		_ = json.Unmarshal(job.Spec.Modifications.Raw, &given) // not an object: nothing to fill in
	}
	for n := range f.Inputs {
		f.Inputs[n].set(given[f.Inputs[n].Name])
	}
	if format := job.Spec.Output.Format; format != "" {
		f.Format = string(format)
	}
	f.FileName = string(job.Spec.Output.FileName)
	switch {
	case job.Spec.Connections == nil:
	case len(job.Spec.Connections) == 0:
		f.Destination = noUpload
	default:
		f.Folder = string(job.Spec.Connections[0].Folder)
	}
}

// set makes a field show a value; nil leaves it.
func (i *input) set(value any) {
	switch value := value.(type) {
	case nil:
	case string:
		i.Value, i.Checked = value, value == "true"
	case []any:
		text, isJSON := lines(value)
		i.Value, i.JSON = text, i.JSON || isJSON
	default:
		if text, err := encode(value); err == nil {
			i.Value, i.Checked = text, value == true
		}
		_, isObject := value.(map[string]any)
		i.JSON = i.JSON || isObject
	}
}
