// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// stillEvery is the interval at which a long step says that it still runs.
const stillEvery = 15 * time.Second

// progress prints what happens, each line with the seconds since the start.
type progress struct {
	mu    sync.Mutex
	w     io.Writer
	start time.Time
}

func newProgress(w io.Writer) *progress {
	return &progress{w: w, start: time.Now()}
}

func (p *progress) printf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, "[%5.1fs] %s\n", time.Since(p.start).Seconds(), fmt.Sprintf(format, args...))
}

// step announces a step, runs it, and says every stillEvery that it goes on.
func (p *progress) step(name string, f func() error) error {
	p.printf("%s", name)
	begin := time.Now()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(stillEvery)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
				p.printf("  still running after %s", time.Since(begin).Round(time.Second))
			}
		}
	}()
	err := f()
	close(stop)
	<-stopped
	if took := time.Since(begin); err == nil && took > stillEvery {
		p.printf("  done in %s", took.Round(time.Second))
	}
	return err
}
