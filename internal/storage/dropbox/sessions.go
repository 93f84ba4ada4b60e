// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package dropbox

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/failpoint"
	"github.com/platen-dev/platen/internal/storage"
)

const (
	// maxBatch is how many sessions a batch call may name.
	maxBatch = 1000
	// maxAppend bounds the bytes of one append call.
	maxAppend = 150 << 20
	// parallelChunks of one large file are sent at a time.
	parallelChunks = 6
	// maxChunk bounds what must be sent again when a call fails, in bytes.
	maxChunk = 64 << 20
	// spareIDs are asked for beyond what is needed. They cost nothing.
	spareIDs = 200
	// sessionLife is how long a session may be used; Dropbox keeps it for 7 days.
	sessionLife = 6 * 24 * time.Hour
)

// session is a file on its way to Dropbox: an upload session, whose bytes nobody sees until it is finished.
type session struct {
	id string
	// closed is true once all bytes are there.
	closed bool
	// chunks that a concurrent session has, each by the hashes of its blocks; nil are missing.
	chunks [][]byte
}

// chunkSize of a large file: an eighth of it, so that there is something to send in parallel, in whole blocks, as concurrent sessions
// want it.
func chunkSize(size int64) int64 {
	blocks := (size/8 + content.HashBlock - 1) / content.HashBlock
	return min(max(blocks, 1)*content.HashBlock, maxChunk)
}

// begun returns the session of a file, nil when it has none.
func begun(f *storage.File) *session {
	s, _ := f.Session.(*session)
	return s
}

type cursor struct {
	SessionID string `json:"session_id"`
	Offset    int64  `json:"offset"`
}

// entryResult is the outcome of one entry of a batch call. A success is the file's metadata where the call commits it.
type entryResult struct {
	Tag     string          `json:".tag"`
	Failure json.RawMessage `json:"failure"`
	metadata
}

// err is why the entry failed, nil when it did not.
func (r entryResult) err() error {
	if r.Tag == "success" {
		return nil
	}
	return decodeEntryError(r.Failure)
}

