// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package content keeps rendered files in any bucket that gocloud.dev/blob opens by a URL.
package content

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

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
	// ErrChanged means that an object has another size than the file that was stored.
	ErrChanged = errors.New("changed in the content store")
	// ErrTooLarge means that an object would have more bytes than allowed.
	ErrTooLarge = errors.New("larger than allowed")
	// ErrFull means that the store has no room left.
	ErrFull = errors.New("the content store is full")
	// ErrUnavailable means that the store has answered with errors for a while, such as a bucket that cannot be reached or a disk that takes no writes.
	ErrUnavailable = errors.New("the content store does not work")
	// ErrQuota means that the files of a namespace have as many bytes as Options.QuotaPerNamespace allows.
	ErrQuota = errors.New("the namespace has used up its quota of the content store")
)

// maxManifest bounds a manifest, in bytes of JSON.
const maxManifest = 4 << 20

// Options of a Store.
type Options struct {
	// QuotaPerNamespace bounds the bytes of one namespace's files. 0 is no bound.
	QuotaPerNamespace int64
	// Observer receives metrics. Optional.
	Observer Observer
	// Redirect makes the content server answer with the bucket's own URLs, so that the bytes of files do not pass it. Open fails if the bucket
	// cannot sign URLs.
	Redirect bool
	// Dispose sets the header Content-Disposition of what a bucket's URL returns, in what gocloud.dev/blob's SignedURLOptions.BeforeSign is given.
	// Optional: without it, files are saved under their keys.
	Dispose func(as func(any) bool, disposition string)
}

// Store is a bucket of rendered files.
type Store struct {
	bucket *blob.Bucket
	// folder of a file:// bucket, if the store may look into it itself.
	folder string
	usage  usage
	// writing and reading have the outages of writes and of reads: a disk may give files and take none.
	writing, reading outage
}

// Open opens a bucket by its URL: file:///folder (created if missing), mem://, or the URL of a driver that the program imports.
func Open(ctx context.Context, bucketURL string, options Options) (*Store, error) {
	u, err := url.Parse(bucketURL)
	if err != nil {
		return nil, fmt.Errorf("content store URL: %w", err)
	}
	folder := ""
	if u.Scheme == "file" {
		if u.Host == "" && u.Query().Get("prefix") == "" {
			folder = u.Path
		}
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
	s := newStore(bucket, options)
	s.folder = folder
	if options.Redirect {
		if _, err := s.bucketURL(ctx, prefix, "attachment"); err != nil {
			return nil, errors.Join(fmt.Errorf("the content store cannot redirect: %s:// signs no URLs with these credentials: %w", u.Scheme, err), s.Close())
		}
	}
	return s, nil
}

func newStore(bucket *blob.Bucket, options Options) *Store {
	return &Store{bucket: bucket, usage: newUsage(options)}
}

// Close releases the bucket.
func (s *Store) Close() error { return s.bucket.Close() }

// Put stores the bytes of a file that an attempt at the render has made, and returns the file with its size and hashes. The error is
// ErrTooLarge if r has more than maxBytes, ErrQuota or ErrFull if there is no room, ErrUnavailable if no write has succeeded for a while. If Put
// fails, an earlier file with the same key stays as it was.
func (s *Store) Put(ctx context.Context, ref Ref, attempt int, f file.File, r io.Reader, maxBytes int64) (file.File, error) {
	hashes := newHashes()
	counted := s.usage.count(ref.Namespace, r)
	err := s.put(ctx, ref.Key(attempt, f), io.TeeReader(counted, hashes), maxBytes, blob.WriterOptions{ContentType: f.Format.ContentType()})
	s.usage.ended(counted, err)
	if err != nil {
		return file.File{}, err
	}
	return hashes.describe(f), nil
}

// Inspect reads a stored file and returns what Put returned for it.
func (s *Store) Inspect(ctx context.Context, ref Ref, attempt int, f file.File) (file.File, error) {
	r, err := s.NewReader(ctx, ref.Key(attempt, f))
	if err != nil {
		return file.File{}, err
	}
	defer func() { _ = r.Close() }()
	hashes := newHashes()
	if _, err := io.Copy(hashes, r); err != nil {
		return file.File{}, fmt.Errorf("reading %s: %w", ref.Key(attempt, f), err)
	}
	return hashes.describe(f), nil
}

// copyBuffers has buffers for files on their way into the store.
var copyBuffers = sync.Pool{New: func() any { return new(make([]byte, 32<<10)) }}

// A bucket's client keeps partBytes of a file in memory, and of a larger file parallelParts such parts on their way and one more. S3 takes no
// smaller parts.
const partBytes, parallelParts = 5 << 20, 2

// maxPruned is how often a write begins again because its folder was removed while it was empty.
const maxPruned = 100

// put stores an object whole or not at all.
func (s *Store) put(ctx context.Context, key string, r io.Reader, maxBytes int64, options blob.WriterOptions) error {
	caller := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	options.DisableContentTypeDetection = true
	options.BufferSize, options.MaxConcurrency = partBytes, parallelParts
	from := &source{r: r, left: maxBytes, cancel: cancel}
	// Not with a Writer: that of gocloud.dev/blob/azureblob v0.47 panics in Close if the service refuses the object.
	err := s.bucket.Upload(ctx, key, from, &options)
	// prune has removed the new folder, or removed it while os.MkdirAll looked for what made its Mkdir fail.
	for tries := 0; (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist)) && !from.begun && tries < maxPruned; tries++ {
		err = s.bucket.Upload(ctx, key, from, &options)
	}
	switch {
	case from.err != nil:
		return writeError(key, from.err)
	case gcerrors.Code(err) == gcerrors.FailedPrecondition:
		s.writing.ended(caller, nil) // it has looked whether the object exists
	case !isFull(err):
		s.writing.ended(caller, err)
	}
	switch {
	case err == nil:
		return nil
	case !isFull(err) && s.writing.lasts():
		return fmt.Errorf("storing %s: %w: %w", key, ErrUnavailable, err)
	default:
		return writeError(key, err)
	}
}

