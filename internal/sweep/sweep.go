// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package sweep deletes the files of the content store that no job needs: those of deleted jobs, of superseded revisions and of lost
// attempts.
//
// It deletes nothing by memory alone. What the API server says has the last word, except for the files of a job whose deletion was seen,
// because no other job will have its UID. And what is younger than a grace stays: its job, or its commit, may not be visible yet.
//
// The files of a job with contentPolicy Retain outlive it. A mark in the store says so, because nothing else knows what the job's spec was.
package sweep

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/failpoint"
	"github.com/platen-dev/platen/internal/task"
)

const (
	// queueLength bounds the requests that wait. The next walk finds what does not fit.
	queueLength = 4096
	// requestTimeout bounds the deletion of one job's files.
	requestTimeout = 2 * time.Minute
	// maxStubborn is after how many jobs whose files cannot be deleted a walk ends: the store deletes nothing at all.
	maxStubborn = 10
	// pageLength is how many jobs the API server lists at a time.
	pageLength = 500
)

// errStubborn means that files could not be deleted. Those of other jobs may.
var errStubborn = errors.New("files that no job needs stay")

// Store is the part of a content.Store that the Sweeper uses.
type Store interface {
	Walk(ctx context.Context, visit func(content.Object) error) error
	Objects(ctx context.Context, ref content.Ref) ([]content.Object, error)
	Manifest(ctx context.Context, ref content.Ref) (content.Manifest, error)
	Remove(ctx context.Context, objects ...content.Object) error
}

// Options of a Sweeper. All are required.
type Options struct {
	// Serves reports whether the sweeper looks after a namespace; the files of others stay. nil is all namespaces.
	Serves func(namespace string) bool
	// Jobs reads jobs and namespaces from the API server, without a cache, and Cached jobs from the cache, which only says what need not be asked.
	Jobs, Cached client.Reader
	// Store has the files.
	Store Store
	// Owned returns an error if the files may be those of another installation, whose jobs the API server does not know.
	Owned func(ctx context.Context) error
	// Interval from the end of a walk through the whole store to the next one. Requests have this time, however long walks take.
	Interval time.Duration
	// Grace is the least age of what is deleted, unless its job is known to be gone.
	Grace time.Duration
	// Now returns the time.
	Now func() time.Time
	// Log gets a line for each walk that has deleted something, and errors.
	Log logr.Logger
}

// Sweeper deletes files that no job needs. Make one with New and run Start.
type Sweeper struct {
	Options
	requests chan request
}

// request asks for the deletion of the files of a job that is gone or, if name is set, of its other revisions.
type request struct {
	namespace, name string
	uid             types.UID
}

// New returns a Sweeper that does nothing until Start.
func New(options Options) *Sweeper {
	return &Sweeper{Options: options, requests: make(chan request, queueLength)}
}

// Deleted asks for the deletion of the files of a job that is gone.
func (s *Sweeper) Deleted(namespace string, uid types.UID) {
	s.add(request{namespace: namespace, uid: uid})
}

// Superseded asks for the deletion of the files of all revisions but the present one of a finished job.
func (s *Sweeper) Superseded(job types.NamespacedName, uid types.UID) {
	s.add(request{namespace: job.Namespace, name: job.Name, uid: uid})
}

func (s *Sweeper) add(r request) {
	select {
	case s.requests <- r:
	default: // the next walk finds it
	}
}

// Start sweeps until ctx ends. It begins with a walk, from which the store learns how much each namespace uses.
func (s *Sweeper) Start(ctx context.Context) error {
	s.report(ctx, s.Walk(ctx))
	next := time.NewTimer(s.Interval)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
			s.report(ctx, s.Walk(ctx))
			next.Reset(s.Interval)
		case r := <-s.requests:
			s.report(ctx, s.serve(ctx, r))
		}
	}
}

// NeedLeaderElection says that only the leader sweeps.
func (s *Sweeper) NeedLeaderElection() bool { return true }

func (s *Sweeper) report(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		s.Log.Error(err, "Failed to sweep the content store")
	}
}

func (s *Sweeper) serve(ctx context.Context, r request) error {
	if !s.serves(r.namespace) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	objects, err := s.Store.Objects(ctx, content.Ref{Namespace: r.namespace, JobUID: string(r.uid)})
	if err != nil || len(objects) == 0 {
		return err
	}
	from := s.lookup()
	if r.name != "" {
		_, err = s.sweepJob(ctx, from, r.name, objects)
		return err
	}
	unneeded, err := s.ofGone(ctx, from, objects)
	if err != nil {
		return err
	}
	return s.Store.Remove(ctx, slices.DeleteFunc(objects, func(o content.Object) bool { return !unneeded(o) })...)
}

