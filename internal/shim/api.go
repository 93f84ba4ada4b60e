// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package shim answers the public render API's JSON with RenderJobs, so that its clients work without knowing Kubernetes. It
// has no rights of its own over jobs: it creates them with the caller's token.
package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// Request is the body of POST /v1/studio/render.
type Request struct {
	TemplateID    TemplateID          `json:"templateId"`
	Modifications json.RawMessage     `json:"modifications"`
	Response      ResponseOptions     `json:"response"`
	Connections   []ConnectionOptions `json:"connections"`
	// PDFOptions and VideoOptions are read here and inside of Response: clients do either.
	PDFOptions   PDFOptions   `json:"pdfOptions"`
	VideoOptions VideoOptions `json:"videoOptions"`
}

// PDFOptions say how a document is made.
type PDFOptions struct {
	// Margin with its unit, such as 20px.
	Margin    string `json:"margin"`
	RangeFrom int32  `json:"rangeFrom"`
	RangeTo   int32  `json:"rangeTo"`
	DPI       int32  `json:"dpi"`
}

// VideoOptions say how animated pages are filmed.
type VideoOptions struct {
	FPS int32 `json:"fps"`
	// Duration in seconds.
	Duration float64 `json:"duration"`
	Quality  int32   `json:"quality"`
	// Muted is accepted: pages have no sound.
	Muted bool  `json:"muted"`
	Loop  *bool `json:"loop"`
}

// ResponseOptions say what the caller wants back.
type ResponseOptions struct {
	// Type is url (the default), base64 or binary.
	Type string `json:"type"`
	// Format of the files: png (the default), jpg, jpeg, webp, avif, pdf, mp4 or gif.
	Format string `json:"format"`
	// FileName without extension.
	FileName string `json:"fileName"`
	// Scale is 0.1 to 10, default 1.
	Scale *float64 `json:"scale"`
	// Quality is 1 to 100.
	Quality int32 `json:"quality"`
	// IncludePages numbered from 1; all when empty.
	IncludePages []int32 `json:"includePages"`
	// Mode is sync (the default) or async.
	Mode         string       `json:"mode"`
	PDFOptions   PDFOptions   `json:"pdfOptions"`
	VideoOptions VideoOptions `json:"videoOptions"`
}

// ConnectionOptions name a connection of the workspace.
type ConnectionOptions struct {
	Type     string `json:"type"`
	Provider string `json:"provider"`
	Folder   string `json:"folder"`
}

// TemplateID is a template's number, also as digits in a string, or its name.
type TemplateID string

// UnmarshalJSON implements json.Unmarshaler.
func (t *TemplateID) UnmarshalJSON(data []byte) error {
	var number int64
	if json.Unmarshal(data, &number) == nil {
		*t = TemplateID(strconv.FormatInt(number, 10))
		return nil
	}
	var text string
	if json.Unmarshal(data, &text) != nil {
		return &FieldError{"templateId", "must be a number or a string"}
	}
	*t = TemplateID(text)
	return nil
}

// FieldError says which field of a request is wrong, and what was expected.
type FieldError struct{ Field, Problem string }

// Error implements error.
func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

// Warning is something that went wrong and did not stop the render.
type Warning struct {
	Title   string `json:"title"`
	Details string `json:"details"`
}

// OnePage is the answer for a render of one file.
type OnePage struct {
	Data        Data         `json:"data"`
	Warnings    []Warning    `json:"warnings,omitempty"`
	Connections []Connection `json:"connections,omitempty"`
}

// Data is the file of a OnePage.
type Data struct {
	// Content is a URL, or a data URL when Type is base64.
	Content string `json:"content"`
	Type    string `json:"type"`
	Format  string `json:"format"`
	// ResponseTime in milliseconds.
	ResponseTime float64 `json:"responseTime"`
}

// ManyPages is the answer for a render of several files.
type ManyPages struct {
	Data          []PageData   `json:"data"`
	Format        string       `json:"format"`
	Type          string       `json:"type"`
	ResponseTime  float64      `json:"responseTime"`
	TotalPages    int          `json:"totalPages"`
	RenderedPages int          `json:"renderedPages"`
	Warnings      []Warning    `json:"warnings,omitempty"`
	Connections   []Connection `json:"connections,omitempty"`
}

