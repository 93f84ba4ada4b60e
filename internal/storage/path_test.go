// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package storage

import "testing"

func TestPathKey(t *testing.T) {
	for name, tc := range map[string]struct {
		a, b string
		same bool
	}{
		"equal":                    {"/Renders/card.png", "/Renders/card.png", true},
		"case":                     {"/Renders/Card.png", "/renders/CARD.PNG", true},
		"composed and decomposed":  {"/caf\u00e9.png", "/cafe\u0301.png", true},
		"decomposed capital":       {"/CAFE\u0301.png", "/caf\u00e9.png", true},
		"Hangul":                   {"/\uac00.png", "/\u1100\u1161.png", true},
		"order of marks":           {"/a\u0323\u0301.png", "/a\u0301\u0323.png", true},
		"compatibility is another": {"/\ufb01.png", "/fi.png", false},
		"another accent":           {"/caf\u00e9.png", "/caf\u00e8.png", false},
	} {
		if got := PathKey(tc.a) == PathKey(tc.b); got != tc.same {
			t.Errorf("%s: %q and %q are one file: %t, want %t", name, tc.a, tc.b, got, tc.same)
		}
	}
}
