// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package task

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/nearest"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/render"
)

const (
	// MaxSide bounds the width and height of a page in CSS pixels, as RenderTemplate does.
	MaxSide = 5000
	// maxFiles bounds the files of a job, so that its status fits into an API object.
	maxFiles = 200
)

// presets are the named sizes in CSS pixels; docs/spec/v1alpha1/renderjob.md lists them.
var presets = map[string]render.Size{
	// The public API's.
	"a4-document":              {Width: 2480, Height: 3508},
	"blog-header":              {Width: 1200, Height: 630},
	"business-card":            {Width: 1050, Height: 600},
	"email-header":             {Width: 600, Height: 200},
	"facebook-cover":           {Width: 851, Height: 315},
	"facebook-post":            {Width: 1200, Height: 630},
	"facebook-story":           {Width: 1080, Height: 1920},
	"instagram-post-landscape": {Width: 1080, Height: 566},
	"instagram-post-portrait":  {Width: 1080, Height: 1350},
	"instagram-post":           {Width: 1080, Height: 1080},
	"instagram-story":          {Width: 1080, Height: 1920},
	"leaderboard-ad":           {Width: 728, Height: 90},
	"linkedin-banner":          {Width: 1584, Height: 396},
	"linkedin-post":            {Width: 1200, Height: 627},
	"medium-rectangle-ad":      {Width: 300, Height: 250},
	"og-image":                 {Width: 1200, Height: 630},
	"pinterest-pin":            {Width: 1000, Height: 1500},
	"presentation-16-9":        {Width: 1920, Height: 1080},
	"tiktok-video":             {Width: 1080, Height: 1920},
	"twitter-header":           {Width: 1500, Height: 500},
	"twitter-post":             {Width: 1200, Height: 675},
	"us-letter":                {Width: 2550, Height: 3300},
	"website-banner":           {Width: 1920, Height: 600},
	"whatsapp-status":          {Width: 1080, Height: 1920},
	"youtube-short":            {Width: 1080, Height: 1920},
	"youtube-thumbnail":        {Width: 1280, Height: 720},
	"zoom-background":          {Width: 1920, Height: 1080},
	// Further ones.
	"square":              {Width: 1080, Height: 1080},
	"portrait":            {Width: 1080, Height: 1350},
	"landscape":           {Width: 1920, Height: 1080},
	"story":               {Width: 1080, Height: 1920},
	"instagram-portrait":  {Width: 1080, Height: 1350},
	"instagram-landscape": {Width: 1080, Height: 566},
	"instagram-reel":      {Width: 1080, Height: 1920},
	"x-post":              {Width: 1200, Height: 675},
	"x-header":            {Width: 1500, Height: 500},
	"youtube-banner":      {Width: 2560, Height: 1440},
	// Paper, with CSS's 96 pixels to the inch, rounded.
	"a3":               {Width: 1123, Height: 1587},
	"a4":               {Width: 794, Height: 1123},
	"a4-landscape":     {Width: 1123, Height: 794},
	"a5":               {Width: 559, Height: 794},
	"letter":           {Width: 816, Height: 1056},
	"letter-landscape": {Width: 1056, Height: 816},
	"legal":            {Width: 816, Height: 1344},
}

// Presets returns the names that spec.output.size accepts in addition to WIDTHxHEIGHT.
func Presets() []string { return slices.Sorted(maps.Keys(presets)) }

// allNames begins the list of the presets in an error.
const allNames = "or one of "

