// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package render declares a render: a task in, files out. It knows neither Kubernetes nor storage and imports only internal/file, so
// that every other package can use tasks.
package render

import (
	"context"

	"github.com/platen-dev/platen/internal/file"
)

// Task is one render: everything that the browser needs, and nothing about the user.
type Task struct {
	// Name is the beginning of every file's name.
	Name string `json:"name"`
	// Format of the files.
	Format file.Format `json:"format"`
	// Scale is the number of picture pixels for a CSS pixel, 0.1..10.
	Scale float64 `json:"scale"`
	// Quality of jpg, jpeg, webp, avif, mp4 and webm files, 1..100. At 100, webp and avif are lossless.
	Quality int `json:"quality"`
	// Transparent keeps a png, webp or avif file transparent where the page paints no background. Otherwise the background is white.
	Transparent bool `json:"transparent,omitempty"`
	// PDF options, for format pdf.
	PDF PDFOptions `json:"pdf,omitzero"`
	// Video options, for formats mp4, webm and gif.
	Video VideoOptions `json:"video,omitzero"`
	// Pages to render, in order.
	Pages []Page `json:"pages"`
	// ExtraSizes in which every page is rendered too, each to its own file. Pictures only.
	ExtraSizes []Size `json:"extraSizes,omitempty"`
	// Fonts that the pages can use, besides those that are installed. Of two with the same family, style, weight and stretch, the later one wins.
	Fonts []Font `json:"fonts,omitempty"`
	// Modifications is a flat JSON object: values for the pages' data-param elements, and the special keys of package template.
	Modifications map[string]any `json:"modifications,omitempty"`
	// MayBeUnused lists the keys of modifications that get no warning if no page uses them: defaults, given or not, and what pages may use
	// that the task leaves out.
	MayBeUnused []string `json:"mayBeUnused,omitempty"`
	// StylesElsewhere lists those of MayBeUnused that style an element of a page which the task leaves out, such as title.color. One that names no
	// style gets a warning.
	StylesElsewhere []string `json:"stylesElsewhere,omitempty"`
	// Warnings are what is known before a render. They come before those of the pages.
	Warnings []Warning `json:"warnings,omitempty"`
	// TemplatePages is the number of pages of the template. 0 is the highest number of Pages.
	TemplatePages int `json:"templatePages,omitempty"`
}

// PDFOptions are the options of a document.
type PDFOptions struct {
	// Margin around each page in CSS pixels. It makes the paper larger.
	Margin float64 `json:"margin,omitempty"`
	// DPI is the number of CSS pixels to an inch of paper. 0 is 96, as in CSS.
	DPI int `json:"dpi,omitempty"`
	// CMYK asks for the colours of a printing press. The document is made in RGB, with a warning.
	CMYK bool `json:"cmyk,omitempty"`
	// Title of the document.
	Title string `json:"title,omitempty"`
}

