// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package uploader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/storage"
)

// fakeProvider gives the test's answers and records its calls.
type fakeProvider struct {
	storage.Provider
	key    string
	limits storage.Limits
	// upload and stage return the error of one file in the n-th call; nil functions return none.
	upload func(ctx context.Context, n int, f *storage.File) error
	stage  func(ctx context.Context, n int, f *storage.File) error

	mu       sync.Mutex
	calls    []string
	inFlight int
}

func (a *fakeProvider) Key() string            { return a.key }
func (a *fakeProvider) Limits() storage.Limits { return a.limits }

// record adds a call to the list and returns its number. A doubtful path ends with ?, a path with a session with *.
func (a *fakeProvider) record(what string, files []*storage.File) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	names := make([]string, 0, len(files))
	for _, f := range files {
		name := f.Path
		if f.Doubtful {
			name += "?"
		}
		if f.Session != nil {
			name += "*"
		}
		names = append(names, name)
	}
	a.calls = append(a.calls, what+" "+strings.Join(names, " "))
	return len(a.calls)
}

func (a *fakeProvider) Upload(ctx context.Context, files []*storage.File) []storage.Result {
	n := a.record("upload", files)
	a.mu.Lock()
	a.inFlight++
	if a.inFlight > 1 {
		panic("two commits of one account at a time")
	}
	a.mu.Unlock()
	results := make([]storage.Result, len(files))
	for i, f := range files {
		results[i].Path = f.Path
		if a.upload != nil {
			results[i].Err = a.upload(ctx, n, f)
		}
	}
	a.mu.Lock()
	a.inFlight--
	a.mu.Unlock()
	return results
}

// recorded returns the calls so far.
func (a *fakeProvider) recorded() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.calls)
}

// fakeStager is a fakeProvider that stages.
type fakeStager struct{ *fakeProvider }

func (s fakeStager) Stage(ctx context.Context, files []*storage.File) []error {
	n := s.record("stage", files)
	errs := make([]error, len(files))
	for i, f := range files {
		if s.stage != nil {
			errs[i] = s.stage(ctx, n, f)
		}
		if errs[i] == nil {
			f.Session = "staged"
		}
	}
	return errs
}

// noMetrics is an Observer that does nothing.
type noMetrics struct{}

func (noMetrics) Dequeued(time.Duration)        {}
func (noMetrics) Settled(string, time.Duration) {}
func (noMetrics) Retried(string)                {}
func (noMetrics) QueueChanged(int)              {}

// start runs an uploader until the test ends; changed receives the jobs that it reports.
func start(t *testing.T, parallel int) (u *Uploader, changed chan types.NamespacedName) {
	t.Helper()
	changed = make(chan types.NamespacedName, 1000)
	u = New(Options{Parallel: parallel, Retry: storage.DefaultRetryPolicy, Changed: func(j types.NamespacedName) { changed <- j }, Observer: noMetrics{}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- u.Start(ctx) }()
	synctest.Wait()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return u, changed
}

// plan returns a complete upload of files with one byte each, with a deadline in ten minutes.
func plan(job string, provider storage.Provider, paths ...string) Upload {
	c := Connection{Name: "dropbox", Open: func(context.Context) (storage.Provider, error) { return provider, nil }}
	for i, path := range paths {
		c.Files = append(c.Files, storage.File{
			File: file.File{ID: file.ID{Page: i + 1}, Size: 1, ContentHash: path}, Path: path,
			Open: func(context.Context, int64, int64) (io.ReadCloser, error) { return nil, errors.New("not read") },
		})
	}
	return Upload{
		Job: types.NamespacedName{Namespace: "ns", Name: job}, UID: types.UID(job), Revision: "1",
		Deadline: time.Now().Add(10 * time.Minute), Connections: []Connection{c}, Complete: true,
	}
}

// result returns the result of an upload's only connection.
func result(t *testing.T, u *Uploader, up Upload) Result {
	t.Helper()
	results, ok := u.Results(up.Job, up.UID, up.Revision)
	if !ok || len(results) != 1 {
		t.Fatalf("results %+v, %t", results, ok)
	}
	return results[0]
}

// expectCalls compares the recorded calls.
func expectCalls(t *testing.T, a *fakeProvider, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, a.recorded()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestFilesOfOneJobGoTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, changed := start(t, 1)
		a := &fakeProvider{limits: storage.Limits{Files: 10}}
		up := plan("card", a, "/1", "/2", "/3")
		u.Ensure(up)
		u.Ensure(up)
		<-changed
		expectCalls(t, a, "upload /1 /2 /3")
		if r := result(t, u, up); !r.Done || r.Err != nil || len(r.Files) != 3 || r.Files[2].Path != "/3" {
			t.Errorf("got %+v", r)
		}
	})
}

func TestNextCommitTakesAllThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, changed := start(t, 4)
		a := &fakeProvider{limits: storage.Limits{Files: 3}, upload: func(context.Context, int, *storage.File) error {
			time.Sleep(time.Second)
			return nil
		}}
		for i := range 5 {
			u.Ensure(plan(fmt.Sprint("job", i), a, fmt.Sprint("/", i)))
			synctest.Wait()
		}
		for range 5 {
			<-changed
		}
		expectCalls(t, a, "upload /0", "upload /1 /2 /3", "upload /4")
	})
}

// Two namespaces upload to one account, each through its own client.
func TestNamespacesOfOneAccountTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, changed := start(t, 4)
		var order []string
		upload := func(_ context.Context, _ int, f *storage.File) error {
			time.Sleep(time.Second)
			order = append(order, f.Path) // one call at a time
			return nil
		}
		clients := map[string]*fakeProvider{}
		for _, namespace := range []string{"a", "b", "c"} {
			clients[namespace] = &fakeProvider{key: "team", limits: storage.Limits{Files: 1}, upload: upload}
		}
		for i, namespace := range strings.Split("aaaaabbc", "") {
			up := plan(fmt.Sprint("job", i), clients[namespace], "/"+namespace)
			up.Job.Namespace = namespace
			u.Ensure(up)
			synctest.Wait()
		}
		for range 8 {
			<-changed
		}
		if got := strings.Join(order, ""); got != "/a/b/c/a/b/a/a/a" {
			t.Errorf("the files went in the order %s", got)
		}
	})
}

func TestCommitHasNoPathTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, changed := start(t, 4)
		a := &fakeProvider{limits: storage.Limits{Files: 9}}
		u.Ensure(plan("a", a, "/Card.png", "/x"))
		u.Ensure(plan("b", a, "/card.PNG"))
		<-changed
		<-changed
		for _, call := range a.recorded() {
			if strings.Count(strings.ToLower(call), "/card.png") > 1 {
				t.Errorf("calls %q", a.recorded())
			}
		}
	})
}

func TestAccountsDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, changed := start(t, 2)
		busy := &fakeProvider{key: "busy", limits: storage.Limits{Files: 9}, upload: func(_ context.Context, n int, _ *storage.File) error {
			if n == 1 {
				return &storage.Error{Class: storage.Retry, Account: true, Message: "slow down", RetryAfter: 5 * time.Minute}
			}
			return nil
		}}
		held := plan("held", busy, "/a")
		u.Ensure(held)
		synctest.Wait()
		began := time.Now()
		free := plan("free", &fakeProvider{key: "free", limits: storage.Limits{Files: 9}}, "/a")
		u.Ensure(free)
		late := plan("late", busy, "/b")
		u.Ensure(late)
		if job := <-changed; job != free.Job || time.Since(began) > 0 {
			t.Errorf("%s was first, after %s", job, time.Since(began))
		}
		<-changed
		<-changed
		if took := time.Since(began); took < 5*time.Minute {
			t.Errorf("the account was called again after %s only", took)
		}
		expectCalls(t, busy, "upload /a", "upload /a /b")
	})
}

