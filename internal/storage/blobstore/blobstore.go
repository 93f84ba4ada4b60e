// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package blobstore is the storage provider for buckets: S3 and services with its API, Google Cloud Storage and Azure Blob Storage. A
// path without its leading slash is the object's key; there are no folders.
package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
	"golang.org/x/sync/errgroup"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/reach"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/gcs"
)

const (
	// maxFiles is the greatest number of files in one call of Upload, which sends them in parallel.
	maxFiles = 8
	// maxRenames is how many paths Upload tries for a file with the policy Rename.
	maxRenames = 100
	// defaultPatience is how long a call may make no progress: the service takes no byte and does not answer.
	defaultPatience = time.Minute
	// hashKey is the metadata key of a file's content hash, which tells whether an object is the file. Azure allows identifiers only.
	hashKey = "contenthash"
)

// Bucket is a storage.Provider that writes to one bucket.
type Bucket struct {
	// provider is the name of the service, as in spec.provider.
	provider string
	// name of the bucket, and key of the storage.Provider.
	name, key string
	bucket    *blob.Bucket
	observer  storage.Observer
	// patience is how long a call may make no progress.
	patience time.Duration
}

// New returns the provider of an open bucket. key identifies the bucket among all buckets of the service, also if another endpoint has a
// bucket of the same name.
func New(provider, name, key string, bucket *blob.Bucket, observer storage.Observer) *Bucket {
	return &Bucket{provider, name, provider + ":" + key, bucket, observer, defaultPatience}
}

// Key implements storage.Provider.
func (b *Bucket) Key() string { return b.key }

// Limits implements storage.Provider.
func (*Bucket) Limits() storage.Limits { return storage.Limits{Files: maxFiles} }

// Verify implements storage.Provider: the account is the bucket.
func (b *Bucket) Verify(ctx context.Context) (storage.Account, error) {
	ctx, _, cancel := storage.Watch(ctx, b.patience)
	defer cancel()
	begun := time.Now()
	err := readable(func() error { // IsAccessible would hide why the bucket is not there
		_, _, err := b.bucket.ListPage(ctx, blob.FirstPageToken, 1, nil)
		return err
	})
	if err := b.called("list", begun, err); err != nil {
		return storage.Account{}, err
	}
	return storage.Account{ID: b.name, DisplayName: b.name}, nil
}

// EnsureFolder implements storage.Provider. It does nothing, because a bucket has no folders.
func (*Bucket) EnsureFolder(context.Context, string) error { return nil }

// Upload implements storage.Provider. A file costs one call, and one more for each path at which Upload has to look first.
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
	resultAt := func(path string, err error) storage.Result {
		return storage.Result{Path: path, ContentHash: f.ContentHash, Err: err}
	}
	if f.ConflictPolicy == storage.Overwrite {
		if f.Doubtful {
			if found, err := b.objectAt(ctx, f, f.Path); err != nil || found == same {
				return resultAt(f.Path, err)
			}
		}
		return resultAt(f.Path, b.write(ctx, f, f.Path, false))
	}
	for n := range maxRenames {
		name := storage.RenamedPath(f.Path, n)
		found, err := b.objectAt(ctx, f, name)
		if err == nil && found == none {
			err = b.write(ctx, f, name, true)
			if errors.Is(err, errExists) {
				found, err = b.objectAt(ctx, f, name)
			} else {
				found = same
			}
		}
		switch {
		case err != nil:
			return storage.Result{Err: err}
		case found == same:
			return resultAt(name, nil)
		case f.ConflictPolicy == storage.Keep:
			return storage.Result{Path: f.Path, Kept: true}
		}
	}
	return storage.Result{Err: &storage.Error{
		Class: storage.Stop, Reason: storage.ReasonConflict, Message: fmt.Sprintf("%d files have the name already: %s", maxRenames, f.Path),
	}}
}

// object is what is at a path.
type object int

const (
	none object = iota
	// same is an object with the file's content.
	same
	// another is any other object.
	another
)