// source is what becomes an object. If it does not end as it must, it cancels the upload, which then leaves nothing.
type source struct {
	r io.Reader
	// left is how many bytes it may still have.
	left   int64
	cancel context.CancelFunc
	begun  bool
	// err is why it did not end.
	err error
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	s.begun = true
	n, err := s.r.Read(p)
	if s.left -= int64(n); s.left < 0 {
		err = ErrTooLarge
	}
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
		s.cancel()
	}
	return n, err
}

// WriteTo implements io.WriterTo, for buckets that take a file in any pieces.
func (s *source) WriteTo(w io.Writer) (int64, error) {
	buffer := copyBuffers.Get().(*[]byte) //nolint:errcheck,forcetypeassert // it has no others
	defer copyBuffers.Put(buffer)
	// Without the methods that io.CopyBuffer prefers, which take a new buffer for each file.
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{s}, *buffer)
	if err != nil {
		s.cancel() // a bucket that could not write all, as on a full disk, would store what it has
	}
	return n, err
}

// writeError says which object could not be stored, and with ErrFull that there is no room.
func writeError(key string, err error) error {
	if isFull(err) {
		return fmt.Errorf("storing %s: %w: %w", key, ErrFull, err)
	}
	return fmt.Errorf("storing %s: %w", key, err)
}

// NewRangeReader opens length bytes from offset of a file that was stored with size bytes. The error is ErrNotFound if it does not exist, and
// ErrChanged if it has another size.
func (s *Store) NewRangeReader(ctx context.Context, key string, size, offset, length int64) (*blob.Reader, error) {
	r, err := s.bucket.NewRangeReader(ctx, key, offset, length, nil)
	if err != nil {
		// A bucket may refuse a range that begins behind the end.
		if attributes, aside := s.bucket.Attributes(ctx, key); aside == nil {
			return nil, cmp.Or(checkSize(key, attributes.Size, size), readError(key, err))
		}
		return nil, readError(key, err)
	}
	return checked(r, key, size)
}

// open opens a file that was stored with size bytes, 0 for any number. The errors are those of NewRangeReader.
func (s *Store) open(ctx context.Context, key string, size int64) (*blob.Reader, error) {
	r, err := s.NewReader(ctx, key)
	if err != nil {
		return nil, err
	}
	return checked(r, key, size)
}

// checked returns the reader of a file that was stored with size bytes, 0 for any number. The error is ErrChanged if it has another size.
func checked(r *blob.Reader, key string, size int64) (*blob.Reader, error) {
	if err := checkSize(key, r.Size(), size); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// checkSize returns ErrChanged if an object has not the size with which it was stored; 0 is any.
func checkSize(key string, size, stored int64) error {
	if stored == 0 || size == stored {
		return nil
	}
	return fmt.Errorf("%s: %w: it has %d bytes instead of %d", key, ErrChanged, size, stored)
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
	case isMissing(err):
		return fmt.Errorf("%s: %w", key, ErrNotFound)
	default:
		return fmt.Errorf("reading %s: %w", key, err)
	}
}

// isMissing reports whether the bucket has no such object. Azure's library also says so of every error whose text has "no such host", which is a failure of
// DNS: files would be lost for as long as that lasts.
func isMissing(err error) bool {
	return gcerrors.Code(err) == gcerrors.NotFound && !strings.Contains(err.Error(), "no such host")
}

// manifestVersion is the version of the manifests that this program writes and reads.
const manifestVersion = 2

