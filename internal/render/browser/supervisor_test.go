// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fakeProcess is a process that only records what happens to it.
type fakeProcess struct {
	fakes *fakes
	name  string
	lost  chan struct{}
	end   sync.Once
	// held is what the meter measures.
	held atomic.Int64
}

func (p *fakeProcess) Lost() <-chan struct{} { return p.lost }
func (p *fakeProcess) Meter() func() int64   { return p.held.Load }
func (p *fakeProcess) Kill()                 { p.fakes.record("kill " + p.name); p.crash() }
func (p *fakeProcess) Close()                { p.fakes.close(p.name); p.crash() }

// crash ends the process without recording it.
func (p *fakeProcess) crash() { p.end.Do(func() { close(p.lost) }) }

// supervisorTest is a test of a supervisor with fake processes.
type supervisorTest struct {
	*testing.T
	supervisor *supervisor[*fakeProcess]
	fakes      *fakes
}

func (t *supervisorTest) launch(ctx context.Context) (*fakeProcess, error) {
	name, err := t.fakes.make(ctx, "launch")
	if err != nil {
		return nil, err
	}
	return &fakeProcess{fakes: t.fakes, name: name, lost: make(chan struct{})}, nil
}

func (t *supervisorTest) expect(events ...string) {
	t.Helper()
	t.fakes.expect(t.T, events...)
}

func (t *supervisorTest) acquire() (p *fakeProcess, release func()) {
	t.Helper()
	p, release, err := t.supervisor.acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p, release
}

