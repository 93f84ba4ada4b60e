// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package storageconnection

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	testingclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/connect"
	"github.com/platen-dev/platen/internal/credentials"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/test/testenv"
)

func TestNextVerification(t *testing.T) {
	const interval = 10 * time.Minute
	away := func(after time.Duration) error { return reconcile.Waiting("Unreachable", after, "away") }
	full := reconcile.Terminal(string(storage.ReasonInsufficientSpace), "full")
	for name, tc := range map[string]struct {
		outcome error
		// lasted is how long the Ready condition has had its status.
		lasted time.Duration
		// retry is when failed uploads are due; 0 for never.
		retry       time.Duration
		least, most time.Duration
	}{
		"verified":                           {least: interval, most: 12 * time.Minute},
		"failed uploads are due before":      {retry: time.Minute, least: time.Minute, most: time.Minute},
		"failed uploads are due later":       {retry: time.Hour, least: interval, most: 12 * time.Minute},
		"away":                               {outcome: away(0), least: 10 * time.Second, most: 15 * time.Second},
		"away for two minutes":               {outcome: away(0), lasted: 2 * time.Minute, least: 30 * time.Second, most: 45 * time.Second},
		"away for a day":                     {outcome: away(0), lasted: 24 * time.Hour, least: 5 * time.Minute, most: 450 * time.Second},
		"the service asks for half an hour":  {outcome: away(30 * time.Minute), least: 30 * time.Minute, most: 30*time.Minute + 5*time.Second},
		"a user must act":                    {outcome: reconcile.Terminal("TokenExpired", "no"), least: interval, most: 12 * time.Minute},
		"the account is full":                {outcome: full, least: time.Minute, most: 3 * time.Minute},
		"the account has been full for days": {outcome: full, lasted: 72 * time.Hour, least: interval, most: 12 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			now := noon.Add(tc.lasted)
			c := theConnection(1)
			s := &scope{connection: c, now: now}
			if tc.retry > 0 {
				s.retryUploads = now.Add(tc.retry)
			}
			for jitter, want := range map[float64]time.Duration{0: tc.least, 1: tc.most} {
				if got := nextVerification(s, c, tc.outcome, interval, jitter).Sub(now); got != want {
					t.Errorf("with jitter %v after %s, want %s", jitter, got, want)
				}
			}
		})
	}
}

func TestUploadRetries(t *testing.T) {
	failed := metav1.NewTime(noon)
	for retries, want := range map[int32]time.Duration{
		0: time.Minute, 1: time.Minute, 2: 2 * time.Minute, 3: 4 * time.Minute, 6: 32 * time.Minute, 7: time.Hour, 1000: time.Hour,
	} {
		c := retried(theConnection(1), retries, noon.Add(-time.Hour))
		if got := uploadRetry(c, &failed, false).Sub(noon); got != want {
			t.Errorf("after %d retries: %s, want %s", retries, got, want)
		}
	}
	if at := uploadRetry(theConnection(1), &failed, true); at.After(noon) {
		t.Errorf("a repaired connection's uploads wait until %s", at)
	}
	if at := uploadRetry(retried(theConnection(1), 3, noon), nil, true); !at.Equal(noon.Add(4 * time.Minute)) {
		t.Errorf("a connection that was repaired three times in vain: at %s", at)
	}
}

// restarted is a manager that has just started, with n connections of as many namespaces in the API server.
type restarted struct {
	*Reconciler
	api    client.Client
	keys   []client.ObjectKey
	opened atomic.Int32
}

func restart(t *testing.T, n int, change func(i int, c *platenv1alpha1.StorageConnection)) *restarted {
	t.Helper()
	scheme, err := testenv.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	r := &restarted{}
	objects := make([]client.Object, 0, 2*n)
	for i := range n {
		c := theConnection(0)
		c.Namespace = fmt.Sprint("ns-", i)
		c.Status.ObservedGeneration = new(c.Generation)
		c.Status.Conditions = []metav1.Condition{{
			Type: platenv1alpha1.ReadyCondition, Status: metav1.ConditionFalse, Reason: "TokenExpired", LastTransitionTime: metav1.NewTime(noon.Add(-time.Hour)),
		}}
		c.Status.CredentialsVersion = "7"
		change(i, c)
		objects = append(objects, c, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
			Namespace: c.Namespace, Name: "dropbox", ResourceVersion: "7", Labels: map[string]string{platenv1alpha1.CredentialsLabel: "true"},
		}, Data: map[string][]byte{"appKey": []byte("a"), "refreshToken": []byte("b")}})
		r.keys = append(r.keys, client.ObjectKeyFromObject(c))
	}
	r.api = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&platenv1alpha1.StorageConnection{}).
		WithIndex(&platenv1alpha1.RenderJob{}, failedUploadIndex, failedConnections).Build()
	r.Reconciler = &Reconciler{
		Client: r.api, Clock: testingclock.NewFakePassiveClock(noon), Interval: 10 * time.Minute,
		looks: rate.NewLimiter(looksPerSecond, 2*looksPerSecond), overdue: rate.NewLimiter(overduePerSecond, 2*overduePerSecond),
		Connector: connect.New(connect.Options{
			Credentials: credentials.Reader{Reader: r.api},
			Openers: map[platenv1alpha1.ProviderType]connect.Opener{
				platenv1alpha1.ProviderDropbox: func(context.Context, platenv1alpha1.StorageConnectionSpec, credentials.Redacted) (storage.Provider, error) {
					r.opened.Add(1)
					return nil, &storage.Error{Class: storage.Stop, Reason: storage.ReasonTokenExpired, Message: "Token expired"}
				},
			},
		}),
	}
	r.status.Client, r.status.Recorder, r.status.Action = r.api, events.NewFakeRecorder(10*n), "Verify"
	return r
}

