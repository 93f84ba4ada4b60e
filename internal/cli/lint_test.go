// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

func TestLint(t *testing.T) {
	const template = `apiVersion: platen.dev/v1alpha1
kind: RenderTemplate
metadata: {name: NAME}
spec:
  templateID: 25
  pages:
  - {name: front, width: 60, height: 30, PAGE}
`
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "card.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	named := func(name, page string) string {
		return strings.NewReplacer("NAME", name, "PAGE", page).Replace(template)
	}
	good := write(named("card", `html: "<p data-param=a>x"`))
	image := write(named("card", `html: "<img>"`))
	twice := write(named("card", `html: "<p>x"`) + "---\n" + named("other", `html: "<img>"`))
	files := write(named("card", `html: "<img alt='' src=logo.png><img alt='' src='data:image/png;base64,AAAA'><i data-parm=a></i>x"`))
	absent := write(named("card", `htmlFrom: {configMapKeyRef: {name: m, key: k}}`))
	source := write(named("card", `htmlFrom: {configMapKeyRef: {name: m, key: k}}`) + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {k: \"<img>\"}\n")
	inNamespace := func(namespace, page string) string {
		return strings.Replace(named("card", page), "{name: card}", "{name: card, namespace: "+namespace+"}", 1) +
			"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: m, namespace: " + namespace + "}\ndata: {k: \"<img alt=" + namespace + " src=/" + namespace + ".png>\"}\n"
	}
	namespaces := write(inNamespace("sales", `htmlFrom: {configMapKeyRef: {name: m, key: k}}`) + "---\n" + inNamespace("events", `htmlFrom: {configMapKeyRef: {name: m, key: k}}`))
	job, wrong := write(jobManifest("scale: 1.5")), write(jobManifest("scale: 0"))
	const noBrowser = "Only the text was checked"
	for name, c := range map[string]struct {
		args []string
		code int
		text string // part of the output
	}{
		"nothing is wrong":      {args: []string{"-f", good, "--static", "--strict"}, text: "0 errors and 0 warnings in 1 template"},
		"with the browser":      {args: []string{"-f", good, "--strict"}, text: "0 errors and 0 warnings in 1 template"},
		"what the text tells":   {args: []string{"-f", files}, text: "'logo.png' cannot be loaded"},
		"what it does not tell": {args: []string{"-f", files}, text: "Could not load data:image/png"},
		"an attribute it has":   {args: []string{"-f", files}, text: "data-parm is no attribute"},
		"each of them once":     {args: []string{"-f", files}, text: "0 errors and 3 warnings in 1 template"},
		"a warning":             {args: []string{"-f", image, "--static"}, text: "card: warning: page front, <img>: the picture has no alt text"},
		"a warning that counts": {args: []string{"-f", image, "--static", "--strict"}, code: exitRenderFailed, text: "error: 0 errors and 1 warning in 1 template"},
		"a page in a ConfigMap": {args: []string{"-f", source, "--static"}, text: "card: warning: page front, <img>: the picture has no alt text"},
		"no such ConfigMap":     {args: []string{"-f", absent}, code: exitRenderFailed, text: "card: error: page front: ConfigMap 'm' is not in the file, and with -f its pages are read from there only; add it to the file [render-fails]\n"},
		"and the text alone":    {args: []string{"-f", absent, "--static"}, text: "0 errors and 0 warnings in 1 template"},
		"an ID that is taken":   {args: []string{"-f", twice, "--static"}, code: exitRenderFailed, text: "card: error: spec.templateID: 25 is also the templateID of other"},
		"one of several":        {args: []string{"-f", twice, "card", "--static"}, code: exitRenderFailed, text: "error: 1 error and 0 warnings in 1 template"},
		"two namespaces":        {args: []string{"-f", namespaces, "--static"}, text: "events/card: warning: page front, <img src=/events.png>"},
		"of two namespaces":     {args: []string{"-f", namespaces, "--static"}, text: "sales/card: warning: page front, <img src=/sales.png>"},
		"an ID in each of two":  {args: []string{"-f", namespaces, "--static"}, text: "0 errors and 2 warnings in 2 templates"},
		"as JSON":               {args: []string{"-f", image, "--static", "-o", "json"}, text: `"where": "page front, <img>"`},
		"nothing as JSON":       {args: []string{"-f", good, "--static", "-o", "json"}, text: `"findings": []`},
		"a template not there":  {args: []string{"-f", good, "banner"}, code: exitFailed, text: "holds no RenderTemplate 'banner'"},
		"a job only":            {args: []string{"-f", job}, text: "0 errors and 0 warnings in 1 object"},
		"a wrong job only":      {args: []string{"-f", wrong}, code: exitFailed, text: "spec.output.scale: '0' must be a decimal number from 0.1 to 10"},
		"a job as JSON":         {args: []string{"-f", job, "-o", "json"}, text: "[]"},
		"a name for a job":      {args: []string{"-f", job, "summer"}, code: exitFailed, text: "holds no RenderTemplate of"},
		"a wrong default":       {args: []string{"-f", write(strings.Replace(named("card", `html: "<p data-if=a>x"`), "spec:", "spec:\n  parameters: [{name: a, type: boolean, default: x}]", 1))}, code: exitRenderFailed, text: "The pages of RenderTemplate 'card' are not rendered, and not checked with a browser, before its errors are corrected\n"},
		"nothing of Platen":     {args: []string{"-f", write("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\n")}, code: exitFailed, text: "holds no RenderTemplate of"},
		"another output":        {args: []string{"-f", good, "-o", "yaml"}, code: exitUsage, text: `-o must be json, not "yaml"`},
		"no file":               {args: []string{"-f", "/nowhere.yaml"}, code: exitFailed, text: "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			streams, _, out, errOut := genericiooptions.NewTestIOStreams()
			code := Main(t.Context(), append([]string{"kubectl-platen", "lint"}, c.args...), streams)
			if text := out.String() + errOut.String(); code != c.code || !strings.Contains(text, c.text) || strings.Contains(text, noBrowser) {
				t.Errorf("exit code %d, %s", code, text)
			}
		})
	}
}

