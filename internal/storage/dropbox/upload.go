// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package dropbox

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode/utf16"

	"golang.org/x/sync/errgroup"

	"github.com/platen-dev/platen/internal/failpoint"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/storage"
)

const (
	// parallelLooks is how many doubtful files the client looks for at a time.
	parallelLooks = 8
	// maxRenames is how many paths the client looks at for a file that Dropbox may have renamed.
	maxRenames = 100
	// maxName is the length of the longest name, in units of UTF-16.
	maxName = 255
)

// Limits implements storage.Provider.
func (c *Client) Limits() storage.Limits {
	return storage.Limits{Files: maxBatch, Bytes: c.config.LargeFile}
}

// Upload implements storage.Provider. A single new file costs one call, files/upload. Several files are staged, unless they are already,
// and committed together.
func (c *Client) Upload(ctx context.Context, files []*storage.File) []storage.Result {
	results := make([]storage.Result, len(files))
	var missing []int
	for i, found := range c.lookForDoubtful(ctx, files, results) {
		if !found {
			missing = append(missing, i)
		}
	}
	if len(missing) == 1 && files[missing[0]].Session == nil && files[missing[0]].Size <= c.config.LargeFile {
		if files[missing[0]].IsSuperseded() {
			results[missing[0]].Err = storage.ErrSuperseded
		} else {
			results[missing[0]] = c.uploadOne(ctx, files[missing[0]])
		}
		return results
	}
	var staged []int
	for i, err := range c.Stage(ctx, pick(files, missing)) {
		if err != nil {
			problem := *storage.AsError(err)
			problem.Doubt = false // a file that is not staged cannot be at its path
			results[missing[i]].Err = &problem
			continue
		}
		staged = append(staged, missing[i])
	}
	for i, result := range c.finish(ctx, pick(files, staged)) {
		results[staged[i]] = result
	}
	return results
}

// pick returns the files with the given indexes.
func pick(files []*storage.File, indexes []int) []*storage.File {
	picked := make([]*storage.File, 0, len(indexes))
	for _, i := range indexes {
		picked = append(picked, files[i])
	}
	return picked
}

// metadata of a file or folder.
type metadata struct {
	Tag  string `json:".tag"`
	Name string `json:"name"`
	// PathDisplay is missing for what is in a folder that the account has not mounted.
	PathDisplay string `json:"path_display"`
	ContentHash string `json:"content_hash"`
}

// isComplete implements result. resultOf compares the hashes.
func (m *metadata) isComplete() bool { return true }

// at returns the path of what was asked for by a path: Dropbox may have another name for it.
func (m *metadata) at(asked string) string {
	if m.PathDisplay != "" || m.Name == "" {
		return cmp.Or(m.PathDisplay, asked)
	}
	return storage.JoinPath(path.Dir(asked), m.Name)
}

// found is the metadata that get_metadata returns.
type found struct{ metadata }

// isComplete implements result.
func (f *found) isComplete() bool { return f.Tag != "" }

// uploadOne uploads one file in one call.
func (c *Client) uploadOne(ctx context.Context, f *storage.File) storage.Result {
	arg := commitArg(f)
	arg["content_hash"] = f.ContentHash
	var done metadata
	err := c.content(ctx, "/2/files/upload", arg, body{f.Size, func(ctx context.Context) (io.ReadCloser, error) { return f.Open(ctx, 0, f.Size) }}, &done)
	failpoint.Hit("upload.after-commit-answer-lost")
	if hasTag(err, "content_hash_mismatch") && isAsRendered(ctx, f) {
		err = &storage.Error{
			Class: storage.Retry, Reason: storage.ReasonUnexpectedAnswer, Message: "Dropbox received other bytes than were sent to " + f.Path, Err: err,
		}
	}
	return resultOf(f, done, err)
}

// isAsRendered reports whether the content store has the bytes that were rendered. If it does, something changed them on their way.
func isAsRendered(ctx context.Context, f *storage.File) bool {
	r, err := f.Open(ctx, 0, f.Size)
	if err != nil {
		return false
	}
	defer func() { _ = r.Close() }()
	hash := file.NewBlockHash()
	_, err = io.Copy(hash, r)
	return err == nil && file.HashOfBlocks(hash.Blocks()) == f.ContentHash
}

