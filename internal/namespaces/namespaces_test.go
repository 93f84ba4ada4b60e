// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package namespaces

import "testing"

func TestList(t *testing.T) {
	for text, want := range map[string]struct {
		names  string
		serves bool // serves marketing
		cached int
		err    bool
	}{
		"":                    {serves: true},
		"marketing":           {names: "marketing", serves: true, cached: 1},
		"sales, marketing,":   {names: "sales,marketing", serves: true, cached: 2},
		"sales":               {names: "sales", cached: 1},
		"Marketing":           {err: true, serves: true},
		"marketing/dashboard": {err: true, serves: true},
	} {
		var list List
		if err := list.Set(text); (err != nil) != want.err {
			t.Errorf("'%s': error %v", text, err)
		}
		if list.String() != want.names || list.Serves("marketing") != want.serves || len(list.Cache()) != want.cached {
			t.Errorf("'%s': %s, serves marketing: %v, caches %d", text, list.String(), list.Serves("marketing"), len(list.Cache()))
		}
	}
}
