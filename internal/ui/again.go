// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/utils/ptr"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/bindings"
	"github.com/platen-dev/platen/internal/values"
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
	if missing := (*problem)(nil); errors.As(err, &missing) {
		missing.Link, missing.LinkText = "/ui/templates/"+url.PathEscape(form.Name), "The form with the template's values"
	}
	if err != nil {
		return err
	}
	if job.Spec.TemplateRef.Name != form.Name {
		return &problem{
			Status: http.StatusNotFound, Title: "This render is of another template", Text: fmt.Sprintf("The render %s is of the template %s.", job.Name, job.Spec.TemplateRef.Name),
			Link: again(job), LinkText: "Render it again with other values",
		}
	}
	form.fill(job)
	if isPreview(job) {
		return nil
	}
	form.Lost = append(form.Lost, lostSpec(job.Spec, s.TTL)...)
	if job.Annotations[platenv1alpha1.WebhookURLAnnotation] != "" {
		form.Lost = append(form.Lost, "the annotation "+platenv1alpha1.WebhookURLAnnotation)
	}
	return nil
}

// maxMore bounds the modifications that a form sends along, in bytes.
const maxMore = 64 << 10

// fill puts the values of a job into the form. What the job does not give stays the template's default. Lost says what the form leaves out.
func (f *formView) fill(job *platenv1alpha1.RenderJob) {
	f.From = job.Name
	given, read := map[string]any{}, map[string]any{}
	if job.Spec.Modifications != nil {
		_ = withDigits(job.Spec.Modifications.Raw, &given) // not an object: nothing to fill in
		read, _ = values.Decode(job.Spec.Modifications.Raw)
	}
	for n := range f.Inputs {
		i := &f.Inputs[n]
		if !i.set(given[i.Name]) {
			f.Unshown = append(f.Unshown, i.Label)
		}
		if refused := i.refusal(read[i.Name]); refused != "" {
			f.Unread = append(f.Unread, i.Label+": "+refused)
		}
		if value := read[i.Name]; i.Undeclared && i.Type == platenv1alpha1.ParameterText && value != nil && !values.IsTrue(value) && i.Value != "" {
			f.Truthy = append(f.Truthy, i.Label)
		}
	}
	if !isPreview(job) { // the page has chosen the rest
		f.fillOutput(job)
	}
	f.fillMore(job)
}

// fillOutput puts what a job makes of its values, and where that goes, into the form.
func (f *formView) fillOutput(job *platenv1alpha1.RenderJob) {
	if format := job.Spec.Output.Format; format != "" {
		f.Format = string(format)
	}
	f.FileName = string(job.Spec.Output.FileName)
	f.Lost = lostOutput(job.Spec.Output, f.Pages)
	if len(job.Spec.ModificationsFrom) > 0 {
		f.Lost = append(f.Lost, "modificationsFrom")
	}
	var ok bool
	if f.Destination, f.Folder, ok = f.Accounts.of(job.Spec.Connections); !ok {
		lost := "connections"
		if gone := f.Accounts.gone(job.Spec.Connections); len(gone) > 0 {
			lost += " (" + strings.Join(gone, "; ") + ")"
			f.Destination = noUpload // the other accounts were not meant
		}
		f.Lost = append(f.Lost, lost)
	}
}

// fillMore keeps the modifications of a job that have no field.
func (f *formView) fillMore(job *platenv1alpha1.RenderJob) {
	more := map[string]json.RawMessage{}
	if job.Spec.Modifications != nil {
		_ = json.Unmarshal(job.Spec.Modifications.Raw, &more) // not an object: nothing to keep
	}
	for _, i := range f.Inputs {
		delete(more, i.Name)
	}
	if len(more) == 0 {
		return
	}
	text, err := encode(more)
	if err != nil || len(text) > maxMore {
		f.Lost = append(f.Lost, slices.Sorted(maps.Keys(more))...)
		return
	}
	f.More = text
}

// addMore adds the modifications that have no field to the values of a form.
func (f formView) addMore(given map[string]any) error {
	if f.More == "" {
		return nil
	}
	more := map[string]any{}
	if err := withDigits([]byte(f.More), &more); err != nil {
		return err
	}
	for name, value := range more {
		// The template may have a field by now.
		if !slices.ContainsFunc(f.Inputs, func(i input) bool { return i.Name == name }) {
			given[name] = value
		}
	}
	return nil
}

// withDigits decodes JSON whose numbers keep their digits.
func withDigits(data []byte, target any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return d.Decode(target)
}

// MoreNames names the modifications that have a value and no field.
func (f formView) MoreNames() string {
	more := map[string]any{}
	if err := f.addMore(more); err != nil {
		return ""
	}
	maps.DeleteFunc(more, func(_ string, value any) bool { return value == nil })
	return strings.Join(slices.Sorted(maps.Keys(more)), ", ")
}

