// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/contenturl"
	"github.com/platen-dev/platen/internal/destination"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/task"
)

// hostile are texts that no API server takes as they are, or that are too long for any field.
var hostile = []string{
	"", " ", "\x00", "a\x00b\x1b[2J\u202e", "\xff\xfe\xed\xa0\x80", strings.Repeat("報", 3_000_000/3), strings.Repeat("🎉", 2000), strings.Repeat("\xff", 5000),
	strings.Repeat("\x1b", 5000), "-", "9lives", "not a reason", "A" + strings.Repeat("b", 2000), "\n\t\r", "<script>", strings.Repeat("/", 5000),
}

// extremeNumbers are numbers that pods and providers may give.
var extremeNumbers = []int{0, -1, math.MinInt64, math.MaxInt64, math.MaxInt32 + 1, 201}

// pick returns an element of a list by an endless index.
func pick[T any](list []T, i int) T { return list[i%len(list)] }

// TestNoStatusIsRefused builds statuses from extreme specs, which the API server takes, and from whatever render pods and providers may
// say, and lets the API server's validation judge them.
func TestNoStatusIsRefused(t *testing.T) {
	const job1MiB = "a MiB of modifications"
	baseURL := "https://" + strings.Repeat("c", contenturl.MaxBase-8)
	specs := map[string]func(*platenv1alpha1.RenderJob){
		"long job name": func(j *platenv1alpha1.RenderJob) { j.Name = strings.Repeat("a", 253) },
		"chinese": func(j *platenv1alpha1.RenderJob) {
			j.Spec.Output.FileName = platenv1alpha1.FileName(strings.Repeat("報", 200))
		},
		"emoji": func(j *platenv1alpha1.RenderJob) {
			j.Spec.Output.FileName = platenv1alpha1.FileName(strings.Repeat("🎉", 100))
		},
		"quotes": func(j *platenv1alpha1.RenderJob) {
			j.Spec.Output.FileName = platenv1alpha1.FileName(strings.Repeat(`%"`, 100))
		},
		job1MiB: func(j *platenv1alpha1.RenderJob) {
			j.Spec.Output.FileName = platenv1alpha1.FileName(strings.Repeat("報", 200))
			j.Spec.Modifications = &apiextensionsv1.JSON{Raw: []byte(`{"a":"` + strings.Repeat("x", 1<<20-8) + `"}`)}
		},
	}
	for specName, spec := range specs {
		for _, size := range []struct{ files, connections int }{{1, 0}, {200, 1}, {200, destination.Max}} {
			for round := range 2 {
				t.Run(fmt.Sprintf("%s/%d files/%d connections/%d", specName, size.files, size.connections, round), func(t *testing.T) {
					job := theJob(func(j *platenv1alpha1.RenderJob) {
						j.Namespace, j.UID = strings.Repeat("n", 63), "01234567-89ab-cdef-0123-456789abcdef"
						j.Spec.Output.Format = "jpeg"
						j.Annotations = map[string]string{platenv1alpha1.RetryUploadsAnnotation: strings.Repeat("\xff🎉", 2000)}
						spec(j)
					})
					s := &scope{job: job, now: noon, revision: task.Revision(job), manifest: extremeManifest(size.files, round)}
					s.state = pool.State{
						Phase: pool.Rendered, Attempts: pick(extremeNumbers, round), TotalPages: pick(extremeNumbers, round), RenderedPages: pick(extremeNumbers, round+1),
						AcceptedTime: noon, RenderedTime: noon, PodName: pick(hostile, round+3),
					}
					r := newReconciler(t)
					r.Signer = content.NewSigner([]byte("key"), baseURL, time.Hour)
					if err := r.collect(t.Context(), s); err != nil {
						t.Fatal(err)
					}
					extremeUploads(s, size.connections, round)
					after := job.DeepCopy()
					setStatus(after, s, s.waitForUploads())
					expectValid(t, after, status.CurrentStatus)
					expectSmall(t, after)
				})
			}
		}
	}
}

