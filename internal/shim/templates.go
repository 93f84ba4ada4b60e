// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/bindings"
	"github.com/platen-dev/platen/internal/nearest"
)

const (
	// templateLag is how long a new template may take to reach the cache.
	templateLag      = 500 * time.Millisecond
	defaultTemplates = 10
	maxTemplates     = 100
	// maxTitle bounds a template's title, in characters.
	maxTitle = 255
)

// TemplateList is the answer of GET /v1/studio/templates/all.
type TemplateList struct {
	Data       []Template   `json:"data" required:"true" nullable:"false" description:"By name."`
	Pagination TemplatePage `json:"pagination" required:"true"`
}

// TemplatePage is the position of a TemplateList in all templates.
type TemplatePage struct {
	Page       int `json:"page" required:"true"`
	Limit      int `json:"limit" required:"true"`
	Total      int `json:"total" required:"true"`
	TotalPages int `json:"totalPages" required:"true"`
}

// Template is a RenderTemplate.
type Template struct {
	ID            any            `json:"id" required:"true" description:"spec.templateID as a number, else the object's name."`
	ResourceName  string         `json:"resource_name" required:"true" description:"The object's name."`
	Name          string         `json:"name" required:"true" description:"spec.title, else the object's name."`
	Title         string         `json:"title" required:"true" description:"The same as name."`
	Description   string         `json:"description" required:"true"`
	CreatedAt     time.Time      `json:"created_at" required:"true"`
	WorkspaceID   string         `json:"workspace_id" required:"true" description:"The namespace."`
	Width         int32          `json:"width" required:"true" description:"CSS pixels of the first page."`
	Height        int32          `json:"height" required:"true"`
	CanvasWidth   int32          `json:"canvas_width" required:"true" description:"The same as width."`
	CanvasHeight  int32          `json:"canvas_height" required:"true" description:"The same as height."`
	PagesData     []TemplateData `json:"pages_data" required:"true" nullable:"false"`
	Modifications []Modification `json:"modifications" required:"true" nullable:"false"`
}

// TemplateData is a page of a Template.
type TemplateData struct {
	ID     string `json:"id,omitempty"`
	Name   string `json:"name" required:"true"`
	Width  int32  `json:"width" required:"true"`
	Height int32  `json:"height" required:"true"`
}

// Modification is a value that a template takes: a parameter, a value that a page binds, or a style of an element.
type Modification struct {
	ID          string                `json:"id" required:"true"`
	Key         string                `json:"key" required:"true" description:"The key in modifications; the same as id."`
	Type        string                `json:"type" required:"true" enum:"text,image,color,number,boolean,list,date,object"`
	Description string                `json:"description" required:"true"`
	HelpText    string                `json:"helpText" required:"true" description:"The same as description."`
	Required    bool                  `json:"required" required:"true"`
	Example     *apiextensionsv1.JSON `json:"example,omitempty" description:"The default value, or what the page has in its place."`
}

// TemplatePatch is the body of PATCH /v1/studio/templates/{id}.
type TemplatePatch struct {
	Name        *string `json:"name,omitempty" maxLength:"255" description:"The new title; an empty one removes it."`
	Description *string `json:"description,omitempty" maxLength:"1024" description:"The new description; an empty one removes it."`
}

// TemplateCopy is the body of POST /v1/studio/templates/{id}/duplicate.
type TemplateCopy struct {
	Name        string `json:"name,omitempty" maxLength:"255" description:"Title of the copy. Default: Copy of, and the template's title."`
	WorkspaceID string `json:"workspaceId,omitempty" description:"The namespace of the copy. Default: that of the template."`
}

// Deleted is the answer to the deletion of a template.
type Deleted struct {
	Message string `json:"message" required:"true"`
	ID      string `json:"id" required:"true" description:"As in the request."`
}

// templates returns the workspace's templates. They belong to the cache: do not change them.
func (s *Server) templates(ctx context.Context, c caller) ([]platenv1alpha1.RenderTemplate, error) {
	if err := s.allow(ctx, c, "list", "rendertemplates"); err != nil {
		return nil, err
	}
	return s.cachedTemplates(ctx, c.namespace)
}

// cachedTemplates returns the templates of a namespace, whoever asks.
func (s *Server) cachedTemplates(ctx context.Context, namespace string) ([]platenv1alpha1.RenderTemplate, error) {
	templates := &platenv1alpha1.RenderTemplateList{}
	if err := s.Cache.List(ctx, templates, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing templates: %w", err)
	}
	return templates.Items, nil
}

