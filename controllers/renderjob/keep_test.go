// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	testclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/task"
	"github.com/platen-dev/platen/test/testenv"
)

// noSweeper sweeps nothing.
type noSweeper struct{}

func (noSweeper) Deleted(string, types.UID)                  {}
func (noSweeper) Superseded(types.NamespacedName, types.UID) {}

// rendered returns a job without uploads, a store with its files, and a reconciler of an API server that has it.
func rendered(t *testing.T, funcs interceptor.Funcs) (*Reconciler, *platenv1alpha1.RenderJob, content.Ref) {
	t.Helper()
	store, err := content.Open(t.Context(), "mem://", content.Options{})
	if err != nil {
		t.Fatal(err)
	}
	job := theJob(func(j *platenv1alpha1.RenderJob) { j.Spec.Connections = []platenv1alpha1.JobConnection{} })
	ref := content.Ref{Namespace: job.Namespace, JobUID: string(job.UID), Revision: task.Revision(job)}
	manifest := theManifest()
	manifest.Attempt, manifest.RenderedTime = 1, noon
	for i := range manifest.Files {
		if manifest.Files[i], err = store.Put(t.Context(), ref, 1, manifest.Files[i], strings.NewReader("x"), 10); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.PutManifest(t.Context(), ref, *manifest); err != nil {
		t.Fatal(err)
	}

	r := newReconciler(t)
	scheme, err := testenv.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(job).WithStatusSubresource(job).WithInterceptorFuncs(funcs).Build()
	r.Client, r.Store, r.Clock, r.Sweeper = c, store, testclock.NewFakePassiveClock(noon), noSweeper{}
	r.status.Client = c
	return r, job, ref
}

func TestFilesAreKeptForTheRetention(t *testing.T) {
	r, job, ref := rendered(t, interceptor.Funcs{})
	clock := testclock.NewFakePassiveClock(noon)
	r.Clock, r.Retention = clock, time.Hour
	c, store := r.Client, r.Store
	again := func() (wait time.Duration) {
		t.Helper()
		result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(job)})
		if err == nil {
			err = c.Get(t.Context(), client.ObjectKeyFromObject(job), job)
		}
		if err != nil {
			t.Fatal(err)
		}
		return result.RequeueAfter
	}
	urls := func() (n int) {
		for _, p := range job.Status.Pages {
			if p.ContentURL != "" {
				n++
			}
		}
		return n
	}

	again()
	expires := job.Status.ContentExpirationTime
	if !job.Finished() || urls() != 2 || expires == nil || !expires.Time.Equal(noon.Add(time.Hour)) {
		t.Fatalf("the job has not finished with its files: %+v", job.Status)
	}
	clock.SetTime(noon.Add(time.Minute))
	if wait := again(); wait != 59*time.Minute {
		t.Errorf("it looks again in %s, want 59m", wait)
	}
	clock.SetTime(noon.Add(time.Hour))
	again()
	if _, err := store.Inspect(t.Context(), ref, 1, file.File{ID: file.ID{Page: 1}, Format: "png"}); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("the file: %v", err)
	}
	if urls() != 0 || len(job.Status.Warnings) != 1 || len(job.Status.Pages) != 2 {
		t.Errorf("status does not say that the files are gone: %+v", job.Status)
	}
	expectValid(t, job, status.CurrentStatus)
	version := job.ResourceVersion
	if wait := again(); wait != 0 || job.ResourceVersion != version {
		t.Errorf("a job without files is written again, or reconciled in %s", wait)
	}
}

// marked returns until when the store keeps the files of a job that is gone; zero if it does not.
func marked(t *testing.T, store *content.Store, ref content.Ref) (until time.Time) {
	t.Helper()
	objects, err := store.Objects(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if !o.RetainedUntil.IsZero() {
			until = o.RetainedUntil
		}
	}
	return until
}

func TestFilesAreRetainedBeforeAnybodySeesTheirURLs(t *testing.T) {
	crash := errors.New("the manager has crashed")
	r, job, ref := rendered(t, interceptor.Funcs{
		SubResourcePatch: func(context.Context, client.Client, string, client.Object, client.Patch, ...client.SubResourcePatchOption) error {
			return crash
		},
	})
	job.Spec.ContentPolicy = platenv1alpha1.ContentRetain
	if err := r.Client.Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(job)}); !errors.Is(err, crash) {
		t.Fatalf("got %v", err)
	}
	if marked(t, r.Store, ref).IsZero() {
		t.Error("the files go with the job if the status write was the last thing that the manager did")
	}
}

