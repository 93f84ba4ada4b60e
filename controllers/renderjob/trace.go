// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/tracing"
)

// runOf returns the run of a job that its present spec asks for.
func runOf(job *platenv1alpha1.RenderJob) tracing.Run {
	return tracing.Run{UID: string(job.UID), Generation: job.Generation, Traceparent: job.Annotations[platenv1alpha1.TraceparentAnnotation]}
}

// trace records the span of a run that has ended, with the reason of its Finished condition. It says nothing of what the job renders.
func (r *Reconciler) trace(job *platenv1alpha1.RenderJob, reason string, started, ended time.Time) {
	if r.Tracer == nil {
		return
	}
	run := tracing.Span{
		Start: started, End: ended,
		Attributes: []attribute.KeyValue{
			attribute.String("k8s.namespace.name", job.Namespace),
			attribute.String("platen.renderjob.name", job.Name),
			attribute.String("platen.renderjob.uid", string(job.UID)),
			attribute.Int64("platen.renderjob.generation", job.Generation),
			attribute.String("platen.renderjob.result", reason),
			attribute.String("platen.template", job.Spec.TemplateRef.Name),
			attribute.String("platen.format", string(job.Status.Format)),
			attribute.Int64("platen.pages", int64(ptr.Deref(job.Status.RenderedPages, 0))),
			attribute.Int64("platen.attempts", int64(ptr.Deref(job.Status.Attempts, 0))),
			attribute.String("platen.cache", string(job.Status.Cache)),
		},
	}
	if meta.IsStatusConditionFalse(job.Status.Conditions, platenv1alpha1.ReadyCondition) {
		run.Failure = meta.FindStatusCondition(job.Status.Conditions, platenv1alpha1.ReadyCondition).Reason
	}
	r.Tracer.RecordRun(runOf(job), run)
}