func TestOnlyDoubtMakesAFileDoubtful(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, changed := start(t, 1)
		a := &fakeProvider{limits: storage.Limits{Files: 9}, upload: func(_ context.Context, n int, _ *storage.File) error {
			switch n {
			case 1:
				return &storage.Error{Class: storage.Retry, Message: "busy"}
			case 2:
				return &storage.Error{Class: storage.Retry, Message: "no answer", Doubt: true, Account: true}
			default:
				return nil
			}
		}}
		up := plan("card", a, "/1")
		u.Ensure(up)
		<-changed
		expectCalls(t, a, "upload /1", "upload /1", "upload /1?")
	})
}

func TestStopOfOneFileLeavesTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, changed := start(t, 1)
		a := &fakeProvider{limits: storage.Limits{Files: 9}, upload: func(_ context.Context, _ int, f *storage.File) error {
			if f.Path == "/2" {
				return &storage.Error{Class: storage.Stop, Message: "Folder or file name not allowed: /2"}
			}
			return nil
		}}
		up := plan("card", a, "/1", "/2", "/3")
		u.Ensure(up)
		<-changed
		r := result(t, u, up)
		if !r.Done || r.Err == nil || r.Files[0].Err != nil || r.Files[1].Err == nil || r.Files[2].Err != nil {
			t.Errorf("got %+v", r)
		}
		expectCalls(t, a, "upload /1 /2 /3")
	})
}

func TestStopOfTheAccountEndsAllThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, changed := start(t, 1)
		a := &fakeProvider{limits: storage.Limits{Files: 1}, upload: func(context.Context, int, *storage.File) error {
			return &storage.Error{Class: storage.Stop, Account: true, Message: "Token expired"}
		}}
		up := plan("card", a, "/1", "/2", "/3")
		u.Ensure(up)
		<-changed
		if r := result(t, u, up); !r.Done || len(r.Files) != 3 || r.Err == nil || r.Err.Error() != "Token expired" {
			t.Errorf("got %+v", r)
		}
		expectCalls(t, a, "upload /1")
	})
}

func TestDeadlineKeepsTheLastRealError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, changed := start(t, 1)
		a := &fakeProvider{limits: storage.Limits{Files: 9}, upload: func(context.Context, int, *storage.File) error {
			return &storage.Error{Class: storage.Retry, Message: "Dropbox could not be reached"}
		}}
		began := time.Now()
		up := plan("card", a, "/a")
		u.Ensure(up)
		<-changed
		if r := result(t, u, up); !r.Done || r.Err == nil || r.Err.Error() != "Dropbox could not be reached" {
			t.Errorf("got %+v", r)
		}
		if took := time.Since(began); took > 10*time.Minute {
			t.Errorf("took %s", took)
		}
	})
}

// TestServiceThatAsksForALongPause lets a service ask for more time than uploads have. They fail with what it says, also those that come meanwhile,
// and none of them calls it.
func TestServiceThatAsksForALongPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, changed := start(t, 1)
		a := &fakeProvider{limits: storage.Limits{Files: 9}, upload: func(_ context.Context, n int, _ *storage.File) error {
			if n > 1 {
				return nil
			}
			return &storage.Error{Class: storage.Retry, Reason: storage.ReasonRateLimited, Message: "Slow down", RetryAfter: time.Hour, Account: true}
		}}
		u.Ensure(plan("first", a, "/a"))
		<-changed
		meanwhile := plan("meanwhile", a, "/b")
		u.Ensure(meanwhile)
		<-changed
		if r := result(t, u, meanwhile); !r.Done || storage.AsError(r.Err).Reason != storage.ReasonRateLimited {
			t.Errorf("meanwhile: %+v", r)
		}
		time.Sleep(45 * time.Minute)
		later := plan("later", a, "/c") // its ten minutes end after the pause
		u.Ensure(later)
		<-changed
		if r := result(t, u, later); !r.Done || r.Err != nil {
			t.Errorf("later: %+v", r)
		}
		expectCalls(t, a, "upload /a", "upload /c")
	})
}

func TestUploadThatGetsNoSlotEndsAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, changed := start(t, 1)
		blocked := &fakeProvider{key: "blocked", limits: storage.Limits{Files: 9}, upload: func(ctx context.Context, _ int, _ *storage.File) error {
			for ctx.Err() == nil {
				time.Sleep(time.Second)
				storage.Progress(ctx)
			}
			return ctx.Err()
		}}
		u.Ensure(plan("first", blocked, "/a"))
		synctest.Wait()
		second := plan("second", &fakeProvider{key: "other", limits: storage.Limits{Files: 9}}, "/b")
		u.Ensure(second)
		<-changed
		problem := (*storage.Error)(nil)
		if r := result(t, u, second); !r.Done || !errors.As(r.Err, &problem) || problem.Reason != storage.ReasonDeadlineExceeded {
			t.Errorf("got %+v", r)
		}
	})
}

func TestNewerRevisionWaitsForTheCallInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, changed := start(t, 2)
		a := &fakeProvider{limits: storage.Limits{Files: 9}, upload: func(context.Context, int, *storage.File) error {
			time.Sleep(time.Minute)
			return nil
		}}
		older := plan("card", a, "/a")
		u.Ensure(older)
		synctest.Wait()
		newer := plan("card", a, "/a")
		newer.Revision = "2"
		began := time.Now()
		u.Ensure(newer)
		<-changed
		if r := result(t, u, newer); !r.Done || r.Err != nil || time.Since(began) < 2*time.Minute {
			t.Errorf("got %+v after %s", r, time.Since(began))
		}
		if _, ok := u.Results(older.Job, older.UID, older.Revision); ok {
			t.Error("the older revision is still known")
		}
		u.Forget(newer.Job)
		if _, ok := u.Results(newer.Job, newer.UID, newer.Revision); ok {
			t.Error("a forgotten upload is still known")
		}
	})
}

func TestOtherRevisionsAreForgottenAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, _ := start(t, 1)
		a := &fakeProvider{limits: storage.Limits{Files: 9}, upload: func(ctx context.Context, _ int, _ *storage.File) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		up := plan("card", a, "/a")
		u.Ensure(up)
		synctest.Wait()
		u.ForgetOthers(up.Job, up.UID, up.Revision)
		if _, ok := u.Results(up.Job, up.UID, up.Revision); !ok {
			t.Error("the present revision is forgotten")
		}
		u.ForgetOthers(up.Job, up.UID, "2")
		if _, ok := u.Results(up.Job, up.UID, up.Revision); ok {
			t.Error("an older revision is still uploaded")
		}
	})
}

func TestForgottenUploadsLeaveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, _ := start(t, 1)
		a := &fakeProvider{limits: storage.Limits{Files: 9}, upload: func(context.Context, int, *storage.File) error {
			return &storage.Error{Class: storage.Retry, Message: "slow down", Account: true, RetryAfter: time.Minute}
		}}
		up := plan("card", a, "/a")
		u.Ensure(up)
		synctest.Wait()
		u.Forget(up.Job)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		expectCalls(t, a, "upload /a")
		u.mu.Lock()
		defer u.mu.Unlock()
		if left := len(u.uploads) + len(u.accounts) + len(u.limits) + len(u.due); left > 0 {
			t.Errorf("%d uploads, %d accounts, %d limits and %d machines are left", len(u.uploads), len(u.accounts), len(u.limits), len(u.due))
		}
	})
}

