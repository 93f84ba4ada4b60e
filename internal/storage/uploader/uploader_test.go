// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package uploader

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/platen-dev/platen/internal/storage"
)

var job = types.NamespacedName{Namespace: "ns", Name: "card"}

// account is a provider that does what the test says.
type account struct {
	storage.Provider
	mu     sync.Mutex
	files  []storage.File
	upload func(ctx context.Context, n int, f storage.File) error
}

func (a *account) Upload(ctx context.Context, f storage.File) (storage.Uploaded, error) {
	a.mu.Lock()
	a.files = append(a.files, f)
	n := len(a.files)
	a.mu.Unlock()
	return storage.Uploaded{Path: f.Path}, a.upload(ctx, n, f)
}

// start runs an uploader until the test is over; news counts what it tells.
func start(t *testing.T, parallel int) (u *Uploader, news chan types.NamespacedName) {
	t.Helper()
	news = make(chan types.NamespacedName, 100)
	u = New(parallel, storage.DefaultRetryPolicy, func(j types.NamespacedName) { news <- j })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- u.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return u, news
}

func plan(generation int64, timeout time.Duration, a *account, paths ...string) Upload {
	c := Connection{Name: "dropbox", Open: func(context.Context) (storage.Provider, error) { return a, nil }}
	for i, path := range paths {
		c.Files = append(c.Files, File{Page: i + 1, File: storage.File{Path: path}})
	}
	return Upload{Job: job, UID: "uid", Generation: generation, Deadline: time.Now().Add(timeout), Connections: []Connection{c}}
}

func result(t *testing.T, u *Uploader, generation int64) Result {
	t.Helper()
	results, ok := u.Results(job, "uid", generation)
	if !ok || len(results) != 1 {
		t.Fatalf("results %+v, %t", results, ok)
	}
	return results[0]
}

func TestRetriesAreDoubtful(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, news := start(t, 1)
		a := &account{upload: func(_ context.Context, n int, _ storage.File) error {
			if n < 3 {
				return &storage.Error{Class: storage.Retry, Message: "busy", RetryAfter: time.Minute}
			}
			return nil
		}}
		began := time.Now()
		u.Ensure(plan(1, 10*time.Minute, a, "/a.png", "/b.png"))
		u.Ensure(plan(1, 10*time.Minute, a, "/a.png", "/b.png"))
		<-news
		if r := result(t, u, 1); !r.Done || r.Err != nil || len(r.Pages) != 2 || r.Pages[1].Path != "/b.png" {
			t.Errorf("got %+v", r)
		}
		if took := time.Since(began); took < 2*time.Minute {
			t.Errorf("Retry-After was not honoured: %s", took)
		}
		if len(a.files) != 4 || a.files[0].Doubtful || !a.files[1].Doubtful || a.files[3].Doubtful {
			t.Errorf("uploads %+v", a.files)
		}
	})
}

func TestStopClassEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, news := start(t, 1)
		a := &account{upload: func(context.Context, int, storage.File) error {
			return &storage.Error{Class: storage.Stop, Message: "Dropbox is full"}
		}}
		u.Ensure(plan(1, time.Minute, a, "/a.png", "/b.png"))
		<-news
		if r := result(t, u, 1); !r.Done || r.Err == nil || r.Err.Error() != "Dropbox is full" || len(a.files) != 1 {
			t.Errorf("got %+v after %d calls", r, len(a.files))
		}
	})
}

func TestDeadlineKeepsTheLastRealError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, news := start(t, 1)
		a := &account{upload: func(context.Context, int, storage.File) error {
			return &storage.Error{Class: storage.Retry, Message: "Dropbox could not be reached"}
		}}
		began := time.Now()
		u.Ensure(plan(1, time.Minute, a, "/a.png"))
		<-news
		if r := result(t, u, 1); !r.Done || r.Err == nil || r.Err.Error() != "Dropbox could not be reached" {
			t.Errorf("got %+v", r)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("took %s", took)
		}
	})
}

func TestNewerGenerationStopsTheOlder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, news := start(t, 2)
		blocked := &account{upload: func(ctx context.Context, _ int, _ storage.File) error { <-ctx.Done(); return ctx.Err() }}
		free := &account{upload: func(context.Context, int, storage.File) error { return nil }}
		u.Ensure(plan(1, time.Hour, blocked, "/a.png"))
		synctest.Wait()
		u.Ensure(plan(2, time.Hour, free, "/a.png"))
		<-news
		if r := result(t, u, 2); !r.Done || r.Err != nil {
			t.Errorf("got %+v", r)
		}
		if _, ok := u.Results(job, "uid", 1); ok {
			t.Error("the older generation is still known")
		}
		u.Forget(job)
		if _, ok := u.Results(job, "uid", 2); ok {
			t.Error("a forgotten upload is still known")
		}
	})
}

func TestUploadsWaitForASlotAndGiveUpInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, news := start(t, 1)
		blocked := &account{upload: func(ctx context.Context, _ int, _ storage.File) error { <-ctx.Done(); return ctx.Err() }}
		u.Ensure(plan(1, time.Hour, blocked, "/a.png"))
		synctest.Wait()
		second := plan(1, time.Minute, blocked, "/b.png")
		second.Job.Name = "second"
		u.Ensure(second)
		<-news
		results, _ := u.Results(second.Job, "uid", 1)
		problem := (*storage.Error)(nil)
		if !results[0].Done || !errors.As(results[0].Err, &problem) || problem.Reason != "DeadlineExceeded" {
			t.Errorf("got %+v", results)
		}
	})
}
