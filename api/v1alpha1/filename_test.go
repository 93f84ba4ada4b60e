// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"strings"
	"testing"
)

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

// A job's name may be longer than a file name may be. What is cut off counts, so that two jobs have two names.
func TestFileBaseNameOfALongName(t *testing.T) {
	names := map[string]bool{}
	for _, jobName := range []string{strings.Repeat("a", 200), strings.Repeat("a", 201), strings.Repeat("a", 253), strings.Repeat("a", 252) + "b"} {
		job := &RenderJob{}
		job.Name = jobName
		got := job.FileBaseName()
		if len(got) > 200 || names[got] || len(jobName) <= 200 && got != jobName || !strings.HasPrefix(got, jobName[:180]) {
			t.Errorf("%d characters: %q", len(jobName), got)
		}
		names[got] = true
		if job.Spec.Output.FileName = "short"; job.FileBaseName() != "short" {
			t.Errorf("with a file name: %q", job.FileBaseName())
		}
	}
}