// A page that never ends takes no time from the templates after it, which would then be said not to render.
func TestLintAfterATemplateThatNeverEnds(t *testing.T) {
	const template = `apiVersion: platen.dev/v1alpha1
kind: RenderTemplate
metadata: {name: NAME}
spec: {pages: [{name: front, width: 60, height: 30, html: "PAGE"}]}
---
`
	path := filepath.Join(t.TempDir(), "two.yaml")
	text := strings.NewReplacer("NAME", "loop", "PAGE", "<script>for(;;);</script>").Replace(template) + strings.NewReplacer("NAME", "sound", "PAGE", "<p>x").Replace(template)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	streams, _, out, errOut := genericiooptions.NewTestIOStreams()
	code := Main(t.Context(), []string{"kubectl-platen", "lint", "-f", path, "--timeout", "5s"}, streams)
	if code != exitRenderFailed || !strings.Contains(out.String(), "loop: error: ") || strings.Contains(out.String(), "sound: ") {
		t.Errorf("exit code %d, %s%s", code, out, errOut)
	}
}

// A job whose template is in the same file is checked against it.
func TestLintOfJobsInTheFile(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	template := strings.Replace(cardManifest, "spec:", "spec:\n  parameters:\n  - {name: \"n\", type: number, required: true}", 1)
	job := func(name, spec string) string {
		return "---\napiVersion: platen.dev/v1alpha1\nkind: RenderJob\nmetadata: {name: " + name + "}\nspec: {templateRef: {name: card}, " + spec + "}\n"
	}
	configMap := func(name, data string) string {
		return "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\ndata: " + data + "\n"
	}
	for name, c := range map[string]struct {
		file, args, want string
		// out is part of the standard output.
		out  string
		code int
	}{
		"a value is missing": {
			file: template + job("a", "modifications: {n: 5}"), code: exitFailed,
			want: "error: the standard input, RenderJob 'a': spec.modifications.n is required by the template; put quotes around n, which YAML reads as false without them (kubectl edit shows it as \"false\": make it \"n\")\n",
		},
		"two jobs": {
			file: template + job("a", `modifications: {"n": x}`) + job("b", `modifications: {"n": 1}, output: {pages: [2]}`) + job("c", `modifications: {"n": 1}`), code: exitFailed,
			want: "error: the standard input: 2 mistakes:\n  RenderJob 'a': spec.modifications.n: \"x\" must be a number, such as 12.5\n  RenderJob 'b': spec.output.pages[0]: 2 must be from 1 to 1, the number of pages of RenderTemplate 'card'\n",
		},
		"values that no page uses": {
			file: strings.NewReplacer("<p>x</p>", "<p data-param=n>x</p><b data-param=headline>y</b>").Replace(template) +
				job("a", `modifications: {"n": 1, headlin: x, n: 2, headline: y}`) + job("b", `modifications: {"n": 1}`), args: "--strict", code: exitRenderFailed,
			out: "card: warning: RenderJob 'a', spec.modifications.false: no page uses the value; put quotes around n, which YAML reads as false without them (kubectl edit shows it as \"false\": make it \"n\") [unused-value]\n" +
				"card: warning: RenderJob 'a', spec.modifications.headlin: no page uses the value; did you mean headline? [unused-value]\n", want: "error: 0 errors and ",
		},
		"a text whose rest is a key": {
			file: strings.Replace(template, "<p>x</p>", "<p data-param=n>x</p><b data-param=headline>y</b>", 1) + job("a", `modifications: {"n": 1, headline: Hello, summer}`),
			args: "--strict", code: exitRenderFailed,
			out: "card: warning: RenderJob 'a', spec.modifications.summer: no page uses the value; it has no value, as summer has none in {headline: Hello, summer}: " +
				"put quotes around a text that has a comma, and write 12.50 for 12,50 [unused-value]\n", want: "error: 0 errors and ",
		},
		"a colour without quotes": {
			file: strings.Replace(template, "<p>x</p>", "<p data-param=n id=title>x</p>", 1) + job("a", `modifications: {"n": 1, title.color: , titel.color: null}`), args: "--strict", code: exitRenderFailed,
			out: "card: warning: RenderJob 'a', spec.modifications.titel.color: colours nothing; it has no value: in YAML, # begins a comment; put quotes around a colour, such as \"#c30\" [unused-value]\n" +
				"card: warning: RenderJob 'a', spec.modifications.title.color: colours nothing; it has no value: in YAML, # begins a comment; put quotes around a colour, such as \"#c30\" [unused-value]\n", want: "error: 0 errors and ",
		},
		"fields that no page uses": {
			file: strings.NewReplacer("<p>x</p>", "<p data-param=n>x</p><b data-each=points><i data-param=y>z</i></b>").Replace(template) +
				job("a", `modifications: {"n": 1, points: [{y: 1}]}`), args: "--strict", code: exitRenderFailed,
			out:  "card: warning: RenderJob 'a', spec.modifications.points: no page uses points.true; put quotes around y, which YAML reads as true without them (kubectl edit shows it as \"true\": make it \"y\") [unused-value]\n",
			want: "error: 0 errors and ",
		},
		"a webhook that nobody can call": {
			file: template + strings.Replace(job("a", "modifications: {\"n\": 1}"), "{name: a}", "{name: a, annotations: {platen.dev/webhook-url: \"https://hooks.example.com:99999/\"}}", 1), code: exitFailed,
			want: "error: the standard input, RenderJob 'a': metadata.annotations[platen.dev/webhook-url]: the webhook must have a port from 1 to 65535\n",
		},
		"values in a ConfigMap": {
			file: template + job("a", "modificationsFrom: [{configMapKeyRef: {name: m, key: k}}]"),
			want: "Not checked, because the standard input does not have it (add what kubectl get -o yaml prints of it):\n  RenderJob 'a' with the values of ConfigMap 'm'\n",
		},
		"values of its own besides those in a ConfigMap": {
			file: template + job("a", "modificationsFrom: [{configMapKeyRef: {name: m, key: k}}], modifications: {\"n\": x}, output: {pages: [2]}"), code: exitFailed,
			want: "Not checked, because the standard input does not have it (add what kubectl get -o yaml prints of it):\n  RenderJob 'a' with the values of ConfigMap 'm'\n" +
				"error: the standard input, RenderJob 'a': spec.output.pages[0]: 2 must be from 1 to 1, the number of pages of RenderTemplate 'card'; spec.modifications.n: \"x\" must be a number, such as 12.5\n",
		},
		"values in a ConfigMap of the file": {
			file: template + job("a", "modificationsFrom: [{configMapKeyRef: {name: m, key: k}}, {configMapKeyRef: {name: m, key: l}}]") + configMap("m", `{k: "n: x"}`), code: exitFailed,
			want: "error: the standard input, RenderJob 'a': spec.modificationsFrom[1]: ConfigMap 'm' has no key 'l' (it has: k)\n",
		},
		"a wrong value in a ConfigMap of the file": {
			file: template + job("a", "modificationsFrom: [{configMapKeyRef: {name: m, key: k}}]") + configMap("m", `{k: "n: x"}`), code: exitFailed,
			want: "error: the standard input, RenderJob 'a': spec.modifications.n: \"x\" must be a number, such as 12.5; it is from key 'k' of ConfigMap 'm'\n",
		},
		"no value in a ConfigMap of the file": {
			file: template + job("a", "modificationsFrom: [{configMapKeyRef: {name: m, key: k}}]") + configMap("m", `{k: "other: x"}`), code: exitFailed,
			want: "error: the standard input, RenderJob 'a': spec.modifications.n is required by the template\n",
		},
		"a value of a ConfigMap that no page uses": {
			file: strings.NewReplacer("<p>x</p>", "<p data-param=n>x</p><b data-param=headline>y</b>").Replace(template) +
				job("a", "modificationsFrom: [{configMapKeyRef: {name: m, key: k}}]") + configMap("m", `{k: "n: 1\nheadlin: x"}`), args: "--strict", code: exitRenderFailed,
			out: "card: warning: RenderJob 'a', key 'k' of ConfigMap 'm', headlin: no page uses the value; did you mean headline? [unused-value]\n", want: "error: 0 errors and ",
		},
		"of a template that the file does not have": {
			file: job("a", `modifications: {"n": 5}`) + job("b", "modificationsFrom: [{configMapKeyRef: {name: m, key: k}}]"),
			want: "Not checked, because the standard input does not have it (add what kubectl get -o yaml prints of it):\n" +
				"  RenderJob 'a' against RenderTemplate 'card' of namespace default\n  RenderJob 'b' against RenderTemplate 'card' of namespace default\n",
		},
		"of another namespace": {
			file: template + strings.Replace(job("a", "modifications: {}"), "{name: a}", "{name: a, namespace: sales}", 1),
			want: "Not checked, because the standard input does not have it (add what kubectl get -o yaml prints of it):\n  RenderJob 'a' against RenderTemplate 'card' of namespace sales\n",
		},
		"of another template": {file: template + job("a", "modifications: {}") + "---\n" + strings.Replace(cardManifest, "name: card", "name: other", 1), args: "other"},
		"of a wrong template": {file: strings.Replace(template, "required: true", "default: x", 1) + job("a", "modifications: {}"), code: exitRenderFailed, want: "error: 1 error and"},
	} {
		t.Run(name, func(t *testing.T) {
			streams, in, out, errOut := genericiooptions.NewTestIOStreams()
			in.WriteString(c.file)
			code := Main(t.Context(), append([]string{"kubectl-platen", "lint", "--static", "-f", "-"}, strings.Fields(c.args)...), streams)
			if code != c.code || !strings.HasPrefix(errOut.String(), c.want) || !strings.Contains(out.String(), c.out) {
				t.Errorf("exit code %d, %s%s", code, out, errOut)
			}
		})
	}
}

