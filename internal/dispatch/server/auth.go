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

// The keys under which a TokenReview tells of the pod to which a token is bound.
const (
	extraPodName = "authentication.kubernetes.io/pod-name"
	extraPodUID  = "authentication.kubernetes.io/pod-uid"
)

const (
	// verdictLife is how long a token that was found good is not reviewed again. A pod that is gone is refused by the pool at
	// once, whatever its token.
	verdictLife = 5 * time.Minute
	// maxVerdicts bounds the memory of verdicts.
	maxVerdicts = 10_000
	// maxToken bounds a token, in bytes.
	maxToken = 16 << 10
)

var errUnauthorized = errors.New("unauthorized")

// TokenReviewer finds out whose a token is by asking the API server.
type TokenReviewer struct {
	// Client creates TokenReviews.
	Client client.Client
	// Audience that the token must be for.
	Audience string
	// Now is the clock.
	Now func() time.Time

	mu       sync.Mutex
	verdicts map[[sha256.Size]byte]*verdict
}

type verdict struct {
	done  chan struct{}
	pod   pool.PodID
	err   error
	until time.Time
}

// Review returns the pod to which a token is bound. One token is reviewed once, also when several requests bring it at a time;
// a token that is refused is not remembered.
func (r *TokenReviewer) Review(ctx context.Context, token string) (pool.PodID, error) {
	if token == "" || len(token) > maxToken {
		return pool.PodID{}, errUnauthorized
	}
	key := sha256.Sum256([]byte(token))
	now := r.Now()
	r.mu.Lock()
	if r.verdicts == nil || len(r.verdicts) >= maxVerdicts {
		r.verdicts = map[[sha256.Size]byte]*verdict{}
	}
	known := r.verdicts[key]
	if known != nil && now.Before(known.until) {
		r.mu.Unlock()
		select {
		case <-known.done:
			return known.pod, known.err
		case <-ctx.Done():
			return pool.PodID{}, ctx.Err()
		}
	}
	mine := &verdict{done: make(chan struct{}), until: now.Add(verdictLife)}
	r.verdicts[key] = mine
	r.mu.Unlock()

	mine.pod, mine.err = r.review(ctx, token)
	close(mine.done)
	if mine.err != nil {
		r.mu.Lock()
		if r.verdicts[key] == mine {
			delete(r.verdicts, key)
		}
		r.mu.Unlock()
	}
	return mine.pod, mine.err
}

func (r *TokenReviewer) review(ctx context.Context, token string) (pool.PodID, error) {
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
