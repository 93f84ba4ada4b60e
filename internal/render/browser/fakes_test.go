// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	// makeTime is how long a fake takes to start or open.
	makeTime = time.Second
	// closeTime is how long a fake takes to close.
	closeTime = time.Millisecond
)

// fakes makes fake processes or tabs, and records what happens to them.
type fakes struct {
	mu     sync.Mutex
	events []string
	count  int
	// fail is the error of the next fakes.
	fail error
}

func (f *fakes) record(event string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, event)
}

// make returns the name of the next fake after makeTime. Names are numbers from 1.
func (f *fakes) make(ctx context.Context, event string) (name string, err error) {
	f.mu.Lock()
	f.count++
	name, err = strconv.Itoa(f.count), f.fail
	f.mu.Unlock()
	f.record(event + " " + name)
	select {
	case <-time.After(makeTime):
		return name, err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// close records the end of a fake after closeTime.
func (f *fakes) close(name string) {
	time.Sleep(closeTime)
	f.record("close " + name)
}

// expect compares all events since the last call, once every fake that is being closed is closed.
func (f *fakes) expect(t *testing.T, want ...string) {
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