// commitArg returns how to commit a file: Dropbox's CommitInfo.
func commitArg(f *storage.File) map[string]any {
	arg := map[string]any{"path": f.Path, "mute": true, "mode": "overwrite"}
	switch f.ConflictPolicy {
	case storage.Rename:
		arg["mode"], arg["autorename"] = "add", true
	case storage.Keep:
		arg["mode"] = "add"
	case storage.Overwrite:
	}
	return arg
}

// resultOf returns the result of a file from the answer to its commit.
func resultOf(f *storage.File, done metadata, err error) storage.Result {
	switch {
	case f.ConflictPolicy == storage.Keep && isConflict(err, "file"):
		return storage.Result{Path: f.Path, Kept: true}
	case err != nil:
		return storage.Result{Err: withPath(err, f.Path)}
	case done.ContentHash != f.ContentHash:
		// Dropbox compares the bytes with the hash that came with them, so this answer is about another file, or is not Dropbox's.
		return storage.Result{Err: &storage.Error{
			Class: storage.Retry, Reason: storage.ReasonUnexpectedAnswer, Message: "Dropbox did not confirm the bytes that were sent to " + f.Path, Doubt: true,
		}}
	}
	at := done.at(f.Path)
	if f.ConflictPolicy != storage.Rename && storage.PathKey(at) != storage.PathKey(f.Path) {
		at = f.Path // the answer is about another file with the same bytes
	}
	return storage.Result{Path: at, ContentHash: done.ContentHash}
}

// withPath adds the path to the message of an error about it.
func withPath(err error, path string) error {
	problem := *storage.AsError(err)
	if problem.Reason != storage.ReasonPathNotAllowed && problem.Reason != storage.ReasonConflict {
		return err
	}
	if n := longestName(path); problem.Reason == storage.ReasonPathNotAllowed && n > maxName {
		problem.Message += fmt.Sprintf(", because a name has more than %d characters (%d, as Dropbox counts an emoji as two)", maxName, n)
	}
	if problem.Reason == storage.ReasonPathNotAllowed && longestName(path) <= maxName && strings.ContainsFunc(path, func(r rune) bool { return r > 0xffff }) {
		problem.Message += ", perhaps because Dropbox does not take every emoji"
	}
	problem.Message += ": " + path
	return &problem
}

// longestName returns the length of the longest name in a path as Dropbox counts it, in units of UTF-16.
func longestName(path string) (most int) {
	for name := range strings.SplitSeq(path, "/") {
		most = max(most, len(utf16.Encode([]rune(name))))
	}
	return most
}

// lookForDoubtful looks for the doubtful files. It sets the results of those that are uploaded already or that it failed to look for, and
// returns which results it has set.
func (c *Client) lookForDoubtful(ctx context.Context, files []*storage.File, results []storage.Result) []bool {
	set := make([]bool, len(files))
	var group errgroup.Group
	group.SetLimit(parallelLooks)
	for i, f := range files {
		if !f.Doubtful {
			continue
		}
		group.Go(func() error {
			found, err := c.find(ctx, f)
			switch {
			case err != nil:
				results[i].Err, set[i] = err, true
			case found != nil:
				results[i], set[i] = storage.Result{Path: found.at(f.Path), ContentHash: found.ContentHash}, true
			}
			return nil
		})
	}
	_ = group.Wait() // the errors are in the results
	return set
}

// find returns the metadata of the file if its content is at its path or, if Dropbox may have renamed it, at one of the next paths; else
// nil.
func (c *Client) find(ctx context.Context, f *storage.File) (*metadata, error) {
	for n := range maxRenames {
		found, err := c.metadata(ctx, storage.RenamedPath(f.Path, n))
		switch {
		case err != nil || found == nil:
			return nil, err
		case found.Tag == "file" && found.ContentHash == f.ContentHash:
			return found, nil
		case f.ConflictPolicy != storage.Rename:
			return nil, nil //nolint:nilnil // another file is there, and that is no error
		}
	}
	return nil, nil //nolint:nilnil // as above
}

// isNothing reports whether an error says that nothing is at a path. not_folder means that a parent is a file.
func isNothing(err error) bool { return hasTag(err, "not_found") || hasTag(err, "not_folder") }

// metadata returns the metadata of the file or folder at a path, nil if there is none.
func (c *Client) metadata(ctx context.Context, path string) (*metadata, error) {
	it := &found{}
	err := c.rpc(ctx, "/2/files/get_metadata", map[string]any{"path": path}, it)
	if isNothing(err) {
		return nil, nil //nolint:nilnil // nothing is there, and that is no error
	}
	if err != nil {
		return nil, withPath(err, path)
	}
	return &it.metadata, nil
}
