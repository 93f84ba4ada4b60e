// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/values"
	"github.com/platen-dev/platen/internal/webhook"
)

// The values of response.type.
const (
	typeURL    = "url"
	typeBase64 = "base64"
	typeBinary = "binary"
)

// Annotations that keep parts of the request with the job, so that every replica gives the same answer, also after a restart.
const (
	// digestAnnotation holds the digest of the request that the idempotency key belongs to.
	digestAnnotation = "platen.dev/request-sha256"
	// typeAnnotation holds response.type.
	typeAnnotation = "platen.dev/response-type"
	// warningsAnnotation holds the warnings about the request itself, as a JSON list.
	warningsAnnotation = "platen.dev/request-warnings"
)

// newJob returns the RenderJob of a request. One caller's idempotency key always gives the same name.
func newJob(c caller, r Request, warnings []Warning, template, key string, body []byte) (*platenv1alpha1.RenderJob, error) {
	digest := sha256.Sum256(body)
	job := &platenv1alpha1.RenderJob{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: c.namespace, GenerateName: "rest-",
			Annotations: map[string]string{digestAnnotation: hex.EncodeToString(digest[:]), typeAnnotation: cmp.Or(r.Response.Type, typeURL)},
		},
		Spec: spec(r, template),
	}
	if key != "" {
		name := sha256.Sum256([]byte(c.User.Username + "\n" + key))
		job.GenerateName, job.Name = "", "rest-"+hex.EncodeToString(name[:10])
	}
	if len(warnings) > 0 {
		text, err := json.Marshal(warnings)
		if err != nil {
			return nil, err
		}
		job.Annotations[warningsAnnotation] = string(text)
	}
	if hook := cmp.Or(r.Webhook, r.WebhookURL); hook != "" {
		job.Annotations[webhook.URLAnnotation] = hook
	}
	return job, nil
}

// requestWarnings returns the warnings about the request itself.
func requestWarnings(job *platenv1alpha1.RenderJob) (warnings []Warning) {
	// Invalid JSON can only come from someone who may write the job, so ignoring it harms nobody else.
	_ = json.Unmarshal([]byte(job.Annotations[warningsAnnotation]), &warnings)
	return warnings[:min(len(warnings), maxWarnings)]
}

// digits returns a JSON object in which every number has the digits that the caller sent: the API server keeps 64 bits of a number.
func digits(object []byte) []byte {
	exact, err := values.Decode(object)
	if err != nil {
		return object // the API server says what is wrong
	}
	text, err := encode(exact)
	if err != nil {
		return object
	}
	return bytes.TrimSpace(text)
}

// spec translates a request.
func spec(r Request, template string) platenv1alpha1.RenderJobSpec {
	s := platenv1alpha1.RenderJobSpec{
		TemplateRef: platenv1alpha1.TemplateReference{Name: template},
		Output: platenv1alpha1.OutputSpec{
			Format:   platenv1alpha1.Format(r.Response.Format),
			FileName: platenv1alpha1.FileName(r.Response.FileName),
			Quality:  r.Response.Quality,
			Pages:    r.Response.IncludePages,
		},
	}
	if raw := r.Modifications.RawMessage; len(raw) > 0 && string(raw) != "null" {
		s.Modifications = &apiextensionsv1.JSON{Raw: digits(raw)}
	}
	if scale := r.Response.Scale; scale != nil {
		s.Output.Scale = strconv.FormatFloat(*scale, 'f', -1, 64)
	}
	switch r.Response.Format {
	case string(platenv1alpha1.FormatPDF):
		a, b := r.PDFOptions, r.Response.PDFOptions
		s.Output.PDF = platenv1alpha1.PDFOptions{
			Margin: cmp.Or(a.Margin, b.Margin), RangeFrom: cmp.Or(a.RangeFrom, b.RangeFrom), RangeTo: cmp.Or(a.RangeTo, b.RangeTo), DPI: cmp.Or(a.DPI, b.DPI),
		}
	case string(platenv1alpha1.FormatMP4), string(platenv1alpha1.FormatGIF):
		a, b := r.VideoOptions, r.Response.VideoOptions
		s.Output.Quality = cmp.Or(s.Output.Quality, a.Quality, b.Quality)
		s.Output.Video = platenv1alpha1.VideoOptions{FPS: cmp.Or(a.FPS, b.FPS), Loop: cmp.Or(a.Loop, b.Loop)}
		if duration := cmp.Or(a.Duration, b.Duration); duration != 0 {
			s.Output.Video.Duration = strconv.FormatFloat(duration, 'f', -1, 64)
		}
	}
	// An empty list stays nil, because a request without connections uploads to every automatic connection.
	for _, c := range r.Connections {
		s.Connections = append(s.Connections, platenv1alpha1.JobConnection{
			Type: platenv1alpha1.ConnectionType(c.Type), Provider: platenv1alpha1.ProviderType(c.Provider), Folder: platenv1alpha1.FolderPath(c.Folder),
		})
	}
	return s
}

// inRequestWords replaces the names of a RenderJob's fields in a message by those of the request.
var inRequestWords = strings.NewReplacer(
	"spec.output.pages", "response.includePages",
	"spec.output.pdf.", "pdfOptions.",
	"spec.output.pdf", "pdfOptions",
	"spec.output.video.", "videoOptions.",
	"spec.output.video", "videoOptions",
	"spec.output.", "response.",
	"spec.output", "response",
	"spec.connections", "connections",
	"spec.modifications", "modifications",
	"spec.templateRef.name", "templateId",
).Replace
