// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/tracing"
	"github.com/platen-dev/platen/internal/values"
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
	// sizesAnnotation holds response.extraSizes as a JSON list of NamedSize, in the order of the request.
	sizesAnnotation = "platen.dev/extra-sizes"
	// metadataAnnotation holds the request's metadata, as JSON.
	metadataAnnotation = "platen.dev/request-metadata"
	// warningsAnnotation holds the warnings about the request itself, as a JSON list.
	warningsAnnotation = "platen.dev/request-warnings"
)

// maxSizes bounds response.extraSizes as JSON, in bytes.
const maxSizes = 8 << 10

// newJob returns the RenderJob of a request. One caller's idempotency key always gives the same name. With a *FieldError, there is a job without that field.
func newJob(c caller, r Request, warnings []Warning, template, key string, body []byte) (*platenv1alpha1.RenderJob, error) {
	wrong, digest := error(nil), sha256.Sum256(body)
	job := &platenv1alpha1.RenderJob{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: c.namespace, GenerateName: "rest-",
			Annotations: map[string]string{digestAnnotation: hex.EncodeToString(digest[:]), platenv1alpha1.ResponseTypeAnnotation: cmp.Or(r.Response.Type, typeURL)},
		},
		Spec: spec(r, template),
	}
	if key != "" {
		name := sha256.Sum256([]byte(c.User.Username + "\n" + key))
		job.GenerateName, job.Name = "", "rest-"+hex.EncodeToString(name[:10])
	}
	if warnings = bounded(append(warnings, limitations(r)...)); len(warnings) > 0 {
		text, err := json.Marshal(warnings)
		if err != nil {
			return nil, err
		}
		job.Annotations[warningsAnnotation] = string(text)
	}
	if len(job.Spec.Output.ExtraSizes) > 0 {
		text, err := json.Marshal(r.Response.ExtraSizes)
		if err != nil {
			return nil, err
		}
		if len(text) > maxSizes {
			wrong = &FieldError{"response.extraSizes", fmt.Sprintf("must have at most %d bytes with its names", maxSizes)}
		} else {
			job.Annotations[sizesAnnotation] = string(text)
		}
	}
	if r.Metadata.RawMessage != nil {
		job.Annotations[metadataAnnotation] = string(r.Metadata.RawMessage)
	}
	if hook := cmp.Or(r.Webhook, r.WebhookURL); hook != "" {
		job.Annotations[platenv1alpha1.WebhookURLAnnotation] = hook
	}
	return job, wrong
}

// markTrace makes a job part of the trace of the request that creates it.
func markTrace(ctx context.Context, job *platenv1alpha1.RenderJob) {
	if parent := tracing.Parent(ctx); parent != "" {
		metav1.SetMetaDataAnnotation(&job.ObjectMeta, platenv1alpha1.TraceparentAnnotation, parent)
	}
}

// requestWarnings returns the warnings about the request itself.
func requestWarnings(job *platenv1alpha1.RenderJob) (warnings []Warning) {
	// Invalid JSON can only come from someone who may write the job, so ignoring it harms nobody else.
	_ = json.Unmarshal([]byte(job.Annotations[warningsAnnotation]), &warnings)
	return bounded(warnings)
}

// metadata returns the metadata of the request; nil if there is none.
func metadata(job *platenv1alpha1.RenderJob) any {
	if text := json.RawMessage(job.Annotations[metadataAnnotation]); json.Valid(text) {
		return text
	}
	return nil
}

// extraSizes returns the extra sizes of the request, or those of a job that comes from elsewhere.
func extraSizes(job *platenv1alpha1.RenderJob) (sizes ExtraSizes) {
	var list []NamedSize
	_ = json.Unmarshal([]byte(job.Annotations[sizesAnnotation]), &list) // as for warnings
	if list == nil {
		for _, size := range job.Spec.Output.ExtraSizes {
			list = append(list, NamedSize{Size: string(size)})
		}
	}
	return list
}

