// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

const manifests = `apiVersion: v1
kind: Service
metadata: {name: unrelated}
---
apiVersion: platen.dev/v1alpha1
kind: RenderTemplate
metadata: {name: card}
spec:
  parameters:
  - {name: colour, required: true}
  pages:
  - {name: front, width: 60, height: 30, htmlFrom: {configMapKeyRef: {name: pages, key: front.html}}}
`

const page = `<body><script>document.body.style.background = platen.modifications.colour</script>`

const pageMap = `---
apiVersion: v1
kind: ConfigMap
metadata: {name: pages}
data: {front.html: "` + page + `"}
`

// write writes manifests to a file.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "card.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// red checks that a picture is red.
func red(t *testing.T, path string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	picture, err := png.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	if r, g, _, _ := picture.At(10, 10).RGBA(); r != 0xffff || g != 0 || picture.Bounds().Dx() != 60 {
		t.Errorf("%v at 10,10, %v", picture.At(10, 10), picture.Bounds())
	}
}

func TestPreviewOnThisMachine(t *testing.T) {
	out := filepath.Join(t.TempDir(), "my card.png")
	// No cluster is needed.
	r := platen(t, "preview", "-f", write(t, manifests+pageMap), "--set", "colour=rgb(255, 0, 0)", "-o", out, "--server", "https://127.0.0.1:1")
	if r.code != 0 || r.out != out+"\n" {
		t.Fatalf("exit code %d, %s%s", r.code, r.out, r.errOut)
	}
	red(t, out)

	// A ConfigMap that is not in the file is read from the cluster.
	namespace := workspace(t)
	if err := api.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "pages"}, Data: map[string]string{"front.html": page}}); err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(t.TempDir(), "again.png")
	if r := platen(t, "preview", "card", "-f", write(t, manifests), "-n", namespace, "--set", "colour=rgb(255, 0, 0)", "-o", again); r.code != 0 {
		t.Fatalf("exit code %d, %s%s", r.code, r.out, r.errOut)
	}
	red(t, again)
}

// A picture at a private address is blocked by the policy, and the warning says which flag allows it.
func TestPreviewSaysWhatThePolicyBlocks(t *testing.T) {
	private := strings.Replace(pageMap, page, `<img src='http://127.0.0.1:9/logo.png'>`, 1)
	r := platen(t, "preview", "-f", write(t, manifests+private), "--set", "colour=red", "-o", filepath.Join(t.TempDir(), "card.png"))
	const want = "Warning: Could not load http://127.0.0.1:9/logo.png\n  only public addresses may be reached, on ports 80 and 443; --outbound-allow allows others\n"
	if r.code != 0 || !strings.Contains(r.errOut, want) {
		t.Errorf("exit code %d, %s", r.code, r.errOut)
	}
}

// A preview in the cluster leaves nothing behind there.
func TestPreviewInTheCluster(t *testing.T) {
	namespace, folder := workspace(t), t.TempDir()
	base, ended := content(t, nil), make(chan error, 1)
	var template *platenv1alpha1.RenderTemplate
	go func() {
		ended <- finish(t.Context(), namespace, func(job *platenv1alpha1.RenderJob) {
			templates := &platenv1alpha1.RenderTemplateList{}
			if err := api.List(t.Context(), templates, client.InNamespace(namespace)); err == nil && len(templates.Items) == 1 && job.Spec.Connections != nil && len(job.Spec.Connections) == 0 {
				template = &templates.Items[0]
			}
			rendered(base, "picture")(job)
		})
	}()
	r := platen(t, "preview", "-f", write(t, manifests+pageMap), "-n", namespace, "--in-cluster", "--set", "colour=red", "-o", filepath.Join(folder, "card.png"))
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if r.code != 0 || template == nil || template.Spec.Pages[0].HTML != page {
		t.Errorf("exit code %d, template %+v, %s%s", r.code, template, r.out, r.errOut)
	}
	if data, err := os.ReadFile(filepath.Join(folder, "card.png")); err != nil || string(data) != "picture" {
		t.Errorf("%q, %v", data, err)
	}
	for _, list := range []client.ObjectList{&platenv1alpha1.RenderJobList{}, &platenv1alpha1.RenderTemplateList{}} {
		if err := api.List(t.Context(), list, client.InNamespace(namespace)); err != nil {
			t.Fatal(err)
		}
		switch l := list.(type) {
		case *platenv1alpha1.RenderJobList:
			if len(l.Items) > 0 {
				t.Errorf("left behind: %v", l.Items)
			}
		case *platenv1alpha1.RenderTemplateList:
			if len(l.Items) > 0 {
				t.Errorf("left behind: %v", l.Items)
			}
		}
	}
}

