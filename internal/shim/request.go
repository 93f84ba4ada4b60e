// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// maxWarnings bounds the warnings about a request.
const maxWarnings = 64

// Request is the body of POST /v1/studio/render.
type Request struct {
	TemplateID TemplateID `json:"templateId" required:"true"`
	RenderOptions
}

// RenderOptions say what to render of a template, and how to answer.
type RenderOptions struct {
	Modifications Object              `json:"modifications"`
	Response      ResponseOptions     `json:"response"`
	Connections   []ConnectionOptions `json:"connections,omitempty" description:"Where the files go. Default: to every automatic connection of the workspace."`
	PDFOptions    PDFOptions          `json:"pdfOptions" description:"For format pdf. May also be in response."`
	VideoOptions  VideoOptions        `json:"videoOptions" description:"For formats mp4 and gif. May also be in response."`
	Webhook       string              `json:"webhook,omitempty" format:"uri" description:"URL that is called when the job has ended."`
	WebhookURL    string              `json:"webhook_url,omitempty" format:"uri" description:"Another name for webhook."`
	Source        string              `json:"source,omitempty" description:"The SDK's name; ignored."`
}

// PDFOptions apply to format pdf.
type PDFOptions struct {
	Margin    string `json:"margin,omitempty" description:"Margin around each page with its unit, such as 20px."`
	RangeFrom int32  `json:"rangeFrom,omitempty" description:"First page that is printed, from 1."`
	RangeTo   int32  `json:"rangeTo,omitempty" description:"Last page that is printed."`
	DPI       int32  `json:"dpi,omitempty" description:"CSS pixels for an inch of paper, 48 to 960. Default 96."`
}

// VideoOptions apply to formats mp4 and gif.
type VideoOptions struct {
	FPS      int32   `json:"fps,omitempty" description:"Frames per second, 1 to 30."`
	Duration float64 `json:"duration,omitempty" description:"Seconds of each page, 0.1 to 60."`
	Quality  int32   `json:"quality,omitempty" description:"1 to 100."`
	Muted    bool    `json:"muted,omitempty" description:"Accepted: pages have no sound."`
	Loop     *bool   `json:"loop,omitempty" description:"Whether a gif restarts at its end. Default true."`
}

// ResponseOptions say what the caller gets back.
type ResponseOptions struct {
	Type         string       `json:"type,omitempty" enum:"url,base64,binary" description:"url: URLs of the files. base64: data URLs. binary: the file itself, or a ZIP archive of several. Default url, and base64 for /v1/generate."`
	Format       string       `json:"format,omitempty" enum:"png,jpg,jpeg,webp,avif,pdf,mp4,gif" description:"Default png, and pdf for /v1/generate/pdfs."`
	FileName     string       `json:"fileName,omitempty" description:"Name without extension. Default: the job's id."`
	Scale        *float64     `json:"scale,omitempty" description:"Image pixels for a CSS pixel, 0.1 to 10. Default 1."`
	Quality      int32        `json:"quality,omitempty" description:"1 to 100. Default 90."`
	IncludePages []int32      `json:"includePages,omitempty" description:"Pages to render, from 1. Default: all."`
	Mode         string       `json:"mode,omitempty" enum:"sync,async" description:"async: answer 202 at once. Default sync."`
	PDFOptions   PDFOptions   `json:"pdfOptions"`
	VideoOptions VideoOptions `json:"videoOptions"`
}

// ConnectionOptions name a connection of the workspace.
type ConnectionOptions struct {
	Type     string `json:"type" required:"true" enum:"storage"`
	Provider string `json:"provider" required:"true" enum:"dropbox"`
	Folder   string `json:"folder,omitempty" description:"Default: the connection's default folder. A missing folder is created."`
}

// TemplateID is a template's number, as a JSON number or string, or its name.
type TemplateID string

// UnmarshalJSON implements json.Unmarshaler.
func (t *TemplateID) UnmarshalJSON(data []byte) error {
	switch {
	case string(data) == "null":
		return nil
	case data[0] != '"':
		*t = TemplateID(data)
		return nil
	}
	return json.Unmarshal(data, (*string)(t))
}

// JSONSchemaBytes implements jsonschema.RawExposer.
func (TemplateID) JSONSchemaBytes() ([]byte, error) {
	return []byte(`{"type":["integer","string"],"description":"A template's spec.templateID, as a number or digits, or its name."}`), nil
}

// Object is a JSON object in its original form.
type Object struct{ json.RawMessage }

// JSONSchemaBytes implements jsonschema.RawExposer.
func (Object) JSONSchemaBytes() ([]byte, error) {
	return []byte(`{"type":"object","additionalProperties":true,"description":"A flat map: parameters, canvasBackgroundColor, canvasBackgroundImage, ID.cssProperty, ID.href, and page2@KEY for one page only."}`), nil
}

// FieldError names a wrong field of a request and says what is expected.
type FieldError struct{ Field, Problem string }

// Error implements error.
func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