// Manifest is the commit of a render: it is written once, after all files.
type Manifest struct {
	// Version is set by PutManifest.
	Version int `json:"version"`
	// Attempt that stored the files, which is part of their keys.
	Attempt int `json:"attempt"`
	// Attempts is how often the render was begun, disruptions not counted.
	Attempts int `json:"attempts"`
	// RenderedTime is when the last file was stored.
	RenderedTime time.Time `json:"renderedTime"`
	// Files in the order in which they were rendered.
	Files    []file.File `json:"files"`
	Warnings []Warning   `json:"warnings,omitempty"`
	// RenderMilliseconds is the time from the receipt of the task to its last file.
	RenderMilliseconds int64  `json:"renderMilliseconds"`
	PodName            string `json:"podName"`
	// TotalPages is the number of the template's pages, and RenderedPages of those that this render has.
	TotalPages    int `json:"totalPages"`
	RenderedPages int `json:"renderedPages"`
	// FromCache is true if no pod has rendered the files: the same task had been rendered before.
	FromCache bool `json:"fromCache,omitempty"`
}

// Warning is a problem that did not stop the render.
type Warning struct {
	Title   string `json:"title"`
	Details string `json:"details,omitempty"`
}

// PutManifest commits a render and returns its manifest: m, or that of an attempt that has committed before. The first commit wins, so
// that what was reported of a render stays true.
func (s *Store) PutManifest(ctx context.Context, ref Ref, m Manifest) (Manifest, error) {
	m.Version = manifestVersion
	data, err := json.Marshal(m)
	if err != nil {
		return Manifest{}, fmt.Errorf("encoding a manifest: %w", err)
	}
	err = s.commit(ctx, ref, data)
	if gcerrors.Code(err) != gcerrors.FailedPrecondition {
		return m, err
	}
	winner, err := s.Manifest(ctx, ref)
	if !errors.Is(err, ErrNotFound) {
		return winner, err
	}
	// What is there is of another version or cut off: no reader takes it for a commit.
	if err := s.remove(ctx, ref.manifestKey()); err != nil {
		return Manifest{}, err
	}
	return m, s.commit(ctx, ref, data)
}

func (s *Store) commit(ctx context.Context, ref Ref, manifest []byte) error {
	return s.put(ctx, ref.manifestKey(), bytes.NewReader(manifest), maxManifest, blob.WriterOptions{ContentType: "application/json", IfNotExist: true})
}

// Manifest returns the manifest of a render. The error is ErrNotFound if there is none, or if its version is not manifestVersion: the
// job then renders again. It is ErrUnavailable if no manifest could be read for a while.
func (s *Store) Manifest(ctx context.Context, ref Ref) (Manifest, error) {
	return s.readManifest(ctx, ref.manifestKey())
}

