// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package dropbox

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/platen-dev/platen/internal/failpoint"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/storage"
)

const (
	// maxBatch is the greatest number of sessions in one batch call.
	maxBatch = 1000
	// maxAppend is the greatest number of bytes in one append call.
	maxAppend = 150 << 20
	// maxPaths is the greatest number of bytes of the paths that one call commits. The rest of a thousand entries has some 200 KB.
	maxPaths = 512 << 10
	// minCommit is the number of files whose commit does not fail because they are many, and smallCommits is how long commits stay small after one did.
	minCommit    = 25
	smallCommits = 10 * time.Minute
	// parallelChunks is how many chunks of one large file are sent at a time.
	parallelChunks = 6
	// maxChunk is the greatest size of a chunk in bytes. After a failure the whole chunk is sent again.
	maxChunk = 64 << 20
	// spareIDs is how many sessions start_batch starts beyond those needed. They cost nothing.
	spareIDs = 200
	// sessionLife is how long the client uses a session; Dropbox keeps it for 7 days.
	sessionLife = 6 * 24 * time.Hour
)

// session is an upload session of Dropbox. Nobody sees its bytes until it is finished.
type session struct {
	id string
	// closed is true once Dropbox has all bytes.
	closed bool
	// chunks holds the block hashes of each chunk of a concurrent session; nil for a chunk that Dropbox does not have yet.
	chunks [][]byte
	// doubtful holds those of the last chunk if it was sent whole, and no answer came: Dropbox may have closed the session.
	doubtful []byte
}

// chunkSize returns the size of a large file's chunks: an eighth of the file, so that there are chunks to send in parallel, in whole
// blocks, which concurrent sessions require.
func chunkSize(size int64) int64 {
	blocks := (size/8 + file.HashBlock - 1) / file.HashBlock
	return min(max(blocks, 1)*file.HashBlock, maxChunk)
}

// sessionOf returns the session of a file, nil if it has none.
func sessionOf(f *storage.File) *session {
	s, _ := f.Session.(*session)
	return s
}

// cursor is Dropbox's UploadSessionCursor.
type cursor struct {
	SessionID string `json:"session_id"`
	Offset    int64  `json:"offset"`
}

// entryResult is the result of one entry of a batch call. If the call commits the file, success holds its metadata.
type entryResult struct {
	Tag     string          `json:".tag"`
	Failure json.RawMessage `json:"failure"`
	metadata
}

// err returns why the entry failed, nil if it did not.
func (r entryResult) err() error {
	switch r.Tag {
	case "success":
		return nil
	case "failure":
		return decodeEntryError(r.Failure)
	default:
		return &storage.Error{Class: storage.Retry, Reason: storage.ReasonUnexpectedAnswer, Message: "Dropbox did not say what became of a file", Doubt: true}
	}
}

// entryResults is the result of a batch call. Its callers count the entries.
type entryResults struct {
	Entries []entryResult `json:"entries"`
}

// isComplete implements result.
func (r *entryResults) isComplete() bool { return true }

// startedSession is Dropbox's UploadSessionStartResult.
type startedSession struct {
	SessionID string `json:"session_id"`
}

// isComplete implements result.
func (s *startedSession) isComplete() bool { return s.SessionID != "" }

// startedSessions is Dropbox's UploadSessionStartBatchResult. Its caller counts them.
type startedSessions struct {
	SessionIDs []string `json:"session_ids"`
}

// isComplete implements result.
func (s *startedSessions) isComplete() bool { return !slices.Contains(s.SessionIDs, "") }

// Stage implements storage.Stager. Small files share a call. Each large file has a session of its own, which takes chunks in parallel.
func (c *Client) Stage(ctx context.Context, files []*storage.File) []error {
	errs := make([]error, len(files))
	var small []int
	var group errgroup.Group
	for i, f := range files {
		switch {
		case sessionOf(f) != nil && sessionOf(f).closed:
		case f.Size <= c.config.LargeFile:
			small = append(small, i)
		default:
			group.Go(func() error { errs[i] = c.stageLarge(ctx, f); return nil })
		}
	}
	for len(small) > 0 {
		entries, most := c.batches.get()
		n, bytes := 0, int64(0)
		for n < min(len(small), entries) && (n == 0 || bytes+files[small[n]].Size <= most) {
			bytes += files[small[n]].Size
			n++
		}
		problems := c.stageBatch(ctx, pick(files, small[:n]), bytes)
		if n > 1 && c.batches.shrink(statusOf(problems[0]), n, bytes) {
			continue
		}
		for i, err := range problems {
			errs[small[i]] = err
		}
		small = small[n:]
	}
	_ = group.Wait() // the errors are in errs
	return errs
}

