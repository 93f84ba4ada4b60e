// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"slices"
	"strings"

	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/dispatch/wire"
	"github.com/platen-dev/platen/internal/render"
)

const (
	// maxMessage bounds the message of a failure, in bytes.
	maxMessage = 1000
	// maxPixels bounds the width and the height of a file.
	maxPixels = 1 << 20
	// untitled is the title of a warning that has none.
	untitled = "The page reported a warning without a title"
)

// reasons are those that a pod may give for a failure.
var reasons = []string{
	render.ReasonInvalidSpec, render.ReasonInvalidTask, render.ReasonRenderFailed, render.ReasonDeadlineExceeded, render.ReasonBrowserCrashed, render.ReasonMemoryExceeded,
}

// valid returns a pod's failure as Platen says it: with a reason of ours, and a message that is not empty.
func valid(f wire.Failure) *render.Error {
	failure := &render.Error{Reason: f.Reason, Message: bounded(f.Message, maxMessage), Terminal: f.Terminal}
	if !slices.Contains(reasons, f.Reason) {
		failure.Reason = render.ReasonRenderFailed
	}
	if failure.Message == "" {
		failure.Message = "the render pod did not say why the render failed"
	}
	return failure
}

// warnings returns a pod's warnings as Platen says them: bounded, and each with a title.
func warnings(reported []render.Warning) (all []content.Warning) {
	for _, w := range reported[:min(len(reported), wire.MaxWarnings)] {
		title := bounded(w.Title, wire.MaxTitle)
		if title == "" {
			title = untitled
		}
		all = append(all, content.Warning{Title: title, Details: bounded(w.Details, wire.MaxDetails)})
	}
	return all
}

// pixels bounds a width or a height. 0 means that it is not known.
func pixels(n int) int { return min(max(n, 0), maxPixels) }

// bounded returns a text as valid UTF-8 without the spaces around it, cut to a number of bytes.
func bounded(text string, limit int) string {
	return strings.TrimSpace(strings.ToValidUTF8(text[:min(len(text), limit)], ""))
}
