// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package file declares a rendered file: its identity within one render, its name, its format, its hashes, and its size in words. It imports no other
// package of Platen, so that rendering, the content store and storage services share it.
package file

import "fmt"

// File describes a rendered file. The task sets its identity and name, the renderer its dimensions, and the content store its size
// and hashes.
type File struct {
	ID
	// Name with its extension, as users see it.
	Name string `json:"name"`
	// Format of the file.
	Format Format `json:"format"`
	// PageID identifies the template's page.
	PageID string `json:"pageID"`
	// Width and Height in pixels. For a PDF, those of its first page in CSS pixels.
	Width  int `json:"width"`
	Height int `json:"height"`
	// Size in bytes.
	Size int64 `json:"size"`
	// SHA256 of the file, in hexadecimal.
	SHA256 string `json:"sha256"`
	// ContentHash is Dropbox's content_hash of the file, in hexadecimal.
	ContentHash string `json:"contentHash"`
}

// ID identifies a file among the files of one render.
type ID struct {
	// Page is the page's number in the template, from 1. A file that holds several pages has the number of its first page.
	Page int `json:"page"`
	// ExtraSize is the name of the page's extra size. It is empty for the page's own size.
	ExtraSize string `json:"extraSize,omitempty"`
}

// Format is the format of a file and the extension of its name: png, jpg, jpeg, webp, avif, pdf, mp4, webm or gif.
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
	case "mp4", "webm":
		return "video/" + string(f)
	default:
		return "application/octet-stream"
	}
}

// IsVideo reports whether files of the format have frames.
func (f Format) IsVideo() bool { return f == "mp4" || f == "webm" || f == "gif" }

// Name returns the name of a file: `<base>.<format>`. An extra size adds `_<size>` to the base. `_page_<N>` follows when several
// pages have a file each.
func Name(base string, id ID, severalPages bool, format Format) string {
	if id.ExtraSize != "" {
		base += "_" + id.ExtraSize
	}
	if severalPages {
		base = fmt.Sprintf("%s_page_%d", base, id.Page)
	}
	return base + "." + string(format)
}
