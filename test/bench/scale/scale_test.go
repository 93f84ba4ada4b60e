// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

// What jobs and restarts cost the API server are numbers that no busy machine changes. So are the attempts, which the benchmark checks itself.
func TestWrites(t *testing.T) {
	const namespaces = 200
	figures, err := run(t.Context(), options{sizes: []int{namespaces + 60}, namespaces: namespaces, pods: 1, fileBytes: 1 << 10, shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	most := map[string]float64{
		// The user's create, the final status, and few more on a machine so slow that a status is due in between.
		"writes_per_job_260": 2.2,
		"restart_writes":     maxRestartWrites,
	}
	for _, f := range figures {
		if limit, ok := most[f.Name]; ok && f.Value > limit {
			t.Errorf("%s is %.2f; want at most %.1f", f.Name, f.Value, limit)
		}
		delete(most, f.Name)
	}
	if len(most) > 0 {
		t.Errorf("there are no figures of %v in %+v", most, figures)
	}
}
