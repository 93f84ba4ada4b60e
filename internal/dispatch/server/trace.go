// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"cmp"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/platen-dev/platen/internal/dispatch/wire"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/tracing"
)

// traceWait records how long a job has waited for the pod that takes its first attempt.
func (s *Server) traceWait(a *pool.Assignment, plan *pool.Plan) {
	if plan.Trace != "" && a.Attempts == 1 {
		s.Tracer.Record(plan.Trace, tracing.Span{Name: "wait for a pod", Start: a.Accepted, End: s.taken(a)})
	}
}

// traceAttempt records an attempt that a pod has reported, with its steps. plan is nil if it is not known. Nothing that the pod says is recorded
// but times within the attempt, names of steps and the reason of a failure.
func (s *Server) traceAttempt(a *pool.Assignment, plan *pool.Plan, result wire.Result) {
	if plan = cmp.Or(plan, a.Files.Plan()); plan == nil || plan.Trace == "" {
		return
	}
	attempt := tracing.Span{
		Name: "render", Start: s.taken(a), End: s.Now(),
		Attributes: []attribute.KeyValue{
			attribute.String("k8s.pod.name", a.PodName), attribute.Int("platen.attempt", a.Attempts), attribute.Int("platen.files", len(plan.Files)),
		},
	}
	if f := result.Failure; f != nil {
		attempt.Failure = valid(*f).Reason
	}
	parent := s.Tracer.Record(plan.Trace, attempt)
	longest := attempt.End.Sub(attempt.Start).Microseconds()
	after := func(microseconds int64) time.Time {
		return attempt.Start.Add(time.Duration(microseconds) * time.Microsecond)
	}
	for _, step := range result.Steps[:min(len(result.Steps), wire.MaxSteps)] {
		start, end := step.StartMicroseconds, step.EndMicroseconds
		switch step.Name {
		case wire.StepLoadFonts, wire.StepPaint, wire.StepSend:
			if 0 <= start && start <= end && end <= longest {
				s.Tracer.Record(parent, tracing.Span{Name: string(step.Name), Start: after(start), End: after(end)})
			}
		}
	}
}

// taken returns when the pod took a task.
func (s *Server) taken(a *pool.Assignment) time.Time { return a.Deadline.Add(-a.Timeout) }
