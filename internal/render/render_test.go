// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platen-dev/platen/internal/file"
)

func TestFiles(t *testing.T) {
	one := []Page{{Number: 2, ID: "two"}}
	two := []Page{{Number: 2, ID: "two"}, {Number: 5, ID: "five"}}
	for name, c := range map[string]struct {
		task Task
		want []file.File
	}{
		"one page": {
			task: Task{Name: "card", Format: "png", Pages: one},
			want: []file.File{{ID: file.ID{Page: 2}, Name: "card.png", Format: "png", PageID: "two"}},
		},
		"several pages": {
			task: Task{Name: "card", Format: "jpg", Pages: two},
			want: []file.File{
				{ID: file.ID{Page: 2}, Name: "card_page_2.jpg", Format: "jpg", PageID: "two"},
				{ID: file.ID{Page: 5}, Name: "card_page_5.jpg", Format: "jpg", PageID: "five"},
			},
		},
		"extra sizes": {
			task: Task{Name: "card", Format: "png", Pages: two, ExtraSizes: []Size{{Name: "story"}}},
			want: []file.File{
				{ID: file.ID{Page: 2}, Name: "card_page_2.png", Format: "png", PageID: "two"},
				{ID: file.ID{Page: 5}, Name: "card_page_5.png", Format: "png", PageID: "five"},
				{ID: file.ID{Page: 2, ExtraSize: "story"}, Name: "card_story_page_2.png", Format: "png", PageID: "two"},
				{ID: file.ID{Page: 5, ExtraSize: "story"}, Name: "card_story_page_5.png", Format: "png", PageID: "five"},
			},
		},
		"document": {
			task: Task{Name: "card", Format: "pdf", Pages: two},
			want: []file.File{{ID: file.ID{Page: 2}, Name: "card.pdf", Format: "pdf", PageID: "two"}},
		},
		"video of each page": {
			task: Task{Name: "card", Format: "mp4", Pages: two},
			want: []file.File{
				{ID: file.ID{Page: 2}, Name: "card_page_2.mp4", Format: "mp4", PageID: "two"},
				{ID: file.ID{Page: 5}, Name: "card_page_5.mp4", Format: "mp4", PageID: "five"},
			},
		},
		"video of all pages": {
			task: Task{Name: "card", Format: "gif", Pages: two, Video: VideoOptions{Combine: true}},
			want: []file.File{{ID: file.ID{Page: 2}, Name: "card.gif", Format: "gif", PageID: "two"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.task.Files()); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}
