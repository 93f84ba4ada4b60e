// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/bindings"
	"github.com/platen-dev/platen/internal/callers"
)

const (
	// noUpload is the destination of a form whose render is not uploaded.
	noUpload = "none"
	// maxHistory is the number of jobs that the page of a template shows.
	maxHistory = 12
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
	Name string
	// Title is the name that REST clients see, if it is another, and Description the template's; empty for none.
	Title, Description string

	ID    *int64
	Pages int
	// Width and Height are the first page's. Mixed tells whether another page has another size.
	Width, Height int32
	Mixed         bool
	Parameters    int
	// Trouble says why the template is not ready; empty if it is, or if nothing is known.
	Trouble string
	// Warnings are what is seldom meant in the template, as its status has it.
	Warnings []platenv1alpha1.TemplateWarning
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
	// Accounts are the connections that the form can upload to.
	Accounts destinations
	// nobody tells that the form which was sent offered connections, and none of them receives every render.
	nobody bool
	// From is the job whose values the form has at first; empty for none. Lost are the fields of its spec that the form has no field for and gives up.
	From string
	Lost []string
	// Unshown are the labels of the fields that cannot show the value that the job has.
	Unshown []string
	// Truthy are the labels of the fields that make a text, which data-if takes for true, of a value that it takes for false.
	Truthy []string
	// Unread says of each field that shows a value which the job refuses why it does, unless the field says it.
	Unread []string
	// More are modifications in JSON that the form has no field for and sends along; empty for none.
	More string
	// Error is about the form as a whole, and Wrong has what is wrong with Format, FileName or Folder, by the field's name in the form.
	Error string
	Wrong map[string]string
	// PageNames are the pages to choose from, and Sizes their widths and heights in CSS pixels.
	PageNames []string
	Sizes     [][2]int32
	// CanRender tells whether the visitor may create and patch jobs, and so render and preview the template.
	CanRender bool
	Code      codeView
	History   historyView
	// Opened is when the page was opened, as a text that nothing else reads, and version which template the form is of. They belong to the preview.
	Opened, version string
}

// maxOpened bounds Opened, in bytes.
const maxOpened = 16

// Refused returns the number of fields that are wrong.
func (f formView) Refused() int {
	wrong := len(f.Wrong)
	for _, i := range f.Inputs {
		if i.Error != "" {
			wrong++
		}
	}
	return wrong
}

func viewTemplate(t *platenv1alpha1.RenderTemplate, newest map[string]*platenv1alpha1.RenderJob) templateView {
	v := templateView{
		Name: t.Name, ID: t.Spec.TemplateID, Pages: len(t.Spec.Pages), Parameters: len(inputs(bindings.Cached(t))),
		Width: t.Spec.Pages[0].Width, Height: t.Spec.Pages[0].Height, Description: t.Spec.Description,
	}
	v.Mixed = slices.ContainsFunc(t.Spec.Pages, func(p platenv1alpha1.TemplatePage) bool { return p.Width != v.Width || p.Height != v.Height })
	if ready := meta.FindStatusCondition(t.Status.Conditions, platenv1alpha1.ReadyCondition); ready != nil && ready.ObservedGeneration == t.Generation {
		v.Warnings = t.Status.Warnings
		if ready.Status != metav1.ConditionTrue {
			v.Trouble = sentence(ready.Message)
		}
	}
	if t.Spec.Title != t.Name {
		v.Title = t.Spec.Title
	}
	if job := newest[t.Name]; job != nil {
		v.Preview = &viewJob(job).Files[0]
	}
	return v
}

