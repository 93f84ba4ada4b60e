// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/file"
)

// spelledJob returns a job that spells its file's name in some way.
func spelledJob(name, fileName string, age time.Duration) *platenv1alpha1.RenderJob {
	return theJob(func(j *platenv1alpha1.RenderJob) {
		j.Name, j.Spec.Output.FileName, j.CreationTimestamp = name, platenv1alpha1.FileName(fileName), metav1.NewTime(noon.Add(-age))
	})
}

func TestSpellingsFindTheOldestJobsOfAName(t *testing.T) {
	var s spellings
	names := func(job *platenv1alpha1.RenderJob) (names []string) {
		for _, key := range s.others(job, nil) {
			names = append(names, key.Name)
		}
		return names
	}
	expect := func(moment string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, names(spelledJob("mine", "Summer", 0))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", moment, diff)
		}
	}
	expect("nothing is known")
	// Thousands of jobs of one name cost no more than a few.
	for n := range 5000 {
		s.set(spelledJob(fmt.Sprintf("same-%04d", n), "Summer", time.Duration(n)*time.Second))
	}
	s.set(spelledJob("other", "SUMMER", time.Minute))
	s.set(spelledJob("winter", "winter", time.Hour))
	s.set(spelledJob("mine", "Summer", 0))
	expect("all are known", "same-4999", "same-4998", "same-4997", "same-4996", "other")
	s.set(spelledJob("other", "autumn", time.Minute))
	s.remove(types.NamespacedName{Namespace: "marketing", Name: "same-4999"})
	expect("one was renamed, one is gone", "same-4998", "same-4997", "same-4996", "same-4995")
	ended := func(name string, connections ...platenv1alpha1.JobConnectionStatus) *platenv1alpha1.RenderJob {
		job := spelledJob(name, "SUMMER", 2*time.Minute)
		job.Status.ObservedGeneration, job.Status.Connections = new(job.Generation), connections
		job.Status.Conditions = []metav1.Condition{{Type: platenv1alpha1.FinishedCondition, Status: metav1.ConditionTrue}}
		return job
	}
	s.set(ended("uploaded", platenv1alpha1.JobConnectionStatus{Name: "dropbox"}))
	s.set(spelledJob("kept", "SUMMER", 3*time.Minute))
	expect("two more are known", "same-4998", "same-4997", "same-4996", "same-4995", "kept", "uploaded")
	s.set(ended("kept"))
	expect("one has ended and uploads nothing", "same-4998", "same-4997", "same-4996", "same-4995", "uploaded")
	s.remove(types.NamespacedName{Namespace: "marketing", Name: "uploaded"})
	for n := range 5000 {
		s.remove(types.NamespacedName{Namespace: "marketing", Name: fmt.Sprintf("same-%04d", n)})
	}
	for _, name := range []string{"other", "winter", "mine", "unknown"} {
		s.remove(types.NamespacedName{Namespace: "marketing", Name: name})
	}
	if len(s.jobs) > 0 || len(s.names) > 0 {
		t.Errorf("it remembers %d jobs and %d names that are gone", len(s.jobs), len(s.names))
	}
}

func TestSpellingsFindThePagesOfOtherJobs(t *testing.T) {
	var s spellings
	s.set(spelledJob("several", "Multi", 3*time.Hour))
	s.set(spelledJob("second", "MULTI_page_2", 2*time.Hour))
	s.set(spelledJob("unrelated", "other_page_2", time.Hour))
	for _, tc := range []struct {
		fileName string
		files    []file.File
		want     string
	}{
		{"multi_page_7", []file.File{{Name: "multi_page_7.png"}}, "several"},
		{"multi", []file.File{{Name: "multi_page_1.png"}, {Name: "multi_page_2.png"}}, "several second"},
		{"multi", []file.File{{Name: "multi.png"}}, "several"},
	} {
		keys := s.others(spelledJob("mine", tc.fileName, 0), tc.files)
		got := make([]string, len(keys))
		for i, key := range keys {
			got[i] = key.Name
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s with %d files: %v, want %s", tc.fileName, len(tc.files), got, tc.want)
		}
	}
}
