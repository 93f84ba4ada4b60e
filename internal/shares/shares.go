// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package shares bounds how many of a process's workers one namespace or one client has at a time, so that slow work of one does not hold up the others.
package shares

import "sync"

// Shares counts the work in progress by namespace, or by client. The zero value is ready for use.
type Shares struct {
	mu   sync.Mutex
	busy map[string]int
}

// Enter begins a namespace's work, unless most of its are in progress. It reports whether it has; then Leave must follow.
func (s *Shares) Enter(namespace string, most int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[namespace] >= most {
		return false
	}
	if s.busy == nil {
		s.busy = map[string]int{}
	}
	s.busy[namespace]++
	return true
}

// Leave ends what Enter began.
func (s *Shares) Leave(namespace string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[namespace]--; s.busy[namespace] == 0 {
		delete(s.busy, namespace)
	}
}

// Busy returns the number of namespaces with work in progress.
func (s *Shares) Busy() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.busy)
}
