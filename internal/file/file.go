// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package file says what a rendered file is: its identity within one render and its format. It imports nothing of ours, so that
// rendering, the content store and storage services name a file in the same way.
package file

// ID identifies a file among the files of one render.
type ID struct {
	// Page is the page's number in the template, from 1. A file that holds several pages has the number of its first page.
	Page int `json:"page"`
	// ExtraSize is the name of the extra size the page is rendered in. It is empty for the page's own size.
	ExtraSize string `json:"extraSize,omitempty"`
}

// Format is the format of a file and the extension of its name: png, jpg, jpeg, webp, avif, pdf, mp4 or gif.
type Format string

// ContentType returns the format's media type, application/octet-stream for an unknown format.
func (f Format) ContentType() string {
	switch f {
	case "png", "webp", "avif", "gif":
		return "image/" + string(f)
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

// IsVideo reports whether files of the format have frames.
func (f Format) IsVideo() bool { return f == "mp4" || f == "gif" }
