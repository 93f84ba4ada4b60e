// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"testing"
)

// A short soak shows that the long one can be run, and that faults lose and double nothing. What leaks shows only after thousands of jobs.
func TestShortSoak(t *testing.T) {
	figures, err := run(t.Context(), options{jobs: 40, namespaces: 2, pods: 2, oneIn: 8, seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	none := []string{"lost", "doubled", "leaked_files"}
	for _, f := range figures {
		if f.Name == "faults" && f.Value == 0 {
			t.Error("no fault happened")
		}
		if i := slices.Index(none, f.Name); i >= 0 {
			none = slices.Delete(none, i, i+1)
			if f.Value > 0 {
				t.Errorf("%s is %.0f; want 0", f.Name, f.Value)
			}
		}
	}
	if len(none) > 0 {
		t.Errorf("there are no figures of %v in %+v", none, figures)
	}
}
