// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"context"
	"math"

	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/render/encode"
)

// fade dissolves the last frames of a page of a video into the first of the next page. Without a length, it cuts.
type fade struct {
	// write writes a complete frame.
	write func(ctx context.Context, picture []byte) error
	// length of a dissolve in frames.
	length int
	// late are the last frames of this page, at most length; old are those of the page before that have not dissolved yet.
	late, old [][]byte
	// steps are the frames of this page's dissolve.
	steps int
}

// newFade returns the fade of a task's file.
func newFade(task render.Task, write func(ctx context.Context, picture []byte) error) *fade {
	f := &fade{write: write}
	if task.Joined() {
		f.length = int(math.Round(task.Video.Fade * float64(task.Video.FPS)))
	}
	return f
}

// begin begins a page of that many frames. A page with fewer frames than a dissolve has dissolves as long as it lasts.
func (f *fade) begin(ctx context.Context, frames int) error {
	f.steps = min(len(f.late), frames)
	f.old = f.late[len(f.late)-f.steps:]
	complete := f.late[:len(f.late)-f.steps]
	f.late = nil
	return f.writeAll(ctx, complete)
}

// add adds a frame of the page.
func (f *fade) add(ctx context.Context, picture []byte) (err error) {
	if len(f.old) > 0 {
		share := 1 - float64(len(f.old))/float64(f.steps+1)
		if picture, err = encode.Blend(f.old[0], picture, share); err != nil {
			return err
		}
		f.old = f.old[1:]
	}
	f.late = append(f.late, picture)
	if len(f.late) <= f.length {
		return nil
	}
	complete := f.late[0]
	f.late = f.late[1:]
	return f.write(ctx, complete)
}

// end writes the last frames.
func (f *fade) end(ctx context.Context) error { return f.writeAll(ctx, f.late) }

func (f *fade) writeAll(ctx context.Context, pictures [][]byte) error {
	for _, picture := range pictures {
		if err := f.write(ctx, picture); err != nil {
			return err
		}
	}
	return nil
}
