// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package nearest

import "testing"

func TestName(t *testing.T) {
	names := []string{"square", "story", "a3", "a4", "banner", "i"}
	for name, want := range map[string]string{
		"squar": "square", "Suqare": "square", "stori": "story", "bannr": "banner", "a5": "", "x": "", "zip": "", "bnanre": "banner", "banenr": "banner", "1080 x 1080": "", "": "", "rectangle": "",
	} {
		if got := Name(name, names); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
