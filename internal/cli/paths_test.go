// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// What -o cannot be is said before anything is rendered.
func TestOutputIsCheckedFirst(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("m.yaml", []byte(cardManifest), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("folder.png", 0o700); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"render banner -o m.yaml":                       "-o m.yaml: m.yaml is a file; name a folder",
		"render banner -o m.yaml/a/b":                   "-o m.yaml/a/b: m.yaml is a file; name a folder",
		"render banner -o new/folder":                   "no cluster is configured",
		"render banner -o yaml":                         "no cluster is configured",
		"fetch job -o m.yaml":                           "-o m.yaml: m.yaml is a file; name a folder",
		"render banner -o -":                            "-o -: files go into a folder, not to the standard output; name one, such as out",
		"fetch job -o -":                                "-o -: files go into a folder, not to the standard output; name one, such as out",
		"fetch job -o ./-":                              "no cluster is configured",
		"try -o nodir/x.png":                            "-o nodir/x.png: there is no folder nodir",
		"try -o folder.png":                             "-o folder.png is a folder; name a file",
		"try -o x.png":                                  "no cluster is configured",
		"preview -f m.yaml -o nodir/x.png":              "-o nodir/x.png: there is no folder nodir",
		"preview -f m.yaml -o folder.png":               "-o folder.png is a folder; name a file",
		"preview -f m.yaml -o card.pdf --file-name foo": "-o card.pdf and --file-name foo do not agree",
		"preview -f m.yaml -o card.pdf --file-name card --quality 0": "--quality: 0 must be", // only that
	} {
		t.Run(args, func(t *testing.T) {
			t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
			t.Setenv("HOME", t.TempDir())
			streams, _, _, errOut := genericiooptions.NewTestIOStreams()
			code := Main(t.Context(), append([]string{"kubectl-platen"}, strings.Fields(args)...), streams)
			if code == 0 || !strings.Contains(errOut.String(), want) {
				t.Errorf("exit code %d, %s", code, errOut)
			}
		})
	}
}

// A template's file says where its ConfigMaps and FontSets are.
func TestTheFilesNamespace(t *testing.T) {
	for name, c := range map[string]struct{ flag, file, want, error string }{
		"of the file":    {file: "tour-a", want: "tour-a"},
		"of the flag":    {flag: "tour-a", want: "tour-a"},
		"of both":        {flag: "tour-a", file: "tour-a", want: "tour-a"},
		"of the cluster": {want: "default"},
		"two":            {flag: "tour-b", file: "tour-a", error: "RenderTemplate 'card' of -f is in namespace tour-a, not in namespace tour-b of -n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
			o := &options{flags: genericclioptions.NewConfigFlags(true)}
			*o.flags.Namespace = c.flag
			template := &platenv1alpha1.RenderTemplate{}
			template.Name, template.Namespace = "card", c.file
			err := o.follows(template)
			if err == nil {
				var got string
				if got, err = o.namespace(); got != c.want {
					t.Errorf("namespace %s", got)
				}
			}
			if (err == nil) != (c.error == "") || err != nil && err.Error() != c.error {
				t.Error(err)
			}
		})
	}
}

// What the example gives fits its type, and a page uses it.
func TestExampleIsUsed(t *testing.T) {
	template := &platenv1alpha1.RenderTemplate{}
	template.Name, template.Namespace = "card", "default"
	template.Spec.Parameters = []platenv1alpha1.Parameter{{Name: "link"}, {Name: "unused"}, {Name: "needed", Required: new(true)}}
	for page, want := range map[string]string{
		`<a data-param-href="link">x</a>`: "--set link=https://example.com/ --set needed=...",
		`<script>draw(platen.modifications.unused)</script><a data-param-href="link">x</a>`: "--set link=https://example.com/ --set unused=... --set needed=...",
	} {
		template.Spec.Pages = []platenv1alpha1.TemplatePage{{HTML: page}}
		if got := example(template); got != "kubectl platen render card "+want+" -o out -n default" {
			t.Errorf("%s: %s", page, got)
		}
	}
}

// A job needs a value where the template's own default does not fit.
func TestExampleReplacesADefaultThatDoesNotFit(t *testing.T) {
	template := &platenv1alpha1.RenderTemplate{}
	template.Name, template.Namespace = "card", "default"
	template.Spec.Parameters = []platenv1alpha1.Parameter{
		{Name: "price", Type: platenv1alpha1.ParameterNumber, Default: &apiextensionsv1.JSON{Raw: []byte(`"x"`)}},
		{Name: "count", Type: platenv1alpha1.ParameterNumber, Default: &apiextensionsv1.JSON{Raw: []byte(`5`)}},
	}
	template.Spec.Pages = []platenv1alpha1.TemplatePage{{HTML: `<p data-param="price">x</p><p data-param="count">x</p>`}}
	if got, want := example(template), "kubectl platen render card --set price=1 -o out -n default"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	template.Spec.Pages = []platenv1alpha1.TemplatePage{{HTML: `<p>nothing</p>`}} // a job fails all the same
	if got, want := example(template), "kubectl platen render card --set price=1 -o out -n default"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestExampleIsForTheShell(t *testing.T) {
	template := &platenv1alpha1.RenderTemplate{}
	template.Name, template.Namespace = "card", "default"
	template.Spec.Pages = []platenv1alpha1.TemplatePage{{HTML: `<p data-if="price > 5"></p><p data-param="first name">Ada</p>`}}
	if got, want := example(template), "kubectl platen render card --set 'first name'=Ada -o out -n default"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// An example of a list has the fields that the page shows of each item, however many: a list without them would be a mistake.
func TestExampleOfAListHasItsFields(t *testing.T) {
	template := &platenv1alpha1.RenderTemplate{}
	template.Name, template.Namespace = "invoice", "default"
	template.Spec.Parameters = []platenv1alpha1.Parameter{{Name: "items", Type: platenv1alpha1.ParameterList, Required: new(true)}}
	template.Spec.Pages = []platenv1alpha1.TemplatePage{{HTML: `<ul><li data-each="items"><img data-param="photo" src="data:image/png;base64,` + strings.Repeat("A", 80) + `"><b data-param="title">The title of an item of the invoice</b>
		<i data-param="price">1,00 €</i><i data-if="detail" data-param="detail">A &amp; B</i><i data-if="price">!</i></li></ul>`}}
	want := `kubectl platen render invoice --set items='[{"detail":"A & B","photo":"` + emptyPicture + `","price":"1,00 €","title":"..."}]' -o out -n default`
	if got := example(template); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A page that has a picture of its own keeps it: a transparent one in its place would hide it.
func TestExampleKeepsThePicturesOfThePage(t *testing.T) {
	template := &platenv1alpha1.RenderTemplate{}
	template.Name, template.Namespace = "card", "default"
	template.Spec.Parameters = []platenv1alpha1.Parameter{{Name: "photo", Type: platenv1alpha1.ParameterImage}, {Name: "logo", Type: platenv1alpha1.ParameterImage, Required: new(true)}}
	picture := "data:image/png;base64," + strings.Repeat("A", 80)
	template.Spec.Pages = []platenv1alpha1.TemplatePage{{HTML: `<img data-param="photo" src="` + picture + `"><img data-param="logo" src="` + picture + `"><b data-param="name">Ada</b>`}}
	if got, want := example(template), "kubectl platen render card --set logo='"+emptyPicture+"' --set name=Ada -o out -n default"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
