// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

func newWriter(t *testing.T, funcs interceptor.Funcs, objects ...client.Object) (*StatusWriter, client.Client, *events.FakeRecorder) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := platenv1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(objects...).WithInterceptorFuncs(funcs).Build()
	recorder := events.NewFakeRecorder(10)
	return &StatusWriter{Client: c, Recorder: recorder, Action: "Render"}, c, recorder
}

func TestFinish(t *testing.T) {
	broken, full := errors.New("the API server is away"), errors.New("etcdserver: request is too large")
	stored := func() *platenv1alpha1.RenderJob {
		return &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "b"}}
	}
	change := func(j *platenv1alpha1.RenderJob) { j.Status.PodName = "render-1" }
	for name, tc := range map[string]struct {
		outcome error
		// change of the status, nil for none; before changes the stored object after the read.
		change func(*platenv1alpha1.RenderJob)
		before func(context.Context, client.Client, *platenv1alpha1.RenderJob) error
		patch  error // of the API server

		want    ctrl.Result
		written bool
		event   string
		err     error
	}{
		"nothing has changed":      {},
		"success":                  {change: change, written: true},
		"it waits, and no change":  {outcome: Waiting("Queued", time.Second, "wait"), want: ctrl.Result{RequeueAfter: time.Second}},
		"it waits":                 {outcome: Waiting("Queued", time.Second, "wait"), change: change, want: ctrl.Result{RequeueAfter: time.Second}, written: true},
		"a user must act":          {outcome: Terminal("Bad", "field x: %s must be y", Private("secret")), change: change, written: true, event: "Warning Bad field x: … must be y"},
		"an unknown error":         {outcome: broken, change: change, err: broken},
		"the status cannot be set": {change: change, patch: broken, err: broken},
		"the object leaves no room for its status": {
			change: change, patch: full, err: full, event: "Warning StatusTooLarge " + NoRoom,
		},
		"the object has changed": {
			change: change, want: ctrl.Result{RequeueAfter: conflictDelay},
			before: func(ctx context.Context, c client.Client, j *platenv1alpha1.RenderJob) error {
				j.Labels = map[string]string{"a": "b"}
				return c.Update(ctx, j)
			},
		},
		"the object is gone": {
			change: change,
			before: func(ctx context.Context, c client.Client, j *platenv1alpha1.RenderJob) error { return c.Delete(ctx, j) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			funcs := interceptor.Funcs{}
			if tc.patch != nil {
				funcs.SubResourcePatch = func(context.Context, client.Client, string, client.Object, client.Patch, ...client.SubResourcePatchOption) error {
					return tc.patch
				}
			}
			job := stored()
			w, c, recorder := newWriter(t, funcs, job)
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(job), job); err != nil {
				t.Fatal(err)
			}
			after := job.DeepCopy()
			if tc.change != nil {
				tc.change(after)
			}
			if tc.before != nil {
				if err := tc.before(t.Context(), c, job.DeepCopy()); err != nil {
					t.Fatal(err)
				}
			}
			got, written, err := w.Finish(t.Context(), job, after, tc.outcome)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			if written != tc.written {
				t.Errorf("written is %v", written)
			}
			if !errors.Is(err, tc.err) {
				t.Errorf("error %v, want %v", err, tc.err)
			}
			if w.IsStale(job) != tc.written {
				t.Errorf("IsStale is %v", !tc.written)
			}
			event := ""
			select {
			case event = <-recorder.Events:
			default:
			}
			if event != tc.event {
				t.Errorf("event %q, want %q", event, tc.event)
			}
		})
	}
}

// A status that has room once it is shorter is no reason for an event: the user would look for what is missing.
func TestFinishShortensAStatusThatIsTooLarge(t *testing.T) {
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "b"}}
	w, c, recorder := newWriter(t, interceptor.Funcs{
		SubResourcePatch: func(ctx context.Context, c client.Client, _ string, o client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
			if len(o.(*platenv1alpha1.RenderJob).Status.PodName) > 1 { //nolint:forcetypeassert // the test writes nothing else
				return errors.New("etcdserver: request is too large")
			}
			return c.Status().Patch(ctx, o, patch, options...)
		},
	}, job)
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(job), job); err != nil {
		t.Fatal(err)
	}
	after := job.DeepCopy()
	after.Status.PodName = "abc"
	shorten := func() { after.Status.PodName = after.Status.PodName[1:] }
	if _, written, err := w.Finish(t.Context(), job, after, nil, shorten, shorten, shorten); err != nil || !written {
		t.Fatalf("written is %v, error %v", written, err)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(job), job); err != nil || job.Status.PodName != "c" {
		t.Errorf("the status has %q, error %v", job.Status.PodName, err)
	}
	select {
	case event := <-recorder.Events:
		t.Errorf("event %q", event)
	default:
	}
}

