// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package jobwatch

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

func TestWaitersAreToldOnceAndForgotten(t *testing.T) {
	w := &Waiters{jobs: map[types.UID]map[chan *platenv1alpha1.RenderJob]bool{}}
	done := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{UID: "a"}}
	done.Status.ObservedGeneration = new(int64(0))
	done.Status.Conditions = []metav1.Condition{{Type: platenv1alpha1.FinishedCondition, Status: metav1.ConditionTrue}}
	suspended := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{UID: "c"}}
	suspended.Spec.Suspend = new(true)
	first, leaveFirst := w.Register("a")
	second, leaveSecond := w.Register("a")
	other, leaveOther := w.Register("b")
	third, leaveThird := w.Register("c")
	w.tell(&platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{UID: "a", Generation: 1}}, false) // not finished
	w.tell(done, false)
	w.tell(done, false)
	w.tell(suspended, false)
	for _, c := range []struct {
		told <-chan *platenv1alpha1.RenderJob
		want *platenv1alpha1.RenderJob
	}{{first, done}, {second, done}, {third, suspended}} {
		if got := <-c.told; got != c.want {
			t.Errorf("got %v, want %v", got, c.want)
		}
	}
	select {
	case got := <-other:
		t.Errorf("another job's waiter was told %v", got)
	default:
	}
	w.tell(&platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{UID: "b"}}, true)
	if got := <-other; got != nil {
		t.Errorf("a deleted job's waiter was told %v", got)
	}
	for _, leave := range []func(){leaveFirst, leaveSecond, leaveOther, leaveThird} {
		leave()
	}
	if len(w.jobs) != 0 {
		t.Errorf("%d jobs are still waited for", len(w.jobs))
	}
}
