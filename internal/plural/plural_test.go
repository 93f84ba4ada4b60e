// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package plural

import "testing"

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 pages", 1: "1 page", 2: "2 pages", -1: "-1 pages"} {
		if got := Count(n, "page"); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	if got := Count(int64(1)<<40, "byte"); got != "1099511627776 bytes" {
		t.Errorf("got %q", got)
	}
}
