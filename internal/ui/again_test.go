// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"mime/multipart"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// A form that is filled with a job and sent again gives the job's values again.
func TestFill(t *testing.T) {
	form := formView{Format: "png", Inputs: []input{
		{Name: "text", Type: platenv1alpha1.ParameterText, Value: "default", Default: "default"}, {Name: "number", Type: platenv1alpha1.ParameterNumber},
		{Name: "on", Type: platenv1alpha1.ParameterBoolean}, {Name: "off", Type: platenv1alpha1.ParameterBoolean, Checked: true},
		{Name: "lines", Type: platenv1alpha1.ParameterList}, {Name: "items", Type: platenv1alpha1.ParameterList},
		{Name: "kept", Type: platenv1alpha1.ParameterText, Value: "default", Default: "default"},
	}}
	job := &platenv1alpha1.RenderJob{Spec: platenv1alpha1.RenderJobSpec{
		Modifications: &apiextensionsv1.JSON{Raw: []byte(`{"text":"<b>\nü","number":4.5,"on":true,"off":false,"lines":["a","b"],"items":[{"name":"x"}],"unknown":1}`)},
		Output:        platenv1alpha1.OutputSpec{Format: "webp", FileName: "poster"},
		Connections:   []platenv1alpha1.JobConnection{{Type: "storage", Folder: "/Marketing"}},
	}}
	job.Name = "banner-x"
	form.fill(job)
	if form.From != "banner-x" || form.Format != "webp" || form.FileName != "poster" || form.Folder != "/Marketing" || form.Destination != "" {
		t.Errorf("filled %+v", form)
	}
	sent := &multipart.Form{Value: map[string][]string{}}
	for _, i := range form.Inputs {
		value := i.Value
		if i.Type == platenv1alpha1.ParameterBoolean {
			if value = ""; i.Checked {
				value = "true"
			}
		}
		sent.Value["p."+i.Name] = []string{value}
	}
	got, ok := submitted(form.Inputs, sent)
	want := map[string]any{
		"text": "<b>\nü", "number": 4.5, "on": true, "off": false, "lines": []any{"a", "b"}, "items": []any{map[string]any{"name": "x"}}, "kept": "default",
	}
	if diff := cmp.Diff(want, got); diff != "" || !ok {
		t.Error(ok, diff)
	}
	job.Spec.Connections = []platenv1alpha1.JobConnection{}
	if form.fill(job); form.Destination != noUpload {
		t.Errorf("filled %+v", form)
	}
}

func TestTriedAgain(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	for text, want := range map[string]time.Time{"": {}, "please": {}, at.Format(time.RFC3339Nano): at} {
		job := &platenv1alpha1.RenderJob{}
		job.Status.LastHandledRetryUploads = text
		if got := triedAgain(job); !got.Equal(want) {
			t.Errorf("%q: %s", text, got)
		}
	}
}

func TestPasted(t *testing.T) {
	for text, want := range map[string]string{" eyJ.a.b\n": "eyJ.a.b", "Bearer eyJ.a.b": "eyJ.a.b", "bearer  eyJ.a.b ": "eyJ.a.b", "Bearer": "Bearer", "a b": "a b", "": ""} {
		if got := pasted(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
