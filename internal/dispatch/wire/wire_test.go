// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/platen-dev/platen/internal/render"
)

func TestClip(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ text, want string }{
		"empty":          {"", ""},
		"short":          {"plain", "plain"},
		"just fits":      {strings.Repeat("a", MaxText), strings.Repeat("a", MaxText)},
		"too long":       {strings.Repeat("a", MaxText+1), strings.Repeat("a", MaxText-3) + "…"},
		"no half letter": {strings.Repeat("é", MaxText), strings.Repeat("é", (MaxText-3)/2) + "…"},
		"not UTF-8":      {"a\xffb", "a\uFFFDb"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Clip(test.text); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func FuzzClip(f *testing.F) {
	f.Add("text")
	f.Add(strings.Repeat("\xe2\x82", MaxText))
	f.Fuzz(func(t *testing.T, text string) {
		if got := Clip(text); len(got) > MaxText || !utf8.ValidString(got) {
			t.Errorf("%q is %d bytes, valid: %v", got, len(got), utf8.ValidString(got))
		}
	})
}

// The largest result that a pod may have to send must fit, whatever JSON makes of its texts.
func TestResultFits(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("\x01", 2*MaxText)
	result := Result{RenderMilliseconds: 86_400_000}
	for page := range 200 {
		result.Files = append(result.Files, File{Page: page + 1, Width: MaxSide, Height: MaxSide, SHA256: strings.Repeat("a", 64)})
	}
	var warnings []render.Warning
	for range 2 * MaxWarnings {
		warnings = append(warnings, render.Warning{Title: text, Details: text})
	}
	result.Warnings = ClipWarnings(warnings)
	data, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > MaxResult {
		t.Errorf("the result has %d bytes, more than %d", len(data), MaxResult)
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		PagePath("u.1.2", 3):    "/v1/tasks/u.1.2/pages/3",
		HeartbeatPath("a/../b"): "/v1/tasks/a%2F..%2Fb/heartbeat",
		ResultPath("u.1.2"):     "/v1/tasks/u.1.2/result",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