// stageBatch sends files in one call.
func (c *Client) stageBatch(ctx context.Context, files []*storage.File, bytes int64) []error {
	failed := func(err error) []error { return slices.Repeat([]error{err}, len(files)) }
	ids, err := c.sessionIDs(ctx, len(files))
	if err != nil {
		return failed(err)
	}
	type entry struct {
		Cursor cursor `json:"cursor"`
		Length int64  `json:"length"`
		Close  bool   `json:"close"`
	}
	var arg struct {
		Entries []entry `json:"entries"`
	}
	for i, f := range files {
		arg.Entries = append(arg.Entries, entry{cursor{ids[i], 0}, f.Size, true})
	}
	var answer entryResults
	failpoint.Hit("upload.before-append")
	var sent *sequence
	open := func(ctx context.Context) (io.ReadCloser, error) {
		sent = &sequence{ctx: ctx, files: files}
		return sent, nil
	}
	if err := c.content(ctx, "/2/files/upload_session/append_batch", arg, body{bytes, open}, &answer); err != nil {
		return failed(err)
	}
	failpoint.Hit("upload.after-append")
	if len(answer.Entries) != len(files) {
		return failed(wrongEntries("append_batch", len(answer.Entries), len(files)))
	}
	errs := make([]error, len(files))
	for i, result := range answer.Entries {
		switch err := result.err(); {
		case hasTag(err, "not_found"):
			c.spare.drop()
			errs[i] = sessionLost(err)
		case err != nil:
			errs[i] = err
		case sent.hashOf(i) != files[i].ContentHash:
			errs[i] = contentChanged(files[i])
		default:
			files[i].Session = &session{id: ids[i], closed: true}
		}
	}
	return errs
}

// batches bound a batch of small files. They begin with what Dropbox takes, and shrink to what a proxy on the way takes.
type batches struct {
	mu sync.Mutex
	// entries and bytes are the greatest number of files, whose sessions are in a header, and their greatest total size; 0 is Dropbox's own.
	entries int
	bytes   int64
}

// get returns the bounds.
func (b *batches) get() (entries int, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return cmp.Or(b.entries, maxBatch), cmp.Or(b.bytes, maxAppend)
}

// shrink halves what was too much by the status of the answer to a batch of several files, and reports whether there was such a thing.
func (b *batches) shrink(status, entries int, bytes int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch status {
	case http.StatusRequestEntityTooLarge:
		b.bytes = max(bytes/2, 1)
	case http.StatusRequestHeaderFieldsTooLarge:
		b.entries = entries / 2
	default:
		return false
	}
	return true
}

// contentChanged returns the error of a file whose bytes are not those that were rendered.
func contentChanged(f *storage.File) error {
	return &storage.Error{Class: storage.Stop, Reason: storage.ReasonContentChanged, Message: "The rendered file was changed in the content store: " + f.Path}
}

// sequence reads files one after the other and opens each when its turn comes.
type sequence struct {
	ctx     context.Context //nolint:containedctx // it lives as long as the call whose body it is
	files   []*storage.File
	current io.ReadCloser
	// left has the bytes of the current file that were not read.
	left int64
	hash *file.BlockHash

	mu sync.Mutex
	// hashes are the content hashes of the files that were read.
	hashes []string
}

// hashOf returns the content hash of the i-th file; empty if it was not read whole. Dropbox may answer before the end of the body is read, but
// not before its last byte.
func (s *sequence) hashOf(i int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i >= len(s.hashes) {
		return ""
	}
	return s.hashes[i]
}