// TestSupervisor runs each case in its own synctest bubble, with its own clock. The bubble fails if a goroutine is left behind.
func TestSupervisor(t *testing.T) {
	const maxRenders, maxMemory = 2, 1000
	for name, test := range map[string]func(t *supervisorTest){
		"nothing runs before the first render": func(t *supervisorTest) {
			if p := t.supervisor.running(); p != nil {
				t.Errorf("process %s runs", p.name)
			}
			t.expect()
		},
		"concurrent first renders share one launch": func(t *supervisorTest) {
			var group sync.WaitGroup
			for range 5 {
				group.Go(func() {
					p, release := t.acquire()
					if p.name != "1" {
						t.Errorf("got process %s", p.name)
					}
					time.Sleep(time.Minute)
					if t.supervisor.running() != p {
						t.Error("another process runs")
					}
					release()
				})
			}
			synctest.Wait()
			time.Sleep(2 * makeTime)
			t.expect("launch 1")
			group.Wait()
		},
		"start counts no render": func(t *supervisorTest) {
			for range 2 * maxRenders {
				if _, err := t.supervisor.start(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			t.expect("launch 1")
		},
		"a failed launch fails all who wait for it, and no later render": func(t *supervisorTest) {
			t.fakes.fail = errors.New("no library")
			var group sync.WaitGroup
			for range 3 {
				group.Go(func() {
					if _, _, err := t.supervisor.acquire(t.Context()); !errors.Is(err, t.fakes.fail) {
						t.Errorf("got %v", err)
					}
				})
			}
			group.Wait()
			t.fakes.fail = nil
			p, release := t.acquire()
			release()
			if p.name != "2" {
				t.Errorf("got process %s", p.name)
			}
			t.expect("launch 1", "launch 2")
		},
		"a render that gives up does not stop the launch": func(t *supervisorTest) {
			ctx, cancel := context.WithTimeout(t.Context(), makeTime/2)
			defer cancel()
			if _, _, err := t.supervisor.acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			_, release := t.acquire()
			release()
			t.expect("launch 1")
		},
		"a launch takes no longer than its limit": func(t *supervisorTest) {
			t.supervisor.launch = func(ctx context.Context) (*fakeProcess, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			began := time.Now()
			if _, _, err := t.supervisor.acquire(t.Context()); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != startTimeout {
				t.Errorf("got %v after %s", err, time.Since(began))
			}
		},
		"after a crash during a render, the next render gets another process": func(t *supervisorTest) {
			first, release := t.acquire()
			first.crash()
			if p := t.supervisor.running(); p != nil {
				t.Errorf("process %s runs", p.name)
			}
			second, releaseSecond := t.acquire() // before the first render has noticed
			release()
			releaseSecond()
			if second.name != "2" {
				t.Errorf("got process %s", second.name)
			}
			t.expect("launch 1", "close 1", "launch 2")
		},
		"a process that crashes at once fails its render only": func(t *supervisorTest) {
			launch := t.supervisor.launch
			t.supervisor.launch = func(ctx context.Context) (*fakeProcess, error) {
				p, err := launch(ctx)
				if p.name == "1" {
					p.crash()
				}
				return p, err
			}
			first, release := t.acquire()
			release()
			second, release := t.acquire()
			release()
			if first.name != "1" || second.name != "2" {
				t.Errorf("got processes %s and %s", first.name, second.name)
			}
			t.expect("launch 1", "close 1", "launch 2")
		},
		"a process is replaced after its renders": func(t *supervisorTest) {
			for range maxRenders {
				_, release := t.acquire()
				release()
			}
			p, release := t.acquire() // during the launch of the other
			if p.name != "1" {
				t.Errorf("got process %s", p.name)
			}
			t.expect("launch 1", "launch 2")
			time.Sleep(2 * makeTime)
			if p := t.supervisor.running(); p.name != "2" {
				t.Errorf("process %s runs", p.name)
			}
			t.expect()
			release()
			t.expect("close 1")
			time.Sleep(2 * makeTime)
			t.expect() // what process 1 served does not count for process 2
		},
		"a replaced process serves all its renders": func(t *supervisorTest) {
			_, release := t.acquire()
			_, releaseOther := t.acquire()
			for range maxRenders {
				_, release := t.acquire()
				release()
			}
			time.Sleep(2 * makeTime)
			release()
			t.expect("launch 1", "launch 2")
			releaseOther()
			t.expect("close 1")
		},
		"one replacement is launched at a time": func(t *supervisorTest) {
			for range 3 * maxRenders {
				_, release := t.acquire()
				release()
			}
			time.Sleep(2 * makeTime)
			t.expect("launch 1", "launch 2", "close 1")
		},
		"a replaced process without a render is closed at once": func(t *supervisorTest) {
			for range maxRenders {
				_, release := t.acquire()
				release()
			}
			time.Sleep(2 * makeTime)
			t.expect("launch 1", "launch 2", "close 1")
		},
		"a process that cannot be replaced goes on": func(t *supervisorTest) {
			_, release := t.acquire()
			t.fakes.fail = errors.New("no memory")
			release()
			for range 2 * maxRenders {
				p, release := t.acquire()
				if p.name != "1" {
					t.Errorf("got process %s", p.name)
				}
				time.Sleep(2 * makeTime)
				release()
			}
			t.expect("launch 1", "launch 2", "launch 3")
		},
		"a crash during the launch of a replacement": func(t *supervisorTest) {
			for range maxRenders {
				_, release := t.acquire()
				release()
			}
			t.supervisor.running().crash()
			p, release := t.acquire()
			release()
			if p.name != "2" {
				t.Errorf("got process %s", p.name)
			}
			t.expect("launch 1", "launch 2", "close 1")
		},
		"close during a render": func(t *supervisorTest) {
			_, release := t.acquire()
			t.supervisor.close()
			t.expect("launch 1", "close 1")
			release()
			if _, _, err := t.supervisor.acquire(t.Context()); !errors.Is(err, errClosed) {
				t.Errorf("got %v", err)
			}
			t.expect()
		},
		"close ends replaced processes too": func(t *supervisorTest) {
			_, release := t.acquire()
			for range maxRenders {
				_, release := t.acquire()
				release()
			}
			time.Sleep(2 * makeTime)
			first, second := t.supervisor.running().name, len(t.supervisor.users)
			if first != "2" || second != 2 {
				t.Errorf("process %s runs, %d are open", first, second)
			}
			t.supervisor.close()
			for p := range t.supervisor.users {
				t.Errorf("process %s is open", p.name)
			}
			release()
			if synctest.Wait(); len(t.fakes.events) != 4 {
				t.Errorf("got events %q", t.fakes.events)
			}
		},
		"close waits for a process that is being closed": func(t *supervisorTest) {
			first, release := t.acquire()
			_, releaseOther := t.acquire()
			releaseOther()
			time.Sleep(2 * makeTime)
			release()
			t.supervisor.close()
			if !isClosed(first.Lost()) {
				t.Error("the first process still runs")
			}
			t.expect("launch 1", "launch 2", "close 1", "close 2")
		},
		"close during a launch": func(t *supervisorTest) {
			var err error
			var group sync.WaitGroup
			group.Go(func() { _, _, err = t.supervisor.acquire(t.Context()) })
			synctest.Wait()
			t.supervisor.close()
			group.Wait()
			if !errors.Is(err, errClosed) {
				t.Errorf("got %v", err)
			}
			t.expect("launch 1")
		},
		"a process that is launched too late is closed": func(t *supervisorTest) {
			t.supervisor.launch = func(context.Context) (*fakeProcess, error) { return t.launch(t.Context()) }
			var err error
			var group sync.WaitGroup
			group.Go(func() { _, _, err = t.supervisor.acquire(t.Context()) })
			synctest.Wait()
			t.supervisor.close()
			group.Wait()
			if !errors.Is(err, errClosed) {
				t.Errorf("got %v", err)
			}
			t.expect("launch 1", "close 1")
		},
		"too much memory kills the process": func(t *supervisorTest) {
			p, release := t.acquire()
			p.held.Store(maxMemory)
			time.Sleep(time.Second)
			t.expect("launch 1")
			p.held.Store(maxMemory + 1)
			time.Sleep(memoryInterval)
			synctest.Wait()
			t.expect("kill 1")
			release()
			_, release = t.acquire()
			release()
			t.expect("close 1", "launch 2")
		},
		"memory counts during renders only": func(t *supervisorTest) {
			p, release := t.acquire()
			release()
			p.held.Store(2 * maxMemory)
			time.Sleep(time.Second)
			t.expect("launch 1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := &supervisorTest{T: t, fakes: &fakes{}}
				st.supervisor = newSupervisor(st.launch, maxRenders, maxMemory, slog.New(slog.DiscardHandler))
				defer st.supervisor.close()
				test(st)
			})
		})
	}
}
