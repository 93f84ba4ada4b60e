// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"syscall"
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
	"sigs.k8s.io/controller-runtime/pkg/event"

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
		Namespace: "marketing", Name: "summer", UID: "uid", Generation: 1, Annotations: map[string]string{platenv1alpha1.WebhookURLAnnotation: hook},
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

// failing returns the URL of a receiver that fails, and how often it was called.
func failing(t *testing.T) (url string, calls *int) {
	t.Helper()
	calls = new(0)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		*calls++
		w.WriteHeader(http.StatusInternalServerError)
	}))
	t.Cleanup(s.Close)
	return s.URL, calls
}

func TestElevenAttemptsInAnHour(t *testing.T) {
	url, calls := failing(t)
	r, now, req := setup(t, url, interceptor.Funcs{})
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
		before := *calls
		if early, err := r.Reconcile(t.Context(), req); err != nil || early.RequeueAfter != time.Second || *calls != before {
			t.Fatalf("%v, %v, %d calls after %d", early, err, *calls, before)
		}
		now.SetTime(now.Now().Add(time.Second))
	}
	took := now.Now().Sub(began)
	want := &Delivery{Status: Failed, Attempts: maxAttempts, Error: "the answer was HTTP 500; it must be 2xx, and redirects are not followed"}
	if diff := cmp.Diff(want, delivery(t, r, req)); diff != "" || *calls != maxAttempts {
		t.Errorf("%d calls, %s", *calls, diff)
	}
	if took < time.Hour || took > 70*time.Minute {
		t.Errorf("the attempts took %s", took)
	}
}

// A replica whose clock was a year ahead has planned the next call, or has begun one and ended.
func TestPlansOfAWrongClockAreDropped(t *testing.T) {
	url, calls := failing(t)
	r, now, req := setup(t, url, interceptor.Funcs{})
	right := now.Now()
	now.SetTime(right.AddDate(1, 0, 0))
	if _, err := r.Reconcile(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	now.SetTime(right)
	if _, err := r.Reconcile(t.Context(), req); err != nil || *calls != 2 {
		t.Fatalf("%d calls, want one more at once; %v", *calls, err)
	}
	if next := delivery(t, r, req).NextAttemptAt; next == nil || next.After(right.Add(maxBackoff)) {
		t.Errorf("the next call is at %v", next)
	}
}

// https://www.standardwebhooks.com asks senders to do so.
func TestReceiversSayWhenToCallAgain(t *testing.T) {
	for _, c := range []struct {
		status int
		after  string
		want   Delivery
		wait   time.Duration
	}{
		{http.StatusGone, "", Delivery{Status: Failed, Attempts: 1, Error: "the answer was HTTP 410: the receiver wants no more calls for this job"}, 0},
		{http.StatusTooManyRequests, "90", Delivery{Status: Pending, Attempts: 1, Error: "the answer was HTTP 429; it must be 2xx, and redirects are not followed"}, 90 * time.Second},
		{http.StatusServiceUnavailable, "1", Delivery{Status: Pending, Attempts: 1, Error: "the answer was HTTP 503; it must be 2xx, and redirects are not followed"}, firstBackoff},
		{http.StatusServiceUnavailable, "999999", Delivery{Status: Pending, Attempts: 1, Error: "the answer was HTTP 503; it must be 2xx, and redirects are not followed"}, maxBackoff},
		{http.StatusServiceUnavailable, time.Unix(1_700_000_060, 0).UTC().Format(http.TimeFormat), Delivery{Status: Pending, Attempts: 1, Error: "the answer was HTTP 503; it must be 2xx, and redirects are not followed"}, time.Minute},
		{http.StatusServiceUnavailable, "60.0", Delivery{Status: Pending, Attempts: 1, Error: "the answer was HTTP 503; it must be 2xx, and redirects are not followed"}, time.Minute},
		{http.StatusServiceUnavailable, "99999999999999999999", Delivery{Status: Pending, Attempts: 1, Error: "the answer was HTTP 503; it must be 2xx, and redirects are not followed"}, maxBackoff},
		{http.StatusServiceUnavailable, "-5", Delivery{Status: Pending, Attempts: 1, Error: "the answer was HTTP 503; it must be 2xx, and redirects are not followed"}, firstBackoff},
		{http.StatusServiceUnavailable, "soon", Delivery{Status: Pending, Attempts: 1, Error: "the answer was HTTP 503; it must be 2xx, and redirects are not followed"}, firstBackoff},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", c.after)
			w.Header().Set("Date", time.Unix(1_700_000_000, 0).UTC().Format(http.TimeFormat))
			w.WriteHeader(c.status)
		}))
		defer s.Close()
		r, now, req := setup(t, s.URL, interceptor.Funcs{})
		result, err := r.Reconcile(t.Context(), req)
		if c.wait > 0 {
			c.want.NextAttemptAt = new(now.Now().UTC().Add(c.wait))
		}
		if diff := cmp.Diff(&c.want, delivery(t, r, req)); diff != "" || err != nil || result.RequeueAfter != c.wait {
			t.Errorf("%d, Retry-After: %s: %v, %v, %s", c.status, c.after, result, err, diff)
		}
	}
}

