// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package callers

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
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

	"github.com/platen-dev/platen/internal/connections"
	"github.com/platen-dev/platen/internal/connections/connectionstest"
)

// apiServer answers reviews and counts them.
type apiServer struct {
	reviews int
	// acceptedToken, allowedVerb and allowedPath pass their review.
	acceptedToken, allowedVerb, allowedPath string
	// down is whether no review is answered.
	down bool
}

func (s *apiServer) reviewer(clk *testingclock.FakePassiveClock) *Reviewer {
	c := fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(_ context.Context, _ client.WithWatch, o client.Object, _ ...client.CreateOption) error {
			s.reviews++
			if s.down {
				return errors.New("connection refused")
			}
			switch review := o.(type) {
			case *authenticationv1.TokenReview:
				review.Status.Authenticated = review.Spec.Token == s.acceptedToken
				review.Status.User = authenticationv1.UserInfo{Username: "system:serviceaccount:marketing:designer", UID: "1"}
			case *authorizationv1.SubjectAccessReview:
				spec := review.Spec
				if spec.ResourceAttributes != nil {
					review.Status.Allowed = spec.ResourceAttributes.Verb == s.allowedVerb && spec.User == "system:serviceaccount:marketing:designer"
				} else {
					review.Status.Allowed = spec.NonResourceAttributes.Verb == "get" && spec.NonResourceAttributes.Path == s.allowedPath
				}
			}
			return nil
		},
	}).Build()
	return NewReviewer(&rest.Config{}, c, clk)
}

func status(err error) int {
	failed := (*StatusError)(nil)
	if !errors.As(err, &failed) {
		return 0
	}
	return failed.Status
}

func TestReviewsAreCachedForTenSeconds(t *testing.T) {
	server, clk := &apiServer{acceptedToken: "good", allowedVerb: "get"}, testingclock.NewFakePassiveClock(time.Unix(1, 0))
	reviewer := server.reviewer(clk)
	ask := func() (token, right int) {
		t.Helper()
		caller, err := reviewer.Authenticate(t.Context(), "good")
		if err != nil {
			return status(err), 0
		}
		if caller.Home() != "marketing" {
			t.Errorf("home is %q", caller.Home())
		}
		return 0, status(reviewer.Authorize(t.Context(), caller, authorizationv1.ResourceAttributes{Namespace: "marketing", Verb: "get", Resource: "renderjobs"}))
	}
	for range 3 {
		if token, right := ask(); token != 0 || right != 0 {
			t.Fatalf("refused with %d and %d", token, right)
		}
	}
	if server.reviews != 2 {
		t.Errorf("%d reviews, want one of the token and one of the right", server.reviews)
	}
	server.allowedVerb = "" // the right is revoked
	clk.SetTime(clk.Now().Add(verdictTTL + time.Second))
	if token, right := ask(); token != 0 || right != http.StatusForbidden {
		t.Errorf("got %d and %d, want 0 and 403", token, right)
	}
	server.acceptedToken = "" // the token is revoked
	clk.SetTime(clk.Now().Add(verdictTTL + time.Second))
	if token, _ := ask(); token != http.StatusUnauthorized {
		t.Errorf("got %d, want 401", token)
	}
}

func TestBadTokens(t *testing.T) {
	server := &apiServer{acceptedToken: "good"}
	reviewer := server.reviewer(testingclock.NewFakePassiveClock(time.Unix(1, 0)))
	for _, token := range []string{"", "bad", "bad", string(make([]byte, maxToken+1))} {
		if _, err := reviewer.Authenticate(t.Context(), token); status(err) != http.StatusUnauthorized {
			t.Errorf("%.10q: %v", token, err)
		}
	}
	if server.reviews != 1 {
		t.Errorf("%d reviews, want one: an empty or overlong token needs none, and a repeated token no second one", server.reviews)
	}
}

func TestGuard(t *testing.T) {
	tests := map[string]struct {
		token, method, path string
		down                bool
		want                int
	}{
		"may get the path":      {token: "good", method: http.MethodGet, path: "/metrics", want: http.StatusOK},
		"another path":          {token: "good", method: http.MethodGet, path: "/metrics/all", want: http.StatusForbidden},
		"another verb":          {token: "good", method: http.MethodPost, path: "/metrics", want: http.StatusForbidden},
		"another token":         {token: "bad", method: http.MethodGet, path: "/metrics", want: http.StatusUnauthorized},
		"no token":              {method: http.MethodGet, path: "/metrics", want: http.StatusUnauthorized},
		"no answer of a review": {token: "good", method: http.MethodGet, path: "/metrics", down: true, want: http.StatusServiceUnavailable},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := &apiServer{acceptedToken: "good", allowedPath: "/metrics", down: test.down}
			served := 0
			handler := server.reviewer(testingclock.NewFakePassiveClock(time.Unix(1, 0))).Guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ }))
			request := httptest.NewRequestWithContext(t.Context(), test.method, test.path, nil)
			if test.token != "" {
				request.Header.Set("Authorization", "Bearer "+test.token)
			}
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, request)
			if answer.Code != test.want || (served == 1) != (test.want == http.StatusOK) {
				t.Errorf("answered %d %s, served %d times; want %d", answer.Code, answer.Body, served, test.want)
			}
		})
	}
}

func TestGuardDoesNotWaitForABody(t *testing.T) {
	server := &apiServer{acceptedToken: "good", allowedPath: "/metrics"}
	web := httptest.NewServer(server.reviewer(testingclock.NewFakePassiveClock(time.Unix(1, 0))).Guard(http.NotFoundHandler()))
	defer web.Close()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if answer, err := io.ReadAll(conn); err != nil || !strings.Contains(string(answer), "401 Unauthorized") {
		t.Errorf("got %q, %v", answer, err)
	}
}

// Callers leave room for others at their address, such as that of a proxy; who is none does not.
func TestCallersAreNoStrangers(t *testing.T) {
	server := &apiServer{acceptedToken: "good", allowedPath: "/metrics"}
	web := httptest.NewUnstartedServer(server.reviewer(testingclock.NewFakePassiveClock(time.Unix(1, 0))).Guard(http.NotFoundHandler()))
	web.Config.ConnContext = connections.Context
	web.Listener = connections.Listen(connectionstest.Elsewhere(web.Listener), connections.Limits{StrangersOfAddress: 1})
	web.Start()
	defer web.Close()
	ask := func(request string) string {
		t.Helper()
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", web.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(conn, request)
		line, _ := bufio.NewReader(conn).ReadString('\n')
		return strings.TrimSpace(line)
	}
	const good = "GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n\r\n"
	for range 3 {
		if got := ask(good); got != "HTTP/1.1 404 Not Found" {
			t.Fatalf("a caller got %q", got)
		}
	}
	if got := ask("GARBAGE\r\n\r\n"); got != "HTTP/1.1 400 Bad Request" {
		t.Fatalf("a stranger got %q", got)
	}
}

func TestBearer(t *testing.T) {
	for header, want := range map[string]string{"": "", "Bearer x": "x", "bearer x": "x", "Basic x": "", "Bearer": ""} {
		if got := Bearer(http.Header{"Authorization": {header}}); got != want {
			t.Errorf("%q: got %q, want %q", header, got, want)
		}
	}
}
