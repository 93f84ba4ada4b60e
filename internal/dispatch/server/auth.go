// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
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
	// maxReviews bounds the reviews in memory.
	maxReviews = 10_000
	// maxToken bounds a token in bytes.
	maxToken = 16 << 10
)

var errUnauthorized = errors.New("unauthorized")

// TokenReviewer reviews tokens with the API server.
type TokenReviewer struct {
	// Client creates TokenReviews.
	Client client.Client
	// Audience that a token must have.
	Audience string
	// Now returns the time.
	Now func() time.Time

	mu      sync.Mutex
	reviews map[[sha256.Size]byte]*review
}

// review of one token. done is closed once pod and err are set.
type review struct {
	done    chan struct{}
	pod     pool.PodID
	err     error
	expires time.Time
}

// Review returns the pod to which a token is bound. Concurrent requests with one token share one review. The review of an invalid token
// is not reused.
func (r *TokenReviewer) Review(ctx context.Context, token string) (pool.PodID, error) {
	if token == "" || len(token) > maxToken {
		return pool.PodID{}, errUnauthorized
	}
	key := sha256.Sum256([]byte(token))
	now := r.Now()
	r.mu.Lock()
	if r.reviews == nil || len(r.reviews) >= maxReviews {
		r.reviews = map[[sha256.Size]byte]*review{}
	}
	known := r.reviews[key]
	if known != nil && now.Before(known.expires) {
		r.mu.Unlock()
		select {
		case <-known.done:
			return known.pod, known.err
		case <-ctx.Done():
			return pool.PodID{}, ctx.Err()
		}
	}
	mine := &review{done: make(chan struct{}), expires: now.Add(reviewTTL)}
	r.reviews[key] = mine
	r.mu.Unlock()

	mine.pod, mine.err = r.create(ctx, token)
	close(mine.done)
	if mine.err != nil {
		r.mu.Lock()
		if r.reviews[key] == mine {
			delete(r.reviews, key)
		}
		r.mu.Unlock()
	}
	return mine.pod, mine.err
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
