// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericclioptions"
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

// jobManifest returns a further document, a RenderJob with an output.
func jobManifest(output string) string {
	return "---\napiVersion: platen.dev/v1alpha1\nkind: RenderJob\nmetadata: {name: summer}\nspec: {templateRef: {name: card}, output: {" + output + "}}\n"
}

// What a person got wrong in a file is said; a document that was meant is never ignored.
func TestManifests(t *testing.T) {
	for name, c := range map[string]struct {
		// replace has pairs of texts to replace in cardManifest.
		replace []string
		file    string
		// error is the message; empty if there must be one template.
		error string
	}{
		"a template":            {},
		"Windows":               {replace: []string{"\n", "\r\n", "apiVersion", "\ufeffapiVersion"}},
		"another kind before":   {file: "apiVersion: v1\nkind: Pod\nmetadata: {name: 5}\n---\n# nothing\n---\n" + cardManifest},
		"a list of kubectl":     {file: "apiVersion: v1\nkind: List\nitems:\n- " + strings.ReplaceAll(cardManifest, "\n", "\n  ")},
		"JSON":                  {file: `{"apiVersion": "platen.dev/v1alpha1", "kind": "RenderTemplate", "metadata": {"name": "card"}, "spec": {"pages": [{"name": "a", "width": 1, "height": 1, "html": "x"}]}}`},
		"a tab":                 {replace: []string{"    width", "\twidth"}, error: "the standard input, document 1: yaml: line 8: "},
		"a brace too few":       {replace: []string{"metadata:", "metadata: {name: card", "  name: card\n", ""}, error: "the standard input, document 1: yaml: line 4: did not find expected ',' or '}'"},
		"a fraction of a pixel": {replace: []string{"100", "100.5"}, error: "the standard input, document 1: RenderTemplate 'card': spec.pages[0].width: must be a whole number, not a number with a fraction"},
		"a word for a number":   {replace: []string{"100", "100px"}, error: "the standard input, document 1: RenderTemplate 'card': spec.pages[0].width: must be a whole number, not text"},
		"an object for a list":  {replace: []string{"- name: front", "  name: front"}, error: "RenderTemplate 'card': spec.pages: must be a list, not an object"},
		"a number for a text":   {replace: []string{"name: front", "name: 5"}, error: "spec.pages[0].name: must be text, not a whole number: put quotes around it"},
		"a word for true":       {replace: []string{"name: front", "name: y"}, error: "spec.pages[0].name: must be text, not true or false: put quotes around it"},
		"a misspelled field":    {replace: []string{"width", "widht"}, error: `RenderTemplate 'card': unknown field "spec.pages[0].widht"; spec.pages[0].width: must be set`},
		"a key twice":           {replace: []string{"height: 50", "height: 50\n    width: 3"}, error: `document 1: line 10: key "width" already set in map`},
		"a word twice as a key": {replace: []string{"height: 50", "height: 50\n    y: 3\n    on: 4"}, error: "document 1: line 11: key true already set in map: without quotes, y, yes and on are the key true, and n, no and off are false; put quotes around them"},
		"commas within braces":  {file: cardManifest + jobManifest("x: {price: 12,50, amount: 37,50}"), error: "key 50 already set in map: within braces, a comma ends a value; put quotes around a text that has one, and write 12.50 for 12,50"},
		"a Secret for values": {
			file:  "apiVersion: platen.dev/v1alpha1\nkind: RenderJob\nmetadata: {name: summer}\nspec: {templateRef: {name: card}, modificationsFrom: [{secretKeyRef: {name: a, key: b}}]}\n",
			error: `unknown field "spec.modificationsFrom[0].secretKeyRef": a Secret cannot be a source, because a user who may create jobs could read it in a picture`,
		},
		"a misspelled kind":       {replace: []string{"RenderTemplate", "RenderTemplat"}, error: `the standard input, document 1: kind: platen.dev/v1alpha1 has no kind "RenderTemplat"; did you mean RenderTemplate?`},
		"a kind in small letters": {replace: []string{"RenderTemplate", "rendertemplate"}, error: "did you mean RenderTemplate?"},
		"a kind of nobody":        {replace: []string{"RenderTemplate", "Banner"}, error: `the standard input, document 1: kind: platen.dev/v1alpha1 has no kind "Banner"`},
		"no kind":                 {replace: []string{"kind: RenderTemplate\n", ""}, error: "the standard input, document 1: kind: must be set"},
		"another version":         {replace: []string{"v1alpha1", "v1"}, error: `the standard input, document 1: apiVersion: "platen.dev/v1" must be platen.dev/v1alpha1 for the kind RenderTemplate`},
		"no version":              {replace: []string{"apiVersion: platen.dev/v1alpha1", ""}, error: `the standard input, document 1: apiVersion: "" must be platen.dev/v1alpha1`},
		"a page that is too wide": {replace: []string{"100", "99999"}, error: "spec.pages[0].width: 99999 must be at most 5000"},
		"a page without a height": {replace: []string{"    height: 50\n", ""}, error: "spec.pages[0].height: must be set"},
		"no pages":                {replace: []string{"pages:", "pages: []\n  fontSetRefs:", "  - name: front\n    width: 100\n    height: 50\n    html: <p>x</p>\n", "  - name: x\n"}, error: "spec.pages: must have an item"},
		"a type of nobody":        {replace: []string{"spec:", "spec:\n  parameters: [{name: x, type: colour}]"}, error: `spec.parameters[0].type: "colour" must be one of "text"`},
		"a long title":            {replace: []string{"spec:", "spec:\n  title: " + strings.Repeat("ü", 256)}, error: `spec.title: must be at most 255 characters long`},
		"a parameter twice":       {replace: []string{"spec:", "spec:\n  parameters: [{name: x}, {name: z}, {name: x}]"}, error: `spec.parameters[2]: {"name":"x"} is there twice`},
		"a switch for a text":     {replace: []string{"spec:", "spec:\n  dynamicURLs: {policy: On}"}, error: "spec.dynamicURLs.policy: must be text, not true or false"},
		"a parameter's odd name":  {replace: []string{"spec:", "spec:\n  parameters: [{name: x}, {name: a b}]"}, error: `spec.parameters[1].name: "a b" must be letters`},
		"a number of a job":       {file: cardManifest + jobManifest("scale: 0"), error: "the standard input, document 2: RenderJob 'summer': spec.output.scale: '0' must be a decimal number from 0.1 to 10"},
		"a comma in a number":     {file: cardManifest + jobManifest("scale: 1,5"), error: `RenderJob 'summer': unknown field "spec.output.5"`},
		"times of a job":          {file: cardManifest + jobManifest("format: mp4, video: {trimStart: 3, trimEnd: 1}"), error: "RenderJob 'summer': spec.output.video.trimEnd: '1' must be more than trimStart"},
		"numbers of a job":        {file: cardManifest + jobManifest("format: mp4, scale: 1.5, video: {trimStart: 3, trimEnd: 61}")},
		"a size of a job":         {file: cardManifest + jobManifest("extraSizes: [story, stry]"), error: "RenderJob 'summer': spec.output.extraSizes[1]: 'stry' must be a width and a height of 1 to 5000 CSS pixels, such as 1080x1080, or a name such as instagram-post; did you mean 'story'?"},
		"a number and a size":     {file: cardManifest + jobManifest("scale: 0, size: stry"), error: "'0' must be a decimal number from 0.1 to 10; spec.output.size: 'stry' must be"},
		"sizes of a job":          {file: cardManifest + jobManifest("size: square, extraSizes: [story, 10x20]")},
		"no HTML":                 {replace: []string{"    html: <p>x</p>\n", ""}, error: "spec.pages[0]: exactly one of html and htmlFrom must be set"},
		"empty HTML":              {replace: []string{"<p>x</p>", `""`}, error: "spec.pages[0].html: must not be empty"},
		"templateID 0":            {replace: []string{"spec:", "spec:\n  templateID: 0"}, error: "spec.templateID: 0 must be at least 1"},
		"an odd name":             {replace: []string{"name: card", "name: My_T"}, error: `RenderTemplate 'My_T': metadata.name: "My_T" must be lower-case letters, digits, hyphens and dots`},
		"an odd namespace":        {replace: []string{"name: card", "name: card\n  namespace: a_b"}, error: `metadata.namespace: "a_b" must be lower-case letters, digits and hyphens`},
		"a number for a label":    {replace: []string{"name: card", "name: card\n  labels: {tier: 1}"}, error: "RenderTemplate 'card': metadata.labels.tier: must be text, not a whole number"},
		"no name":                 {replace: []string{"  name: card\n", "  namespace: a\n"}, error: "RenderTemplate: metadata.name: name or generateName is required"},
		"generated names":         {file: cardManifest + strings.Repeat(strings.ReplaceAll(jobManifest("scale: 2"), "name: summer", "generateName: promo-"), 2)},
		"an odd generated name":   {file: cardManifest + strings.ReplaceAll(jobManifest("scale: 2"), "name: summer", "generateName: Promo-"), error: `RenderJob: metadata.generateName: "Promo-" must be`},
		"a job":                   {file: "apiVersion: platen.dev/v1alpha1\nkind: RenderJob\nmetadata: {name: a}\nspec: {templateRef: {name: ../x}}\n", error: `RenderJob 'a': spec.templateRef.name: "../x" must be the name of a RenderTemplate`},
		"a pool":                  {file: "apiVersion: platen.dev/v1alpha1\nkind: RenderPool\nmetadata: {name: a}\n", error: "RenderPool 'a': metadata.name must be default: a namespace has one RenderPool"},
		"a number in a ConfigMap": {file: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: 5}\n", error: "ConfigMap 'a': data.a: must be text, not a whole number"},
		"a field of a ConfigMap":  {file: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nspec: {}\n", error: `ConfigMap 'a': unknown field "spec"`},
		"a key of a ConfigMap":    {file: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a b: x}\n", error: "ConfigMap 'a': data: a key must be letters"},
		"no base64":               {file: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nbinaryData: {a: '%'}\n", error: "ConfigMap 'a': binaryData.a: "},
		"no object":               {file: "- a\n- b\n", error: "the standard input, document 1: this is no Kubernetes object"},
		"in a list":               {file: "apiVersion: v1\nkind: List\nitems:\n- " + strings.ReplaceAll(strings.Replace(cardManifest, "100", "wide", 1), "\n", "\n  "), error: "the standard input, document 1: items[0]: RenderTemplate 'card': spec.pages[0].width"},
		"two documents": {
			file:  strings.Replace(cardManifest, "100", "wide", 1) + "---\n" + cardManifest + "---\n" + strings.Replace(cardManifest, "RenderTemplate", "Banner", 1) + "---\na: [\n",
			error: "the standard input: 3 mistakes:\n  document 1: RenderTemplate 'card': spec.pages[0].width: must be a whole number, not text\n  document 3: kind: platen.dev/v1alpha1 has no kind \"Banner\"\n  document 4: yaml: ",
		},
		"two of a list": {
			file:  "apiVersion: v1\nkind: List\nitems:\n" + strings.Repeat("- "+strings.ReplaceAll(strings.Replace(cardManifest, "100", "wide", 1), "\n", "\n  ")+"\n", 2),
			error: "the standard input: 2 mistakes:\n  document 1: items[0]: RenderTemplate 'card': spec.pages[0].width: must be a whole number, not text\n  document 1: items[1]: RenderTemplate 'card': ",
		},
		"the second document": {file: cardManifest + "---\n" + strings.Replace(cardManifest, "100", "wide", 1), error: "the standard input, document 2: RenderTemplate 'card': spec.pages[0].width"},
	} {
		t.Run(name, func(t *testing.T) {
			text := c.file
			if text == "" {
				text = strings.NewReplacer(c.replace...).Replace(cardManifest)
			}
			streams, in, _, _ := genericiooptions.NewTestIOStreams()
			in.WriteString(text)
			found, err := (&options{IOStreams: streams, flags: genericclioptions.NewConfigFlags(true)}).manifests(t.Context(), "-")
			switch {
			case c.error == "" && (err != nil || len(found.templates) != 1 || found.templates[0].Name != "card"):
				t.Errorf("%v, %v", found.templates, err)
			case c.error != "" && (err == nil || !strings.Contains(err.Error(), c.error)):
				t.Errorf("%v, want %s", err, c.error)
			}
		})
	}
}

// A file may have templates of the same name in several namespaces. Each reads the ConfigMaps of its own.
func TestNamespacesOfAFile(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	in := func(namespace string) string {
		return strings.Replace(cardManifest, "name: card", "name: card\n  namespace: "+namespace, 1)
	}
	from := strings.Replace(in("sales"), "html: <p>x</p>", "htmlFrom: {configMapKeyRef: {name: m, key: k}}", 1)
	const pages = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {k: x}\n"
	for name, c := range map[string]struct {
		file, args string
		code       int
		error      string
	}{
		"which of two":          {in("sales") + "---\n" + in("events"), "card", exitUsage, "the standard input holds RenderTemplate 'card' in several namespaces, choose one with -n: sales, events"},
		"another than both":     {in("sales") + "---\n" + in("events"), "card -n other", exitUsage, "the standard input holds RenderTemplate 'card', but not in namespace other of -n"},
		"a ConfigMap elsewhere": {from + pages, "", exitFailed, "spec.pages[0].htmlFrom: ConfigMap 'm' of the file is in namespace default, and the template in sales: give both the same metadata.namespace"},
	} {
		t.Run(name, func(t *testing.T) {
			streams, stdin, _, errOut := genericiooptions.NewTestIOStreams()
			stdin.WriteString(c.file)
			code := Main(t.Context(), append([]string{"kubectl-platen", "preview", "-f", "-"}, strings.Fields(c.args)...), streams)
			if code != c.code || !strings.Contains(errOut.String(), "error: "+c.error) {
				t.Errorf("exit code %d, %s", code, errOut)
			}
		})
	}
}
