// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package blobstore is the storage provider for buckets: S3 and what speaks its API, Google Cloud Storage and Azure Blob Storage. A
// path is a key without its leading slash; folders need not exist.
package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
	"golang.org/x/sync/errgroup"

	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/storage"
)

const (
	// maxFiles of one call of Upload, so many of which go up at a time.
	maxFiles = 8
	// maxRenames is how many names are tried for a file.
	maxRenames = 100
	// hashKey is the metadata that holds a file's content hash, by which it is known again. Azure wants an identifier.
	hashKey = "contenthash"
)

// Bucket is a bucket with one prefix.
type Bucket struct {
	// provider is the name of the service, as in spec.provider.
	provider string
	// name of the bucket, and key of the storage.Provider.
	name, key string
	bucket    *blob.Bucket
	observer  storage.Observer
}

// New returns the provider of an open bucket. key names the bucket and whatever tells it from others of that name.
func New(provider, name, key string, bucket *blob.Bucket, observer storage.Observer) *Bucket {
	return &Bucket{provider, name, provider + ":" + key, bucket, observer}
}

// Key implements storage.Provider.
func (b *Bucket) Key() string { return b.key }

// Limits implements storage.Provider.
func (*Bucket) Limits() storage.Limits { return storage.Limits{Files: maxFiles} }

// Verify implements storage.Provider: the account is the bucket.
func (b *Bucket) Verify(ctx context.Context) (storage.Account, error) {
	ok, err := b.bucket.IsAccessible(ctx)
	switch err = b.called("list", err); {
	case err != nil:
		return storage.Account{}, err
	case !ok:
		return storage.Account{}, b.noBucket(nil)
	default:
		return storage.Account{ID: b.name, DisplayName: b.name}, nil
	}
}

// EnsureFolder implements storage.Provider: a bucket has no folders that would have to be made.
func (*Bucket) EnsureFolder(context.Context, string) error { return nil }

// Upload implements storage.Provider. A file costs one call, and one or more to look where a file may stand already that counts.
func (b *Bucket) Upload(ctx context.Context, files []*storage.File) []storage.Result {
	results := make([]storage.Result, len(files))
	var group errgroup.Group
	for i, f := range files {
		group.Go(func() error {
			results[i] = b.upload(ctx, f)
			return nil
		})
	}
	_ = group.Wait() // the errors are in results
	return results
}

func (b *Bucket) upload(ctx context.Context, f *storage.File) storage.Result {
	at := func(path string, err error) storage.Result {
		return storage.Result{Path: path, ContentHash: f.ContentHash, Err: err}
	}
	if f.ConflictPolicy == storage.Overwrite {
		if f.Doubtful {
			if found, err := b.look(ctx, f, f.Path); err != nil || found == same {
				return at(f.Path, err)
			}
		}
		return at(f.Path, b.write(ctx, f, f.Path, false))
	}
	for n := range maxRenames {
		name := storage.Renamed(f.Path, n)
		found, err := b.look(ctx, f, name)
		if err == nil && found == nothing {
			err = b.write(ctx, f, name, true)
			if errors.Is(err, errTaken) {
				found, err = b.look(ctx, f, name)
			} else {
				found = same
			}
		}
		switch {
		case err != nil:
			return storage.Result{Err: err}
		case found == same:
			return at(name, nil)
		case f.ConflictPolicy == storage.Keep:
			return storage.Result{Path: f.Path, Kept: true}
		}
	}
	return storage.Result{Err: &storage.Error{
		Class: storage.Stop, Reason: storage.ReasonConflict, Message: fmt.Sprintf("%d files have the name already: %s", maxRenames, f.Path),
	}}
}

// occupant is what stands at a path.
type occupant int

const (
	nothing occupant = iota
	same
	another
)

func (b *Bucket) look(ctx context.Context, f *storage.File, path string) (occupant, error) {
	attributes, err := b.bucket.Attributes(ctx, objectKey(path))
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nothing, b.called("head", nil)
	}
	if err := b.called("head", err); err != nil {
		return nothing, err
	}
	if attributes.Size == f.Size && attributes.Metadata[hashKey] == f.ContentHash {
		return same, nil
	}
	return another, nil
}

func objectKey(path string) string { return strings.TrimPrefix(path, "/") }

// errTaken means that an object came to stand at a path meanwhile.
var errTaken = errors.New("another object stands there")

