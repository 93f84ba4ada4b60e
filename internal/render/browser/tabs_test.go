// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/google/go-cmp/cmp"

	"github.com/platen-dev/platen/internal/render/devtools"
)

// openTime is how long a fake tab takes to open.
const openTime = time.Second

// fakeTab is a tab that only records that it is closed.
type fakeTab struct {
	fakes *fakeTabs
	name  string
	ended bool
	// scale that the tab suits; 0 is any.
	scale float64
}

func (t *fakeTab) Ended() bool       { return t.ended }
func (t *fakeTab) Suits(n need) bool { return t.scale == 0 || t.scale == n.scale }
func (t *fakeTab) Close()            { time.Sleep(closeTime); t.fakes.record("close " + t.name) }

// fakeTabs opens fake tabs.
type fakeTabs struct {
	mu     sync.Mutex
	events []string
	count  int
	// fail is the error of the next tabs.
	fail error
	log  bytes.Buffer
}

func (f *fakeTabs) record(event string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, event)
}

func (f *fakeTabs) open(ctx context.Context) (*fakeTab, error) {
	f.mu.Lock()
	f.count++
	name, fail := fmt.Sprint(f.count), f.fail
	f.mu.Unlock()
	f.record("open " + name)
	select {
	case <-time.After(openTime):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if fail != nil {
		return nil, fail
	}
	return &fakeTab{fakes: f, name: name}, nil
}

// expect compares all events since the last call, in any order, once every tab that is being closed is closed.
func (f *fakeTabs) expect(t *testing.T, want ...string) {
	t.Helper()
	time.Sleep(2 * closeTime)
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.Sort(want)
	slices.Sort(f.events)
	if diff := cmp.Diff(want, f.events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	f.events = nil
}

// take takes a tab, which must be the one with a name.
func take(t *testing.T, s *tabs[*fakeTab], n need, want string) *fakeTab {
	t.Helper()
	got, err := s.take(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	if got.name != want {
		t.Errorf("got tab %s, want %s", got.name, want)
	}
	return got
}

// TestTabs runs each case in a bubble of its own with a clock of its own. The bubble fails when a goroutine is left behind.
func TestTabs(t *testing.T) {
	const maxIdle = 2
	shared, alone := need{scale: 1}, need{scale: 1, alone: true}
	for name, test := range map[string]func(t *testing.T, s *tabs[*fakeTab], f *fakeTabs){
		"a tab is opened when none is idle": func(t *testing.T, s *tabs[*fakeTab], f *fakeTabs) {
			s.keep(take(t, s, shared, "1"))
			f.expect(t, "open 1")
		},
		"a kept tab is used again": func(t *testing.T, s *tabs[*fakeTab], f *fakeTabs) {
			for range 3 {
				s.keep(take(t, s, shared, "1"))
			}
			f.expect(t, "open 1")
		},
		"the tab that has been idle for longest comes first": func(t *testing.T, s *tabs[*fakeTab], _ *fakeTabs) {
			first, second := take(t, s, shared, "1"), take(t, s, shared, "2")
			s.keep(second)
			s.keep(first)
			take(t, s, shared, "2")
			take(t, s, shared, "1")
		},
		"no more tabs are kept than allowed": func(t *testing.T, s *tabs[*fakeTab], f *fakeTabs) {
			var all []*fakeTab
			for i := range maxIdle + 1 {
				all = append(all, take(t, s, shared, fmt.Sprint(i+1)))
			}
			for _, tab := range all {
				s.keep(tab)
			}
			f.expect(t, "open 1", "open 2", "open 3", "close 3")
		},
		"a page waits for the tab that is being opened": func(t *testing.T, s *tabs[*fakeTab], f *fakeTabs) {
			s.openAhead()
			began := time.Now()
			time.Sleep(openTime / 2)
			take(t, s, shared, "1")
			if took := time.Since(began); took != openTime {
				t.Errorf("it took %s", took)
			}
			f.expect(t, "open 1")
		},
		"a page whose tab another page takes opens one": func(t *testing.T, s *tabs[*fakeTab], f *fakeTabs) {
			s.openAhead()
			names := make(chan string, 2)
			var group sync.WaitGroup
			for range 2 {
				group.Go(func() {
					tab, err := s.take(t.Context(), shared)
					if err != nil {
						t.Error(err)
						return
					}
					names <- tab.name
				})
			}
			group.Wait()
			if one, other := <-names, <-names; one != "1" || other != "2" {
				t.Errorf("got tabs %s and %s", one, other)
			}
			f.expect(t, "open 1", "open 2")
		},
		"a page that gives up does not stop the opening": func(t *testing.T, s *tabs[*fakeTab], f *fakeTabs) {
			s.openAhead()
			ctx, cancel := context.WithTimeout(t.Context(), openTime/2)
			defer cancel()
			if _, err := s.take(ctx, shared); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			take(t, s, shared, "1")
			f.expect(t, "open 1")
		},
		"when the opening fails, the page opens a tab": func(t *testing.T, s *tabs[*fakeTab], f *fakeTabs) {
			f.fail = errors.New("no process")
			s.openAhead()
			synctest.Wait()
			f.fail = nil
			take(t, s, shared, "2")
			f.expect(t, "open 1", "open 2")
			if !bytes.Contains(f.log.Bytes(), []byte("no process")) {
				t.Errorf("got log %q", f.log.String())
			}
		},
		"a lost browser is reported by its renders only": func(t *testing.T, s *tabs[*fakeTab], f *fakeTabs) {
			f.fail = fmt.Errorf("opening a tab: %w", devtools.ErrLost)
			s.openAhead()
			if _, err := s.take(t.Context(), shared); !errors.Is(err, devtools.ErrLost) {
				t.Errorf("got %v", err)
			}
			f.expect(t, "open 1", "open 2")
			if f.log.Len() > 0 {
				t.Errorf("got log %q", f.log.String())
			}
		},
		"while a page is alone in its tab, the next tab is opened": func(t *testing.T, s *tabs[*fakeTab], f *fakeTabs) {
			tab := take(t, s, alone, "1")
			f.expect(t, "open 1", "open 2")
			s.discard(tab)
			f.expect(t, "close 1")
			take(t, s, alone, "2")
		},
		"one idle tab is enough": func(t *testing.T, s *tabs[*fakeTab], f *fakeTabs) {
			first, second := take(t, s, shared, "1"), take(t, s, shared, "2")
			s.keep(first)
			s.openAhead()
			s.discard(second)
			f.expect(t, "open 1", "open 2", "close 2")
		},
		"a discarded tab is replaced": func(t *testing.T, s *tabs[*fakeTab], f *fakeTabs) {
			s.discard(take(t, s, shared, "1"))
			f.expect(t, "open 1", "close 1", "open 2")
			take(t, s, shared, "2")
		},
		"a tab that does not suit is replaced": func(t *testing.T, s *tabs[*fakeTab], f *fakeTabs) {
			tab := take(t, s, shared, "1")
			tab.scale = 2
			s.keep(tab)
			take(t, s, shared, "2")
			f.expect(t, "open 1", "close 1", "open 2")
		},
		"a page that gives up does not stop the replacement": func(t *testing.T, s *tabs[*fakeTab], f *fakeTabs) {
			tab := take(t, s, shared, "1")
			tab.scale = 2
			s.keep(tab)
			ctx, cancel := context.WithTimeout(t.Context(), openTime/2)
			defer cancel()
			if _, err := s.take(ctx, shared); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			take(t, s, shared, "2")
			f.expect(t, "open 1", "close 1", "open 2")
		},
		"a tab that has ended is replaced": func(t *testing.T, s *tabs[*fakeTab], f *fakeTabs) {
			tab := take(t, s, shared, "1")
			tab.ended = true
			s.keep(tab)
			take(t, s, shared, "2")
			f.expect(t, "open 1", "close 1", "open 2")
		},
		"close stops the opening": func(t *testing.T, s *tabs[*fakeTab], f *fakeTabs) {
			s.openAhead()
			synctest.Wait()
			began := time.Now()
			s.close()
			if took := time.Since(began); took != 0 {
				t.Errorf("it took %s", took)
			}
			if f.log.Len() > 0 {
				t.Errorf("got log %q", f.log.String())
			}
		},
		"close waits for a tab that is being closed": func(t *testing.T, s *tabs[*fakeTab], _ *fakeTabs) {
			s.discard(take(t, s, shared, "1"))
			began := time.Now()
			s.close()
			if took := time.Since(began); took != closeTime {
				t.Errorf("it took %s", took)
			}
		},
		"a tab that is discarded after close is closed at once": func(t *testing.T, s *tabs[*fakeTab], f *fakeTabs) {
			tab := take(t, s, shared, "1")
			s.close()
			s.discard(tab)
			s.openAhead()
			f.expect(t, "open 1", "close 1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeTabs{}
				s := newTabs(f.open, maxIdle, slog.New(slog.NewTextHandler(&f.log, nil)))
				defer s.close()
				test(t, s, f)
			})
		})
	}
}

func TestTabSuits(t *testing.T) {
	fresh := &tab{}
	written := &tab{pages: 1, metrics: emulation.SetDeviceMetricsOverrideParams{DeviceScaleFactor: 2}}
	quirky := &tab{pages: 1, quirks: true, metrics: written.metrics}
	for name, test := range map[string]struct {
		tab  *tab
		need need
		want bool
	}{
		"fresh tab":                        {tab: fresh, need: need{scale: 1}, want: true},
		"fresh tab, quirks mode":           {tab: fresh, need: need{scale: 1, quirks: true}, want: true},
		"same scale":                       {tab: written, need: need{scale: 2}, want: true},
		"another scale":                    {tab: written, need: need{scale: 1}},
		"another scale, alone":             {tab: written, need: need{scale: 1, alone: true}},
		"quirks mode after standards mode": {tab: written, need: need{scale: 2, quirks: true}},
		"standards mode after quirks mode": {tab: quirky, need: need{scale: 2}},
		"quirks mode after quirks mode":    {tab: quirky, need: need{scale: 2, quirks: true}, want: true},
		"alone after quirks mode":          {tab: quirky, need: need{scale: 2, alone: true}, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.tab.Suits(test.need); got != test.want {
				t.Errorf("got %t", got)
			}
		})
	}
}
