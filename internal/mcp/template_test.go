// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package mcp

import (
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/platen-dev/platen/internal/contenturl"
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
	if got, want := valueWords.Replace(slash), `output.fileName: Invalid value: "a/b": must not contain a slash: a render's folder is its connection's own`; got != want {
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

// Anthropic's API refuses a whole conversation for one tool with another name of an argument.
func TestNamesOfArguments(t *testing.T) {
	one := template{shim.Template{ID: "card", Name: "card", ResourceName: "card", Modifications: []shim.Modification{
		{Key: "headline", Type: "text", Required: true}, {Key: "title.color", Type: "color"}, {Key: "Überschrift", Type: "text"}, {Key: "first name", Type: "text"},
		{Key: strings.Repeat("x", 65), Type: "text"},
	}}, "render_card"}
	tool := one.tool()
	schema, _ := tool.InputSchema.(map[string]any)
	properties, _ := schema["properties"].(map[string]any)
	for name := range properties {
		if !regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,64}$`).MatchString(name) {
			t.Errorf("an argument is called %s", name)
		}
	}
	if want := []string{"headline", "output.fileName", "output.format", "output.scale", "title.color"}; !slices.Equal(slices.Sorted(maps.Keys(properties)), want) {
		t.Errorf("the arguments are %v, want %v", slices.Sorted(maps.Keys(properties)), want)
	}
	if !strings.Contains(tool.Description, "also takes, in modifications: Überschrift, first name, ") {
		t.Errorf("the description is %s", tool.Description)
	}
}

// VS Code refuses a tool with an array that does not say what its items are, Gemini's API one whose types are lists, and Gemini CLI one with a schema
// that has no type, wherever it is.
func TestTypesOfArguments(t *testing.T) {
	example := func(text string) *apiextensionsv1.JSON { return &apiextensionsv1.JSON{Raw: []byte(text)} }
	for _, c := range []struct {
		of   shim.Modification
		want string
	}{
		{shim.Modification{Type: "text"}, `{"type":"string"}`},
		{shim.Modification{Type: "number"}, `{"type":"number"}`},
		{shim.Modification{Type: "boolean"}, `{"type":"boolean"}`},
		{shim.Modification{Type: "list"}, `{"items":{"type":"string"},"type":"array"}`},
		{shim.Modification{Type: "list", Example: example(`[]`)}, `{"examples":[[]],"items":{"type":"string"},"type":"array"}`},
		{shim.Modification{Type: "list", Example: example(`["one"]`)}, `{"examples":[["one"]],"items":{"type":"string"},"type":"array"}`},
		{shim.Modification{Type: "list", Example: example(`[1,2]`)}, `{"examples":[[1,2]],"items":{"type":"number"},"type":"array"}`},
		{shim.Modification{Type: "list", Example: example(`[1,"two"]`)}, `{"examples":[[1,"two"]],"items":{"type":"string"},"type":"array"}`},
		{shim.Modification{Type: "list", Example: example(`[null]`)}, `{"examples":[[null]],"items":{"type":"string"},"type":"array"}`},
		{shim.Modification{Type: "list", Example: example(`[[true]]`)}, `{"examples":[[[true]]],"items":{"items":{"type":"boolean"},"type":"array"},"type":"array"}`},
		{
			shim.Modification{Type: "list", Example: example(`[{"name":"a"},{"price":1.50}]`)},
			`{"examples":[[{"name":"a"},{"price":1.50}]],"items":{"properties":{"name":{"type":"string"},"price":{"type":"number"}},"type":"object"},"type":"array"}`,
		},
		{
			shim.Modification{Type: "list", Example: example(`[{"a":1},{"a":"x"},{"a":2}]`)},
			`{"examples":[[{"a":1},{"a":"x"},{"a":2}]],"items":{"properties":{"a":{"type":"string"}},"type":"object"},"type":"array"}`,
		},
		{shim.Modification{Type: "object"}, `{"type":"object"}`},
		{
			shim.Modification{Type: "object", Example: example(`{"lines":[{"n":1}],"total":"12"}`)},
			`{"examples":[{"lines":[{"n":1}],"total":"12"}],"properties":{"lines":{"items":{"properties":{"n":{"type":"number"}},"type":"object"},"type":"array"},"total":{"type":"string"}},"type":"object"}`,
		},
		{shim.Modification{Type: "object", Example: example(`{"first name":"A"}`)}, `{"examples":[{"first name":"A"}],"type":"object"}`},
	} {
		got, err := json.Marshal(property(c.of))
		if err != nil || string(got) != c.want {
			t.Errorf("got %s, want %s; %v", got, c.want, err)
		}
	}
}

func TestMistakenArguments(t *testing.T) {
	card := template{Template: shim.Template{Modifications: []shim.Modification{{Key: "headline"}}}}
	styled := template{Template: shim.Template{Modifications: []shim.Modification{{Key: "output.color"}, {Key: "format"}}}}
	named := template{Template: shim.Template{Modifications: []shim.Modification{{Key: "output"}, {Key: "modifications"}, {Key: "file_name"}}}}
	for _, c := range []struct {
		of         template
		name, want string
	}{
		{card, "output_format", "did you mean output.format"}, {card, "Output", "there are output.fileName, output.format, output.scale"},
		{card, "modifications", "each value is an argument of its own"},
		{named, "output", ""}, {named, "modifications", ""}, {named, "file_name", ""},
		{card, "headline", ""}, {card, "page2@headline", ""}, {card, "title.color", ""},
		{card, "format", "did you mean output.format"}, {card, "FORMAT", "did you mean output.format"}, {card, "$format", "did you mean output.format"},
		{card, "output.formt", "did you mean output.format"}, {card, "$quality", "there are output.fileName, output.format, output.scale"},
		{card, "output.quality", "there are output.fileName, output.format, output.scale"},
		{styled, "output.color", ""}, {styled, "output.opacity", ""}, {styled, "format", ""}, {styled, "scale", "did you mean output.scale"},
	} {
		got := c.of.mistaken(json.RawMessage(`{"` + c.name + `": 1}`))
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	properties := outputs()
	properties["template"], properties["modifications"] = nil, nil
	if got := unknownArgument(map[string]json.RawMessage{"headline": nil}, properties); !strings.Contains(got, "there are modifications, output.fileName, ") {
		t.Error(got)
	}
	const two = "template2: there is no such argument; did you mean template?; x: there is no such argument; there are "
	if got := unknownArgument(map[string]json.RawMessage{"x": nil, "template2": nil, "y": nil}, properties); !strings.HasPrefix(got, two) || !strings.HasSuffix(got, "; y: there is no such argument") {
		t.Error(got)
	}
	many := map[string]json.RawMessage{}
	for i := range 2 * maxUnknown {
		many[strconv.Itoa(i)] = nil
	}
	if got := unknownArgument(many, properties); strings.Count(got, "no such argument") != maxUnknown || !strings.HasSuffix(got, "; and 10 more") {
		t.Error(got)
	}
}

// A link has the name under which browsers save the file.
func TestNamesOfLinks(t *testing.T) {
	query := url.Values{}
	contenturl.SetName(query, "Grüße 👋.png")
	for address, want := range map[string]string{
		"http://store/content/ns/uid/rev/1/1.png?" + query.Encode(): "Grüße 👋.png",
		"http://store/content/ns/uid/rev/1/1.png?n=card.png":        "card.png",
		"http://store/content/ns/uid/rev/1/1.png":                   "1.png",
		"http://store/content/ns/uid/rev/1/1.png?b=%25":             "1.png",
	} {
		if got := appendLink(nil, address); len(got) != 1 || got[0].Name != want || got[0].MIMEType != "image/png" {
			t.Errorf("%s: %+v, want %s", address, got, want)
		}
	}
}