// write puts a file to a path, whole or not at all. free says that it must be the first there: errTaken when it is not.
func (b *Bucket) write(ctx context.Context, f *storage.File, path string, free bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := f.Open(ctx, 0, f.Size)
	if err != nil {
		return storage.Unreadable(err)
	}
	defer func() { _ = r.Close() }()
	w, err := b.bucket.NewWriter(ctx, objectKey(path), &blob.WriterOptions{
		ContentType: f.ContentType, DisableContentTypeDetection: true,
		Metadata: map[string]string{hashKey: f.ContentHash}, IfNotExist: free,
	})
	if err != nil {
		return b.called("put", err)
	}
	hash := content.NewBlockHash()
	source := storage.NewSource(io.TeeReader(r, hash), f.Size)
	n, err := io.Copy(w, source)
	switch trouble := source.Trouble(); {
	case trouble != nil:
		err = trouble
	case err != nil:
		err = b.called("put", err)
	case n != f.Size || content.HashOfBlocks(hash.Blocks()) != f.ContentHash:
		err = &storage.Error{Class: storage.Stop, Reason: storage.ReasonContentChanged, Message: "The rendered file was changed in the content store: " + f.Path}
	default:
		err = w.Close()
		if free && gcerrors.Code(err) == gcerrors.FailedPrecondition {
			return errors.Join(errTaken, b.called("put", nil))
		}
		if err = b.called("put", err); err == nil {
			b.observer.Sent(b.provider, n)
		}
		return err
	}
	// A writer whose context has ended discards what it was given.
	cancel()
	_ = w.Close()
	return err
}

// called tells the observer of a call and returns its error as a *storage.Error.
func (b *Bucket) called(route string, err error) error {
	outcome := "ok"
	if err != nil {
		err = b.explain(err)
		outcome = string(storage.AsError(err).Reason)
	}
	b.observer.Called(b.provider, route, outcome)
	return err
}

func (b *Bucket) noBucket(err error) error {
	return &storage.Error{
		Class: storage.Stop, Reason: storage.ReasonBucketNotFound, Message: fmt.Sprintf("Bucket '%s' does not exist", b.name), Account: true, Err: err,
	}
}

// statusOf is the HTTP status of an error of any of the services' libraries; 0 when there was no answer.
func statusOf(err error) int {
	var smithy interface{ HTTPStatusCode() int }
	if errors.As(err, &smithy) {
		return smithy.HTTPStatusCode()
	}
	return statusOfOthers(err)
}

// explain turns an error of a service into a *storage.Error. The services' own words stay out of the message: they may repeat what
// was sent.
func (b *Bucket) explain(err error) error {
	problem := &storage.Error{Class: storage.Stop, Account: true, Err: fmt.Errorf("%s: HTTP %d %s", b.provider, statusOf(err), codeOf(err))}
	switch status, code := statusOf(err), gcerrors.Code(err); {
	case status == http.StatusUnauthorized, credentialCodes[codeOf(err)]:
		problem.Reason, problem.Message = storage.ReasonInvalidCredentials, fmt.Sprintf("The credentials are not accepted by bucket '%s'", b.name)
	case status == http.StatusForbidden, code == gcerrors.PermissionDenied:
		problem.Reason, problem.Message = storage.ReasonAccessDenied, fmt.Sprintf("The credentials do not allow this in bucket '%s'", b.name)
	case status == http.StatusNotFound, code == gcerrors.NotFound:
		return b.noBucket(problem.Err)
	case status == http.StatusInsufficientStorage:
		problem.Reason, problem.Message, problem.Account = storage.ReasonInsufficientSpace, fmt.Sprintf("Bucket '%s' is full", b.name), false
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable, code == gcerrors.ResourceExhausted:
		problem.Class, problem.Reason, problem.Message = storage.Retry, storage.ReasonRateLimited, fmt.Sprintf("Bucket '%s' asks for fewer requests", b.name)
	case status >= http.StatusInternalServerError:
		problem.Class, problem.Reason, problem.Doubt = storage.Retry, storage.ReasonUnavailable, true
		problem.Message = fmt.Sprintf("Bucket '%s' is unavailable (HTTP %d)", b.name, status)
	case status >= http.StatusBadRequest:
		problem.Reason, problem.Account = storage.ReasonRefused, false
		problem.Message = fmt.Sprintf("Bucket '%s' refused the request (HTTP %d %s)", b.name, status, codeOf(err))
	default:
		problem.Class, problem.Reason, problem.Doubt = storage.Retry, storage.ReasonUnreachable, true
		problem.Message = fmt.Sprintf("Bucket '%s' could not be reached", b.name)
	}
	return problem
}

// credentialCodes are the services' codes for credentials that they do not know.
var credentialCodes = map[string]bool{
	"InvalidAccessKeyId": true, "SignatureDoesNotMatch": true, "InvalidToken": true, "ExpiredToken": true, "AuthenticationFailed": true,
}
