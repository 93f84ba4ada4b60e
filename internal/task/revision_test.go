// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package task

import (
	"reflect"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// effect is what a changed field of the spec does to a finished job.
type effect struct{ renders, uploads bool }

var (
	picture     = effect{renders: true}
	destination = effect{uploads: true}
	neither     = effect{}
)

// effects has every field of the spec; docs/spec/v1alpha1/renderjob.md lists them in the same classes.
var effects = map[string]struct {
	effect
	change func(spec *platenv1alpha1.RenderJobSpec)
}{
	"templateRef":   {picture, func(s *platenv1alpha1.RenderJobSpec) { s.TemplateRef.Name = "other" }},
	"modifications": {picture, func(s *platenv1alpha1.RenderJobSpec) { s.Modifications = raw(`{"n": 2}`) }},
	"modificationsFrom": {picture, func(s *platenv1alpha1.RenderJobSpec) {
		s.ModificationsFrom = make([]platenv1alpha1.ModificationsSource, 1)
	}},
	"output.format":     {picture, func(s *platenv1alpha1.RenderJobSpec) { s.Output.Format = platenv1alpha1.FormatGIF }},
	"output.fileName":   {destination, func(s *platenv1alpha1.RenderJobSpec) { s.Output.FileName = "other" }},
	"output.scale":      {picture, func(s *platenv1alpha1.RenderJobSpec) { s.Output.Scale = "2" }},
	"output.size":       {picture, func(s *platenv1alpha1.RenderJobSpec) { s.Output.Size = "square" }},
	"output.extraSizes": {picture, func(s *platenv1alpha1.RenderJobSpec) { s.Output.ExtraSizes = []platenv1alpha1.PageSize{"square"} }},
	"output.quality":    {picture, func(s *platenv1alpha1.RenderJobSpec) { s.Output.Quality = 50 }},
	"output.transparent": {picture, func(s *platenv1alpha1.RenderJobSpec) {
		s.Output.Transparent = new(true)
	}},
	"output.pdf":              {picture, func(s *platenv1alpha1.RenderJobSpec) { s.Output.PDF.DPI = 300 }},
	"output.video":            {picture, func(s *platenv1alpha1.RenderJobSpec) { s.Output.Video.FPS = 5 }},
	"output.pages":            {picture, func(s *platenv1alpha1.RenderJobSpec) { s.Output.Pages = []int32{1} }},
	"connections":             {destination, func(s *platenv1alpha1.RenderJobSpec) { s.Connections = []platenv1alpha1.JobConnection{} }},
	"timeoutSeconds":          {neither, func(s *platenv1alpha1.RenderJobSpec) { s.TimeoutSeconds = 1 }},
	"uploadTimeoutSeconds":    {neither, func(s *platenv1alpha1.RenderJobSpec) { s.UploadTimeoutSeconds = 1 }},
	"backoffLimit":            {neither, func(s *platenv1alpha1.RenderJobSpec) { s.BackoffLimit = new(int32(1)) }},
	"ttlSecondsAfterFinished": {neither, func(s *platenv1alpha1.RenderJobSpec) { s.TTLSecondsAfterFinished = new(int32(1)) }},
	"priority":                {neither, func(s *platenv1alpha1.RenderJobSpec) { s.Priority = new(int32(1)) }},
	"cache":                   {neither, func(s *platenv1alpha1.RenderJobSpec) { s.Cache = platenv1alpha1.CacheDisabled }},
	"contentPolicy":           {neither, func(s *platenv1alpha1.RenderJobSpec) { s.ContentPolicy = platenv1alpha1.ContentRetain }},
	"suspend":                 {neither, func(s *platenv1alpha1.RenderJobSpec) { s.Suspend = new(true) }},
}

func summer() *platenv1alpha1.RenderJob {
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Name: "summer"}}
	job.Spec.TemplateRef.Name, job.Spec.Modifications = "banner", raw(`{"a": "1", "n": 9007199254740993}`)
	job.Spec.Output.Pages = []int32{2, 3}
	return job
}

func TestEveryFieldOfTheSpecHasAnEffect(t *testing.T) {
	var fields []string
	for f := range reflect.TypeFor[platenv1alpha1.RenderJobSpec]().Fields() {
		if f.Name != "Output" {
			fields = append(fields, jsonName(f))
		}
	}
	for f := range reflect.TypeFor[platenv1alpha1.OutputSpec]().Fields() {
		fields = append(fields, "output."+jsonName(f))
	}
	for _, field := range fields {
		change, ok := effects[field]
		if !ok {
			t.Errorf("spec.%s is new: decide whether it changes the picture, the destination or neither, and write it into the page of RenderJob", field)
			continue
		}
		before, after := summer(), summer()
		change.change(&after.Spec)
		got := effect{Revision(before) != Revision(after), UploadRevision(before) != UploadRevision(after)}
		if got != change.effect {
			t.Errorf("spec.%s: got %+v, want %+v", field, got, change.effect)
		}
	}
	if len(effects) != len(fields) {
		t.Errorf("%d effects for %d fields", len(effects), len(fields))
	}
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

func TestRevisionIsThatOfTheValuesNotOfTheirSpelling(t *testing.T) {
	want := Revision(summer())
	if len(want) != 16 || strings.Trim(want, "0123456789abcdef") != "" {
		t.Errorf("revision %q, want 16 hexadecimal digits", want)
	}
	same := summer()
	same.Spec.Modifications = raw("{ \"n\":9007199254740993,\n\"\\u0061\": \"1\"}")
	same.Spec.Output.Pages = []int32{3, 2}
	same.Name, same.Generation, same.Labels = "winter", 7, map[string]string{"a": "b"}
	if got := Revision(same); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	other := summer()
	other.Spec.Modifications = raw(`{"a": "1", "n": 9007199254740992}`) // the same float64
	if Revision(other) == want {
		t.Error("another number has the same revision")
	}
}

func TestUploadRevisionIsThatOfTheConnectionsNotOfTheirOrder(t *testing.T) {
	connections := func(names ...string) *platenv1alpha1.RenderJob {
		job := summer()
		job.Spec.Connections = []platenv1alpha1.JobConnection{}
		for _, name := range names {
			job.Spec.Connections = append(job.Spec.Connections, platenv1alpha1.JobConnection{Type: "storage", Provider: "dropbox", Name: &name})
		}
		return job
	}
	if UploadRevision(connections("a", "b")) != UploadRevision(connections("b", "a")) {
		t.Error("the order of connections changes the revision")
	}
	if UploadRevision(connections()) == UploadRevision(summer()) {
		t.Error("no connections and the automatic ones have the same revision")
	}
	renamed := summer()
	renamed.Spec.Output.FileName = "summer"
	if UploadRevision(renamed) != UploadRevision(summer()) {
		t.Error("the default of fileName, written out, changes the revision")
	}
}
