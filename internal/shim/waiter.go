// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"context"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// waiters wakes the requests that wait for a job: all of them share one watch.
type waiters struct {
	mu   sync.Mutex
	jobs map[types.UID]map[chan *platenv1alpha1.RenderJob]bool
}

// watch begins to listen to the cache's RenderJobs.
func (w *waiters) watch(ctx context.Context, c cache.Cache) error {
	informer, err := c.GetInformer(ctx, &platenv1alpha1.RenderJob{})
	if err != nil {
		return fmt.Errorf("watching RenderJobs: %w", err)
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		UpdateFunc: func(_, now any) { w.tell(now, false) },
		DeleteFunc: func(last any) { w.tell(last, true) },
	})
	return err
}

func (w *waiters) tell(object any, gone bool) {
	if unknown, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
		object = unknown.Obj
	}
	job, ok := object.(*platenv1alpha1.RenderJob)
	if !ok || (!gone && !finished(job)) {
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
		default: // it has been told already
		}
	}
}

// register returns a channel that gets the finished job, or nil when the job is deleted. leave must be called.
func (w *waiters) register(uid types.UID) (told chan *platenv1alpha1.RenderJob, leave func()) {
	told = make(chan *platenv1alpha1.RenderJob, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.jobs == nil {
		w.jobs = map[types.UID]map[chan *platenv1alpha1.RenderJob]bool{}
	}
	if w.jobs[uid] == nil {
		w.jobs[uid] = map[chan *platenv1alpha1.RenderJob]bool{}
	}
	w.jobs[uid][told] = true
	return told, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.jobs[uid], told)
		if len(w.jobs[uid]) == 0 {
			delete(w.jobs, uid)
		}
	}
}
