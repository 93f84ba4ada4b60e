// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

func at(seconds int) metav1.Time { return metav1.NewTime(time.Unix(int64(1_700_000_000+seconds), 0)) }

// ended is a job that finished with an upload that failed for a reason, when the connection had become Ready twice; none when the
// reason is empty.
func ended(reason string, change func(*platenv1alpha1.RenderJob)) *platenv1alpha1.RenderJob {
	job := &platenv1alpha1.RenderJob{}
	job.Generation = 1
	job.Status.ObservedGeneration = new(int64(1))
	job.Status.Conditions = []metav1.Condition{{Type: platenv1alpha1.FinishedCondition, Status: metav1.ConditionTrue}}
	if reason != "" {
		job.Status.Conditions = append(job.Status.Conditions, metav1.Condition{Type: platenv1alpha1.UploadedCondition, Status: metav1.ConditionFalse, Reason: reason})
		job.Status.Connections = []platenv1alpha1.JobConnectionStatus{{Name: "dropbox", Status: platenv1alpha1.UploadError, ReadyCount: new(int64(2))}}
	}
	if change != nil {
		change(job)
	}
	return job
}

// ready is a connection that is Ready for the n-th time; 0 is one that is not Ready any more.
func ready(name string, n int64) platenv1alpha1.StorageConnection {
	c := connection(name, platenv1alpha1.UploadAutomatic)
	condition := metav1.Condition{Type: platenv1alpha1.ReadyCondition, Status: metav1.ConditionTrue}
	if n == 0 {
		condition.Status, n = metav1.ConditionFalse, 3
	}
	c.Status.Conditions, c.Status.ReadyCount = []metav1.Condition{condition}, &n
	return c
}

func TestDueAgain(t *testing.T) {
	annotate := func(value string) func(*platenv1alpha1.RenderJob) {
		return func(j *platenv1alpha1.RenderJob) {
			j.Annotations = map[string]string{platenv1alpha1.RetryUploadsAnnotation: value}
		}
	}
	for _, c := range []struct {
		name        string
		job         *platenv1alpha1.RenderJob
		connections []platenv1alpha1.StorageConnection
		want        []string
	}{
		{"the connection has healed", ended("TokenExpired", nil), []platenv1alpha1.StorageConnection{ready("dropbox", 3)}, []string{"dropbox"}},
		{"the connection was Ready all the time", ended("TokenExpired", nil), []platenv1alpha1.StorageConnection{ready("dropbox", 2)}, nil},
		{"the connection is not Ready", ended("TokenExpired", nil), []platenv1alpha1.StorageConnection{ready("dropbox", 0)}, nil},
		{"the connection has come", ended("ConnectionNotFound", func(j *platenv1alpha1.RenderJob) { j.Status.Connections = nil }), []platenv1alpha1.StorageConnection{ready("dropbox", 3)}, []string{"dropbox"}},
		{"the file is at fault", ended("PathNotAllowed", nil), []platenv1alpha1.StorageConnection{ready("dropbox", 3)}, nil},
		{"the upload did not fail", ended("", nil), []platenv1alpha1.StorageConnection{ready("dropbox", 3)}, nil},
		{"the spec has changed", ended("TokenExpired", func(j *platenv1alpha1.RenderJob) { j.Generation = 2 }), []platenv1alpha1.StorageConnection{ready("dropbox", 3)}, nil},
		{"asked for", ended("PathNotAllowed", annotate("now")), []platenv1alpha1.StorageConnection{ready("dropbox", 2)}, []string{"dropbox"}},
		{"asked for, and acted upon", ended("PathNotAllowed", func(j *platenv1alpha1.RenderJob) {
			annotate("now")(j)
			j.Status.LastHandledRetryUploads = "now"
		}), []platenv1alpha1.StorageConnection{ready("dropbox", 2)}, nil},
		{"asked for, and all stands", ended("", annotate("now")), []platenv1alpha1.StorageConnection{ready("dropbox", 2)}, nil},
		{"one of two has failed", ended("TokenExpired", func(j *platenv1alpha1.RenderJob) {
			j.Status.Connections = append(j.Status.Connections, platenv1alpha1.JobConnectionStatus{Name: "other", Status: platenv1alpha1.UploadSuccess})
		}), []platenv1alpha1.StorageConnection{ready("dropbox", 3), ready("other", 3)}, []string{"dropbox"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, t := range dueAgain(c.job, c.connections) {
				got = append(got, t.connection.Name)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestCollisionsIgnoreCaseAndNothingElse(t *testing.T) {
	connections := []platenv1alpha1.StorageConnection{connection("dropbox", platenv1alpha1.UploadAutomatic)}
	named := func(job, file, folder string, second int) platenv1alpha1.RenderJob {
		j := platenv1alpha1.RenderJob{}
		j.Spec.Output = platenv1alpha1.OutputSpec{Format: "png", FileName: platenv1alpha1.FileName(file)}
		if folder != "" {
			j.Spec.Connections = []platenv1alpha1.JobConnection{{Type: "storage", Provider: "dropbox", Folder: platenv1alpha1.FolderPath(folder)}}
		}
		j.Name, j.CreationTimestamp = job, at(second)
		return j
	}
	mine := named("mine", "Banner", "", 10)
	targets, _ := resolveConnections(&mine, connections)
	for _, c := range []struct {
		name  string
		other platenv1alpha1.RenderJob
		want  int
	}{
		{"spelled otherwise", named("other", "banner", "", 5), 1},
		{"a folder spelled otherwise", named("other", "Banner", "/renders", 5), 1},
		{"spelled the same: the conflict policy decides", named("other", "Banner", "", 5), 0},
		{"in another folder", named("other", "banner", "/Else", 5), 0},
		{"a younger job, which is warned itself", named("other", "banner", "", 15), 0},
		{"itself", named("mine", "banner", "", 5), 0},
	} {
		if got := collisions(&mine, targets, []platenv1alpha1.RenderJob{c.other}, connections); len(got) != c.want {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}
