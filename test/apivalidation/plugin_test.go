// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package apivalidation

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/platen-dev/platen/internal/cli"
)

const head = "apiVersion: platen.dev/v1alpha1\nkind: RenderTemplate\n"

// What kubectl apply refuses of a file, kubectl platen lint -f refuses too, in the same fields, and nothing else.
func TestThePluginRefusesWhatTheAPIServerRefuses(t *testing.T) {
	documents := map[string]string{}
	for name, tc := range refusals() {
		documents[name] = manifest(t, tc.kind, tc.spec)
	}
	documents["pool, another name"] = strings.Replace(documents["pool, another name"], "name: default", "name: other", 1)
	for name, tc := range accepted() {
		documents[name] = manifest(t, tc.kind, tc.spec)
	}
	body := "spec: {" + strings.TrimSpace(template) + "}\n"
	maps.Copy(documents, map[string]string{
		"a name of other letters":    head + "metadata: {name: My_T}\n" + body,
		"no name":                    head + "metadata: {namespace: default}\n" + body,
		"no metadata":                head + body,
		"a label that is none":       head + "metadata: {name: a, labels: {a: b c}}\n" + body,
		"a label's odd key":          head + "metadata: {name: a, labels: {a b: c}}\n" + body,
		"an annotation's odd key":    head + "metadata: {name: a, annotations: {a b: c}}\n" + body,
		"no spec":                    head + "metadata: {name: a}\n",
		"an empty spec":              head + "metadata: {name: a}\nspec:\n",
		"a list for a spec":          head + "metadata: {name: a}\nspec: []\n",
		"two mistakes":               head + "metadata: {name: a}\nspec: {pages: [{name: a, width: 0, height: 5001, html: x}]}\n",
		"the second page":            head + "metadata: {name: a}\nspec: {pages: [{name: a, width: 1, height: 1, html: x}, {name: b, width: wide, height: 1, html: x}]}\n",
		"a page's name twice":        head + "metadata: {name: a}\nspec: {pages: [{name: a, width: 1, height: 1, html: x}, {name: a, width: 1, height: 1, html: x}]}\n",
		"an unknown field":           head + "metadata: {name: a}\nspec: {pages: [{name: a, width: 1, height: 1, html: x, colour: red}]}\n",
		"unknown fields":             head + "metadata: {name: a, colour: red}\nspec: {colour: red, pages: [{name: a, width: 1, height: 1, html: x}]}\n",
		"a null":                     head + "metadata: {name: a}\nspec: {templateID: null, pages: [{name: a, width: null, height: 1, html: x}]}\n",
		"a fraction of a pixel":      head + "metadata: {name: a}\nspec: {pages: [{name: a, width: 1.5, height: 1, html: x}]}\n",
		"a number for a text":        head + "metadata: {name: a}\nspec: {pages: [{name: 5, width: 1, height: 1, html: x}]}\n",
		"a default of every type":    head + "metadata: {name: a}\nspec: {parameters: [{name: a, default: {a: [1]}}, {name: b, type: number, default: 1}], pages: [{name: a, width: 1, height: 1, html: x}]}\n",
		"status, which is dropped":   head + "metadata: {name: a}\n" + body + "status: {observedGeneration: 3}\n",
		"an unknown field of status": head + "metadata: {name: a}\n" + body + "status: {phase: Ready}\n",
	})
	for _, name := range slices.Sorted(maps.Keys(documents)) {
		t.Run(name, func(t *testing.T) {
			object := parse(t, documents[name])
			if object.GetNamespace() == "" {
				if _, ok := object.Object["metadata"]; ok {
					object.SetNamespace("default") // as kubectl does
				}
			}
			err := client.NewNamespacedClient(client.WithFieldValidation(api, metav1.FieldValidationStrict), "default").Create(t.Context(), object, client.DryRunAll)
			if apierrors.IsAlreadyExists(err) { // by another test, and the object is right
				err = nil
			}
			want, refused := serverFields(err)
			text := pluginSays(t, documents[name])
			got := pluginFields(text)
			if apierrors.IsBadRequest(err) { // before the API server has looked at the values
				got = slices.DeleteFunc(got, func(field string) bool { return !slices.Contains(want, field) })
			}
			if (text != "") != refused || !cmp.Equal(got, want) {
				t.Errorf("the plugin says %s\nthe API server says %v", text, err)
			}
			if strings.Contains(text, "Invalid value") || strings.Contains(text, "in body") || strings.Contains(text, "<nil>") {
				t.Errorf("words of a library: %s", text)
			}
		})
	}
}

var unknownField = regexp.MustCompile(`unknown field "([^"]+)"`)

// serverFields returns the fields that the API server refuses, sorted.
func serverFields(err error) (fields []string, refused bool) {
	if err == nil {
		return nil, false
	}
	seen := map[string]bool{}
	for _, m := range unknownField.FindAllStringSubmatch(err.Error(), -1) {
		seen[m[1]] = true
	}
	status := apierrors.APIStatus(nil)
	if errors.As(err, &status) && status.Status().Details != nil {
		for _, cause := range status.Status().Details.Causes {
			if cause.Field != "<nil>" {
				seen[cause.Field] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(seen)), true
}

// pluginSays returns what the plugin says of a document that the API server would refuse; nothing if it takes it.
func pluginSays(t *testing.T, document string) string {
	t.Helper()
	streams, in, _, errOut := genericiooptions.NewTestIOStreams()
	in.WriteString(document)
	if code := cli.Main(t.Context(), []string{"kubectl-platen", "lint", "-f", "-", "--static"}, streams); code == 0 {
		return ""
	}
	_, text, _ := strings.Cut(errOut.String(), "error: the standard input, document 1: ")
	return strings.TrimSpace(text)
}

var refusedField = regexp.MustCompile(`(?:^|: |; )((?:spec|metadata)(?:\.\w+|\[[^\]]*\])*): `)

// pluginFields returns the fields of what the plugin says, sorted.
func pluginFields(text string) []string {
	seen := map[string]bool{}
	for _, expression := range []*regexp.Regexp{refusedField, unknownField} {
		// Matches may overlap in what is between two of them.
		for rest := text; ; {
			m := expression.FindStringSubmatchIndex(rest)
			if m == nil {
				break
			}
			seen[rest[m[2]:m[3]]] = true
			rest = rest[m[3]:]
		}
	}
	return slices.Sorted(maps.Keys(seen))
}
