// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/destination"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/storage"
)

// failed returns a job that finished with an upload that failed for a reason, when the connection had become Ready twice.
func failed(reason storage.Reason, change func(*platenv1alpha1.RenderJob)) *platenv1alpha1.RenderJob {
	job := uploaded(platenv1alpha1.JobConnectionStatus{
		Name: "dropbox", Status: platenv1alpha1.UploadError, Reason: string(reason), ReadyCount: new(int64(2)),
	})
	job.Status.Conditions = append(job.Status.Conditions, metav1.Condition{Type: platenv1alpha1.UploadedCondition, Status: metav1.ConditionFalse})
	if change != nil {
		change(job)
	}
	return job
}

// uploaded returns a finished job.
func uploaded(connections ...platenv1alpha1.JobConnectionStatus) *platenv1alpha1.RenderJob {
	return &platenv1alpha1.RenderJob{
		ObjectMeta: metav1.ObjectMeta{Generation: 1},
		Status: platenv1alpha1.RenderJobStatus{
			ObservedGeneration: new(int64(1)),
			Conditions:         []metav1.Condition{{Type: platenv1alpha1.FinishedCondition, Status: metav1.ConditionTrue}},
			Connections:        connections,
		},
	}
}

// readyTimes returns a connection that is Ready for the n-th time.
func readyTimes(name string, n int64) platenv1alpha1.StorageConnection {
	c := connection(name, platenv1alpha1.UploadAutomatic)
	c.Status.Conditions = []metav1.Condition{{Type: platenv1alpha1.ReadyCondition, Status: metav1.ConditionTrue}}
	c.Status.ReadyCount, c.Status.DefaultFolder = &n, string(c.Spec.DefaultFolder)
	return c
}

// inFolder returns a connection whose last verification found another default folder.
func inFolder(c platenv1alpha1.StorageConnection, folder string) platenv1alpha1.StorageConnection {
	c.Status.DefaultFolder = folder
	return c
}

// withUID returns a connection with another UID.
func withUID(c platenv1alpha1.StorageConnection, uid types.UID) platenv1alpha1.StorageConnection {
	c.UID = uid
	return c
}

