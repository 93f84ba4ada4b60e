// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/callers"
)

const (
	defaultTemplates = 10
	maxTemplates     = 40
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
	ID            any            `json:"id" required:"true" description:"spec.templateID as a number, else the template's name."`
	Name          string         `json:"name" required:"true"`
	CreatedAt     time.Time      `json:"created_at" required:"true"`
	WorkspaceID   string         `json:"workspace_id" required:"true" description:"The namespace."`
	CanvasWidth   int32          `json:"canvas_width" required:"true" description:"CSS pixels of the first page."`
	CanvasHeight  int32          `json:"canvas_height" required:"true"`
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

// Modification is a parameter of a template.
type Modification struct {
	ID          string                `json:"id" required:"true"`
	Key         string                `json:"key" required:"true" description:"The key in modifications; the same as id."`
	Type        string                `json:"type" required:"true" enum:"text,image,color,number,boolean,list"`
	Description string                `json:"description" required:"true"`
	HelpText    string                `json:"helpText" required:"true" description:"The same as description."`
	Required    bool                  `json:"required" required:"true"`
	Example     *apiextensionsv1.JSON `json:"example,omitempty" description:"The default value."`
}

// templates returns the workspace's templates. They belong to the cache: do not change them.
func (s *Server) templates(ctx context.Context, c caller) ([]platenv1alpha1.RenderTemplate, error) {
	if err := s.allow(ctx, c, "list", "rendertemplates"); err != nil {
		return nil, err
	}
	templates := &platenv1alpha1.RenderTemplateList{}
	if err := s.Cache.List(ctx, templates, client.InNamespace(c.namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing templates: %w", err)
	}
	return templates.Items, nil
}

// template finds a template by its number, or else by its name.
func (s *Server) template(ctx context.Context, c caller, id TemplateID) (*platenv1alpha1.RenderTemplate, error) {
	all, err := s.templates(ctx, c)
	if err != nil {
		return nil, err
	}
	numbered := func(t platenv1alpha1.RenderTemplate) bool {
		n := t.Spec.TemplateID
		return n != nil && strconv.FormatInt(*n, 10) == string(id)
	}
	named := func(t platenv1alpha1.RenderTemplate) bool { return t.Name == string(id) }
	for _, matches := range []func(platenv1alpha1.RenderTemplate) bool{numbered, named} {
		if i := slices.IndexFunc(all, matches); i >= 0 {
			return &all[i], nil
		}
	}
	return nil, callers.Errorf(http.StatusNotFound, "templateId: namespace '%s' has no RenderTemplate with the id or name '%.100s'", c.namespace, id)
}

// listTemplates answers GET /v1/studio/templates/all.
func (s *Server) listTemplates(w http.ResponseWriter, r *http.Request, c caller) error {
	query := r.URL.Query()
	page, err := number(query.Get("page"), "page", 1, 1_000_000)
	if err != nil {
		return err
	}
	limit, err := number(query.Get("limit"), "limit", defaultTemplates, maxTemplates)
	if err != nil {
		return err
	}
	all, err := s.templates(r.Context(), c)
	if err != nil {
		return err
	}
	search := strings.ToLower(query.Get("search"))
	found := make([]*platenv1alpha1.RenderTemplate, 0, len(all))
	for i := range all {
		if strings.Contains(strings.ToLower(all[i].Name), search) {
			found = append(found, &all[i])
		}
	}
	slices.SortFunc(found, func(a, b *platenv1alpha1.RenderTemplate) int { return strings.Compare(a.Name, b.Name) })
	body := TemplateList{
		Data:       []Template{},
		Pagination: TemplatePage{Page: page, Limit: limit, Total: len(found), TotalPages: (len(found) + limit - 1) / limit},
	}
	from := min((page-1)*limit, len(found))
	for _, t := range found[from:min(from+limit, len(found))] {
		body.Data = append(body.Data, newTemplate(t))
	}
	writeJSON(w, http.StatusOK, body)
	return nil
}

// listModifications answers GET /v1/studio/template/modifications?templateId=….
func (s *Server) listModifications(w http.ResponseWriter, r *http.Request, c caller) error {
	id := r.URL.Query().Get("templateId")
	if id == "" {
		return &FieldError{"templateId", "is required in the query, as in ?templateId=25"}
	}
	t, err := s.template(r.Context(), c, TemplateID(id))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, modifications(t))
	return nil
}

func newTemplate(t *platenv1alpha1.RenderTemplate) Template {
	body := Template{
		ID: t.Name, Name: t.Name, CreatedAt: t.CreationTimestamp.UTC(), WorkspaceID: t.Namespace,
		PagesData: []TemplateData{}, Modifications: modifications(t),
	}
	if id := t.Spec.TemplateID; id != nil {
		body.ID = *id
	}
	for i, page := range t.Spec.Pages {
		if i == 0 {
			body.CanvasWidth, body.CanvasHeight = page.Width, page.Height
		}
		body.PagesData = append(body.PagesData, TemplateData{page.ID, page.Name, page.Width, page.Height})
	}
	return body
}

func modifications(t *platenv1alpha1.RenderTemplate) []Modification {
	list := make([]Modification, 0, len(t.Spec.Parameters))
	for _, p := range t.Spec.Parameters {
		list = append(list, Modification{
			ID: p.Name, Key: p.Name, Type: string(p.Type), Description: p.Description, HelpText: p.Description,
			Required: p.Required != nil && *p.Required, Example: p.Default,
		})
	}
	return list
}