// fullStore returns a content store in a folder whose file system takes no further file until makeRoom, with the objects of another one.
func fullStore(t *testing.T, from *content.Store, ref content.Ref) (full *content.Store, makeRoom func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root mounts a file system")
	}
	folder := t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "nr_inodes=100"); err != nil {
		t.Skipf("no file system can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, 0); err != nil {
			t.Error(err)
		}
	})
	full, err := content.Open(t.Context(), "file://"+folder, content.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = full.Close() })
	manifest, err := from.Manifest(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range manifest.Files {
		if _, err := full.Put(t.Context(), ref, manifest.Attempt, f, strings.NewReader("x"), 10); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := full.PutManifest(t.Context(), ref, manifest); err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(folder, "filler")
	if err := os.Mkdir(filler, 0o700); err != nil {
		t.Fatal(err)
	}
	for n := 0; err == nil; n++ {
		err = os.WriteFile(filepath.Join(filler, strconv.Itoa(n)), nil, 0o600)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the file system: %v", err)
	}
	return full, func() {
		if err := os.RemoveAll(filler); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAJobWaitsForRoomForItsMark(t *testing.T) {
	r, job, ref := rendered(t, interceptor.Funcs{})
	store, makeRoom := fullStore(t, r.Store, ref)
	r.Store = store
	job.Spec.ContentPolicy = platenv1alpha1.ContentRetain
	if err := r.Client.Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	again := func() ctrl.Result {
		t.Helper()
		result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(job)})
		if err == nil {
			err = r.Client.Get(t.Context(), client.ObjectKeyFromObject(job), job)
		}
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	var version string
	for range 2 {
		result := again()
		ready := meta.FindStatusCondition(job.Status.Conditions, platenv1alpha1.ReadyCondition)
		if ready == nil || ready.Reason != platenv1alpha1.ContentStoreFullReason || job.Finished() || result.RequeueAfter == 0 {
			t.Fatalf("without room: %+v, it looks again in %s", job.Status, result.RequeueAfter)
		}
		for _, p := range job.Status.Pages {
			if p.ContentURL != "" {
				t.Errorf("status shows a URL that the job's deletion ends: %+v", p)
			}
		}
		expectValid(t, job, status.InProgressStatus)
		if version != "" && job.ResourceVersion != version {
			t.Error("the wait is written twice")
		}
		version = job.ResourceVersion
	}
	makeRoom()
	again()
	if !job.Finished() || job.Status.Pages[0].ContentURL == "" || marked(t, store, ref).IsZero() {
		t.Errorf("with room again: %+v", job.Status)
	}
	expectValid(t, job, status.CurrentStatus)
}

func TestRetainedFilesOutliveNeitherTheirURLsNorTheRetention(t *testing.T) {
	for retention, want := range map[time.Duration]time.Duration{
		0:                2 * time.Hour, // of the URLs, by the signer's clock
		30 * time.Minute: 30 * time.Minute,
		24 * time.Hour:   2 * time.Hour,
	} {
		r, job, ref := rendered(t, interceptor.Funcs{})
		r.Retention = retention
		job.Spec.ContentPolicy = platenv1alpha1.ContentRetain
		if err := r.Client.Update(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		key := client.ObjectKeyFromObject(job)
		if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: key}); err != nil {
			t.Fatal(err)
		}
		if got := marked(t, r.Store, ref).Sub(noon); got != want {
			t.Errorf("with a retention of %s, the files stay for %s, want %s", retention, got, want)
		}
		if retention == 30*time.Minute {
			r.Clock = testclock.NewFakePassiveClock(noon.Add(retention))
			if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: key}); err != nil {
				t.Fatal(err)
			}
			if objects, err := r.Store.Objects(t.Context(), ref); err != nil || len(objects) > 0 {
				t.Errorf("after the retention: %v, %v", objects, err)
			}
		}
	}
}