// PageData is one file of ManyPages.
type PageData struct {
	Page    int32  `json:"page"`
	PageID  string `json:"pageId"`
	Content string `json:"content"`
}

// Connection is what became of an upload.
type Connection struct {
	Type     string `json:"type"`
	Provider string `json:"provider"`
	// Path is a string for one file, a list of PagePath for several, and null when the upload failed.
	Path   any    `json:"path"`
	Status string `json:"status"`
	Error  string `json:"error,omitempty"`
}

// PagePath is where one of several files stands.
type PagePath struct {
	Page int32  `json:"page"`
	Path string `json:"path"`
}

// Job is the answer for a render that goes on.
type Job struct {
	ID string `json:"id"`
	// Status is queued, processing, succeeded or failed.
	Status   string `json:"status"`
	Finished bool   `json:"finished"`
	Self     string `json:"self"`
	// Result is what a synchronous request would have been answered with.
	Result any    `json:"result,omitempty"`
	Error  string `json:"error,omitempty"`
	// ErrorCode is the reason of the job's Ready condition.
	ErrorCode string `json:"error_code,omitempty"`
}

// parse reads a request. Fields that are not known are ignored with a warning. The error is a *FieldError.
func parse(body []byte) (Request, []Warning, error) {
	var r Request
	if err := json.Unmarshal(body, &r); err != nil {
		field := (*FieldError)(nil)
		kind := (*json.UnmarshalTypeError)(nil)
		switch {
		case errors.As(err, &field):
			return r, nil, field
		case errors.As(err, &kind):
			return r, nil, &FieldError{kind.Field, fmt.Sprintf("%s must be %s", kind.Value, kind.Type)}
		default:
			return r, nil, &FieldError{"body", "must be a JSON object"}
		}
	}
	return r, unknownFields(body), r.check()
}

func (r *Request) check() error {
	switch {
	case r.TemplateID == "":
		return &FieldError{"templateId", "is required"}
	case !slices.Contains([]string{"", "url", "base64", "binary"}, r.Response.Type):
		return &FieldError{"response.type", fmt.Sprintf("'%s' must be url, base64 or binary", r.Response.Type)}
	case !slices.Contains([]string{"", "sync", "async"}, r.Response.Mode):
		return &FieldError{"response.mode", fmt.Sprintf("'%s' must be sync or async", r.Response.Mode)}
	case len(r.Modifications) > 0 && r.Modifications[0] != '{' && string(r.Modifications) != "null":
		return &FieldError{"modifications", "must be an object"}
	}
	for i, c := range r.Connections {
		if c.Type != string(platenv1alpha1.ConnectionStorage) {
			return &FieldError{fmt.Sprintf("connections[%d].type", i), fmt.Sprintf("'%s' must be storage", c.Type)}
		}
		if c.Provider != string(platenv1alpha1.ProviderDropbox) {
			return &FieldError{fmt.Sprintf("connections[%d].provider", i), fmt.Sprintf("'%s' must be dropbox", c.Provider)}
		}
	}
	return nil
}

// unknownFields warns of the fields of a request, and of its response object, that Request does not have.
func unknownFields(body []byte) []Warning {
	var whole map[string]json.RawMessage
	if json.Unmarshal(body, &whole) != nil {
		return nil
	}
	names := missing(whole, reflect.TypeFor[Request](), "")
	var response map[string]json.RawMessage
	if json.Unmarshal(whole["response"], &response) == nil {
		names = append(names, missing(response, reflect.TypeFor[ResponseOptions](), "response.")...)
	}
	slices.Sort(names)
	warnings := make([]Warning, 0, len(names))
	for _, name := range names {
		warnings = append(warnings, Warning{Title: fmt.Sprintf("Field '%.100s' is not known and was ignored", name)})
	}
	return warnings
}

func missing(given map[string]json.RawMessage, kind reflect.Type, prefix string) (names []string) {
	for name := range given {
		known := slices.ContainsFunc(reflect.VisibleFields(kind), func(f reflect.StructField) bool {
			return strings.EqualFold(f.Tag.Get("json"), name)
		})
		if !known {
			names = append(names, prefix+name)
		}
	}
	return names
}