func (s *Store) readManifest(ctx context.Context, key string) (Manifest, error) {
	m, err := s.readManifestOnce(ctx, key)
	if errors.Is(err, ErrNotFound) {
		s.reading.ended(ctx, nil)
		return m, err
	}
	if s.reading.ended(ctx, err); err != nil && s.reading.lasts() {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return m, err
}

func (s *Store) readManifestOnce(ctx context.Context, key string) (Manifest, error) {
	r, err := s.NewReader(ctx, key)
	if err != nil {
		return Manifest{}, err
	}
	defer func() { _ = r.Close() }()
	data, err := io.ReadAll(io.LimitReader(r, maxManifest))
	if err != nil {
		return Manifest{}, fmt.Errorf("reading %s: %w", key, err)
	}
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil || m.Version != manifestVersion {
		return Manifest{}, fmt.Errorf("%s of another version: %w", key, ErrNotFound)
	}
	return m, nil
}

// Object is a stored file or manifest, or the mark of a retained render.
type Object struct {
	Key string
	// Ref of the render to which it belongs.
	Ref Ref
	// Attempt that stored the file; 0 for anything else.
	Attempt int
	// RetainedUntil is the time until which a mark retains the render; zero for anything else.
	RetainedUntil time.Time
	Size          int64
	ModTime       time.Time
}

// IsManifest reports whether the object is a manifest. Every object with an old key counts as one.
func (o Object) IsManifest() bool { return o.Attempt == 0 && o.RetainedUntil.IsZero() }

// Walk calls visit for every object, the objects of one job one after the other, and learns from it how much each namespace uses.
func (s *Store) Walk(ctx context.Context, visit func(Object) error) error {
	s.usage.beginWalk()
	used := map[string]int64{}
	err := s.list(ctx, prefix, func(o Object) error {
		used[o.Ref.Namespace] += o.Size
		return visit(o)
	})
	if err == nil {
		s.usage.endWalk(used)
	}
	return err
}

// Objects returns all objects of a render or, if ref has no revision, of a job.
func (s *Store) Objects(ctx context.Context, ref Ref) (objects []Object, err error) {
	err = s.list(ctx, ref.prefix(), func(o Object) error { objects = append(objects, o); return nil })
	return objects, err
}

// Delete deletes all objects of a render or, if ref has no revision, of a job. It returns their number.
func (s *Store) Delete(ctx context.Context, ref Ref) (removed int, err error) {
	objects, err := s.Objects(ctx, ref)
	if err != nil {
		return 0, err
	}
	return len(objects), s.Remove(ctx, objects...)
}

// DeleteAttempt deletes the files that one attempt at a render has stored, unless the render is committed. That makes no room for another attempt:
// this one did not fit.
func (s *Store) DeleteAttempt(ctx context.Context, ref Ref, attempt int) error {
	objects, err := s.Objects(ctx, ref)
	if err != nil || slices.ContainsFunc(objects, Object.IsManifest) {
		return err
	}
	return s.removeAll(ctx, slices.DeleteFunc(objects, func(o Object) bool { return o.Attempt != attempt }))
}

// Remove deletes objects, manifests first: a render whose manifest is there has its files.
func (s *Store) Remove(ctx context.Context, objects ...Object) error {
	err := s.removeAll(ctx, objects)
	if len(objects) > 0 {
		s.usage.madeRoom()
	}
	return err
}

func (s *Store) removeAll(ctx context.Context, objects []Object) error {
	slices.SortStableFunc(objects, func(a, b Object) int { return cmp.Compare(a.Attempt, b.Attempt) })
	for _, o := range objects {
		if err := s.remove(ctx, o.Key); err != nil {
			return err
		}
		s.usage.removed(o)
	}
	return nil
}

func (s *Store) list(ctx context.Context, prefix string, visit func(Object) error) error {
	return s.each(ctx, prefix, func(key string, size int64, modTime time.Time) error {
		o, ok := parseKey(key)
		if !ok {
			return nil
		}
		o.Size, o.ModTime = size, modTime
		return visit(o)
	})
}

// each calls visit for every object whose key has the prefix, which ends with a slash, in an order in which those of a folder follow each other.
func (s *Store) each(ctx context.Context, prefix string, visit func(key string, size int64, modTime time.Time) error) error {
	if s.folder != "" {
		return s.eachFile(ctx, prefix, visit)
	}
	objects := s.bucket.List(&blob.ListOptions{Prefix: prefix})
	for {
		o, err := objects.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("listing the content store: %w", err)
		}
		if err := visit(o.Key, o.Size, o.ModTime); err != nil {
			return err
		}
	}
}

const (
	// emptyFor is the age at which an empty folder or a temporary file is removed: long after the write that has made it, or written to it.
	emptyFor = time.Hour
	// temporary ends the names of files that are being written. No key ends with it.
	temporary = ".tmp"
)

// eachFile does what each does in a folder, and removes what else is of no use below it: folders that have long been empty, such as those of
// namespaces that are gone, and the temporary files of writes that a crash has ended long ago. The bucket's own list has pages, and walks through the
// whole folder for each of them. No key of the store has a character that a bucket escapes in the name of its file.
func (s *Store) eachFile(ctx context.Context, prefix string, visit func(key string, size int64, modTime time.Time) error) error {
	root := filepath.Join(s.folder, prefix)
	return filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		var info fs.FileInfo
		if err == nil {
			info, err = entry.Info()
		}
		useless := err == nil && name != root && (info.IsDir() || strings.HasSuffix(name, temporary)) && time.Since(info.ModTime()) > emptyFor
		switch {
		case useless && os.Remove(name) == nil: //nolint:gosec // only the manager writes in the folder; it fails when there are entries
			if info.IsDir() {
				return fs.SkipDir
			}
			return nil
		case errors.Is(err, fs.ErrNotExist): // deleted meanwhile
			return nil
		case err != nil:
			return fmt.Errorf("listing the content store: %w", err)
		case info.IsDir():
			return nil
		}
		key, err := filepath.Rel(s.folder, name)
		if err != nil {
			return err
		}
		return visit(key, info.Size(), info.ModTime())
	})
}

func (s *Store) remove(ctx context.Context, key string) error {
	if err := s.bucket.Delete(ctx, key); err != nil && !isMissing(err) {
		return fmt.Errorf("deleting %s: %w", key, err)
	}
	if s.folder != "" {
		s.prune(key)
	}
	return nil
}

// prune removes the folders of a job or a cached render that have become empty. Those of namespaces stay until a walk finds them: other jobs write there.
func (s *Store) prune(key string) {
	for dir := path.Dir(key); strings.Count(dir, "/") >= 2; dir = path.Dir(dir) {
		if os.Remove(filepath.Join(s.folder, dir)) != nil { // it has files
			return
		}
	}
}
