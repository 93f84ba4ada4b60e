// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package model

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/platen-dev/platen/internal/storage"
)

// account is the users' storage account.
type account struct {
	w *world

	mu    sync.Mutex
	files map[string]*uploaded
	// uploading counts the calls of Upload that run.
	uploading map[string]int
}

// uploaded is a file of the account.
type uploaded struct {
	sum string
	// revisions are the times at which its content has changed.
	revisions []time.Time
	// calls counts the uploads of the file, those that changed nothing too.
	calls int
}

// provider is a process's client of the account.
type provider struct {
	p *process
	// folder keeps the connections of a namespace apart.
	root string
}

var _ storage.Provider = &provider{}

// Key implements storage.Provider.
func (a *provider) Key() string { return "account" + a.root }

// Limits implements storage.Provider.
func (*provider) Limits() storage.Limits { return storage.Limits{Files: 3, Bytes: 1 << 20} }

// Verify implements storage.Provider.
func (a *provider) Verify(ctx context.Context) (storage.Account, error) {
	if err := a.p.reach(ctx, "verify "+a.root); err != nil {
		return storage.Account{}, failure(err)
	}
	if a.isRevoked() {
		return storage.Account{}, errRevoked
	}
	return storage.Account{ID: a.root, Email: "user@example.com", DisplayName: "User"}, nil
}

// EnsureFolder implements storage.Provider.
func (a *provider) EnsureFolder(ctx context.Context, folder string) error {
	if err := a.p.reach(ctx, "folder "+folder); err != nil {
		return failure(err)
	}
	return nil
}

func (a *provider) isRevoked() bool { return a.p.w.elapsed() < a.p.w.plan.revoked }

var errRevoked = &storage.Error{Class: storage.Stop, Reason: storage.ReasonTokenExpired, Message: "Token expired", Account: true}

// failure is the error of a call that did not come back.
func failure(err error) *storage.Error {
	return &storage.Error{Class: storage.Retry, Reason: storage.ReasonUnexpected, Message: "The service did not answer", Doubt: true, Err: err}
}

// Upload implements storage.Provider.
func (a *provider) Upload(ctx context.Context, files []*storage.File) []storage.Result {
	w := a.p.w
	if limit := a.Limits(); len(files) > limit.Files {
		w.violate("limits hold", "Upload of %d files", len(files))
	}
	a.begin(1)
	defer a.begin(-1)
	results := make([]storage.Result, len(files))
	for i, f := range files {
		results[i] = a.upload(ctx, f)
	}
	return results
}

// begin checks that an account has one call of Upload at a time in one process.
func (a *provider) begin(delta int) {
	w := a.p.w
	key := a.p.String() + a.Key()
	w.account.mu.Lock()
	defer w.account.mu.Unlock()
	w.account.uploading[key] += delta
	if n := w.account.uploading[key]; n > 1 {
		w.mu.Lock()
		w.broken = append(w.broken, fmt.Sprintf("one call an account: %d calls of Upload for %s", n, key))
		w.mu.Unlock()
	}
}

func (a *provider) upload(ctx context.Context, f *storage.File) storage.Result {
	w, path := a.p.w, a.root+f.Path
	fail := func(problem *storage.Error) storage.Result { return storage.Result{Path: f.Path, Err: problem} }
	what := "upload " + path
	if err := a.p.reach(ctx, "begin "+what); err != nil { // uploads of one file to several places read it at different moments
		return fail(failure(err))
	}
	r, err := f.Open(ctx, 0, f.Size)
	if err != nil {
		return fail(failure(err))
	}
	data, err := io.ReadAll(r)
	_ = r.Close()
	if err == nil && int64(len(data)) != f.Size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fail(failure(err))
	}
	switch {
	case a.isRevoked():
		return fail(errRevoked)
	case w.happens(w.plan.hangUpload, "hang "+what):
		w.trace("%s %s: hangs", a.p, what)
		<-ctx.Done()
		return fail(failure(ctx.Err()))
	case w.happens(w.plan.refuse, "refuse "+what):
		w.trace("%s %s: refused", a.p, what)
		return fail(&storage.Error{Class: storage.Stop, Reason: storage.ReasonPathNotAllowed, Message: "The path is not allowed"})
	case w.happens(w.plan.retry, "retry "+what):
		w.trace("%s %s: too many requests", a.p, what)
		return fail(&storage.Error{
			Class: storage.Retry, Reason: storage.ReasonRateLimited, Message: "Too many requests", Account: true,
			RetryAfter: w.between("retry after of "+what, time.Second, 10*time.Second),
		})
	}
	sum := sha256.Sum256(data)
	err = w.effect(ctx, a.p, what, nil, func() error { w.account.commit(path, hex.EncodeToString(sum[:])); return nil })
	if err == nil && w.happens(w.plan.loseUpload, "lose "+what) {
		w.trace("%s %s: the answer is lost", a.p, what)
		err = errLost
	}
	if err != nil {
		return fail(failure(err))
	}
	return storage.Result{Path: f.Path, ContentHash: f.ContentHash}
}

// commit puts a file at its path. It changes nothing if the content is there.
func (a *account) commit(path, sum string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.files[path]
	if f == nil {
		f = &uploaded{}
		a.files[path] = f
	}
	f.calls++
	if f.sum != sum {
		f.sum, f.revisions = sum, append(f.revisions, time.Now())
	}
}
