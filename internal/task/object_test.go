// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package task

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type object = map[string]any

func TestReadObject(t *testing.T) {
	for text, want := range map[string]object{
		"a: 1.10":                          {"a": "1.10"},
		"a: 1.5\nb: 2\nc: 0.00\nd: -7":     {"a": 1.5, "b": 2.0, "c": 0.0, "d": -7.0},
		"{}":                               {},
		`{"a": "\ud83d\ude00", "b": 1.10}`: {"a": "😀", "b": "1.10"},
		"a: 01234\nb: 007\nc: 0x1F\nd: 1_000\nh: 089\ni: 0o17\nj: 0b11\nk: +49\nl: .5\nm: 1:30.50\nn: -0x1F": {
			"a": "01234", "b": "007", "c": "0x1F", "d": "1_000", "h": "089", "i": "0o17", "j": "0b11", "k": "+49", "l": ".5", "m": "1:30.50", "n": "-0x1F",
		},
		"a: .inf\nb: -.Inf\nc: .nan\nd: 2026-11-26\ne: 2026-11-26T09:30:00Z": {"a": ".inf", "b": "-.Inf", "c": ".nan", "d": "2026-11-26", "e": "2026-11-26T09:30:00Z"},
		"rows:\n- {price: 1.10, n: 3, order: 12345678901234567890, code: 007}\n- 1e3 # 1.20\n": {
			"rows": []any{object{"price": "1.10", "n": 3.0, "order": "12345678901234567890", "code": "007"}, "1e3"},
		},
		"größe: {ü: 1.10, 日本: [2.50, 3.50]}":                   {"größe": object{"ü": "1.10", "日本": []any{"2.50", "3.50"}}},
		`{"a": [1.10, "1.10"], "b": {"c": 9007199254740993}}`:  {"a": []any{"1.10", "1.10"}, "b": object{"c": "9007199254740993"}},
		"title.fontSize: 1e2\ntitle.opacity: 0.50":             {"title.fontSize": 100.0, "title.opacity": "0.50"},
		"a: '1.10'\nb: \"007\"\nc: !!str 3.10\nd: |\n  1.10\n": {"a": "1.10", "b": "007", "c": "3.10", "d": "1.10\n"},
		"1.10: x\n007: y\nno: z\n~: w\n2026-11-26: v":          {"1.10": "x", "007": true, "no": "z", "~": "w", "2026-11-26": "v"},
		"a: &x 007\nb: *x": {"a": "007", "b": "007"},
		"base: &b {price: 1.10, n: 1}\nrow: {<<: *b, n: 2}":          {"base": object{"price": "1.10", "n": 1.0}, "row": object{"price": "1.10", "n": 2.0}},
		"\ufeffa: 1.10\r\nb: 2":                                      {"a": "1.10", "b": 2.0},
		"a: no\nb: yes\nc: Off\nd: true\ne: null\nf: ~\ng:\nh: 'no'": {"a": false, "b": true, "c": false, "d": true, "e": nil, "f": nil, "g": nil, "h": "no"},
		"a: >\n 1.10\n":            {"a": "1.10\n"},
		"? 1.10\n: 2.10":           {"1.10": "2.10"},
		"# head\n---\na: 1\n...\n": {"a": 1.0},
	} {
		got, err := readObject(text)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", text, err, diff)
		}
	}
}

func TestReadObjectRefuses(t *testing.T) {
	lines := []string{"a: &a [" + strings.Repeat("x, ", 9) + "]"}
	for letter := 'b'; letter <= 'i'; letter++ {
		lines = append(lines, fmt.Sprintf("%[1]c: &%[1]c [%[2]s]", letter, strings.Repeat(fmt.Sprintf("*%c, ", letter-1), 9)))
	}
	bomb := strings.Join(lines, "\n")
	for text, want := range map[string]string{
		"":                                    "must hold a JSON or YAML object",
		"# nothing":                           "must hold a JSON or YAML object",
		"null":                                "must hold a JSON or YAML object",
		"~":                                   "must hold a JSON or YAML object",
		"[]":                                  "must hold a JSON or YAML object",
		"- a":                                 "must hold a JSON or YAML object",
		"1.10":                                "must hold a JSON or YAML object",
		"? [a, b]\n: x":                       "must hold a JSON or YAML object: a key must be a text",
		"a: &a [*a]":                          "must hold a JSON or YAML object: anchor 'a' value contains itself",
		bomb:                                  "must hold a JSON or YAML object: document contains excessive aliasing",
		"a: [":                                "must hold a JSON or YAML object: line 1: did not find expected node content",
		"\t- x":                               "must hold a JSON or YAML object: line 1: found character that cannot start any token",
		"a: 1\n\tb: 2":                        "must hold a JSON or YAML object: line 2: found a tab character that violates indentation",
		"a: *b":                               "must hold a JSON or YAML object: line 1: unknown anchor 'b' referenced",
		"n: 1\nc: {a: A; b: B}\nt: 3":         "must hold a JSON or YAML object: line 2: did not find expected ',' or '}'",
		"c: {a: A; b: B}\nt: 3":               "must hold a JSON or YAML object: line 1: did not find expected ',' or '}'",
		"a: 1\nb:\n  c: 1\n  d: 'it's'\ne: 2": "must hold a JSON or YAML object: line 4: did not find expected key",
		"a: 1\nb: [1,\n2\n\n":                 "must hold a JSON or YAML object: line 3: did not find expected ',' or ']'",
		"a: 1\nbad\n\n\nc: 2":                 "must hold a JSON or YAML object: line 2: could not find expected ':'",
		"a: 1\nb: 'x\nc: 2\nd: 3\ne: 4":       "must hold a JSON or YAML object: line 2: found unexpected end of stream",
		"a: 1\nb: x: y":                       "must hold a JSON or YAML object: line 2: mapping values are not allowed in this context",
		"a: \"\x01\"":                         "must hold a JSON or YAML object: control characters are not allowed",
		"? {a: 1}\n: 2":                       "must hold a JSON or YAML object: a key must be a text",
		"a: 1\n---\nb: 2":                     "must hold one YAML document, not several",
		"a: 1\nb: 2\na: 3":                    "has 'a' twice",
		"a: 1\n'a': 3":                        "has 'a' twice",
		`{"a": 1, "a": 1}`:                    "has 'a' twice",
		"rows:\n- {p: 1, p: 2}":               "has 'rows[0].p' twice",
		`{"rows": [{}, {"o": {"p": 1, "p": 2}}]}`:                     "has 'rows[1].o.p' twice",
		"a: " + strings.Repeat("[", 1000) + strings.Repeat("]", 1000): "its lists and objects must be nested at most 100 deep",
	} {
		if got, err := readObject(text); err == nil || err.Error() != want {
			t.Errorf("%.50q: %v, %v; want %s", text, got, err, want)
		}
	}
}