// A template whose page or FontSet is missing does not hide the others.
func TestLintOfTemplatesThatLackSources(t *testing.T) {
	named := func(name string, page platenv1alpha1.TemplatePage) *platenv1alpha1.RenderTemplate {
		page.Name, page.Width, page.Height = "one", 60, 30
		return &platenv1alpha1.RenderTemplate{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "marketing"}, Spec: platenv1alpha1.RenderTemplateSpec{Pages: []platenv1alpha1.TemplatePage{page}},
		}
	}
	from := func(name, key string) platenv1alpha1.TemplatePage {
		return platenv1alpha1.TemplatePage{HTMLFrom: &platenv1alpha1.HTMLSource{ConfigMapKeyRef: platenv1alpha1.ConfigMapKeySelector{Name: name, Key: key}}}
	}
	there := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "there", Namespace: "marketing"}, Data: map[string]string{"html": "<p>x"}, BinaryData: map[string][]byte{"latin": {0xe9}}}
	templates := []*platenv1alpha1.RenderTemplate{
		named("a", platenv1alpha1.TemplatePage{HTML: "<p>x"}), named("b", from("nope", "html")), named("c", from("there", "html")), named("d", from("there", "page")),
		named("e", from("there", "latin")),
	}
	want := map[string]string{
		"b": "ConfigMap 'nope' does not exist in namespace marketing; create it", "d": "ConfigMap 'there' has no key 'page' (it has: html); add it",
		"e": "key 'latin' of ConfigMap 'there' is in its binaryData, as it is no text in UTF-8: save the file in UTF-8, and make the ConfigMap again",
	}
	c := &cluster{fake.NewClientBuilder().WithScheme(scheme).WithObjects(there).Build(), nil, "marketing"}
	listed := make([]platenv1alpha1.RenderTemplate, 0, len(templates))
	for _, template := range templates {
		listed = append(listed, *template)
	}
	maps, err := c.pageSources(t.Context(), listed, nil)
	if err != nil {
		t.Fatal(err)
	}
	l := &lintCommand{options: &options{}, static: true}
	for _, template := range templates {
		findings, err := l.template(t.Context(), template, &sources{maps: maps})
		var messages []string
		for _, f := range findings {
			messages = append(messages, f.Message)
		}
		if err != nil || strings.Join(messages, "; ") != want[template.Name] {
			t.Errorf("%s: %v, %v", template.Name, findings, err)
		}
	}
}