// digits returns a JSON object in which every number has the digits that the caller sent: the API server keeps 64 bits of a number.
func digits(object []byte) []byte {
	exact, err := values.DecodeSent(object)
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
			Quality:  int32(r.Response.Quality),
			Size:     pageSize(r.Response),
		},
	}
	for _, i := range firsts(r.Response.IncludePages) {
		s.Output.Pages = append(s.Output.Pages, int32(r.Response.IncludePages[i]))
	}
	if raw := r.Modifications.RawMessage; len(raw) > 0 && string(raw) != "null" {
		s.Modifications = &apiextensionsv1.JSON{Raw: digits(raw)}
	}
	if scale := r.Response.Scale; scale != nil {
		s.Output.Scale = platenv1alpha1.NumberOrString(scale.decimal(4))
	}
	if bool(r.Response.Transparent) && mayBeTransparent(r.Response.Format) {
		s.Output.Transparent = new(true)
	}
	switch r.Response.Format {
	case string(platenv1alpha1.FormatPDF):
		s.Output.PDF = pdfSpec(r.PDFOptions, r.Response.PDFOptions)
	case string(platenv1alpha1.FormatMP4), string(platenv1alpha1.FormatWebM), string(platenv1alpha1.FormatGIF):
		s.Output.Quality = cmp.Or(s.Output.Quality, int32(r.VideoOptions.Quality), int32(r.Response.VideoOptions.Quality))
		s.Output.Video = videoSpec(r.VideoOptions, r.Response.VideoOptions)
		if s.Output.Format != platenv1alpha1.FormatGIF && ptr.Deref(s.Output.Video.Loop, false) {
			s.Output.Video.Loop = nil // limitations says so, and the job would say it again
		}
	default:
		sizes := map[string]bool{}
		for _, extra := range r.Response.ExtraSizes {
			if !sizes[extra.Size] {
				s.Output.ExtraSizes = append(s.Output.ExtraSizes, platenv1alpha1.PageSize(extra.Size))
			}
			sizes[extra.Size] = true
		}
	}
	// An empty list stays nil, because a request without connections uploads to every automatic connection.
	for _, c := range r.Connections {
		connection := platenv1alpha1.JobConnection{
			Type: platenv1alpha1.ConnectionStorage, Provider: platenv1alpha1.ProviderType(c.Provider), Folder: platenv1alpha1.Folder(c.Folder),
		}
		if name := strings.TrimSpace(c.Name); name != "" {
			connection.Name = new(name)
		}
		s.Connections = append(s.Connections, connection)
	}
	return s
}

// mayBeTransparent reports whether the files of a format, as a request has it, may have no background.
func mayBeTransparent(format string) bool {
	return slices.Contains([]string{"", "png", "webp", "avif"}, format)
}

// pageSize returns the size of the pages.
func pageSize(r ResponseOptions) platenv1alpha1.PageSize {
	if r.Size == "" && r.Width != 0 && r.Height != 0 { // of one without the other, the request says what is wrong
		return platenv1alpha1.PageSize(fmt.Sprintf("%dx%d", r.Width, r.Height))
	}
	return platenv1alpha1.PageSize(plainSize(string(r.Size)))
}

// pdfSpec translates options. a has precedence.
func pdfSpec(a, b PDFOptions) platenv1alpha1.PDFOptions {
	margin, _ := plainMargin(cmp.Or(a.Margin, b.Margin)) // checked with the request
	return platenv1alpha1.PDFOptions{
		Margin: platenv1alpha1.NumberOrString(margin), RangeFrom: int32(cmp.Or(a.RangeFrom, b.RangeFrom)), RangeTo: int32(cmp.Or(a.RangeTo, b.RangeTo)),
		DPI: int32(cmp.Or(a.DPI, b.DPI)), ColorMode: platenv1alpha1.ColorMode(cmp.Or(a.ColorMode, b.ColorMode)),
		Title: cmp.Or(a.Title, b.Title),
	}
}

var lengths = regexp.MustCompile(`^([0-9]{0,4})(\.[0-9]+)? ?(px|pt|mm|cm|in)?$`)

// plainMargin returns a margin as spec.output spells it. ok is false if it is not one length.
func plainMargin(text string) (margin string, ok bool) {
	parts := lengths.FindStringSubmatch(strings.ToLower(strings.TrimSpace(text)))
	if parts == nil || parts[1]+parts[2] == "" {
		return "", text == ""
	}
	length, err := strconv.ParseFloat("0"+parts[1]+parts[2], 64)
	if err != nil {
		return "", false
	}
	unit := parts[3]
	if unit == "pt" {
		length, unit = length*96/72, "px" // https://www.w3.org/TR/css-values-4/#absolute-lengths
	}
	return Decimal(length).decimal(3) + unit, true
}

