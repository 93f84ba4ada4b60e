// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"syscall"
	"time"
)

// fullFor is how long after a write for which there was no room Check refuses new work.
const fullFor = 10 * time.Second

// Observer receives the store's metrics.
type Observer interface {
	// Used reports the bytes of all files.
	Used(bytes int64)
	// Refused reports a file that the store has not taken: full, quota, or unavailable.
	Refused(why string)
}

// usage knows how many bytes the files of each namespace have: those that the last walk has found, and what was written and removed since.
// Before the first walk it knows only the latter.
type usage struct {
	options Options

	mu    sync.Mutex
	bytes map[string]int64
	// since has what was written and removed since the running walk began; nil if none runs.
	since map[string]int64
	// full is when a write last found no room.
	full time.Time
}

func newUsage(options Options) usage { return usage{options: options, bytes: map[string]int64{}} }

// Usage returns the bytes of a namespace's files, as far as this process knows.
func (s *Store) Usage(namespace string) int64 {
	s.usage.mu.Lock()
	defer s.usage.mu.Unlock()
	return s.usage.bytes[namespace]
}

// Check returns ErrQuota or ErrFull if files of a namespace would find no room, and ErrUnavailable during an outage, as far as this process knows.
func (s *Store) Check(namespace string) error {
	u := &s.usage
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.exceeds(namespace, 1):
		return ErrQuota
	case time.Since(u.full) < fullFor:
		return ErrFull
	case s.writing.lately():
		return ErrUnavailable
	default:
		return nil
	}
}

// exceeds reports whether n more bytes exceed the quota. The lock must be held.
func (u *usage) exceeds(namespace string, n int64) bool {
	quota := u.options.QuotaPerNamespace
	return quota > 0 && u.bytes[namespace]+n > quota
}

// counter counts the bytes of a file while they are read.
type counter struct {
	io.Reader
	usage     *usage
	namespace string
	n         int64
}

func (u *usage) count(namespace string, r io.Reader) *counter {
	return &counter{Reader: r, usage: u, namespace: namespace}
}

// Read implements io.Reader. The error is ErrQuota once the namespace has no room for more.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err := c.reserve(int64(n)); err != nil {
		return 0, err
	}
	return n, err
}

// reserve counts n bytes. The error is ErrQuota if the namespace has no room for them. There always is for none, also beyond a quota that was lowered.
func (c *counter) reserve(n int64) error {
	if n <= 0 {
		return nil
	}
	c.usage.mu.Lock()
	defer c.usage.mu.Unlock()
	if c.usage.exceeds(c.namespace, n) {
		return ErrQuota
	}
	c.n += n
	c.usage.add(c.namespace, n)
	return nil
}

// ended takes back the bytes of a file that could not be stored.
func (u *usage) ended(c *counter, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err != nil {
		u.add(c.namespace, -c.n)
	}
	switch {
	case errors.Is(err, ErrFull):
		u.full = time.Now()
		u.refused("full")
	case errors.Is(err, ErrQuota):
		u.refused("quota")
	case errors.Is(err, ErrUnavailable):
		u.refused("unavailable")
	default:
		u.report()
	}
}

func (u *usage) removed(o Object) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.add(o.Ref.Namespace, -o.Size)
	u.report()
}

// madeRoom lets new work try at once whether the store has room.
func (u *usage) madeRoom() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.full = time.Time{}
}

// add changes the bytes of a namespace. The lock must be held.
func (u *usage) add(namespace string, n int64) {
	u.bytes[namespace] = max(u.bytes[namespace]+n, 0)
	if u.since != nil {
		u.since[namespace] += n
	}
}

func (u *usage) beginWalk() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.since = map[string]int64{}
}

// endWalk takes over what a walk has found. What was written meanwhile may count twice until the next walk.
func (u *usage) endWalk(used map[string]int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for namespace, n := range u.since {
		used[namespace] = max(used[namespace]+n, 0)
	}
	u.bytes, u.since = used, nil
	u.report()
}

func (u *usage) report() {
	if u.options.Observer == nil {
		return
	}
	total := int64(0)
	for n := range maps.Values(u.bytes) {
		total += n
	}
	u.options.Observer.Used(total)
}

func (u *usage) refused(why string) {
	if u.options.Observer != nil {
		u.options.Observer.Refused(why)
	}
}

// fullCodes are the error codes of S3, and of services with its API, for a bucket without room.
var fullCodes = []string{"InsufficientCapacity", "QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"}

// isFull reports whether a write failed because there is no room.
func isFull(err error) bool {
	var api interface{ ErrorCode() string }
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.As(err, &api) && slices.Contains(fullCodes, api.ErrorCode())
}
