// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

// What a job costs the API server is a number that no busy machine changes. So are the attempts, which the benchmark checks itself.
func TestWritesOfAJob(t *testing.T) {
	const maxWrites = 2.2 // the user's create, the final status, and few more on a machine so slow that a status is due in between
	figures, err := run(t.Context(), options{sizes: []int{60}, namespaces: 4, pods: 2, fileBytes: 1 << 10})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range figures {
		if f.Name == "writes_per_job_60" {
			if f.Value > maxWrites {
				t.Errorf("a job costs %.2f writes; want at most %.1f", f.Value, maxWrites)
			}
			return
		}
	}
	t.Errorf("no figure of writes in %+v", figures)
}