// Read implements io.Reader.
func (s *sequence) Read(p []byte) (int, error) {
	for {
		if s.current == nil {
			if len(s.hashes) == len(s.files) {
				return 0, io.EOF
			}
			f := s.files[len(s.hashes)]
			r, err := f.Open(s.ctx, 0, f.Size)
			if err != nil {
				return 0, err
			}
			s.current, s.left, s.hash = r, f.Size, file.NewBlockHash()
		}
		n, err := s.current.Read(p)
		_, _ = s.hash.Write(p[:n]) // never fails
		s.left -= int64(n)
		if errors.Is(err, io.EOF) || err == nil && s.left <= 0 {
			s.mu.Lock()
			s.hashes = append(s.hashes, file.HashOfBlocks(s.hash.Blocks()))
			s.mu.Unlock()
			err = s.Close()
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// Close implements io.Closer.
func (s *sequence) Close() error {
	if s.current == nil {
		return nil
	}
	err := s.current.Close()
	s.current = nil
	return err
}

// spareSessions are sessions that are started and not used yet.
type spareSessions struct {
	mu      sync.Mutex
	ids     []string
	expires time.Time
}

// drop forgets all of them, because Dropbox no longer knows them.
func (s *spareSessions) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids = nil
}

// sessionIDs returns the ids of n new sequential sessions. If it must start some, it starts more than n, so that the next batches
// need no such call.
func (c *Client) sessionIDs(ctx context.Context, n int) ([]string, error) {
	s := &c.spare
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.config.Now().After(s.expires) {
		s.ids = nil
	}
	if len(s.ids) < n {
		var answer startedSessions
		wanted := min(n+spareIDs, maxBatch)
		if err := c.rpc(ctx, "/2/files/upload_session/start_batch", map[string]any{"num_sessions": wanted}, &answer); err != nil {
			return nil, err
		}
		if len(answer.SessionIDs) != wanted {
			return nil, wrongEntries("start_batch", len(answer.SessionIDs), wanted)
		}
		s.ids, s.expires = answer.SessionIDs, c.config.Now().Add(sessionLife)
	}
	ids := s.ids[:n:n]
	s.ids = s.ids[n:]
	return ids, nil
}

// stageLarge sends the chunks of a file that Dropbox does not have yet, several at a time.
func (c *Client) stageLarge(ctx context.Context, f *storage.File) error {
	s := sessionOf(f)
	if s == nil {
		var answer startedSession
		if err := c.content(ctx, "/2/files/upload_session/start", map[string]any{"session_type": "concurrent"}, emptyBody, &answer); err != nil {
			return err
		}
		s = &session{id: answer.SessionID, chunks: make([][]byte, (f.Size+chunkSize(f.Size)-1)/chunkSize(f.Size))}
		f.Session = s
	}
	last := len(s.chunks) - 1
	groupCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(parallelChunks)
	var failed atomic.Bool
	for i := range last {
		if s.chunks[i] == nil {
			group.Go(func() error {
				if failed.Load() {
					return nil
				}
				hash, err := c.appendChunk(groupCtx, f, s.id, i, false)
				if err == nil {
					s.chunks[i] = hash
					return nil
				}
				// Chunks in flight may arrive, and need not be sent again then.
				if failed.Store(true); storage.AsError(err).Class == storage.Stop {
					cancel()
				}
				return err
			})
		}
	}
	err := group.Wait()
	if err == nil {
		// The last chunk closes the session, so it follows all others.
		var hash []byte
		switch hash, err = c.appendChunk(ctx, f, s.id, last, true); {
		case err == nil:
			s.chunks[last] = hash
		case hasTag(err, "closed") && s.doubtful != nil:
			s.chunks[last], err = s.doubtful, nil // Dropbox has it all
		case hash != nil:
			s.doubtful = hash
		}
	}
	switch {
	case hasTag(err, "not_found"), hasTag(err, "closed"), hasTag(err, "concurrent_session_invalid_offset"):
		f.Session = nil // it has expired or is broken: the next attempt starts another
		return sessionLost(err)
	case err != nil:
		return err
	case file.HashOfBlocks(slices.Concat(s.chunks...)) != f.ContentHash:
		return contentChanged(f)
	}
	s.closed = true
	return nil
}

// appendChunk sends the n-th chunk of a file and returns the hashes of its blocks, nil unless it was sent whole.
func (c *Client) appendChunk(ctx context.Context, f *storage.File, id string, n int, last bool) ([]byte, error) {
	offset := int64(n) * chunkSize(f.Size)
	size := min(chunkSize(f.Size), f.Size-offset)
	var sent *chunk
	open := func(ctx context.Context) (io.ReadCloser, error) {
		r, err := f.Open(ctx, offset, size)
		if err != nil {
			return nil, err
		}
		sent = &chunk{ReadCloser: r, left: size, hash: file.NewBlockHash()}
		return sent, nil
	}
	arg := map[string]any{"cursor": cursor{id, offset}, "close": last}
	err := c.content(ctx, "/2/files/upload_session/append_v2", arg, body{size, open}, &nothing{})
	if sent == nil {
		return nil, err
	}
	return sent.hashes(), err
}

// chunk is the bytes of a part of a file. A transport may still read it after the call has returned.
type chunk struct {
	io.ReadCloser
	mu   sync.Mutex
	left int64
	hash *file.BlockHash
}

// Read implements io.Reader.
func (c *chunk) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = c.hash.Write(p[:n]) // never fails
	c.left -= int64(n)
	return n, err
}

// hashes returns the hashes of the blocks; nil unless all bytes were read.
func (c *chunk) hashes() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left > 0 {
		return nil
	}
	return c.hash.Blocks()
}

