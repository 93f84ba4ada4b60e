// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package jobwatch lets many callers wait for RenderJobs with one watch.
package jobwatch

import (
	"context"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// Waiters holds the callers that wait for a job. Create it with New.
type Waiters struct {
	mu   sync.Mutex
	jobs map[types.UID]map[chan *platenv1alpha1.RenderJob]bool
}

// New returns Waiters that follow the RenderJobs of the cache.
func New(ctx context.Context, c cache.Cache) (*Waiters, error) {
	informer, err := c.GetInformer(ctx, &platenv1alpha1.RenderJob{}, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watching RenderJobs: %w", err)
	}
	w := &Waiters{jobs: map[types.UID]map[chan *platenv1alpha1.RenderJob]bool{}}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(first any) { w.notify(first, false) }, // also of jobs that have ended while the watch was interrupted
		UpdateFunc: func(_, now any) { w.notify(now, false) },
		DeleteFunc: func(last any) { w.notify(last, true) },
	})
	return w, err
}

// Register returns a channel that receives the job once it has finished or is suspended, or nil once it is deleted. The job is shared
// and must not be changed. The channel does not receive earlier changes: look at the cache after Register. The caller must call
// leave.
func (w *Waiters) Register(uid types.UID) (ended <-chan *platenv1alpha1.RenderJob, leave func()) {
	waiting := make(chan *platenv1alpha1.RenderJob, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.jobs[uid] == nil {
		w.jobs[uid] = map[chan *platenv1alpha1.RenderJob]bool{}
	}
	w.jobs[uid][waiting] = true
	return waiting, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.jobs[uid], waiting)
		if len(w.jobs[uid]) == 0 {
			delete(w.jobs, uid)
		}
	}
}

// notify sends a job to the callers that wait for it, if it has ended, is suspended or is gone.
func (w *Waiters) notify(object any, gone bool) {
	if unknown, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
		object = unknown.Obj
	}
	job, ok := object.(*platenv1alpha1.RenderJob)
	if !ok || (!gone && !job.Finished() && !job.Suspended()) {
		return
	}
	uid := job.UID
	if gone {
		job = nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for waiting := range w.jobs[uid] {
		select {
		case waiting <- job:
		default: // it has received the job already
		}
	}
}
