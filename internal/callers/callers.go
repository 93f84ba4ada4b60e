// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package callers authenticates and authorizes the callers of an HTTP server. The API server reviews their bearer tokens and
// rights; the HTTP server acts for a caller with the caller's own token.
package callers

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	utilcache "k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/platen-dev/platen/internal/connections"
)

const (
	// verdictTTL is how long a review is cached: a revoked token or right works for this much longer. Writes do not depend on it,
	// because the API server decides about each of them by the caller's token.
	verdictTTL = 10 * time.Second
	// maxVerdicts bounds the cached reviews of each kind.
	maxVerdicts = 4096
	// maxToken bounds a bearer token, in bytes.
	maxToken = 16 << 10
	// maxReviews bounds the reviews in flight; further requests wait.
	maxReviews = 32
)

// StatusError is an error for the caller, with the HTTP status of the answer.
type StatusError struct {
	Status  int
	Message string
}

// Error implements error.
func (e *StatusError) Error() string { return e.Message }

// Errorf returns a *StatusError.
func Errorf(status int, format string, args ...any) error {
	return &StatusError{status, fmt.Sprintf(format, args...)}
}

// RetryAfter is how long clients wait before they ask an API server again that did not answer.
const RetryAfter = 5 * time.Second

// ErrUnreachable is the answer while the API server does not answer.
var ErrUnreachable = &StatusError{http.StatusServiceUnavailable, "the API server did not answer; try again"}

// IsUnreachable reports whether a call of the API server failed because it did not answer, or not in time.
func IsUnreachable(err error) bool {
	failed := (*url.Error)(nil)
	return errors.As(err, &failed) || errors.Is(err, context.DeadlineExceeded)
}

// Caller is a user whose token the API server has accepted.
type Caller struct {
	User authenticationv1.UserInfo
	// token is the SHA-256 of the token.
	token [sha256.Size]byte
	// client returns the client; the first call makes it.
	client func() (client.Client, error)
}

// Client returns a client that has the caller's token, and so the caller's rights.
func (c *Caller) Client() (client.Client, error) { return c.client() }

// Home returns the namespace of a service account; empty for any other user.
func (c *Caller) Home() string {
	account, ok := strings.CutPrefix(c.User.Username, "system:serviceaccount:")
	if !ok {
		return ""
	}
	namespace, _, _ := strings.Cut(account, ":")
	return namespace
}

// Reviewer asks the API server to review callers, and caches each review for ten seconds.
type Reviewer struct {
	config  *rest.Config
	client  client.Client
	callers *utilcache.LRUExpireCache
	rights  *utilcache.LRUExpireCache
	reviews chan struct{}
}

// NewReviewer returns a Reviewer. config has the address of the API server; a caller's client never uses its credentials. c creates
// TokenReviews and SubjectAccessReviews.
func NewReviewer(config *rest.Config, c client.Client, clk clock.PassiveClock) *Reviewer {
	return &Reviewer{
		config: config, client: c, reviews: make(chan struct{}, maxReviews),
		callers: utilcache.NewLRUExpireCacheWithClock(maxVerdicts, clk),
		rights:  utilcache.NewLRUExpireCacheWithClock(maxVerdicts, clk),
	}
}

