// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// The job of a manifest keeps its name with its spec: other values make another job.
func TestManifestName(t *testing.T) {
	name := func(template, values string) string {
		spec := platenv1alpha1.RenderJobSpec{Modifications: &apiextensionsv1.JSON{Raw: []byte(values)}}
		spec.TemplateRef.Name = template
		text, err := manifest("marketing", spec)
		if err != nil {
			t.Fatal(err)
		}
		job := &platenv1alpha1.RenderJob{}
		if err := yaml.UnmarshalStrict([]byte(text), job); err != nil {
			t.Fatal(err)
		}
		if problems := validation.IsDNS1123Label(job.Name); len(problems) > 0 {
			t.Errorf("%s: %v", job.Name, problems)
		}
		return job.Name
	}
	first := name("card", `{"title":"One"}`)
	if !strings.HasPrefix(first, "card-") {
		t.Errorf("%s does not begin with the template's name", first)
	}
	if again := name("card", `{"title":"One"}`); again != first {
		t.Errorf("the same spec is called %s and %s", first, again)
	}
	if other := name("card", `{"title":"Two"}`); other == first {
		t.Errorf("two specs are called %s", first)
	}
	name(strings.Repeat("long", 15), `{}`)
}
