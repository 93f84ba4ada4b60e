// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package storage is the contract between Platen and the services that keep uploaded files. Each service is a package below this one.
// An Error says what to do about it, so that callers need not know the service.
package storage

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/text/unicode/norm"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/platen-dev/platen/internal/file"
)

// Provider is one account of a storage service. It is safe for concurrent use. Every error is an *Error.
type Provider interface {
	// Key identifies the account and the root of its paths. Providers with the same key write to the same tree of files, so the
	// upload engine makes one call of Upload at a time for all of them.
	Key() string
	// Limits returns how much one call of Upload takes.
	Limits() Limits
	// Verify returns whose account it is and how full it is.
	Verify(ctx context.Context) (Account, error)
	// EnsureFolder creates a folder and its parents. An existing folder is no error.
	EnsureFolder(ctx context.Context, folder string) error
	// Upload writes files to their paths, creates parent folders, and returns a result for each file. No two paths may have
	// the same PathKey. If a file's content is already at its path, Upload changes nothing, so that an upload can be repeated
	// after any doubt.
	Upload(ctx context.Context, files []*File) []Result
}

// Stager is a Provider that can take the bytes of files before the files appear at their paths.
type Stager interface {
	Provider
	// Stage sends the bytes of files to the service, where nobody sees them until Upload, and returns an error or nil for each file. It
	// resumes what an earlier call for the same file has begun.
	Stage(ctx context.Context, files []*File) []error
}

// Limits of one call of Provider.Upload.
type Limits struct {
	// Files is the greatest number of files.
	Files int
	// Bytes is the greatest total size, in bytes, of the files that are not staged; 0 is no limit. A larger file is staged first, if
	// the provider is a Stager.
	Bytes int64
}

// Account is the account of a Provider.
type Account struct {
	ID, Email, DisplayName string
	// SpaceUsed and SpaceAllocated in bytes; both are 0 if the service does not say.
	SpaceUsed, SpaceAllocated int64
}

// File is a file to upload. The upload engine passes the same File to each attempt.
type File struct {
	// File is the rendered file, with its size and hashes.
	file.File
	// Path from the account's root, with a leading slash.
	Path string
	// ConflictPolicy says what happens if another file is at Path.
	ConflictPolicy ConflictPolicy
	// Doubtful is true if an earlier upload of this file may have succeeded unseen: the provider looks before it writes.
	Doubtful bool
	// Open returns length bytes of the file from offset. It may be called several times, also concurrently. The error is ErrContentLost if
	// the file is gone for good, and ErrContentChanged if it has another size than it was rendered with.
	Open func(ctx context.Context, offset, length int64) (io.ReadCloser, error)
	// Superseded reports whether a newer upload replaces this one. A provider that uploads files with several requests begins none that
	// brings such a file to its path, and returns ErrSuperseded. Nil is never.
	Superseded func() bool
	// Session is the Stager's state of the file. A Stager that has lost the staged bytes sets it to nil.
	Session any
}

// ErrSuperseded is the error of a file that is not wanted any more.
var ErrSuperseded = &Error{Class: Stop, Reason: ReasonSuperseded, Message: "A newer upload of the job replaces this one"}

// ErrContentLost is the error of File.Open for a file that the content store does not have any more.
var ErrContentLost = &Error{Class: Stop, Reason: ReasonContentLost, Message: "The content store has lost the rendered file"}

// ErrContentChanged is the error of File.Open for a file that has another size in the content store than it was rendered with.
var ErrContentChanged = &Error{Class: Stop, Reason: ReasonContentChanged, Message: "The rendered file was changed in the content store"}

// IsSuperseded reports whether the file is not wanted any more.
func (f *File) IsSuperseded() bool { return f.Superseded != nil && f.Superseded() }

// ConflictPolicy says what happens if another file is at a path.
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

// Result is the outcome of the upload of one file.
type Result struct {
	// ID of the File. The upload engine sets it, providers need not.
	file.ID
	// Path of the file at the service.
	Path string
	// ContentHash that the provider computed; empty if it computes none.
	ContentHash string
	// Kept is true if the policy is Keep and another file was at the path already.
	Kept bool
	// Err is why the file is not uploaded, nil if it is.
	Err error
}

// Class says whether to try again after an Error.
type Class int

// The classes.
const (
	// Stop means that no retry helps until a user acts.
	Stop Class = iota
	// Retry means that a later retry may help.
	Retry
)

// Error is a failure of a storage service.
type Error struct {
	Class  Class
	Reason Reason
	// Message says in the user's words what happened, such as "Token expired". It holds no secret.
	Message string
	// RetryAfter is how long the service asks to wait before the next call; 0 if it does not ask.
	RetryAfter time.Duration
	// Doubt is true if the call may have taken effect in spite of the error.
	Doubt bool
	// Account is true if all other calls for the account would fail in the same way.
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

// RetryPolicy paces retries: the first waits for Base, each further one twice as long as the one before, at most Cap. Up to half of
// the time is added at random.
type RetryPolicy struct{ Base, Cap time.Duration }

// DefaultRetryPolicy waits from 200 ms to 30 s.
var DefaultRetryPolicy = RetryPolicy{Base: 200 * time.Millisecond, Cap: 30 * time.Second}

// Delay returns how long to wait after a number of failed attempts.
func (p RetryPolicy) Delay(attempts int) time.Duration {
	delay := min(p.Base<<min(max(attempts-1, 0), 20), p.Cap)
	return wait.Jitter(delay, 0.5)
}

// AsError returns the *Error in err, or one with ReasonUnexpected if err has none.
func AsError(err error) *Error {
	if problem := (*Error)(nil); errors.As(err, &problem) {
		return problem
	}
	return &Error{Class: Retry, Reason: ReasonUnexpected, Message: "The upload was interrupted", Doubt: true, Err: err}
}

// Observer receives the metrics of providers.
type Observer interface {
	// Called reports a call's route, its result (ok, or the reason of the error), and how long it took.
	Called(provider, route, result string, took time.Duration)
	// Sent reports how many bytes of files the service has accepted.
	Sent(provider string, bytes int64)
	// Refreshed reports a refresh of an access token and its result, as for Called.
	Refreshed(provider, result string)
}

// NopObserver is an Observer that does nothing.
type NopObserver struct{}

// Called implements Observer.
func (NopObserver) Called(string, string, string, time.Duration) {}

// Sent implements Observer.
func (NopObserver) Sent(string, int64) {}

// Refreshed implements Observer.
func (NopObserver) Refreshed(string, string) {}

// Outcome returns the result of a call for an Observer: ok, or the reason of the error.
func Outcome(err error) string {
	if err == nil {
		return "ok"
	}
	return string(AsError(err).Reason)
}

// JoinPath returns the path of a file in a folder.
func JoinPath(folder, name string) string {
	if folder == "/" {
		return "/" + name
	}
	return folder + "/" + name
}

// PathKey returns what paths of one file have in common at a service that ignores case and Unicode's normal forms, as Dropbox does.
func PathKey(path string) string { return norm.NFC.String(strings.ToLower(norm.NFC.String(path))) }

// Registry keeps one Provider for each connection, so that all uploads share its access token.
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

// Get returns the provider of a connection. fingerprint is a digest of what the provider is built from; Get builds a new one if it has
// changed.
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
