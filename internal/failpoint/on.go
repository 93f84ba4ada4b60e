//go:build failpoints

// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package failpoint

import (
	"net/http"
	"os"
	"sync"
	"syscall"
)

var (
	mu    sync.Mutex
	armed = map[string]bool{}
)

// Hit ends the process if name is armed, as a crash does: nothing is flushed and no deferred call runs.
func Hit(name string) {
	mu.Lock()
	defer mu.Unlock()
	if armed[name] {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		// Wait for the signal: nothing after this point may happen.
		select {}
	}
}

// Handler returns a handler that arms a point on `POST /failpoints/{name}`. The next process has no armed points.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /failpoints/{name}", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		armed[r.PathValue("name")] = true
		mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}