func TestUploadsToRetry(t *testing.T) {
	request := func(value, handled string) func(*platenv1alpha1.RenderJob) {
		return func(j *platenv1alpha1.RenderJob) {
			j.Annotations = map[string]string{platenv1alpha1.RetryUploadsAnnotation: value}
			j.Status.LastHandledRetryUploads = handled
		}
	}
	notReady := readyTimes("dropbox", 3)
	notReady.Status.Conditions[0].Status = metav1.ConditionFalse
	success := uploaded(platenv1alpha1.JobConnectionStatus{Name: "dropbox", Status: platenv1alpha1.UploadSuccess})
	request("now", "")(success)
	for name, tc := range map[string]struct {
		job         *platenv1alpha1.RenderJob
		connections []platenv1alpha1.StorageConnection
		want        []string
	}{
		"the connection became Ready again": {
			job: failed(storage.ReasonTokenExpired, nil), connections: []platenv1alpha1.StorageConnection{readyTimes("dropbox", 3)}, want: []string{"dropbox"},
		},
		"the connection was Ready all the time": {
			job: failed(storage.ReasonTokenExpired, nil), connections: []platenv1alpha1.StorageConnection{readyTimes("dropbox", 2)},
		},
		"another connection has the name": {
			job:         failed(storage.ReasonTokenExpired, func(j *platenv1alpha1.RenderJob) { j.Status.Connections[0].UID = "old" }),
			connections: []platenv1alpha1.StorageConnection{withUID(readyTimes("dropbox", 1), "new")}, want: []string{"dropbox"},
		},
		"another connection has the name and is not Ready": {
			job:         failed(storage.ReasonTokenExpired, func(j *platenv1alpha1.RenderJob) { j.Status.Connections[0].UID = "old" }),
			connections: []platenv1alpha1.StorageConnection{withUID(notReady, "new")},
		},
		"the same connection": {
			job:         failed(storage.ReasonTokenExpired, func(j *platenv1alpha1.RenderJob) { j.Status.Connections[0].UID = "old" }),
			connections: []platenv1alpha1.StorageConnection{withUID(readyTimes("dropbox", 2), "old")},
		},
		"a status without a UID": {
			job: failed(storage.ReasonTokenExpired, nil), connections: []platenv1alpha1.StorageConnection{withUID(readyTimes("dropbox", 2), "new")},
		},
		"the connection is not Ready": {
			job: failed(storage.ReasonTokenExpired, nil), connections: []platenv1alpha1.StorageConnection{notReady},
		},
		"the connection was created since": {
			job:         failed(storage.ReasonConnectionNotFound, func(j *platenv1alpha1.RenderJob) { j.Status.Connections = nil }),
			connections: []platenv1alpha1.StorageConnection{readyTimes("dropbox", 1)}, want: []string{"dropbox"},
		},
		"the file is at fault": {
			job: failed(storage.ReasonPathNotAllowed, nil), connections: []platenv1alpha1.StorageConnection{readyTimes("dropbox", 3)},
		},
		"the file is at fault, and the default folder was another": {
			job:         failed(storage.ReasonConflict, func(j *platenv1alpha1.RenderJob) { j.Status.Connections[0].Folder = "/Wrong" }),
			connections: []platenv1alpha1.StorageConnection{readyTimes("dropbox", 2)}, want: []string{"dropbox"},
		},
		"the file is at fault, and the default folder was another, which nobody has seen yet": {
			job:         failed(storage.ReasonConflict, func(j *platenv1alpha1.RenderJob) { j.Status.Connections[0].Folder = "/Wrong" }),
			connections: []platenv1alpha1.StorageConnection{inFolder(readyTimes("dropbox", 2), "/Wrong")},
		},
		"the file is at fault in the same folder": {
			job:         failed(storage.ReasonConflict, func(j *platenv1alpha1.RenderJob) { j.Status.Connections[0].Folder = "/Renders" }),
			connections: []platenv1alpha1.StorageConnection{readyTimes("dropbox", 3)},
		},
		"the file is at fault in the folder of the job": {
			job: failed(storage.ReasonConflict, func(j *platenv1alpha1.RenderJob) {
				j.Spec.Connections = []platenv1alpha1.JobConnection{{Type: "storage", Provider: "dropbox", Folder: "/Mine"}}
				j.Status.Connections[0].Folder = "/Mine"
			}),
			connections: []platenv1alpha1.StorageConnection{readyTimes("dropbox", 3)},
		},
		"the upload did not fail": {
			job:         uploaded(platenv1alpha1.JobConnectionStatus{Name: "dropbox", Status: platenv1alpha1.UploadSuccess}),
			connections: []platenv1alpha1.StorageConnection{readyTimes("dropbox", 3)},
		},
		"the spec has changed": {
			job:         failed(storage.ReasonTokenExpired, func(j *platenv1alpha1.RenderJob) { j.Generation = 2 }),
			connections: []platenv1alpha1.StorageConnection{readyTimes("dropbox", 3)},
		},
		"requested": {
			job:         failed(storage.ReasonPathNotAllowed, request("now", "")),
			connections: []platenv1alpha1.StorageConnection{readyTimes("dropbox", 2)}, want: []string{"dropbox"},
		},
		"requested, and handled": {
			job:         failed(storage.ReasonPathNotAllowed, request("now", "now")),
			connections: []platenv1alpha1.StorageConnection{readyTimes("dropbox", 2)},
		},
		"requested, and every file is uploaded": {
			job: success, connections: []platenv1alpha1.StorageConnection{readyTimes("dropbox", 2)},
		},
		"one of two failed": {
			job: failed(storage.ReasonTokenExpired, func(j *platenv1alpha1.RenderJob) {
				j.Status.Connections = append(j.Status.Connections, platenv1alpha1.JobConnectionStatus{Name: "other", Status: platenv1alpha1.UploadSuccess})
			}),
			connections: []platenv1alpha1.StorageConnection{readyTimes("dropbox", 3), readyTimes("other", 3)}, want: []string{"dropbox"},
		},
		"one failed through the file, the other through its connection": {
			job: failed(storage.ReasonPathNotAllowed, func(j *platenv1alpha1.RenderJob) {
				j.Status.Connections = append(j.Status.Connections, platenv1alpha1.JobConnectionStatus{
					Name: "other", Status: platenv1alpha1.UploadError, Reason: string(storage.ReasonTokenExpired),
				})
			}),
			connections: []platenv1alpha1.StorageConnection{readyTimes("dropbox", 3), readyTimes("other", 3)}, want: []string{"other"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			uploads := uploadsToRetry(tc.job, tc.connections)
			got := make([]string, 0, len(uploads))
			for _, u := range uploads {
				got = append(got, u.Connection.Name)
			}
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("uploads (-want +got):\n%s", diff)
			}
		})
	}
}

