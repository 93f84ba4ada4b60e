// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/render"
)

// TestProgressIsWrittenWhenItChanges goes through the moments of a film, whose status is written when quiet says 0.
func TestProgressIsWrittenWhenItChanges(t *testing.T) {
	began := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Name: "film", Generation: 1}}
	rendering := reconcile.Waiting(platenv1alpha1.RenderingReason, progressDelay, "rendering")
	for _, moment := range []struct {
		name     string
		after    time.Duration
		progress *render.Progress
		want     time.Duration
	}{
		{"it has just begun", 300 * time.Millisecond, nil, 700 * time.Millisecond},
		{"after a second", time.Second, &render.Progress{Percent: 10, Frames: 30}, 0},
		{"nothing new", 1100 * time.Millisecond, &render.Progress{Percent: 10, Frames: 30}, patience},
		{"the pool has news", 2100 * time.Millisecond, &render.Progress{Percent: 20, Frames: 60}, 0},
	} {
		s := &scope{job: job, now: began.Add(moment.after), state: pool.State{
			Phase: pool.Rendering, AcceptedTime: began, Attempts: 1, Progress: moment.progress,
		}}
		after := job.DeepCopy()
		setStatus(after, s, rendering)
		if got := quiet(s, after, rendering); got != moment.want {
			t.Errorf("%s: waits %s, want %s", moment.name, got, moment.want)
		} else if got == 0 {
			job = after
		}
	}
	if p := job.Status.Progress; p == nil || p.Percent == nil || *p.Percent != 20 || *p.Frames != 60 {
		t.Errorf("progress %+v", p)
	}
	// Once it is rendered, the files tell.
	s := &scope{job: job, now: began.Add(time.Minute), manifest: &content.Manifest{}, state: pool.State{Phase: pool.Rendered, Progress: &render.Progress{Percent: 99}}}
	after := job.DeepCopy()
	setStatus(after, s, nil)
	if after.Status.Progress != nil {
		t.Errorf("progress %+v of a finished film", after.Status.Progress)
	}
}

func TestFilesOfSeveralSizesAreToldApart(t *testing.T) {
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Name: "card"}}
	job.Spec.Output.Format = "png"
	s := &scope{job: job, manifest: &content.Manifest{Pages: []content.Page{
		{ID: file.ID{Page: 1}}, {ID: file.ID{Page: 2}}, {ID: file.ID{Page: 1, ExtraSize: "story"}}, {ID: file.ID{Page: 2, ExtraSize: "story"}},
	}}}
	for i, want := range []string{"card_page_1.png", "card_page_2.png", "card_story_page_1.png", "card_story_page_2.png"} {
		if got := s.fileName(s.manifest.Pages[i]); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
