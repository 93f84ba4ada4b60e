// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package dropbox

import (
	"context"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/platen-dev/platen/internal/failpoint"
	"github.com/platen-dev/platen/internal/storage"
)

const (
	// parallelLooks is how many files are looked for at a time.
	parallelLooks = 8
	// maxRenames is how many names are looked at for a file that Dropbox may have renamed.
	maxRenames = 100
)

// Limits implements storage.Provider.
func (c *Client) Limits() storage.Limits {
	return storage.Limits{Files: maxBatch, Bytes: c.config.LargeFile}
}

// Upload implements storage.Provider. One file of which nothing is known costs one call, files/upload. Several are staged, unless
// they are already, and committed together.
func (c *Client) Upload(ctx context.Context, files []*storage.File) []storage.Result {
	results := make([]storage.Result, len(files))
	var open []int
	for i, done := range c.look(ctx, files, results) {
		if !done {
			open = append(open, i)
		}
	}
	if len(open) == 1 && files[open[0]].Session == nil && files[open[0]].Size <= c.config.LargeFile {
		results[open[0]] = c.uploadOne(ctx, files[open[0]])
		return results
	}
	var staged []int
	for i, err := range c.Stage(ctx, pick(files, open)) {
		if err != nil {
			results[open[i]].Err = certain(err)
			continue
		}
		staged = append(staged, open[i])
	}
	for i, result := range c.finish(ctx, pick(files, staged)) {
		results[staged[i]] = result
	}
	return results
}

// certain takes the doubt from an error: what could not be staged does not stand.
func certain(err error) error {
	problem := *storage.AsError(err)
	problem.Doubt = false
	return &problem
}

func pick(files []*storage.File, indexes []int) []*storage.File {
	picked := make([]*storage.File, 0, len(indexes))
	for _, i := range indexes {
		picked = append(picked, files[i])
	}
	return picked
}

// metadata is what Dropbox tells of a file or folder.
type metadata struct {
	Tag         string `json:".tag"`
	PathDisplay string `json:"path_display"`
	ContentHash string `json:"content_hash"`
}

// uploadOne brings one file to its path in one call.
func (c *Client) uploadOne(ctx context.Context, f *storage.File) storage.Result {
	arg := commitArg(f)
	arg["content_hash"] = f.ContentHash
	var done metadata
	err := c.content(ctx, "/2/files/upload", arg, body{f.Size, func(ctx context.Context) (io.ReadCloser, error) { return f.Open(ctx, 0, f.Size) }}, &done)
	failpoint.Hit("upload.after-commit-answer-lost")
	return settle(f, done, err)
}

// commitArg is how a file is committed: Dropbox's CommitInfo.
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

// settle says what the answer to a commit means for the file.
func settle(f *storage.File, done metadata, err error) storage.Result {
	switch {
	case f.ConflictPolicy == storage.Keep && isConflict(err, "file"):
		return storage.Result{Path: f.Path, Kept: true}
	case err != nil:
		return storage.Result{Err: naming(err, f.Path)}
	case done.ContentHash != f.ContentHash:
		return storage.Result{Err: &storage.Error{
			Class: storage.Stop, Reason: storage.ReasonContentChanged, Message: "Dropbox holds other bytes than were sent to " + f.Path,
		}}
	default:
		return storage.Result{Path: done.PathDisplay, ContentHash: done.ContentHash}
	}
}

// naming adds the path to an error that is about it.
func naming(err error, path string) error {
	problem := storage.AsError(err)
	if problem.Reason != storage.ReasonPathNotAllowed && problem.Reason != storage.ReasonConflict {
		return err
	}
	named := *problem
	named.Message += ": " + path
	return &named
}

// look finds the doubtful files that stand already, and tells which results are settled.
func (c *Client) look(ctx context.Context, files []*storage.File, results []storage.Result) []bool {
	settled := make([]bool, len(files))
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
				results[i].Err, settled[i] = err, true
			case found != nil:
				results[i], settled[i] = storage.Result{Path: found.PathDisplay, ContentHash: found.ContentHash}, true
			}
			return nil
		})
	}
	_ = group.Wait() // the errors are in the results
	return settled
}

// find returns the file's own bytes at its path or, where Dropbox may have renamed it, at the next free one; nil when they are not
// there.
func (c *Client) find(ctx context.Context, f *storage.File) (*metadata, error) {
	for n := range maxRenames {
		found, err := c.metadata(ctx, storage.Renamed(f.Path, n))
		switch {
		case err != nil || found == nil:
			return nil, err
		case found.Tag == "file" && found.ContentHash == f.ContentHash:
			return found, nil
		case f.ConflictPolicy != storage.Rename:
			return nil, nil //nolint:nilnil // another file stands there, and that is no error
		}
	}
	return nil, nil //nolint:nilnil // as above
}

// metadata returns what stands at a path, nil when nothing does.
func (c *Client) metadata(ctx context.Context, path string) (*metadata, error) {
	found := &metadata{}
	err := c.rpc(ctx, "/2/files/get_metadata", map[string]any{"path": path}, found)
	if isTag(err, "not_found") {
		return nil, nil //nolint:nilnil // nothing stands there, and that is no error
	}
	if err != nil {
		return nil, naming(err, path)
	}
	return found, nil
}