// newest returns the newest finished image of each template, by the template's name, and previews only of those without others. It returns none if the visitor may not list jobs.
func (s *Server) newest(ctx context.Context, v *visitor) (map[string]*platenv1alpha1.RenderJob, error) {
	if ok, err := v.can(ctx, "renderjobs", "list"); !ok {
		return nil, err
	}
	jobs, err := s.jobs(ctx, v)
	if err != nil {
		return nil, err
	}
	found := map[string]*platenv1alpha1.RenderJob{}
	for _, job := range jobs {
		name := job.Spec.TemplateRef.Name
		if (found[name] == nil || isPreview(found[name]) && !isPreview(job)) && job.Finished() && len(job.Status.Pages) > 0 && kind(job.Spec.Output.Format) == "image" {
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
	if from := r.URL.Query().Get("from"); apierrors.IsNotFound(err) && s.wasRendered(r.Context(), v, from, r.PathValue("template")) {
		return nil, &problem{
			Status: http.StatusNotFound, Title: "The template of this render is gone",
			Text: fmt.Sprintf("The workspace %s has no RenderTemplate '%.63s' any more. What was rendered stays; to render it again, create the template again.", v.Workspace, r.PathValue("template")),
			Link: "/ui/renders/" + url.PathEscape(from), LinkText: fmt.Sprintf("The render %.63s", from),
		}
	}
	if apierrors.IsNotFound(err) {
		return nil, &problem{
			Status: http.StatusNotFound, Title: "There is no such template",
			Text: fmt.Sprintf("The workspace %s has no RenderTemplate '%.63s'.", v.Workspace, r.PathValue("template")),
			Link: "/ui/templates", LinkText: "All templates",
		}
	}
	return t, err
}

// wasRendered reports whether a template had a render of a name, as far as the visitor may know.
func (s *Server) wasRendered(ctx context.Context, v *visitor, name, template string) bool {
	if name == "" {
		return false
	}
	job, err := s.findJob(ctx, v, name)
	return err == nil && job.Spec.TemplateRef.Name == template
}

// newForm returns the form of a template with its defaults.
func newForm(t *platenv1alpha1.RenderTemplate) formView {
	form := formView{
		templateView: viewTemplate(t, nil), Inputs: inputs(bindings.Cached(t)), Formats: formats, Format: string(platenv1alpha1.FormatPNG),
		version: fmt.Sprintf("%s/%d", t.UID, t.Generation),
	}
	for i, page := range t.Spec.Pages {
		form.PageNames = append(form.PageNames, fmt.Sprintf("%d: %s", i+1, page.Name))
		form.Sizes = append(form.Sizes, [2]int32{page.Width, page.Height})
	}
	return form
}

func (s *Server) template(w http.ResponseWriter, r *http.Request, v *visitor) error {
	t, err := s.findTemplate(r, v)
	if err != nil {
		return err
	}
	form := newForm(t)
	if form.Accounts, err = v.destinations(r.Context()); err != nil {
		return err
	}
	if err := s.startFrom(r, v, &form); err != nil {
		return err
	}
	check(form.Inputs)
	return s.showTemplate(w, r, v, http.StatusOK, form, nil)
}

// showTemplate answers with the page of a template. given has the values of the form that are right.
func (s *Server) showTemplate(w http.ResponseWriter, r *http.Request, v *visitor, status int, form formView, given map[string]any) error {
	var err error
	if form.History, err = s.newHistory(r.Context(), v, form.Name); err != nil {
		return err
	}
	if form.CanRender, err = v.canRender(r.Context()); err != nil {
		return err
	}
	form.Opened = cmp.Or(form.Opened, strconv.FormatInt(s.Clock.Now().UnixMilli(), 36))
	if given == nil {
		given = defaults(form.Inputs)
		if err := form.addMore(given); err != nil {
			return err
		}
	}
	if form.Code, err = codeFor(s.originOf(r), v, form, given); err != nil {
		return err
	}
	s.views.page(w, status, "template", page{Title: form.Name, Section: "templates", Session: v.session, Body: form})
	return nil
}

// canRender tells whether the visitor may render and preview.
func (v *visitor) canRender(ctx context.Context) (bool, error) {
	may, err := v.rights(ctx)
	return may.render, err
}

// can tells whether the visitor has rights about a resource of the workspace.
func (v *visitor) can(ctx context.Context, resource string, verbs ...string) (bool, error) {
	for _, verb := range verbs {
		err := v.authorize(ctx, verb, resource)
		if forbidden := (*callers.StatusError)(nil); errors.As(err, &forbidden) && forbidden.Status == http.StatusForbidden {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// readForm reads the visitor's form of a template, and the values in it. ok is false if a value is wrong or missing.
func (s *Server) readForm(r *http.Request, v *visitor) (form formView, given map[string]any, ok bool, err error) {
	t, err := s.findTemplate(r, v)
	if err != nil {
		return form, nil, false, err
	}
	sent := &multipart.Form{}
	switch err := r.ParseMultipartForm(maxForm); {
	case err == nil:
		sent = r.MultipartForm
		defer func() { _ = sent.RemoveAll() }()
	case errors.Is(err, http.ErrNotMultipart):
		sent.Value = r.PostForm // without files
	default:
		return form, nil, false, badForm(err)
	}
	form = newForm(t)
	form.Format, form.FileName = cmp.Or(r.PostForm.Get("format"), form.Format), strings.TrimSpace(r.PostForm.Get("fileName"))
	form.Destination, form.Folder = r.PostForm.Get("destination"), string(platenv1alpha1.Folder(r.PostForm.Get("folder")))
	for _, value := range r.PostForm["account"] {
		if t, ok := parseTarget(value); ok && len(form.Accounts.Targets) < maxConnections {
			t.Automatic = true
			form.Accounts.Targets = append(form.Accounts.Targets, t)
		}
	}
	form.nobody = r.PostForm.Get("nobody") != ""
	if opened := r.PostForm.Get("opened"); len(opened) <= maxOpened {
		form.Opened = opened
	}
	given, ok = submitted(form.Inputs, sent)
	form.More = r.PostForm.Get("more")
	if err := form.addMore(given); err != nil {
		return form, nil, false, badForm(err)
	}
	return form, given, form.useAll(sent) && ok, nil
}

// useAll reports whether a render would use all that the visitor gave, and says in the form what it would leave out.
func (f *formView) useAll(sent *multipart.Form) bool {
	switch {
	case f.Destination == noUpload && f.Folder != "":
		f.Wrong = map[string]string{"folder": "The files go nowhere: clear this field, or choose an upload."}
	case f.Destination == "" && f.Folder != "" && f.nobody:
		f.Wrong = map[string]string{"folder": "No account receives every render: choose one, or clear this field."}
	}
	var gone []string
	for field, texts := range sent.Value {
		name, ok := strings.CutPrefix(field, "p.")
		if ok && strings.TrimSpace(strings.Join(texts, "")) != "" && !slices.ContainsFunc(f.Inputs, func(i input) bool { return i.Name == name }) {
			gone = append(gone, label(name))
		}
	}
	if slices.Sort(gone); len(gone) > 0 {
		f.Error = fmt.Sprintf("The template has changed since you opened this page: it takes no %.200s any more.", strings.Join(gone, ", "))
	}
	return f.Wrong == nil && len(gone) == 0
}

// render creates a job from the visitor's form.
func (s *Server) render(w http.ResponseWriter, r *http.Request, v *visitor) error {
	form, given, ok, err := s.readForm(r, v)
	if err != nil {
		return err
	}
	spec, err := form.spec(given)
	if err != nil {
		return err
	}
	if !ok {
		// The API server says what else is wrong, so that the visitor sees all of it at once.
		form.check(r.Context(), v, spec)
		return s.showForm(w, r, v, form, given)
	}
	spec.TTLSecondsAfterFinished = new(int32(s.TTL.Seconds()))
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: v.Workspace, GenerateName: prefix(form.Name) + "-"}, Spec: spec}
	err = v.Create(r.Context(), job)
	if apierrors.IsInvalid(err) {
		form.refuse(err)
		return s.showForm(w, r, v, form, given)
	}
	if err != nil {
		return err
	}
	if isHTMX(r) {
		s.views.fragment(w, http.StatusOK, "result", viewJob(job)) // it has just begun: nothing can be done with it yet
		return nil
	}
	http.Redirect(w, r, "/ui/renders/"+url.PathEscape(job.Name), http.StatusSeeOther)
	return nil
}

// prefix returns the beginning of a template's name, to which the name of a job can add a dash and a suffix.
func prefix(name string) string { return strings.TrimRight(name[:min(len(name), maxPrefix)], "-.") }

// spec returns the spec of the job that a form describes.
func (f formView) spec(given map[string]any) (platenv1alpha1.RenderJobSpec, error) {
	modifications, err := encode(given)
	if err != nil {
		return platenv1alpha1.RenderJobSpec{}, err
	}
	spec := platenv1alpha1.RenderJobSpec{
		TemplateRef:   platenv1alpha1.TemplateReference{Name: f.Name},
		Modifications: &apiextensionsv1.JSON{Raw: []byte(modifications)},
		Output:        platenv1alpha1.OutputSpec{Format: platenv1alpha1.Format(f.Format), FileName: platenv1alpha1.FileName(f.FileName)},
	}
	switch {
	case f.Destination == noUpload:
		spec.Connections = []platenv1alpha1.JobConnection{}
	case f.Destination != "":
		chosen, _ := parseTarget(f.Destination) // the API server says what is wrong with it
		spec.Connections = []platenv1alpha1.JobConnection{chosen.entry(f.Folder)}
	case f.Folder != "" && len(f.Accounts.Automatic()) > 0:
		for _, t := range f.Accounts.Automatic() {
			spec.Connections = append(spec.Connections, t.entry(f.Folder))
		}
	case f.Folder != "" && !f.nobody:
		spec.Connections = []platenv1alpha1.JobConnection{{
			Type: platenv1alpha1.ConnectionStorage, Provider: platenv1alpha1.ProviderDropbox, Folder: platenv1alpha1.FolderPath(f.Folder),
		}}
	}
	return spec, nil
}

// showForm shows a form with its errors.
func (s *Server) showForm(w http.ResponseWriter, r *http.Request, v *visitor, form formView, given map[string]any) error {
	var err error
	if form.Accounts, err = v.destinations(r.Context()); err != nil {
		return err
	}
	if isHTMX(r) {
		if form.CanRender, err = v.canRender(r.Context()); err != nil {
			return err
		}
		w.Header().Set("HX-Retarget", "#form")
		w.Header().Set("HX-Reswap", "outerHTML")
		s.views.fragment(w, http.StatusUnprocessableEntity, "form", form)
		return nil
	}
	return s.showTemplate(w, r, v, http.StatusUnprocessableEntity, form, given)
}

// check lets the API server say what is wrong with the job that a form describes. Nothing is wrong with one that the visitor may not create.
func (f *formView) check(ctx context.Context, v *visitor, spec platenv1alpha1.RenderJobSpec) {
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: v.Workspace, GenerateName: prefix(f.Name) + "-"}, Spec: spec}
	if err := v.Create(ctx, job, client.DryRunAll); apierrors.IsInvalid(err) {
		f.refuse(err)
	}
}

// refuse puts the API server's messages about invalid fields beside the fields, and others above the form.
func (f *formView) refuse(err error) {
	if f.Wrong == nil {
		f.Wrong = map[string]string{}
	}
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
	case f.Error != "":
	case len(others) > 0:
		f.Error = sentence(strings.Join(others, "; "))
	case len(f.Wrong) == 0:
		f.Error = sentence(message(err))
	}
}

