// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/reconcile"
)

// Two managers that know different things of a job do not replace each other's status at once.
func TestAWaitThatAnotherManagerReplacedIsHeld(t *testing.T) {
	job := theJob(func(j *platenv1alpha1.RenderJob) { j.Status.ObservedGeneration = &j.Generation })
	show := func(reason string) {
		job.Status.Conditions = []metav1.Condition{{Type: platenv1alpha1.ReadyCondition, Reason: reason}}
	}
	var w waits
	rendering := reconcile.Waiting(platenv1alpha1.RenderingReason, 0, "rendering")
	queued := reconcile.Waiting(platenv1alpha1.QueuedReason, 0, "queued")
	at := func(d time.Duration) *scope { return &scope{job: job, now: noon.Add(d)} }
	check := func(when string, got, want time.Duration) {
		t.Helper()
		if got != want {
			t.Errorf("%s: held for %s, want %s", when, got, want)
		}
	}
	check("nothing written", w.hold(at(0), rendering), 0)
	w.wrote(at(0), rendering)
	show(platenv1alpha1.RenderingReason)
	check("the job shows it", w.hold(at(time.Second), rendering), 0)
	show(platenv1alpha1.QueuedReason)
	check("another manager replaced it", w.hold(at(time.Second), rendering), rewriteDelay-time.Second)
	check("another reason", w.hold(at(time.Second), queued), 0)
	check("the end of the job", w.hold(at(time.Second), nil), 0)
	check("after a while", w.hold(at(rewriteDelay), rendering), 0)
	w.wrote(at(time.Second), nil)
	check("the job has finished in between", w.hold(at(time.Second), rendering), 0)
}
