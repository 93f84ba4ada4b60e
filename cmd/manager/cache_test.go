// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/podspec"
)

func TestTrimKeepsWhatControllersRead(t *testing.T) {
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{
		Name:          "summer",
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
		Annotations:   map[string]string{corev1.LastAppliedConfigAnnotation: "{}", platenv1alpha1.RetryUploadsAnnotation: "now"},
	}}
	if _, err := trim(job); err != nil {
		t.Fatal(err)
	}
	if job.ManagedFields != nil || !maps.Equal(job.Annotations, map[string]string{platenv1alpha1.RetryUploadsAnnotation: "now"}) || job.Name != "summer" {
		t.Errorf("got %+v", job.ObjectMeta)
	}
	for is, applied := range map[string]string{`{}`: `{"spec":{"modifications":{"summer":null}}}`, `{"lines":[{"price":4}]}`: `{"spec":{"modifications":{"lines":[{"price":4,"50":null}]}}}`} {
		job.Annotations[corev1.LastAppliedConfigAnnotation], job.Spec.Modifications = applied, &apiextensionsv1.JSON{Raw: []byte(is)}
		if _, err := trim(job); err != nil || job.Annotations[corev1.LastAppliedConfigAnnotation] != applied {
			t.Errorf("what kubectl apply has left out: %v, %v", job.Annotations, err)
		}
	}
	pod := podspec.Build(podspec.Config{OutboundAllow: "10.1.2.0/24"}, "marketing", "pod", []byte("key"))
	pod.Spec.NodeName, pod.Status.Phase = "node", corev1.PodRunning
	if _, err := trim(pod); err != nil || pod.Spec.Volumes != nil || pod.Status.Phase != corev1.PodRunning || pod.Name != "pod" {
		t.Errorf("got %+v, %v", pod, err)
	}
	if allowed := podspec.OutboundAllow(pod); allowed != "10.1.2.0/24" || pod.Spec.NodeName != "node" {
		t.Errorf("it may reach %q and is on node %q", allowed, pod.Spec.NodeName)
	}
	gone := cache.DeletedFinalStateUnknown{Key: "ns/name"}
	if got, err := trim(gone); err != nil || got != gone {
		t.Errorf("an object that is gone: %v, %v", got, err)
	}
}

func TestTrimLetsJobsShareTheirWords(t *testing.T) {
	job := func() *platenv1alpha1.RenderJob {
		return &platenv1alpha1.RenderJob{
			ObjectMeta: metav1.ObjectMeta{Namespace: strings.Clone("marketing")},
			Status: platenv1alpha1.RenderJobStatus{
				Conditions: []metav1.Condition{{Type: strings.Clone("Ready"), Reason: strings.Clone("Succeeded"), Message: strings.Clone("rendered")}},
				Pages:      []platenv1alpha1.RenderedPage{{PageID: strings.Clone("front")}},
			},
		}
	}
	a, b := job(), job()
	for _, j := range []*platenv1alpha1.RenderJob{a, b} {
		if _, err := trim(j); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(job(), a); diff != "" {
		t.Errorf("the job has changed (-want +got):\n%s", diff)
	}
	if unsafe.StringData(a.Status.Conditions[0].Message) != unsafe.StringData(b.Status.Conditions[0].Message) ||
		unsafe.StringData(a.Namespace) != unsafe.StringData(b.Namespace) {
		t.Error("two jobs have a copy each")
	}
}

func TestTrimDropsRoomForMore(t *testing.T) {
	pages := append(make([]platenv1alpha1.RenderedPage, 0, 4), platenv1alpha1.RenderedPage{Page: 1})
	uploaded := append(make([]platenv1alpha1.UploadedPage, 0, 4), platenv1alpha1.UploadedPage{Page: 1})
	job := &platenv1alpha1.RenderJob{}
	job.Spec.Connections = []platenv1alpha1.JobConnection{}
	job.Status.Pages, job.Status.Connections = pages, []platenv1alpha1.JobConnectionStatus{{Pages: uploaded}}
	if _, err := trim(job); err != nil {
		t.Fatal(err)
	}
	status := &job.Status
	if len(status.Pages) != 1 || cap(status.Pages) != 1 || len(status.Connections[0].Pages) != 1 || cap(status.Connections[0].Pages) != 1 {
		t.Errorf("%d pages in room for %d, %d uploaded ones in room for %d", len(status.Pages), cap(status.Pages), len(status.Connections[0].Pages), cap(status.Connections[0].Pages))
	}
	if job.Spec.Connections == nil || status.Conditions != nil {
		t.Errorf("an empty list became %v, none became %v", job.Spec.Connections, status.Conditions)
	}
}