// historyView has the last jobs of a template.
type historyView struct {
	// Template is the template's name.
	Template string
	// Jobs are the newest jobs, previews excepted. Total is the number of all of them, and Previews that of previews.
	Jobs            []jobView
	Total, Previews int
	// Denied tells that the visitor may not list jobs.
	Denied bool
	// Digest changes whenever the list looks different.
	Digest string
}

// newHistory returns the last jobs of a template.
func (s *Server) newHistory(ctx context.Context, v *visitor, template string) (historyView, error) {
	view := historyView{Template: template}
	if ok, err := v.can(ctx, "renderjobs", "list"); !ok {
		view.Denied = true
		return view, err
	}
	jobs, err := s.jobs(ctx, v)
	if err != nil {
		return view, err
	}
	digest := sha256.New()
	for _, job := range jobs {
		switch {
		case job.Spec.TemplateRef.Name != template:
		case isPreview(job):
			view.Previews++
		default:
			if view.Total++; view.Total <= maxHistory {
				_, _ = fmt.Fprintln(digest, job.UID, job.ResourceVersion)
				view.Jobs = append(view.Jobs, viewJob(job))
			}
		}
	}
	// The minute is part of the digest, because the ages on the page change with it.
	_, _ = fmt.Fprintln(digest, view.Total, view.Previews > 0, s.Clock.Now().Unix()/60)
	view.Digest = hex.EncodeToString(digest.Sum(nil)[:12])
	return view, nil
}

// history answers with the last jobs of a template, if they have changed.
func (s *Server) history(w http.ResponseWriter, r *http.Request, v *visitor) error {
	view, err := s.newHistory(r.Context(), v, r.PathValue("template"))
	if err != nil {
		return err
	}
	if r.URL.Query().Get("seen") == view.Digest {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	s.views.fragment(w, http.StatusOK, "history", view)
	return nil
}
