// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/destination"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/uploader"
	"github.com/platen-dev/platen/internal/task"
	"github.com/platen-dev/platen/test/gitops"
	"github.com/platen-dev/platen/test/testenv"
)

var (
	noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	hash = strings.Repeat("a", 64)
)

// renderJobs validates RenderJobs.
var renderJobs = sync.OnceValues(func() (*testenv.Validator, error) { return testenv.NewValidator("RenderJob") })

// theJob returns a job as the API server hands it out.
func theJob(change func(*platenv1alpha1.RenderJob)) *platenv1alpha1.RenderJob {
	job := &platenv1alpha1.RenderJob{
		TypeMeta:   metav1.TypeMeta{APIVersion: platenv1alpha1.GroupVersion.String(), Kind: "RenderJob"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: "summer", UID: "uid", Generation: 2, CreationTimestamp: metav1.NewTime(noon)},
		Spec: platenv1alpha1.RenderJobSpec{
			TemplateRef: platenv1alpha1.TemplateReference{Name: "banner"},
			Output:      platenv1alpha1.OutputSpec{Format: platenv1alpha1.FormatPNG},
		},
		Status: platenv1alpha1.RenderJobStatus{ObservedGeneration: new(int64(1))},
	}
	if change != nil {
		change(job)
	}
	return job
}

// theUpload returns an upload of a job's two files through one connection.
func theUpload(name string, done bool, errs ...error) upload {
	c := connection(name, platenv1alpha1.UploadAutomatic)
	u := upload{Target: destination.Target{Connection: &c, Folder: "/Renders"}, result: uploader.Result{Name: name, Done: done}}
	for i, err := range errs {
		page := storage.Result{ID: file.ID{Page: i + 1}}
		if page.Err = err; err == nil {
			page.Path, page.ContentHash = fmt.Sprintf("/Renders/summer_page_%d.png", i+1), hash
		} else if u.result.Err == nil {
			u.result.Err = err
		}
		u.result.Files = append(u.result.Files, page)
	}
	return u
}

// keeping returns an upload whose first n files would have replaced others.
func keeping(u upload, n int) upload {
	for i := range n {
		u.result.Files[i].ContentHash, u.result.Files[i].Kept = "", true
	}
	return u
}

// theManifest describes two rendered files.
func theManifest() *content.Manifest {
	m := &content.Manifest{PodName: "render-1", TotalPages: 2, RenderedPages: 2, RenderMilliseconds: 80}
	for page := 1; page <= 2; page++ {
		m.Files = append(m.Files, file.File{
			ID: file.ID{Page: page}, Name: fmt.Sprintf("summer_page_%d.png", page), Format: "png", PageID: "id",
			Width: 100, Height: 50, Size: 10, SHA256: hash, ContentHash: hash,
		})
	}
	return m
}

func newReconciler(t *testing.T) *Reconciler {
	t.Helper()
	scheme, err := testenv.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).Build()
	return &Reconciler{
		Client: c, Reader: c, Limits: task.DefaultLimits, Signer: content.NewSigner([]byte("key"), "http://content.test", time.Hour),
		Pool:     pool.New(pool.Options{Now: time.Now, JobChanged: func(types.NamespacedName) {}, NamespaceChanged: func(string) {}}),
		Uploader: uploader.New(uploader.Options{Parallel: 1}),
	}
}

func TestASuspendedJobIsWrittenOnce(t *testing.T) {
	job := theJob(func(j *platenv1alpha1.RenderJob) { j.Spec.Suspend = new(true) })
	suspend := func(at time.Time) platenv1alpha1.RenderJobStatus {
		s := &scope{job: job.DeepCopy(), now: at, revision: task.Revision(job)}
		setStatus(job, s, newReconciler(t).suspend(t.Context(), s))
		return *job.Status.DeepCopy()
	}
	first := suspend(noon)
	if diff := cmp.Diff(first, suspend(noon.Add(time.Minute))); diff != "" {
		t.Errorf("the status of a job that stays suspended (-first +later):\n%s", diff)
	}
}

