// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package mcp

import (
	"strings"
	"testing"

	"github.com/platen-dev/platen/internal/shim"
)

// A tool keeps its name when people give the template another title or number.
func TestToolsAreNamedAsTheirObjects(t *testing.T) {
	long := strings.Repeat("a", 57)
	all := []shim.Template{
		{ID: 25, ResourceName: "banner", Name: "Summer Banner", Title: "Summer Banner"}, {ID: "other", ResourceName: "other", Name: "Summer Banner", Title: "Summer Banner"},
		{ID: "a.b", ResourceName: "a.b", Name: "a.b"}, {ID: long, ResourceName: long, Name: long}, {ID: long + "a", ResourceName: long + "a", Name: long + "a"},
	}
	for i, want := range []string{"render_banner", "render_other", "render_a_b_2e7336dc", "render_" + long, "render_" + strings.Repeat("a", 48) + "_"} {
		got := tools(all)[i]
		if !strings.HasPrefix(got.name, want) || len(got.name) > maxToolName || i < 4 && got.name != want {
			t.Errorf("%s: %s, want %s", all[i].ResourceName, got.name, want)
		}
		if tool := got.tool(); tool.Name != got.name || tool.Title != all[i].Title || tool.Annotations.Title != all[i].Title {
			t.Errorf("%+v", tool)
		}
	}
}

// What is wrong names arguments only, and a description reads as sentences.
func TestToolsSpeakOfTheirArguments(t *testing.T) {
	const slash = `response.fileName: Invalid value: "a/b": must not contain a slash: name the folder in connections[].folder`
	if got, want := valueWords.Replace(slash), `$fileName: Invalid value: "a/b": must not contain a slash: a render's folder is its connection's own`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for description, want := range map[string]string{
		"":            "Render the template Card (front 400x200).",
		"For summer":  "For summer. Render the template Card (front 400x200).",
		"For summer.": "For summer. Render the template Card (front 400x200).",
		"Summer?\n":   "Summer? Render the template Card (front 400x200).",
	} {
		one := shim.Template{ID: 1, ResourceName: "card", Name: "Card", Description: description, PagesData: []shim.TemplateData{{Name: "front", Width: 400, Height: 200}}}
		if got := (template{one, "render_card"}).tool().Description; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