// VideoOptions are the options of a video.
type VideoOptions struct {
	// FPS is frames per second, 1..30.
	FPS int `json:"fps,omitempty"`
	// Start is the time of each page at which its video begins, in seconds.
	Start float64 `json:"start,omitempty"`
	// Seconds of each page, from Start. 0 is the length of the page's longest finite animation, or one cycle of its longest infinite one.
	Seconds float64 `json:"seconds,omitempty"`
	// MaxSeconds bounds the length that a page's animations ask for. 0 is 60.
	MaxSeconds float64 `json:"maxSeconds,omitempty"`
	// Loop makes a gif repeat.
	Loop bool `json:"loop,omitempty"`
	// Combine puts all pages into one file, one after the other.
	Combine bool `json:"combine,omitempty"`
	// Fade is the length of the dissolve from page to page in one file, in seconds; 0 is a cut.
	Fade float64 `json:"fade,omitempty"`
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

// MaxFont bounds a font file, in bytes. Fonts with all Chinese letters have about so many.
const MaxFont = 16 << 20

// Font is a font file that pages use by its family.
type Font struct {
	// Family, Style, Weight and Stretch are the descriptors of CSS's @font-face.
	Family  string `json:"family"`
	Style   string `json:"style"`
	Weight  string `json:"weight"`
	Stretch string `json:"stretch"`
	// SHA256 of the file in hexadecimal.
	SHA256 string `json:"sha256"`
	// Size of the file in bytes.
	Size int64 `json:"size"`
	// Data is the file. A task travels without it: render pods fetch a file once.
	Data []byte `json:"-"`
}

// Size is a box of CSS pixels with the name that the job gives it.
type Size struct {
	Name   string `json:"name"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
}

// Joined reports whether one file holds all pages.
func (t Task) Joined() bool { return t.Format == "pdf" || t.Filmed() && t.Video.Combine }

// Filmed reports whether the files are videos.
func (t Task) Filmed() bool { return t.Format.IsVideo() }

// Pixels returns the number of pixels of a picture at the task's scale. width and height are in CSS pixels.
func (t Task) Pixels(width, height int) float64 {
	return float64(width) * t.Scale * float64(height) * t.Scale
}

// Files returns the files of the task in the order in which they are emitted: one for each page, or the first page's if one file
// holds all pages; then one for each page in each extra size. Their dimensions, sizes and hashes are not known yet.
func (t Task) Files() []file.File {
	pages, sizes := t.Pages, append([]Size{{}}, t.ExtraSizes...)
	if t.Joined() {
		pages, sizes = pages[:1], sizes[:1]
	}
	files := make([]file.File, 0, len(pages)*len(sizes))
	for _, size := range sizes {
		for _, p := range pages {
			id := file.ID{Page: p.Number, ExtraSize: size.Name}
			files = append(files, file.File{ID: id, Name: file.Name(t.Name, id, len(pages) > 1, t.Format), Format: t.Format, PageID: p.ID})
		}
	}
	return files
}

// Warning is a problem that did not stop the render.
type Warning struct {
	Title   string `json:"title"`
	Details string `json:"details,omitempty"`
}

// Progress of the frames of a video.
type Progress struct {
	// Percent of the task's frames that are drawn, 0..100.
	Percent int `json:"percent"`
	// Frames that are drawn so far.
	Frames int `json:"frames"`
}

// Sink receives the output of a Renderer.
type Sink interface {
	// Emit takes a file and its bytes. An error ends the render.
	Emit(ctx context.Context, f file.File, data []byte) error
	// Progress is called after each frame of a video. It must return at once.
	Progress(progress Progress)
	// Painted is called for each page in each size, before the file that has it is emitted.
	Painted(place Place)
	// Varies is called if the same task may look different another time: a page has loaded something, or its scripts may ask for the time
	// or for random numbers.
	Varies()
}

// Place is where a page was painted.
type Place string

const (
	// PlaceShared is a tab that is kept: the page had a new document in it.
	PlaceShared Place = "shared"
	// PlaceAlone is a browser context of the page's own, which takes longer.
	PlaceAlone Place = "alone"
	// PlaceRepeated is such a context too, after the page could not be painted in another tab.
	PlaceRepeated Place = "repeated"
)

// Places are all places.
var Places = []Place{PlaceShared, PlaceAlone, PlaceRepeated}

// SinkFunc is a Sink that ignores progress.
type SinkFunc func(ctx context.Context, f file.File, data []byte) error

// Emit implements Sink.
func (s SinkFunc) Emit(ctx context.Context, f file.File, data []byte) error { return s(ctx, f, data) }

// Progress implements Sink.
func (SinkFunc) Progress(Progress) {}

// Painted does nothing.
func (SinkFunc) Painted(Place) {}

// Varies does nothing.
func (SinkFunc) Varies() {}

// Renderer renders tasks. Render emits each file as soon as it is painted, in the order of Task.Files, and returns after the last one.
// The error is an *Error unless the caller canceled ctx.
type Renderer interface {
	Render(ctx context.Context, task Task, sink Sink) ([]Warning, error)
}

// MoreWarnings and MoreWarningsDetails are the last warning of a render that has too many.
const (
	MoreWarnings        = "There are more warnings"
	MoreWarningsDetails = "a job has at most 64: correct what these name first"
)

// Reasons of an Error.
const (
	// ReasonInvalidSpec means that the job's spec does not fit what its page turns out to be.
	ReasonInvalidSpec = "InvalidSpec"
	// ReasonInvalidTask means that the renderer cannot use what the manager gave it.
	ReasonInvalidTask      = "InvalidTask"
	ReasonRenderFailed     = "RenderFailed"
	ReasonDeadlineExceeded = "DeadlineExceeded"
	ReasonBrowserCrashed   = "BrowserCrashed"
	ReasonMemoryExceeded   = "RenderMemoryExceeded"
)

// Error says why a render failed and whether another attempt may succeed.
type Error struct {
	// Reason is one of the constants above, or one of package pool.
	Reason string
	// Message for the user.
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