func TestNoPodGetsATaskWithoutRoomForItsFiles(t *testing.T) {
	r, job, ref := rendered(t, interceptor.Funcs{})
	template := &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: job.Namespace, Name: "banner"}}
	template.Spec.Pages = []platenv1alpha1.TemplatePage{{Name: "front", Width: 1, Height: 1, HTML: "<p>"}}
	if err := r.Client.Create(t.Context(), template); err != nil {
		t.Fatal(err)
	}
	job.Spec.Output.Scale = "1"
	if err := r.Client.Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	store, err := content.Open(t.Context(), "mem://", content.Options{QuotaPerNamespace: 1})
	if err != nil {
		t.Fatal(err)
	}
	r.Store = store
	take := func() error {
		_, _, err := r.Task(t.Context(), client.ObjectKeyFromObject(job), job.UID, task.Revision(job))
		return err
	}
	if err := take(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Put(t.Context(), ref, 1, file.File{ID: file.ID{Page: 1}, Format: "png"}, strings.NewReader("x"), 1); err != nil {
		t.Fatal(err)
	}
	if waiting := reconcile.AsWaiting(take()); waiting == nil || waiting.Reason != platenv1alpha1.ContentStoreFullReason {
		t.Errorf("without room: %v", waiting)
	}
	if _, err := store.Delete(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if err := take(); err != nil {
		t.Errorf("with room again: %v", err)
	}
	job.Spec.Suspend = new(true)
	if err := r.Client.Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if err := take(); err == nil {
		t.Error("a pod got the task of a suspended job")
	}
}

// TestJobsWaitWhileTheStoreDoesNotWork replaces the folder of the store with a file, and puts it back.
func TestJobsWaitWhileTheStoreDoesNotWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, job, ref := rendered(t, interceptor.Funcs{})
		template := &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: job.Namespace, Name: "banner"}}
		template.Spec.Pages = []platenv1alpha1.TemplatePage{{Name: "front", Width: 1, Height: 1, HTML: "<p>"}}
		job.Generation = 1 // no earlier spec has retained files
		if err := errors.Join(r.Client.Create(t.Context(), template), r.Client.Update(t.Context(), job)); err != nil {
			t.Fatal(err)
		}
		folder := filepath.Join(t.TempDir(), "store")
		store, err := content.Open(t.Context(), "file://"+folder, content.Options{})
		if err != nil {
			t.Fatal(err)
		}
		r.Store = store
		if err := errors.Join(os.Remove(folder), os.WriteFile(folder, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		put := func() error {
			_, err := store.Put(t.Context(), ref, 1, file.File{ID: file.ID{Page: 1}, Format: "png"}, strings.NewReader("x"), 10)
			return err
		}
		reconciled := func() (ctrl.Result, error) {
			return r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(job)})
		}
		take := func() *reconcile.WaitingError {
			_, _, err := r.Task(t.Context(), client.ObjectKeyFromObject(job), job.UID, task.Revision(job))
			return reconcile.AsWaiting(err)
		}
		if err := put(); err == nil || errors.Is(err, content.ErrUnavailable) {
			t.Errorf("the first write: %v", err)
		}
		if _, err := reconciled(); err == nil {
			t.Error("the first read has not failed")
		}
		if waiting := take(); waiting != nil {
			t.Errorf("after a moment, no pod gets a task: %v", waiting)
		}
		time.Sleep(10 * time.Second)
		if err := put(); !errors.Is(err, content.ErrUnavailable) {
			t.Errorf("a later write: %v", err)
		}
		if waiting := take(); waiting == nil || waiting.Reason != platenv1alpha1.ContentStoreUnavailableReason {
			t.Errorf("a task: %v", waiting)
		}
		result, err := reconciled()
		if err == nil {
			err = r.Client.Get(t.Context(), client.ObjectKeyFromObject(job), job)
		}
		ready := meta.FindStatusCondition(job.Status.Conditions, platenv1alpha1.ReadyCondition)
		if err != nil || ready == nil || ready.Reason != platenv1alpha1.ContentStoreUnavailableReason || result.RequeueAfter == 0 {
			t.Fatalf("a job says %+v, %v, and looks again in %s", ready, err, result.RequeueAfter)
		}
		expectValid(t, job, status.InProgressStatus)

		if err := errors.Join(os.Remove(folder), put()); err != nil {
			t.Fatal(err)
		}
		if waiting := take(); waiting != nil {
			t.Errorf("a task of a store that works again: %v", waiting)
		}
	})
}

