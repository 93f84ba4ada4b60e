// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// The status tables of the controllers' tests have every moment but these: an object that Platen has not seen, and a spec that it has not.
func TestMomentsBeforePlatenHasSeenTheSpec(t *testing.T) {
	verified := []metav1.Condition{{Type: platenv1alpha1.ReadyCondition, Status: metav1.ConditionTrue, Reason: "Verified"}}
	for name, c := range map[string]struct {
		generation, observed int64
		conditions           []metav1.Condition
		want                 status.Status
	}{
		"just created": {generation: 1, observed: -1, want: status.InProgressStatus},
		"ready":        {generation: 1, observed: 1, conditions: verified, want: status.CurrentStatus},
		"changed":      {generation: 2, observed: 1, conditions: verified, want: status.InProgressStatus},
	} {
		t.Run(name, func(t *testing.T) {
			ExpectStatus(t, "StorageConnection", &platenv1alpha1.StorageConnection{
				ObjectMeta: metav1.ObjectMeta{Generation: c.generation},
				Status:     platenv1alpha1.StorageConnectionStatus{ObservedGeneration: &c.observed, Conditions: c.conditions},
			}, c.want)
		})
	}
}

// A job that has succeeded waits for nothing when somebody suspends it.
func TestASuspendedJob(t *testing.T) {
	for name, c := range map[string]struct {
		observed int64
		ready    metav1.ConditionStatus
		want     status.Status
	}{
		"just created":  {observed: -1, want: status.InProgressStatus},
		"waits":         {observed: 1, ready: metav1.ConditionUnknown, want: status.InProgressStatus},
		"has failed":    {observed: 1, ready: metav1.ConditionFalse, want: status.FailedStatus},
		"has succeeded": {observed: 1, ready: metav1.ConditionTrue, want: status.CurrentStatus},
	} {
		t.Run(name, func(t *testing.T) {
			job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Generation: 1}, Spec: platenv1alpha1.RenderJobSpec{Suspend: new(true)}}
			job.Status.ObservedGeneration = &c.observed
			if c.ready != "" {
				job.Status.Conditions = []metav1.Condition{{Type: platenv1alpha1.ReadyCondition, Status: c.ready, Reason: "X"}}
			}
			if kind := map[status.Status]string{
				status.FailedStatus: platenv1alpha1.StalledCondition, status.InProgressStatus: platenv1alpha1.ReconcilingCondition,
			}[c.want]; kind != "" {
				job.Status.Conditions = append(job.Status.Conditions, metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: "X"})
			}
			ExpectStatus(t, "RenderJob", job, c.want)
		})
	}
}

func TestEveryKindHasACheck(t *testing.T) {
	for _, kind := range []string{"FontSet", "RenderJob", "RenderPool", "RenderTemplate", "StorageConnection"} {
		if health, _, err := Health(kind, map[string]any{"metadata": map[string]any{"generation": 1}}); err != nil || health != "Healthy" {
			t.Errorf("%s without a status: %s, %v", kind, health, err)
		}
	}
}
