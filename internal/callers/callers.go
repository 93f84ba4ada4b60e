// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package callers knows who asks: it reviews bearer tokens, asks for the rights of those behind them and acts in their name,
// with their own token.
package callers

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	utilcache "k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// verdictTTL is how long the API server's word is believed: a token that is revoked, or a right that is taken away, may be
	// used for this much longer. What is written is written with the caller's token, and the API server decides then.
	verdictTTL = 10 * time.Second
	// maxVerdicts bounds what is remembered, of each kind.
	maxVerdicts = 4096
	// maxToken bounds a bearer token, in bytes.
	maxToken = 16 << 10
	// maxReviews bounds the reviews that are on their way to the API server; more requests wait for their turn.
	maxReviews = 32
)

// Refusal is an error that is the caller's, with the HTTP status that tells of it: 400, 401, 403 or 429.
type Refusal struct { //nolint:errname // it says what it is, and reads so where it is used
	Status  int
	Message string
}

// Error implements error.
func (r *Refusal) Error() string { return r.Message }

// Refuse returns a *Refusal.
func Refuse(status int, format string, args ...any) error {
	return &Refusal{status, fmt.Sprintf(format, args...)}
}

// Caller is someone whose token the API server has accepted.
type Caller struct {
	User  authenticationv1.UserInfo
	token [sha256.Size]byte
	// client is made when it is first asked for.
	client func() (client.Client, error)
}

// Client returns a client that acts with the caller's token, and so with the caller's rights.
func (c *Caller) Client() (client.Client, error) { return c.client() }

// Home is the namespace of a service account; empty for everyone else.
func (c *Caller) Home() string {
	account, ok := strings.CutPrefix(c.User.Username, "system:serviceaccount:")
	if !ok {
		return ""
	}
	namespace, _, _ := strings.Cut(account, ":")
	return namespace
}

// Desk reviews callers. What the API server says is remembered for ten seconds at most.
type Desk struct {
	config  *rest.Config
	client  client.Client
	callers *utilcache.LRUExpireCache
	rights  *utilcache.LRUExpireCache
	reviews chan struct{}
}

// NewDesk returns a Desk. config reaches the API server; its credentials are not used in a caller's name. c creates TokenReviews
// and SubjectAccessReviews.
func NewDesk(config *rest.Config, c client.Client, now clock.PassiveClock) *Desk {
	return &Desk{
		config: config, client: c, reviews: make(chan struct{}, maxReviews),
		callers: utilcache.NewLRUExpireCacheWithClock(maxVerdicts, now),
		rights:  utilcache.NewLRUExpireCacheWithClock(maxVerdicts, now),
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

// Authenticate asks the API server whose token it is. The token must be meant for the API server's own audience, because it is
// used there in the caller's name. The error is a *Refusal when the token is not accepted.
func (d *Desk) Authenticate(ctx context.Context, token string) (*Caller, error) {
	if token == "" || len(token) > maxToken {
		return nil, Refuse(http.StatusUnauthorized, "Authorization: a bearer token that the cluster accepts is required")
	}
	key := sha256.Sum256([]byte(token))
	verdict, known := d.callers.Get(key)
	if !known {
		review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
		if err := d.review(ctx, review); err != nil {
			return nil, fmt.Errorf("reviewing a token: %w", err)
		}
		// A nil caller is a verdict, too: whoever repeats a bad token does not repeat the review.
		caller := (*Caller)(nil)
		if review.Status.Authenticated {
			caller = &Caller{User: review.Status.User, token: key, client: sync.OnceValues(func() (client.Client, error) { return d.as(token) })}
		}
		d.callers.Add(key, caller, verdictTTL)
		verdict = caller
	}
	caller, ok := verdict.(*Caller)
	if !ok || caller == nil {
		return nil, Refuse(http.StatusUnauthorized, "Authorization: the cluster does not accept this token; it may have expired, or be meant for another audience")
	}
	return caller, nil
}

// as returns a client that holds the token instead of the shim's credentials.
func (d *Desk) as(token string) (client.Client, error) {
	config := rest.AnonymousClientConfig(d.config)
	config.BearerToken = token
	c, err := client.New(config, client.Options{Scheme: d.client.Scheme(), Mapper: d.client.RESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	return c, nil
}

// right is what a Desk remembers of a SubjectAccessReview.
type right struct {
	token      [sha256.Size]byte
	attributes authorizationv1.ResourceAttributes
}

// Allow asks the API server whether the caller may do it. The error is a *Refusal when not.
func (d *Desk) Allow(ctx context.Context, c *Caller, a authorizationv1.ResourceAttributes) error {
	if a.FieldSelector != nil || a.LabelSelector != nil {
		return errors.New("rights with selectors are not remembered")
	}
	key := right{c.token, a}
	allowed, known := d.rights.Get(key)
	if !known {
		extra := map[string]authorizationv1.ExtraValue{}
		for name, values := range c.User.Extra {
			extra[name] = authorizationv1.ExtraValue(values)
		}
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: c.User.Username, Groups: c.User.Groups, UID: c.User.UID, Extra: extra, ResourceAttributes: &a,
		}}
		if err := d.review(ctx, review); err != nil {
			return fmt.Errorf("asking for a caller's rights: %w", err)
		}
		allowed = review.Status.Allowed
		d.rights.Add(key, allowed, verdictTTL)
	}
	if allowed != true {
		return Refuse(http.StatusForbidden, "%s may not %s %s in namespace '%s'", c.User.Username, a.Verb, a.Resource, a.Namespace)
	}
	return nil
}

func (d *Desk) review(ctx context.Context, review client.Object) error {
	select {
	case d.reviews <- struct{}{}:
		defer func() { <-d.reviews }()
		return d.client.Create(ctx, review)
	case <-ctx.Done():
		return ctx.Err()
	}
}
