// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package jobwatch

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

func TestWaitersReceiveTheJobOnceAndAreForgotten(t *testing.T) {
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
	w.notify(&platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{UID: "a", Generation: 1}}, false) // not finished
	w.notify(done, false)
	w.notify(done, false)
	w.notify(suspended, false)
	for name, tc := range map[string]struct {
		ended <-chan *platenv1alpha1.RenderJob
		want  *platenv1alpha1.RenderJob
	}{
		"the first":          {ended: first, want: done},
		"the second":         {ended: second, want: done},
		"of a suspended job": {ended: third, want: suspended},
	} {
		if got := <-tc.ended; got != tc.want {
			t.Errorf("%s waiter received %v, want %v", name, got, tc.want)
		}
	}
	select {
	case got := <-other:
		t.Errorf("another job's waiter received %v", got)
	default:
	}
	w.notify(&platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{UID: "b"}}, true)
	if got := <-other; got != nil {
		t.Errorf("a deleted job's waiter received %v", got)
	}
	for _, leave := range []func(){leaveFirst, leaveSecond, leaveOther, leaveThird} {
		leave()
	}
	if len(w.jobs) != 0 {
		t.Errorf("%d jobs still have waiters", len(w.jobs))
	}
}