func TestOpenIsRetriedUntilItSucceedsOrCannot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, changed := start(t, 1)
		a := &fakeProvider{limits: storage.Limits{Files: 9}}
		up := plan("card", a, "/a")
		tries := 0
		up.Connections[0].Open = func(context.Context) (storage.Provider, error) {
			if tries++; tries < 3 {
				return nil, &storage.Error{Class: storage.Retry, Message: "Secret could not be read"}
			}
			return a, nil
		}
		u.Ensure(up)
		<-changed
		if r := result(t, u, up); !r.Done || r.Err != nil || tries != 3 {
			t.Errorf("got %+v after %d tries", r, tries)
		}
		refused := plan("other", a, "/a")
		refused.Connections[0].Open = func(context.Context) (storage.Provider, error) {
			return nil, &storage.Error{Class: storage.Stop, Message: "Secret 'dropbox' does not exist"}
		}
		u.Ensure(refused)
		<-changed
		if r := result(t, u, refused); !r.Done || r.Err == nil || len(r.Files) != 1 {
			t.Errorf("got %+v", r)
		}
	})
}

func TestPagesAreStagedWhileTheRenderGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, changed := start(t, 4)
		s := fakeStager{&fakeProvider{limits: storage.Limits{Files: 9, Bytes: 10}}}
		up := plan("film", s, "/1", "/2", "/3", "/4")
		whole := up.Connections[0].Files
		upTo := func(n int) {
			part := up
			part.Complete = n == len(whole)
			part.Connections = slices.Clone(up.Connections)
			part.Connections[0].Files = whole[:n]
			u.Ensure(part)
		}
		upTo(1)
		time.Sleep(aheadAge / 2)
		upTo(2)
		if len(s.recorded()) > 0 {
			t.Errorf("calls %q: a short render needs none before its end", s.recorded())
		}
		time.Sleep(aheadAge)
		synctest.Wait()
		upTo(3)
		if _, ok := u.Results(up.Job, up.UID, up.Revision); ok {
			t.Error("an upload that is not complete has results")
		}
		upTo(4)
		<-changed
		expectCalls(t, s.fakeProvider, "stage /1 /2", "upload /1* /2* /3 /4")
	})
}

func TestPageThatIsRenderedAgainIsStagedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, changed := start(t, 4)
		s := fakeStager{&fakeProvider{limits: storage.Limits{Files: 9, Bytes: 10}}}
		up := plan("film", s, "/1", "/2")
		up.Complete = false
		u.Ensure(up)
		time.Sleep(2 * aheadAge)
		synctest.Wait()
		again := plan("film", s, "/1", "/2")
		again.Connections[0].Files[1].ContentHash = "another"
		u.Ensure(again)
		<-changed
		expectCalls(t, s.fakeProvider, "stage /1 /2", "upload /1* /2")
	})
}

// The template may have fewer pages by the time of the attempt that succeeds.
func TestPageThatIsNotRenderedAgainIsNotUploaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, changed := start(t, 4)
		s := fakeStager{&fakeProvider{limits: storage.Limits{Files: 9, Bytes: 10}}}
		up := plan("film", s, "/1", "/2")
		up.Complete = false
		u.Ensure(up)
		time.Sleep(2 * aheadAge)
		synctest.Wait()
		again := plan("film", s, "/1")
		u.Ensure(again)
		<-changed
		expectCalls(t, s.fakeProvider, "stage /1 /2", "upload /1*")
		if r := result(t, u, again); !r.Done || r.Err != nil || len(r.Files) != 1 {
			t.Errorf("got %+v", r)
		}
	})
}

func TestLargeFileDoesNotHoldUpTheAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, changed := start(t, 4)
		s := fakeStager{&fakeProvider{limits: storage.Limits{Files: 9, Bytes: 10}, stage: func(_ context.Context, n int, _ *storage.File) error {
			if n == 1 {
				return &storage.Error{Class: storage.Retry, Message: "no answer", Doubt: true}
			}
			time.Sleep(time.Minute)
			return nil
		}}}
		film := plan("film", s, "/film")
		film.Connections[0].Files[0].Size = 1000
		u.Ensure(film)
		time.Sleep(time.Second)
		card := plan("card", s, "/card")
		u.Ensure(card)
		if job := <-changed; job != card.Job {
			t.Errorf("%s was first", job)
		}
		<-changed
		expectCalls(t, s.fakeProvider, "stage /film", "stage /film", "upload /card", "upload /film*")
	})
}

