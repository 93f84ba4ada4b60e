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
		"a\u0085b.png": false, "a\u2028b.png": false, "a\u202egnp.png": false, "a\u2066b.png": false,
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

func TestDispositionHasTheNameForEveryBrowser(t *testing.T) {
	for name, want := range map[string]string{
		"a b.png":       `inline; filename="a b.png"; filename*=UTF-8''a%20b.png`,
		"50%41.png":     `inline; filename="50_41.png"; filename*=UTF-8''50%2541.png`,
		`"x\";y.png`:    `inline; filename="_x___y.png"; filename*=UTF-8''%22x%5C%22%3By.png`,
		"Grüße 🎉.png":   `inline; filename="Gr__e _.png"; filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%F0%9F%8E%89.png`,
		"a\r\nX: y\xff": `inline; filename="a__X_ y_"; filename*=UTF-8''a%0D%0AX%3A%20y%EF%BF%BD`,
	} {
		if got := Disposition(name); got != want {
			t.Errorf("%q:\ngot  %s\nwant %s", name, got, want)
		}
	}
}
