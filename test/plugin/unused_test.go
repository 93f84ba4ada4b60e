// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// A value that no page uses becomes a warning before the job is made, also where no job is made.
func TestValuesThatNoPageUses(t *testing.T) {
	namespace := studio(t)
	source := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "pages"}, Data: map[string]string{"front": `<h1 data-param="headline">x</h1>`}}
	card := &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "card"}}
	card.Spec.Pages = []platenv1alpha1.TemplatePage{{Name: "front", Width: 120, Height: 63, HTMLFrom: &platenv1alpha1.HTMLSource{
		ConfigMapKeyRef: platenv1alpha1.ConfigMapKeySelector{Name: "pages", Key: "front"},
	}}}
	missing := card.DeepCopy()
	missing.Name, missing.Spec.Pages[0].HTMLFrom.ConfigMapKeyRef.Name = "missing", "none"
	list := card.DeepCopy()
	list.Name, list.Spec.Pages[0].HTMLFrom = "list", nil
	list.Spec.Pages[0].HTML = `<h1 data-param="item.headline">x</h1><p data-each="lines"><b data-param="name">x</b></p>`
	list.Spec.Pages = append(list.Spec.Pages, platenv1alpha1.TemplatePage{Name: "back", Width: 120, Height: 63, HTML: `<b data-param="item.price">x</b>`})
	for _, object := range []client.Object{source, card, missing, list} {
		if err := api.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	headline := []string{"--set", "headline=x"}
	for name, x := range map[string]struct {
		args []string
		want string
	}{
		"none":              {[]string{"banner", "--set", "headline=x", "--set", "page1@headline=y", "--set-string", "canvasBackgroundColor=red"}, ""},
		"a flag":            {append([]string{"banner", "--set", "foo=abc"}, headline...), "Warning: no page uses --set foo\n"},
		"a style":           {append([]string{"banner", "--set-string", "headlin.color=red"}, headline...), "Warning: no page uses --set-string headlin.color; did you mean headline.color?\n"},
		"a page":            {append([]string{"banner", "--set", "page3@tx=a"}, headline...), "Warning: no page uses --set page3@tx; the template has 2 pages\n"},
		"several":           {append([]string{"banner", "--set", "foo=a", "--set-json", `hedline="b"`}, headline...), "Warning: 2 values change nothing:\n  no page uses --set foo\n  no page uses --set-json hedline; did you mean headline?\n"},
		"a table":           {[]string{"banner", "--csv", table(t, "headline,headlien\nAda,Ada\nGrace,Grace\n"), "--name", "cards"}, "Warning: no page uses column headlien; did you mean headline?\n"},
		"a ConfigMap":       {[]string{"card", "--set", "hedline=x"}, "Warning: no page uses --set hedline; did you mean headline?\n"},
		"a field":           {[]string{"list", "--set", `item={"hedline": "x"}`, "--set-json", `lines=[{"name": 1}]`}, "Warning: no page uses item.hedline of --set item; did you mean item.headline?\n"},
		"a field of a page": {[]string{"list", "--set-json", `page2@item={"headline": "x"}`}, "Warning: no page uses item.headline of --set-json page2@item; the template uses these fields of item: price\n"},
		"a field of items": {
			[]string{"list", "--csv", table(t, "lines\n\"[{\"\"nam\"\": 1}]\"\n\"[{\"\"name\"\": 1}, {\"\"nam\"\": 1, \"\"x\"\": 2}]\"\n"), "--name", "cards"},
			"Warning: 2 values change nothing:\n  no page uses lines.nam of column lines; did you mean lines.name?\n  no page uses lines.x of column lines; the template uses these fields of lines: name\n",
		},
		"what is unknown": {[]string{"missing", "--set", "hedline=x"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, dryRun := range []string{"client", "server"} {
				r := platen(t, append([]string{"render", "-n", namespace, "-o", "yaml", "--dry-run=" + dryRun}, x.args...)...)
				if r.code != 0 || r.errOut != x.want {
					t.Errorf("%s: exit code %d, error %q, want %q", dryRun, r.code, r.errOut, x.want)
				}
			}
		})
	}
	if r := platen(t, "render", "card", "-n", namespace, "--set", "hedline=x", "-o", "name"); r.code != 0 || r.errOut != "Warning: no page uses --set hedline; did you mean headline?\n" {
		t.Errorf("exit code %d, error %q", r.code, r.errOut)
	}
}
