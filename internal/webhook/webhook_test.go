// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	testingclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/outbound"
)

// setup returns a Reconciler and an ended job with the webhook hook.
func setup(t *testing.T, hook string, funcs interceptor.Funcs) (*Reconciler, *testingclock.FakePassiveClock, ctrl.Request) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), platenv1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{
		Namespace: "marketing", Name: "summer", UID: "uid", Generation: 1, Annotations: map[string]string{URLAnnotation: hook},
	}}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(job).WithInterceptorFuncs(funcs).Build()
	now := testingclock.NewFakePassiveClock(time.Unix(1_700_000_000, 0))
	return &Reconciler{
		Client: c, Reader: c, Namespace: "platen-system", Clock: now,
		Policy: outbound.Policy{Allowed: outbound.Prefixes{netip.MustParsePrefix("127.0.0.0/8")}},
		Ended:  func(*platenv1alpha1.RenderJob) bool { return true },
		Body:   func(*platenv1alpha1.RenderJob) ([]byte, error) { return []byte(`{}`), nil },
		Secret: func(string) []byte { return []byte("key") },
		calls:  http.DefaultClient,
	}, now, ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "marketing", Name: "summer"}}
}

func delivery(t *testing.T, r *Reconciler, req ctrl.Request) *Delivery {
	t.Helper()
	job := &platenv1alpha1.RenderJob{}
	if err := r.Client.Get(t.Context(), req.NamespacedName, job); err != nil {
		t.Fatal(err)
	}
	d, err := r.Delivery(t.Context(), job)
	if err != nil || d == nil {
		t.Fatalf("%v, %v", d, err)
	}
	return d
}

func TestElevenAttemptsInAnHour(t *testing.T) {
	calls := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls++
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer s.Close()
	r, now, req := setup(t, s.URL, interceptor.Funcs{})
	began := now.Now()
	for {
		result, err := r.Reconcile(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if result.RequeueAfter == 0 {
			break
		}
		// Before the time, for example after a restart, nothing happens.
		now.SetTime(now.Now().Add(result.RequeueAfter - time.Second))
		before := calls
		if early, err := r.Reconcile(t.Context(), req); err != nil || early.RequeueAfter != time.Second || calls != before {
			t.Fatalf("%v, %v, %d calls after %d", early, err, calls, before)
		}
		now.SetTime(now.Now().Add(time.Second))
	}
	took := now.Now().Sub(began)
	want := &Delivery{Status: Failed, Attempts: maxAttempts, Error: "the answer was HTTP 500; it must be 2xx, and redirects are not followed"}
	if diff := cmp.Diff(want, delivery(t, r, req)); diff != "" || calls != maxAttempts {
		t.Errorf("%d calls, %s", calls, diff)
	}
	if took < time.Hour || took > 70*time.Minute {
		t.Errorf("the attempts took %s", took)
	}
}

func TestCallIsCloudEvent(t *testing.T) {
	var got http.Header
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }))
	defer s.Close()
	r, _, req := setup(t, s.URL, interceptor.Funcs{})
	job := &platenv1alpha1.RenderJob{}
	if err := r.Client.Get(t.Context(), req.NamespacedName, job); err != nil {
		t.Fatal(err)
	}
	job.Status.CompletionTime = new(metav1.Unix(1_700_000_000, 0))
	if err := r.Client.Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Reconcile(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Ce-Specversion": "1.0", "Ce-Id": got.Get("Webhook-Id"), "Ce-Type": "dev.platen.renderjob.finished", "Ce-Subject": "summer",
		"Ce-Source": "/apis/platen.dev/v1alpha1/namespaces/marketing/renderjobs", "Ce-Time": "2023-11-14T22:13:20Z", "Content-Type": "application/json",
	} {
		if got.Get(name) != want || want == "" {
			t.Errorf("%s: got %q, want %q", name, got.Get(name), want)
		}
	}
}

func TestAClaimIsRespectedUntilItEnds(t *testing.T) {
	calls := 0
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls++ }))
	defer s.Close()
	crash := true
	r, now, req := setup(t, s.URL, interceptor.Funcs{
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			if crash {
				return errors.New("the process has ended")
			}
			return c.Update(ctx, o, opts...)
		},
	})
	// The call is made, but its result is lost.
	if _, err := r.Reconcile(t.Context(), req); err == nil || calls != 1 {
		t.Fatalf("%v, %d calls", err, calls)
	}
	crash = false
	if result, err := r.Reconcile(t.Context(), req); err != nil || result.RequeueAfter != claimTime || calls != 1 {
		t.Fatalf("%v, %v, %d calls", result, err, calls)
	}
	now.SetTime(now.Now().Add(claimTime))
	if _, err := r.Reconcile(t.Context(), req); err != nil || calls != 2 {
		t.Fatalf("%v, %d calls", err, calls)
	}
	want := &Delivery{Status: Delivered, Attempts: 2, DeliveredAt: new(now.Now().UTC())}
	if diff := cmp.Diff(want, delivery(t, r, req)); diff != "" {
		t.Error(diff)
	}
}

func TestOneOfTwoReplicasCalls(t *testing.T) {
	calls := 0
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls++ }))
	defer s.Close()
	r, _, req := setup(t, s.URL, interceptor.Funcs{
		Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error {
			return apierrors.NewAlreadyExists(schema.GroupResource{Resource: "configmaps"}, "webhook")
		},
	})
	if result, err := r.Reconcile(t.Context(), req); err != nil || result.RequeueAfter != claimTime || calls != 0 {
		t.Errorf("%v, %v, %d calls", result, err, calls)
	}
}

func TestARecordBelongsToOneGenerationOfOneJob(t *testing.T) {
	calls := 0
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls++ }))
	defer s.Close()
	r, _, req := setup(t, s.URL, interceptor.Funcs{})
	run := func(want int) {
		t.Helper()
		for range 2 {
			if _, err := r.Reconcile(t.Context(), req); err != nil {
				t.Fatal(err)
			}
		}
		if calls != want {
			t.Fatalf("%d calls, want %d", calls, want)
		}
	}
	run(1)
	job := &platenv1alpha1.RenderJob{}
	if err := r.Client.Get(t.Context(), req.NamespacedName, job); err != nil {
		t.Fatal(err)
	}
	for _, change := range []struct {
		revision string
		calls    int
	}{{"", 1}, {"another", 2}} { // a generation with the same outcome, and one with another
		job.Generation++
		job.Status.ObservedGeneration, job.Status.RenderRevision = &job.Generation, change.revision
		if err := r.Client.Update(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		run(change.calls)
	}
	if err := r.Client.Delete(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	run(2)
	list := &corev1.ConfigMapList{}
	if err := r.Client.List(t.Context(), list); err != nil || len(list.Items) != 0 {
		t.Errorf("%d records are left, %v", len(list.Items), err)
	}
}