func TestStatusOfEveryMoment(t *testing.T) {
	full := &storage.Error{Class: storage.Stop, Reason: storage.ReasonInsufficientSpace, Message: "Dropbox is full"}
	expired := &storage.Error{Class: storage.Stop, Reason: storage.ReasonTokenExpired, Message: "Token expired"}
	collect := func(r *Reconciler, s *scope) error { return r.collect(t.Context(), s) }
	upload := func(r *Reconciler, s *scope) error {
		if err := r.collect(t.Context(), s); err != nil {
			return err
		}
		return s.waitForUploads()
	}
	for name, tc := range map[string]struct {
		job *platenv1alpha1.RenderJob // theJob by default
		// scope that the steps have filled in, and the last of them.
		scope scope
		step  func(*Reconciler, *scope) error

		want     []string // type status reason: message
		kstatus  status.Status
		warnings []string
		// details of the first warning, if they matter.
		details string
		// progress of a film.
		progress *platenv1alpha1.RenderProgress
	}{
		"the template is missing": {
			step: func(r *Reconciler, s *scope) error { return r.prepare(t.Context(), s) },
			want: []string{
				"Finished False TemplateNotFound: spec.templateRef.name: RenderTemplate 'banner' does not exist in namespace 'marketing'; the job starts when it is created",
				"Ready Unknown TemplateNotFound: spec.templateRef.name: RenderTemplate 'banner' does not exist in namespace 'marketing'; the job starts when it is created",
				"Reconciling True TemplateNotFound: spec.templateRef.name: RenderTemplate 'banner' does not exist in namespace 'marketing'; the job starts when it is created",
				"Rendered Unknown Rendering: not rendered yet",
			},
			kstatus: status.InProgressStatus,
		},
		"a ConfigMap is missing": {
			step: func(r *Reconciler, _ *scope) error {
				_, err := r.configMapValue(t.Context(), "marketing", platenv1alpha1.ConfigMapKeySelector{Name: "texts", Key: "summer"})
				return err
			},
			want: []string{
				"Finished False SourceNotFound: ConfigMap 'texts' does not exist in namespace 'marketing'",
				"Ready Unknown SourceNotFound: ConfigMap 'texts' does not exist in namespace 'marketing'",
				"Reconciling True SourceNotFound: ConfigMap 'texts' does not exist in namespace 'marketing'",
				"Rendered Unknown Rendering: not rendered yet",
			},
			kstatus: status.InProgressStatus,
		},
		"the job waits for a render pod": {
			scope: scope{state: pool.State{Phase: pool.Queued, TotalPages: 2, Wait: pool.Wait{Reason: pool.ReasonQueued, Message: "waiting for a render pod"}}}, step: collect,
			want: []string{
				"Finished False Queued: waiting for a render pod",
				"Ready Unknown Queued: waiting for a render pod",
				"Reconciling True Queued: waiting for a render pod",
				"Rendered Unknown Rendering: not rendered yet",
			},
			kstatus: status.InProgressStatus,
		},
		"an attempt was lost": {
			scope: scope{state: pool.State{Phase: pool.Queued, Attempts: 1, TotalPages: 2, Wait: pool.Wait{Reason: pool.ReasonRetrying, Message: "the browser crashed"}}}, step: collect,
			want: []string{
				"Finished False Retrying: the browser crashed",
				"Ready Unknown Retrying: the browser crashed",
				"Reconciling True Retrying: the browser crashed",
				"Rendered Unknown Rendering: not rendered yet",
			},
			kstatus: status.InProgressStatus,
		},
		"the API server refuses render pods": {
			scope: scope{state: pool.State{Phase: pool.Queued, TotalPages: 2, Wait: pool.Wait{Reason: pool.ReasonPodForbidden, Message: "violates PodSecurity"}}}, step: collect,
			want: []string{
				"Finished False PodForbidden: violates PodSecurity",
				"Ready False PodForbidden: violates PodSecurity",
				"Rendered Unknown Rendering: not rendered yet",
				"Stalled True PodForbidden: violates PodSecurity",
			},
			kstatus: status.FailedStatus,
		},
		"a pod renders": {
			scope: scope{state: pool.State{
				Phase: pool.Rendering, Attempts: 1, TotalPages: 2, PodName: "render-1", Progress: &render.Progress{Percent: 20, Frames: 60},
			}},
			step: collect,
			want: []string{
				"Finished False Rendering: render pod render-1 is rendering",
				"Ready Unknown Rendering: render pod render-1 is rendering",
				"Reconciling True Rendering: render pod render-1 is rendering",
				"Rendered Unknown Rendering: not rendered yet",
			},
			kstatus:  status.InProgressStatus,
			progress: &platenv1alpha1.RenderProgress{Percent: new(int32(20)), Frames: new(int64(60))},
		},
		"the files are on their way": {
			scope: scope{
				state:    pool.State{Phase: pool.Rendered, Attempts: 1, TotalPages: 2, RenderedPages: 2, Progress: &render.Progress{Percent: 99}},
				manifest: theManifest(), uploads: []uploadOf{theUpload("archive", true, nil, nil), theUpload("dropbox", false, nil)},
			},
			step: upload,
			want: []string{
				"Finished False Uploading: rendered; uploading to dropbox",
				"Ready Unknown Uploading: rendered; uploading to dropbox",
				"Reconciling True Uploading: rendered; uploading to dropbox",
				"Rendered True Succeeded: 2 pages rendered",
				"Uploaded Unknown Uploading: uploading to StorageConnection 'dropbox'",
			},
			kstatus: status.InProgressStatus,
		},
		"rendered, with nothing to upload": {
			scope: scope{manifest: theManifest()}, step: upload,
			want: []string{
				"Finished True Succeeded: 2 pages rendered",
				"Ready True Succeeded: 2 pages rendered",
				"Rendered True Succeeded: 2 pages rendered",
			},
			kstatus: status.CurrentStatus,
		},
		"rendered and uploaded": {
			scope: scope{manifest: theManifest(), uploads: []uploadOf{theUpload("dropbox", true, nil, nil)}}, step: upload,
			want: []string{
				"Finished True Succeeded: 2 pages rendered, uploaded to dropbox",
				"Ready True Succeeded: 2 pages rendered, uploaded to dropbox",
				"Rendered True Succeeded: 2 pages rendered",
				"Uploaded True Succeeded: 2 files in dropbox",
			},
			kstatus: status.CurrentStatus,
		},
		"another file is kept": {
			scope: scope{manifest: theManifest(), uploads: []uploadOf{keeping(theUpload("archive", true, nil, nil), 2), keeping(theUpload("dropbox", true, nil, nil), 1)}},
			step:  upload,
			want: []string{
				"Finished True SucceededWithWarnings: 2 pages rendered, nothing uploaded to archive, 1 of 2 files uploaded to dropbox; " +
					"Kept the file that was already in dropbox at /Renders/summer_page_1.png; and 2 more warnings",
				"Ready True SucceededWithWarnings: 2 pages rendered, nothing uploaded to archive, 1 of 2 files uploaded to dropbox; " +
					"Kept the file that was already in dropbox at /Renders/summer_page_1.png; and 2 more warnings",
				"Rendered True Succeeded: 2 pages rendered",
				"Uploaded True Succeeded: nothing uploaded to archive, 1 of 2 files uploaded to dropbox",
			},
			kstatus: status.CurrentStatus, warnings: []string{
				"Kept the file that was already in dropbox at /Renders/summer_page_1.png",
				"Kept the file that was already in dropbox at /Renders/summer_page_2.png",
				"Kept the file that was already in dropbox at /Renders/summer_page_1.png",
			},
		},
		"the page had a warning": {
			scope: scope{manifest: func() *content.Manifest {
				m := theManifest()
				m.Warnings = []content.Warning{{Title: "Font not found", Details: "Acme Sans"}, {}}
				return m
			}()},
			step: upload,
			want: []string{
				"Finished True SucceededWithWarnings: 2 pages rendered; Font not found; and 1 more warning",
				"Ready True SucceededWithWarnings: 2 pages rendered; Font not found; and 1 more warning",
				"Rendered True Succeeded: 2 pages rendered",
			},
			kstatus: status.CurrentStatus, warnings: []string{"Font not found", "Warning"},
		},
		"an upload failed": {
			scope: scope{manifest: theManifest(), uploads: []uploadOf{theUpload("archive", true, nil, nil), theUpload("dropbox", true, nil, full)}},
			step:  upload,
			want: []string{
				"Finished True SucceededWithWarnings: 2 pages rendered, uploaded to archive; Failed to upload to dropbox connection 'dropbox': Dropbox is full",
				"Ready True SucceededWithWarnings: 2 pages rendered, uploaded to archive; Failed to upload to dropbox connection 'dropbox': Dropbox is full",
				"Rendered True Succeeded: 2 pages rendered",
				"Uploaded False InsufficientSpace: StorageConnection 'dropbox': Dropbox is full",
			},
			kstatus: status.CurrentStatus, warnings: []string{"Failed to upload to dropbox connection 'dropbox': Dropbox is full"},
		},
		"the only upload failed": {
			scope: scope{manifest: theManifest(), uploads: []uploadOf{theUpload("archive", true, nil, expired)}},
			step:  upload,
			want: []string{
				"Finished True SucceededWithWarnings: 2 pages rendered; Failed to upload to dropbox: Token expired",
				"Ready True SucceededWithWarnings: 2 pages rendered; Failed to upload to dropbox: Token expired",
				"Rendered True Succeeded: 2 pages rendered",
				"Uploaded False TokenExpired: StorageConnection 'archive': Token expired",
			},
			kstatus: status.CurrentStatus, warnings: []string{"Failed to upload to dropbox: Token expired"},
		},
		"the only upload failed, and the namespace has another connection to its provider": {
			scope: scope{
				manifest: theManifest(), uploads: []uploadOf{theUpload("archive", true, nil, expired)},
				ofProvider: map[platenv1alpha1.ProviderType]int{platenv1alpha1.ProviderDropbox: 2},
			},
			step: upload,
			want: []string{
				"Finished True SucceededWithWarnings: 2 pages rendered; Failed to upload to dropbox connection 'archive': Token expired",
				"Ready True SucceededWithWarnings: 2 pages rendered; Failed to upload to dropbox connection 'archive': Token expired",
				"Rendered True Succeeded: 2 pages rendered",
				"Uploaded False TokenExpired: StorageConnection 'archive': Token expired",
			},
			kstatus: status.CurrentStatus, warnings: []string{"Failed to upload to dropbox connection 'archive': Token expired"},
		},
		"two uploads failed": {
			scope: scope{manifest: theManifest(), uploads: []uploadOf{theUpload("archive", true, nil, expired), theUpload("dropbox", true, nil, full)}},
			step:  upload,
			want: []string{
				"Finished True SucceededWithWarnings: 2 pages rendered; Failed to upload to dropbox connection 'archive': Token expired; and 1 more warning",
				"Ready True SucceededWithWarnings: 2 pages rendered; Failed to upload to dropbox connection 'archive': Token expired; and 1 more warning",
				"Rendered True Succeeded: 2 pages rendered",
				"Uploaded False TokenExpired: StorageConnection 'archive': Token expired",
			},
			kstatus: status.CurrentStatus, warnings: []string{"Failed to upload to dropbox connection 'archive': Token expired", "Failed to upload to dropbox connection 'dropbox': Dropbox is full"},
		},
		"the webhook is no URL": {
			job:   hooked("not a url, but a secret"),
			scope: scope{manifest: theManifest()}, step: upload,
			want: []string{
				"Finished True SucceededWithWarnings: 2 pages rendered; Annotation platen.dev/webhook-url: the webhook must be an http or https URL",
				"Ready True SucceededWithWarnings: 2 pages rendered; Annotation platen.dev/webhook-url: the webhook must be an http or https URL",
				"Rendered True Succeeded: 2 pages rendered",
			},
			kstatus: status.CurrentStatus, warnings: []string{"Annotation platen.dev/webhook-url: the webhook must be an http or https URL"},
			details: "nobody is called when the job has ended",
		},
		"a webhook": {
			job: hooked("https://example.com:8443/hook"), scope: scope{manifest: theManifest()}, step: upload,
			want:    []string{"Finished True Succeeded: 2 pages rendered", "Ready True Succeeded: 2 pages rendered", "Rendered True Succeeded: 2 pages rendered"},
			kstatus: status.CurrentStatus,
		},
		"a connection is missing": {
			scope: scope{
				manifest: theManifest(), uploads: []uploadOf{theUpload("dropbox", true, nil, nil)},
				missing: []platenv1alpha1.JobConnection{{Provider: platenv1alpha1.ProviderS3, Name: new("archive")}}, present: []string{"dropbox (dropbox)"},
			},
			step: upload,
			want: []string{
				"Finished True SucceededWithWarnings: 2 pages rendered, uploaded to dropbox; S3 connection 'archive' not found for this workspace",
				"Ready True SucceededWithWarnings: 2 pages rendered, uploaded to dropbox; S3 connection 'archive' not found for this workspace",
				"Rendered True Succeeded: 2 pages rendered",
				"Uploaded False ConnectionNotFound: this namespace has no StorageConnection 'archive' to s3; there are: dropbox (dropbox)",
			},
			kstatus: status.CurrentStatus, warnings: []string{"S3 connection 'archive' not found for this workspace"},
		},
		"a connection without a name is missing": {
			scope: scope{manifest: theManifest(), missing: []platenv1alpha1.JobConnection{{Provider: platenv1alpha1.ProviderS3}}, present: []string{"dropbox (dropbox)"}},
			step:  upload,
			want: []string{
				"Finished True SucceededWithWarnings: 2 pages rendered; S3 connection not found for this workspace",
				"Ready True SucceededWithWarnings: 2 pages rendered; S3 connection not found for this workspace",
				"Rendered True Succeeded: 2 pages rendered",
				"Uploaded False ConnectionNotFound: this namespace has no StorageConnection to s3; there are: dropbox (dropbox)",
			},
			kstatus: status.CurrentStatus, warnings: []string{"S3 connection not found for this workspace"},
			details: "this namespace has no StorageConnection to s3; there are: dropbox (dropbox)",
		},
		"two entries mean one connection": {
			scope: scope{
				manifest: theManifest(), uploads: []uploadOf{theUpload("dropbox", true, nil, nil)},
				idle: []destination.IdleEntry{{Entry: 1, First: 0, Connection: "dropbox", Folder: "/Other", Used: "/Renders"}},
			},
			step: upload,
			want: []string{
				"Finished True SucceededWithWarnings: 2 pages rendered, uploaded to dropbox; spec.connections[1] uploads nothing: it means StorageConnection 'dropbox', as spec.connections[0] does",
				"Ready True SucceededWithWarnings: 2 pages rendered, uploaded to dropbox; spec.connections[1] uploads nothing: it means StorageConnection 'dropbox', as spec.connections[0] does",
				"Rendered True Succeeded: 2 pages rendered",
				"Uploaded True Succeeded: 2 files in dropbox",
			},
			kstatus: status.CurrentStatus, warnings: []string{"spec.connections[1] uploads nothing: it means StorageConnection 'dropbox', as spec.connections[0] does"},
			details: "the files are in /Renders, and not in /Other; name another StorageConnection in one of the two, or create another job for the second folder",
		},
		"one of two failed uploads is retried": {
			job: theJob(func(j *platenv1alpha1.RenderJob) {
				j.Annotations = map[string]string{platenv1alpha1.RetryUploadsAnnotation: "now"}
				j.Status.Connections = []platenv1alpha1.JobConnectionStatus{
					theUpload("archive", true, expired).status(), theUpload("dropbox", true, full).status(),
				}
			}),
			scope: scope{retry: true, manifest: theManifest(), uploads: []uploadOf{theUpload("dropbox", true, nil, nil)}}, step: upload,
			want: []string{
				"Finished True SucceededWithWarnings: 2 pages rendered, uploaded to dropbox; Failed to upload to dropbox connection 'archive': Token expired",
				"Ready True SucceededWithWarnings: 2 pages rendered, uploaded to dropbox; Failed to upload to dropbox connection 'archive': Token expired",
				"Rendered True Succeeded: 2 pages rendered",
				"Uploaded False TokenExpired: StorageConnection 'archive': Token expired",
			},
			kstatus: status.CurrentStatus, warnings: []string{"Failed to upload to dropbox connection 'archive': Token expired"},
		},
		"the connection of a failed upload is gone when it is retried": {
			job: theJob(func(j *platenv1alpha1.RenderJob) {
				j.Annotations = map[string]string{platenv1alpha1.RetryUploadsAnnotation: "now"}
				j.Spec.Connections = []platenv1alpha1.JobConnection{{Type: "storage", Provider: "dropbox", Name: new("dropbox")}}
				j.Status.Connections = []platenv1alpha1.JobConnectionStatus{theUpload("dropbox", true, full).status()}
			}),
			scope: scope{
				retry: true, manifest: theManifest(), gone: []string{"dropbox"}, present: []string{"archive (s3)"},
				missing: []platenv1alpha1.JobConnection{{Type: "storage", Provider: "dropbox", Name: new("dropbox")}},
			}, step: upload,
			want: []string{
				"Finished True SucceededWithWarnings: 2 pages rendered; Dropbox connection 'dropbox' not found for this workspace",
				"Ready True SucceededWithWarnings: 2 pages rendered; Dropbox connection 'dropbox' not found for this workspace",
				"Rendered True Succeeded: 2 pages rendered",
				"Uploaded False ConnectionNotFound: this namespace has no StorageConnection 'dropbox' to dropbox; there are: archive (s3)",
			},
			kstatus: status.CurrentStatus, warnings: []string{"Dropbox connection 'dropbox' not found for this workspace"},
			details: "this namespace has no StorageConnection 'dropbox' to dropbox; there are: archive (s3)",
		},
		"an automatic connection is gone when its upload is retried": {
			job: theJob(func(j *platenv1alpha1.RenderJob) {
				j.Annotations = map[string]string{platenv1alpha1.RetryUploadsAnnotation: "now"}
				j.Status.Connections = []platenv1alpha1.JobConnectionStatus{theUpload("dropbox", true, full).status()}
			}),
			scope: scope{retry: true, manifest: theManifest(), gone: []string{"dropbox"}, present: []string{}}, step: upload,
			want: []string{
				"Finished True SucceededWithWarnings: 2 pages rendered; Dropbox connection 'dropbox' not found for this workspace",
				"Ready True SucceededWithWarnings: 2 pages rendered; Dropbox connection 'dropbox' not found for this workspace",
				"Rendered True Succeeded: 2 pages rendered",
				"Uploaded False ConnectionNotFound: this namespace has no StorageConnection 'dropbox' to dropbox, and no other",
			},
			kstatus: status.CurrentStatus, warnings: []string{"Dropbox connection 'dropbox' not found for this workspace"},
			details: "this namespace has no StorageConnection 'dropbox' to dropbox, and no other",
		},
		"a failed upload of an older version has no reason": {
			job: theJob(func(j *platenv1alpha1.RenderJob) {
				old := theUpload("archive", true, expired).status()
				old.Reason = ""
				j.Status.Connections = []platenv1alpha1.JobConnectionStatus{old, theUpload("dropbox", true, full).status()}
			}),
			scope: scope{retry: true, manifest: theManifest(), uploads: []uploadOf{theUpload("dropbox", true, nil, nil)}}, step: upload,
			want: []string{
				"Finished True SucceededWithWarnings: 2 pages rendered, uploaded to dropbox; Failed to upload to dropbox connection 'archive': Token expired",
				"Ready True SucceededWithWarnings: 2 pages rendered, uploaded to dropbox; Failed to upload to dropbox connection 'archive': Token expired",
				"Rendered True Succeeded: 2 pages rendered",
				"Uploaded False Unexpected: StorageConnection 'archive': Token expired",
			},
			kstatus: status.CurrentStatus, warnings: []string{"Failed to upload to dropbox connection 'archive': Token expired"},
		},
		"the render failed": {
			scope: scope{state: pool.State{Phase: pool.Failed, Attempts: 1, Failure: &render.Error{Reason: render.ReasonRenderFailed, Message: "page 1: broken"}}},
			step:  collect,
			want: []string{
				"Finished True Failed: page 1: broken",
				"Ready False RenderFailed: page 1: broken",
				"Rendered False RenderFailed: page 1: broken",
				"Stalled True RenderFailed: page 1: broken",
			},
			kstatus: status.FailedStatus,
		},
		"a pod gave a reason that the API does not take": {
			scope: scope{state: pool.State{Phase: pool.Failed, Attempts: 1, Failure: &render.Error{Reason: "no reason", Message: "page 1: broken"}}},
			step:  collect,
			want: []string{
				"Finished True Failed: page 1: broken",
				"Ready False RenderFailed: page 1: broken",
				"Rendered False RenderFailed: page 1: broken",
				"Stalled True RenderFailed: page 1: broken",
			},
			kstatus: status.FailedStatus,
		},
		"suspended": {
			job:  theJob(func(j *platenv1alpha1.RenderJob) { j.Spec.Suspend = new(true) }),
			step: func(r *Reconciler, s *scope) error { return r.suspend(t.Context(), s) },
			want: []string{
				"Finished False Suspended: spec.suspend is true",
				"Ready Unknown Suspended: spec.suspend is true",
				"Reconciling True Suspended: spec.suspend is true",
				"Rendered Unknown Rendering: not rendered yet",
			},
			kstatus: status.InProgressStatus,
		},
		"canceled": {
			job: theJob(func(j *platenv1alpha1.RenderJob) {
				j.Spec.Suspend = new(true)
				j.Annotations = map[string]string{platenv1alpha1.CanceledAnnotation: "true"}
			}),
			step: func(r *Reconciler, s *scope) error { return r.suspend(t.Context(), s) },
			want: []string{
				"Finished True Failed: the job was canceled",
				"Ready False Canceled: the job was canceled",
				"Rendered False Canceled: the job was canceled",
				"Stalled True Canceled: the job was canceled",
			},
			kstatus: status.FailedStatus,
		},
		"canceled without a time": {
			job: theJob(func(j *platenv1alpha1.RenderJob) {
				j.Spec.Suspend = new(true)
				j.Annotations = map[string]string{platenv1alpha1.CanceledAnnotation: ""}
			}),
			step: func(r *Reconciler, s *scope) error { return r.suspend(t.Context(), s) },
			want: []string{
				"Finished True Failed: the job was canceled",
				"Ready False Canceled: the job was canceled",
				"Rendered False Canceled: the job was canceled",
				"Stalled True Canceled: the job was canceled",
			},
			kstatus: status.FailedStatus,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &tc.scope
			if s.job = tc.job; s.job == nil {
				s.job = theJob(nil)
			}
			s.now = noon.Add(time.Minute)
			outcome := tc.step(newReconciler(t), s)
			job := s.job.DeepCopy()
			setStatus(job, s, outcome)
			if diff := cmp.Diff(tc.want, conditions(job)); diff != "" {
				t.Errorf("conditions (-want +got):\n%s", diff)
			}
			warnings := make([]string, 0, len(job.Status.Warnings))
			for _, w := range job.Status.Warnings {
				warnings = append(warnings, w.Title)
			}
			if diff := cmp.Diff(tc.warnings, warnings, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			if tc.details != "" && (len(warnings) == 0 || ptr.Deref(job.Status.Warnings[0].Details, "") != tc.details) {
				t.Errorf("warnings %v, want the details %q", job.Status.Warnings, tc.details)
			}
			if diff := cmp.Diff(tc.progress, job.Status.Progress); diff != "" {
				t.Errorf("progress (-want +got):\n%s", diff)
			}
			if got := job.Finished(); got != strings.HasPrefix(tc.want[0], "Finished True") || got != (job.Status.CompletionTime != nil) {
				t.Errorf("Finished() is %v, completionTime %v", got, job.Status.CompletionTime)
			}
			expectValid(t, job, tc.kstatus)

			// The new conditions replace those of another moment.
			ended := theJob(func(j *platenv1alpha1.RenderJob) { j.Spec = job.Spec; j.Annotations = job.Annotations })
			ended.Status.Connections = job.Status.Connections
			for _, kind := range []string{"Ready", "Reconciling", "Stalled", "Rendered", "Uploaded", "Finished"} {
				ended.Status.Conditions = append(ended.Status.Conditions, metav1.Condition{
					Type: kind, Status: metav1.ConditionUnknown, Reason: "Before", LastTransitionTime: metav1.NewTime(noon), ObservedGeneration: 1,
				})
			}
			if s.retry {
				ended.Status.Connections = s.job.Status.Connections
			}
			again := *s
			again.job = ended
			next := ended.DeepCopy()
			setStatus(next, &again, outcome)
			if diff := cmp.Diff(tc.want, conditions(next)); diff != "" {
				t.Errorf("conditions after others (-want +got):\n%s", diff)
			}
		})
	}
}