// Only what a user asks to retry through a connection that is gone has another reason than before.
func TestGoneConnections(t *testing.T) {
	entry := func(name string, provider platenv1alpha1.ProviderType, status platenv1alpha1.UploadStatus) platenv1alpha1.JobConnectionStatus {
		return platenv1alpha1.JobConnectionStatus{Name: name, Provider: provider, Status: status}
	}
	there := []platenv1alpha1.StorageConnection{connection("dropbox", platenv1alpha1.UploadOnRequest)}
	for name, tc := range map[string]struct {
		job  *platenv1alpha1.RenderJob
		want []string
	}{
		"it is there":                          {job: uploaded(entry("dropbox", "dropbox", platenv1alpha1.UploadError))},
		"it was deleted":                       {job: uploaded(entry("old", "dropbox", platenv1alpha1.UploadError)), want: []string{"old"}},
		"it was deleted after it had the file": {job: uploaded(entry("old", "dropbox", platenv1alpha1.UploadSuccess))},
		"its name leads to another service":    {job: uploaded(entry("dropbox", "s3", platenv1alpha1.UploadError)), want: []string{"dropbox"}},
	} {
		if diff := cmp.Diff(tc.want, goneConnections(tc.job, there), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A connection becomes Ready again while the failure of its upload is on the way to status.
func TestAFailureBeforeItsConnectionWasReadyAgainIsRetried(t *testing.T) {
	u := theUpload("dropbox", true, &storage.Error{Class: storage.Stop, Reason: storage.ReasonTokenExpired, Message: "Token expired"})
	u.result.ReadyCount, u.result.UID = 2, "old"
	now := withUID(readyTimes("dropbox", 3), "old")
	u.Connection, u.Folder = &now, "/Renders"
	job := failed(storage.ReasonTokenExpired, func(j *platenv1alpha1.RenderJob) {
		j.Status.Connections = []platenv1alpha1.JobConnectionStatus{u.status()}
	})
	if got := uploadsToRetry(job, []platenv1alpha1.StorageConnection{now}); len(got) != 1 {
		t.Errorf("got %d uploads to retry, want 1; status.connections %+v", len(got), job.Status.Connections)
	}
}

// A connection is made anew while the failure of its upload is on the way to status.
func TestAFailureOfAnEarlierConnectionOfTheNameIsRetried(t *testing.T) {
	u := theUpload("dropbox", true, &storage.Error{Class: storage.Stop, Reason: storage.ReasonTokenExpired, Message: "Token expired"})
	u.result.ReadyCount, u.result.UID = 2, "old"
	now := withUID(readyTimes("dropbox", 1), "new")
	u.Connection = &now
	job := failed(storage.ReasonTokenExpired, func(j *platenv1alpha1.RenderJob) {
		j.Status.Connections = []platenv1alpha1.JobConnectionStatus{u.status()}
	})
	if got := uploadsToRetry(job, []platenv1alpha1.StorageConnection{now}); len(got) != 1 {
		t.Errorf("got %d uploads to retry, want 1; status.connections %+v", len(got), job.Status.Connections)
	}
}

func TestCollisionsIgnoreCaseAndNormalFormsAndNothingElse(t *testing.T) {
	connections := []platenv1alpha1.StorageConnection{connection("dropbox", platenv1alpha1.UploadAutomatic)}
	// named returns a job whose file has a name, created at a second.
	named := func(job, file, folder string, second int64) platenv1alpha1.RenderJob {
		j := platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Name: job, CreationTimestamp: metav1.Unix(second, 0)}}
		j.Spec.Output = platenv1alpha1.OutputSpec{Format: "png", FileName: platenv1alpha1.FileName(file)}
		if folder != "" {
			j.Spec.Connections = []platenv1alpha1.JobConnection{{Type: "storage", Provider: "dropbox", Folder: platenv1alpha1.FolderPath(folder)}}
		}
		return j
	}
	// of returns the files of a job with some pages, and rendered a job whose status has those pages.
	of := func(job *platenv1alpha1.RenderJob, pages ...int) (files []file.File) {
		for _, page := range pages {
			id := file.ID{Page: page}
			files = append(files, file.File{ID: id, Format: "png", Name: file.Name(job.FileBaseName(), id, len(pages) > 1, "png")})
		}
		return files
	}
	rendered := func(job platenv1alpha1.RenderJob, pages ...int32) platenv1alpha1.RenderJob {
		for _, page := range pages {
			job.Status.Pages = append(job.Status.Pages, platenv1alpha1.RenderedPage{Page: page})
		}
		return job
	}
	mine, accented := named("mine", "Banner", "", 10), named("mine", "Caf\u00e9", "", 10)
	uploads := uploadsOf(destination.Resolve(&mine, connections).Targets)
	decomposed := findCollisions(&accented, of(&accented, 1), uploads, []platenv1alpha1.RenderJob{named("other", "cafe\u0301", "", 5)}, connections)
	if diff := cmp.Diff([]collision{{"other", "/Renders/cafe\u0301.png", "dropbox"}}, decomposed, cmp.AllowUnexported(collision{})); diff != "" {
		t.Errorf("collisions with the decomposed form of a name (-want +got):\n%s", diff)
	}
	page2 := named("mine", "Banner_page_2", "", 10)
	for name, tc := range map[string]struct {
		other platenv1alpha1.RenderJob
		want  []collision
	}{
		"the name of a page":                             {rendered(named("other", "banner_page_3", "", 5), 1), nil},
		"it has two pages":                               {rendered(named("other", "banner", "", 5), 1, 2), nil},
		"it has one page":                                {rendered(named("other", "banner", "", 5), 2), []collision{{"other", "/Renders/banner.png", "dropbox"}}},
		"the file in other capitals":                     {named("other", "banner", "", 5), []collision{{"other", "/Renders/banner.png", "dropbox"}}},
		"the folder in other capitals":                   {named("other", "Banner", "/renders", 5), []collision{{"other", "/renders/Banner.png", "dropbox"}}},
		"the same spelling: the conflict policy applies": {named("other", "Banner", "", 5), nil},
		"another folder":                                 {named("other", "banner", "/Else", 5), nil},
		"a younger job, which gets the warning itself":   {named("other", "banner", "", 15), nil},
		"the job itself":                                 {named("mine", "banner", "", 5), nil},
		"a job of the same second, before it by name":    {named("mild", "banner", "", 10), []collision{{"mild", "/Renders/banner.png", "dropbox"}}},
		"a job of the same second, after it by name":     {named("other", "banner", "", 10), nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := findCollisions(&mine, of(&mine, 1), uploads, []platenv1alpha1.RenderJob{tc.other}, connections)
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(collision{})); diff != "" {
				t.Errorf("collisions (-want +got):\n%s", diff)
			}
		})
	}
	// Where no file is replaced, the two jobs have two files.
	for policy, want := range map[platenv1alpha1.ConflictPolicy]int{"": 1, "Overwrite": 1, "Rename": 0, "Keep": 0} {
		kind := connection("dropbox", platenv1alpha1.UploadAutomatic)
		kind.Spec.Dropbox = &platenv1alpha1.DropboxSpec{ConflictPolicy: policy}
		all := []platenv1alpha1.StorageConnection{kind}
		if got := findCollisions(&mine, of(&mine, 1), uploadsOf(destination.Resolve(&mine, all).Targets), []platenv1alpha1.RenderJob{named("other", "banner", "", 5)}, all); len(got) != want {
			t.Errorf("conflictPolicy %q: %+v", policy, got)
		}
	}
	for name, tc := range map[string]struct {
		job   *platenv1alpha1.RenderJob
		pages []int
		other platenv1alpha1.RenderJob
		want  []collision
	}{
		"two jobs of two pages":               {&mine, []int{1, 2}, rendered(named("other", "banner", "", 5), 1, 2), []collision{{"other", "/Renders/banner_page_1.png", "dropbox"}}},
		"two jobs of other pages":             {&mine, []int{1, 2}, rendered(named("other", "banner", "", 5), 3, 4), nil},
		"two pages and an older file":         {&mine, []int{1, 2}, rendered(named("other", "banner", "", 5), 1), nil},
		"two pages and one that is not ready": {&mine, []int{1, 2}, named("other", "banner", "", 5), []collision{{"other", "/Renders/banner_page_1.png", "dropbox"}}},
		"a file with the name of a page":      {&page2, []int{1}, rendered(named("other", "banner", "", 5), 1, 2), []collision{{"other", "/Renders/banner_page_2.png", "dropbox"}}},
		"a page with the name of a file":      {&mine, []int{1, 2}, rendered(named("other", "banner_page_2", "", 5), 1), []collision{{"other", "/Renders/banner_page_2.png", "dropbox"}}},
		"the same spelling of a page's name":  {&page2, []int{1}, rendered(named("other", "Banner", "", 5), 1, 2), nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := findCollisions(tc.job, of(tc.job, tc.pages...), uploads, []platenv1alpha1.RenderJob{tc.other}, connections)
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(collision{})); diff != "" {
				t.Errorf("collisions (-want +got):\n%s", diff)
			}
		})
	}
}