// objectAt returns what is at a path, compared with a file.
func (b *Bucket) objectAt(ctx context.Context, f *storage.File, path string) (object, error) {
	ctx, _, cancel := storage.Watch(ctx, b.patience)
	defer cancel()
	begun := time.Now()
	var attributes *blob.Attributes
	err := readable(func() (err error) {
		attributes, err = b.bucket.Attributes(ctx, objectKey(path))
		return err
	})
	if b.isMissing(err) {
		return none, b.called("head", begun, nil)
	}
	if err := b.called("head", begun, err); err != nil {
		return none, err
	}
	if attributes.Size == f.Size && attributes.Metadata[hashKey] == f.ContentHash {
		return same, nil
	}
	return another, nil
}

// objectKey returns the key of a path.
func objectKey(path string) string { return strings.TrimPrefix(path, "/") }

// errExists means that there is an object at a path that was free before.
var errExists = errors.New("the object exists already")

// write writes a file to a path, whole or not at all. If isNew is true and there is an object already, it returns errExists.
func (b *Bucket) write(ctx context.Context, f *storage.File, path string, isNew bool) error {
	if f.IsSuperseded() {
		return storage.ErrSuperseded
	}
	ctx, _, cancel := storage.Watch(ctx, b.patience)
	defer cancel()
	r, err := f.Open(ctx, 0, f.Size)
	if err != nil {
		return storage.Unreadable(err)
	}
	defer func() { _ = r.Close() }()
	source := storage.NewSource(r, f.Size)
	whole := &wholeFile{Reader: source, ctx: ctx, hash: file.NewBlockHash(), file: f, cancel: cancel}
	begun := time.Now()
	err = readable(func() error {
		return b.bucket.Upload(ctx, objectKey(path), whole, &blob.WriterOptions{
			ContentType: f.Format.ContentType(), DisableContentTypeDetection: true,
			Metadata: map[string]string{hashKey: f.ContentHash}, IfNotExist: isNew,
		})
	})
	switch {
	case source.Err() != nil:
		return source.Err()
	case whole.err != nil:
		return whole.err
	case isNew && gcerrors.Code(err) == gcerrors.FailedPrecondition:
		return errors.Join(errExists, b.called("put", begun, nil))
	}
	if err = b.called("put", begun, err); err == nil {
		b.observer.Sent(b.provider, f.Size)
	}
	return err
}

// wholeFile reads a file and fails at its end if its bytes are not those that were rendered. A write whose context has ended then discards
// what was written.
type wholeFile struct {
	io.Reader
	ctx    context.Context //nolint:containedctx // it lives as long as the write
	hash   *file.BlockHash
	file   *storage.File
	cancel func()
	// err is why the file is not whole.
	err error
}

// Read implements io.Reader.
func (w *wholeFile) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	_, _ = w.hash.Write(p[:n]) // never fails
	if n > 0 {
		storage.Progress(w.ctx) // a slow content store is not a service that has gone silent
	}
	if errors.Is(err, io.EOF) && file.HashOfBlocks(w.hash.Blocks()) != w.file.ContentHash {
		w.err = &storage.Error{Class: storage.Stop, Reason: storage.ReasonContentChanged, Message: "The rendered file was changed in the content store: " + w.file.Path}
		err = w.err
	}
	if err != nil && !errors.Is(err, io.EOF) {
		w.cancel()
	}
	return n, err
}

// called reports a call that began at begun to the observer and returns its error as a *storage.Error.
func (b *Bucket) called(route string, begun time.Time, err error) error {
	if err != nil {
		err = b.decodeError(err)
	}
	b.observer.Called(b.provider, route, storage.Outcome(err), time.Since(begun))
	return err
}

// isMissing reports whether the service answers that there is no such bucket or object. Azure's library also says so of every error whose text has
// "no such host", which is a failure of DNS.
func (b *Bucket) isMissing(err error) bool {
	return statusOf(err) == http.StatusNotFound || b.provider != "azureblob" && gcerrors.Code(err) == gcerrors.NotFound
}

