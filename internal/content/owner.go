// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

// ownerKey is the key of the object that has the owner's name.
const ownerKey = "owner"

// maxOwner bounds the name of an owner, in bytes.
const maxOwner = 253

// OwnerError means that a store has another owner.
type OwnerError struct {
	// Owner is the store's, and Wanted the one that it should have.
	Owner, Wanted string
}

// Error implements error.
func (e *OwnerError) Error() string {
	return fmt.Sprintf("the content store belongs to the installation %s, and this one is %s: each would delete the files of the other", e.Owner, e.Wanted)
}

// Claim makes an owner that of a store that has none, or whose owner is previous. The error is an *OwnerError if the store has another one.
// Whoever deletes files by what it knows itself must own the store: it takes those of others for lost.
func (s *Store) Claim(ctx context.Context, owner, previous string) error {
	if owner == "" || len(owner) > maxOwner {
		return fmt.Errorf("the owner of a content store must have 1 to %d bytes", maxOwner)
	}
	for first := true; ; first = false {
		found, err := s.owner(ctx)
		switch {
		case err == nil && found == owner:
			return nil
		case err == nil && found == previous:
			return s.putOwner(ctx, owner, blob.WriterOptions{})
		case err == nil:
			return &OwnerError{Owner: found, Wanted: owner}
		case !errors.Is(err, ErrNotFound):
			return err
		}
		err = s.putOwner(ctx, owner, blob.WriterOptions{IfNotExist: true})
		if gcerrors.Code(err) != gcerrors.FailedPrecondition || !first { // else another one was faster
			return err
		}
	}
}

func (s *Store) putOwner(ctx context.Context, owner string, options blob.WriterOptions) error {
	options.ContentType = "text/plain; charset=utf-8"
	return s.put(ctx, ownerKey, strings.NewReader(owner), maxOwner, options)
}

// owner returns the owner. The error is ErrNotFound if there is none.
func (s *Store) owner(ctx context.Context) (string, error) {
	r, err := s.NewReader(ctx, ownerKey)
	if err != nil {
		return "", err
	}
	defer func() { _ = r.Close() }()
	data, err := io.ReadAll(io.LimitReader(r, maxOwner+1))
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", ownerKey, err)
	}
	return string(data), nil
}
