// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shares

import "testing"

func TestNamespaceDoesNotTakeAllWorkers(t *testing.T) {
	const most = 4
	s := &Shares{}
	for range most {
		if !s.Enter("a", most) {
			t.Fatal("refused")
		}
	}
	if s.Enter("a", most) || !s.Enter("b", most) {
		t.Error("a namespace takes more than its share")
	}
	s.Leave("a")
	if !s.Enter("a", most) {
		t.Error("refused after one has left")
	}
	for range most {
		s.Leave("a")
	}
	s.Leave("b")
	if s.Busy() > 0 {
		t.Errorf("left %v", s.busy)
	}
}
