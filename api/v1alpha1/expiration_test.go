// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestExpirationTime(t *testing.T) {
	end := metav1.Now()
	for name, c := range map[string]struct {
		ttl         *int32
		reason      string
		annotations map[string]string
		want        time.Duration
	}{
		"none":                   {reason: SucceededReason, want: -1},
		"of the spec":            {ttl: new(int32(60)), reason: SucceededReason, want: time.Minute},
		"with GitOps":            {ttl: new(int32(60)), reason: SucceededReason, annotations: map[string]string{"argocd.argoproj.io/tracking-id": "x"}, want: -1},
		"refused":                {ttl: new(int32(60)), reason: InvalidSpecReason, annotations: map[string]string{RefusedTTLAnnotation: "10"}, want: 10 * time.Second},
		"refused, at once":       {reason: InvalidModificationsReason, annotations: map[string]string{RefusedTTLAnnotation: "0"}, want: 0},
		"refused, spec is first": {ttl: new(int32(5)), reason: InvalidSpecReason, annotations: map[string]string{RefusedTTLAnnotation: "10"}, want: 5 * time.Second},
		"refused, no number":     {ttl: new(int32(60)), reason: InvalidSpecReason, annotations: map[string]string{RefusedTTLAnnotation: "-1"}, want: time.Minute},
		"not refused":            {ttl: new(int32(60)), reason: SucceededReason, annotations: map[string]string{RefusedTTLAnnotation: "10"}, want: time.Minute},
		"failed otherwise":       {reason: DeadlineExceededReason, annotations: map[string]string{RefusedTTLAnnotation: "10"}, want: -1},
	} {
		job := &RenderJob{}
		job.Annotations, job.Spec.TTLSecondsAfterFinished, job.Status.CompletionTime = c.annotations, c.ttl, &end
		job.Status.Conditions = []metav1.Condition{{Type: ReadyCondition, Reason: c.reason}}
		want := time.Time{}
		if c.want >= 0 {
			want = end.Add(c.want)
		}
		if got := job.ExpirationTime(); !got.Equal(want) {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
