// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package bindings

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// What status keeps of a template whose pages are in ConfigMaps is what the pages themselves say.
func TestKnownFromStatus(t *testing.T) {
	const source = `<h1 id="title" data-param="headline">Hello</h1><p data-if="paid">PAID</p><b data-param="order.total">5</b><p data-each="rows" data-param="item">x</p><b data-param="price">9,50</b>`
	large := &apiextensionsv1.JSON{Raw: []byte(`"` + strings.Repeat("x", 5000) + `"`)}
	template := &platenv1alpha1.RenderTemplate{}
	template.Generation = 3
	template.Spec.Pages = []platenv1alpha1.TemplatePage{{Name: "front", HTMLFrom: &platenv1alpha1.HTMLSource{}}}
	template.Spec.Parameters = []platenv1alpha1.Parameter{
		{Name: "price", Type: platenv1alpha1.ParameterNumber, Required: new(true), Description: "what it costs"}, {Name: "logo", Type: platenv1alpha1.ParameterImage, Default: large},
	}
	want := Parameters(template, func(platenv1alpha1.TemplatePage) (string, bool) { return source, true })
	template.Status.Parameters = Status(want)
	if got := Known(template); len(got) != 2 {
		t.Errorf("before Platen has seen the template: %v", got)
	}
	template.Status.ObservedGeneration = new(int64(3))
	for i := range want {
		if want[i].Name == "logo" {
			want[i].Example = nil // it is too large
		}
	}
	if diff := cmp.Diff(want, Known(template)); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
	template.Generation = 4
	if got := Known(template); len(got) != 2 {
		t.Errorf("after a change of the template: %v", got)
	}
}

func TestStatusIsBounded(t *testing.T) {
	parameters := make([]Parameter, 0, 301)
	for range 300 {
		value := &apiextensionsv1.JSON{Raw: []byte(`"` + strings.Repeat("x", 1000) + `"`)}
		parameters = append(parameters, Parameter{Parameter: platenv1alpha1.Parameter{Name: "x", Default: value}, Example: value})
	}
	parameters = append(parameters, Parameter{Parameter: platenv1alpha1.Parameter{Name: strings.Repeat("x", 254)}})
	size, list := 0, Status(parameters)
	for _, p := range list {
		if p.Default != nil {
			size += len(p.Default.Raw)
		}
		if p.Example != nil {
			size += len(p.Example.Raw)
		}
	}
	if len(list) != 300 || size > maxValues || size < maxValues-2*maxValue {
		t.Errorf("%d parameters, whose values have %d bytes", len(list), size)
	}
}

// A list of templates is asked for often, by everybody, and a template may have many pages.
func TestAVersionOfATemplateIsReadOnce(t *testing.T) {
	template := &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{UID: "uid-of-this-test", ResourceVersion: "1"}}
	set := func(html string) []string {
		template.Spec.Pages = []platenv1alpha1.TemplatePage{{HTML: html}}
		known := Cached(template)
		names := make([]string, 0, len(known))
		for _, p := range known {
			names = append(names, p.Name)
		}
		return names
	}
	if got := set(`<p data-param=a></p>`); !slices.Equal(got, []string{"a"}) {
		t.Errorf("got %v", got)
	}
	if got := set(`<p data-param=b></p>`); !slices.Equal(got, []string{"a"}) {
		t.Errorf("the same version has %v", got)
	}
	template.ResourceVersion = "2"
	if got := set(`<p data-param=b></p>`); !slices.Equal(got, []string{"b"}) {
		t.Errorf("another version has %v", got)
	}
	template.ResourceVersion = "" // it does not come from the API server
	for _, name := range []string{"c", "d"} {
		if got := set(`<p data-param=` + name + `></p>`); !slices.Equal(got, []string{name}) {
			t.Errorf("got %v, want %s", got, name)
		}
	}
}

// Whoever changes a large template again and again takes no more than a part of the memory.
func TestWhatIsKnownOfVersionsIsBounded(t *testing.T) {
	c := newCache()
	parameters := func(n int) []Parameter {
		return []Parameter{{Parameter: platenv1alpha1.Parameter{Name: "a", Default: &apiextensionsv1.JSON{Raw: make([]byte, n)}}}}
	}
	last := version{"template", "199"}
	for n := range 200 {
		key := version{"template", strconv.Itoa(n)}
		for range 2 { // as two requests at a time
			c.add(key, parameters(1<<20))
		}
	}
	if _, ok := c.get(last); !ok {
		t.Error("the last version is not known")
	}
	if n := c.known.Len(); n < 25 || n > maxCached>>20 || c.size > maxCached || c.size < n<<20 {
		t.Errorf("%d versions are known, with %d bytes", n, c.size)
	}
	c.add(version{"template", "larger than all"}, parameters(maxCached))
	if c.known.Len() != 0 || c.size != 0 {
		t.Errorf("%d versions are known, with %d bytes", c.known.Len(), c.size)
	}
}
