// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package task

import (
	"cmp"
	"time"

	"github.com/platen-dev/platen/internal/render"
)

const (
	// costOfFile and costOfFrame are about how long a warm render pod takes for a picture and for a frame of a film.
	costOfFile  = 150 * time.Millisecond
	costOfFrame = 40 * time.Millisecond
	// filmSeconds is the length of a page's film that nobody has said.
	filmSeconds = 5.0
)

// Cost returns about how long the render of a task takes, so that queues and pods can be compared. It is a guess: pages differ.
func Cost(work render.Task) time.Duration {
	if !work.Filmed() {
		return time.Duration(max(len(work.Files()), len(work.Pages))) * costOfFile
	}
	frames := cmp.Or(work.Video.Seconds, filmSeconds) * float64(work.Video.FPS) * float64(len(work.Pages))
	return time.Duration(frames * float64(costOfFrame))
}
