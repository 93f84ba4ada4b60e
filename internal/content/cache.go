// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/platen-dev/platen/internal/file"
)

// cachePrefix of the keys of cached renders:
//
//	cache/<namespace>/<task>/<file's SHA-256>.<format>
//	cache/<namespace>/<task>/manifest.json
//
// A file is named by its bytes, so that two renders of one task never mix theirs.
const cachePrefix = "cache/"

var cachedPattern = regexp.MustCompile(`^cache/([0-9a-z.-]{1,253})/([0-9a-f]{64})/[0-9a-z.]{1,80}$`)

// CacheKey names what one task renders in one namespace.
type CacheKey struct {
	Namespace string
	// Task is a SHA-256 in hexadecimal of all that decides what the files look like.
	Task string
}

func (k CacheKey) prefix() string { return cachePrefix + k.Namespace + "/" + k.Task + "/" }

func (k CacheKey) manifestKey() string { return k.prefix() + manifestName }

func (k CacheKey) fileKey(f file.File) string {
	return fmt.Sprintf("%s%s.%s", k.prefix(), f.SHA256, f.Format)
}

// PutCached copies a committed render to the cache. The bytes of the cache do not count against the namespace's quota. The first render of
// a task stays.
func (s *Store) PutCached(ctx context.Context, key CacheKey, from Ref, m Manifest) error {
	for _, f := range m.Files {
		if err := s.copy(ctx, key.fileKey(f), from.Key(m.Attempt, f)); err != nil {
			return err
		}
	}
	m.Version = manifestVersion
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encoding a manifest: %w", err)
	}
	err = s.put(ctx, key.manifestKey(), bytes.NewReader(data), maxManifest, blob.WriterOptions{ContentType: "application/json", IfNotExist: true})
	if gcerrors.Code(err) == gcerrors.FailedPrecondition {
		return nil
	}
	return err
}

// Cached returns the manifest of a cached render. The error is ErrNotFound if there is none.
func (s *Store) Cached(ctx context.Context, key CacheKey) (Manifest, error) {
	return s.readManifest(ctx, key.manifestKey())
}

// TakeCached copies a file of a cached render to one attempt at another. The error is ErrNotFound if the cache has dropped it, ErrChanged if
// the cache has it with another size, ErrQuota or ErrFull if there is no room.
func (s *Store) TakeCached(ctx context.Context, key CacheKey, f file.File, to Ref, attempt int) error {
	counted := s.usage.count(to.Namespace, nil)
	err := counted.reserve(f.Size)
	if err == nil {
		err = s.takeCached(ctx, key.fileKey(f), f.Size, to.Key(attempt, f))
	}
	s.usage.ended(counted, err)
	return err
}

func (s *Store) takeCached(ctx context.Context, from string, size int64, to string) error {
	attributes, err := s.bucket.Attributes(ctx, from)
	if err != nil {
		return readError(from, err)
	}
	if err := checkSize(from, attributes.Size, size); err != nil {
		return err
	}
	return s.copy(ctx, to, from)
}

// CachedObject is an object of a cached render.
type CachedObject struct {
	Key     CacheKey
	Size    int64
	ModTime time.Time
}

// WalkCached calls visit for every object of cached renders, those of one render one after the other.
func (s *Store) WalkCached(ctx context.Context, visit func(CachedObject)) error {
	return s.each(ctx, cachePrefix, func(key string, size int64, modTime time.Time) error {
		if m := cachedPattern.FindStringSubmatch(key); m != nil {
			visit(CachedObject{CacheKey{m[1], m[2]}, size, modTime})
		}
		return nil
	})
}

// RemoveCached deletes a cached render, its manifest first.
func (s *Store) RemoveCached(ctx context.Context, key CacheKey) error {
	if err := s.remove(ctx, key.manifestKey()); err != nil {
		return err
	}
	return s.each(ctx, key.prefix(), func(key string, _ int64, _ time.Time) error { return s.remove(ctx, key) })
}

// copy copies an object within the bucket.
func (s *Store) copy(ctx context.Context, to, from string) error {
	if s.folder != "" && s.link(to, from) == nil {
		return nil
	}
	err := s.bucket.Copy(ctx, to, from, nil)
	switch {
	case err == nil:
		return nil
	case isMissing(err):
		return fmt.Errorf("%s: %w", from, ErrNotFound)
	default:
		return writeError(to, err)
	}
}

// link gives a file of the folder another name: no file of the store is ever changed. It fails where a file system has no links.
func (s *Store) link(to, from string) error {
	target := filepath.Join(s.folder, to)
	if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
		return err
	}
	if err := os.Link(filepath.Join(s.folder, from), target); err != nil {
		return err
	}
	now := time.Now() // for the sweeper, which leaves young files alone
	return os.Chtimes(target, now, now)
}