// Stage implements storage.Stager. Small files share their calls; each large one has a session of its own that takes its chunks in
// parallel.
func (c *Client) Stage(ctx context.Context, files []*storage.File) []error {
	errs := make([]error, len(files))
	var small []int
	var group errgroup.Group
	for i, f := range files {
		switch {
		case begun(f) != nil && begun(f).closed:
		case f.Size <= c.config.LargeFile:
			small = append(small, i)
		default:
			group.Go(func() error { errs[i] = c.stageLarge(ctx, f); return nil })
		}
	}
	for len(small) > 0 {
		n, bytes := 0, int64(0)
		for n < min(len(small), maxBatch) && bytes+files[small[n]].Size <= maxAppend {
			bytes += files[small[n]].Size
			n++
		}
		for i, err := range c.stageBatch(ctx, pick(files, small[:n]), bytes) {
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
	var answer struct {
		Entries []entryResult `json:"entries"`
	}
	failpoint.Hit("upload.before-append")
	var sent *joined
	open := func(ctx context.Context) (io.ReadCloser, error) {
		sent = &joined{ctx: ctx, files: files}
		return sent, nil
	}
	if err := c.content(ctx, "/2/files/upload_session/append_batch", arg, body{bytes, open}, &answer); err != nil {
		return failed(err)
	}
	failpoint.Hit("upload.after-append")
	if len(answer.Entries) != len(files) {
		return failed(unexpected("append_batch", len(answer.Entries), len(files)))
	}
	errs := make([]error, len(files))
	for i, result := range answer.Entries {
		switch err := result.err(); {
		case isTag(err, "not_found"):
			c.spare.drop()
			errs[i] = lost(err)
		case err != nil:
			errs[i] = err
		case sent.hashes[i] != files[i].ContentHash:
			errs[i] = changed(files[i])
		default:
			files[i].Session = &session{id: ids[i], closed: true}
		}
	}
	return errs
}

// changed is a file that is not what it was when it was rendered.
func changed(f *storage.File) error {
	return &storage.Error{Class: storage.Stop, Reason: storage.ReasonContentChanged, Message: "The rendered file was changed in the content store: " + f.Path}
}

// joined reads files one after the other, each opened when its turn comes, and keeps the content hash of each.
type joined struct {
	ctx     context.Context //nolint:containedctx // it lives as long as the call that it is the body of
	files   []*storage.File
	current io.ReadCloser
	hash    *content.BlockHash
	hashes  []string
}

// Read implements io.Reader.
func (j *joined) Read(p []byte) (int, error) {
	for {
		if j.current == nil {
			if len(j.hashes) == len(j.files) {
				return 0, io.EOF
			}
			f := j.files[len(j.hashes)]
			r, err := f.Open(j.ctx, 0, f.Size)
			if err != nil {
				return 0, err
			}
			j.current, j.hash = r, content.NewBlockHash()
		}
		n, err := j.current.Read(p)
		_, _ = j.hash.Write(p[:n]) // never fails
		if errors.Is(err, io.EOF) {
			j.hashes = append(j.hashes, content.HashOfBlocks(j.hash.Blocks()))
			err = j.Close()
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// Close implements io.Closer.
func (j *joined) Close() error {
	if j.current == nil {
		return nil
	}
	err := j.current.Close()
	j.current = nil
	return err
}

// spareSessions are ids that were asked for ahead of need.
type spareSessions struct {
	mu      sync.Mutex
	ids     []string
	expires time.Time
}

// drop forgets ids that Dropbox does not know any more.
func (s *spareSessions) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids = nil
}

// sessionIDs returns ids of n new sequential sessions. When some must be asked for, more are than are needed, so that the next batches
// need not ask.
func (c *Client) sessionIDs(ctx context.Context, n int) ([]string, error) {
	s := &c.spare
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.config.Now().After(s.expires) {
		s.ids = nil
	}
	if len(s.ids) < n {
		var answer struct {
			SessionIDs []string `json:"session_ids"`
		}
		wanted := min(n+spareIDs, maxBatch)
		if err := c.rpc(ctx, "/2/files/upload_session/start_batch", map[string]any{"num_sessions": wanted}, &answer); err != nil {
			return nil, err
		}
		if len(answer.SessionIDs) != wanted {
			return nil, unexpected("start_batch", len(answer.SessionIDs), wanted)
		}
		s.ids, s.expires = answer.SessionIDs, c.config.Now().Add(sessionLife)
	}
	ids := s.ids[:n:n]
	s.ids = s.ids[n:]
	return ids, nil
}

// stageLarge sends a file in chunks, several at a time, and goes on with what is missing when it was interrupted before.
func (c *Client) stageLarge(ctx context.Context, f *storage.File) error {
	s := begun(f)
	if s == nil {
		var answer struct {
			SessionID string `json:"session_id"`
		}
		if err := c.content(ctx, "/2/files/upload_session/start", map[string]any{"session_type": "concurrent"}, nothing, &answer); err != nil {
			return err
		}
		s = &session{id: answer.SessionID, chunks: make([][]byte, (f.Size+chunkSize(f.Size)-1)/chunkSize(f.Size))}
		f.Session = s
	}
	last := len(s.chunks) - 1
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallelChunks)
	for i := range last {
		if s.chunks[i] == nil {
			group.Go(func() (err error) {
				s.chunks[i], err = c.appendChunk(groupCtx, f, s.id, i, false)
				return err
			})
		}
	}
	err := group.Wait()
	if err == nil {
		// The chunk that closes the session comes when all others are there.
		s.chunks[last], err = c.appendChunk(ctx, f, s.id, last, true)
	}
	switch {
	case isTag(err, "not_found"), isTag(err, "closed"), isTag(err, "concurrent_session_invalid_offset"):
		f.Session = nil // it has expired, or is not what it should be: the next attempt begins anew
		return lost(err)
	case err != nil:
		return err
	case content.HashOfBlocks(slices.Concat(s.chunks...)) != f.ContentHash:
		return changed(f)
	}
	s.closed = true
	return nil
}

// appendChunk sends the n-th chunk of a file and returns the hashes of its blocks.
func (c *Client) appendChunk(ctx context.Context, f *storage.File, id string, n int, last bool) ([]byte, error) {
	offset := int64(n) * chunkSize(f.Size)
	size := min(chunkSize(f.Size), f.Size-offset)
	var hash *content.BlockHash
	open := func(ctx context.Context) (io.ReadCloser, error) {
		r, err := f.Open(ctx, offset, size)
		if err != nil {
			return nil, err
		}
		hash = content.NewBlockHash()
		return readCloser{io.TeeReader(r, hash), r}, nil
	}
	arg := map[string]any{"cursor": cursor{id, offset}, "close": last}
	if err := c.content(ctx, "/2/files/upload_session/append_v2", arg, body{size, open}, nil); err != nil {
		return nil, err
	}
	return hash.Blocks(), nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

// finish commits staged files in one call.
func (c *Client) finish(ctx context.Context, files []*storage.File) []storage.Result {
	if len(files) == 0 {
		return nil
	}
	type entry struct {
		Cursor cursor         `json:"cursor"`
		Commit map[string]any `json:"commit"`
	}
	var arg struct {
		Entries []entry `json:"entries"`
	}
	for _, f := range files {
		arg.Entries = append(arg.Entries, entry{cursor{begun(f).id, f.Size}, commitArg(f)})
	}
	var answer struct {
		Entries []entryResult `json:"entries"`
	}
	failpoint.Hit("upload.before-finish")
	err := c.rpc(ctx, "/2/files/upload_session/finish_batch_v2", arg, &answer)
	failpoint.Hit("upload.after-commit-answer-lost")
	if err == nil && len(answer.Entries) != len(files) {
		err = unexpected("finish_batch_v2", len(answer.Entries), len(files))
	}
	if err != nil {
		return storage.Fail(len(files), err)
	}
	results := make([]storage.Result, len(files))
	for i, result := range answer.Entries {
		err := result.err()
		if isTag(err, "lookup_failed") {
			// The session has expired, or it was committed and the answer got lost.
			files[i].Session = nil
			err = lost(err)
		}
		results[i] = settle(files[i], result.metadata, err)
	}
	return results
}

// lost is a session that Dropbox does not know any more.
func lost(err error) error {
	return &storage.Error{Class: storage.Retry, Reason: storage.ReasonSessionLost, Message: "Dropbox has lost the upload", Doubt: true, Err: err}
}
