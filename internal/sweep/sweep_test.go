// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/testr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/task"
)

// world is a store whose clock stands an hour after everything was stored, so that all of it is older than the grace, and an API server.
type world struct {
	*Sweeper
	t        *testing.T
	store    *content.Store
	folder   string
	api      client.Client
	cache    client.Client
	requests []string
	now      time.Time
	owned    error
}

func newWorld(t *testing.T) *world {
	t.Helper()
	folder := t.TempDir()
	store, err := content.Open(t.Context(), "file://"+folder, content.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	scheme := runtime.NewScheme()
	if err := errors.Join(platenv1alpha1.AddToScheme(scheme), corev1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: store, folder: folder, now: time.Now().Add(time.Hour)}
	w.cache = fake.NewClientBuilder().WithScheme(scheme).Build()
	w.api = fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			w.requests = append(w.requests, "list")
			return c.List(ctx, list, options...)
		},
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
			w.requests = append(w.requests, "get "+key.Name)
			return c.Get(ctx, key, object, options...)
		},
	}).Build()
	w.Sweeper = New(Options{
		Jobs: w.api, Cached: w.cache, Store: store, Owned: func(context.Context) error { return w.owned }, Interval: time.Hour, Grace: 10 * time.Minute,
		Now: func() time.Time { return w.now }, Log: testr.New(t),
	})
	return w
}

// job creates a job, in the cache too unless it is behind.
func (w *world) job(name string, finished, cached bool) *platenv1alpha1.RenderJob {
	w.t.Helper()
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID("uid-" + name), Generation: 2}}
	job.Spec.TemplateRef.Name = name
	if finished {
		job.Status.ObservedGeneration = new(int64(2))
		job.Status.Conditions = []metav1.Condition{{Type: platenv1alpha1.FinishedCondition, Status: metav1.ConditionTrue}}
	}
	if err := w.api.Create(w.t.Context(), job.DeepCopy()); err != nil {
		w.t.Fatal(err)
	}
	if cached {
		if err := w.cache.Create(w.t.Context(), job.DeepCopy()); err != nil {
			w.t.Fatal(err)
		}
	}
	return job
}

func ref(job, revision string) content.Ref {
	return content.Ref{Namespace: "ns", JobUID: "uid-" + job, Revision: revision}
}

// fill stores a page of each attempt, and the manifest of the last one.
func (w *world) fill(ref content.Ref, attempts ...int) {
	w.t.Helper()
	for _, attempt := range attempts {
		f := file.File{ID: file.ID{Page: 1}, Format: "png"}
		if _, err := w.store.Put(w.t.Context(), ref, attempt, f, strings.NewReader("x"), 10); err != nil {
			w.t.Fatal(err)
		}
	}
	if _, err := w.store.PutManifest(w.t.Context(), ref, content.Manifest{Attempt: attempts[len(attempts)-1]}); err != nil {
		w.t.Fatal(err)
	}
}

