// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package nearest finds the name that a mistyped one means.
package nearest

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Name returns the name that is at most two typing mistakes away; empty if there is none.
func Name(name string, names []string) string {
	distances := map[string]int{}
	for _, other := range names {
		if max(len(name), len(other))-min(len(name), len(other)) > 2 {
			continue // names may be long
		}
		if d := Distance(strings.ToLower(name), strings.ToLower(other)); d <= 2 && d < len(name) {
			distances[other] = d
		}
	}
	best := slices.SortedFunc(maps.Keys(distances), func(a, b string) int {
		return cmp.Or(cmp.Compare(distances[a], distances[b]), strings.Compare(a, b))
	})
	if len(best) == 0 {
		return ""
	}
	return best[0]
}

// Distance returns how many letters must be added, removed or replaced to make b of a (Levenshtein).
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := before
			if a[i] != b[j] {
				replaced++
			}
			before = row[j+1]
			row[j+1] = min(replaced, before+1, row[j]+1)
		}
	}
	return row[len(b)]
}
