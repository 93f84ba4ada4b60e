// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/bindings"
	"github.com/platen-dev/platen/internal/callers"
)

const (
	// noUpload is the destination of a form whose render is not uploaded.
	noUpload = "none"
	// maxPrefix bounds the part of a job's name that comes from the template's name, so that the API server's suffix fits.
	maxPrefix = 40
)

// formats that a form offers.
var formats = []platenv1alpha1.Format{
	platenv1alpha1.FormatPNG, platenv1alpha1.FormatJPG, platenv1alpha1.FormatWebP, platenv1alpha1.FormatAVIF,
	platenv1alpha1.FormatPDF, platenv1alpha1.FormatMP4, platenv1alpha1.FormatWebM, platenv1alpha1.FormatGIF,
}

// templateView is a template in the list.
type templateView struct {
	Name          string
	ID            *int64
	Pages         int
	Width, Height int32
	Parameters    int
	// Preview is the first file of the newest render; nil if there is none.
	Preview *fileView
}

// formView is the form of a template.
type formView struct {
	templateView
	Inputs  []input
	Formats []platenv1alpha1.Format
	// Format, FileName, Destination and Folder are what the visitor submitted.
	Format, FileName, Destination, Folder string
	// Error is about the form as a whole, and Wrong has what is wrong with Format, FileName or Folder, by the field's name in the form.
	Error string
	Wrong map[string]string
	// Result is the last render of this form; nil if there is none yet.
	Result *jobView
}

func viewTemplate(t *platenv1alpha1.RenderTemplate, newest map[string]*platenv1alpha1.RenderJob) templateView {
	v := templateView{
		Name: t.Name, ID: t.Spec.TemplateID, Pages: len(t.Spec.Pages), Parameters: len(inputs(bindings.Parameters(t, bindings.Inline))),
		Width: t.Spec.Pages[0].Width, Height: t.Spec.Pages[0].Height,
	}
	if job := newest[t.Name]; job != nil {
		v.Preview = &viewJob(job).Files[0]
	}
	return v
}

// newest returns the newest finished image of each template, by the template's name. It returns none if the visitor may not list jobs.
func (s *Server) newest(ctx context.Context, v *visitor) (map[string]*platenv1alpha1.RenderJob, error) {
	jobs, err := s.jobs(ctx, v)
	if forbidden := (*callers.StatusError)(nil); errors.As(err, &forbidden) && forbidden.Status == http.StatusForbidden {
		return nil, nil //nolint:nilnil // a template without a preview is not an error
	}
	if err != nil {
		return nil, err
	}
	found := map[string]*platenv1alpha1.RenderJob{}
	for _, job := range jobs {
		name := job.Spec.TemplateRef.Name
		if found[name] == nil && job.Finished() && len(job.Status.Pages) > 0 && kind(job.Spec.Output.Format) == "image" {
			found[name] = job
		}
	}
	return found, nil
}

func (s *Server) templates(w http.ResponseWriter, r *http.Request, v *visitor) error {
	if err := v.authorize(r.Context(), "list", "rendertemplates"); err != nil {
		return err
	}
	list := &platenv1alpha1.RenderTemplateList{}
	if err := s.Cache.List(r.Context(), list, client.InNamespace(v.Workspace), client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("listing RenderTemplates: %w", err)
	}
	newest, err := s.newest(r.Context(), v)
	if err != nil {
		return err
	}
	found := make([]templateView, 0, len(list.Items))
	for i := range list.Items {
		found = append(found, viewTemplate(&list.Items[i], newest))
	}
	slices.SortFunc(found, func(a, b templateView) int { return strings.Compare(a.Name, b.Name) })
	s.views.page(w, http.StatusOK, "templates", page{Title: "Templates", Section: "templates", Session: v.session, Body: found})
	return nil
}

func (s *Server) findTemplate(r *http.Request, v *visitor) (*platenv1alpha1.RenderTemplate, error) {
	if err := v.authorize(r.Context(), "get", "rendertemplates"); err != nil {
		return nil, err
	}
	t := &platenv1alpha1.RenderTemplate{}
	err := s.Cache.Get(r.Context(), client.ObjectKey{Namespace: v.Workspace, Name: r.PathValue("template")}, t)
	if apierrors.IsNotFound(err) {
		return nil, &problem{
			Status: http.StatusNotFound, Title: "There is no such template",
			Text: fmt.Sprintf("The workspace %s has no RenderTemplate '%.63s'.", v.Workspace, r.PathValue("template")),
			Link: "/ui/templates", LinkText: "All templates",
		}
	}
	return t, err
}

func (s *Server) template(w http.ResponseWriter, r *http.Request, v *visitor) error {
	t, err := s.findTemplate(r, v)
	if err != nil {
		return err
	}
	newest, err := s.newest(r.Context(), v)
	if err != nil {
		return err
	}
	form := formView{templateView: viewTemplate(t, newest), Inputs: inputs(bindings.Parameters(t, bindings.Inline)), Formats: formats, Format: string(platenv1alpha1.FormatPNG)}
	s.views.page(w, http.StatusOK, "template", page{Title: t.Name, Section: "templates", Session: v.session, Body: form})
	return nil
}