// TestAStopLetsTheCallEnd stops the replica while its receiver answers: the receiver would get the same call again from the next one.
func TestAStopLetsTheCallEnd(t *testing.T) {
	called, answer := make(chan struct{}), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(called)
		<-answer
	}))
	defer s.Close()
	r, now, req := setup(t, s.URL, interceptor.Funcs{
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.UpdateOption) error {
			return errors.Join(ctx.Err(), c.Update(ctx, o, options...))
		},
	})
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		<-called
		stop()
		close(answer)
	}()
	if _, err := r.Reconcile(ctx, req); err != nil {
		t.Fatal(err)
	}
	want := &Delivery{Status: Delivered, Attempts: 1, DeliveredAt: new(now.Now().UTC())}
	if diff := cmp.Diff(want, delivery(t, r, req)); diff != "" {
		t.Error(diff)
	}
}

// fails is a transport without a network.
type fails struct{ error }

func (f fails) RoundTrip(*http.Request) (*http.Response, error) { return nil, f }

func (f fails) Unwrap() error { return f.error }

func TestACallSaysWhyItFailed(t *testing.T) {
	for _, c := range []struct {
		hook, want string
		err        error
	}{
		{"not a url", "the webhook must be an http or https URL", nil},
		{"ftp://a.example/", "the webhook must be an http or https URL", nil},
		{"https:///path", "the webhook must be an http or https URL", nil},
		{"https://a.example/?key=secret", "no connection: its host has no address in DNS", &net.DNSError{Name: "a.example", IsNotFound: true}},
		{"https://a.example/?key=secret", "no connection: DNS did not answer for its host", &net.DNSError{Name: "a.example", IsTimeout: true}},
		{"https://a.example/?key=secret", "no connection: the connection was refused; nothing listens at its port", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}},
		{"https://a.example/?key=secret", "no connection: the certificate there is for another host", x509.HostnameError{Certificate: &x509.Certificate{}, Host: "a.example"}},
		{"https://a.example/?key=secret", "no connection: the certificate there has expired, or is not valid yet by this machine's clock", x509.CertificateInvalidError{Reason: x509.Expired}},
		{"https://a.example/?key=secret", "no connection: the certificate there is not valid", &tls.CertificateVerificationError{Err: errors.New("x")}},
		{"https://a.example/?key=secret", "no connection: what answers there does not speak TLS", tls.RecordHeaderError{Msg: "x"}},
		{"https://a.example/?key=secret", "no connection: what answers there does not speak TLS", http.ErrSchemeMismatch},
		{"https://a.example/?key=secret", "no connection, or no HTTP answer; check the URL, its name in DNS and its certificate", io.EOF},
	} {
		r, _, req := setup(t, c.hook, interceptor.Funcs{})
		r.calls = &http.Client{Transport: fails{c.err}}
		if _, err := r.Reconcile(t.Context(), req); err != nil || delivery(t, r, req).Error != c.want {
			t.Errorf("%s, %v: %q, %v", c.hook, c.err, delivery(t, r, req).Error, err)
		}
	}
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	s.StartTLS()
	defer s.Close()
	r, _, req := setup(t, s.URL, interceptor.Funcs{})
	want := "no connection: the certificate there is from an authority that Platen does not know, as that of a proxy that reads along, or its chain is not complete"
	if _, err := r.Reconcile(t.Context(), req); err != nil || delivery(t, r, req).Error != want {
		t.Errorf("%q, %v", delivery(t, r, req).Error, err)
	}
}

// Nobody waits an hour to learn that a URL is none.
func TestAURLThatCanNeverWorkIsNotCalled(t *testing.T) {
	for hook, want := range map[string]string{
		"not a url":                "the webhook must be an http or https URL",
		"ftp://a.example/":         "the webhook must be an http or https URL",
		"https:///path":            "the webhook must be an http or https URL",
		"https://:443/":            "the webhook must be an http or https URL",
		"http://a.example:x/":      "the webhook must be an http or https URL",
		"https://a.example:99999/": "the webhook must have a port from 1 to 65535",
		"http://a.example:0":       "the webhook must have a port from 1 to 65535",
	} {
		r, _, req := setup(t, hook, interceptor.Funcs{})
		r.calls = &http.Client{Transport: fails{errors.New("called")}}
		want := &Delivery{Status: Failed, Error: want}
		if diff := cmp.Diff(want, delivery(t, r, req)); diff != "" {
			t.Errorf("%s, before: %s", hook, diff)
		}
		result, err := r.Reconcile(t.Context(), req)
		if diff := cmp.Diff(want, delivery(t, r, req)); diff != "" || err != nil || result.RequeueAfter != 0 {
			t.Errorf("%s: %v, %v, %s", hook, result, err, diff)
		}
	}
}

