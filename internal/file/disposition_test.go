// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package file

import (
	"mime"
	"testing"
)

func TestNameFromDisposition(t *testing.T) {
	for name, allowed := range map[string]bool{
		"summer.png": true, "über uns_page_2.png": true, `größe";x="1.png`: true,
		"../evil.png": false, "a/b.png": false, `a\b.png`: false, ".hidden": false, "a\nb.png": false, "": false,
	} {
		got, err := NameFromDisposition(mime.FormatMediaType("inline", map[string]string{"filename": name}))
		if (err == nil) != allowed || allowed && got != name {
			t.Errorf("%q: got %q, %v", name, got, err)
		}
	}
	for _, header := range []string{"", "inline", "inline; filename"} {
		if got, err := NameFromDisposition(header); err == nil {
			t.Errorf("%q: got %q", header, got)
		}
	}
}
