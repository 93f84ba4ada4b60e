// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chromedp/cdproto/emulation"

	"github.com/platen-dev/platen/internal/render/devtools"
)

// fakeTab is a tab that only records that it is closed.
type fakeTab struct {
	fakes *fakes
	name  string
	ended bool
	// scale that the tab suits; 0 is any.
	scale float64
	// used is true once a page was shown.
	used bool
}

func (t *fakeTab) Ended() bool       { return t.ended }
func (t *fakeTab) Fresh() bool       { return !t.used }
func (t *fakeTab) Suits(n need) bool { return t.scale == 0 || t.scale == n.scale }
func (t *fakeTab) Close()            { t.fakes.close(t.name) }

// tabsTest is a test of tabs with fakes.
type tabsTest struct {
	*testing.T
	tabs  *tabs[*fakeTab]
	fakes *fakes
	// log of the tabs.
	log bytes.Buffer
}

func (t *tabsTest) open(ctx context.Context) (*fakeTab, error) {
	name, err := t.fakes.make(ctx, "open")
	if err != nil {
		return nil, err
	}
	return &fakeTab{fakes: t.fakes, name: name}, nil
}

func (t *tabsTest) expect(events ...string) {
	t.Helper()
	t.fakes.expect(t.T, events...)
}

// take takes a tab, which must be the one with a name.
func (t *tabsTest) take(n need, want string) *fakeTab {
	t.Helper()
	got, err := t.tabs.take(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	if got.name != want {
		t.Errorf("got tab %s, want %s", got.name, want)
	}
	return got
}

// TestTabs runs each case in its own synctest bubble, with its own clock. The bubble fails if a goroutine is left behind.
func TestTabs(t *testing.T) {
	const maxIdle = 2
	shared, alone := need{scale: 1}, need{scale: 1, alone: true}
	for name, test := range map[string]func(t *tabsTest){
		"a tab is opened when none is idle": func(t *tabsTest) {
			t.tabs.keep(t.take(shared, "1"))
			t.expect("open 1")
		},
		"a kept tab is used again": func(t *tabsTest) {
			for range 3 {
				t.tabs.keep(t.take(shared, "1"))
			}
			t.expect("open 1")
		},
		"the tab that was used last comes first": func(t *tabsTest) {
			first, second := t.take(shared, "1"), t.take(shared, "2")
			t.tabs.keep(second)
			t.tabs.keep(first)
			t.take(shared, "1")
			t.take(shared, "2")
		},
		"a fresh tab is opened although used ones are idle": func(t *tabsTest) {
			tab := t.take(shared, "1")
			tab.used = true
			t.tabs.keep(tab)
			t.tabs.openAhead()
			t.expect("open 1", "open 2")
			time.Sleep(makeTime)
			t.tabs.openAhead()
			t.expect()
		},
		"nothing is closed in the background after the end": func(t *tabsTest) {
			tab := t.take(shared, "1")
			t.tabs.keep(tab)
			tab.ended = true
			t.tabs.close()
			t.take(shared, "2") // by a render that is still in progress
			t.expect("open 1", "open 2")
		},
		"no more tabs are kept than allowed": func(t *tabsTest) {
			var all []*fakeTab
			for i := range maxIdle + 1 {
				all = append(all, t.take(shared, strconv.Itoa(i+1)))
			}
			for _, tab := range all {
				t.tabs.keep(tab)
			}
			t.expect("open 1", "open 2", "open 3", "close 1")
		},
		"a page waits for the tab that is being opened": func(t *tabsTest) {
			t.tabs.openAhead()
			began := time.Now()
			time.Sleep(makeTime / 2)
			t.take(shared, "1")
			if took := time.Since(began); took != makeTime {
				t.Errorf("it took %s", took)
			}
			t.expect("open 1")
		},
		"a page whose tab another page takes opens one": func(t *tabsTest) {
			t.tabs.openAhead()
			names := make(chan string, 2)
			var group sync.WaitGroup
			for range 2 {
				group.Go(func() {
					tab, err := t.tabs.take(t.Context(), shared)
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
			t.expect("open 1", "open 2")
		},
		"a page that gives up does not stop the opening": func(t *tabsTest) {
			t.tabs.openAhead()
			ctx, cancel := context.WithTimeout(t.Context(), makeTime/2)
			defer cancel()
			if _, err := t.tabs.take(ctx, shared); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			t.take(shared, "1")
			t.expect("open 1")
		},
		"when the opening fails, the page opens a tab": func(t *tabsTest) {
			t.fakes.fail = errors.New("no process")
			t.tabs.openAhead()
			synctest.Wait()
			t.fakes.fail = nil
			t.take(shared, "2")
			t.expect("open 1", "open 2")
			if !bytes.Contains(t.log.Bytes(), []byte("no process")) {
				t.Errorf("got log %q", t.log.String())
			}
		},
		"a lost browser is reported by its renders only": func(t *tabsTest) {
			t.fakes.fail = fmt.Errorf("opening a tab: %w", devtools.ErrLost)
			t.tabs.openAhead()
			if _, err := t.tabs.take(t.Context(), shared); !errors.Is(err, devtools.ErrLost) {
				t.Errorf("got %v", err)
			}
			t.expect("open 1", "open 2")
			if t.log.Len() > 0 {
				t.Errorf("got log %q", t.log.String())
			}
		},
		"while a page is alone in its tab, the next tab is opened": func(t *tabsTest) {
			tab := t.take(alone, "1")
			t.expect("open 1", "open 2")
			t.tabs.discard(tab)
			t.expect("close 1")
			t.take(alone, "2")
		},
		"one idle tab is enough": func(t *tabsTest) {
			first, second := t.take(shared, "1"), t.take(shared, "2")
			t.tabs.keep(first)
			t.tabs.openAhead()
			t.tabs.discard(second)
			t.expect("open 1", "open 2", "close 2")
		},
		"a discarded tab is replaced": func(t *tabsTest) {
			t.tabs.discard(t.take(shared, "1"))
			t.expect("open 1", "open 2", "close 1")
			t.take(shared, "2")
		},
		"a tab that does not suit is left for others": func(t *tabsTest) {
			tab := t.take(shared, "1")
			tab.scale = 2
			t.tabs.keep(tab)
			t.take(shared, "2")
			t.take(need{scale: 2}, "1")
			t.expect("open 1", "open 2")
		},
		"a page that gives up does not stop the replacement": func(t *tabsTest) {
			tab := t.take(shared, "1")
			tab.ended = true
			t.tabs.keep(tab)
			ctx, cancel := context.WithTimeout(t.Context(), makeTime/2)
			defer cancel()
			if _, err := t.tabs.take(ctx, shared); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			t.take(shared, "2")
			t.expect("open 1", "open 2", "close 1")
		},
		"a tab that has ended is replaced": func(t *tabsTest) {
			tab := t.take(shared, "1")
			tab.ended = true
			t.tabs.keep(tab)
			t.take(shared, "2")
			t.expect("open 1", "open 2", "close 1")
		},
		"close stops the opening": func(t *tabsTest) {
			t.tabs.openAhead()
			synctest.Wait()
			began := time.Now()
			t.tabs.close()
			if took := time.Since(began); took != 0 {
				t.Errorf("it took %s", took)
			}
			if t.log.Len() > 0 {
				t.Errorf("got log %q", t.log.String())
			}
		},
		"close waits for a tab that is being closed": func(t *tabsTest) {
			t.tabs.discard(t.take(shared, "1"))
			began := time.Now()
			t.tabs.close()
			if took := time.Since(began); took != closeTime {
				t.Errorf("it took %s", took)
			}
		},
		"a tab that is discarded after close is closed at once": func(t *tabsTest) {
			tab := t.take(shared, "1")
			t.tabs.close()
			t.tabs.discard(tab)
			t.tabs.openAhead()
			t.expect("open 1", "close 1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt := &tabsTest{T: t, fakes: &fakes{}}
				tt.tabs = newTabs(tt.open, maxIdle, hungPatience, slog.New(slog.NewTextHandler(&tt.log, nil)))
				defer tt.tabs.close()
				test(tt)
			})
		})
	}
}

func TestTabSuits(t *testing.T) {
	fresh := &tab{}
	used := &tab{pages: 1, metrics: emulation.SetDeviceMetricsOverrideParams{DeviceScaleFactor: 2}}
	for name, test := range map[string]struct {
		tab  *tab
		need need
		want bool
	}{
		"a fresh tab":                    {fresh, need{scale: 3}, true},
		"a fresh tab, alone":             {fresh, need{scale: 3, alone: true}, true},
		"the same scale":                 {used, need{scale: 2}, true},
		"another scale":                  {used, need{scale: 1}, false},
		"the same scale, but used alone": {used, need{scale: 2, alone: true}, false},
	} {
		if got := test.tab.Suits(test.need); got != test.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
}