// videoSpec translates options. a has precedence. Of the transitions, only a fade between pages of one file remains.
func videoSpec(a, b VideoOptions) platenv1alpha1.VideoOptions {
	v := platenv1alpha1.VideoOptions{
		FPS: int32(math.Round(float64(cmp.Or(a.FPS, b.FPS)))), Loop: (*bool)(cmp.Or(a.Loop, b.Loop)), CombinePages: (*bool)(cmp.Or(a.CombinePages, b.CombinePages)),
	}
	if duration := cmp.Or(a.Duration, b.Duration); duration != 0 {
		v.Duration = platenv1alpha1.NumberOrString(duration.decimal(3))
	}
	if start := cmp.Or(a.TrimStart, b.TrimStart); start != nil {
		v.TrimStart = platenv1alpha1.NumberOrString(start.decimal(3))
	}
	if end := cmp.Or(a.TrimEnd, b.TrimEnd); ptr.Deref(end, 0) != 0 { // forms send 0 for no end
		v.TrimEnd = platenv1alpha1.NumberOrString(end.decimal(3))
	}
	if strings.EqualFold(cmp.Or(a.PageTransition, b.PageTransition), string(platenv1alpha1.TransitionFade)) && ptr.Deref(v.CombinePages, false) {
		v.PageTransition = platenv1alpha1.TransitionFade
		if length := cmp.Or(a.PageTransitionDuration, b.PageTransitionDuration); length != 0 {
			v.PageTransitionDuration = platenv1alpha1.NumberOrString(length.decimal(3))
		}
	}
	return v
}

// limitations returns warnings about what a request asks for and its format cannot have.
func limitations(r Request) (warnings []Warning) {
	format := file.Format(r.Response.Format)
	warnings = contradictions(r)
	if r.Response.Mode == modeAsync && r.Response.Type == typeBinary {
		warnings = append(warnings, Warning{
			Title:   "Field 'response.type' was ignored: an asynchronous render answers with no file",
			Details: "its state has URLs; base64 puts the files themselves into it",
		})
	}
	if len(r.Response.ExtraSizes) > 0 && (format == "pdf" || format.IsVideo()) {
		warnings = append(warnings, Warning{
			Title:   "Field 'response.extraSizes' was ignored",
			Details: "extra sizes are for png, jpg, jpeg, webp and avif; ask for each size of a " + r.Response.Format + " with response.size",
		})
	}
	if bool(r.Response.Transparent) && !mayBeTransparent(r.Response.Format) {
		warnings = append(warnings, Warning{Title: "Field 'response.transparent' was ignored", Details: "it is for png, webp and avif, and the format is " + r.Response.Format})
	}
	if format != "pdf" {
		warnings = append(warnings, ignoredOptions("pdfOptions", r.PDFOptions, "pdf", format)...)
		warnings = append(warnings, ignoredOptions("response.pdfOptions", r.Response.PDFOptions, "pdf", format)...)
	}
	if !format.IsVideo() {
		warnings = append(warnings, ignoredOptions("videoOptions", r.VideoOptions, "mp4, webm and gif", format)...)
		return append(warnings, ignoredOptions("response.videoOptions", r.Response.VideoOptions, "mp4, webm and gif", format)...)
	}
	a, b := r.VideoOptions, r.Response.VideoOptions
	if muted := cmp.Or(a.Muted, b.Muted); muted != nil && !*muted {
		warnings = append(warnings, Warning{Title: "The video has no sound", Details: "videoOptions.muted is false, but Platen records no sound"})
	}
	if loop := cmp.Or(a.Loop, b.Loop); ptr.Deref(loop, false) && format != "gif" {
		warnings = append(warnings, Warning{Title: "Field 'videoOptions.loop' was ignored", Details: "only a gif says whether it repeats; a player decides for " + r.Response.Format})
	}
	if fps := cmp.Or(a.FPS, b.FPS); float64(fps) != math.Trunc(float64(fps)) {
		warnings = append(warnings, Warning{Title: fmt.Sprintf("Field 'videoOptions.fps' was rounded to %.0f", fps), Details: "a film has a whole number of frames a second"})
	}
	switch transition := strings.ToLower(cmp.Or(a.PageTransition, b.PageTransition)); {
	case transition == "" || transition == string(platenv1alpha1.TransitionNone):
	case transition != string(platenv1alpha1.TransitionFade):
		warnings = append(warnings, Warning{
			Title: fmt.Sprintf("Field 'videoOptions.pageTransition' was ignored: '%.100s' is not supported", transition), Details: "pages follow each other with a cut; use fade or none",
		})
	case !bool(ptr.Deref(cmp.Or(a.CombinePages, b.CombinePages), false)):
		warnings = append(warnings, Warning{Title: "Field 'videoOptions.pageTransition' was ignored", Details: "each page has a file of its own; set videoOptions.combinePages"})
	}
	return warnings
}