func TestRefusalWhileStagingAheadIsReportedAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, changed := start(t, 4)
		s := fakeStager{&fakeProvider{limits: storage.Limits{Files: 9, Bytes: 10}, stage: func(context.Context, int, *storage.File) error {
			return &storage.Error{Class: storage.Stop, Account: true, Message: "App lacks scope files.content.write"}
		}}}
		up := plan("film", s, "/1", "/2")
		up.Complete = false
		u.Ensure(up)
		time.Sleep(2 * aheadAge)
		synctest.Wait()
		up.Complete = true
		u.Ensure(up)
		<-changed
		if r := result(t, u, up); !r.Done || r.Err == nil || len(r.Files) != 2 {
			t.Errorf("got %+v", r)
		}
		expectCalls(t, s.fakeProvider, "stage /1 /2")
	})
}

func TestResultSaysHowOftenTheConnectionHadBecomeReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, changed := start(t, 1)
		a := &fakeProvider{limits: storage.Limits{Files: 10}, stage: func(context.Context, int, *storage.File) error {
			return &storage.Error{Class: storage.Stop, Reason: storage.ReasonTokenExpired}
		}}
		up := plan("card", fakeStager{a}, "/1")
		up.Complete, up.Connections[0].UID, up.Connections[0].ReadyCount = false, "first", 1
		u.Ensure(up)
		time.Sleep(aheadAge) // the file is refused
		synctest.Wait()
		up = plan("card", fakeStager{a}, "/1")
		up.Connections[0].UID, up.Connections[0].ReadyCount = "second", 2
		u.Ensure(up)
		<-changed
		if r := result(t, u, up); r.Err == nil || r.ReadyCount != 1 || r.UID != "first" {
			t.Errorf("a file that failed while the connection had become Ready once: got %+v", r)
		}
	})
}

// A provider may say of a file that it cannot read whatever it likes.
func TestFileThatCanNeverBeReadEndsAtOnce(t *testing.T) {
	fails := func(err error) opener {
		return func(context.Context, int64, int64) (io.ReadCloser, error) {
			return nil, fmt.Errorf("%w: by the store", err)
		}
	}
	has := func(data string) opener {
		return func(context.Context, int64, int64) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(data)), nil
		}
	}
	for name, tc := range map[string]struct {
		open opener
		want *storage.Error
	}{
		"it is lost":             {open: fails(storage.ErrContentLost), want: storage.ErrContentLost},
		"it has another size":    {open: fails(storage.ErrContentChanged), want: storage.ErrContentChanged},
		"it ends early":          {open: has("x"), want: storage.ErrContentChanged},
		"it has no bytes at all": {open: has(""), want: storage.ErrContentChanged},
	} {
		for stages, provider := range map[string]func(*fakeProvider) storage.Provider{
			"commit": func(a *fakeProvider) storage.Provider { return a },
			"stage":  func(a *fakeProvider) storage.Provider { return fakeStager{a} },
		} {
			t.Run(name+", "+stages, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					u, changed := start(t, 1)
					isLost := errors.Is(tc.want, storage.ErrContentLost)
					read := func(ctx context.Context, _ int, f *storage.File) error {
						r, err := f.Open(ctx, 0, 2)
						if err == nil {
							_, err = io.ReadAll(r)
						}
						if err != nil {
							return storage.Unreadable(err)
						}
						if isLost { // the render is repeated, and need not wait for the other file
							return &storage.Error{Class: storage.Retry, Reason: storage.ReasonUnavailable}
						}
						return nil
					}
					a := &fakeProvider{limits: storage.Limits{Files: 1, Bytes: 1}, upload: read, stage: read}
					up := plan("card", provider(a), "/1", "/2")
					files := up.Connections[0].Files
					for i := range files {
						files[i].Size = 2
					}
					files[0].Open, files[1].Open = has("xy"), tc.open
					begin := time.Now()
					u.Ensure(up)
					<-changed
					if r := result(t, u, up); time.Since(begin) > time.Minute || r.Done == isLost || !errors.Is(r.Err, tc.want) {
						t.Errorf("after %s: %+v", time.Since(begin), r)
					}
				})
			})
		}
	}
}

