// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package plural writes a number and the noun that it counts.
package plural

import "strconv"

// Count returns "1 page" or "2 pages" for the noun page. The noun's plural must end in s.
func Count[N int | int32 | int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.FormatInt(int64(n), 10) + " " + noun + "s"
}
