// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package numbers reads the decimal numbers of spec.output of a RenderJob. The API server takes any value of those fields, because its rules know
// no field that takes both texts and decimal numbers.
package numbers

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// Numbers of an output; zero for those that it does not have.
type Numbers struct {
	Scale float64
	// Margin in CSS pixels, of which as many make an inch of paper as the output's dpi says.
	Margin float64
	// Duration, TrimStart, TrimEnd and Fade in seconds.
	Duration, TrimStart, TrimEnd, Fade float64
}

// MaxVideo is the longest time in a video that any manager takes.
const MaxVideo = time.Hour

// DefaultMaxVideo is the longest video of a page that a manager takes unless its flag --max-video-duration says otherwise.
const DefaultMaxVideo = time.Minute

// Read returns the numbers of an output whose pages' videos have at most maxVideo, and an error for each that is wrong, which names the field and says
// what it must be.
func Read(output platenv1alpha1.OutputSpec, maxVideo time.Duration) (n Numbers, wrong []error) {
	video := output.Video
	refuse := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	for _, field := range []struct {
		name        string
		text        platenv1alpha1.NumberOrString
		what        string
		least, most float64
		number      *float64
	}{
		{"scale", output.Scale, "a decimal number", 0.1, 10, &n.Scale},
		{"video.duration", video.Duration, "a decimal number of seconds", 0.1, maxVideo.Seconds(), &n.Duration},
		{"video.trimStart", video.TrimStart, "a decimal number of seconds", 0, MaxVideo.Seconds(), &n.TrimStart},
		{"video.trimEnd", video.TrimEnd, "a decimal number of seconds", 0, MaxVideo.Seconds(), &n.TrimEnd},
		{"video.pageTransitionDuration", video.PageTransitionDuration, "a decimal number of seconds", 0.1, 2, &n.Fade},
	} {
		if field.text == "" {
			continue
		}
		number, unit, ok := length(field.text)
		if !ok || unit != "" || number < field.least || number > field.most {
			refuse("spec.output.%s: '%s' must be %s from %g to %g%s", field.name, shown(field.text), field.what, field.least, field.most, aboutComma(field.text))
			continue
		}
		*field.number = number
	}
	if margin := output.PDF.Margin; margin != "" {
		number, unit, ok := length(margin)
		if !ok || number >= maxMargin {
			refuse("spec.output.pdf.margin: '%s' must be a length in px, pt, mm, cm or in, such as 20px, and less than %d%s", shown(margin), maxMargin, aboutComma(margin))
		}
		n.Margin = number * cssPixels[cmp.Or(unit, "px")]
		if unit != "" && unit != "px" { // a length on paper, whatever dpi is
			n.Margin *= float64(cmp.Or(output.PDF.DPI, cssDPI)) / cssDPI
		}
	}
	if video.TrimEnd != "" && n.TrimEnd <= n.TrimStart && len(wrong) == 0 {
		refuse("spec.output.video.trimEnd: '%s' must be more than trimStart", video.TrimEnd)
	}
	if video.PageTransitionDuration != "" && video.PageTransition != platenv1alpha1.TransitionFade {
		refuse("spec.output.video.pageTransitionDuration needs pageTransition: %s", platenv1alpha1.TransitionFade)
	}
	return n, wrong
}

const (
	// cssDPI are the CSS pixels of an inch.
	cssDPI = 96
	// maxMargin bounds the number of a margin.
	maxMargin = 10000
	// maxShown bounds what a message shows of a value, in bytes.
	maxShown = 40
)

// cssPixels has the CSS pixels of each unit of a margin (https://www.w3.org/TR/css-values-4/#absolute-lengths).
var cssPixels = map[string]float64{"px": 1, "in": 96, "cm": 96 / 2.54, "mm": 96 / 25.4, "pt": 96. / 72}

var lengthPattern = regexp.MustCompile(`^([0-9]{1,9}(?:\.[0-9]{1,20})?)(px|pt|mm|cm|in)?$`)

// length reads a decimal number and its unit, if it has one.
func length(text platenv1alpha1.NumberOrString) (number float64, unit string, ok bool) {
	found := lengthPattern.FindStringSubmatch(string(text))
	if found == nil {
		return 0, "", false
	}
	number, err := strconv.ParseFloat(found[1], 64)
	return number, found[2], err == nil
}

// aboutComma says how to write a number that somebody has written with a comma.
func aboutComma(text platenv1alpha1.NumberOrString) string {
	if strings.Contains(string(text), ",") {
		return ", with a point instead of the comma"
	}
	return ""
}

// shown returns what a message shows of a value.
func shown(text platenv1alpha1.NumberOrString) string {
	return strings.ToValidUTF8(string(text[:min(len(text), maxShown)]), "")
}
