// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package content keeps rendered files in any bucket that gocloud.dev/blob opens by a URL.
package content

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strconv"

	"gocloud.dev/blob"
	// The buckets that need no service. A program that opens other buckets imports their drivers.
	_ "gocloud.dev/blob/fileblob"
	_ "gocloud.dev/blob/memblob"
	"gocloud.dev/gcerrors"

	"github.com/platen-dev/platen/internal/file"
)

var (
	// ErrNotFound means that the store has no such object.
	ErrNotFound = errors.New("not found in the content store")
	// ErrTooLarge means that an object would have more bytes than allowed.
	ErrTooLarge = errors.New("larger than allowed")
)

const (
	prefix = "jobs/"
	// maxManifest bounds a manifest, in bytes of JSON.
	maxManifest = 4 << 20
)

// Store is a bucket of rendered files.
type Store struct{ bucket *blob.Bucket }

// Open opens a bucket by its URL: file:///folder (created if missing), mem://, or the URL of a driver that the program imports.
func Open(ctx context.Context, bucketURL string) (*Store, error) {
	u, err := url.Parse(bucketURL)
	if err != nil {
		return nil, fmt.Errorf("content store URL: %w", err)
	}
	if u.Scheme == "file" {
		// Temporary files lie next to their targets: a rename does not work across file systems.
		q := u.Query()
		q.Set("create_dir", "true")
		q.Set("no_tmp_dir", "true")
		q.Set("metadata", "skip")
		u.RawQuery = q.Encode()
	}
	bucket, err := blob.OpenBucket(ctx, u.String())
	if err != nil {
		return nil, fmt.Errorf("opening the content store: %w", err)
	}
	return &Store{bucket: bucket}, nil
}

// Close releases the bucket.
func (s *Store) Close() error { return s.bucket.Close() }

// Ref names one render: one generation of one job.
type Ref struct {
	JobUID     string
	Generation int64
}

// Key returns the key of a file of the render: jobs/<uid>/<generation>/<page>.<format>, or <page>_<extraSize>.<format>.
func (r Ref) Key(f file.File) string {
	size := ""
	if f.ExtraSize != "" {
		size = "_" + f.ExtraSize
	}
	return fmt.Sprintf("%s%d%s.%s", r.dir(), f.Page, size, f.Format)
}

func (r Ref) dir() string { return fmt.Sprintf("%s%s/%d/", prefix, r.JobUID, r.Generation) }

func (r Ref) manifestKey() string { return r.dir() + "manifest.json" }

// Put stores the bytes of a file and returns the file with its size and hashes. The error is ErrTooLarge if r has more than maxBytes.
// If Put fails, an earlier file with the same identity stays as it was.
func (s *Store) Put(ctx context.Context, ref Ref, f file.File, r io.Reader, maxBytes int64) (file.File, error) {
	hashes := newHashes()
	if err := s.put(ctx, ref.Key(f), f.Format.ContentType(), io.TeeReader(r, hashes), maxBytes); err != nil {
		return file.File{}, err
	}
	return hashes.describe(f), nil
}

// Inspect reads a stored file and returns what Put returned for it.
func (s *Store) Inspect(ctx context.Context, ref Ref, f file.File) (file.File, error) {
	r, err := s.NewReader(ctx, ref.Key(f))
	if err != nil {
		return file.File{}, err
	}
	defer func() { _ = r.Close() }()
	hashes := newHashes()
	if _, err := io.Copy(hashes, r); err != nil {
		return file.File{}, fmt.Errorf("reading %s: %w", ref.Key(f), err)
	}
	return hashes.describe(f), nil
}

