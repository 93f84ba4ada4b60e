// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	// launchTime is how long a fake process takes to start.
	launchTime = time.Second
	// closeTime is how long a fake process or tab takes to close.
	closeTime = time.Millisecond
)

// fakeProcess is a process that only records what happens to it.
type fakeProcess struct {
	fakes *fakeProcesses
	name  string
	lost  chan struct{}
	end   sync.Once
	// held is what the meter measures.
	held atomic.Int64
}

func (p *fakeProcess) Lost() <-chan struct{} { return p.lost }
func (p *fakeProcess) Meter() func() int64   { return p.held.Load }
func (p *fakeProcess) Kill()                 { p.fakes.record("kill " + p.name); p.crash() }
func (p *fakeProcess) Close()                { time.Sleep(closeTime); p.fakes.record("close " + p.name); p.crash() }

// crash ends the process on its own.
func (p *fakeProcess) crash() { p.end.Do(func() { close(p.lost) }) }

// fakeProcesses launches fake processes for a supervisor.
type fakeProcesses struct {
	mu     sync.Mutex
	events []string
	count  int
	// fail is the error of the next launches.
	fail error
}

func (f *fakeProcesses) record(event string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, event)
}

func (f *fakeProcesses) launch(ctx context.Context) (*fakeProcess, error) {
	f.mu.Lock()
	f.count++
	name, fail := fmt.Sprint(f.count), f.fail
	f.mu.Unlock()
	f.record("launch " + name)
	select {
	case <-time.After(launchTime):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if fail != nil {
		return nil, fail
	}
	return &fakeProcess{fakes: f, name: name, lost: make(chan struct{})}, nil
}

// expect compares all events since the last call, once every process that is being closed is closed.
func (f *fakeProcesses) expect(t *testing.T, want ...string) {
	t.Helper()
	time.Sleep(2 * closeTime)
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	if diff := cmp.Diff(want, f.events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	f.events = nil
}

func acquire(t *testing.T, s *supervisor[*fakeProcess]) (p *fakeProcess, release func()) {
	t.Helper()
	p, release, err := s.acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p, release
}

// TestSupervisor runs each case in a bubble of its own with a clock of its own. The bubble fails when a goroutine is left behind.
func TestSupervisor(t *testing.T) {
	const maxRenders, maxMemory = 2, 1000
	for name, test := range map[string]func(t *testing.T, s *supervisor[*fakeProcess], f *fakeProcesses){
		"nothing runs before the first render": func(t *testing.T, s *supervisor[*fakeProcess], f *fakeProcesses) {
			if p := s.running(); p != nil {
				t.Errorf("process %s runs", p.name)
			}
			f.expect(t)
		},
		"concurrent first renders share one launch": func(t *testing.T, s *supervisor[*fakeProcess], f *fakeProcesses) {
			var group sync.WaitGroup
			for range 5 {
				group.Go(func() {
					p, release := acquire(t, s)
					if p.name != "1" {
						t.Errorf("got process %s", p.name)
					}
					time.Sleep(time.Minute)
					if s.running() != p {
						t.Error("another process runs")
					}
					release()
				})
			}
			synctest.Wait()
			time.Sleep(2 * launchTime)
			f.expect(t, "launch 1")
			group.Wait()
		},
		"start counts no render": func(t *testing.T, s *supervisor[*fakeProcess], f *fakeProcesses) {
			for range 2 * maxRenders {
				if _, err := s.start(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			f.expect(t, "launch 1")
		},
		"a failed launch fails all who wait for it, and no later render": func(t *testing.T, s *supervisor[*fakeProcess], f *fakeProcesses) {
			f.fail = errors.New("no library")
			var group sync.WaitGroup
			for range 3 {
				group.Go(func() {
					if _, _, err := s.acquire(t.Context()); !errors.Is(err, f.fail) {
						t.Errorf("got %v", err)
					}
				})
			}
			group.Wait()
			f.fail = nil
			p, release := acquire(t, s)
			release()
			if p.name != "2" {
				t.Errorf("got process %s", p.name)
			}
			f.expect(t, "launch 1", "launch 2")
		},
		"a render that gives up does not stop the launch": func(t *testing.T, s *supervisor[*fakeProcess], f *fakeProcesses) {
			ctx, cancel := context.WithTimeout(t.Context(), launchTime/2)
			defer cancel()
			if _, _, err := s.acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			_, release := acquire(t, s)
			release()
			f.expect(t, "launch 1")
		},
		"a launch takes no longer than its limit": func(t *testing.T, s *supervisor[*fakeProcess], _ *fakeProcesses) {
			s.launch = func(ctx context.Context) (*fakeProcess, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			began := time.Now()
			if _, _, err := s.acquire(t.Context()); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != startTimeout {
				t.Errorf("got %v after %s", err, time.Since(began))
			}
		},
		"after a crash during a render, the next render gets another process": func(t *testing.T, s *supervisor[*fakeProcess], f *fakeProcesses) {
			first, release := acquire(t, s)
			first.crash()
			if p := s.running(); p != nil {
				t.Errorf("process %s runs", p.name)
			}
			second, releaseSecond := acquire(t, s) // before the first render has noticed
			release()
			releaseSecond()
			if second.name != "2" {
				t.Errorf("got process %s", second.name)
			}
			f.expect(t, "launch 1", "close 1", "launch 2")
		},
		"a process that crashes at once fails its render only": func(t *testing.T, s *supervisor[*fakeProcess], f *fakeProcesses) {
			launch := s.launch
			s.launch = func(ctx context.Context) (*fakeProcess, error) {
				p, err := launch(ctx)
				if p.name == "1" {
					p.crash()
				}
				return p, err
			}
			first, release := acquire(t, s)
			release()
			second, release := acquire(t, s)
			release()
			if first.name != "1" || second.name != "2" {
				t.Errorf("got processes %s and %s", first.name, second.name)
			}
			f.expect(t, "launch 1", "close 1", "launch 2")
		},
		"a process is replaced after its renders": func(t *testing.T, s *supervisor[*fakeProcess], f *fakeProcesses) {
			for range maxRenders {
				_, release := acquire(t, s)
				release()
			}
			p, release := acquire(t, s) // during the launch of the other
			if p.name != "1" {
				t.Errorf("got process %s", p.name)
			}
			f.expect(t, "launch 1", "launch 2")
			time.Sleep(2 * launchTime)
			if p := s.running(); p.name != "2" {
				t.Errorf("process %s runs", p.name)
			}
			f.expect(t)
			release()
			f.expect(t, "close 1")
			time.Sleep(2 * launchTime)
			f.expect(t) // what process 1 served does not count for process 2
		},
		"a replaced process serves all its renders": func(t *testing.T, s *supervisor[*fakeProcess], f *fakeProcesses) {
			_, release := acquire(t, s)
			_, releaseOther := acquire(t, s)
			for range maxRenders {
				_, release := acquire(t, s)
				release()
			}
			time.Sleep(2 * launchTime)
			release()
			f.expect(t, "launch 1", "launch 2")
			releaseOther()
			f.expect(t, "close 1")
		},
		"one replacement is launched at a time": func(t *testing.T, s *supervisor[*fakeProcess], f *fakeProcesses) {
			for range 3 * maxRenders {
				_, release := acquire(t, s)
				release()
			}
			time.Sleep(2 * launchTime)
			f.expect(t, "launch 1", "launch 2", "close 1")
		},
		"a replaced process without a render is closed at once": func(t *testing.T, s *supervisor[*fakeProcess], f *fakeProcesses) {
			for range maxRenders {
				_, release := acquire(t, s)
				release()
			}
			time.Sleep(2 * launchTime)
			f.expect(t, "launch 1", "launch 2", "close 1")
		},
		"a process that cannot be replaced goes on": func(t *testing.T, s *supervisor[*fakeProcess], f *fakeProcesses) {
			_, release := acquire(t, s)
			f.fail = errors.New("no memory")
			release()
			for range 2 * maxRenders {
				p, release := acquire(t, s)
				if p.name != "1" {
					t.Errorf("got process %s", p.name)
				}
				time.Sleep(2 * launchTime)
				release()
			}
			f.expect(t, "launch 1", "launch 2", "launch 3")
		},
		"a crash during the launch of a replacement": func(t *testing.T, s *supervisor[*fakeProcess], f *fakeProcesses) {
			for range maxRenders {
				_, release := acquire(t, s)
				release()
			}
			s.running().crash()
			p, release := acquire(t, s)
			release()
			if p.name != "2" {
				t.Errorf("got process %s", p.name)
			}
			f.expect(t, "launch 1", "launch 2", "close 1")
		},
		"close during a render": func(t *testing.T, s *supervisor[*fakeProcess], f *fakeProcesses) {
			_, release := acquire(t, s)
			s.close()
			f.expect(t, "launch 1", "close 1")
			release()
			if _, _, err := s.acquire(t.Context()); !errors.Is(err, errClosed) {
				t.Errorf("got %v", err)
			}
			f.expect(t)
		},
		"close ends replaced processes too": func(t *testing.T, s *supervisor[*fakeProcess], f *fakeProcesses) {
			_, release := acquire(t, s)
			for range maxRenders {
				_, release := acquire(t, s)
				release()
			}
			time.Sleep(2 * launchTime)
			first, second := s.running().name, len(s.users)
			if first != "2" || second != 2 {
				t.Errorf("process %s runs, %d are open", first, second)
			}
			s.close()
			for p := range s.users {
				t.Errorf("process %s is open", p.name)
			}
			release()
			if synctest.Wait(); len(f.events) != 4 {
				t.Errorf("got events %q", f.events)
			}
		},
		"close waits for a process that is being closed": func(t *testing.T, s *supervisor[*fakeProcess], f *fakeProcesses) {
			first, release := acquire(t, s)
			_, releaseOther := acquire(t, s)
			releaseOther()
			time.Sleep(2 * launchTime)
			release()
			s.close()
			if !isClosed(first.Lost()) {
				t.Error("the first process still runs")
			}
			f.expect(t, "launch 1", "launch 2", "close 1", "close 2")
		},
		"close during a launch": func(t *testing.T, s *supervisor[*fakeProcess], f *fakeProcesses) {
			var err error
			var group sync.WaitGroup
			group.Go(func() { _, _, err = s.acquire(t.Context()) })
			synctest.Wait()
			s.close()
			group.Wait()
			if !errors.Is(err, errClosed) {
				t.Errorf("got %v", err)
			}
			f.expect(t, "launch 1")
		},
		"a process that is launched too late is closed": func(t *testing.T, s *supervisor[*fakeProcess], f *fakeProcesses) {
			s.launch = func(context.Context) (*fakeProcess, error) { return f.launch(t.Context()) }
			var err error
			var group sync.WaitGroup
			group.Go(func() { _, _, err = s.acquire(t.Context()) })
			synctest.Wait()
			s.close()
			group.Wait()
			if !errors.Is(err, errClosed) {
				t.Errorf("got %v", err)
			}
			f.expect(t, "launch 1", "close 1")
		},
		"too much memory kills the process": func(t *testing.T, s *supervisor[*fakeProcess], f *fakeProcesses) {
			p, release := acquire(t, s)
			p.held.Store(maxMemory)
			time.Sleep(time.Second)
			f.expect(t, "launch 1")
			p.held.Store(maxMemory + 1)
			time.Sleep(memoryInterval)
			synctest.Wait()
			f.expect(t, "kill 1")
			release()
			_, release = acquire(t, s)
			release()
			f.expect(t, "close 1", "launch 2")
		},
		"memory counts during renders only": func(t *testing.T, s *supervisor[*fakeProcess], f *fakeProcesses) {
			p, release := acquire(t, s)
			release()
			p.held.Store(2 * maxMemory)
			time.Sleep(time.Second)
			f.expect(t, "launch 1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeProcesses{}
				s := newSupervisor(f.launch, maxRenders, maxMemory, slog.New(slog.DiscardHandler))
				defer s.close()
				test(t, s, f)
			})
		})
	}
}