// template finds a template by its number, its name or its title. The error has the given HTTP status if there is none.
func (s *Server) template(ctx context.Context, c caller, id TemplateID, status int) (*platenv1alpha1.RenderTemplate, error) {
	all, err := s.templates(ctx, c)
	if err != nil {
		return nil, err
	}
	if t := findTemplate(all, string(id)); t != nil {
		return t, nil
	}
	if len(validation.IsDNS1123Subdomain(string(id))) == 0 {
		// The watch may not have seen a new template yet.
		api, err := c.Client()
		if err != nil {
			return nil, err
		}
		t := &platenv1alpha1.RenderTemplate{}
		err = api.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: string(id)}, t)
		if !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) {
			return t, err
		}
	}
	if t, err := s.newTemplate(ctx, c.namespace, id); t != nil || err != nil {
		return t, err
	}
	return nil, &codeError{status, codeTemplateNotFound, "templateId: " + noTemplate(all, c.namespace, string(id))}
}

// noTemplate says why an id means no template: there is none, or there are several.
func noTemplate(all []platenv1alpha1.RenderTemplate, namespace, id string) string {
	meant := candidates(all, id)
	if len(meant) == 0 {
		return fmt.Sprintf("namespace '%s' has no RenderTemplate with the id, name or title '%.100s'%s", namespace, id, similarTemplate(all, id))
	}
	names := make([]string, 0, len(meant))
	for _, t := range meant {
		names = append(names, t.Name)
	}
	slices.Sort(names)
	more := ""
	if len(names) > maxNamed {
		more = fmt.Sprintf(" or one of %d more", len(names)-maxNamed)
	}
	return fmt.Sprintf("'%.100s' is %d RenderTemplates in namespace '%s'; name one of them: %s%s", id, len(names), namespace, strings.Join(names[:min(len(names), maxNamed)], " or "), more)
}

// newTemplate waits for the watch to show a template that was created a moment ago: the API server cannot be asked for a number or a title. It
// returns nil if there is none.
func (s *Server) newTemplate(ctx context.Context, namespace string, id TemplateID) (found *platenv1alpha1.RenderTemplate, err error) {
	wait, cancel := context.WithTimeout(ctx, templateLag)
	defer cancel()
	again := time.NewTicker(templateLag / 10)
	defer again.Stop()
	for found == nil && err == nil {
		select {
		case <-wait.Done():
			return nil, ctx.Err()
		case <-again.C:
		}
		var all []platenv1alpha1.RenderTemplate
		all, err = s.cachedTemplates(ctx, namespace)
		found = findTemplate(all, string(id))
	}
	return found, err
}

// similarTemplate asks for the template that a mistyped name may mean; empty if none has a similar name or title.
func similarTemplate(all []platenv1alpha1.RenderTemplate, id string) string {
	names := make([]string, 0, 2*len(all))
	for i := range all {
		names = append(names, all[i].Name, all[i].Spec.Title)
	}
	if near := nearest.Name(id, names); near != "" {
		return fmt.Sprintf("; did you mean '%s'?", near)
	}
	return ""
}

// composed returns a text in the normal form of Unicode in which most are written: macOS writes é as e and an accent.
func composed(text string) string { return norm.NFC.String(text) }

// findTemplate returns the template that an id means; nil if it means none, or several.
func findTemplate(all []platenv1alpha1.RenderTemplate, id string) *platenv1alpha1.RenderTemplate {
	if meant := candidates(all, id); len(meant) == 1 {
		return meant[0]
	}
	return nil
}

// candidates returns the templates that an id may mean: those of the number, else of the name, else of the title, else of either in other capitals or in
// another normal form. If several have the number, it is the first one's, by age.
func candidates(all []platenv1alpha1.RenderTemplate, id string) []*platenv1alpha1.RenderTemplate {
	if id == "" {
		return nil
	}
	var numbered, named, titled, folded []*platenv1alpha1.RenderTemplate
	for i := range all {
		t := &all[i]
		if n := t.Spec.TemplateID; n != nil && strconv.FormatInt(*n, 10) == id {
			numbered = append(numbered, t)
		}
		switch {
		case t.Name == id:
			named = append(named, t)
		case t.Spec.Title == id:
			titled = append(titled, t)
		case strings.EqualFold(t.Name, id) || strings.EqualFold(composed(t.Spec.Title), composed(id)):
			folded = append(folded, t)
		}
	}
	switch {
	case len(numbered) > 0:
		slices.SortFunc(numbered, func(a, b *platenv1alpha1.RenderTemplate) int {
			return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
		})
		return numbered[:1]
	case len(named) > 0:
		return named
	case len(titled) > 0:
		return titled
	default:
		return folded
	}
}

// sortedTemplates returns the workspace's templates by name.
func (s *Server) sortedTemplates(ctx context.Context, c caller) ([]Template, error) {
	all, err := s.templates(ctx, c)
	if err != nil {
		return nil, err
	}
	list := make([]Template, 0, len(all))
	slices.SortFunc(all, func(a, b platenv1alpha1.RenderTemplate) int { return strings.Compare(a.Name, b.Name) })
	for i := range all {
		list = append(list, newTemplate(&all[i]))
	}
	return list, nil
}

