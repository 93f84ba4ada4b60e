// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"cmp"
	"strconv"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/jobwatch"
)

// spec is the RenderJob that a request asks for.
func spec(r Request, template string, ttl time.Duration) platenv1alpha1.RenderJobSpec {
	s := platenv1alpha1.RenderJobSpec{
		TemplateRef: platenv1alpha1.TemplateReference{Name: template},
		Output: platenv1alpha1.OutputSpec{
			Format:   platenv1alpha1.Format(r.Response.Format),
			FileName: platenv1alpha1.FileName(r.Response.FileName),
			Quality:  r.Response.Quality,
			Pages:    r.Response.IncludePages,
		},
		TTLSecondsAfterFinished: new(int32(ttl.Seconds())),
	}
	if len(r.Modifications) > 0 && string(r.Modifications) != "null" {
		s.Modifications = &apiextensionsv1.JSON{Raw: r.Modifications}
	}
	if scale := r.Response.Scale; scale != nil {
		s.Output.Scale = strconv.FormatFloat(*scale, 'f', -1, 64)
	}
	switch pdf, video := cmp.Or(r.PDFOptions, r.Response.PDFOptions), cmp.Or(r.VideoOptions, r.Response.VideoOptions); r.Response.Format {
	case string(platenv1alpha1.FormatPDF):
		s.Output.PDF = platenv1alpha1.PDFOptions{Margin: pdf.Margin, RangeFrom: pdf.RangeFrom, RangeTo: pdf.RangeTo, DPI: pdf.DPI}
	case string(platenv1alpha1.FormatMP4), string(platenv1alpha1.FormatGIF):
		s.Output.Quality = cmp.Or(s.Output.Quality, video.Quality)
		s.Output.Video = platenv1alpha1.VideoOptions{FPS: video.FPS, Loop: video.Loop}
		if video.Duration > 0 {
			s.Output.Video.Duration = strconv.FormatFloat(video.Duration, 'f', -1, 64)
		}
	}
	// A request without connections is uploaded by every automatic connection, so an empty list means the same as none.
	for _, c := range r.Connections {
		s.Connections = append(s.Connections, platenv1alpha1.JobConnection{
			Type: platenv1alpha1.ConnectionType(c.Type), Provider: platenv1alpha1.ProviderType(c.Provider), Folder: platenv1alpha1.FolderPath(c.Folder),
		})
	}
	return s
}

// failure returns why a finished job has failed; ok is false when it has not.
func failure(job *platenv1alpha1.RenderJob) (reason, message string, ok bool) {
	if meta.IsStatusConditionTrue(job.Status.Conditions, platenv1alpha1.RenderedCondition) {
		return "", "", false
	}
	if ready := meta.FindStatusCondition(job.Status.Conditions, platenv1alpha1.ReadyCondition); ready != nil {
		return ready.Reason, ready.Message, true
	}
	return platenv1alpha1.FailedReason, "the render failed", true
}

// answer is the body for a finished job. contents holds what stands for each file: its URL, or a data URL.
func answer(job *platenv1alpha1.RenderJob, kind string, contents []string, extra []Warning, took time.Duration) any {
	format, milliseconds := string(job.Status.Format), float64(took.Microseconds())/1000
	warnings := extra
	for _, w := range job.Status.Warnings {
		warning := Warning{Title: w.Title}
		if w.Details != nil {
			warning.Details = *w.Details
		}
		warnings = append(warnings, warning)
	}
	files := job.Status.Pages
	several := len(files) > 1
	connections := connections(job, several)
	if !several {
		return OnePage{Data{contents[0], kind, format, milliseconds}, warnings, connections}
	}
	body := ManyPages{
		Format: format, Type: kind, ResponseTime: milliseconds, TotalPages: len(files), RenderedPages: len(files),
		Warnings: warnings, Connections: connections,
	}
	if n := job.Status.TotalPages; n != nil {
		body.TotalPages = int(*n)
	}
	if n := job.Status.RenderedPages; n != nil {
		body.RenderedPages = int(*n)
	}
	for i, f := range files {
		body.Data = append(body.Data, PageData{f.Page, f.PageID, contents[i]})
	}
	return body
}

func connections(job *platenv1alpha1.RenderJob, several bool) (list []Connection) {
	for _, c := range job.Status.Connections {
		entry := Connection{Type: string(c.Type), Provider: string(c.Provider), Status: string(c.Status), Error: c.Error}
		switch {
		case len(c.Pages) == 0 || c.Status != platenv1alpha1.UploadSuccess:
		case several:
			paths := make([]PagePath, 0, len(c.Pages))
			for _, p := range c.Pages {
				paths = append(paths, PagePath{p.Page, p.Path})
			}
			entry.Path = paths
		default:
			entry.Path = c.Pages[0].Path
		}
		list = append(list, entry)
	}
	return list
}

// status is the public API's word for how far a job has come.
func status(job *platenv1alpha1.RenderJob) string {
	ready := meta.FindStatusCondition(job.Status.Conditions, platenv1alpha1.ReadyCondition)
	switch {
	case jobwatch.Finished(job):
		if _, _, failed := failure(job); failed {
			return "failed"
		}
		return "succeeded"
	case ready != nil && ready.Reason != platenv1alpha1.QueuedReason:
		return "processing"
	default:
		return "queued"
	}
}
