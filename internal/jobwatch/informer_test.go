// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package jobwatch

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// TestAJobThatEndsBeforeTheWatchShowsIt is what a caller meets while the watch is interrupted: when it lists anew, a job that was created and ended
// meanwhile is new to it.
func TestAJobThatEndsBeforeTheWatchShowsIt(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := platenv1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	informers := &informertest.FakeInformers{Scheme: scheme}
	w, err := New(t.Context(), informers)
	if err != nil {
		t.Fatal(err)
	}
	informer, err := informers.FakeInformerFor(t.Context(), &platenv1alpha1.RenderJob{})
	if err != nil {
		t.Fatal(err)
	}
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{UID: "a"}}
	job.Status.ObservedGeneration = new(int64(0))
	job.Status.Conditions = []metav1.Condition{{Type: platenv1alpha1.FinishedCondition, Status: metav1.ConditionTrue}}
	ended, leave := w.Register("a")
	defer leave()
	informer.Add(job)
	select {
	case got := <-ended:
		if got != job {
			t.Errorf("the caller received %v", got)
		}
	default:
		t.Error("the caller waits on for a job that has ended")
	}
}
