// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package wire declares the messages between render pods and the dispatch server: JSON over HTTPS, with the pod as the client.
//
//	POST /v1/poll                                    → 200 Assignment | 204 no task yet, poll again | 410 exit
//	PUT  /v1/tasks/{task}/pages/{page}[/{extraSize}] → 204 | 410 the task is gone | 503 try again | 507 no room: the task is gone
//	GET  /v1/tasks/{task}/fonts/{sha256}             → 200 the file | 410 the task is gone, or its fonts have changed | 503 try again
//	POST /v1/tasks/{task}/heartbeat       Heartbeat  → 204 | 410 the task is gone
//	POST /v1/tasks/{task}/result          Result     → 204 | 410 the task is gone | 503 try again | 507 no room: the task is gone
//
// Any request may be answered with 421 and a ServerHeader: another server has the pod's namespace. The pod sends the request there, and further ones
// too. When that server cannot be reached, the pod asks the first one again.
//
// Every request carries the pod's service account token, and those about a task carry the plan of its Assignment: a manager that did not assign
// the task learns from it what the task's files are. The answers 401 and 403 give no reason.
package wire

import (
	"time"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/render"
)

// Limits of messages.
const (
	// MaxTask bounds an Assignment in bytes of JSON.
	MaxTask = 128 << 20
	// MaxResult bounds a Result, in bytes of JSON.
	MaxResult = 1 << 20
	// MaxWarnings bounds the warnings of a Result.
	MaxWarnings = 64
	// MaxTitle bounds the title of a warning, in bytes.
	MaxTitle = 512
	// MaxDetails bounds the details of a warning and the message of a Failure, in bytes.
	MaxDetails = 1024
	// MaxPage bounds one file in bytes.
	MaxPage = 512 << 20
	// PollTimeout is how long the server holds a poll, and PollPatience how long a pod waits for its answer. A server that hangs has lost its pods
	// when it loses its lease, which takes no less than 15 seconds by default.
	PollTimeout  = 10 * time.Second
	PollPatience = PollTimeout + 5*time.Second
	// MaxHeartbeat bounds a Heartbeat, in bytes of JSON.
	MaxHeartbeat = 1 << 10
	// MaxSteps bounds the steps of a Result.
	MaxSteps = 64
	// MaxPlan bounds the plan of an Assignment, in bytes.
	MaxPlan = 24 << 10
	// HeartbeatInterval is how often a pod reports that it still renders its task.
	HeartbeatInterval = 3 * time.Second
	// ProgressInterval is how often a pod reports progress, in a heartbeat.
	ProgressInterval = time.Second
)

// PlanHeader has the plan of an Assignment in the requests about its task.
const PlanHeader = "Platen-Plan"

// ReviewHeader has, in an answer, the proof that the manager has reviewed the pod's token. The pod sends it with its further requests: another manager need
// not review the token again.
const ReviewHeader = "Platen-Review"

// ServerHeader has the https URL of the dispatch server that has the pod's namespace.
const ServerHeader = "Platen-Dispatch-Server"

// Assignment is a task for a pod.
type Assignment struct {
	// TaskID names the task in the other routes.
	TaskID string `json:"taskID"`
	// TimeoutMilliseconds is the time that the pod has from the receipt of the Assignment.
	TimeoutMilliseconds int64       `json:"timeoutMilliseconds"`
	Task                render.Task `json:"task"`
	// Plan is opaque to the pod. It is empty if it would be longer than MaxPlan.
	Plan string `json:"plan,omitempty"`
	// Traced says that the Result should have Steps.
	Traced bool `json:"traced,omitempty"`
}

// Heartbeat reports that the pod still renders a task.
type Heartbeat struct {
	// Progress of a video, nil before its first frame and for any other format.
	Progress *render.Progress `json:"progress,omitempty"`
}

// Result reports the end of a task.
type Result struct {
	// Files that the pod has sent, each with its dimensions and SHA256. Empty if Failure is set.
	Files    []file.File      `json:"files,omitempty"`
	Warnings []render.Warning `json:"warnings,omitempty"`
	Failure  *Failure         `json:"failure,omitempty"`
	// RenderMilliseconds is the time from the receipt of the task to its last file.
	RenderMilliseconds int64 `json:"renderMilliseconds"`
	// Places counts the pages by where they were painted.
	Places map[render.Place]int `json:"places,omitempty"`
	// Repeatable is true if another render of the task gives the same pictures.
	Repeatable bool `json:"repeatable,omitempty"`
	// Steps of a traced task, in the order in which they ended; no more than MaxSteps.
	Steps []Step `json:"steps,omitempty"`
}

// Step is a part of the time that a task took. Its times count from the receipt of the task, so that the pod's clock does not matter.
type Step struct {
	Name              StepName `json:"name"`
	StartMicroseconds int64    `json:"startMicroseconds"`
	EndMicroseconds   int64    `json:"endMicroseconds"`
}

// StepName says what was done in a Step.
type StepName string

// The names of steps.
const (
	// StepLoadFonts fetches fonts from the manager.
	StepLoadFonts StepName = "load fonts"
	// StepPaint is the wait for the next file: the first is painted meanwhile, or what is left of it, since pages are painted side by side.
	StepPaint StepName = "paint"
	// StepSend sends a file to the manager.
	StepSend StepName = "send"
)

// Failure is why a task failed.
type Failure struct {
	Reason   string `json:"reason"`
	Message  string `json:"message"`
	Terminal bool   `json:"terminal"`
}