// A preview in the cluster is of the template that a person knows: its name is the document's title, and a page of the cluster stays in its ConfigMap.
func TestPreviewInTheClusterOfWhatIsThere(t *testing.T) {
	namespace, folder := workspace(t), t.TempDir()
	from := func(key string) *platenv1alpha1.HTMLSource {
		return &platenv1alpha1.HTMLSource{ConfigMapKeyRef: platenv1alpha1.ConfigMapKeySelector{Name: "pages", Key: key}}
	}
	for _, object := range []client.Object{
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "pages"}, Data: map[string]string{"large": strings.Repeat("x", 600<<10), "empty": ""}},
		&platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "card"}, Spec: platenv1alpha1.RenderTemplateSpec{Pages: []platenv1alpha1.TemplatePage{
			{Name: "front", Width: 60, Height: 30, HTMLFrom: from("large")},
			{Name: "back", Width: 60, Height: 30, HTMLFrom: from("empty")},
		}}},
	} {
		if err := api.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	base, ended := content(t, nil), make(chan error, 1)
	title, template := "", &platenv1alpha1.RenderTemplate{}
	go func() {
		ended <- finish(t.Context(), namespace, func(job *platenv1alpha1.RenderJob) {
			title = job.Spec.Output.PDF.Title
			if err := api.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: job.Spec.TemplateRef.Name}, template); err == nil {
				rendered(base, "document")(job)
			}
		})
	}()
	r := platen(t, "preview", "card", "-n", namespace, "--in-cluster", "-o", filepath.Join(folder, "card.pdf"), "--timeout", "20s")
	if r.code != 0 {
		t.Fatalf("exit code %d, %s", r.code, r.errOut)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if title != "card" {
		t.Errorf("the document's title is %q, not card", title)
	}
	for _, page := range template.Spec.Pages {
		if page.HTMLFrom == nil {
			t.Errorf("page %s has %d bytes, and is no longer in its ConfigMap", page.Name, len(page.HTML))
		}
	}
}

// What a job would wait for, and what the cluster would refuse without saying why, a preview in the cluster says at once.
func TestPreviewInTheClusterRefuses(t *testing.T) {
	namespace := workspace(t)
	fonts := "---\napiVersion: platen.dev/v1alpha1\nkind: FontSet\nmetadata: {name: acme}\nspec: {sources: [{configMapRef: {name: pages}}]}\n"
	for name, x := range map[string]struct {
		file string
		code int
		text string
	}{
		"nobody renders": {manifests + pageMap, 5, "the cluster has not rendered the template within 3s, as --timeout says (Pending: Platen has not looked at it yet)"},
		"a missing key":  {strings.ReplaceAll(manifests, "key: front.html", "key: back.html") + pageMap, 3, "spec.pages[0].htmlFrom: ConfigMap 'pages' has no key 'back.html' (it has: front.html)"},
		"a large page":   {manifests + strings.ReplaceAll(pageMap, page, strings.Repeat("x", 512<<10+1)), 1, "spec.pages[0].htmlFrom: key 'front.html' of ConfigMap 'pages' has more than 512 KiB"},
		"a FontSet of the file": {
			strings.ReplaceAll(manifests, "  pages:", "  fontSetRefs: [{name: acme}]\n  pages:") + pageMap + fonts, 1,
			"spec.fontSetRefs[0]: FontSet 'acme' of the file does not exist in namespace " + namespace + ", and the cluster renders with those that are there: apply it first",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := platen(t, "preview", "-f", write(t, x.file), "-n", namespace, "--in-cluster", "--set", "colour=red", "-o", filepath.Join(t.TempDir(), "card.png"), "--timeout", "3s")
			if r.code != x.code || !strings.Contains(r.errOut, x.text) || strings.Contains(r.errOut, "goes on") {
				t.Errorf("exit code %d, not %d with %q: %s", r.code, x.code, x.text, r.errOut)
			}
		})
	}
}

