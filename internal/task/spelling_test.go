// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package task

import (
	"strings"
	"testing"
)

func TestQuoteNumbers(t *testing.T) {
	for text, want := range map[string]string{
		"a: 1.10":                       `a: "1.10"`,
		"a: 1.5\nb: 2\nc: 0.00\nd: 007": "a: 1.5\nb: 2\nc: 0.00\nd: 007",
		"rows:\n- {price: 1.10, n: 3, order: 12345678901234567890}\n- 1e3 # 1.20\n": "rows:\n- {price: \"1.10\", n: 3, order: \"12345678901234567890\"}\n- \"1e3\" # 1.20\n",
		"größe: {ü: 1.10, 日本: [2.50, 3.50]}":                                        `größe: {ü: "1.10", 日本: ["2.50", "3.50"]}`,
		`{"a": [1.10, "1.10"], "b": {"c": 9007199254740993}}`:                       `{"a": ["1.10", "1.10"], "b": {"c": "9007199254740993"}}`,
		"title.fontSize: 1e2\ntitle.opacity: 0.50":                                  "title.fontSize: 1e2\ntitle.opacity: \"0.50\"",
		"a: '1.10'\nb: \"2.50\"\nc: !!str 3.10\nd: |\n  1.10\n":                     "a: '1.10'\nb: \"2.50\"\nc: !!str 3.10\nd: |\n  1.10\n",
		"1.10: x":               "1.10: x",
		"a: &x 1.10\nb: *x":     "a: &x 1.10\nb: *x",
		"\ufeffa: 1.10\r\nb: 2": "a: \"1.10\"\r\nb: 2",
		"a: no\nb: 2026-11-26\nc: 1_000\nd: 0x10\ne: .inf\nf: 1:30.50": "a: no\nb: 2026-11-26\nc: 1_000\nd: 0x10\ne: .inf\nf: 1:30.50",
		"a: >\n 1.10\n": "a: >\n 1.10\n", "? 1.10\n: 2.10": "? 1.10\n: \"2.10\"", "a: [": "a: [", "": "", "1.10": `"1.10"`, "\t- x": "\t- x", "a: 1.10\n---\nb: 2.10": "a: \"1.10\"\n---\nb: 2.10",
	} {
		if got := quoteNumbers(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	long := "a: " + strings.Repeat("[", 1000) + strings.Repeat("]", 1000)
	if quoteNumbers(long) != long {
		t.Error("deep lists change")
	}
}
