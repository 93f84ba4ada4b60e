// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package wire is what render pods and the dispatch server say to each other: JSON over HTTPS, the pod asking.
//
//	POST /v1/poll                         → 200 Assignment | 204 nothing yet, ask again | 410 end
//	PUT  /v1/tasks/{task}/pages/{page}    → 204 | 410 the task is gone | 503 ask again
//	POST /v1/tasks/{task}/heartbeat       → 204 | 410 the task is gone
//	POST /v1/tasks/{task}/result  Result  → 204 | 409 Missing | 410 the task is gone | 503 ask again
//
// Every request carries the pod's service-account token for the audience of package podspec. 401 and 403 say nothing more. A
// file is sent with its Content-Length and Content-Type, and replaces one that was sent before. Another 4xx means that the same
// request would be refused again.
package wire

import (
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/platen-dev/platen/internal/render"
)

// Limits of messages.
const (
	// MaxTask bounds an Assignment, in bytes of JSON: 200 pages of 512 KiB, the API's most, and some.
	MaxTask = 128 << 20
	// MaxResult bounds a Result, in bytes of JSON.
	MaxResult = 1 << 20
	// MaxWarnings bounds the warnings of a Result.
	MaxWarnings = 64
	// MaxText bounds each text of a Result, in bytes; see Clip.
	MaxText = 1000
	// MaxSide bounds the width and the height of a File: the API's largest page at its largest scale.
	MaxSide = 50_000
	// MaxPage bounds one file, in bytes.
	MaxPage = 512 << 20
	// PollTimeout is how long the server keeps a poll.
	PollTimeout = 25 * time.Second
	// HeartbeatInterval is how often a pod says that it still works on its task, unless its Assignment says otherwise.
	HeartbeatInterval = 3 * time.Second
)

// PollPath is where a pod asks for a task.
const PollPath = "/v1/poll"

// PagePath is where a pod sends the file of a page.
func PagePath(task string, page int) string { return taskPath(task, fmt.Sprintf("pages/%d", page)) }

// HeartbeatPath is where a pod says that it still works on a task.
func HeartbeatPath(task string) string { return taskPath(task, "heartbeat") }

// ResultPath is where a pod reports how a task ended.
func ResultPath(task string) string { return taskPath(task, "result") }

func taskPath(task, what string) string { return "/v1/tasks/" + url.PathEscape(task) + "/" + what }

// Assignment is a task for the pod that asked.
type Assignment struct {
	// TaskID names the task in the other routes.
	TaskID string `json:"taskID"`
	// TimeoutMilliseconds is how long the pod has, from now.
	TimeoutMilliseconds int64 `json:"timeoutMilliseconds"`
	// HeartbeatMilliseconds is how often the pod must be heard; 0 stands for HeartbeatInterval.
	HeartbeatMilliseconds int64       `json:"heartbeatMilliseconds,omitempty"`
	Task                  render.Task `json:"task"`
}

// Result ends a task.
type Result struct {
	// Files that were sent, one for each of Task.Files; empty when Failure is set.
	Files    []File           `json:"files,omitempty"`
	Warnings []render.Warning `json:"warnings,omitempty"`
	Failure  *Failure         `json:"failure,omitempty"`
	// RenderMilliseconds from the task's receipt to its last file.
	RenderMilliseconds int64 `json:"renderMilliseconds"`
}

// File is a file that the pod has sent.
type File struct {
	// Page number of the file; of a file that holds several pages, the first.
	Page int `json:"page"`
	// Width and Height in pixels, 1..MaxSide.
	Width  int `json:"width"`
	Height int `json:"height"`
	// SHA256 in hexadecimal.
	SHA256 string `json:"sha256"`
}

// Failure is why a task failed.
type Failure struct {
	// Reason is one of package render.
	Reason string `json:"reason"`
	// Message in the user's words.
	Message string `json:"message"`
	// Terminal is true when another attempt would fail in the same way.
	Terminal bool `json:"terminal"`
}

// Missing names the pages whose files must be sent again.
type Missing struct {
	Pages []int `json:"pages"`
}

// Clip makes text valid UTF-8 of at most MaxText bytes.
func Clip(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= MaxText {
		return text
	}
	cut := MaxText - len("…")
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

// ClipWarnings returns at most MaxWarnings of the warnings, their texts clipped.
func ClipWarnings(warnings []render.Warning) []render.Warning {
	clipped := make([]render.Warning, 0, min(len(warnings), MaxWarnings))
	for _, w := range warnings[:min(len(warnings), MaxWarnings)] {
		clipped = append(clipped, render.Warning{Title: Clip(w.Title), Details: Clip(w.Details)})
	}
	return clipped
}
