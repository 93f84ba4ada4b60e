// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/platen-dev/platen/internal/pool"
)

// The keys of a TokenReview's extra fields that name the pod to which a token is bound.
const (
	extraPodName = "authentication.kubernetes.io/pod-name"
	extraPodUID  = "authentication.kubernetes.io/pod-uid"
)

const (
	// reviewTTL is how long the review of a valid token is reused. The pool rejects a deleted pod at once, whatever its token.
	reviewTTL = 5 * time.Minute
	// clockSkew is how far the clocks of two managers may differ.
	clockSkew = time.Minute
	// refusalTTL is how long the review of an invalid token is reused.
	refusalTTL = 10 * time.Second
	// maxReviews and maxRefusals bound the reviews in memory.
	maxReviews, maxRefusals = 10_000, 10_000
	// maxToken bounds a token in bytes.
	maxToken = 16 << 10
	// parallelReviews bounds the requests to the API server at a time, and reviewTimeout each of them.
	parallelReviews = 16
	reviewTimeout   = 10 * time.Second
)

var (
	errUnauthorized = errors.New("unauthorized")
	errBusy         = errors.New("too many tokens to review")
)

// TokenReviewer reviews tokens with the API server. Its zero value with Client, Audience and Now is ready.
type TokenReviewer struct {
	// Client creates TokenReviews.
	Client client.Client
	// Audience that a token must have.
	Audience string
	// Now returns the time.
	Now func() time.Time

	mu sync.Mutex
	// running are the reviews that wait for the API server, reviews those of valid tokens, and refusals those of invalid ones. They have
	// bounds of their own, so that a flood of invalid tokens costs no valid one its review.
	running, reviews, refusals map[[sha256.Size]byte]*review
}

// review of one token. done is closed once pod and err are set.
type review struct {
	done    chan struct{}
	pod     pool.PodID
	err     error
	expires time.Time
}

// Review returns the pod to which a token is bound, and until when that counts. Concurrent requests with one token share one review.
func (r *TokenReviewer) Review(ctx context.Context, token string) (pool.PodID, time.Time, error) {
	if token == "" || len(token) > maxToken {
		return pool.PodID{}, time.Time{}, errUnauthorized
	}
	shared := r.begin(ctx, token)
	if shared == nil {
		return pool.PodID{}, time.Time{}, errBusy
	}
	select {
	case <-shared.done:
		return shared.pod, shared.expires, shared.err
	case <-ctx.Done():
		return pool.PodID{}, time.Time{}, ctx.Err()
	}
}

// begin returns the review of a token that is known or runs already, else a new one. It returns nil if too many run.
func (r *TokenReviewer) begin(ctx context.Context, token string) *review {
	key := sha256.Sum256([]byte(token))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running == nil {
		r.running, r.reviews, r.refusals = map[[sha256.Size]byte]*review{}, map[[sha256.Size]byte]*review{}, map[[sha256.Size]byte]*review{}
	}
	now := r.Now()
	for _, known := range []*review{r.running[key], r.reviews[key], r.refusals[key]} {
		if known != nil && (known.expires.IsZero() || now.Before(known.expires)) {
			return known
		}
	}
	if len(r.running) >= parallelReviews {
		return nil
	}
	mine := &review{done: make(chan struct{})}
	r.running[key] = mine
	// Others wait for this review: it goes on when the request that began it ends.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reviewTimeout)
	go func() {
		defer cancel()
		mine.pod, mine.err = r.create(ctx, token)
		r.end(key, mine)
	}()
	return mine
}

// end keeps the result of a review, unless the API server did not answer.
func (r *TokenReviewer) end(key [sha256.Size]byte, mine *review) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.Now()
	delete(r.running, key)
	switch {
	case mine.err == nil:
		mine.expires = now.Add(reviewTTL)
		keep(r.reviews, key, mine, maxReviews, now)
	case errors.Is(mine.err, errUnauthorized):
		mine.expires = now.Add(refusalTTL)
		delete(r.reviews, key)
		keep(r.refusals, key, mine, maxRefusals, now)
	}
	close(mine.done)
}

// keep adds a review to a bounded map: if it is full, the expired ones go, else any of them.
func keep(reviews map[[sha256.Size]byte]*review, key [sha256.Size]byte, added *review, bound int, now time.Time) {
	if len(reviews) >= bound {
		maps.DeleteFunc(reviews, func(_ [sha256.Size]byte, known *review) bool { return !now.Before(known.expires) })
	}
	for other := range reviews {
		if len(reviews) < bound {
			break
		}
		delete(reviews, other)
	}
	reviews[key] = added
}

// create creates a TokenReview and returns the pod in its status.
func (r *TokenReviewer) create(ctx context.Context, token string) (pool.PodID, error) {
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{r.Audience}}}
	if err := r.Client.Create(ctx, review); err != nil {
		return pool.PodID{}, fmt.Errorf("reviewing a token: %w", err)
	}
	status := review.Status
	parts := strings.Split(status.User.Username, ":")
	name, uid := status.User.Extra[extraPodName], status.User.Extra[extraPodUID]
	if !status.Authenticated || !slices.Contains(status.Audiences, r.Audience) ||
		len(parts) != 4 || parts[0] != "system" || parts[1] != "serviceaccount" || len(name) != 1 || len(uid) != 1 {
		return pool.PodID{}, errUnauthorized
	}
	return pool.PodID{Namespace: parts[2], Name: name[0], UID: types.UID(uid[0])}, nil
}
