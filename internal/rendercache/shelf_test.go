// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package rendercache

import (
	"fmt"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/platen-dev/platen/internal/content"
)

// A render into a full cache costs about the same, however many others are there.
func TestRoomIsCheapInAFullCache(t *testing.T) {
	cost := func(renders int) uint64 {
		now := time.Now()
		w := newWorld(t, int64(renders))
		w.Now = func() time.Time { now = now.Add(time.Second); return now }
		save := func(n int) {
			for range n {
				w.makeRoom(content.CacheKey{Namespace: "ns", Task: strconv.FormatInt(now.UnixNano(), 10)}, 1)
			}
		}
		save(2 * renders)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		save(renders)
		runtime.ReadMemStats(&after)
		return (after.TotalAlloc - before.TotalAlloc) / uint64(renders)
	}
	few, many := cost(100), cost(5000)
	if many > 4*few {
		t.Errorf("a render allocates %d bytes with 100 others in the cache, and %d with 5,000", few, many)
	}
}

func TestShelf(t *testing.T) {
	key := func(n int) content.CacheKey { return content.CacheKey{Namespace: "ns", Task: strconv.Itoa(n)} }
	now := time.Now()
	s := &shelf{}
	for i := range 33 {
		s.put(key(i), entry{1, now.Add(time.Duration(i))})
	}
	s.put(key(0), entry{2, now}) // the oldest has grown
	if dropped := s.evict(34, key(0)); len(dropped) > 0 || s.bytes != 34 {
		t.Errorf("%d bytes; dropped %v within the limit", s.bytes, dropped)
	}
	if dropped := s.evict(32, key(0)); fmt.Sprint(dropped) != fmt.Sprint([]content.CacheKey{key(1), key(2), key(3), key(4)}) || s.bytes != 30 {
		t.Errorf("%d bytes; dropped %v, want the oldest but the kept one", s.bytes, dropped)
	}
}