// put stores an object whole or not at all.
func (s *Store) put(ctx context.Context, key, contentType string, r io.Reader, maxBytes int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := s.bucket.NewWriter(ctx, key, &blob.WriterOptions{ContentType: contentType, DisableContentTypeDetection: true})
	if err != nil {
		return fmt.Errorf("storing %s: %w", key, err)
	}
	n, err := io.Copy(w, io.LimitReader(r, maxBytes+1))
	if err == nil && n > maxBytes {
		err = ErrTooLarge
	}
	if err != nil {
		// A writer whose context has ended discards its bytes.
		cancel()
		_ = w.Close()
		return fmt.Errorf("storing %s: %w", key, err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("storing %s: %w", key, err)
	}
	return nil
}

// NewRangeReader opens length bytes of an object from offset. The error is ErrNotFound if the object does not exist.
func (s *Store) NewRangeReader(ctx context.Context, key string, offset, length int64) (*blob.Reader, error) {
	r, err := s.bucket.NewRangeReader(ctx, key, offset, length, nil)
	return r, readError(key, err)
}

// NewReader opens an object. The error is ErrNotFound if it does not exist.
func (s *Store) NewReader(ctx context.Context, key string) (*blob.Reader, error) {
	r, err := s.bucket.NewReader(ctx, key, nil)
	return r, readError(key, err)
}

func readError(key string, err error) error {
	switch {
	case err == nil:
		return nil
	case gcerrors.Code(err) == gcerrors.NotFound:
		return fmt.Errorf("%s: %w", key, ErrNotFound)
	default:
		return fmt.Errorf("reading %s: %w", key, err)
	}
}

// manifestVersion is the version of the manifests that this program writes and reads.
const manifestVersion = 1

// Manifest is the commit of a render: it is written once, after all files.
type Manifest struct {
	// Version is set by PutManifest.
	Version int `json:"version"`
	// Files in the order in which they were rendered.
	Files    []file.File `json:"files"`
	Warnings []Warning   `json:"warnings,omitempty"`
	// RenderMilliseconds is the time from the receipt of the task to its last file.
	RenderMilliseconds int64  `json:"renderMilliseconds"`
	PodName            string `json:"podName"`
	// TotalPages is the number of the template's pages, and RenderedPages of those that this render has.
	TotalPages    int `json:"totalPages"`
	RenderedPages int `json:"renderedPages"`
}

// Warning is a problem that did not stop the render.
type Warning struct {
	Title   string `json:"title"`
	Details string `json:"details,omitempty"`
}

// PutManifest commits a render.
func (s *Store) PutManifest(ctx context.Context, ref Ref, m Manifest) error {
	m.Version = manifestVersion
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encoding a manifest: %w", err)
	}
	return s.put(ctx, ref.manifestKey(), "application/json", bytes.NewReader(data), maxManifest)
}

// Manifest returns the manifest of a render. The error is ErrNotFound if there is none, or if its version is not manifestVersion: the
// job then renders again.
func (s *Store) Manifest(ctx context.Context, ref Ref) (Manifest, error) {
	r, err := s.NewReader(ctx, ref.manifestKey())
	if err != nil {
		return Manifest{}, err
	}
	defer func() { _ = r.Close() }()
	data, err := io.ReadAll(io.LimitReader(r, maxManifest))
	if err != nil {
		return Manifest{}, fmt.Errorf("reading %s: %w", ref.manifestKey(), err)
	}
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil || m.Version != manifestVersion {
		return Manifest{}, fmt.Errorf("%s of another version: %w", ref.manifestKey(), ErrNotFound)
	}
	return m, nil
}

var keyPattern = regexp.MustCompile(`^jobs/([0-9A-Za-z-]{1,64})/([0-9]{1,18})/[0-9a-z._-]{1,64}$`)

// parseKey returns the render to which a key belongs. ok is false for any other key.
func parseKey(key string) (ref Ref, ok bool) {
	m := keyPattern.FindStringSubmatch(key)
	if m == nil {
		return Ref{}, false
	}
	generation, err := strconv.ParseInt(m[2], 10, 64)
	return Ref{JobUID: m[1], Generation: generation}, err == nil
}

// Sweep deletes all objects of the renders for which keep returns false, and returns their number.
func (s *Store) Sweep(ctx context.Context, keep func(Ref) bool) (removed int, err error) {
	objects := s.bucket.List(&blob.ListOptions{Prefix: prefix})
	for {
		object, err := objects.Next(ctx)
		if errors.Is(err, io.EOF) {
			return removed, nil
		}
		if err != nil {
			return removed, fmt.Errorf("listing the content store: %w", err)
		}
		ref, ok := parseKey(object.Key)
		if !ok || keep(ref) {
			continue
		}
		if err := s.bucket.Delete(ctx, object.Key); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
			return removed, fmt.Errorf("deleting %s: %w", object.Key, err)
		}
		removed++
	}
}