// Bearer returns the token of an Authorization header; empty when there is none.
func Bearer(h http.Header) string {
	kind, token, _ := strings.Cut(h.Get("Authorization"), " ")
	if !strings.EqualFold(kind, "bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// Authenticate asks the API server whose token it is. The token must have the API server's own audience, because the caller's client
// uses it there. The error is a *StatusError if the API server does not accept the token. The connection of the request with the context is no
// stranger's any more.
func (r *Reviewer) Authenticate(ctx context.Context, token string) (*Caller, error) {
	if token == "" || len(token) > maxToken {
		return nil, Errorf(http.StatusUnauthorized, "Authorization: must be 'Bearer TOKEN', with a token that the cluster accepts")
	}
	key := sha256.Sum256([]byte(token))
	verdict, known := r.callers.Get(key)
	if !known {
		review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
		if err := r.review(ctx, review); err != nil {
			return nil, fmt.Errorf("reviewing a token: %w", err)
		}
		// A nil caller is cached too, so that a repeated bad token costs one review.
		caller := (*Caller)(nil)
		if review.Status.Authenticated {
			caller = &Caller{User: review.Status.User, token: key, client: sync.OnceValues(func() (client.Client, error) { return r.clientFor(token) })}
		}
		r.callers.Add(key, caller, verdictTTL)
		verdict = caller
	}
	caller, ok := verdict.(*Caller)
	if !ok || caller == nil {
		return nil, Errorf(http.StatusUnauthorized, "Authorization: the cluster does not accept this token; it may have expired, or be meant for another audience")
	}
	connections.Admit(ctx, caller.User.Username)
	return caller, nil
}

// clientFor returns a client with the token instead of the process's own credentials.
func (r *Reviewer) clientFor(token string) (client.Client, error) {
	config := rest.AnonymousClientConfig(r.config)
	config.BearerToken = token
	c, err := client.New(config, client.Options{Scheme: r.client.Scheme(), Mapper: r.client.RESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	return c, nil
}

// right is the cache key of a SubjectAccessReview: a right to a resource, or to a path.
type right struct {
	token    [sha256.Size]byte
	resource authorizationv1.ResourceAttributes
	path     authorizationv1.NonResourceAttributes
}

// Authorize asks the API server whether the caller has a right. The error is a *StatusError if not.
func (r *Reviewer) Authorize(ctx context.Context, c *Caller, a authorizationv1.ResourceAttributes) error {
	if a.FieldSelector != nil || a.LabelSelector != nil {
		return errors.New("rights with selectors cannot be cached")
	}
	allowed, err := r.allowed(ctx, c, right{token: c.token, resource: a})
	if err != nil || allowed {
		return err
	}
	return Errorf(http.StatusForbidden, "%s may not %s %s in namespace '%s'", c.User.Username, a.Verb, a.Resource, a.Namespace)
}

// Guard returns a handler that answers only callers who have the right to a request's path. It is that of a role's nonResourceURLs, whose verb is
// the method in lower case.
func (r *Reviewer) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		err := r.guard(req)
		if err != nil { // nobody waits for the rest of the request
			w.Header().Set("Connection", "close")
			defer func() { _ = http.NewResponseController(w).SetReadDeadline(time.Now()) }() // some test servers have no deadlines
		}
		refused := (*StatusError)(nil)
		switch {
		case err == nil:
			next.ServeHTTP(w, req)
		case errors.As(err, &refused):
			http.Error(w, refused.Message, refused.Status)
		default:
			http.Error(w, ErrUnreachable.Message, ErrUnreachable.Status)
		}
	})
}

func (r *Reviewer) guard(req *http.Request) error {
	c, err := r.Authenticate(req.Context(), Bearer(req.Header))
	if err != nil {
		return err
	}
	path := authorizationv1.NonResourceAttributes{Path: req.URL.Path, Verb: strings.ToLower(req.Method)}
	allowed, err := r.allowed(req.Context(), c, right{token: c.token, path: path})
	if err != nil || allowed {
		return err
	}
	return Errorf(http.StatusForbidden, "%s may not %s %s", c.User.Username, path.Verb, path.Path)
}

// allowed asks the API server whether the caller has a right.
func (r *Reviewer) allowed(ctx context.Context, c *Caller, asked right) (bool, error) {
	if verdict, known := r.rights.Get(asked); known {
		return verdict == true, nil
	}
	extra := map[string]authorizationv1.ExtraValue{}
	for name, values := range c.User.Extra {
		extra[name] = authorizationv1.ExtraValue(values)
	}
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: c.User.Username, Groups: c.User.Groups, UID: c.User.UID, Extra: extra,
	}}
	if asked.path != (authorizationv1.NonResourceAttributes{}) {
		review.Spec.NonResourceAttributes = &asked.path
	} else {
		review.Spec.ResourceAttributes = &asked.resource
	}
	if err := r.review(ctx, review); err != nil {
		return false, fmt.Errorf("asking for a caller's rights: %w", err)
	}
	r.rights.Add(asked, review.Status.Allowed, verdictTTL)
	return review.Status.Allowed, nil
}

func (r *Reviewer) review(ctx context.Context, review client.Object) error {
	select {
	case r.reviews <- struct{}{}:
		defer func() { <-r.reviews }()
		return r.client.Create(ctx, review)
	case <-ctx.Done():
		return ctx.Err()
	}
}
