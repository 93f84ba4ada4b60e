// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"gocloud.dev/blob"

	"github.com/platen-dev/platen/internal/file"
)

const (
	// redirectTTL is how long a bucket's own URL of a file is valid, and redirectAge how long clients may remember the redirection to it.
	redirectTTL, redirectAge = 15 * time.Minute, 10 * time.Minute
	// redirectTimeout bounds what precedes a redirection.
	redirectTimeout = 10 * time.Second
)

// bucketURL returns the bucket's own URL of an object, which is valid for redirectTTL. Browsers save the object as disposition says, a value of
// the header Content-Disposition, if the bucket's service can be told so.
func (s *Store) bucketURL(ctx context.Context, key, disposition string) (string, error) {
	options := &blob.SignedURLOptions{Method: http.MethodGet, Expiry: redirectTTL}
	if s.usage.options.Dispose != nil {
		options.BeforeSign = func(as func(any) bool) error {
			s.usage.options.Dispose(as, disposition)
			return nil
		}
	}
	signed, err := s.bucket.SignedURL(ctx, key, options)
	if err != nil {
		return "", fmt.Errorf("signing a URL of %s: %w", key, err)
	}
	return signed, nil
}

// redirect answers a GET with the bucket's own URL of a file. The error is ErrNotFound if it does not exist, and ErrChanged if it has another
// size.
func (s *Store) redirect(w http.ResponseWriter, r *http.Request, wanted signed) error {
	ctx, cancel := context.WithTimeout(r.Context(), redirectTimeout)
	defer cancel()
	attributes, err := s.bucket.Attributes(ctx, wanted.key)
	if err != nil {
		return readError(wanted.key, err)
	}
	if err := checkSize(wanted.key, attributes.Size, wanted.size); err != nil {
		return err
	}
	target, err := s.bucketURL(ctx, wanted.key, file.Disposition(wanted.name))
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", fmt.Sprintf("private, max-age=%d", int(redirectAge.Seconds())))
	// The URL in the answer is a secret of the caller's, like the one in the request.
	w.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, target, http.StatusFound)
	return nil
}
