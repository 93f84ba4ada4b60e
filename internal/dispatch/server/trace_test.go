// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/platen-dev/platen/internal/dispatch/wire"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/render"
)

// recorded returns the names of the spans so far, each with that of its parent, and checks that they are inside it.
func (w *world) recorded() (lines []string) {
	w.t.Helper()
	spans := w.spans.GetSpans()
	for _, s := range spans {
		line := s.Name
		for _, parent := range spans {
			if parent.SpanContext.SpanID() != s.Parent.SpanID() {
				continue
			}
			line += " of " + parent.Name
			if s.StartTime.Before(parent.StartTime) || s.EndTime.After(parent.EndTime) || s.EndTime.Before(s.StartTime) {
				w.t.Errorf("%s is from %s to %s, and its parent from %s to %s", line, s.StartTime, s.EndTime, parent.StartTime, parent.EndTime)
			}
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}

const traced = "00-0123456789abcdef0123456789abcdef-fedcba9876543210-01"

func TestAttemptsAreTraced(t *testing.T) {
	for _, tc := range []struct {
		trace string
		want  []string
	}{
		{traced, []string{"paint of render", "paint of render", "render", "send of render", "send of render", "wait for a pod"}},
		{"", nil},
	} {
		w := newWorld(t)
		w.trace = tc.trace
		w.enqueue()
		stop := w.serve(w.http, &painter{})
		w.await(pool.Rendered)
		stop()
		if diff := cmp.Diff(tc.want, w.recorded()); diff != "" {
			t.Errorf("the trace %q differs (-want +got):\n%s", tc.trace, diff)
		}
	}
}

func TestFailedAttemptsSayWhyInTheTrace(t *testing.T) {
	w := newWorld(t)
	w.trace = traced
	w.enqueue()
	stop := w.serve(w.http, &painter{failure: &render.Error{Reason: render.ReasonInvalidTask, Message: "a value of the user", Terminal: true}})
	w.await(pool.Failed)
	stop()
	spans := w.spans.GetSpans()
	if !slices.ContainsFunc(spans, func(s tracetest.SpanStub) bool {
		return s.Name == "render" && s.Status.Description == render.ReasonInvalidTask
	}) {
		t.Errorf("got %+v", spans)
	}
	if strings.Contains(fmt.Sprintf("%+v", spans), "a value of the user") {
		t.Error("the trace has the message of the failure")
	}
}

// TestTracesBelieveNoPod lets a pod report steps that cannot be, as many as fit.
func TestTracesBelieveNoPod(t *testing.T) {
	w := newWorld(t)
	w.trace = traced
	task := w.begin()
	w.put(task, 1, "one")
	w.put(task, 3, "three")
	steps := []wire.Step{
		{Name: wire.StepPaint, StartMicroseconds: 0, EndMicroseconds: 1},
		{Name: "a secret", StartMicroseconds: 0, EndMicroseconds: 1},
		{Name: wire.StepPaint, StartMicroseconds: -5, EndMicroseconds: 1},
		{Name: wire.StepPaint, StartMicroseconds: 1, EndMicroseconds: 0},
		{Name: wire.StepPaint, StartMicroseconds: 0, EndMicroseconds: time.Hour.Microseconds()},
		{Name: wire.StepPaint, StartMicroseconds: 0, EndMicroseconds: 1 << 62},
	}
	for len(steps) < 5000 {
		steps = append(steps, wire.Step{Name: wire.StepSend})
	}
	body, err := json.Marshal(wire.Result{Steps: steps, Files: []file.File{{ID: file.ID{Page: 1}, SHA256: sum("one")}, {ID: file.ID{Page: 3}, SHA256: sum("three")}}})
	if err != nil {
		t.Fatal(err)
	}
	if code := w.call(http.MethodPost, "/v1/tasks/"+task+"/result", launched, nil, bytes.NewReader(body)).Code; code != http.StatusNoContent {
		t.Fatalf("HTTP %d", code)
	}
	want := append([]string{"paint of render", "render"}, slices.Repeat([]string{"send of render"}, wire.MaxSteps-6)...)
	if diff := cmp.Diff(append(want, "wait for a pod"), w.recorded()); diff != "" {
		t.Errorf("the trace differs (-want +got):\n%s", diff)
	}
}
