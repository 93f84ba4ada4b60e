// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	tests := map[string]struct {
		text   string
		blocks []Block
	}{
		"a block without a mark": {
			text:   "# Title\n\n```sh\nls\n```\n",
			blocks: []Block{{Line: 4, Language: Shell, Text: "ls\n"}},
		},
		"a block in a list": {
			text:   "1. First:\n\n   ```console\n   $ ls\n     two spaces\n   ```\n",
			blocks: []Block{{Line: 4, Language: Console, Text: "$ ls\n  two spaces\n"}},
		},
		"marks": {
			text: "<!-- not run: needs Docker -->\n```sh\ndocker ps\n```\n" +
				"<!-- file: job.yaml -->\n<!-- part of RenderJob -->\n```yaml\nspec: {}\n```\n" +
				"<!-- run on the cluster -->\n```sh\nkubectl get rj\n```\n",
			blocks: []Block{
				{Line: 3, Language: Shell, Text: "docker ps\n", NotRun: "needs Docker"},
				{Line: 8, Language: YAML, Text: "spec: {}\n", File: "job.yaml", PartOf: "RenderJob"},
				{Line: 12, Language: Shell, Text: "kubectl get rj\n", Cluster: true},
			},
		},
		"setup": {
			text: "<!-- setup\nmkdir a\n-->\n\n<!-- setup on the cluster\nkubectl apply -f a\nkubectl apply -f b\n-->\n",
			blocks: []Block{
				{Line: 2, Language: Shell, Text: "mkdir a\n", Setup: true},
				{Line: 6, Language: Shell, Text: "kubectl apply -f a\nkubectl apply -f b\n", Setup: true, Cluster: true},
			},
		},
		"another comment": {text: "<!-- for editors -->\n\nText.\n"},
		"a fence in a longer fence": {
			text:   "````text\n```\n````\n",
			blocks: []Block{{Line: 2, Language: "text", Text: "```\n"}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			page, err := Parse("page.md", test.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.blocks, page.Blocks); diff != "" {
				t.Errorf("blocks (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseMistakes(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"a mark without a reason":        {"<!-- not run: -->\n```sh\nls\n```\n", "page.md:1: the mark has no reason"},
		"a mark that is none":            {"<!-- notrun: because -->\n```sh\nls\n```\n", `page.md:1: no mark of a sh block: "notrun: because"`},
		"a mark apart from its block":    {"<!-- not run: because -->\n\n```sh\nls\n```\n", "page.md:1: the mark \"not run: because\" must stand directly above a block"},
		"a mark of another language":     {"<!-- file: a.yaml -->\n```sh\nls\n```\n", "page.md:1: no mark of a sh block"},
		"a language that is not known":   {"Text.\n```bash\nls\n```\n", `page.md:2: the block's language is "bash"`},
		"a block without a language":     {"```\nls\n```\n", `page.md:1: the block's language is ""`},
		"output without a command":       {"```console\nhello\n```\n", "page.md:2: a console block must begin with a command"},
		"a block that does not end":      {"```sh\nls\n", "page.md:1: the block has no end"},
		"a comment that does not end":    {"<!-- setup\nls\n", "page.md:1: the comment has no end"},
		"a mark at the end of a page":    {"<!-- run on the cluster -->", "must stand directly above a block"},
		"the second of two wrong blocks": {"```\nls\n```\n```bash\nls\n```\n", "page.md:4: "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("page.md", test.text)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}