// A connection that comes looks before it writes: an earlier one may have led to the same account. The others go on as they are, also when it goes
// again.
func TestConnectionsComeAndGoWithoutTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, changed := start(t, 4)
		a, b := &fakeProvider{key: "a", limits: storage.Limits{Files: 9}}, &fakeProvider{key: "b", limits: storage.Limits{Files: 9}}
		first := plan("card", a, "/1")
		u.Ensure(first)
		<-changed
		both := plan("card", a, "/1")
		other := plan("card", b, "/1").Connections[0]
		other.Name = "other"
		both.Connections = append(both.Connections, other)
		u.Ensure(both)
		<-changed
		results, ok := u.Results(both.Job, both.UID, both.Revision)
		if !ok || len(results) != 2 || !results[0].Done || !results[1].Done || results[1].Name != "other" {
			t.Errorf("got %+v", results)
		}
		expectCalls(t, a, "upload /1")
		expectCalls(t, b, "upload /1?")

		both.Connections = both.Connections[1:]
		u.Ensure(both)
		if results, ok = u.Results(both.Job, both.UID, both.Revision); !ok || len(results) != 1 || !results[0].Done || results[0].Name != "other" {
			t.Errorf("got %+v", results)
		}
		expectCalls(t, b, "upload /1?")
	})
}

func TestACallGoesOnWhenAnotherConnectionGoes(t *testing.T) {
	for name, complete := range map[string]bool{"while the render goes on": false, "after the render": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u, changed := start(t, 4)
				release := make(chan struct{})
				wait := func(context.Context, int, *storage.File) error { <-release; return nil }
				slow := &fakeProvider{key: "slow", limits: storage.Limits{Files: 9, Bytes: 9}, upload: wait, stage: wait}
				gone := &fakeProvider{key: "gone", limits: storage.Limits{Files: 9}}
				up := plan("card", gone, "/1")
				second := plan("card", fakeStager{slow}, "/1").Connections[0]
				second.Name = "slow"
				up.Connections, up.Complete = append(up.Connections, second), complete
				u.Ensure(up)
				time.Sleep(2 * aheadAge)
				up.Connections = up.Connections[1:]
				u.Ensure(up)
				up.Complete = true
				u.Ensure(up)
				close(release)
				synctest.Wait()
				for len(changed) > 0 {
					<-changed
				}
				if r := result(t, u, up); !r.Done || r.Err != nil || r.Name != "slow" {
					t.Errorf("got %+v", r)
				}
				if complete {
					expectCalls(t, slow, "upload /1")
				} else {
					expectCalls(t, slow, "stage /1", "upload /1*")
				}
				u.Forget(up.Job)
				synctest.Wait()
				if n := u.Len(); n != 0 {
					t.Errorf("the engine remembers %d things", n)
				}
			})
		})
	}
}