// hooked returns theJob with a webhook.
func hooked(hook string) *platenv1alpha1.RenderJob {
	return theJob(func(job *platenv1alpha1.RenderJob) {
		job.Annotations = map[string]string{platenv1alpha1.WebhookURLAnnotation: hook}
	})
}

// uploadOf names the type upload where a local variable has that name.
type uploadOf = upload

// conditions returns a job's conditions in the order of their types.
func conditions(job *platenv1alpha1.RenderJob) []string {
	list := make([]string, 0, len(job.Status.Conditions))
	for _, c := range job.Status.Conditions {
		line := fmt.Sprintf("%s %s %s: %s", c.Type, c.Status, c.Reason, c.Message)
		if c.ObservedGeneration != job.Generation {
			line += " (of another generation)"
		}
		list = append(list, line)
	}
	slices.Sort(list)
	return list
}

// expectValid checks that the API server takes a job's status and that GitOps tools understand it.
func expectValid(t *testing.T, job *platenv1alpha1.RenderJob, want status.Status) {
	t.Helper()
	validator, err := renderJobs()
	if err != nil {
		t.Fatal(err)
	}
	if err := validator.Validate(t.Context(), job); err != nil {
		t.Errorf("the API server would refuse the status: %v", err)
	}
	gitops.ExpectStatus(t, "RenderJob", job, want)
}