// listAllTemplates answers GET /v1/templates and GET /v1/studio/templates.
func (s *Server) listAllTemplates(w http.ResponseWriter, r *http.Request, c caller) error {
	list, err := s.sortedTemplates(r.Context(), c)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, list)
	return nil
}

// listTemplates answers GET /v1/studio/templates/all.
func (s *Server) listTemplates(w http.ResponseWriter, r *http.Request, c caller) error {
	query := r.URL.Query()
	wrong := &fieldsError{}
	page, err := queryNumber(query.Get("page"), "page", 1, 1_000_000)
	_ = wrong.add(err) // it is of a field, as is the next one
	limit, err := queryNumber(query.Get("limit"), "limit", defaultTemplates, maxTemplates)
	_ = wrong.add(err)
	if err := wrong.err(); err != nil {
		return err
	}
	found, err := s.sortedTemplates(r.Context(), c)
	if err != nil {
		return err
	}
	search := composed(strings.ToLower(query.Get("search")))
	found = slices.DeleteFunc(found, func(t Template) bool {
		return !strings.Contains(composed(strings.ToLower(t.Name)), search) && !strings.Contains(t.ResourceName, search)
	})
	from := min((page-1)*limit, len(found))
	writeJSON(w, http.StatusOK, TemplateList{
		Data:       found[from:min(from+limit, len(found))],
		Pagination: TemplatePage{Page: page, Limit: limit, Total: len(found), TotalPages: (len(found) + limit - 1) / limit},
	})
	return nil
}

// getTemplate answers GET /v1/studio/templates/{id}.
func (s *Server) getTemplate(w http.ResponseWriter, r *http.Request, c caller) error {
	t, err := s.template(r.Context(), c, TemplateID(r.PathValue("id")), http.StatusNotFound)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, newTemplate(t))
	return nil
}

// patchTemplate answers PATCH /v1/studio/templates/{id} with the caller's token.
func (s *Server) patchTemplate(w http.ResponseWriter, r *http.Request, c caller) error {
	body, done, err := s.read(w, r, c)
	if err != nil {
		return err
	}
	defer done()
	wanted, warnings, err := parse[TemplatePatch](body)
	if err != nil {
		return err
	}
	addWarnings(w.Header(), warnings)
	if wanted.Name == nil && wanted.Description == nil {
		return &FieldError{"body", "must have name or description: nothing else of a template can be changed here"}
	}
	before, err := s.template(r.Context(), c, TemplateID(r.PathValue("id")), http.StatusNotFound)
	if err != nil {
		return err
	}
	api, err := c.Client()
	if err != nil {
		return err
	}
	t := before.DeepCopy()
	t.Spec.Title = strings.TrimSpace(ptr.Deref(wanted.Name, t.Spec.Title)) // a name of blanks would look like none
	t.Spec.Description = ptr.Deref(wanted.Description, t.Spec.Description)
	if err := api.Patch(r.Context(), t, client.MergeFrom(before)); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, newTemplate(t))
	return nil
}

// duplicateTemplate answers POST /v1/studio/templates/{id}/duplicate with the caller's token. The copy has no number, because two
// copies at the same time would get the same one.
func (s *Server) duplicateTemplate(w http.ResponseWriter, r *http.Request, c caller) error {
	body, done, err := s.read(w, r, c)
	if err != nil {
		return err
	}
	defer done()
	if len(bytes.TrimSpace(body)) == 0 {
		body = []byte("{}")
	}
	wrong := &fieldsError{} // the answer names all mistakes
	wanted, warnings, err := parseInto[TemplateCopy](body, wrong)
	if err != nil {
		return err
	}
	addWarnings(w.Header(), warnings)
	namespace := cmp.Or(wanted.WorkspaceID, c.namespace)
	if len(validation.IsDNS1123Label(namespace)) > 0 {
		_ = wrong.add(&FieldError{"workspaceId", "must be the name of a namespace"})
	}
	if err := wrong.err(); err != nil {
		return err
	}
	original, err := s.template(r.Context(), c, TemplateID(r.PathValue("id")), http.StatusNotFound)
	if err != nil {
		return err
	}
	linked := func(p platenv1alpha1.TemplatePage) bool { return p.HTMLFrom != nil }
	if namespace != c.namespace && slices.ContainsFunc(original.Spec.Pages, linked) {
		return &FieldError{"workspaceId", "a page's HTML is in a ConfigMap of the template's own namespace; copy the ConfigMap and the template with kubectl"}
	}
	api, err := c.Client()
	if err != nil {
		return err
	}
	t := &platenv1alpha1.RenderTemplate{Spec: *original.Spec.DeepCopy()}
	t.Namespace, t.GenerateName = namespace, original.Name[:min(len(original.Name), 50)]+"-copy-"
	t.Spec.TemplateID = nil
	t.Spec.Title = cmp.Or(strings.TrimSpace(wanted.Name), shorten("Copy of "+title(original)))
	if err := api.Create(r.Context(), t); err != nil {
		return err
	}
	addWarnings(w.Header(), leftBehind(original, namespace))
	writeJSON(w, http.StatusOK, newTemplate(t))
	return nil
}