func TestUploadFollowsAConnectionThatLeadsElsewhere(t *testing.T) {
	unreachable := func(context.Context) (storage.Provider, error) {
		return nil, &storage.Error{Class: storage.Retry, Reason: storage.ReasonUnreachable}
	}
	for name, tc := range map[string]struct {
		first, second func(*Connection, storage.Provider)
		// complete says whether the render has ended before the connection changes.
		complete bool
		want     []string
	}{
		"that could not be opened": {
			first: func(c *Connection, _ storage.Provider) { c.Open = unreachable }, complete: true, want: []string{"upload /1?"},
		},
		"that could not be opened, while the render goes on": {
			first: func(c *Connection, _ storage.Provider) { c.Open = unreachable }, want: []string{"upload /1?"},
		},
		"that refused": {
			first: func(c *Connection, _ storage.Provider) {
				c.Open = func(context.Context) (storage.Provider, error) {
					return nil, &storage.Error{Class: storage.Stop, Reason: storage.ReasonEndpointBlocked}
				}
			},
			complete: true, want: []string{"upload /1?"},
		},
		"that has another folder now": {
			first:  func(c *Connection, _ storage.Provider) { c.Open = unreachable },
			second: func(c *Connection, _ storage.Provider) { c.Files[0].Path = "/other/1" }, complete: true, want: []string{"upload /other/1?"},
		},
		"that has taken the files":          {complete: true, want: []string{"upload /1"}},
		"that is opened, and waits for all": {want: []string{"upload /1?"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u, changed := start(t, 4)
				old, fresh := &fakeProvider{key: "old", limits: storage.Limits{Files: 9}}, &fakeProvider{key: "new", limits: storage.Limits{Files: 9}}
				up := plan("card", old, "/1")
				up.Complete = tc.complete
				if tc.first != nil {
					tc.first(&up.Connections[0], old)
				}
				u.Ensure(up)
				synctest.Wait()
				if diff := cmp.Diff([]types.NamespacedName{up.Job}, u.Jobs(types.NamespacedName{Namespace: up.Job.Namespace, Name: "dropbox"})); diff != "" {
					t.Errorf("jobs (-want +got):\n%s", diff)
				}
				for range len(changed) {
					<-changed
				}
				isDone := tc.complete && tc.first == nil
				up = plan("card", fresh, "/1")
				up.Connections[0].Version = "second"
				if tc.second != nil {
					tc.second(&up.Connections[0], fresh)
				}
				u.Ensure(up)
				if !isDone {
					<-changed
				}
				if r := result(t, u, up); !r.Done || r.Err != nil {
					t.Errorf("got %+v", r)
				}
				if isDone {
					expectCalls(t, old, tc.want...)
				} else {
					expectCalls(t, old)
					expectCalls(t, fresh, tc.want...)
				}
				u.Forget(up.Job)
				synctest.Wait()
				if n := u.Len(); n != 0 {
					t.Errorf("the engine remembers %d things", n)
				}
			})
		})
	}
}

// A call of the old Connection that is in flight may still bring files to the account of the new one: that waits for it and looks first. Another
// Connection, whose upload has succeeded, makes no call again.
func TestAChangedConnectionUploadsNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, changed := start(t, 4)
		release := make(chan struct{})
		old := &fakeProvider{key: "account", limits: storage.Limits{Files: 9}, upload: func(context.Context, int, *storage.File) error {
			<-release
			return nil
		}}
		fresh, other := &fakeProvider{key: "account", limits: storage.Limits{Files: 9}}, &fakeProvider{key: "other", limits: storage.Limits{Files: 9}}
		through := func(first storage.Provider, version string) Upload {
			up, second := plan("card", first, "/1", "/2"), plan("card", other, "/1", "/2").Connections[0]
			up.Connections[0].Version, second.Name = version, "other"
			up.Connections = append(up.Connections, second)
			return up
		}
		u.Ensure(through(old, "first"))
		synctest.Wait()
		<-changed // the other one
		up := through(fresh, "second")
		for range 2 {
			u.Ensure(up)
			synctest.Wait()
		}
		expectCalls(t, fresh)
		close(release)
		<-changed
		results, _ := u.Results(up.Job, up.UID, up.Revision)
		for i := range 2 {
			if len(results) != 2 || !results[i].Done || results[i].Err != nil || len(results[i].Files) != 2 {
				t.Errorf("got %+v", results)
			}
		}
		expectCalls(t, old, "upload /1 /2")
		expectCalls(t, fresh, "upload /1? /2?")
		expectCalls(t, other, "upload /1 /2")
	})
}
