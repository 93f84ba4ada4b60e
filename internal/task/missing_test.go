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
	const missing = "spec.modifications.headline is required by the template"
	for given, want := range map[string]string{
		`{"page1@headline": "a", "page2@headline": "b"}`: "",
		`{"headline": "a"}`:                              "",
		`{"page2@headline": "b"}`:                        missing,
		`{"page1@headline": "a", "page3@headline": "b"}`: missing,
		`{"page1@headline": null, "page2@headline": ""}`: missing,
	} {
		job := newJob(func(s *platenv1alpha1.RenderJobSpec) { s.Modifications = raw(given) })
		if _, err := Build(t.Context(), job, template, DefaultLimits, Sources{Value: configMaps{}.read}); (err != nil) != (want != "") || err != nil && err.Error() != want {
			t.Errorf("%s: got %v, want %q", given, err, want)
		}
	}
}
