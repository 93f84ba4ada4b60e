// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
)

const cardManifest = `apiVersion: platen.dev/v1alpha1
kind: RenderTemplate
metadata:
  name: card
spec:
  pages:
  - name: front
    width: 100
    height: 50
    html: <p>x</p>
`

// What a person got wrong in a file is said; a document that was meant is never ignored.
func TestManifests(t *testing.T) {
	for name, c := range map[string]struct {
		// replace has pairs of texts to replace in cardManifest.
		replace []string
		file    string
		// error is the message; empty if there must be one template.
		error string
	}{
		"a template":              {},
		"Windows":                 {replace: []string{"\n", "\r\n", "apiVersion", "\ufeffapiVersion"}},
		"another kind before":     {file: "apiVersion: v1\nkind: Pod\nmetadata: {name: 5}\n---\n# nothing\n---\n" + cardManifest},
		"a list of kubectl":       {file: "apiVersion: v1\nkind: List\nitems:\n- " + strings.ReplaceAll(cardManifest, "\n", "\n  ")},
		"JSON":                    {file: `{"apiVersion": "platen.dev/v1alpha1", "kind": "RenderTemplate", "metadata": {"name": "card"}, "spec": {"pages": [{"width": 1, "height": 1}]}}`},
		"a tab":                   {replace: []string{"    width", "\twidth"}, error: "-, document 1: yaml: line 8: "},
		"a word for a number":     {replace: []string{"100", "100px"}, error: "-, document 1: RenderTemplate: spec.pages.width must be a whole number, not text"},
		"an object for a list":    {replace: []string{"- name: front", "  name: front"}, error: "-, document 1: RenderTemplate: spec.pages must be a list, not an object"},
		"a number for a text":     {replace: []string{"name: front", "name: 5"}, error: "-, document 1: RenderTemplate: spec.pages.name must be text, not a number"},
		"a misspelled field":      {replace: []string{"width", "widht"}, error: `-, document 1: RenderTemplate: unknown field "spec.pages[0].widht"`},
		"a misspelled kind":       {replace: []string{"RenderTemplate", "RenderTemplat"}, error: `-, document 1: kind: platen.dev/v1alpha1 has no kind "RenderTemplat"; did you mean RenderTemplate?`},
		"a kind in small letters": {replace: []string{"RenderTemplate", "rendertemplate"}, error: "did you mean RenderTemplate?"},
		"a kind of nobody":        {replace: []string{"RenderTemplate", "Banner"}, error: `-, document 1: kind: platen.dev/v1alpha1 has no kind "Banner"`},
		"another version":         {replace: []string{"v1alpha1", "v1"}, error: `-, document 1: apiVersion: "platen.dev/v1" must be platen.dev/v1alpha1 for the kind RenderTemplate`},
		"no version":              {replace: []string{"apiVersion: platen.dev/v1alpha1", ""}, error: `-, document 1: apiVersion: "" must be platen.dev/v1alpha1`},
		"a page that is too wide": {replace: []string{"100", "99999"}, error: "-, document 1: RenderTemplate: spec.pages[0].width: 99999 must be from 1 to 5000 CSS pixels"},
		"a page without a height": {replace: []string{"    height: 50\n", ""}, error: "spec.pages[0].height: 0 must be from 1 to 5000 CSS pixels"},
		"no pages":                {replace: []string{"  pages:", "  parameters: []\n  pages: []\n  fontSetRefs:", "  - name: front\n    width: 100\n    height: 50\n    html: <p>x</p>\n", "  - name: x\n"}, error: "spec.pages: a template must have a page"},
		"a type of nobody":        {replace: []string{"spec:", "spec:\n  parameters: [{name: x, type: colour}]"}, error: `RenderTemplate: spec.parameters[0].type: "colour" must be text, number, boolean, color, image, list, date`},
		"a parameter twice":       {replace: []string{"spec:", "spec:\n  parameters: [{name: x}, {name: z}, {name: x}]"}, error: `RenderTemplate: spec.parameters[2].name: "x" is declared twice`},
		"a page's name twice":     {file: cardManifest + "  - {name: front, width: 1, height: 1, html: x}\n", error: `RenderTemplate: spec.pages[1].name: another page has the name "front"`},
		"no object":               {file: "- a\n- b\n", error: "-, document 1: this is no Kubernetes object"},
		"in a list":               {file: "apiVersion: v1\nkind: List\nitems:\n- " + strings.ReplaceAll(strings.Replace(cardManifest, "100", "wide", 1), "\n", "\n  "), error: "-, document 1: items[0]: RenderTemplate: spec.pages.width"},
		"the second document":     {file: cardManifest + "---\n" + strings.Replace(cardManifest, "100", "wide", 1), error: "-, document 2: RenderTemplate: spec.pages.width"},
	} {
		t.Run(name, func(t *testing.T) {
			text := c.file
			if text == "" {
				text = strings.NewReplacer(c.replace...).Replace(cardManifest)
			}
			streams, in, _, _ := genericiooptions.NewTestIOStreams()
			in.WriteString(text)
			templates, _, err := (&options{IOStreams: streams}).manifests("-")
			switch {
			case c.error == "" && (err != nil || len(templates) != 1 || templates[0].Name != "card"):
				t.Errorf("%v, %v", templates, err)
			case c.error != "" && (err == nil || !strings.Contains(err.Error(), c.error)):
				t.Errorf("%v, want %s", err, c.error)
			}
		})
	}
}
