// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/swaggest/jsonschema-go"
	"github.com/swaggest/openapi-go"
	"github.com/swaggest/openapi-go/openapi31"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/platen-dev/platen/internal/version"
)

//go:embed docs.css
var stylesheet []byte

//go:embed docs.html
var docsPage string

// The headers, paths and queries of requests.
type (
	workspaceHeader struct {
		Workspace string `header:"X-Workspace" description:"The namespace. Default: the service account's own."`
		RequestID string `header:"X-Request-Id" description:"Returned in the answer and written to the shim's log, if it is at most 64 letters, digits, dots, underscores and dashes; any other is replaced."`
	}
	renderHeaders struct {
		workspaceHeader
		Key    string `header:"Idempotency-Key" maxLength:"255" description:"The same key with the same body gives the same job and the same answer."`
		Prefer string `header:"Prefer" example:"wait=120" description:"wait=N: seconds to wait for the files, 0 to 600, before the answer is 202. respond-async: as response.mode async, if neither says otherwise."`
		Cache  bool   `query:"cache" default:"true" description:"false renders whatever was rendered before."`
	}
	kindPath struct {
		Kind string `path:"kind" required:"true" enum:"images,pdfs"`
	}
	renderRequest struct {
		renderHeaders
		Request
	}
	generateRequest struct {
		renderHeaders
		kindPath
		ID string `path:"id" required:"true" description:"The template's number, name or title."`
		RenderOptions
	}
	generateBodyRequest struct {
		renderHeaders
		kindPath
		Request
	}
	listRequest struct {
		workspaceHeader
		Status string `query:"status" enum:"queued,processing,succeeded,failed,canceled"`
		Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20" description:"Jobs in an answer, 1 to 100. Default 20."`
		Cursor string `query:"cursor" description:"The next_cursor of an earlier answer."`
	}
	jobRequest struct {
		workspaceHeader
		ID string `path:"id" required:"true"`
	}
	templatesRequest struct {
		workspaceHeader
		Page   int    `query:"page" minimum:"1" default:"1"`
		Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"10" description:"Templates in an answer, 1 to 100. Default 10."`
		Search string `query:"search" description:"Part of name or resource_name."`
	}
	templateRequest struct {
		workspaceHeader
		ID string `path:"id" required:"true" description:"The template's number, name or title."`
	}
	patchTemplateRequest struct {
		templateRequest
		TemplatePatch
	}
	duplicateTemplateRequest struct {
		templateRequest
		TemplateCopy
	}
	modificationsRequest struct {
		workspaceHeader
		TemplateID string `query:"templateId" required:"true" description:"The template's number, name or title. Also as template_id."`
	}
	dynamicRequest struct {
		workspaceHeader
		DynamicURLRequest
	}
	dynamicSecretRequest struct {
		workspaceHeader
		TemplateID string `query:"templateId" required:"true" description:"The template's number, name or title. Also as template_id."`
	}
	openDynamicRequest struct {
		Name       string `path:"name" required:"true" description:"File name; its extension is the format."`
		Workspace  string `query:"workspace" required:"true" description:"The namespace."`
		TemplateID string `query:"templateId" required:"true"`
		Page       int    `query:"page" minimum:"1" description:"One page. Default: the first, and all of a PDF."`
		Quality    int    `query:"quality" minimum:"1" maximum:"100" description:"1 to 100. Default 90."`
		Open       string `query:"open" description:"Names of modifications, separated by commas, that the signature does not cover."`
		Expires    int64  `query:"expires" description:"Unix time in seconds. Default: never."`
		Signature  string `query:"sign" required:"true"`
	}
	signRequest struct {
		workspaceHeader
		Key string `header:"Idempotency-Key" maxLength:"255" description:"The same key with the same body gives a URL of the same job."`
		SignedURLRequest
	}
	openRequest struct {
		kindPath
		ID        string `query:"id" required:"true"`
		ExpiresAt int64  `query:"expiresAt" required:"true"`
		Signature string `query:"signature" required:"true"`
		Page      int    `query:"page" minimum:"1" description:"The file of this page only. Default: of several pages, a ZIP archive of all files."`
	}
)

// Rendered is the answer to a synchronous render: OnePage for one file, ManyPages for several.
type Rendered struct{}

// JSONSchemaOneOf implements jsonschema.OneOfExposer.
func (Rendered) JSONSchemaOneOf() []any { return []any{OnePage{}, ManyPages{}} }

// anyValue is the schema of JSON of any type.
type anyValue struct{}

// JSONSchemaBytes implements jsonschema.RawExposer.
func (anyValue) JSONSchemaBytes() ([]byte, error) {
	return []byte(`{"description":"A value of any type."}`), nil
}

// operation describes a route.
type operation struct {
	method, path, id, summary, description string
	request                                any
	answers                                map[int]any
	// codes are those that an error of a status may have.
	codes map[int][]code
	// file tells whether the answer can also be a file.
	file bool
	// open tells whether the route needs no token.
	open bool
}

var operations = []operation{
	{
		method: http.MethodPost, path: "/v1/studio/render", id: "render", summary: "Render a template",
		description: "Answers when the files are ready. If the render takes longer than the wait, the answer is 202 and the render goes on.",
		request:     renderRequest{}, answers: map[int]any{200: Rendered{}, 202: Job{}, 409: problem{}, 410: problem{}}, file: true,
		codes: map[int][]code{400: {codeTemplateMissing}, 403: {codeTemplateNotFound}, 409: {codeJobCanceled}},
	},
	{
		method: http.MethodGet, path: "/v1/studio/render-jobs", id: "listJobs", summary: "List jobs, newest first",
		request: listRequest{}, answers: map[int]any{200: JobList{}},
		codes: map[int][]code{400: {codeStatusFilter}},
	},
	{
		method: http.MethodGet, path: "/v1/studio/render-jobs/{id}", id: "getJob", summary: "Get the state of a job",
		request: jobRequest{}, answers: map[int]any{200: Job{}, 404: problem{}},
		codes: map[int][]code{404: {codeJobNotFound}},
	},
	{
		method: http.MethodPost, path: "/v1/studio/render-jobs/{id}/cancel", id: "cancelJob", summary: "Cancel a job that is not rendered yet",
		description: "For any other job, the answer is 409 with the error job-already-finished or job-not-cancelable.",
		request:     jobRequest{}, answers: map[int]any{200: Job{}, 404: problem{}, 409: problem{}},
		codes: map[int][]code{404: {codeJobNotFound}, 409: {codeJobFinished, codeJobNotCancelable}},
	},
	{
		method: http.MethodGet, path: "/v1/me", id: "me", summary: "Get the user of the token",
		request: workspaceHeader{}, answers: map[int]any{200: Profile{}},
	},
	{
		method: http.MethodGet, path: "/v1/me/user_id", id: "userID", summary: "Get the user of the token, as /v1/me does",
		request: workspaceHeader{}, answers: map[int]any{200: Profile{}},
	},
	{
		method: http.MethodGet, path: "/v1/profile/workspace", id: "workspace", summary: "Get the workspace",
		request: workspaceHeader{}, answers: map[int]any{200: WorkspaceAnswer{}},
	},
	{
		method: http.MethodGet, path: "/v1/studio/templates/all", id: "listTemplates", summary: "List templates, page by page",
		request: templatesRequest{}, answers: map[int]any{200: TemplateList{}},
	},
	{
		method: http.MethodGet, path: "/v1/studio/templates", id: "listAllTemplates", summary: "List all templates",
		request: workspaceHeader{}, answers: map[int]any{200: []Template{}},
	},
	{
		method: http.MethodGet, path: "/v1/templates", id: "listLibraryTemplates", summary: "List all templates, as /v1/studio/templates does",
		request: workspaceHeader{}, answers: map[int]any{200: []Template{}},
	},
	{
		method: http.MethodGet, path: "/v1/studio/templates/{id}", id: "getTemplate", summary: "Get a template",
		request: templateRequest{}, answers: map[int]any{200: Template{}, 404: problem{}},
		codes: map[int][]code{404: {codeTemplateNotFound}},
	},
	{
		method: http.MethodPatch, path: "/v1/studio/templates/{id}", id: "patchTemplate", summary: "Change a template's title and description",
		request: patchTemplateRequest{}, answers: map[int]any{200: Template{}, 404: problem{}},
		codes: map[int][]code{404: {codeTemplateNotFound}},
	},
	{
		method: http.MethodDelete, path: "/v1/studio/templates/{id}", id: "deleteTemplate", summary: "Delete a template",
		request: templateRequest{}, answers: map[int]any{200: Deleted{}, 404: problem{}},
		codes: map[int][]code{404: {codeTemplateNotFound}},
	},
	{
		method: http.MethodDelete, path: "/v1/studio/templates/{id}/delete", id: "deleteTemplateToo", summary: "Delete a template, as DELETE /v1/studio/templates/{id} does",
		request: templateRequest{}, answers: map[int]any{200: Deleted{}, 404: problem{}},
		codes: map[int][]code{404: {codeTemplateNotFound}},
	},
	{
		method: http.MethodPost, path: "/v1/studio/templates/{id}/duplicate", id: "duplicateTemplate", summary: "Copy a template",
		request: duplicateTemplateRequest{}, answers: map[int]any{200: Template{}, 404: problem{}},
		codes: map[int][]code{404: {codeTemplateNotFound}},
	},
	{
		method: http.MethodGet, path: "/v1/studio/template/modifications", id: "listModifications", summary: "List a template's parameters",
		request: modificationsRequest{}, answers: map[int]any{200: []Modification{}, 404: problem{}},
		codes: map[int][]code{400: {codeTemplateMissing}, 404: {codeTemplateNotFound}},
	},
	{
		method: http.MethodGet, path: "/v1/templates/modifications", id: "listLibraryModifications",
		summary: "List a template's parameters, as /v1/studio/template/modifications does",
		request: modificationsRequest{}, answers: map[int]any{200: []Modification{}, 404: problem{}},
		codes: map[int][]code{400: {codeTemplateMissing}, 404: {codeTemplateNotFound}},
	},
	{
		method: http.MethodGet, path: "/v1/studio/webhook-secret", id: "webhookSecret", summary: "Get the secret that verifies the workspace's webhooks",
		request: workspaceHeader{}, answers: map[int]any{200: WebhookSecret{}},
	},
	{
		method: http.MethodPost, path: "/v1/generate/{kind}/{id}", id: "generate", summary: "Render a template, as the public SDKs do",
		description: "Like /v1/studio/render, with the template in the path. response.type defaults to base64.",
		request:     generateRequest{}, answers: map[int]any{200: Rendered{}, 202: Job{}, 404: problem{}, 409: problem{}, 410: problem{}}, file: true,
		codes: map[int][]code{403: {codeTemplateNotFound}, 409: {codeJobCanceled}},
	},
	{
		method: http.MethodPost, path: "/v1/generate/{kind}", id: "generateFromBody", summary: "Render the template that the body names",
		request: generateBodyRequest{}, answers: map[int]any{200: Rendered{}, 202: Job{}, 404: problem{}, 409: problem{}, 410: problem{}}, file: true,
		codes: map[int][]code{400: {codeTemplateMissing}, 403: {codeTemplateNotFound}, 409: {codeJobCanceled}},
	},
	{
		method: http.MethodPost, path: "/v1/studio/dynamic-url", id: "createDynamicURL", summary: "Get a URL that has modifications in its query and renders when it is opened",
		request: dynamicRequest{}, answers: map[int]any{200: DynamicURLAnswer{}},
		codes: map[int][]code{400: {codeTemplateMissing}, 403: {codeTemplateNotFound}},
	},
	{
		method: http.MethodGet, path: dynamicPath + "{name}", id: "openDynamicURL", summary: "Open a dynamic URL",
		description: "Every other parameter of the query is a modification.",
		request:     openDynamicRequest{}, answers: map[int]any{304: nil, 403: problem{}, 404: problem{}, 414: problem{}}, file: true, open: true,
	},
	{
		method: http.MethodGet, path: "/v1/studio/dynamic-url-secret", id: "dynamicURLSecret", summary: "Get the secret that signs a template's dynamic URLs",
		request: dynamicSecretRequest{}, answers: map[int]any{200: DynamicSecret{}},
		codes: map[int][]code{400: {codeTemplateMissing}, 403: {codeTemplateNotFound}},
	},
	{
		method: http.MethodPost, path: "/v1/signed-url/create", id: "createSignedURL", summary: "Render, and get a URL that anyone can open",
		description: "The job is created at once, with the caller's rights. The URL answers with the file, or with a ZIP archive of several, and waits for it if necessary.",
		request:     signRequest{}, answers: map[int]any{200: SignedURLAnswer{}, 409: problem{}},
		codes: map[int][]code{400: {codeTemplateMissing}, 403: {codeTemplateNotFound}},
	},
	{
		method: http.MethodGet, path: "/v1/generate/{kind}", id: "openSignedURL", summary: "Open a signed URL",
		request: openRequest{}, answers: map[int]any{202: Job{}, 403: problem{}, 404: problem{}, 409: problem{}, 410: problem{}}, file: true, open: true,
		codes: map[int][]code{404: {codeJobNotFound}, 409: {codeJobCanceled}},
	},
}

// document describes the API from its Go types: as OpenAPI 3.1 in JSON, and as a page in HTML.
func document() (spec, page []byte, err error) {
	reflector := openapi31.NewReflector()
	reflector.DefaultOptions = append(reflector.DefaultOptions,
		jsonschema.InterceptDefName(func(_ reflect.Type, name string) string { return strings.TrimPrefix(name, "Shim") }))
	reflector.AddTypeMapping(apiextensionsv1.JSON{}, anyValue{}) // its Go type is a struct, which would be an object
	reflector.Spec.Info.WithTitle("Platen").WithVersion(version.Version).
		WithDescription("Renders templates to images, PDFs and videos. Requests need a bearer token of the cluster; a workspace is a namespace.")
	reflector.Spec.Info.WithLicense(*(&openapi31.License{}).WithName("Apache 2.0").WithIdentifier("Apache-2.0"))
	reflector.Spec.WithServers(*(&openapi31.Server{}).WithURL("/"))
	reflector.SpecEns().SetHTTPBearerTokenSecurity("token", "", "A token that the cluster's API server accepts, such as a service account's.")
	reflector.Spec.WithSecurity(map[string][]string{"token": {}})
	for _, o := range operations {
		if err := describeOperation(reflector, o); err != nil {
			return nil, nil, fmt.Errorf("%s %s: %w", o.method, o.path, err)
		}
	}
	if spec, err = json.MarshalIndent(reflector.Spec, "", "  "); err != nil {
		return nil, nil, err
	}
	page, err = readable(spec)
	return spec, page, err
}

func describeOperation(reflector *openapi31.Reflector, o operation) error {
	c, err := reflector.NewOperationContext(o.method, o.path)
	if err != nil {
		return err
	}
	c.SetID(o.id)
	c.SetSummary(o.summary)
	c.SetDescription(o.description)
	c.AddReqStructure(o.request)
	answers := map[int]any{400: problem{}, 429: problem{}, 503: problem{}}
	if o.open {
		exposed, ok := c.(openapi31.OperationExposer)
		if !ok {
			return errors.New("not an operation of OpenAPI 3.1")
		}
		exposed.Operation().WithSecurity(map[string][]string{}) // none is one of the choices
	} else {
		answers[401], answers[403] = problem{}, problem{}
	}
	if hasBody(o.request) {
		answers[408], answers[413], answers[415] = problem{}, problem{}, problem{}
	}
	if o.file && o.method == http.MethodGet {
		answers[416] = problem{}
	}
	maps.Copy(answers, o.answers)
	for status, body := range answers {
		c.AddRespStructure(body, openapi.WithHTTPStatus(status), func(u *openapi.ContentUnit) { u.Description = describeStatus(status, o.codes[status]) })
	}
	c.AddRespStructure(problem{}, func(u *openapi.ContentUnit) { u.IsDefault, u.Description = true, "Any other error" })
	if o.file {
		kinds := []string{"image/*", "application/pdf", "video/mp4", "video/webm"}
		addFiles(c, http.StatusOK, slices.Concat(kinds, []string{"application/zip"}))
		if o.method == http.MethodGet { // only a GET has a Range
			addFiles(c, http.StatusPartialContent, append(kinds, "multipart/byteranges"))
		}
	}
	return reflector.AddOperation(c)
}

// addFiles describes an answer that is a file of one of some types, or a part of it.
func addFiles(c openapi.OperationContext, status int, kinds []string) {
	for _, kind := range kinds {
		c.AddRespStructure(nil, openapi.WithHTTPStatus(status), openapi.WithContentType(kind),
			func(u *openapi.ContentUnit) { u.Format, u.Description = "binary", http.StatusText(status) })
	}
}

// hasBody reports whether a request has fields in its body.
func hasBody(request any) bool {
	return slices.ContainsFunc(reflect.VisibleFields(reflect.TypeOf(request)), func(f reflect.StructField) bool { return jsonName(f) != "" })
}

// describeStatus returns the description of an answer. codes are those that error may have.
func describeStatus(status int, codes []code) string {
	if len(codes) == 0 {
		return http.StatusText(status)
	}
	words := make([]string, 0, len(codes))
	for _, one := range codes {
		words = append(words, "'"+string(one)+"'")
	}
	return fmt.Sprintf("%s. The error may be the code %s.", http.StatusText(status), strings.Join(words, " or "))
}

// schema is the part of a JSON schema that the page shows.
type schema struct {
	Ref         string             `json:"$ref"`
	Type        any                `json:"type"`
	Description string             `json:"description"`
	Enum        []any              `json:"enum"`
	Required    []string           `json:"required"`
	Properties  map[string]*schema `json:"properties"`
	Items       *schema            `json:"items"`
	OneOf       []*schema          `json:"oneOf"`
}

// route is the part of an operation that the page shows.
type route struct {
	Method      string
	Path        string
	Summary     string `json:"summary"`
	Description string `json:"description"`
	Parameters  []struct {
		Name        string `json:"name"`
		In          string `json:"in"`
		Required    bool   `json:"required"`
		Description string `json:"description"`
		Schema      schema `json:"schema"`
	} `json:"parameters"`
	RequestBody struct {
		Content map[string]struct {
			Schema schema `json:"schema"`
		} `json:"content"`
	} `json:"requestBody"`
	Responses map[string]struct {
		Description string `json:"description"`
		Content     map[string]struct {
			Schema schema `json:"schema"`
		} `json:"content"`
	} `json:"responses"`
}

// readable makes an HTML page from an OpenAPI document, in the order of operations.
func readable(spec []byte) ([]byte, error) {
	var doc struct {
		Info struct {
			Title, Version, Description string
		} `json:"info"`
		Paths      map[string]map[string]*route `json:"paths"`
		Components struct {
			Schemas map[string]*schema `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(spec, &doc); err != nil {
		return nil, err
	}
	var routes []*route
	for _, o := range operations {
		r := doc.Paths[o.path][strings.ToLower(o.method)]
		r.Method, r.Path = o.method, o.path
		routes = append(routes, r)
	}
	page, err := template.New("docs").Funcs(template.FuncMap{"type": typeName, "name": refName, "has": slices.Contains[[]string]}).Parse(docsPage)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = page.Execute(&out, map[string]any{"Info": doc.Info, "Routes": routes, "Schemas": doc.Components.Schemas})
	return out.Bytes(), err
}

func refName(ref string) string { return ref[strings.LastIndex(ref, "/")+1:] }

// typeName returns a schema's type in words.
func typeName(s *schema) string {
	switch list, isList := s.Type.([]any); {
	case s.Ref != "":
		return refName(s.Ref)
	case s.Items != nil && s.Items.Ref != "":
		return "list of " + refName(s.Items.Ref)
	case s.Items != nil && !isList:
		return "list of " + typeName(s.Items)
	case isList:
		words := make([]string, 0, len(list))
		for _, one := range list {
			words = append(words, fmt.Sprint(one))
		}
		return strings.Join(words, " or ")
	case len(s.OneOf) > 0:
		words := make([]string, 0, len(s.OneOf))
		for _, one := range s.OneOf {
			words = append(words, typeName(one))
		}
		return strings.Join(words, " or ")
	case s.Type == nil:
		return "any"
	default:
		return fmt.Sprint(s.Type)
	}
}

// static returns a handler that answers with fixed bytes.
func (s *Server) static(kind string, body []byte) handler {
	return func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		w.Header().Set("Cache-Control", "max-age=300")
		_, err := w.Write(body)
		return err
	}
}