// leftBehind returns a warning for each FontSet that the copy of a template in another namespace needs there.
func leftBehind(original *platenv1alpha1.RenderTemplate, namespace string) (warnings []Warning) {
	if namespace == original.Namespace {
		return nil
	}
	for _, ref := range original.Spec.FontSetRefs {
		warnings = append(warnings, Warning{
			Title:   fmt.Sprintf("FontSet '%s' was not copied", ref.Name),
			Details: fmt.Sprintf("jobs of the copy wait until namespace '%s' has a FontSet of this name", namespace),
		})
	}
	return warnings
}

// shorten returns the beginning of a title that is too long.
func shorten(text string) string {
	letters := []rune(text)
	return string(letters[:min(len(letters), maxTitle)])
}

// deleteTemplate answers DELETE /v1/studio/templates/{id} with the caller's token.
func (s *Server) deleteTemplate(w http.ResponseWriter, r *http.Request, c caller) error {
	t, err := s.template(r.Context(), c, TemplateID(r.PathValue("id")), http.StatusNotFound)
	if err != nil {
		return err
	}
	api, err := c.Client()
	if err != nil {
		return err
	}
	err = api.Delete(r.Context(), t.DeepCopy(), client.Preconditions{UID: &t.UID})
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	writeJSON(w, http.StatusOK, Deleted{"Template successfully deleted", r.PathValue("id")})
	return nil
}

// listModifications answers GET /v1/templates/modifications?template_id=… and GET /v1/studio/template/modifications?templateId=….
func (s *Server) listModifications(w http.ResponseWriter, r *http.Request, c caller) error {
	id := queryTemplate(r)
	if id == "" {
		return missingTemplate(inQuery, unknownNames(r)...)
	}
	t, err := s.template(r.Context(), c, id, http.StatusNotFound)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, modifications(t))
	return nil
}

// queryTemplate returns the template that a query names; empty if it names none.
func queryTemplate(r *http.Request) TemplateID {
	query := r.URL.Query()
	return TemplateID(cmp.Or(query.Get("templateId"), query.Get("template_id")))
}

// Where a request names its template.
const (
	inBody  = "in the request body"
	inQuery = "in the query, as in ?templateId=25"
)

// unknownNames returns the names of a query's parameters that its route does not have.
func unknownNames(r *http.Request) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(r.URL.Query())), func(name string) bool { return slices.Contains(queries[r.Pattern], name) })
}

// missingTemplate returns the error for a request that names no template. unknown are its fields that no request has.
func missingTemplate(where string, unknown ...string) error {
	problem := "the number or the name of a template is required " + where
	meant := nearest.Name("templateId", unknown)
	if i := slices.IndexFunc(unknown, func(field string) bool { return strings.Contains(plainName(field), "template") }); i >= 0 {
		meant = unknown[i]
	}
	if meant != "" {
		problem += fmt.Sprintf("; is '%.100s' a misspelling of templateId?", meant)
	}
	return &codeError{http.StatusBadRequest, codeTemplateMissing, problem}
}

// title returns the name that people see.
func title(t *platenv1alpha1.RenderTemplate) string { return cmp.Or(t.Spec.Title, t.Name) }

func newTemplate(t *platenv1alpha1.RenderTemplate) Template {
	body := Template{
		ID: t.Name, ResourceName: t.Name, Name: title(t), Title: title(t), Description: t.Spec.Description, CreatedAt: t.CreationTimestamp.UTC(), WorkspaceID: t.Namespace,
		PagesData: []TemplateData{}, Modifications: modifications(t),
	}
	if id := t.Spec.TemplateID; id != nil {
		body.ID = *id
	}
	for i, page := range t.Spec.Pages {
		if i == 0 {
			body.Width, body.Height, body.CanvasWidth, body.CanvasHeight = page.Width, page.Height, page.Width, page.Height
		}
		body.PagesData = append(body.PagesData, TemplateData{page.ID, page.Name, page.Width, page.Height})
	}
	return body
}

func modifications(t *platenv1alpha1.RenderTemplate) []Modification {
	parameters := bindings.Cached(t)
	list := make([]Modification, 0, len(parameters))
	for _, p := range parameters {
		list = append(list, Modification{
			ID: p.Name, Key: p.Name, Type: string(p.Type), Description: p.Description, HelpText: p.Description,
			Required: p.Needed(), Example: p.Example,
		})
	}
	return list
}
