// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package storage is the contract between Platen and the services that keep uploaded files. Each service is a package below
// this one; errors carry behaviour, so that nobody has to know whose they are.
package storage

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// Provider is one account of a storage service. It is safe for concurrent use. Every error is an *Error.
type Provider interface {
	// Verify asks who the account is and how full it is.
	Verify(ctx context.Context) (Account, error)
	// EnsureFolder creates a folder and its parents. It is no error if the folder exists already.
	EnsureFolder(ctx context.Context, folder string) error
	// Upload brings one file to its path, creating parent folders. Uploading a file whose content already stands at the path
	// changes nothing, so that an upload can be repeated after any doubt.
	Upload(ctx context.Context, file File) (Uploaded, error)
}

// Account is who is behind a Provider.
type Account struct {
	ID, Email, DisplayName string
	// SpaceUsed and SpaceAllocated in bytes.
	SpaceUsed, SpaceAllocated int64
}

// File is a file to upload.
type File struct {
	// Path from the account's root, with a leading slash.
	Path string
	// Size in bytes.
	Size int64
	// ContentHash as Dropbox defines it, in hexadecimal.
	ContentHash string
	// ConflictPolicy says what happens when another file stands at Path.
	ConflictPolicy ConflictPolicy
	// Doubtful is true when an earlier upload of this file may have succeeded unseen: the provider looks before it writes.
	Doubtful bool
	// Open returns the file's bytes from the start. It may be called again for a retry.
	Open func(ctx context.Context) (io.ReadCloser, error)
}

// ConflictPolicy says what happens when another file stands at a path.
type ConflictPolicy string

// The conflict policies.
const (
	// Overwrite replaces the file.
	Overwrite ConflictPolicy = "Overwrite"
	// Rename takes a free name that the provider chooses.
	Rename ConflictPolicy = "Rename"
	// Keep leaves the file.
	Keep ConflictPolicy = "Keep"
)

// Uploaded is where a file stands.
type Uploaded struct {
	// Path that the provider chose.
	Path string
	// ContentHash that the provider computed.
	ContentHash string
	// Kept is true when the policy is Keep and another file already stood there.
	Kept bool
}

// Class says what to do about an Error.
type Class int

// The classes.
const (
	// Stop means that trying again cannot help until a user acts.
	Stop Class = iota
	// Retry means that trying again later may help.
	Retry
)

// Error is a failure of a storage service.
type Error struct {
	Class Class
	// Reason in CamelCase, for a condition: TokenExpired, InsufficientSpace, Unreachable, ….
	Reason string
	// Message in the user's words: "Token expired". It holds no secret.
	Message string
	// RetryAfter is how long the service wants to be left alone; 0 when it did not say.
	RetryAfter time.Duration
	// Err is the cause, if any.
	Err error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// RetryPolicy paces retries: the first after about Base, each further one after about twice as long, at most Cap.
type RetryPolicy struct{ Base, Cap time.Duration }

// DefaultRetryPolicy waits from 200 ms to 30 s.
var DefaultRetryPolicy = RetryPolicy{Base: 200 * time.Millisecond, Cap: 30 * time.Second}

// Do calls try until it succeeds, fails with an Error of class Stop, or ctx ends; then it returns the last real error. It
// honours RetryAfter in full. retry is true from the second call on.
func (p RetryPolicy) Do(ctx context.Context, try func(ctx context.Context, retry bool) error) error {
	backoff := wait.Backoff{Duration: p.Base, Factor: 2, Jitter: 0.5, Steps: 100, Cap: p.Cap}
	var last error
	for retry := false; ; retry = true {
		err := try(ctx, retry)
		problem := (*Error)(nil)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil && last != nil:
			return last
		case !errors.As(err, &problem) || problem.Class == Stop:
			return err
		}
		last = err
		pause := max(backoff.Step(), problem.RetryAfter)
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < pause {
			return last
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return last
		}
	}
}

// JoinPath returns the path of a file in a folder.
func JoinPath(folder, name string) string {
	if folder == "/" {
		return "/" + name
	}
	return folder + "/" + name
}

// Registry keeps one Provider for each connection, so that what it learned (an access token, a refusal) is shared.
type Registry struct {
	mu        sync.Mutex
	providers map[string]registered
}

type registered struct {
	fingerprint string
	provider    Provider
}

// NewRegistry returns an empty Registry.
func NewRegistry() *Registry { return &Registry{providers: map[string]registered{}} }

// Get returns the provider of a connection's UID, built anew whenever fingerprint, a digest of all that it is built from,
// changes.
func (r *Registry) Get(uid, fingerprint string, build func() (Provider, error)) (Provider, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.providers[uid]; ok && known.fingerprint == fingerprint {
		return known.provider, nil
	}
	provider, err := build()
	if err != nil {
		return nil, err
	}
	r.providers[uid] = registered{fingerprint, provider}
	return provider, nil
}

// Forget drops a connection's provider.
func (r *Registry) Forget(uid string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.providers, uid)
}
