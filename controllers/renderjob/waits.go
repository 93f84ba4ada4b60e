// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/reconcile"
)

// rewriteDelay is the least time between two writes of one wait, if another manager has replaced it.
const rewriteDelay = 10 * time.Second

// waits remembers what this process has last written about each job that waits. For a moment after a lease was lost, two managers
// reconcile the same jobs and know different things of them; without a delay each would replace what the other has written, for ever and at
// once.
type waits struct {
	written sync.Map // types.NamespacedName → wait
}

type wait struct {
	uid    types.UID
	reason string
	at     time.Time
}

// wrote records a status that was written.
func (w *waits) wrote(s *scope, outcome error) {
	if waiting := reconcile.AsWaiting(outcome); waiting != nil {
		w.written.Store(s.key(), wait{s.job.UID, waiting.Reason, s.now})
	} else {
		w.forget(s.key())
	}
}

// forget drops the memory of a job that is finished or gone.
func (w *waits) forget(key types.NamespacedName) { w.written.Delete(key) }

// hold returns how long not to write a wait: this process has just written the same, and the job shows another one.
func (w *waits) hold(s *scope, outcome error) time.Duration {
	known, ok := w.written.Load(s.key())
	last, _ := known.(wait)
	ready := meta.FindStatusCondition(s.job.Status.Conditions, platenv1alpha1.ReadyCondition)
	waiting := reconcile.AsWaiting(outcome)
	if !ok || waiting == nil || last.uid != s.job.UID || last.reason != waiting.Reason || !s.job.Observed() || ready == nil || ready.Reason == last.reason {
		return 0
	}
	return max(last.at.Add(rewriteDelay).Sub(s.now), 0)
}
