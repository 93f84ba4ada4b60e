// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package rendercache

import (
	"slices"
	"time"

	"github.com/platen-dev/platen/internal/content"
)

// entry is a cached render.
type entry struct {
	size  int64
	saved time.Time
}

// shelf has the cached renders of one namespace. The zero value is empty.
type shelf struct {
	bytes   int64
	entries map[content.CacheKey]entry
}

// put adds a render, or replaces it.
func (s *shelf) put(key content.CacheKey, e entry) {
	if s.entries == nil {
		s.entries = map[content.CacheKey]entry{}
	}
	s.bytes += e.size - s.entries[key].size
	s.entries[key] = e
}

func (s *shelf) drop(key content.CacheKey) {
	s.bytes -= s.entries[key].size
	delete(s.entries, key)
}

// spare is the part of a limit that evict frees: each render into a full cache would sort all of them otherwise.
const spare = 16

// evict drops the oldest renders, but not keep, if there are more than limit bytes. It returns their keys.
func (s *shelf) evict(limit int64, keep content.CacheKey) (dropped []content.CacheKey) {
	if s.bytes <= limit {
		return nil
	}
	byAge := make([]content.CacheKey, 0, len(s.entries))
	for key := range s.entries {
		byAge = append(byAge, key)
	}
	slices.SortFunc(byAge, func(a, b content.CacheKey) int { return s.entries[a].saved.Compare(s.entries[b].saved) })
	for _, key := range byAge {
		if s.bytes <= limit-limit/spare {
			break
		}
		if key != keep {
			s.drop(key)
			dropped = append(dropped, key)
		}
	}
	return dropped
}