// lostOutput returns the fields of a job's output that the form has no field for, except those that change nothing. pages is how many the template has.
func lostOutput(o platenv1alpha1.OutputSpec, pages int) []string {
	var lost []string
	scale, err := strconv.ParseFloat(string(o.Scale), 64)
	all := pages > 0
	for n := range int32(pages) { //nolint:gosec // a template has at most 200 pages
		all = all && slices.Contains(o.Pages, n+1)
	}
	for _, field := range []struct {
		name  string
		given bool
	}{
		{"scale", o.Scale != "" && (err != nil || scale != 1)}, {"size", o.Size != ""}, {"extraSizes", len(o.ExtraSizes) > 0},
		{"quality", o.Quality != 0 && o.Quality != defaultQuality}, {"transparent", ptr.Deref(o.Transparent, false)},
		{"pdf", !reflect.ValueOf(o.PDF).IsZero()}, {"video", !reflect.ValueOf(o.Video).IsZero()}, {"pages", len(o.Pages) > 0 && !all},
	} {
		if field.given {
			lost = append(lost, "output."+field.name)
		}
	}
	return lost
}

// lostSpec returns the other fields of a job that the form has no field for, if they are not what a job has without them. ttl is the
// ttlSecondsAfterFinished of the form's jobs. The new render is not suspended: who presses Render wants it now.
func lostSpec(s platenv1alpha1.RenderJobSpec, ttl time.Duration) []string {
	var lost []string
	for _, field := range []struct {
		name  string
		given bool
	}{
		{"timeoutSeconds", s.TimeoutSeconds != 0 && s.TimeoutSeconds != defaultTimeout},
		{"uploadTimeoutSeconds", s.UploadTimeoutSeconds != 0 && s.UploadTimeoutSeconds != defaultUploadTimeout},
		{"backoffLimit", ptr.Deref(s.BackoffLimit, defaultBackoffLimit) != defaultBackoffLimit}, {"priority", ptr.Deref(s.Priority, 0) != 0},
		{"contentPolicy", s.ContentPolicy == platenv1alpha1.ContentRetain}, {"cache", s.Cache == platenv1alpha1.CacheDisabled},
		{"ttlSecondsAfterFinished", s.TTLSecondsAfterFinished != nil && *s.TTLSecondsAfterFinished != int32(ttl.Seconds())},
	} {
		if field.given {
			lost = append(lost, field.name)
		}
	}
	return lost
}

// What a job has that gives no output.quality, timeoutSeconds, uploadTimeoutSeconds and backoffLimit.
const (
	defaultQuality       = 90
	defaultTimeout       = 300
	defaultUploadTimeout = 600
	defaultBackoffLimit  = 2
)

// set makes a field show a value, as withDigits decodes it; nil leaves it. ok is false if the field cannot show it.
func (i *input) set(value any) (ok bool) {
	if i.Type == platenv1alpha1.ParameterBoolean {
		return i.setChecked(value)
	}
	switch value := value.(type) {
	case nil:
	case string:
		i.Value = value
	case []any:
		if i.Type == platenv1alpha1.ParameterText { // a page shows a list in place of a text as JSON
			i.Value, _ = encode(value)
			return true
		}
		text, isJSON := lines(value)
		if text == "" { // an empty field would mean the default
			text, isJSON = "[]", true
		}
		i.Value, i.JSON = text, i.JSON || isJSON && i.Type == platenv1alpha1.ParameterList
	default:
		if text, err := encode(value); err == nil {
			i.Value = text
		}
		_, isObject := value.(map[string]any)
		i.JSON = i.JSON || isObject && (i.Undeclared || values.Type(i.Type) == values.Object)
	}
	return true
}

// refusal says why a job refuses a value of JSON that the field shows as one which it takes; empty if it does not.
func (i *input) refusal(value any) string {
	refused := (*values.Error)(nil)
	if _, err := values.Read(values.Type(i.Type), value); i.Undeclared || !errors.As(err, &refused) {
		return ""
	}
	switch i.Type {
	case platenv1alpha1.ParameterText:
		return refused.Given + " is no text"
	case platenv1alpha1.ParameterList:
		return refused.Given + " is no list; give one item a line"
	default:
		return "" // the field says it
	}
}

// setChecked is set for a checkbox. It cannot show a value that is neither true nor false; where pages only ask whether a value is true, it can show all but a
// text that says false and is true.
func (i *input) setChecked(value any) (ok bool) {
	if value == nil {
		return true
	}
	if i.Undeclared {
		i.Checked = values.IsTrue(value)
		text, isText := value.(string)
		return !isText || !bindings.IsDoubted(text)
	}
	text, isText := value.(string)
	if !isText {
		text, _ = encode(value) // it was JSON
	}
	read, err := values.ReadText(values.Boolean, text)
	if read != nil {
		i.Checked = read == true
	}
	return err == nil
}
