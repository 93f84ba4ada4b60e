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

	"github.com/platen-dev/platen/internal/file"
)

// Provider is one account of a storage service. It is safe for concurrent use. Every error is an *Error.
type Provider interface {
	// Key names the account and what its paths are relative to. Providers with one key write to one tree of files, and are given
	// their files together.
	Key() string
	// Limits of one call of Upload.
	Limits() Limits
	// Verify asks who the account is and how full it is.
	Verify(ctx context.Context) (Account, error)
	// EnsureFolder creates a folder and its parents. It is no error if the folder exists already.
	EnsureFolder(ctx context.Context, folder string) error
	// Upload brings files to their paths, creating parent folders, and returns a result for each. The paths differ, also without
	// regard to case. Uploading a file whose content already stands at its path changes nothing, so that an upload can be
	// repeated after any doubt.
	Upload(ctx context.Context, files []*File) []Result
}

// Stager is a Provider that takes the bytes of files before it is decided that the files shall stand.
type Stager interface {
	Provider
	// Stage brings the bytes of files to the service, where nobody sees them until Upload, and returns an error or nil for each.
	// It goes on from where an earlier call for the same file was interrupted.
	Stage(ctx context.Context, files []*File) []error
}

// Limits of one call of Provider.Upload.
type Limits struct {
	// Files at most.
	Files int
	// Bytes at most of files that are not staged. 0 is no limit. A Stager's larger files are staged first.
	Bytes int64
}

// Account is who is behind a Provider.
type Account struct {
	ID, Email, DisplayName string
	// SpaceUsed and SpaceAllocated in bytes; both are 0 when the service does not tell.
	SpaceUsed, SpaceAllocated int64
}

// File is a file to upload. The engine that uploads it keeps one File until the file is uploaded or has failed.
type File struct {
	// ID of the file in its render.
	file.ID
	// Path from the account's root, with a leading slash.
	Path string
	// Size in bytes.
	Size int64
	// ContentHash as Dropbox defines it, in hexadecimal.
	ContentHash string
	// ContentType such as image/png, for services that keep it.
	ContentType string
	// ConflictPolicy says what happens when another file stands at Path.
	ConflictPolicy ConflictPolicy
	// Doubtful is true when an earlier upload of this file may have succeeded unseen: the provider looks before it writes.
	Doubtful bool
	// Open returns length bytes of the file from offset. It may be called again for a retry, and by several at a time.
	Open func(ctx context.Context, offset, length int64) (io.ReadCloser, error)
	// Session is what a Stager remembers of the file; nobody else looks at it.
	Session any
}

// ConflictPolicy says what happens when another file stands at a path.
type ConflictPolicy string

// The conflict policies.
const (
	// Overwrite replaces the file.
	Overwrite ConflictPolicy = "Overwrite"
	// Rename takes a free name: "name (1).ext" and so on.
	Rename ConflictPolicy = "Rename"
	// Keep leaves the file.
	Keep ConflictPolicy = "Keep"
)

// Result is what became of one file.
type Result struct {
	// ID of the File. The upload engine sets it, providers need not.
	file.ID
	// Path at which the file is.
	Path string
	// ContentHash that the provider computed; empty if it computes none.
	ContentHash string
	// Kept is true if the policy is Keep and another file was at the path already.
	Kept bool
	// Err is why the file is not uploaded, nil if it is.
	Err error
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
	Class  Class
	Reason Reason
	// Message says in the user's words what happened, such as "Token expired". It holds no secret.
	Message string
	// RetryAfter is how long the account wants to be left alone; 0 when the service did not say.
	RetryAfter time.Duration
	// Doubt is true when the call may have had its effect all the same.
	Doubt bool
	// Account is true when everything else that the account is asked for would fail in the same way.
	Account bool
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

// Explain says what happened and what to do, to a person who uses the given provider, as in spec.provider.
func (e *Error) Explain(provider string) string {
	if do := e.Reason.Advice(provider).Do; do != "" {
		return e.Message + ". " + do
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// RetryPolicy paces retries: the first after about Base, each further one after about twice as long, at most Cap.
type RetryPolicy struct{ Base, Cap time.Duration }

// DefaultRetryPolicy waits from 200 ms to 30 s.
var DefaultRetryPolicy = RetryPolicy{Base: 200 * time.Millisecond, Cap: 30 * time.Second}

// Delay is how long to wait after so many failed attempts, jittered by half of it.
func (p RetryPolicy) Delay(attempts int) time.Duration {
	delay := min(p.Base<<min(max(attempts-1, 0), 20), p.Cap)
	return wait.Jitter(delay, 0.5)
}

// AsError returns the *Error in err, or one that calls it unexpected.
func AsError(err error) *Error {
	if problem := (*Error)(nil); errors.As(err, &problem) {
		return problem
	}
	return &Error{Class: Retry, Reason: ReasonUnexpected, Message: "The upload was interrupted", Doubt: true, Err: err}
}

// Fail returns the results of so many files that failed for one reason.
func Fail(files int, err error) []Result {
	results := make([]Result, files)
	for i := range results {
		results[i].Err = err
	}
	return results
}

// Observer is told what a provider does, for metrics.
type Observer interface {
	// Called tells of one call: its route, and its result: ok, or the reason of its error.
	Called(provider, route, result string)
	// Sent tells of bytes of files that the service has taken.
	Sent(provider string, bytes int64)
	// Refreshed tells of one refresh of an access token and its result, as of a call.
	Refreshed(provider, result string)
}

// Nobody is an Observer that keeps nothing.
type Nobody struct{}

// Called implements Observer.
func (Nobody) Called(string, string, string) {}

// Sent implements Observer.
func (Nobody) Sent(string, int64) {}

// Refreshed implements Observer.
func (Nobody) Refreshed(string, string) {}

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

// Get returns the provider of a connection, built anew whenever fingerprint, a digest of all that it is built from, changes.
func (r *Registry) Get(key, fingerprint string, build func() (Provider, error)) (Provider, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.providers[key]; ok && known.fingerprint == fingerprint {
		return known.provider, nil
	}
	provider, err := build()
	if err != nil {
		return nil, err
	}
	r.providers[key] = registered{fingerprint, provider}
	return provider, nil
}

// Forget drops a connection's provider.
func (r *Registry) Forget(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.providers, key)
}
