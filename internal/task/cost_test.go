// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package task

import (
	"testing"
	"time"

	"github.com/platen-dev/platen/internal/render"
)

func TestCost(t *testing.T) {
	pages := func(n int) []render.Page { return make([]render.Page, n) }
	for name, tc := range map[string]struct {
		task render.Task
		want time.Duration
	}{
		"a picture":           {render.Task{Format: "png", Pages: pages(1)}, 150 * time.Millisecond},
		"two in three sizes":  {render.Task{Format: "png", Pages: pages(2), ExtraSizes: make([]render.Size, 2)}, 900 * time.Millisecond},
		"a document":          {render.Task{Format: "pdf", Pages: pages(4)}, 600 * time.Millisecond},
		"a film":              {render.Task{Format: "mp4", Pages: pages(2), Video: render.VideoOptions{FPS: 30, Seconds: 10}}, 24 * time.Second},
		"a film of no length": {render.Task{Format: "gif", Pages: pages(1), Video: render.VideoOptions{FPS: 10}}, 2 * time.Second},
	} {
		if got := Cost(tc.task); got != tc.want {
			t.Errorf("%s: got %s, want %s", name, got, tc.want)
		}
	}
}
