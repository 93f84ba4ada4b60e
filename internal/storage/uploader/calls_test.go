// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package uploader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platen-dev/platen/internal/storage"
)

// hang is an answer that comes when its context ends.
func hang(ctx context.Context, _ int, _ *storage.File) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// in moves an upload to a namespace.
func in(namespace string, up Upload) Upload {
	up.Job.Namespace = namespace
	return up
}

// TestHungServicesHoldUpNobody lets every service of two namespaces hang. A third namespace does not notice the first, and notices both
// together for no longer than a slot takes to be lent.
func TestHungServicesHoldUpNobody(t *testing.T) {
	for hung, delay := range map[int]time.Duration{1: 0, 2: lendAfter} {
		t.Run(fmt.Sprint(hung, " namespaces"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u, changed := start(t, 4)
				for n := range hung {
					for i := range 4 {
						key := fmt.Sprint("hung-", n, "-", i)
						u.Ensure(in(fmt.Sprint("hung-", n), plan(key, &fakeProvider{key: key, limits: storage.Limits{Files: 9}, upload: hang}, "/a")))
					}
				}
				synctest.Wait()
				began := time.Now()
				for i := range 20 {
					up := in("busy", plan(fmt.Sprint("job-", i), &fakeProvider{key: strconv.Itoa(i), limits: storage.Limits{Files: 9}}, "/a"))
					u.Ensure(up)
					if job := <-changed; job != up.Job {
						t.Errorf("%s was first", job)
					}
				}
				if took := time.Since(began); took > delay {
					t.Errorf("the others waited %s, want at most %s", took, delay)
				}
			})
		})
	}
}

// TestSlotsAreFair fills the queue with one namespace's calls. Another's single call is the next.
func TestSlotsAreFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, changed := start(t, 4)
		second := func(context.Context, int, *storage.File) error { time.Sleep(time.Second); return nil }
		for i := range 100 {
			u.Ensure(in("flood", plan(fmt.Sprint("job-", i), &fakeProvider{key: fmt.Sprint("flood", i), limits: storage.Limits{Files: 9}, upload: second}, "/a")))
		}
		synctest.Wait()
		began := time.Now()
		for i := range 3 {
			u.Ensure(in("single", plan(fmt.Sprint("job-", i), &fakeProvider{key: fmt.Sprint("single", i), limits: storage.Limits{Files: 9}, upload: second}, "/a")))
		}
		for n := 0; n < 3; {
			if (<-changed).Namespace == "single" {
				n++
			}
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("three calls of a second took %s", took)
		}
	})
}

// TestCallWithoutProgressEnds lets a service hang for ever. Each call ends, also if the provider takes no notice, and the file fails by its
// deadline. While a call may still take effect, the account makes no other.
func TestCallWithoutProgressEnds(t *testing.T) {
	for name, ignores := range map[string]bool{"the provider gives up": false, "the provider ignores its context": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u, changed := start(t, 1)
				release := make(chan struct{})
				a := &fakeProvider{key: "a", limits: storage.Limits{Files: 9}, upload: func(ctx context.Context, n int, f *storage.File) error {
					switch {
					case n > 1:
						return nil
					case !ignores:
						return hang(ctx, n, f)
					}
					<-release
					f.Session = "late" // the engine must not read it any more
					return nil
				}}
				up := plan("card", a, "/a")
				began := time.Now()
				u.Ensure(up)
				time.Sleep(patience + returnTimeout + time.Minute)
				synctest.Wait()
				if n := len(a.recorded()); ignores != (n == 1) {
					t.Errorf("%d calls", n)
				}
				other := plan("other", &fakeProvider{key: "b", limits: storage.Limits{Files: 9}}, "/a")
				u.Ensure(other)
				for job := range changed {
					if job == other.Job {
						break
					}
				}
				if !ignores {
					if r := result(t, u, up); !r.Done || r.Err != nil {
						t.Errorf("got %+v", r)
					}
					expectCalls(t, a, "upload /a", "upload /a?")
					return
				}
				time.Sleep(time.Until(began.Add(11 * time.Minute)))
				synctest.Wait()
				problem := (*storage.Error)(nil)
				if r := result(t, u, up); !r.Done || !errors.As(r.Err, &problem) || problem.Reason != storage.ReasonUnreachable {
					t.Errorf("got %+v", r)
				}
				close(release)
				synctest.Wait()
				again := plan("again", a, "/a")
				u.Ensure(again)
				for job := range changed {
					if job == again.Job {
						break
					}
				}
				expectCalls(t, a, "upload /a", "upload /a")
			})
		})
	}
}

