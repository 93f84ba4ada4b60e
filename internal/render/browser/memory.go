// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"syscall"
	"time"

	"github.com/platen-dev/platen/internal/render/procs"
)

const (
	// memoryInterval is how often a render's memory is looked at. A CPU fills about a gigabyte a second, so that a page cannot
	// take more than some tens of megabytes beyond the limit.
	memoryInterval = 20 * time.Millisecond
	// muchMemory is the part of the limit beyond which a tab is not kept.
	muchMemory = 3
	// treeInterval is how often the browser's processes are looked for, in memoryIntervals.
	treeInterval = 5
)

// guard ends the process as soon as it holds too much memory: the machine, and what else runs in the pod, must not suffer for a
// page. The next render gets another browser. The caller calls what it returns when the render is over.
func (b *Browser) guard(p *process) (stop func()) {
	if b.options.MaxMemory == 0 {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(memoryInterval)
		defer ticker.Stop()
		root := p.Pid()
		var tree []int
		for n := 0; ; n++ {
			if n%treeInterval == 0 {
				tree = procs.Tree(root)
			}
			total := unshared(tree)
			if total > b.options.MaxMemory && !p.lost() {
				p.exceeded.Store(true)
				b.options.Logger.Warn("a render took too much memory; ending the browser", "bytes", total, "limit", b.options.MaxMemory)
				for _, pid := range tree {
					_ = syscall.Kill(pid, syscall.SIGKILL) // fails when it has ended, which is as good
				}
				return
			}
			select {
			case <-done:
				return
			case <-ticker.C:
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// holdsMuch tells whether so much of the limit is taken already that the next page could suffer for it. A tab that ends gives its
// memory back.
func (p *process) holdsMuch(limit int64) bool {
	return limit > 0 && unshared(procs.Tree(p.Pid())) > limit/muchMemory
}

// unshared is what processes hold for themselves, in bytes.
func unshared(pids []int) (total int64) {
	for _, pid := range pids {
		total += procs.Unshared(pid)
	}
	return total
}