// parseSize parses a size such as 1080x1080, or the name of a preset. The error lists the names, if they are not said already.
func parseSize(field, name string, said bool) (render.Size, error) {
	size, ok := presets[name]
	read := 0
	if !ok {
		var rest string
		read, _ = fmt.Sscanf(name, "%dx%d%s", &size.Width, &size.Height, &rest) // the check below reports what does not parse
		ok = read == 2 && min(size.Width, size.Height) >= 1 && max(size.Width, size.Height) <= MaxSide
	}
	if !ok {
		if read == 2 {
			return render.Size{}, reconcile.Terminal(platenv1alpha1.InvalidSpecReason, "%s: '%s' must be a width and a height of 1 to %d CSS pixels", field, name, MaxSide)
		}
		choice := allNames + strings.Join(Presets(), ", ")
		if near := nearest.Name(name, Presets()); near != "" {
			choice = fmt.Sprintf("or a name such as instagram-post; did you mean '%s'?", near)
		} else if said {
			choice = "or a name such as instagram-post"
		}
		return render.Size{}, reconcile.Terminal(platenv1alpha1.InvalidSpecReason,
			"%s: '%s' must be a width and a height of 1 to %d CSS pixels, such as 1080x1080, %s", field, name, MaxSide, choice)
	}
	size.Name = name
	return size, nil
}

// CheckSizeNames reports the sizes of a job that are none, which the API server takes.
func CheckSizeNames(output platenv1alpha1.OutputSpec) error {
	_, _, wrong := readSizes(output)
	return reconcile.Join(wrong)
}

// readSizes returns the size of the pages of a job, nil if that is the template's, and its extra sizes. There is an error for each that is none.
func readSizes(output platenv1alpha1.OutputSpec) (size *render.Size, extra []render.Size, wrong []error) {
	listed := false // the names, once
	read := func(field string, name platenv1alpha1.PageSize) render.Size {
		one, err := parseSize(field, string(name), listed)
		if err != nil {
			wrong = append(wrong, err)
			listed = listed || strings.Contains(err.Error(), allNames)
		}
		return one
	}
	if output.Size != "" {
		size = new(read("spec.output.size", output.Size))
	}
	for i, name := range output.ExtraSizes {
		extra = append(extra, read(fmt.Sprintf("spec.output.extraSizes[%d]", i), name))
	}
	return size, extra, wrong
}

// applySizes replaces the template's page sizes with the job's, and adds the extra sizes. checkSpec has checked them.
func applySizes(task *render.Task, output platenv1alpha1.OutputSpec) {
	size, extra, _ := readSizes(output)
	for i := range task.Pages {
		if size != nil {
			task.Pages[i].Width, task.Pages[i].Height = size.Width, size.Height
		}
	}
	task.ExtraSizes = extra
}

// checkSizes reports a task that is too large for a render pod or for the job's status, and a video with pages of several sizes.
func checkSizes(task render.Task, output platenv1alpha1.OutputSpec, limits Limits) error {
	if files := len(task.Files()); files > maxFiles {
		return reconcile.Terminal(platenv1alpha1.InvalidSpecReason,
			"spec.output.extraSizes: %d pages in %d sizes are %d files; at most %d are allowed", len(task.Pages), 1+len(task.ExtraSizes), files, maxFiles)
	}
	for _, page := range task.Pages {
		if pixels := task.Pixels(page.Width, page.Height); pixels > float64(limits.MaxPixels) {
			return tooLarge(fmt.Sprintf("page %d", page.Number), pixels, output, limits)
		}
		if err := checkFormat(fmt.Sprintf("page %d", page.Number), page.Width, page.Height, task, output); err != nil {
			return err
		}
		if task.Format == "pdf" {
			if err := checkPaper(page, task); err != nil {
				return err
			}
		}
		first := task.Pages[0]
		if task.Filmed() && task.Joined() && (page.Width != first.Width || page.Height != first.Height) {
			return reconcile.Terminal(platenv1alpha1.InvalidSpecReason,
				"spec.output.video.combinePages: page %d is %dx%d and page %d is %dx%d; the pages of one video must have the same size; set spec.output.size",
				first.Number, first.Width, first.Height, page.Number, page.Width, page.Height)
		}
	}
	for _, size := range task.ExtraSizes {
		if pixels := task.Pixels(size.Width, size.Height); pixels > float64(limits.MaxPixels) {
			return tooLarge("size "+size.Name, pixels, output, limits)
		}
		if err := checkFormat("size "+size.Name, size.Width, size.Height, task, output); err != nil {
			return err
		}
	}
	return nil
}

