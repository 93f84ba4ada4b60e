// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/task"
)

// caches reports whether a job uses the render cache.
func (r *Reconciler) caches(job *platenv1alpha1.RenderJob) bool {
	return r.Cache != nil && job.Spec.Cache != platenv1alpha1.CacheDisabled
}

// reuse gives a job the files of an earlier render of its task, or lets it wait for one that is under way. It does nothing if the job must
// be rendered.
func (r *Reconciler) reuse(ctx context.Context, s *scope, work render.Task, totalPages int) error {
	if !r.caches(s.job) || s.lost > 0 {
		return nil
	}
	key := r.Cache.Key(s.job.Namespace, work)
	manifest, hit, err := r.Cache.Load(ctx, key, work, totalPages, s.ref())
	if err != nil {
		return err
	}
	if hit {
		s.manifest, s.fresh = &manifest, manifest.FromCache
		ctrl.LoggerFrom(ctx).Info("Reused an earlier render for RenderJob", "uid", s.job.UID, "generation", s.job.Generation)
		return nil
	}
	if s.continues() && ptr.Deref(s.job.Status.Attempts, 0) > 0 {
		return nil // a pod may still render it
	}
	if other, wait := r.Cache.Lead(key, s.key(), ptr.Deref(s.job.Spec.Priority, 0)); wait {
		s.follows = true
		return reconcile.Waiting(platenv1alpha1.QueuedReason, 0, "RenderJob '%s' renders the same; its files will be this job's too", other.Name)
	}
	return nil
}

// settleFlight lets the jobs go on that wait for a job, once the pool does not have it to render any more. job is nil if it is gone.
func (r *Reconciler) settleFlight(key types.NamespacedName, job *platenv1alpha1.RenderJob) {
	if r.Cache == nil || !r.Cache.Leads(key) {
		return
	}
	var state pool.State
	if job != nil {
		state = r.Pool.State(key, job.UID, task.Revision(job))
	}
	if state.Phase != pool.Queued && state.Phase != pool.Rendering {
		r.Cache.Ended(key, state.Phase == pool.Failed)
	}
}

// cacheResult says where a job's files are from.
func (r *Reconciler) cacheResult(s *scope) platenv1alpha1.CacheResult {
	switch {
	case s.manifest.FromCache:
		return platenv1alpha1.CacheHit
	case r.caches(s.job):
		return platenv1alpha1.CacheMiss
	default:
		return platenv1alpha1.CacheOff
	}
}
