// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package render says what a render is: a task in, files out. It knows neither Kubernetes nor storage, and imports nothing of
// ours, so that every other package can speak of tasks.
package render

import "context"

// Task is one render: everything that the browser needs, and nothing about who asked.
type Task struct {
	// Format of the files: png, jpg, jpeg, webp, avif, pdf, mp4 or gif.
	Format string `json:"format"`
	// Scale is the number of picture pixels for a CSS pixel, 0.1..10.
	Scale float64 `json:"scale"`
	// Quality of jpg, jpeg, webp, avif and mp4 files, 1..100; webp and avif are without loss at 100.
	Quality int `json:"quality"`
	// Transparent leaves the ground of a png, webp or avif file transparent where the page paints none; otherwise it is white.
	Transparent bool `json:"transparent,omitempty"`
	// PDF options, for format pdf.
	PDF PDFOptions `json:"pdf,omitzero"`
	// Video options, for formats mp4 and gif.
	Video VideoOptions `json:"video,omitzero"`
	// Pages to render, in order.
	Pages []Page `json:"pages"`
	// Modifications is a flat JSON object: values for the pages' data-param elements, and the special keys of package template.
	Modifications map[string]any `json:"modifications,omitempty"`
}

// PDFOptions say how a document is made.
type PDFOptions struct {
	// Margin around each page in CSS pixels; the paper grows by it.
	Margin float64 `json:"margin,omitempty"`
	// DPI is how many CSS pixels make an inch of paper. 0 is CSS's own 96.
	DPI int `json:"dpi,omitempty"`
	// Title of the document.
	Title string `json:"title,omitempty"`
}

// VideoOptions say how an animation is filmed.
type VideoOptions struct {
	// FPS is frames per second, 1..30.
	FPS int `json:"fps,omitempty"`
	// Seconds of each page. 0 is the longest finite animation of the page, or one round of the longest endless one.
	Seconds float64 `json:"seconds,omitempty"`
	// Loop makes a gif start again at its end.
	Loop bool `json:"loop,omitempty"`
	// Combine joins the pages to one file, one after the other.
	Combine bool `json:"combine,omitempty"`
}

// Page is one page of a Task.
type Page struct {
	// Number in the template, from 1.
	Number int `json:"number"`
	// ID and Name of the template's page.
	ID   string `json:"id"`
	Name string `json:"name"`
	// Width and Height in CSS pixels.
	Width  int    `json:"width"`
	Height int    `json:"height"`
	HTML   string `json:"html"`
}

// Joined tells whether all pages end in one file.
func (t Task) Joined() bool { return t.Format == "pdf" || t.Filmed() && t.Video.Combine }

// Filmed tells whether the files are videos.
func (t Task) Filmed() bool { return t.Format == "mp4" || t.Format == "gif" }

// Files returns the page numbers of the files that the task produces: one for each page, or the first page's for a file that
// holds them all.
func (t Task) Files() []int {
	var numbers []int
	for _, p := range t.Pages {
		numbers = append(numbers, p.Number)
		if t.Joined() {
			break
		}
	}
	return numbers
}

// ContentType of the task's files.
func (t Task) ContentType() string { return ContentType(t.Format) }

// ContentType of files of a format; application/octet-stream when it is not known.
func ContentType(format string) string {
	switch format {
	case "png", "webp", "avif", "gif":
		return "image/" + format
	case "jpg", "jpeg":
		return "image/jpeg"
	case "pdf":
		return "application/pdf"
	case "mp4":
		return "video/mp4"
	default:
		return "application/octet-stream"
	}
}

// Output is one finished file.
type Output struct {
	// Page number of the file; of a file that holds several pages, the first.
	Page   int
	PageID string
	// Width and Height in pixels; of a PDF, of its first page in CSS pixels.
	Width, Height int
	ContentType   string
	Data          []byte
}

// Warning is something that went wrong and did not stop the render.
type Warning struct {
	Title   string `json:"title"`
	Details string `json:"details,omitempty"`
}

// Renderer renders tasks. Render calls emit for each file as soon as it is painted, in page order, and returns when all are. The
// error is an *Error unless ctx was cancelled by the caller.
type Renderer interface {
	Render(ctx context.Context, task Task, emit func(context.Context, Output) error) ([]Warning, error)
}

// Reasons of an Error.
const (
	ReasonInvalidTask      = "InvalidTask"
	ReasonRenderFailed     = "RenderFailed"
	ReasonDeadlineExceeded = "DeadlineExceeded"
	ReasonBrowserCrashed   = "BrowserCrashed"
)

// Error says what is wrong with a render and whether another attempt may help.
type Error struct {
	// Reason is one of the constants above, or one of package pool.
	Reason string
	// Message in the user's words.
	Message string
	// Terminal is true when another attempt would fail in the same way.
	Terminal bool
	// Err is the cause, if any.
	Err error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