// TestSupersededCallIsCanceled replaces an upload while a call reads its file, a byte a second. The call ends at once, so that it does not
// bring the old file to its path, and the new upload follows.
func TestSupersededCallIsCanceled(t *testing.T) {
	for name, stages := range map[string]bool{"commit": false, "stage": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u, changed := start(t, 4)
				read := func(ctx context.Context, n int, f *storage.File) error {
					if n > 1 {
						return nil
					}
					r, err := f.Open(ctx, 0, f.Size)
					if err != nil {
						return err
					}
					for buffer := make([]byte, 1); ctx.Err() == nil; time.Sleep(time.Second) {
						storage.Progress(ctx)
						if _, err := r.Read(buffer); err != nil {
							return err
						}
					}
					return ctx.Err()
				}
				provider := &fakeProvider{limits: storage.Limits{Files: 9, Bytes: 1}, stage: read}
				if !stages {
					provider = &fakeProvider{limits: storage.Limits{Files: 9}, upload: read}
				}
				plan := func(revision string) Upload {
					up := plan("card", fakeStager{provider}, "/a")
					if !stages {
						up = plan("card", provider, "/a")
					}
					up.Revision = revision
					up.Connections[0].Files[0].Size = 300
					up.Connections[0].Files[0].Open = func(context.Context, int64, int64) (io.ReadCloser, error) {
						return io.NopCloser(bytes.NewReader(make([]byte, 300))), nil
					}
					return up
				}
				u.Ensure(plan("1"))
				time.Sleep(10 * time.Second)
				began := time.Now()
				newer := plan("2")
				u.Ensure(newer)
				<-changed
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("the newer upload waited for %s", took)
				}
				if r := result(t, u, newer); !r.Done || r.Err != nil {
					t.Errorf("got %+v", r)
				}
			})
		})
	}
}

// TestDeadlineEndsACallThatGoesOn lets a call make progress for longer than its files may take.
func TestDeadlineEndsACallThatGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, changed := start(t, 1)
		a := &fakeProvider{limits: storage.Limits{Files: 9}, upload: func(ctx context.Context, _ int, _ *storage.File) error {
			for ctx.Err() == nil {
				time.Sleep(time.Second)
				storage.Progress(ctx)
			}
			return storage.AsError(ctx.Err())
		}}
		began := time.Now()
		up := plan("card", a, "/a")
		u.Ensure(up)
		<-changed
		if took := time.Since(began); took > 10*time.Minute+overtime+time.Second {
			t.Errorf("took %s", took)
		}
		if r := result(t, u, up); !r.Done || r.Err == nil {
			t.Errorf("got %+v", r)
		}
	})
}

func TestNamespaceTakesASlotOnlyOnceItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(2)
		order := make(chan string, 10)
		held := map[string]*slot{}
		for _, name := range []string{"a/1", "a/1", "a/2", "b/1"} {
			synctest.Wait()
			go func() {
				if mine := s.acquire(t.Context(), name[:1], name); mine != nil {
					s.mu.Lock()
					held[name] = mine
					s.mu.Unlock()
					order <- name
				}
			}()
		}
		synctest.Wait()
		got := []string{<-order, <-order, ""}
		s.release(held["a/1"])
		got[2] = <-order
		if diff := cmp.Diff([]string{"a/1", "b/1", "a/1"}, got); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if s.acquire(ctx, "c", "c/1") != nil || len(s.waiting) != 1 {
			t.Errorf("%d wait", len(s.waiting))
		}
		s.release(held["a/1"])
		<-order
	})
}
