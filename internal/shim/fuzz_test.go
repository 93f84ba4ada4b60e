// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"
)

// Whatever a client sends, it gets an answer that names a field, or a request whose parts are JSON.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"templateId":"25"}`, `{"templateId":25,"modifications":{"a":1.10},"response":{"format":"png","dpi":3}}`, `{"modifications":[{"name":"a","text":1}]}`,
		`{"videoOptions":{"fps":"30","loop":"yes"},"pdfOptions":[]}`, `{"response":{"extraSizes":"2x, 3x"}}`, "\xef\xbb\xbf{}", `{"a":"\ud800"}`, `{"templateId":`, `[]`, ``, "\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		request, warnings, err := parse[Request](body)
		if field := (*FieldError)(nil); err != nil && (!errors.As(err, &field) || field.Field == "" || field.Problem == "" || !utf8.ValidString(field.Error())) {
			t.Errorf("parse(%q): the error %v names no field", body, err)
		}
		if len(warnings) > maxWarnings {
			t.Errorf("parse(%q): %d warnings", body, len(warnings))
		}
		if err != nil {
			return
		}
		if _, err := json.Marshal(request); err != nil {
			t.Errorf("parse(%q) = %+v: %v", body, request, err)
		}
	})
}
