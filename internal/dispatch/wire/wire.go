// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package wire is what render pods and the dispatch server say to each other: JSON over HTTPS, the pod asking.
//
//	POST /v1/poll                                    → 200 Assignment | 204 nothing yet, ask again | 410 end
//	PUT  /v1/tasks/{task}/pages/{page}[/{extraSize}] → 204 | 410 the task is gone | 503 ask again
//	POST /v1/tasks/{task}/heartbeat       Heartbeat  → 204 | 410 the task is gone
//	POST /v1/tasks/{task}/result          Result     → 204 | 409 Missing | 410 the task is gone | 503 ask again
//
// Every request carries the pod's service-account token for Audience. 401 and 403 say nothing more.
package wire

import (
	"time"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/render"
)

// Limits of messages.
const (
	// MaxTask bounds an Assignment, in bytes of JSON.
	MaxTask = 128 << 20
	// MaxResult bounds a Result, in bytes of JSON.
	MaxResult = 1 << 20
	// MaxWarnings bounds the warnings of a Result.
	MaxWarnings = 64
	// MaxPage bounds one file, in bytes.
	MaxPage = 512 << 20
	// PollTimeout is how long the server keeps a poll.
	PollTimeout = 25 * time.Second
	// MaxHeartbeat bounds a Heartbeat, in bytes of JSON.
	MaxHeartbeat = 1 << 10
	// HeartbeatInterval is how often a pod says that it still works on its task.
	HeartbeatInterval = 3 * time.Second
	// ProgressInterval is how often a pod tells of progress, with a heartbeat.
	ProgressInterval = time.Second
)

// Assignment is a task for the pod that asked.
type Assignment struct {
	// TaskID names the task in the other routes.
	TaskID string `json:"taskID"`
	// TimeoutMilliseconds is how long the pod has, from now.
	TimeoutMilliseconds int64       `json:"timeoutMilliseconds"`
	Task                render.Task `json:"task"`
}

// Heartbeat says that a task is worked on.
type Heartbeat struct {
	// Progress of a film, nil for anything else.
	Progress *render.Progress `json:"progress,omitempty"`
}

// Result ends a task.
type Result struct {
	// Files that were sent, each with its dimensions and SHA256. Empty if Failure is set.
	Files    []file.File      `json:"files,omitempty"`
	Warnings []render.Warning `json:"warnings,omitempty"`
	Failure  *Failure         `json:"failure,omitempty"`
	// RenderMilliseconds from the task's receipt to its last file.
	RenderMilliseconds int64 `json:"renderMilliseconds"`
}

// Failure is why a task failed.
type Failure struct {
	Reason   string `json:"reason"`
	Message  string `json:"message"`
	Terminal bool   `json:"terminal"`
}

// Missing names the files that must be sent again.
type Missing struct {
	Files []file.ID `json:"files"`
}