// parse reads a body into target. It ignores unknown fields with a warning. The error is a *FieldError.
func parse[T any](body []byte) (target T, warnings []Warning, err error) {
	if !json.Valid(body) || bytes.TrimSpace(body)[0] != '{' {
		return target, nil, &FieldError{"body", "must be a JSON object"}
	}
	unknown, err := inspect(body, reflect.TypeFor[T](), "")
	if err != nil {
		return target, nil, err
	}
	if err := json.Unmarshal(body, &target); err != nil {
		return target, nil, &FieldError{"body", "must be a JSON object of this request's fields"}
	}
	for _, name := range unknown[:min(len(unknown), maxWarnings)] {
		warnings = append(warnings, Warning{Title: fmt.Sprintf("Field '%.100s' is not known and was ignored", name)})
	}
	return target, warnings, nil
}

// inspect compares valid JSON with its Go type. It returns the fields that the type does not have, and an error with the full path of a
// value of the wrong type. encoding/json does neither.
func inspect(value json.RawMessage, kind reflect.Type, path string) (unknown []string, err error) {
	value = bytes.TrimSpace(value)
	if string(value) == "null" {
		return nil, nil // as if the field were missing
	}
	wrong := func(want string) error { return &FieldError{path, "must be " + want + ", not " + jsonType(value)} }
	switch kind {
	case reflect.TypeFor[Object]():
		if value[0] != '{' {
			return nil, wrong("an object")
		}
		return nil, nil
	case reflect.TypeFor[TemplateID]():
		if _, err := strconv.ParseInt(string(value), 10, 64); err != nil && value[0] != '"' {
			return nil, wrong("a whole number or a string")
		}
		return nil, nil
	}
	switch kind.Kind() {
	case reflect.Pointer:
		return inspect(value, kind.Elem(), path)
	case reflect.Struct:
		if value[0] != '{' {
			return nil, wrong("an object")
		}
		return inspectFields(value, kind, path)
	case reflect.Slice:
		var items []json.RawMessage
		if json.Unmarshal(value, &items) != nil {
			return nil, wrong("an array")
		}
		for i, item := range items {
			more, err := inspect(item, kind.Elem(), fmt.Sprintf("%s[%d]", path, i))
			if err != nil {
				return nil, err
			}
			unknown = append(unknown, more...)
		}
		return unknown, nil
	case reflect.String:
		if value[0] != '"' {
			return nil, wrong("a string")
		}
	case reflect.Bool:
		if value[0] != 't' && value[0] != 'f' {
			return nil, wrong("true or false")
		}
	case reflect.Int32, reflect.Int64:
		if _, err := strconv.ParseInt(string(value), 10, kind.Bits()); err != nil {
			return nil, wrong("a whole number")
		}
	case reflect.Float64:
		if number, err := strconv.ParseFloat(string(value), 64); err != nil || math.IsInf(number, 0) {
			return nil, wrong("a number")
		}
	default:
		return nil, fmt.Errorf("%s: requests cannot have the Go type %s", path, kind)
	}
	return nil, nil
}

func inspectFields(object json.RawMessage, kind reflect.Type, path string) (unknown []string, err error) {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(object, &given); err != nil {
		return nil, &FieldError{path, "must be an object"}
	}
	fields := reflect.VisibleFields(kind)
	for _, name := range slices.Sorted(maps.Keys(given)) {
		full, value := name, given[name]
		if path != "" {
			full = path + "." + name
		}
		at := slices.IndexFunc(fields, func(f reflect.StructField) bool {
			known, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			return !f.Anonymous && strings.EqualFold(known, name)
		})
		if at < 0 {
			unknown = append(unknown, full)
			continue
		}
		more, err := inspect(value, fields[at].Type, full)
		if err != nil {
			return nil, err
		}
		unknown = append(unknown, more...)
	}
	return unknown, nil
}

// jsonType returns the name of a value's type, or the value itself if it is a number or a boolean.
func jsonType(value json.RawMessage) string {
	switch value[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return string(value)
	default:
		return fmt.Sprintf("%.30s", value)
	}
}

// check checks what the API server cannot check, or would report under another name.
func (r *Request) check() error {
	switch {
	case r.TemplateID == "":
		return missingTemplate("in the request body")
	case !slices.Contains([]string{"", "url", "base64", "binary"}, r.Response.Type):
		return &FieldError{"response.type", fmt.Sprintf("'%.100s' must be url, base64 or binary", r.Response.Type)}
	case !slices.Contains([]string{"", "sync", "async"}, r.Response.Mode):
		return &FieldError{"response.mode", fmt.Sprintf("'%.100s' must be sync or async", r.Response.Mode)}
	}
	for i, c := range r.Connections {
		if c.Type != string(platenv1alpha1.ConnectionStorage) {
			return &FieldError{fmt.Sprintf("connections[%d].type", i), fmt.Sprintf("'%.100s' must be storage", c.Type)}
		}
		if c.Provider != string(platenv1alpha1.ProviderDropbox) {
			return &FieldError{fmt.Sprintf("connections[%d].provider", i), fmt.Sprintf("'%.100s' must be dropbox", c.Provider)}
		}
	}
	for name, text := range map[string]string{"webhook": r.Webhook, "webhook_url": r.WebhookURL} {
		if err := checkWebhook(name, text); err != nil {
			return err
		}
	}
	return nil
}

func checkWebhook(field, text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || len(text) > 2048 {
		return &FieldError{field, "must be an http or https URL of at most 2048 characters, without a user name"}
	}
	return nil
}
