// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package uploader runs the uploads of rendered files in the background: bounded in number, bounded in time, and each ended by
// the manager's context.
package uploader

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/platen-dev/platen/internal/failpoint"
	"github.com/platen-dev/platen/internal/storage"
)

// Upload is everything that one generation of a job uploads.
type Upload struct {
	Job        types.NamespacedName
	UID        types.UID
	Generation int64
	// Deadline after which what is not uploaded has failed.
	Deadline    time.Time
	Connections []Connection
}

// Connection is the part of an Upload that goes to one storage account.
type Connection struct {
	// Name of the StorageConnection.
	Name string
	// Open returns the provider. It is called once.
	Open func(ctx context.Context) (storage.Provider, error)
	// Files in page order.
	Files []File
}

// File is one page's file.
type File struct {
	// Page number, and the extra size in which it is, empty for its own.
	Page      int
	ExtraSize string
	storage.File
}

// Result is how far a Connection has come.
type Result struct {
	// Name of the StorageConnection.
	Name string
	// Pages that stand in the account, in page order.
	Pages []Page
	// Err is why the upload failed, nil while it runs and when it succeeded.
	Err error
	// Done is true when nothing more will happen.
	Done bool
}

// Page is one uploaded file.
type Page struct {
	// Page number, and the extra size in which it is, empty for its own.
	Page      int
	ExtraSize string
	storage.Uploaded
}

// Uploader runs uploads. Make one with New and let Start own its goroutines.
type Uploader struct {
	retry   storage.RetryPolicy
	changed func(types.NamespacedName)
	slots   chan struct{}

	mu      sync.Mutex
	ctx     context.Context //nolint:containedctx // the lifetime of the uploads, which outlive the call that begins them
	running sync.WaitGroup
	uploads map[types.NamespacedName]*upload
}

type upload struct {
	Upload
	cancel  context.CancelFunc
	results []Result
}

// New returns an Uploader that uploads to at most parallel connections at a time and calls changed whenever a Result is done.
func New(parallel int, retry storage.RetryPolicy, changed func(types.NamespacedName)) *Uploader {
	return &Uploader{
		retry:   retry,
		changed: changed,
		slots:   make(chan struct{}, parallel),
		uploads: map[types.NamespacedName]*upload{},
	}
}

// Start lets uploads run until ctx ends, and returns when all of them have ended.
func (u *Uploader) Start(ctx context.Context) error {
	u.mu.Lock()
	u.ctx = ctx
	for _, up := range u.uploads {
		u.launch(up)
	}
	u.mu.Unlock()
	<-ctx.Done()
	u.running.Wait()
	return nil
}

// NeedLeaderElection says that only the leader uploads.
func (u *Uploader) NeedLeaderElection() bool { return true }

// Ensure begins an upload unless it has begun before. An upload of another generation of the job is stopped first.
func (u *Uploader) Ensure(up Upload) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if old := u.uploads[up.Job]; old != nil {
		if old.UID == up.UID && old.Generation == up.Generation {
			return
		}
		old.stop()
	}
	entry := &upload{Upload: up, results: make([]Result, len(up.Connections))}
	for i, c := range up.Connections {
		entry.results[i].Name = c.Name
	}
	u.uploads[up.Job] = entry
	if u.ctx != nil {
		u.launch(entry)
	}
}

// Results tells how far the upload of one generation of a job has come; ok is false when it has not begun.
func (u *Uploader) Results(job types.NamespacedName, uid types.UID, generation int64) (results []Result, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	entry := u.uploads[job]
	if entry == nil || entry.UID != uid || entry.Generation != generation {
		return nil, false
	}
	return append([]Result(nil), entry.results...), true
}

// Forget stops a job's upload and drops what is known of it.
func (u *Uploader) Forget(job types.NamespacedName) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if entry := u.uploads[job]; entry != nil {
		entry.stop()
		delete(u.uploads, job)
	}
}

func (e *upload) stop() {
	if e.cancel != nil {
		e.cancel()
	}
}

// launch starts a goroutine for each connection. The lock must be held.
func (u *Uploader) launch(entry *upload) {
	if u.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithDeadline(u.ctx, entry.Deadline)
	entry.cancel = cancel
	remaining := len(entry.Connections)
	for i := range entry.Connections {
		u.running.Go(func() {
			err := u.run(ctx, entry, i)
			u.mu.Lock()
			entry.results[i].Err, entry.results[i].Done = err, true
			remaining--
			if remaining == 0 {
				cancel()
			}
			current := u.uploads[entry.Job] == entry
			u.mu.Unlock()
			if current {
				u.changed(entry.Job)
			}
		})
	}
}

func (u *Uploader) run(ctx context.Context, entry *upload, i int) error {
	select {
	case u.slots <- struct{}{}:
		defer func() { <-u.slots }()
	case <-ctx.Done():
		return deadlineError(ctx)
	}
	connection := entry.Connections[i]
	provider, err := connection.Open(ctx)
	if err != nil {
		return err
	}
	for _, file := range connection.Files {
		failpoint.Hit("upload.before-send")
		var uploaded storage.Uploaded
		err := u.retry.Do(ctx, func(ctx context.Context, retry bool) (err error) {
			attempt := file.File
			attempt.Doubtful = attempt.Doubtful || retry
			uploaded, err = provider.Upload(ctx, attempt)
			return err
		})
		if err != nil {
			return err
		}
		u.mu.Lock()
		entry.results[i].Pages = append(slices.Clip(entry.results[i].Pages),
			Page{Page: file.Page, ExtraSize: file.ExtraSize, Uploaded: uploaded})
		u.mu.Unlock()
	}
	return nil
}

func deadlineError(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &storage.Error{Class: storage.Stop, Reason: "DeadlineExceeded", Message: "upload did not begin before uploadTimeoutSeconds", Err: ctx.Err()}
	}
	return ctx.Err()
}
