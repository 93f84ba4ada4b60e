// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package task

import (
	"testing"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// A value for each page is a value for all of them.
func TestARequiredValueMayBeGivenPageByPage(t *testing.T) {
	template := newTemplate(2, platenv1alpha1.Parameter{Name: "headline", Required: new(true)})
	for given, want := range map[string]int{
		`{"page1@headline": "a", "page2@headline": "b"}`: 0,
		`{"headline": "a"}`:                              0,
		`{"page2@headline": "b"}`:                        1,
		`{"page1@headline": "a", "page3@headline": "b"}`: 1,
		`{"page1@headline": null, "page2@headline": ""}`: 1,
	} {
		job := newJob(func(s *platenv1alpha1.RenderJobSpec) { s.Modifications = raw(given) })
		if _, err := Build(t.Context(), job, template, DefaultLimits, Sources{Value: configMaps{}.read}); (err != nil) != (want > 0) {
			t.Errorf("%s: %v", given, err)
		}
	}
}
