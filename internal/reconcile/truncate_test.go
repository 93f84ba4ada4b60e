// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import "testing"

func TestTruncatedTextDoesNotMislead(t *testing.T) {
	for text, want := range map[string]string{
		"Text is cut: été 😀\n\tnext":                "Text is cut: été 😀\n\tnext",
		"שלום\u200f, עולם":                          "שלום\u200f, עולם", // a mark that stands for one letter
		"a\x1b[31mb":                                "a\ufffd[31mb",
		"invoice\u202egnp.exe":                      "invoice\ufffdgnp.exe",
		"a\u2067b\u2069c\u2028d\u0085e":             "a\ufffdb\ufffdc\ufffdd\ufffde",
		"12345678901234567890123456789012345678901": "1234567890123456789012345678901234567…",
	} {
		if got := Truncate(text, 40); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
