// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package file

import "testing"

func TestName(t *testing.T) {
	for want, c := range map[string]struct {
		base         string
		id           ID
		severalPages bool
		format       Format
	}{
		"summer.png":                {base: "summer", id: ID{Page: 2}, format: "png"},
		"banner_page_2.jpg":         {base: "banner", id: ID{Page: 2}, severalPages: true, format: "jpg"},
		"banner_story.png":          {base: "banner", id: ID{Page: 2, ExtraSize: "story"}, format: "png"},
		"banner_1080x80_page_3.png": {base: "banner", id: ID{Page: 3, ExtraSize: "1080x80"}, severalPages: true, format: "png"},
	} {
		if got := Name(c.base, c.id, c.severalPages, c.format); got != want {
			t.Errorf("%+v: got %s, want %s", c, got, want)
		}
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 190_995: "186.5 KiB", 2 << 30: "2.0 GiB", 5 << 40: "5.0 TiB", 3 << 50: "3072.0 TiB"} {
		if got := Size(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}

func TestContentType(t *testing.T) {
	for format, want := range map[Format]string{
		"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "avif": "image/avif", "gif": "image/gif",
		"pdf": "application/pdf", "mp4": "video/mp4", "webm": "video/webm", "html": "application/octet-stream", "": "application/octet-stream",
	} {
		if got := format.ContentType(); got != want {
			t.Errorf("%q: got %s, want %s", format, got, want)
		}
	}
}