// Once the URL is corrected, the call is made, for a render that has ended too.
func TestACorrectedURLIsCalled(t *testing.T) {
	calls := 0
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls++ }))
	defer s.Close()
	r, _, req := setup(t, "ftp://a.example/", interceptor.Funcs{})
	if _, err := r.Reconcile(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	job := &platenv1alpha1.RenderJob{}
	if err := r.Client.Get(t.Context(), req.NamespacedName, job); err != nil {
		t.Fatal(err)
	}
	job.Annotations[platenv1alpha1.WebhookURLAnnotation] = s.URL
	if err := r.Client.Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Reconcile(t.Context(), req); err != nil || delivery(t, r, req).Status != Delivered || calls != 1 {
		t.Errorf("%v, %v, %d calls", err, delivery(t, r, req), calls)
	}
}

// Receivers that do not answer take no workers from other namespaces.
func TestANamespaceHasAShareOfTheCalls(t *testing.T) {
	release, began := make(chan struct{}), make(chan struct{}, share)
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		began <- struct{}{}
		<-release
	}))
	defer s.Close()
	r, _, req := setup(t, s.URL, interceptor.Funcs{})
	first := &platenv1alpha1.RenderJob{}
	if err := r.Client.Get(t.Context(), req.NamespacedName, first); err != nil {
		t.Fatal(err)
	}
	add := func(namespace, name, hook string) ctrl.Request {
		t.Helper()
		job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(name), Annotations: map[string]string{platenv1alpha1.WebhookURLAnnotation: hook}}}
		if err := r.Client.Create(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		return ctrl.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}
	}
	var calls sync.WaitGroup
	for i := range share {
		one := add("marketing", fmt.Sprintf("slow-%d", i), s.URL)
		calls.Go(func() {
			if _, err := r.Reconcile(t.Context(), one); err != nil {
				t.Error(err)
			}
		})
		<-began
	}
	if result, err := r.Reconcile(t.Context(), req); err != nil || result.RequeueAfter != turn || delivery(t, r, req).Attempts != 0 {
		t.Errorf("a call more of the same namespace: %v, %v", result, err)
	}
	quick := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer quick.Close()
	other := add("sales", "quick", quick.URL)
	if result, err := r.Reconcile(t.Context(), other); err != nil || result.RequeueAfter != 0 {
		t.Errorf("a call of another namespace: %v, %v", result, err)
	}
	close(release)
	calls.Wait()
	if _, err := r.Reconcile(t.Context(), req); err != nil || delivery(t, r, req).Status != Delivered || r.busy.Busy() != 0 {
		t.Errorf("%v, %v, %v", delivery(t, r, req), err, r.busy.Busy())
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

// The annotation is the users' own: who removes it before the job goes would leave the record behind, in Platen's namespace.
func TestARecordGoesWithItsJob(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	reads := 0
	r, _, req := setup(t, s.URL, interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
		if _, ok := o.(*platenv1alpha1.RenderJob); ok {
			reads++
		}
		return c.Get(ctx, key, o, options...)
	}})
	if _, err := r.Reconcile(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	job := &platenv1alpha1.RenderJob{}
	if err := r.Client.Get(t.Context(), req.NamespacedName, job); err != nil {
		t.Fatal(err)
	}
	job.Annotations = nil
	if err := errors.Join(r.Client.Update(t.Context(), job), r.Client.Delete(t.Context(), job)); err != nil {
		t.Fatal(err)
	}
	if watched.Create(event.CreateEvent{Object: job}) || watched.Update(event.UpdateEvent{ObjectOld: job, ObjectNew: job}) || !watched.Delete(event.DeleteEvent{Object: job}) {
		t.Error("of a job without a webhook, the end alone counts")
	}
	for _, want := range []int{2, 1} { // once there is no record, the API server is not asked
		reads = 0
		if _, err := r.Reconcile(t.Context(), req); err != nil || reads != want {
			t.Errorf("%d reads of the job, want %d; %v", reads, want, err)
		}
	}
	list := &corev1.ConfigMapList{}
	if err := r.Client.List(t.Context(), list); err != nil || len(list.Items) != 0 {
		t.Errorf("%d records are left, %v", len(list.Items), err)
	}
}
