// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseConsole(t *testing.T) {
	text := "$ echo a \\\n    b\n> c\na b\n$ true\n$ cat <<end\n> text\n> end\ntext\n> quoted\n"
	want := []step{
		{line: 0, lines: 3, command: "echo a \\\n    b\nc", output: []string{"a b"}},
		{line: 4, lines: 1, command: "true"},
		{line: 5, lines: 3, command: "cat <<end\ntext\nend", output: []string{"text", "> quoted"}},
	}
	if diff := cmp.Diff(want, parseConsole(text), cmp.AllowUnexported(step{})); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff("echo a \\\n    b\nc\n\ntrue\ncat <<end\ntext\nend\n\n\n", commandsOnly(text)); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

func TestMatch(t *testing.T) {
	tests := map[string]struct {
		expected, printed []string
		// line is the first that does not fit; -1 if all fit.
		line int
	}{
		"nothing":                   {nil, nil, -1},
		"equal":                     {[]string{"a", "b"}, []string{"a", "b"}, -1},
		"another line":              {[]string{"a", "b"}, []string{"a", "c"}, 1},
		"a line too few":            {[]string{"a", "b"}, []string{"a"}, 1},
		"a line too many":           {[]string{"a"}, []string{"a", "b"}, 1},
		"spaces":                    {[]string{"NAME  X"}, []string{"NAME     X  "}, -1},
		"no space":                  {[]string{"NAME X"}, []string{"NAMEX"}, 0},
		"text left out":             {[]string{"took … ms, …"}, []string{"took 12 ms, well"}, -1},
		"text left out, other text": {[]string{"took … ms"}, []string{"took 12 s"}, 0},
		"lines left out":            {[]string{"a", "…", "z"}, []string{"a", "b", "c", "z"}, -1},
		"no lines left out":         {[]string{"a", "…", "z"}, []string{"a", "z"}, -1},
		"the end left out":          {[]string{"a", "…"}, []string{"a", "b"}, -1},
		"signs of patterns":         {[]string{"a.c (x)"}, []string{"abc (x)"}, 0},
		"ages":                      {[]string{"NAME AGE", "a    2s", "b 3m10s"}, []string{"NAME   AGE", "a      10m", "b      1d"}, -1},
		"ages, another name":        {[]string{"NAME AGE", "a    2s"}, []string{"NAME   AGE", "c      2s"}, 1},
		"ages end with the table":   {[]string{"NAME AGE", "a 2s", "", "for 3s"}, []string{"NAME AGE", "a 9s", "", "for 4s"}, 3},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			line, ok := match(test.expected, test.printed)
			if ok {
				line = -1
			}
			if line != test.line {
				t.Errorf("line %d does not fit, want %d (-1: all fit)", line, test.line)
			}
		})
	}
}