// wholeBrowser returns the path of a program that says that it is Chrome, as a browser with windows does.
func wholeBrowser(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "chrome")
	// The answer to the first command in CBOR, as devtools reads it: {"id":1,"result":{"product":"Chrome/150.0.1"}}.
	const script = `#!/bin/bash
read -r -d '' request <&3
printf '\xd8\x18\x5a\0\0\0\x2d\xbf\x62id\x01\x66result\xd8\x18\x5a\0\0\0\x19\xbf\x67product\x6eChrome/150.0.1\xff\xff' >&4
cat <&3 >/dev/null
`
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPreviewRefuses(t *testing.T) {
	namespace := workspace(t)
	good, there := write(t, manifests+pageMap), t.TempDir()
	for name, x := range map[string]struct {
		args []string
		code int
		text string
	}{
		"nothing":           {code: 2, text: "name a template of the cluster, or a file with -f"},
		"no file":           {args: []string{"-f", "/nowhere.yaml"}, code: 1, text: "no such file"},
		"no template":       {args: []string{"-f", write(t, pageMap)}, code: 1, text: "holds no RenderTemplate of platen.dev/v1alpha1"},
		"several":           {args: []string{"-f", write(t, manifests+"---\n"+strings.ReplaceAll(manifests, "card", "other"))}, code: 2, text: "holds several templates, name one: card, other"},
		"another":           {args: []string{"other", "-f", good}, code: 1, text: "holds no RenderTemplate 'other'; there are: card"},
		"a misspelt field":  {args: []string{"-f", write(t, strings.ReplaceAll(manifests, "width", "witdh"))}, code: 1, text: `unknown field "spec.pages[0].witdh"`},
		"no ConfigMap":      {args: []string{"-f", write(t, manifests)}, code: 1, text: "spec.pages[0].htmlFrom: ConfigMap 'pages' does not exist in namespace " + namespace},
		"a wrong extension": {args: []string{"-f", good, "-o", "card.bmp"}, code: 2, text: ".bmp is not a format"},
		"no extension":      {args: []string{"-f", good, "-o", "card"}, code: 2, text: "-o must have the extension of a format"},
		"the output":        {args: []string{"-f", good, "-o", "-"}, code: 2, text: "-o -: preview writes files, not to the standard output; name one, such as card.png"},
		"a folder":          {args: []string{"-f", good, "-o", "pictures/"}, code: 2, text: "error: -o pictures/ is a folder: name a file in it, such as pictures/card.png"},
		"a folder there is": {args: []string{"-f", good, "-o", there}, code: 2, text: "error: -o " + there + " is a folder: name a file in it, such as " + filepath.Join(there, "card.png")},
		"two formats":       {args: []string{"-f", good, "-o", "card.png", "--format", "pdf"}, code: 2, text: "do not agree"},
		"a missing value":   {args: []string{"-f", good, "-o", filepath.Join(t.TempDir(), "card.png")}, code: 2, text: "--set colour is required by the template"},
		"a wrong size":      {args: []string{"-f", good, "--set", "colour=red", "--size", "squar"}, code: 2, text: "--size: 'squar' must be"},
		"no quality":        {args: []string{"-f", good, "--set", "colour=red", "--quality", "0"}, code: 2, text: "--quality: 0 must be"},
		"a long film":       {args: []string{"-f", good, "--set", "colour=red", "--duration", "100", "-o", "card.mp4"}, code: 2, text: "--duration: '100' must be a decimal number of seconds from 0.1 to 60"},
		"no such browser":   {args: []string{"-f", good, "--set", "colour=red", "--browser", "/nowhere"}, code: 1, text: "/nowhere"},
		"a whole browser":   {args: []string{"-f", good, "--set", "colour=red", "--browser", wholeBrowser(t)}, code: 1, text: "is Chrome/150.0.1, a whole browser, which does not draw frames on request: name a headless shell of Chromium, such as that of Debian's package chromium-headless-shell"},
		"no such template":  {args: []string{"banner"}, code: 1, text: "RenderTemplate 'banner' does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			r := platen(t, append([]string{"preview", "-n", namespace}, x.args...)...)
			if r.code != x.code || !strings.Contains(r.errOut, x.text) || r.out != "" {
				t.Errorf("exit code %d, out %q, error %q", r.code, r.out, r.errOut)
			}
		})
	}
}