func (s *Sweeper) serves(namespace string) bool { return s.Serves == nil || s.Serves(namespace) }

// Walk looks at the whole store once, and deletes what no job needs. It goes on after a few files that cannot be deleted: the store would learn nothing of
// what follows them, and keep it.
func (s *Sweeper) Walk(ctx context.Context) error {
	if err := s.Owned(ctx); err != nil {
		return err
	}
	from := s.lookup()
	removed, stubborn := 0, []error(nil)
	var objects []content.Object // of one job
	flush := func() error {
		if len(objects) == 0 {
			return nil
		}
		ref := objects[0].Ref
		if !s.serves(ref.Namespace) {
			objects = objects[:0]
			return nil
		}
		name, alive, err := from.find(ctx, ref.Namespace, types.UID(ref.JobUID))
		if err != nil {
			return err
		}
		n := 0
		switch {
		case !alive:
			n, err = s.removeOfGone(ctx, from, objects)
		case ref.Namespace != "": // an old layout's files stay as long as their job
			n, err = s.sweepJob(ctx, from, name, objects)
		}
		removed += n
		objects = objects[:0]
		if errors.Is(err, errStubborn) && ctx.Err() == nil && len(stubborn) < maxStubborn {
			stubborn, err = append(stubborn, err), nil
		}
		return err
	}
	err := s.Store.Walk(ctx, func(o content.Object) error {
		if len(objects) > 0 && (o.Ref.Namespace != objects[0].Ref.Namespace || o.Ref.JobUID != objects[0].Ref.JobUID) {
			if err := flush(); err != nil {
				return err
			}
		}
		objects = append(objects, o)
		return nil
	})
	if err == nil {
		err = flush()
	}
	if removed > 0 {
		s.Log.Info("Swept the content store", "removed", removed)
	}
	if err == nil && len(stubborn) > 0 {
		err = stubborn[0]
	}
	return err
}

// sweepJob deletes those objects of a job that it does not need, and returns their number.
func (s *Sweeper) sweepJob(ctx context.Context, from *lookup, name string, objects []content.Object) (int, error) {
	ref := objects[0].Ref
	if !s.isDoubtful(objects) {
		return 0, nil
	}
	job := &platenv1alpha1.RenderJob{}
	switch err := s.Jobs.Get(ctx, types.NamespacedName{Namespace: ref.Namespace, Name: name}, job); {
	case apierrors.IsNotFound(err), err == nil && string(job.UID) != ref.JobUID:
		return s.removeOfGone(ctx, from, objects)
	case err != nil:
		return 0, fmt.Errorf("reading RenderJob %s: %w", name, err)
	case !job.Finished():
		return s.remove(ctx, objects, lostAttempts(objects))
	}
	ref.Revision = task.Revision(job)
	manifest, err := s.Store.Manifest(ctx, ref)
	failed := errors.Is(err, content.ErrNotFound) && len(job.Status.Pages) == 0
	return s.remove(ctx, objects, func(o content.Object) bool {
		return o.Ref != ref || failed || err == nil && o.Attempt > 0 && o.Attempt != manifest.Attempt
	})
}

// removeOfGone deletes those objects of a job that is gone that nothing retains, and returns their number.
func (s *Sweeper) removeOfGone(ctx context.Context, from *lookup, objects []content.Object) (int, error) {
	unneeded, err := s.ofGone(ctx, from, objects)
	if err != nil {
		return 0, err
	}
	return s.remove(ctx, objects, unneeded)
}

// ofGone returns which objects of a job that is gone nothing retains: all but those of a render with a mark that still counts, in the namespace
// in which it was made.
func (s *Sweeper) ofGone(ctx context.Context, from *lookup, objects []content.Object) (func(content.Object) bool, error) {
	retained, marked := map[content.Ref]bool{}, time.Time{}
	for _, o := range objects {
		if o.RetainedUntil.After(s.Now()) {
			retained[o.Ref] = true
			marked = o.ModTime
		}
	}
	if len(retained) > 0 {
		namespace, err := from.read(ctx, objects[0].Ref.Namespace)
		if err != nil {
			return nil, err
		}
		if !namespace.exists || namespace.created.After(marked.Add(s.Grace)) { // the grace is for clocks that differ
			clear(retained)
		}
	}
	return func(o content.Object) bool { return !retained[o.Ref] }, nil
}