// render creates a job from the visitor's form.
func (s *Server) render(w http.ResponseWriter, r *http.Request, v *visitor) error {
	t, err := s.findTemplate(r, v)
	if err != nil {
		return err
	}
	if err := r.ParseMultipartForm(maxForm); err != nil { //nolint:gosec // secure bounds the body
		return badForm(err)
	}
	defer func() { _ = r.MultipartForm.RemoveAll() }()
	form := formView{
		templateView: viewTemplate(t, nil), Inputs: inputs(bindings.Parameters(t, bindings.Inline)), Formats: formats,
		Format: r.PostForm.Get("format"), FileName: strings.TrimSpace(r.PostForm.Get("fileName")),
		Destination: r.PostForm.Get("destination"), Folder: strings.TrimSpace(r.PostForm.Get("folder")),
	}
	values, ok := submitted(form.Inputs, r.MultipartForm)
	if !ok {
		return s.showForm(w, r, v, form)
	}
	spec, err := s.spec(form, values)
	if err != nil {
		return err
	}
	job, err := s.create(r.Context(), v, fmt.Sprintf("%.*s-", maxPrefix, t.Name), nil, spec)
	if apierrors.IsInvalid(err) {
		form.refuse(err)
		return s.showForm(w, r, v, form)
	}
	if err != nil {
		return err
	}
	return s.showCreated(w, r, job)
}

// spec returns the spec of the job that a form describes.
func (s *Server) spec(form formView, values map[string]any) (platenv1alpha1.RenderJobSpec, error) {
	modifications, err := json.Marshal(values)
	if err != nil {
		return platenv1alpha1.RenderJobSpec{}, fmt.Errorf("encoding modifications: %w", err)
	}
	spec := platenv1alpha1.RenderJobSpec{
		TemplateRef:   platenv1alpha1.TemplateReference{Name: form.Name},
		Modifications: &apiextensionsv1.JSON{Raw: modifications},
		Output: platenv1alpha1.OutputSpec{
			Format: platenv1alpha1.Format(cmp.Or(form.Format, string(platenv1alpha1.FormatPNG))), FileName: platenv1alpha1.FileName(form.FileName),
		},
	}
	switch {
	case form.Destination == noUpload:
		spec.Connections = []platenv1alpha1.JobConnection{}
	case form.Folder != "":
		spec.Connections = []platenv1alpha1.JobConnection{{
			Type: platenv1alpha1.ConnectionStorage, Provider: platenv1alpha1.ProviderDropbox, Folder: platenv1alpha1.FolderPath(form.Folder),
		}}
	}
	return spec, nil
}

// showForm shows a form with its errors.
func (s *Server) showForm(w http.ResponseWriter, r *http.Request, v *visitor, form formView) error {
	if isHTMX(r) {
		w.Header().Set("HX-Retarget", "#form")
		w.Header().Set("HX-Reswap", "outerHTML")
		s.views.fragment(w, http.StatusUnprocessableEntity, "form", form)
		return nil
	}
	s.views.page(w, http.StatusUnprocessableEntity, "template", page{Title: form.Name, Section: "templates", Session: v.session, Body: form})
	return nil
}

// refuse puts the API server's messages about invalid fields beside the fields, and others above the form.
func (f *formView) refuse(err error) {
	f.Wrong = map[string]string{}
	var others []string
	if api := apierrors.APIStatus(nil); errors.As(err, &api) && api.Status().Details != nil {
		for _, cause := range api.Status().Details.Causes {
			name, text := cause.Field[strings.LastIndex(cause.Field, ".")+1:], cause.Message
			// The API server repeats the value, which the field shows.
			if after, ok := strings.CutPrefix(text, "Invalid value: "); ok {
				value, _ := strconv.QuotedPrefix(after)
				text = strings.TrimPrefix(after[len(value):], ": ")
			}
			if slices.Contains([]string{"format", "fileName", "folder"}, name) {
				text = strings.ReplaceAll(strings.TrimPrefix(text, cause.Field+" in body "), "spec.connections[].folder", "the field Folder")
				f.Wrong[name] = sentence("This " + text)
			} else {
				others = append(others, label(name)+": "+text)
			}
		}
	}
	switch {
	case len(others) > 0:
		f.Error = sentence(strings.Join(others, "; "))
	case len(f.Wrong) == 0:
		f.Error = sentence(message(err))
	}
}

// preview renders a template with its defaults, and samples for required parameters. It uploads nothing.
func (s *Server) preview(w http.ResponseWriter, r *http.Request, v *visitor) error {
	t, err := s.findTemplate(r, v)
	if err != nil {
		return err
	}
	form := formView{templateView: viewTemplate(t, nil), Destination: noUpload}
	spec, err := s.spec(form, samples(inputs(bindings.Parameters(t, bindings.Inline))))
	if err != nil {
		return err
	}
	job, err := s.create(r.Context(), v, "preview-"+fmt.Sprintf("%.*s-", maxPrefix, t.Name), map[string]string{platenv1alpha1.PreviewLabel: "true"}, spec)
	if err != nil {
		return err
	}
	return s.showCreated(w, r, job)
}

// showCreated shows a new job: on the form's page, or on its own page.
func (s *Server) showCreated(w http.ResponseWriter, r *http.Request, job *platenv1alpha1.RenderJob) error {
	if isHTMX(r) {
		s.views.fragment(w, http.StatusOK, "result", viewJob(job))
		return nil
	}
	http.Redirect(w, r, "/ui/renders/"+url.PathEscape(job.Name), http.StatusSeeOther)
	return nil
}
