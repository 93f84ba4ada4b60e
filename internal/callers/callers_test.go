// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package callers

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// reviewers answers reviews as the API server would, and counts them.
type reviewers struct {
	reviews int
	// accepted token and allowed verb.
	accepted, allowed string
}

func (r *reviewers) desk(now *testingclock.FakePassiveClock) *Desk {
	c := fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(_ context.Context, _ client.WithWatch, o client.Object, _ ...client.CreateOption) error {
			r.reviews++
			switch review := o.(type) {
			case *authenticationv1.TokenReview:
				review.Status.Authenticated = review.Spec.Token == r.accepted
				review.Status.User = authenticationv1.UserInfo{Username: "system:serviceaccount:marketing:designer", UID: "1"}
			case *authorizationv1.SubjectAccessReview:
				review.Status.Allowed = review.Spec.ResourceAttributes.Verb == r.allowed && review.Spec.User == "system:serviceaccount:marketing:designer"
			}
			return nil
		},
	}).Build()
	return NewDesk(&rest.Config{}, c, now)
}

func status(err error) int {
	refusal := (*Refusal)(nil)
	if !errors.As(err, &refusal) {
		return 0
	}
	return refusal.Status
}

func TestVerdictsAreBelievedForTenSeconds(t *testing.T) {
	r, now := &reviewers{accepted: "good", allowed: "get"}, testingclock.NewFakePassiveClock(time.Unix(1, 0))
	desk := r.desk(now)
	ask := func() (int, int) {
		t.Helper()
		caller, err := desk.Authenticate(t.Context(), "good")
		if err != nil {
			return status(err), 0
		}
		if caller.Home() != "marketing" {
			t.Errorf("home is %q", caller.Home())
		}
		return 0, status(desk.Allow(t.Context(), caller, authorizationv1.ResourceAttributes{Namespace: "marketing", Verb: "get", Resource: "renderjobs"}))
	}
	for range 3 {
		if token, right := ask(); token != 0 || right != 0 {
			t.Fatalf("refused with %d and %d", token, right)
		}
	}
	if r.reviews != 2 {
		t.Errorf("%d reviews, want one of the token and one of the right", r.reviews)
	}
	r.allowed = "" // the right is taken away
	now.SetTime(now.Now().Add(verdictTTL + time.Second))
	if token, right := ask(); token != 0 || right != http.StatusForbidden {
		t.Errorf("got %d and %d, want 0 and 403", token, right)
	}
	r.accepted = "" // the token is revoked
	now.SetTime(now.Now().Add(verdictTTL + time.Second))
	if token, _ := ask(); token != http.StatusUnauthorized {
		t.Errorf("got %d, want 401", token)
	}
}

func TestRefusals(t *testing.T) {
	r := &reviewers{accepted: "good"}
	desk := r.desk(testingclock.NewFakePassiveClock(time.Unix(1, 0)))
	for _, token := range []string{"", "bad", "bad", string(make([]byte, maxToken+1))} {
		if _, err := desk.Authenticate(t.Context(), token); status(err) != http.StatusUnauthorized {
			t.Errorf("%.10q: %v", token, err)
		}
	}
	if r.reviews != 1 {
		t.Errorf("%d reviews, want one: what is no token is not asked for, and a bad one once", r.reviews)
	}
	for header, want := range map[string]string{"": "", "Bearer x": "x", "bearer x": "x", "Basic x": "", "Bearer": ""} {
		if got := Bearer(http.Header{"Authorization": {header}}); got != want {
			t.Errorf("%q: got %q, want %q", header, got, want)
		}
	}
}