// limit is what a format can hold, in picture pixels.
type limit struct {
	// side bounds the width and the height, and pixels the picture; 0 is no bound.
	side, pixels  int
	name, instead string
}

// formatLimits of the formats that hold less than a page may have.
var formatLimits = map[platenv1alpha1.Format]limit{
	// https://developers.google.com/speed/webp/docs/riff_container: 14 bits for each of VP8's dimensions.
	platenv1alpha1.FormatWebP: {side: 16383, name: "a WebP picture", instead: "png"},
	// JPEG has 16 bits for each side, and libjpeg-turbo writes fewer: JPEG_MAX_DIMENSION.
	platenv1alpha1.FormatJPG: {side: 65500, name: "a JPEG picture", instead: "png"},
	"jpeg":                   {side: 65500, name: "a JPEG picture", instead: "png"},
	// What libavif decodes by default.
	platenv1alpha1.FormatAVIF: {side: 32768, name: "an AVIF picture", instead: "png"},
	// ITU-T H.264, table A-1: level 6.2 has frames of 139,264 macroblocks of 16x16 pixels, and sides of at most 1,055.
	platenv1alpha1.FormatMP4: {side: 1055 * 16, pixels: 139264 * 256, name: "an H.264 video", instead: "png"},
	// Frames wait for the palette as H.264.
	// VP9 has 16 bits for each side, and libvpx of Debian and Chromium is built for 16384.
	platenv1alpha1.FormatWebM: {side: 16384, pixels: 139264 * 256, name: "a WebM video", instead: "png"},
	platenv1alpha1.FormatGIF:  {side: 1055 * 16, pixels: 139264 * 256, name: "a GIF animation", instead: "png"},
}

// checkFormat reports a picture that the job's format cannot hold.
func checkFormat(what string, width, height int, task render.Task, output platenv1alpha1.OutputSpec) error {
	l, ok := formatLimits[output.Format]
	w, h := int(math.Round(float64(width)*task.Scale)), int(math.Round(float64(height)*task.Scale))
	switch {
	case !ok:
		return nil
	case max(w, h) > l.side:
		return reconcile.Terminal(platenv1alpha1.InvalidSpecReason,
			"spec.output.format: %s would be %dx%d pixels at scale %s, and %s has at most %d on a side; choose a smaller spec.output.scale or size, or format %s",
			what, w, h, output.Scale, l.name, l.side, l.instead)
	case l.pixels > 0 && w*h > l.pixels:
		return reconcile.Terminal(platenv1alpha1.InvalidSpecReason,
			"spec.output.format: %s would have %d pixels at scale %s, and %s has at most %d; choose a smaller spec.output.scale or size, or format %s",
			what, w*h, output.Scale, l.name, l.pixels, l.instead)
	}
	return nil
}

// maxPaper is the longest side of a page of a PDF, in points (ISO 32000-1, Annex C.2).
const maxPaper = 14400

// checkPaper reports a document whose pages are too large.
func checkPaper(page render.Page, task render.Task) error {
	dpi := float64(cmp.Or(task.PDF.DPI, 96))
	for side, pixels := range map[string]int{"wide": page.Width, "high": page.Height} {
		if points := (float64(pixels) + 2*task.PDF.Margin) / dpi * 72; points > maxPaper {
			return reconcile.Terminal(platenv1alpha1.InvalidSpecReason,
				"spec.output.pdf: page %d would be %.0f points %s with its margin, and a PDF has at most %d; choose a smaller margin or size, or a larger dpi",
				page.Number, points, side, maxPaper)
		}
	}
	return nil
}

func tooLarge(what string, pixels float64, output platenv1alpha1.OutputSpec, limits Limits) error {
	return reconcile.Terminal(platenv1alpha1.InvalidSpecReason,
		"spec.output.scale: %s would have %.0f pixels at scale %s; at most %d are allowed", what, pixels, output.Scale, limits.MaxPixels)
}