// TestTheLargestStatusIsValid fills every list and every text of a status to its bound, in characters of four bytes.
func TestTheLargestStatusIsValid(t *testing.T) {
	const longest = "𠮷"
	job := theJob(func(j *platenv1alpha1.RenderJob) {
		j.Name = strings.Repeat("a", 253)
		j.Spec.Output.Format = "jpeg"
		j.Spec.Output.FileName = platenv1alpha1.FileName(strings.Repeat(longest, 100))
		j.Annotations = map[string]string{platenv1alpha1.RetryUploadsAnnotation: strings.Repeat(longest, 1000)}
	})
	size := strings.Repeat("s", 32)
	failure := &storage.Error{Class: storage.Stop, Reason: storage.ReasonPathRootNotAllowed, Message: strings.Repeat(longest, 2000)}
	s := &scope{
		job: job, now: noon.Add(time.Minute),
		state: pool.State{
			Phase: pool.Rendered, Attempts: 11, PodName: strings.Repeat("p", 253), TotalPages: 200, RenderedPages: 200,
			AcceptedTime: noon, RenderedTime: noon,
		},
		manifest: &content.Manifest{PodName: strings.Repeat("p", 253), TotalPages: 200, RenderedPages: 200, RenderMilliseconds: 1 << 62},
	}
	for i := range 200 {
		id := file.ID{Page: i + 1, ExtraSize: size}
		s.manifest.Files = append(s.manifest.Files, file.File{
			ID: id, Name: file.Name(job.FileBaseName(), id, true, "jpeg"), Format: "jpeg", PageID: strings.Repeat(longest, 100),
			Width: 1 << 40, Height: -i, Size: 1 << 40, SHA256: hash, ContentHash: hash,
		})
		s.manifest.Warnings = append(s.manifest.Warnings, content.Warning{Title: strings.Repeat(longest, 1000), Details: strings.Repeat(longest, 1000)})
		s.missing = append(s.missing, platenv1alpha1.JobConnection{Provider: platenv1alpha1.ProviderGCS, Name: new(strings.Repeat("a", 253))})
		s.idle = append(s.idle, destination.IdleEntry{Connection: strings.Repeat("a", 253), Folder: strings.Repeat(longest, 1000), Used: strings.Repeat(longest, 1000)})
		s.present = append(s.present, strings.Repeat("b", 253)+" (dropbox)")
		s.collisions = append(s.collisions, collision{strings.Repeat("a", 253), "/" + strings.Repeat(longest, 650), platenv1alpha1.ProviderDropbox})
	}
	for i := range destination.Max {
		u := theUpload(fmt.Sprintf("%s-%03d", strings.Repeat("c", 249), i), true)
		u.Connection.Status.ReadyCount = new(int64(1 << 62))
		for _, f := range s.manifest.Files {
			page := storage.Result{ID: f.ID}
			page.Path, page.ContentHash = "/"+strings.Repeat(longest, 400)+"/"+strings.Repeat(longest, 200)+"_"+size+"_page_200 (1).jpeg", hash
			if i == destination.Max-1 {
				page.Err = failure
				u.result.Err = failure
			}
			u.result.Files = append(u.result.Files, page)
		}
		s.uploads = append(s.uploads, u)
	}
	if err := newReconciler(t).collect(context.Background(), s); err != nil {
		t.Fatal(err)
	}
	after := job.DeepCopy()
	setStatus(after, s, s.waitForUploads())
	expectValid(t, after, status.CurrentStatus)
	if got := len(after.Status.Connections); got != destination.Max {
		t.Errorf("%d connections", got)
	}
	data, err := json.Marshal(after)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > 1_200_000 { // etcd takes 1.5 MB, and the managed fields count too
		t.Errorf("the object has %d bytes", len(data))
	}

	// One that failed has the longest messages.
	s = &scope{job: job, now: noon, state: pool.State{
		Phase: pool.Failed, Attempts: 11, PodName: strings.Repeat("p", 253), Failure: &render.Error{Reason: strings.Repeat("R", 2000), Message: strings.Repeat(longest, 40_000)},
	}}
	after = job.DeepCopy()
	setStatus(after, s, newReconciler(t).collect(context.Background(), s))
	expectValid(t, after, status.FailedStatus)
}

