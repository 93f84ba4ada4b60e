// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package destination

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

func connection(name string, policy platenv1alpha1.UploadPolicy) platenv1alpha1.StorageConnection {
	return platenv1alpha1.StorageConnection{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       platenv1alpha1.StorageConnectionSpec{Provider: platenv1alpha1.ProviderDropbox, UploadPolicy: policy, DefaultFolder: "/Renders"},
	}
}

func TestResolve(t *testing.T) {
	auto, onRequest := connection("b-auto", platenv1alpha1.UploadAutomatic), connection("c-request", platenv1alpha1.UploadOnRequest)
	off := connection("a-off", platenv1alpha1.UploadDisabled)
	dropbox := func(name, folder string) platenv1alpha1.JobConnection {
		c := platenv1alpha1.JobConnection{Type: platenv1alpha1.ConnectionStorage, Provider: platenv1alpha1.ProviderDropbox, Folder: platenv1alpha1.FolderPath(folder)}
		if name != "" {
			c.Name = &name
		}
		return c
	}
	for name, tc := range map[string]struct {
		all     []platenv1alpha1.StorageConnection
		wanted  []platenv1alpha1.JobConnection
		want    []string
		missing []platenv1alpha1.JobConnection
		idle    []IdleEntry
	}{
		"left out: the automatic ones": {
			all: []platenv1alpha1.StorageConnection{onRequest, off, auto}, want: []string{"b-auto:/Renders"},
		},
		"empty: none":               {all: []platenv1alpha1.StorageConnection{auto}, wanted: []platenv1alpha1.JobConnection{}},
		"left out, and none exists": {},
		"by provider, and none exists": {
			wanted: []platenv1alpha1.JobConnection{dropbox("", "")}, missing: []platenv1alpha1.JobConnection{dropbox("", "")},
		},
		"by provider: the first that is not disabled": {
			all:    []platenv1alpha1.StorageConnection{off, onRequest, auto},
			wanted: []platenv1alpha1.JobConnection{dropbox("", "")}, want: []string{"b-auto:/Renders"},
		},
		"by provider, and all are disabled": {
			all:    []platenv1alpha1.StorageConnection{off},
			wanted: []platenv1alpha1.JobConnection{dropbox("", "")}, want: []string{"a-off:/Renders"},
		},
		"by name, with a folder": {
			all:    []platenv1alpha1.StorageConnection{auto, onRequest},
			wanted: []platenv1alpha1.JobConnection{dropbox("c-request", "/Mine")}, want: []string{"c-request:/Mine"},
		},
		"one of two exists": {
			all:    []platenv1alpha1.StorageConnection{auto},
			wanted: []platenv1alpha1.JobConnection{dropbox("b-auto", ""), dropbox("gone", "")},
			want:   []string{"b-auto:/Renders"}, missing: []platenv1alpha1.JobConnection{dropbox("gone", "")},
		},
		"the same one twice": {
			all:    []platenv1alpha1.StorageConnection{auto},
			wanted: []platenv1alpha1.JobConnection{dropbox("", ""), dropbox("b-auto", "/Other")}, want: []string{"b-auto:/Renders"},
			idle: []IdleEntry{{Entry: 1, Folder: "/Other", First: 0, Connection: "b-auto", Used: "/Renders"}},
		},
		"the same one twice, first by name": {
			all:    []platenv1alpha1.StorageConnection{auto, onRequest},
			wanted: []platenv1alpha1.JobConnection{dropbox("c-request", ""), dropbox("b-auto", "/Mine"), dropbox("", "")}, want: []string{"c-request:/Renders", "b-auto:/Mine"},
			idle: []IdleEntry{{Entry: 2, Folder: "/Renders", First: 1, Connection: "b-auto", Used: "/Mine"}},
		},
		"the same one twice, with the same folder": {
			all:    []platenv1alpha1.StorageConnection{auto},
			wanted: []platenv1alpha1.JobConnection{dropbox("", ""), dropbox("b-auto", "/Renders")}, want: []string{"b-auto:/Renders"},
		},
		"several of one provider do not exist": {
			wanted:  []platenv1alpha1.JobConnection{dropbox("gone", ""), dropbox("", ""), dropbox("lost", "")},
			missing: []platenv1alpha1.JobConnection{dropbox("gone", ""), dropbox("", ""), dropbox("lost", "")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			job := &platenv1alpha1.RenderJob{Spec: platenv1alpha1.RenderJobSpec{Connections: tc.wanted}}
			resolved := Resolve(job, tc.all)
			got := make([]string, 0, len(resolved.Targets))
			for _, target := range resolved.Targets {
				got = append(got, target.Connection.Name+":"+target.Folder)
			}
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("targets (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.missing, resolved.Missing); diff != "" {
				t.Errorf("missing (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.idle, resolved.Idle); diff != "" {
				t.Errorf("idle entries (-want +got):\n%s", diff)
			}
		})
	}
}

func TestResolveStopsAtTheBoundOfTheAPI(t *testing.T) {
	all := make([]platenv1alpha1.StorageConnection, 0, Max+1)
	for i := range Max + 1 {
		all = append(all, connection(fmt.Sprintf("dropbox-%03d", i), platenv1alpha1.UploadAutomatic))
	}
	if targets := Resolve(&platenv1alpha1.RenderJob{}, all).Targets; len(targets) != Max {
		t.Errorf("got %d targets, want %d", len(targets), Max)
	}
}

func TestFindObstacle(t *testing.T) {
	entry := func(name string) platenv1alpha1.JobConnection {
		return platenv1alpha1.JobConnection{Type: platenv1alpha1.ConnectionStorage, Provider: platenv1alpha1.ProviderDropbox, Name: &name}
	}
	auto, off := connection("auto", platenv1alpha1.UploadAutomatic), connection("off", platenv1alpha1.UploadDisabled)
	gone := &Obstacle{Text: "StorageConnection 'gone' of spec.connections does not exist"}
	for name, tc := range map[string]struct {
		wanted []platenv1alpha1.JobConnection
		all    []platenv1alpha1.StorageConnection
		// done and failed are the connections of the job's uploads.
		done, failed string
		want         *Obstacle
	}{
		"one takes it": {all: []platenv1alpha1.StorageConnection{auto}, failed: "auto"},
		"one is gone":  {wanted: []platenv1alpha1.JobConnection{entry("gone")}, all: []platenv1alpha1.StorageConnection{auto}, want: gone},
		"one is gone, and another of its kind is done": {wanted: []platenv1alpha1.JobConnection{{Provider: platenv1alpha1.ProviderDropbox}, entry("gone")}, all: []platenv1alpha1.StorageConnection{auto, connection("idle", platenv1alpha1.UploadAutomatic)}, done: "auto", want: gone},
		"one is gone, and another failed":              {wanted: []platenv1alpha1.JobConnection{entry("auto"), entry("gone")}, all: []platenv1alpha1.StorageConnection{auto}, failed: "auto"},
		"one is disabled":                              {wanted: []platenv1alpha1.JobConnection{entry("off")}, all: []platenv1alpha1.StorageConnection{auto, off}, failed: "off", want: &Obstacle{"spec.uploadPolicy of StorageConnection 'off' is Disabled", "off"}},
		"an automatic one is disabled since":           {all: []platenv1alpha1.StorageConnection{off}, failed: "off", want: &Obstacle{"spec.uploadPolicy of StorageConnection 'off' is Disabled", "off"}},
		"one of the provider is gone":                  {wanted: []platenv1alpha1.JobConnection{{Provider: platenv1alpha1.ProviderS3}}, all: []platenv1alpha1.StorageConnection{auto}, want: &Obstacle{Text: "no StorageConnection of the namespace has the provider 's3' of spec.connections"}},
		"all is uploaded":                              {wanted: []platenv1alpha1.JobConnection{entry("auto")}, all: []platenv1alpha1.StorageConnection{auto}, done: "auto"},
		"an automatic one came later":                  {all: []platenv1alpha1.StorageConnection{auto}, failed: "gone"},
		"another one is disabled":                      {all: []platenv1alpha1.StorageConnection{off}, failed: "gone", want: &Obstacle{Text: "no StorageConnection of the namespace has the uploadPolicy Automatic"}},
	} {
		t.Run(name, func(t *testing.T) {
			job := &platenv1alpha1.RenderJob{Spec: platenv1alpha1.RenderJobSpec{Connections: tc.wanted}}
			if tc.done != "" {
				job.Status.Connections = append(job.Status.Connections, platenv1alpha1.JobConnectionStatus{Name: tc.done, Status: platenv1alpha1.UploadSuccess})
			}
			if tc.failed != "" {
				job.Status.Connections = append(job.Status.Connections, platenv1alpha1.JobConnectionStatus{Name: tc.failed, Status: platenv1alpha1.UploadError})
			}
			if diff := cmp.Diff(tc.want, FindObstacle(job, tc.all)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
