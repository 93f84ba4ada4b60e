// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import "testing"

func TestFileBaseName(t *testing.T) {
	for _, c := range []struct {
		fileName FileName
		format   Format
		want     string
	}{
		{"", "png", "job"},
		{"pic", "png", "pic"},
		{"pic.png", "png", "pic"},
		{"pic.PNG", "png", "pic"},
		{"pic.png", "", "pic"},
		{"pic.png", "jpg", "pic.png"},
		{"pic.jpeg", "jpg", "pic.jpeg"},
		{"v1.2", "pdf", "v1.2"},
		{"png", "png", "png"},
		{".png", "png", ".png"},
	} {
		job := &RenderJob{}
		job.Name, job.Spec.Output = "job", OutputSpec{FileName: c.fileName, Format: c.format}
		if got := job.FileBaseName(); got != c.want {
			t.Errorf("%q as %s: %q, want %q", c.fileName, c.format, got, c.want)
		}
	}
}
