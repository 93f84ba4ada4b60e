// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/nearest"
	"github.com/platen-dev/platen/internal/task"
)

// maxManifests bounds the file that -f names, in bytes.
const maxManifests = 16 << 20

// manifests reads the templates, ConfigMaps and FontSets of a file, - for the standard input, and ignores objects of other kinds. A document that
// is no YAML, and one that was probably meant for Platen, is an error.
func (o *options) manifests(name string) (templates []platenv1alpha1.RenderTemplate, found sources, err error) {
	in := o.In
	if name != "-" {
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			return nil, found, usage("-f %s is a folder: name a file in it, or - and pipe the files to it", name)
		}
		opened, err := os.Open(name) //nolint:gosec // the file that the person names
		if err != nil {
			return nil, found, err
		}
		defer func() { _ = opened.Close() }()
		in = opened
	}
	data, err := io.ReadAll(io.LimitReader(in, maxManifests+1))
	if err != nil {
		return nil, found, fmt.Errorf("reading %s: %w", name, err)
	}
	if len(data) > maxManifests {
		return nil, found, fmt.Errorf("%s is larger than %s", name, size(maxManifests))
	}
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for n := 1; ; n++ {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return templates, found, nil
		}
		if err == nil {
			err = take(document, &templates, &found)
		}
		if err != nil {
			return nil, found, fmt.Errorf("%s, document %d: %w", name, n, err)
		}
	}
}

// take adds the object of a document, or the objects of a list, to those that are found.
func take(document []byte, templates *[]platenv1alpha1.RenderTemplate, found *sources) error {
	head := struct {
		metav1.TypeMeta `json:",inline"`
		Items           []json.RawMessage `json:"items"`
	}{}
	if err := yaml.Unmarshal(document, &head); err != nil {
		if syntax, found := strings.CutPrefix(err.Error(), "error converting YAML to JSON: "); found {
			return errors.New(syntax)
		}
		return errors.New("this is no Kubernetes object")
	}
	if strings.HasSuffix(head.Kind, "List") && head.Items != nil {
		for i, item := range head.Items {
			if err := take(item, templates, found); err != nil {
				return fmt.Errorf("items[%d]: %w", i, err)
			}
		}
		return nil
	}
	if err := checkKind(head.TypeMeta); err != nil {
		return err
	}
	if !slices.Contains([]string{"RenderTemplate", "ConfigMap", "FontSet"}, head.Kind) {
		return nil
	}
	object, _, err := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer().Decode(document, nil, nil)
	if err != nil {
		return fmt.Errorf("%s: %s", head.Kind, inWords(err))
	}
	switch o := object.(type) {
	case *platenv1alpha1.RenderTemplate:
		if err := errors.Join(checkPages(o), checkParameters(o)); err != nil {
			return fmt.Errorf("%s: %w", head.Kind, err)
		}
		*templates = append(*templates, *o)
	case *corev1.ConfigMap:
		found.maps = append(found.maps, *o)
	case *platenv1alpha1.FontSet:
		found.sets = append(found.sets, *o)
	}
	return nil
}

// checkPages refuses pages that the API server does not take: a preview must not show what cannot be applied.
func checkPages(t *platenv1alpha1.RenderTemplate) error {
	if len(t.Spec.Pages) == 0 {
		return errors.New("spec.pages: a template must have a page")
	}
	names := map[string]bool{}
	for i, page := range t.Spec.Pages {
		if names[page.Name] {
			return fmt.Errorf("spec.pages[%d].name: another page has the name %q", i, page.Name)
		}
		names[page.Name] = true
		for _, side := range []struct {
			name string
			size int32
		}{{"width", page.Width}, {"height", page.Height}} {
			if side.size < 1 || side.size > task.MaxSide {
				return fmt.Errorf("spec.pages[%d].%s: %d must be from 1 to %d CSS pixels", i, side.name, side.size, task.MaxSide)
			}
		}
	}
	return nil
}

var parameterTypes = []string{
	string(platenv1alpha1.ParameterText), string(platenv1alpha1.ParameterNumber), string(platenv1alpha1.ParameterBoolean), string(platenv1alpha1.ParameterColor),
	string(platenv1alpha1.ParameterImage), string(platenv1alpha1.ParameterList), string(platenv1alpha1.ParameterDate),
}

// checkParameters refuses parameters that the API server does not take.
func checkParameters(t *platenv1alpha1.RenderTemplate) error {
	seen := map[string]bool{}
	for i, p := range t.Spec.Parameters {
		if p.Type != "" && !slices.Contains(parameterTypes, string(p.Type)) {
			return fmt.Errorf("spec.parameters[%d].type: %q must be %s", i, p.Type, strings.Join(parameterTypes, ", "))
		}
		if seen[p.Name] {
			return fmt.Errorf("spec.parameters[%d].name: %q is declared twice", i, p.Name)
		}
		seen[p.Name] = true
	}
	return nil
}

// checkKind returns an error for an object that is Platen's, but of no kind or version that there is.
func checkKind(object metav1.TypeMeta) error {
	group, _, _ := strings.Cut(object.APIVersion, "/")
	ours := slices.Collect(maps.Keys(scheme.KnownTypes(platenv1alpha1.GroupVersion)))
	switch known := slices.Contains(ours, object.Kind); {
	case group != platenv1alpha1.GroupVersion.Group && object.Kind != "RenderTemplate":
		return nil
	case object.APIVersion != platenv1alpha1.GroupVersion.String():
		return fmt.Errorf("apiVersion: %q must be %s for the kind %s", object.APIVersion, platenv1alpha1.GroupVersion, object.Kind)
	case known:
		return nil
	}
	if near := nearest.Name(object.Kind, ours); near != "" {
		return fmt.Errorf("kind: %s has no kind %q; did you mean %s?", platenv1alpha1.GroupVersion, object.Kind, near)
	}
	return fmt.Errorf("kind: %s has no kind %q", platenv1alpha1.GroupVersion, object.Kind)
}

var (
	wrongType   = regexp.MustCompile(`json: cannot unmarshal (\w+) into Go struct field \w+\.([A-Za-z.]+) of type (\S+)`)
	givenTypes  = map[string]string{"number": "a number", "string": "text", "bool": "true or false", "array": "a list", "object": "an object"}
	wantedTypes = map[string]string{"int32": "a whole number", "int64": "a whole number", "string": "text", "bool": "true or false"}
)

// inWords says a mistake in a manifest without the words of Go.
func inWords(err error) string {
	text := strings.TrimPrefix(err.Error(), "strict decoding error: ")
	m := wrongType.FindStringSubmatch(text)
	if m == nil {
		return text
	}
	want := wantedTypes[strings.TrimPrefix(m[3], "*")]
	switch {
	case want != "":
	case strings.HasPrefix(m[3], "[]"):
		want = "a list"
	case strings.HasPrefix(m[3], "map["), strings.Contains(m[3], "v1alpha1."), strings.Contains(m[3], "v1."):
		want = "an object"
	default:
		return text
	}
	return fmt.Sprintf("%s must be %s, not %s", m[2], want, givenTypes[m[1]])
}