// statusOf returns the HTTP status of an error of any of the services' libraries, 0 if there was no answer.
func statusOf(err error) int {
	var smithy interface{ HTTPStatusCode() int }
	if errors.As(err, &smithy) {
		return smithy.HTTPStatusCode()
	}
	return statusOfOthers(err)
}

// decodeError returns the *storage.Error of an error of a service. It omits the service's own text, because that may repeat what was
// sent.
func (b *Bucket) decodeError(err error) error {
	// The transport knows why it did not send the request.
	if known := (*storage.Error)(nil); errors.As(err, &known) {
		return known
	}
	problem := &storage.Error{Class: storage.Stop, Account: true, Err: fmt.Errorf("%s: HTTP %d %s", b.provider, statusOf(err), codeOf(err))}
	switch status, code := statusOf(err), gcerrors.Code(err); {
	case isForeign(err):
		problem.Class, problem.Reason, problem.Doubt = storage.Retry, storage.ReasonUnexpectedAnswer, true
		problem.Message = fmt.Sprintf("Something between Platen and bucket '%s', such as a proxy, answered", b.name)
	case errors.Is(err, gcs.ErrLost):
		problem.Class, problem.Reason, problem.Doubt = storage.Retry, storage.ReasonUnavailable, true
		problem.Message = fmt.Sprintf("Bucket '%s' has lost an upload that had begun", b.name)
	case status == http.StatusUnauthorized, credentialCodes[codeOf(err)]:
		problem.Reason, problem.Message = storage.ReasonInvalidCredentials, fmt.Sprintf("The credentials are not accepted by bucket '%s'", b.name)
	case status == http.StatusForbidden, code == gcerrors.PermissionDenied:
		problem.Reason, problem.Message = storage.ReasonAccessDenied, fmt.Sprintf("The credentials do not allow this in bucket '%s'", b.name)
	case b.isMissing(err):
		problem.Reason, problem.Message = storage.ReasonBucketNotFound, fmt.Sprintf("Bucket '%s' does not exist", b.name)
	case status == http.StatusInsufficientStorage:
		problem.Reason, problem.Message, problem.Account = storage.ReasonInsufficientSpace, fmt.Sprintf("Bucket '%s' is full", b.name), false
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable, code == gcerrors.ResourceExhausted:
		problem.Class, problem.Reason, problem.Message = storage.Retry, storage.ReasonRateLimited, fmt.Sprintf("Bucket '%s' asks for fewer requests", b.name)
	case status >= http.StatusInternalServerError, status == http.StatusRequestTimeout, codeOf(err) == "RequestTimeout":
		problem.Class, problem.Reason, problem.Doubt = storage.Retry, storage.ReasonUnavailable, true
		problem.Message = fmt.Sprintf("Bucket '%s' is unavailable (HTTP %d)", b.name, status)
	case status >= http.StatusBadRequest:
		problem.Reason, problem.Account = storage.ReasonRefused, false
		problem.Message = fmt.Sprintf("Bucket '%s' refused the request (HTTP %d %s)", b.name, status, codeOf(err))
	default:
		problem.Class, problem.Reason, problem.Doubt = storage.Retry, storage.ReasonUnreachable, true
		problem.Message = fmt.Sprintf("Bucket '%s' could not be reached", b.name) + hostOf(err) + reach.Why(err)
	}
	return problem
}

// hostOf returns the host that was called, as a part of a message; empty if no call failed. A mistake in an endpoint, a region or an account is a host that is
// not there.
func hostOf(err error) string {
	if lost := (*lostError)(nil); errors.As(err, &lost) {
		return fmt.Sprintf(" at %.255s", lost.host)
	}
	return ""
}

// credentialCodes are the services' codes for credentials that they do not accept.
var credentialCodes = map[string]bool{
	"InvalidAccessKeyId": true, "SignatureDoesNotMatch": true, "InvalidToken": true, "ExpiredToken": true, "AuthenticationFailed": true,
}