// ignoredField says why a field does not count.
func ignoredField(name, because string) Warning {
	return Warning{Title: fmt.Sprintf("Field '%s' was ignored, because %s", name, because)}
}

// contradictions returns a warning for each field that says something else than another one, which counts.
func contradictions(r Request) (warnings []Warning) {
	other := func(name, counts string, differ bool) {
		if differ {
			warnings = append(warnings, ignoredField(name, fmt.Sprintf("'%s' is there too", counts)))
		}
	}
	o := r.Response
	other("webhook_url", "webhook", r.Webhook != "" && r.WebhookURL != "" && r.Webhook != r.WebhookURL)
	sized := o.Size != "" && plainSize(string(o.Size)) != fmt.Sprintf("%dx%d", o.Width, o.Height)
	other("response.width", "response.size", sized && o.Width != 0)
	other("response.height", "response.size", sized && o.Height != 0)
	switch format := file.Format(o.Format); {
	case format == "pdf":
		warnings = append(warnings, contradicted("pdfOptions", r.PDFOptions, o.PDFOptions)...)
	case format.IsVideo():
		warnings = append(warnings, contradicted("videoOptions", r.VideoOptions, o.VideoOptions)...)
		quality := cmp.Or(r.VideoOptions.Quality, o.VideoOptions.Quality)
		other("videoOptions.quality", "response.quality", o.Quality != 0 && quality != 0 && quality != o.Quality)
	}
	return warnings
}

// contradicted returns a warning for each of the options in response that those beside it, which count, set to something else.
func contradicted(name string, counts, inResponse any) (warnings []Warning) {
	a, b := reflect.ValueOf(counts), reflect.ValueOf(inResponse)
	for _, field := range reflect.VisibleFields(a.Type()) {
		x, y := a.FieldByIndex(field.Index), b.FieldByIndex(field.Index)
		if !field.Anonymous && field.Tag.Get("warn") == "" && !x.IsZero() && !y.IsZero() && !reflect.DeepEqual(x.Interface(), y.Interface()) {
			path := name + "." + jsonName(field)
			warnings = append(warnings, ignoredField("response."+path, fmt.Sprintf("'%s' is there too", path)))
		}
	}
	return warnings
}

// ignoredOptions returns a warning for each of the options that are set, because they are for other formats than the request's.
func ignoredOptions(name string, options any, formats string, format file.Format) (warnings []Warning) {
	set := reflect.ValueOf(options)
	for _, field := range reflect.VisibleFields(set.Type()) {
		if !field.Anonymous && field.Tag.Get("warn") == "" && !set.FieldByIndex(field.Index).IsZero() {
			warnings = append(warnings, Warning{
				Title:   fmt.Sprintf("Field '%s.%s' was ignored", name, jsonName(field)),
				Details: fmt.Sprintf("it is for %s, and the format is %s", formats, cmp.Or(format, "png")),
			})
		}
	}
	return warnings
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
	storage.PolicyHelps, "another response.fileName helps", // a request has no conflict policy
	storage.KeptByPolicy, "the connection keeps files that are there; another response.fileName makes a new one",
	"spec.title: ", "name: ",
	"spec.description: ", "description: ",
).Replace