// The longest folder and file name that the API takes, in the longest characters, fit into status whole.
func TestEveryLegalPathIsInStatusWhole(t *testing.T) {
	for name, tc := range map[string]struct{ folder, base string }{
		"three bytes a character": {strings.Repeat("/"+strings.Repeat("報", 99), 4), strings.Repeat("報", 200)},
		"four bytes a character":  {strings.Repeat("/"+strings.Repeat("𠮷", 99), 4), strings.Repeat("𠮷", 100)},
	} {
		t.Run(name, func(t *testing.T) {
			u := theUpload("dropbox", true)
			want, got := make([]string, 100), make([]string, 0, 100)
			for page := range want {
				id := file.ID{Page: page + 1, ExtraSize: strings.Repeat("s", 32)}
				path := storage.RenamedPath(storage.JoinPath(tc.folder, file.Name(tc.base, id, true, "jpeg")), 99)
				want[page] = path
				u.result.Files = append(u.result.Files, storage.Result{ID: id, Path: path, ContentHash: hash})
			}
			after := theJob(nil)
			setStatus(after, &scope{job: theJob(nil), now: noon, manifest: &content.Manifest{}, uploads: []upload{u}}, nil)
			expectValid(t, after, status.CurrentStatus)
			for _, p := range after.Status.Connections[0].Pages {
				got = append(got, p.Path)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("paths (-want +got):\n%s", diff)
			}
			if len(after.Status.Warnings) > 0 {
				t.Errorf("warnings %+v", after.Status.Warnings)
			}
		})
	}
}