func TestIsStaleUntilTheCacheCatchesUp(t *testing.T) {
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "b"}}
	w, c, _ := newWriter(t, interceptor.Funcs{}, job)
	write := func(podName string) (before, after *platenv1alpha1.RenderJob) {
		t.Helper()
		before = &platenv1alpha1.RenderJob{}
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(job), before); err != nil {
			t.Fatal(err)
		}
		after = before.DeepCopy()
		after.Status.PodName = podName
		if _, _, err := w.Finish(t.Context(), before, after, nil); err != nil {
			t.Fatal(err)
		}
		return before, after
	}
	before, after := write("render-1")
	for range 2 {
		if !w.IsStale(before) {
			t.Error("the replaced version is not stale")
		}
	}
	if w.IsStale(after) || w.IsStale(before) {
		t.Error("the cache has caught up")
	}
	before, _ = write("render-2")
	w.Forget(client.ObjectKeyFromObject(job))
	if w.IsStale(before) {
		t.Error("a forgotten object is stale")
	}
}

// The default of a condition that nobody has set has no time at which it became so.
func TestTheFirstConditionHasItsTime(t *testing.T) {
	first, second := metav1.NewTime(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)), metav1.NewTime(time.Date(2026, 1, 1, 13, 0, 0, 0, time.UTC))
	list := []metav1.Condition{{Type: platenv1alpha1.ReadyCondition, Status: metav1.ConditionUnknown, Reason: platenv1alpha1.PendingReason, LastTransitionTime: metav1.Unix(0, 0)}}
	for _, now := range []metav1.Time{first, second} {
		Conditions{List: &list, Generation: 1, Now: now}.Summarize(Waiting("Queued", 0, "it waits"), "", "")
		for _, c := range list {
			if !c.LastTransitionTime.Equal(&first) {
				t.Errorf("%s is since %s, want %s", c.Type, c.LastTransitionTime, first)
			}
		}
	}
}

func TestJoin(t *testing.T) {
	broken := errors.New("the API server is away")
	first, second := Terminal("First", "a: %s", Private("secret")), Terminal("Second", "b")
	for name, tc := range map[string]struct {
		wrong []error
		want  error
	}{
		"nothing":              {},
		"nil":                  {wrong: []error{nil}},
		"one":                  {wrong: []error{nil, first}, want: first},
		"two":                  {wrong: []error{first, second}, want: &TerminalError{"First", "a: secret; b", "a: …; b"}},
		"as many as are named": {wrong: slices.Repeat([]error{second}, MaxMistakes), want: Terminal("Second", "%s", strings.Repeat("b; ", MaxMistakes-1)+"b")},
		"more":                 {wrong: slices.Repeat([]error{second}, MaxMistakes+2), want: Terminal("Second", "%s", strings.Repeat("b; ", MaxMistakes)+"and 2 more")},
		"what they wait for": {
			wrong: []error{first, Waiting("Later", 0, "x"), nil, Waiting("Soon", time.Minute, "y"), Waiting("Now", time.Second, "z")},
			want:  &WaitingError{Reason: "Later", Message: "x; y; z", After: time.Second},
		},
		"more than is named": {
			wrong: slices.Repeat([]error{Waiting("Soon", time.Minute, "x")}, MaxMistakes+1),
			want:  Waiting("Soon", time.Minute, "%s", strings.Repeat("x; ", MaxMistakes)+"and 1 more"),
		},
		"what is no mistake": {wrong: append(slices.Repeat([]error{second}, MaxMistakes), broken), want: broken},
	} {
		got := Join(tc.wrong)
		if diff := cmp.Diff(AsTerminal(tc.want), AsTerminal(got)) + cmp.Diff(AsWaiting(tc.want), AsWaiting(got)); diff != "" ||
			AsTerminal(got) == nil && AsWaiting(got) == nil && !errors.Is(got, tc.want) {
			t.Errorf("%s: got %v, want %v (-want +got):\n%s", name, got, tc.want, diff)
		}
	}
}