// extremeManifest returns what a broken pod may have got into the store.
func extremeManifest(files, round int) *content.Manifest {
	m := &content.Manifest{
		Attempt: 1, Attempts: pick(extremeNumbers, round), RenderMilliseconds: int64(pick(extremeNumbers, round)), PodName: pick(hostile, round),
		TotalPages: pick(extremeNumbers, round), RenderedPages: pick(extremeNumbers, round+1), RenderedTime: noon,
	}
	for i := range files {
		n := pick(extremeNumbers, i+round)
		m.Files = append(m.Files, file.File{
			ID: file.ID{Page: i + 1, ExtraSize: strings.Repeat("s", 32)}, Format: "jpeg", PageID: pick(hostile, i),
			Width: n, Height: pick(extremeNumbers, i+1), Size: int64(n), SHA256: pick([]string{hash, "", "short", hash + hash}, i), ContentHash: pick(hostile, i),
		})
		m.Warnings = append(m.Warnings, content.Warning{Title: pick(hostile, i), Details: pick(hostile, i+1)})
	}
	// Files that the task does not have, and one twice.
	for _, n := range extremeNumbers {
		m.Files = append(m.Files, file.File{ID: file.ID{Page: n}, Format: "jpeg", SHA256: hash})
	}
	m.Files = append(m.Files, m.Files[0])
	return m
}

// extremeUploads fills in uploads with whatever storage services may answer.
func extremeUploads(s *scope, connections, round int) {
	for i := range connections {
		u := theUpload(fmt.Sprintf("%s-%03d", strings.Repeat("c", 249), i), true)
		u.Connection.Status.ReadyCount = new(int64(1 << 62))
		for j, f := range s.files {
			page := storage.Result{ID: f.ID}
			page.Path, page.ContentHash, page.Kept = "/"+strings.Repeat("報", 350)+"/"+f.Name, hash, true
			switch (i + j + round) % 3 {
			case 0:
				page.Path, page.ContentHash = pick(hostile, i+j), pick(hostile, i+j+1)
			case 1:
				page.Err = &storage.Error{Class: storage.Stop, Reason: storage.Reason(pick(hostile, i+j)), Message: pick(hostile, i+j+2)}
				u.result.Err = page.Err
			}
			u.result.Files = append(u.result.Files, page)
		}
		s.uploads = append(s.uploads, u)
		s.missing = append(s.missing, platenv1alpha1.JobConnection{Provider: platenv1alpha1.ProviderGCS, Name: new(strings.Repeat("a", 253))})
		s.idle = append(s.idle, destination.IdleEntry{
			Entry: i, First: i, Connection: strings.Repeat("a", 253), Folder: "/" + pick(hostile, i), Used: "/" + pick(hostile, i+1),
		})
		s.present = append(s.present, strings.Repeat("b", 253)+" (dropbox)")
		s.collisions = append(s.collisions, collision{strings.Repeat("a", 253), "/" + pick(hostile, i), platenv1alpha1.ProviderDropbox})
	}
}

// expectSmall checks that etcd takes a job: 1.5 MiB, and a MiB if its own spec does not fill that.
func expectSmall(t *testing.T, job *platenv1alpha1.RenderJob) {
	t.Helper()
	data, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	limit := 1 << 20
	if m := job.Spec.Modifications; m != nil {
		limit = 3 << 19
	}
	if len(data) > limit {
		t.Errorf("the job has %d bytes, want at most %d", len(data), limit)
	}
}

// TestNoFailureIsRefused does the same for jobs that wait, or that failed.
func TestNoFailureIsRefused(t *testing.T) {
	for i := range 2 * len(hostile) {
		job := theJob(nil)
		s := &scope{job: job, now: noon, revision: task.Revision(job), state: pool.State{
			Phase: pool.Failed, Attempts: pick(extremeNumbers, i), PodName: pick(hostile, i),
			Failure: &render.Error{Reason: pick(hostile, i), Message: pick(hostile, i+1)},
		}}
		after := job.DeepCopy()
		setStatus(after, s, newReconciler(t).collect(t.Context(), s))
		expectValid(t, after, status.FailedStatus)
		expectSmall(t, after)

		s.state.Phase, s.state.Progress = pool.Rendering, &render.Progress{Percent: pick(extremeNumbers, i), Frames: pick(extremeNumbers, i+1)}
		after = job.DeepCopy()
		setStatus(after, s, reconcile.Waiting(platenv1alpha1.QueuedReason, 0, "%s", pick(hostile, i)))
		expectValid(t, after, status.InProgressStatus)
		expectSmall(t, after)
	}
}