// kept returns what the store has, as job/revision/attempt; a manifest has attempt 0, and a mark none.
func (w *world) kept() (kept []string) {
	w.t.Helper()
	err := w.store.Walk(w.t.Context(), func(o content.Object) error {
		what := strconv.Itoa(o.Attempt)
		if !o.RetainedUntil.IsZero() {
			what = "mark"
		}
		kept = append(kept, fmt.Sprintf("%s/%s/%s", strings.TrimPrefix(o.Ref.JobUID, "uid-"), o.Ref.Revision, what))
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	slices.Sort(kept)
	return kept
}

func (w *world) expectKept(want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.kept()); diff != "" {
		w.t.Errorf("kept (-want +got):\n%s", diff)
	}
}

func (w *world) walk() {
	w.t.Helper()
	if err := w.Walk(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func TestWalkDeletesWhatNoJobNeeds(t *testing.T) {
	w := newWorld(t)
	present := task.Revision(w.job("done", true, true))
	w.job("running", false, true)
	w.fill(ref("done", "old"), 1)
	w.fill(ref("done", present), 1, 2)
	w.fill(ref("gone", "old"), 1)
	w.fill(ref("running", "old"), 1)
	w.walk()
	w.expectKept("done/"+present+"/0", "done/"+present+"/2", "running/old/0", "running/old/1")
}

// stubbornStore deletes no file of some jobs, as a bucket that locks objects or a damaged folder.
type stubbornStore struct {
	*content.Store
	locked []string
}

var errLocked = errors.New("the object is locked")

func (s *stubbornStore) Remove(ctx context.Context, objects ...content.Object) error {
	if len(objects) > 0 && slices.Contains(s.locked, objects[0].Ref.JobUID) {
		return errLocked
	}
	return s.Store.Remove(ctx, objects...)
}

func TestWalkGoesOnAfterAFileThatCannotBeDeleted(t *testing.T) {
	w := newWorld(t)
	stubborn := &stubbornStore{Store: w.store, locked: []string{"uid-a"}}
	w.Store = stubborn
	for _, job := range []string{"a", "b", "c"} {
		w.fill(ref(job, "1"), 1)
	}
	if err := w.Walk(t.Context()); !errors.Is(err, errLocked) {
		t.Errorf("the walk says %v", err)
	}
	w.expectKept("a/1/0", "a/1/1")

	stubborn.locked = nil
	w.fill(ref("z", "1"), 1) // the last one
	for n := range 2 * maxStubborn {
		stubborn.locked = append(stubborn.locked, fmt.Sprintf("uid-%02d", n))
		w.fill(ref(fmt.Sprintf("%02d", n), "1"), 1)
	}
	if err := w.Walk(t.Context()); !errors.Is(err, errLocked) {
		t.Errorf("a walk through a store that deletes nothing says %v", err)
	}
	if kept := w.kept(); !slices.Contains(kept, "z/1/0") {
		t.Errorf("it goes on and on: %v", kept)
	}
}

func TestFilesOfAnotherInstallationStay(t *testing.T) {
	w := newWorld(t)
	w.fill(ref("gone", "old"), 1)
	w.owned = &content.OwnerError{Owner: "theirs", Wanted: "ours"}
	if err := w.Walk(t.Context()); !errors.Is(err, w.owned) {
		t.Errorf("got %v", err)
	}
	w.expectKept("gone/old/0", "gone/old/1")
}

// A job may be created, and its files stored, between the moment that the cache shows and the walk.
func TestWalkLooksUpLiveWhatTheCacheDoesNotHave(t *testing.T) {
	w := newWorld(t)
	present := task.Revision(w.job("new", true, false))
	w.fill(ref("new", present), 1)
	w.walk()
	w.expectKept("new/"+present+"/0", "new/"+present+"/1")
	if diff := cmp.Diff([]string{"list"}, w.requests); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestWalkAsksNothingAboutJobsThatTheCacheHas(t *testing.T) {
	w := newWorld(t)
	for n := range 20 {
		name := fmt.Sprintf("job-%d", n)
		w.fill(ref(name, task.Revision(w.job(name, true, true))), 1)
	}
	w.walk()
	if len(w.requests) > 0 || len(w.kept()) != 40 {
		t.Errorf("%d requests %v, %d objects kept", len(w.requests), w.requests, len(w.kept()))
	}
}

// The cache still has the job's older spec: the API server has the last word.
func TestWalkBelievesTheAPIServerMoreThanTheCache(t *testing.T) {
	w := newWorld(t)
	job := w.job("job", true, true)
	old := task.Revision(job)
	if err := w.api.Get(t.Context(), client.ObjectKeyFromObject(job), job); err != nil {
		t.Fatal(err)
	}
	job.Spec.TemplateRef.Name = "other"
	if err := w.api.Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	present := task.Revision(job)
	w.fill(ref("job", old), 1)
	w.fill(ref("job", present), 1)
	w.walk()
	w.expectKept("job/"+present+"/0", "job/"+present+"/1")
}

func TestNothingYoungerThanTheGraceIsSwept(t *testing.T) {
	w := newWorld(t)
	w.fill(ref("gone", "1"), 1)
	w.now = time.Now().Add(9 * time.Minute)
	w.walk()
	w.expectKept("gone/1/0", "gone/1/1")
	w.now = time.Now().Add(11 * time.Minute)
	w.walk()
	w.expectKept()
}

// The files of a namespace that another manager leads, or serves, are not this one's to delete.
func TestFilesOfOtherNamespacesStay(t *testing.T) {
	w := newWorld(t)
	w.fill(ref("gone", "1"), 1)
	w.now = time.Now().Add(time.Hour)
	w.Serves = func(namespace string) bool { return namespace != "ns" }
	w.walk()
	if err := w.serve(t.Context(), request{namespace: "ns", uid: "uid-gone"}); err != nil {
		t.Fatal(err)
	}
	w.expectKept("gone/1/0", "gone/1/1")
	w.Serves = nil
	w.walk()
	w.expectKept()
}

func TestRequestsDeleteTheFilesOfOneJob(t *testing.T) {
	w := newWorld(t)
	present := task.Revision(w.job("job", true, true))
	w.fill(ref("job", "old"), 1)
	w.fill(ref("job", present), 1)
	w.fill(ref("gone", "1"), 1)
	w.fill(ref("gone2", "1"), 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	w.now = time.Now() // nothing is old enough for the first walk
	w.Superseded(types.NamespacedName{Namespace: "ns", Name: "job"}, "uid-job")
	w.Deleted("ns", "uid-gone")
	ended := make(chan error)
	go func() { ended <- w.Start(ctx) }()
	for deadline := time.Now().Add(10 * time.Second); len(w.kept()) != 6 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	// The superseded revision may be wanted again: it stays until it is old.
	w.expectKept("gone2/1/0", "gone2/1/1", "job/"+present+"/0", "job/"+present+"/1", "job/old/0", "job/old/1")
	w.now = time.Now().Add(time.Hour)
	if err := w.serve(t.Context(), request{namespace: "ns", name: "job", uid: "uid-job"}); err != nil {
		t.Fatal(err)
	}
	w.expectKept("gone2/1/0", "gone2/1/1", "job/"+present+"/0", "job/"+present+"/1")
}

func TestRequestsThatDoNotFitAreDropped(t *testing.T) {
	w := newWorld(t)
	for range 2 * queueLength {
		w.Deleted("ns", "uid")
	}
	if len(w.Sweeper.requests) != queueLength {
		t.Errorf("%d requests wait", len(w.Sweeper.requests))
	}
}

// slowStore takes a minute for a walk and a second for the files of one job, of which it has none.
type slowStore struct {
	Store
	walks, requests int
}

func (s *slowStore) Walk(context.Context, func(content.Object) error) error {
	s.walks++
	time.Sleep(time.Minute)
	return nil
}

func (s *slowStore) Objects(context.Context, content.Ref) ([]content.Object, error) {
	s.requests++
	time.Sleep(time.Second)
	return nil, nil
}

// Walks through a large store can take longer than the interval, while thousands of jobs are deleted.
func TestWalksLeaveTimeForRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slowStore{}
		s := New(Options{
			Store: store, Owned: func(context.Context) error { return nil }, Interval: 30 * time.Second, Now: time.Now, Log: logr.Discard(),
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Start(ctx) }()
		for range 1000 {
			s.Deleted("marketing", "gone")
		}
		time.Sleep(31 * time.Minute)
		if store.requests < 500 {
			t.Errorf("in half an hour, %d walks and %d requests; want 500 requests or more", store.walks, store.requests)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func (w *world) put(ref content.Ref, attempts ...int) {
	w.t.Helper()
	for _, attempt := range attempts {
		f := file.File{ID: file.ID{Page: 1}, Format: "png"}
		if _, err := w.store.Put(w.t.Context(), ref, attempt, f, strings.NewReader("x"), 10); err != nil {
			w.t.Fatal(err)
		}
	}
}

// Lost attempts take the room that the next attempt of their job waits for.
func TestWalkDeletesLostAttemptsOfJobsThatHaveNoRender(t *testing.T) {
	w := newWorld(t)
	failed := task.Revision(w.job("failed", true, true))
	running := task.Revision(w.job("running", false, true))
	w.put(ref("failed", failed), 1)
	w.put(ref("running", running), 1, 2, 3)
	w.walk()
	w.expectKept("running/" + running + "/3")
}

// Managers before the namespace was part of the keys have left files as jobs/<uid>/<generation>/<file>.
func TestWalkDeletesFilesOfTheOldLayoutWhenTheirJobsAreGone(t *testing.T) {
	w := newWorld(t)
	w.job("alive", true, true)
	w.job("unseen", true, false)
	for _, key := range []string{"alive/1/1.png", "alive/2/manifest.json", "gone/1/1.png", "gone/1/manifest.json", "unseen/1/1.png"} {
		path := filepath.Join(w.folder, "jobs", "uid-"+key)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.now = time.Now()
	w.walk()
	w.expectKept("alive/1/0", "alive/2/0", "gone/1/0", "gone/1/0", "unseen/1/0")
	w.now = time.Now().Add(time.Hour)
	w.walk()
	w.expectKept("alive/1/0", "alive/2/0", "unseen/1/0")
}

// retain marks a render until two hours from now: the clock stands in the middle.
func (w *world) retain(ref content.Ref) {
	w.t.Helper()
	if err := w.store.Retain(w.t.Context(), ref, time.Now().Add(2*time.Hour)); err != nil {
		w.t.Fatal(err)
	}
}

// namespace makes the namespace of all jobs.
func (w *world) namespace(edit ...func(*corev1.Namespace)) {
	w.t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ns", CreationTimestamp: metav1.NewTime(time.Now().Add(-time.Hour))}}
	for _, f := range edit {
		f(namespace)
	}
	if err := w.api.Create(w.t.Context(), namespace); err != nil {
		w.t.Fatal(err)
	}
}

// sweeps are the two ways in which the files of a job go that is gone.
var sweeps = map[string]func(*world){
	"walk": func(w *world) { w.walk() },
	"request": func(w *world) {
		w.t.Helper()
		for _, uid := range []types.UID{"uid-gone", "uid-other"} {
			if err := w.serve(w.t.Context(), request{namespace: "ns", uid: uid}); err != nil {
				w.t.Fatal(err)
			}
		}
	},
}

func TestMarkedRendersOutliveTheirJob(t *testing.T) {
	for name, sweep := range sweeps {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.namespace()
			w.fill(ref("gone", "old"), 1)
			w.fill(ref("gone", "new"), 1)
			w.fill(ref("other", "new"), 1)
			w.retain(ref("gone", "new"))
			sweep(w)
			w.expectKept("gone/new/0", "gone/new/1", "gone/new/mark")
			w.now = time.Now().Add(2 * time.Hour)
			sweep(w)
			w.expectKept()
		})
	}
}

func TestNoFilesOutliveTheirNamespace(t *testing.T) {
	for namespace, edit := range map[string]func(*world){
		"gone": func(*world) {},
		"being deleted": func(w *world) {
			w.namespace(func(n *corev1.Namespace) { n.Finalizers = []string{"kubernetes"} })
			if err := w.api.Delete(w.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ns"}}); err != nil {
				w.t.Fatal(err)
			}
		},
		"made again": func(w *world) {
			w.namespace(func(n *corev1.Namespace) { n.CreationTimestamp = metav1.NewTime(time.Now().Add(11 * time.Minute)) })
		},
	} {
		for name, sweep := range sweeps {
			t.Run(namespace+", "+name, func(t *testing.T) {
				w := newWorld(t)
				edit(w)
				w.fill(ref("gone", "new"), 1)
				w.retain(ref("gone", "new"))
				sweep(w)
				w.expectKept()
			})
		}
	}
}

func TestNoFilesGoWhileTheNamespaceCannotBeRead(t *testing.T) {
	w := newWorld(t)
	problem := errors.New("the API server does not answer")
	w.Jobs = interceptor.NewClient(fake.NewClientBuilder().WithScheme(w.api.Scheme()).Build(), interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return problem
		},
	})
	w.fill(ref("gone", "new"), 1)
	w.retain(ref("gone", "new"))
	if err := w.Walk(t.Context()); !errors.Is(err, problem) {
		t.Errorf("the walk: %v", err)
	}
	if err := w.serve(t.Context(), request{namespace: "ns", uid: "uid-gone"}); !errors.Is(err, problem) {
		t.Errorf("the request: %v", err)
	}
	w.expectKept("gone/new/0", "gone/new/1", "gone/new/mark")
}

func TestWalkReadsANamespaceOnce(t *testing.T) {
	w := newWorld(t)
	w.namespace()
	for n := range 20 {
		name := fmt.Sprintf("gone-%d", n)
		w.fill(ref(name, "new"), 1)
		w.retain(ref(name, "new"))
	}
	w.walk()
	if diff := cmp.Diff([]string{"list", "get ns"}, w.requests); diff != "" || len(w.kept()) != 60 {
		t.Errorf("%d objects kept; requests (-want +got):\n%s", len(w.kept()), diff)
	}
}

// A mark is for the time after the job. While the job exists, its spec says what it needs.
func TestMarksKeepNothingOfAJobThatExists(t *testing.T) {
	w := newWorld(t)
	present := task.Revision(w.job("done", true, true))
	failed := task.Revision(w.job("failed", true, true))
	running := task.Revision(w.job("running", false, true))
	w.fill(ref("done", "old"), 1)
	w.fill(ref("done", present), 1)
	w.fill(ref("failed", "old"), 1)
	w.put(ref("failed", failed), 1)
	w.put(ref("running", running), 1, 2)
	for _, ref := range []content.Ref{ref("done", "old"), ref("failed", failed), ref("running", running)} {
		w.retain(ref)
	}
	w.walk()
	w.expectKept("done/"+present+"/0", "done/"+present+"/1", "running/"+running+"/2")
}