// commits bound how many files one call commits. Dropbox fails at many files if they take it too long.
type commits struct {
	mu   sync.Mutex
	most int
	// until is when most is forgotten.
	until time.Time
}

// get returns the bound.
func (b *commits) get(now time.Time) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !now.Before(b.until) {
		return maxBatch
	}
	return b.most
}

// failed halves the bound after a commit of some files has failed, which their number may be to blame for.
func (b *commits) failed(files int, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if files > minCommit {
		b.most, b.until = max(files/2, minCommit), now.Add(smallCommits)
	}
}

// finish commits staged files in one call, or in several if they are too many or their paths too long for one. It leaves out those that are superseded. Once
// Dropbox fails, the rest waits, too.
func (c *Client) finish(ctx context.Context, files []*storage.File) []storage.Result {
	results := make([]storage.Result, len(files))
	for next := 0; next < len(files); {
		var part []int
		most := c.commits.get(c.config.Now())
		for bytes := 0; next < len(files) && len(part) < most && (len(part) == 0 || bytes+len(files[next].Path) <= maxPaths); next++ {
			if files[next].IsSuperseded() {
				results[next].Err = storage.ErrSuperseded
				continue
			}
			part = append(part, next)
			bytes += len(files[next].Path)
		}
		if len(part) == 0 {
			break
		}
		done, err := c.commit(ctx, pick(files, part))
		for i, result := range done {
			results[part[i]] = result
		}
		if problem := storage.AsError(err); err != nil && (problem.Reason == storage.ReasonUnavailable || problem.Reason == storage.ReasonUnreachable) {
			c.commits.failed(len(part), c.config.Now())
			waits := *problem
			waits.Doubt = false
			for ; next < len(files); next++ {
				results[next].Err = &waits
			}
		}
	}
	return results
}

// commit commits staged files in one call. err is why the call has failed as a whole, which is in each result, too.
func (c *Client) commit(ctx context.Context, files []*storage.File) (results []storage.Result, err error) {
	type entry struct {
		Cursor cursor         `json:"cursor"`
		Commit map[string]any `json:"commit"`
	}
	var arg struct {
		Entries []entry `json:"entries"`
	}
	for _, f := range files {
		arg.Entries = append(arg.Entries, entry{cursor{sessionOf(f).id, f.Size}, commitArg(f)})
	}
	var answer entryResults
	failpoint.Hit("upload.before-finish")
	err = c.rpc(ctx, "/2/files/upload_session/finish_batch_v2", arg, &answer)
	failpoint.Hit("upload.after-commit-answer-lost")
	if err == nil && len(answer.Entries) != len(files) {
		err = wrongEntries("finish_batch_v2", len(answer.Entries), len(files))
	}
	if err != nil {
		return slices.Repeat([]storage.Result{{Err: err}}, len(files)), err
	}
	results = make([]storage.Result, len(files))
	for i, result := range answer.Entries {
		err := result.err()
		if hasTag(err, "lookup_failed") || hasTag(err, "concurrent_session_not_closed") || hasTag(err, "concurrent_session_missing_data") {
			// The session has expired or lacks bytes, or it was committed and the answer was lost.
			files[i].Session = nil
			err = sessionLost(err)
		}
		results[i] = resultOf(files[i], result.metadata, err)
	}
	return results, nil
}

// sessionLost returns the error of a session that Dropbox no longer knows.
func sessionLost(err error) error {
	return &storage.Error{Class: storage.Retry, Reason: storage.ReasonSessionLost, Message: "Dropbox has lost the upload", Doubt: true, Err: err}
}