// lostAttempts returns which objects an unfinished job does not need: those of all attempts but the last one at a revision that is not
// rendered. It needs all that are rendered, because it may return to an earlier revision.
func lostAttempts(objects []content.Object) func(content.Object) bool {
	rendered, last := map[content.Ref]bool{}, map[content.Ref]int{}
	for _, o := range objects {
		rendered[o.Ref] = rendered[o.Ref] || o.IsManifest()
		last[o.Ref] = max(last[o.Ref], o.Attempt)
	}
	return func(o content.Object) bool { return !rendered[o.Ref] && o.Attempt < last[o.Ref] }
}

// isDoubtful reports whether a job that exists may not need all of these objects: they are not those of one render.
func (s *Sweeper) isDoubtful(objects []content.Object) bool {
	attempt, rendered := 0, false
	for _, o := range objects {
		if o.Ref != objects[0].Ref || attempt > 0 && o.Attempt > 0 && o.Attempt != attempt {
			return true
		}
		attempt = max(attempt, o.Attempt)
		rendered = rendered || o.IsManifest()
	}
	return !rendered
}

// remove deletes those of a job's objects that are unneeded and older than the grace. It returns their number.
func (s *Sweeper) remove(ctx context.Context, objects []content.Object, unneeded func(content.Object) bool) (int, error) {
	var old []content.Object
	for _, o := range objects {
		if unneeded(o) && s.Now().Sub(o.ModTime) >= s.Grace {
			old = append(old, o)
		}
	}
	if len(old) == 0 {
		return 0, nil
	}
	failpoint.Hit("sweep.before-delete")
	if err := s.Store.Remove(ctx, old...); err != nil {
		return 0, fmt.Errorf("%w: %w", errStubborn, err)
	}
	return len(old), nil
}

// lookup finds the names of jobs by their UIDs, namespace after namespace. It asks the API server about a namespace only if the cache does
// not have a job.
type lookup struct {
	jobs, cached client.Reader
	namespace    string
	// known has the jobs of the cache and, once listed, those of the API server.
	known  map[types.UID]string
	listed bool
	// place is the namespace that was read last.
	place place
}

// place is what the API server has said of a namespace.
type place struct {
	name    string
	created time.Time
	// exists is false for a namespace that is gone, and for one that is being deleted.
	exists bool
}

func (s *Sweeper) lookup() *lookup { return &lookup{jobs: s.Jobs, cached: s.Cached} }

// read returns a namespace.
func (l *lookup) read(ctx context.Context, name string) (place, error) {
	if l.place.name == name {
		return l.place, nil
	}
	namespace := &corev1.Namespace{}
	err := l.jobs.Get(ctx, client.ObjectKey{Name: name}, namespace)
	if client.IgnoreNotFound(err) != nil {
		return place{}, fmt.Errorf("reading Namespace %s: %w", name, err)
	}
	l.place = place{name: name, created: namespace.CreationTimestamp.Time, exists: err == nil && namespace.DeletionTimestamp.IsZero()}
	return l.place, nil
}

func (l *lookup) find(ctx context.Context, namespace string, uid types.UID) (name string, found bool, err error) {
	if l.known == nil || l.namespace != namespace {
		jobs := &platenv1alpha1.RenderJobList{}
		if err := l.cached.List(ctx, jobs, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
			return "", false, fmt.Errorf("listing the cached RenderJobs of namespace %s: %w", namespace, err)
		}
		l.namespace, l.known, l.listed = namespace, map[types.UID]string{}, false
		for i := range jobs.Items {
			l.known[jobs.Items[i].UID] = jobs.Items[i].Name
		}
	}
	name, found = l.known[uid]
	if !found && !l.listed {
		if err := l.list(ctx, namespace); err != nil {
			return "", false, err
		}
		name, found = l.known[uid]
	}
	return name, found, nil
}

// list reads the metadata of all jobs of a namespace from the API server.
func (l *lookup) list(ctx context.Context, namespace string) error {
	page := &metav1.PartialObjectMetadataList{}
	page.SetGroupVersionKind(platenv1alpha1.GroupVersion.WithKind("RenderJobList"))
	for next := ""; ; {
		if err := l.jobs.List(ctx, page, client.InNamespace(namespace), client.Limit(pageLength), client.Continue(next)); err != nil {
			return fmt.Errorf("listing the RenderJobs of namespace %s: %w", namespace, err)
		}
		for i := range page.Items {
			l.known[page.Items[i].UID] = page.Items[i].Name
		}
		if next = page.Continue; next == "" {
			l.listed = true
			return nil
		}
	}
}