// TestStatusIsWrittenWhenItsReasonChanges goes through the moments of a job: the writes that it costs, and when the reconciler looks again.
// A busy manager comes to a job long after its render has ended. The upload gets the same time to end without another write.
func TestALateReconciliationWritesNoIntermediateStatus(t *testing.T) {
	began := noon.Add(time.Minute) // the render ended at noon
	for after, want := range map[time.Duration]bool{0: false, progressDelay - time.Millisecond: false, progressDelay: true} {
		u := theUpload("dropbox", false)
		u.result.Planned = began
		s := &scope{
			job: theJob(nil), now: began.Add(after), revision: "1", state: pool.State{Phase: pool.Rendered}, uploads: []upload{u},
			manifest: &content.Manifest{RenderedTime: noon},
		}
		next, due := writeDue(s, s.job, s.waitForUploads())
		if due != want || !due && next != progressDelay-after {
			t.Errorf("%s after the upload began: status is written %v, next look in %s", after, due, next)
		}
	}
}

func TestStatusIsWrittenWhenItsReasonChanges(t *testing.T) {
	type moment struct {
		name  string
		after time.Duration
		state pool.State
		// want is whether status is written and, if not, when to look again.
		want bool
		next time.Duration
	}
	waiting := func(reason, message string) pool.State {
		return pool.State{Phase: pool.Queued, AcceptedTime: noon, Wait: pool.Wait{Reason: reason, Message: message}}
	}
	rendering := func(started time.Duration, attempts int, p *render.Progress) pool.State {
		return pool.State{Phase: pool.Rendering, AcceptedTime: noon, StartedTime: noon.Add(started), Attempts: attempts, PodName: "render-1", Progress: p}
	}
	for name, moments := range map[string][]moment{
		"a film": {
			{name: "it has just begun", after: 300 * time.Millisecond, state: rendering(0, 1, nil), next: 700 * time.Millisecond},
			{name: "after a second", after: time.Second, state: rendering(0, 1, &render.Progress{Percent: 10, Frames: 30}), want: true},
			{name: "nothing has changed", after: 1100 * time.Millisecond, state: rendering(0, 1, &render.Progress{Percent: 10, Frames: 30})},
			{name: "there is progress", after: 2100 * time.Millisecond, state: rendering(0, 1, &render.Progress{Percent: 20, Frames: 60}), want: true},
			{name: "another attempt", after: 4 * time.Second, state: rendering(3*time.Second, 2, nil), want: true},
		},
		"a long queue": {
			{name: "it has just begun", after: time.Second, state: waiting("Queued", "waiting for a render pod")},
			{name: "there is a quota", after: 2 * time.Second, state: waiting("QuotaExceeded", "the quota is exceeded")},
			{name: "after five seconds", after: 5 * time.Second, state: waiting("QuotaExceeded", "the quota is exceeded"), want: true},
			{name: "in other words", after: 6 * time.Second, state: waiting("QuotaExceeded", "another quota is exceeded"), want: true},
			{name: "in the same words", after: 6500 * time.Millisecond, state: waiting("QuotaExceeded", "another quota is exceeded")},
			{name: "for another reason", after: 7 * time.Second, state: waiting("Retrying", "the browser crashed"), want: true},
			{name: "again", after: 8 * time.Second, state: waiting("Retrying", "the browser crashed again")},
			{name: "a short render", after: 9 * time.Second, state: rendering(9*time.Second, 2, nil), next: time.Second},
		},
	} {
		t.Run(name, func(t *testing.T) {
			job := theJob(nil)
			for _, m := range moments {
				s := &scope{job: job, now: noon.Add(m.after), state: m.state, revision: "1"}
				outcome := newReconciler(t).collect(t.Context(), s)
				after := job.DeepCopy()
				setStatus(after, s, outcome)
				next, due := writeDue(s, after, outcome)
				if due != m.want || !due && next != m.next {
					t.Errorf("%s: status is written %v, next look in %s; want %v, %s", m.name, due, next, m.want, m.next)
				}
				if due {
					job = after
				}
			}
		})
	}
}