func TestTimesOfAnUpload(t *testing.T) {
	rendered := noon.Add(time.Minute)
	now := noon.Add(time.Hour)
	of := func(revision string, finished bool, started time.Time) func(*platenv1alpha1.RenderJob) {
		return func(j *platenv1alpha1.RenderJob) {
			j.Status.RenderRevision, j.Status.StartTime = revision, new(metav1.NewTime(started))
			meta.SetStatusCondition(&j.Status.Conditions, metav1.Condition{Type: platenv1alpha1.FinishedCondition, Status: metav1.ConditionFalse, Reason: "Uploading"})
			if finished {
				meta.SetStatusCondition(&j.Status.Conditions, metav1.Condition{Type: platenv1alpha1.FinishedCondition, Status: metav1.ConditionTrue, Reason: "Succeeded"})
			}
		}
	}
	for name, tc := range map[string]struct {
		job  func(*platenv1alpha1.RenderJob)
		want time.Time
	}{
		"the manager restarted before the first status":  {nil, rendered},
		"the manager restarted after a status":           {of("1", false, noon), rendered},
		"a finished job shall go elsewhere":              {of("1", true, noon), now},
		"and the manager restarted meanwhile":            {of("1", false, now.Add(-time.Minute)), now.Add(-time.Minute)},
		"the spec returns to what was rendered long ago": {of("2", true, noon), now},
	} {
		s := &scope{job: theJob(tc.job), now: now, revision: "1", manifest: &content.Manifest{RenderedTime: rendered}}
		if got := s.uploadsBegan(); !got.Equal(tc.want) {
			t.Errorf("%s: the uploads began at %s, want %s", name, got, tc.want)
		}
	}
}

// TestStatusFinishesWithoutRoom refuses statuses with lists, as etcd does if the user gave the job a MiB and its managed fields fill the rest.
func TestStatusFinishesWithoutRoom(t *testing.T) {
	r, job, _ := rendered(t, interceptor.Funcs{
		SubResourcePatch: func(ctx context.Context, c client.Client, _ string, o client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
			if job, ok := o.(*platenv1alpha1.RenderJob); ok && len(job.Status.Pages) > 0 {
				return errors.New("etcdserver: request is too large")
			}
			return c.Status().Patch(ctx, o, patch, options...)
		},
	})
	if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(job)}); err != nil {
		t.Fatal(err)
	}
	if err := r.Client.Get(t.Context(), client.ObjectKeyFromObject(job), job); err != nil {
		t.Fatal(err)
	}
	if !job.Finished() || len(job.Status.Warnings) != 2 || !strings.Contains(job.Status.Warnings[1].Title, "too large") {
		t.Errorf("status %+v", job.Status)
	}
	expectValid(t, job, status.CurrentStatus)
}

// TestStatusEndsWithoutAnyRoom refuses every status but the shortest.
func TestStatusEndsWithoutAnyRoom(t *testing.T) {
	r, job, _ := rendered(t, interceptor.Funcs{
		SubResourcePatch: func(ctx context.Context, c client.Client, _ string, o client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
			if job, ok := o.(*platenv1alpha1.RenderJob); ok && (len(job.Status.Conditions) > 3 || job.Status.RenderRevision != "") {
				return errors.New("etcdserver: request is too large")
			}
			return c.Status().Patch(ctx, o, patch, options...)
		},
	})
	recorder := events.NewFakeRecorder(10)
	r.Recorder = recorder
	if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(job)}); err != nil {
		t.Fatal(err)
	}
	if err := r.Client.Get(t.Context(), client.ObjectKeyFromObject(job), job); err != nil {
		t.Fatal(err)
	}
	if !job.Finished() || !leftOutAll(job) {
		t.Errorf("status %+v", job.Status)
	}
	expectValid(t, job, status.FailedStatus)
	select {
	case event := <-recorder.Events:
		if event != "Warning StatusTooLarge "+reconcile.NoRoom {
			t.Errorf("event %q", event)
		}
	default:
		t.Error("no event")
	}
}

func TestUploadsGetAMomentAfterARestart(t *testing.T) {
	for name, tc := range map[string]struct {
		phase   pool.Phase
		timeout int32
		away    time.Duration
		want    time.Duration // from the render
	}{
		"without a restart":               {phase: pool.Rendered, timeout: 600, away: time.Second, want: 600 * time.Second},
		"a short restart":                 {timeout: 600, away: 10 * time.Second, want: 600 * time.Second},
		"the manager was away for long":   {timeout: 600, away: time.Hour, want: time.Hour + 30*time.Second},
		"no more than the user asked for": {timeout: 5, away: time.Hour, want: time.Hour + 5*time.Second},
	} {
		job := theJob(func(j *platenv1alpha1.RenderJob) { j.Spec.UploadTimeoutSeconds = tc.timeout })
		s := &scope{job: job, now: noon.Add(tc.away), revision: "1", manifest: &content.Manifest{RenderedTime: noon}, state: pool.State{Phase: tc.phase}}
		if got := s.uploadDeadline().Sub(noon); got != tc.want {
			t.Errorf("%s: the deadline is %s after the render, want %s", name, got, tc.want)
		}
	}
}