// reconcileAll reconciles every connection once. Each must ask for the next time.
func (r *restarted) reconcileAll(t *testing.T) {
	t.Helper()
	for _, key := range r.keys {
		if next, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: key}); err != nil || next.RequeueAfter <= 0 || next.RequeueAfter > time.Minute {
			t.Errorf("%s: %+v, %v", key, next, err)
		}
	}
}

func TestRestartAsksNobodyWhoIsNotDue(t *testing.T) {
	r := restart(t, 1000, func(_ int, c *platenv1alpha1.StorageConnection) {
		c.Status.NextVerificationTime = new(metav1.NewTime(noon.Add(5 * time.Minute)))
	})
	r.reconcileAll(t)
	if n := r.opened.Load(); n != 0 {
		t.Errorf("%d of 1000 broken connections were verified at once", n)
	}
}

func TestRestartAfterANightAsksFewAtATime(t *testing.T) {
	r := restart(t, 1000, func(_ int, c *platenv1alpha1.StorageConnection) {
		c.Status.NextVerificationTime = new(metav1.NewTime(noon.Add(-8 * time.Hour)))
	})
	began := time.Now()
	r.reconcileAll(t)
	if n, most := r.opened.Load(), int32(2*overduePerSecond+time.Since(began).Seconds()*overduePerSecond+1); n == 0 || n > most {
		t.Errorf("%d of 1000 connections that were due in the night were verified at once, want at most %d", n, most)
	}
}

// A manager whose clock was ahead has planned for a time that does not come soon, and says that it has just been.
func TestPlansOfAWrongClockAreDropped(t *testing.T) {
	ahead := metav1.NewTime(noon.AddDate(1, 0, 0))
	r := restart(t, 4, func(i int, c *platenv1alpha1.StorageConnection) {
		c.Status.NextVerificationTime = new(metav1.NewTime(noon.Add(5 * time.Minute)))
		switch i {
		case 0:
			c.Status.NextVerificationTime = &ahead
		case 1:
			c.Status.LastVerifiedTime = &ahead
			c.Annotations = map[string]string{platenv1alpha1.VerifyAnnotation: "now"}
		case 2:
			c.Status.Conditions[0].LastTransitionTime = ahead
		default:
			c.Status.NextVerificationTime = new(metav1.NewTime(noon.Add(24 * time.Hour))) // as the service has asked
		}
	})
	r.reconcileAll(t)
	if n := r.opened.Load(); n != 3 {
		t.Errorf("%d connections were verified, want the three with times of a wrong clock", n)
	}
	r.Clock.(*testingclock.FakePassiveClock).SetTime(noon.Add(time.Second))
	r.reconcileAll(t)
	if n := r.opened.Load(); n != 3 {
		t.Errorf("%d verifications, want no other", n)
	}
}

func TestChangedSecretIsVerifiedAtOnce(t *testing.T) {
	r := restart(t, 3, func(i int, c *platenv1alpha1.StorageConnection) {
		c.Status.NextVerificationTime = new(metav1.NewTime(noon.Add(5 * time.Minute)))
		if i == 1 {
			c.Status.CredentialsVersion = "6"
		}
		if i == 2 {
			c.Generation++
		}
	})
	r.reconcileAll(t)
	if n := r.opened.Load(); n != 2 {
		t.Errorf("%d connections were verified, want those with a changed Secret and a changed spec", n)
	}
	r.reconcileAll(t)
	if n := r.opened.Load(); n != 2 {
		t.Errorf("%d verifications, want no other", n)
	}
	c := &platenv1alpha1.StorageConnection{}
	if err := r.api.Get(t.Context(), r.keys[1], c); err != nil || c.Status.CredentialsVersion != "7" || !c.Status.NextVerificationTime.After(noon) {
		t.Errorf("status %+v, %v", c.Status, err)
	}
}

func TestLookDelay(t *testing.T) {
	broken := theConnection(1)
	broken.Status.Conditions[0].Status = metav1.ConditionFalse
	for name, tc := range map[string]struct {
		c    *platenv1alpha1.StorageConnection
		age  time.Duration
		want time.Duration
	}{
		"never verified":   {theConnection(0), 0, soon},
		"works since now":  {theConnection(1), time.Second, soon},
		"works":            {theConnection(1), time.Hour, seldom},
		"broken just now":  {broken, time.Second, soon},
		"broken yesterday": {broken, 24 * time.Hour, seldom},
	} {
		if got := lookDelay(tc.c, noon.Add(tc.age), 0); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}