// A failed upload is not lost among values that no page uses.
func TestBoundWarnings(t *testing.T) {
	warnings := func(kind string, n int) (list []platenv1alpha1.Warning) {
		for i := range n {
			list = append(list, platenv1alpha1.Warning{Title: fmt.Sprintf("%s %d", kind, i)})
		}
		return list
	}
	for name, c := range map[string]struct {
		render, uploads int
		cut             bool // by the renderer
		kept, total     int
		more            bool
	}{
		"few":                 {render: 3, uploads: 2, kept: 3, total: 5},
		"as many as possible": {render: 60, uploads: 4, kept: 60, total: 64},
		"one too many":        {render: 60, uploads: 5, kept: 58, total: 64, more: true},
		"the renderer's":      {render: 64, kept: 64, total: 64},
		"cut":                 {render: 64, cut: true, uploads: 1, kept: 62, total: 64, more: true},
		"cut alone":           {render: 64, cut: true, kept: 63, total: 64, more: true},
		"uploads":             {render: 64, uploads: 100, total: 64},
	} {
		t.Run(name, func(t *testing.T) {
			s := &platenv1alpha1.RenderJobStatus{Warnings: warnings("render", c.render)}
			if c.cut {
				s.Warnings[c.render-1].Title = render.MoreWarnings
			}
			s.Warnings = append(s.Warnings, warnings("upload", c.uploads)...)
			boundWarnings(s, c.render)
			kept, more, uploads := 0, 0, 0
			for i, w := range s.Warnings {
				switch {
				case strings.HasPrefix(w.Title, "render"):
					kept++
				case w.Title == render.MoreWarnings:
					more++
					if i != kept {
						t.Errorf("there are more warnings, says warning %d, after %d of the render", i, kept)
					}
				default:
					uploads++
				}
			}
			if kept != c.kept || len(s.Warnings) != c.total || (more == 1) != c.more || uploads != min(c.uploads, maxWarnings) {
				t.Errorf("%d of the render, %d of uploads, %d say that there are more: %d", kept, uploads, more, len(s.Warnings))
			}
		})
	}
}
