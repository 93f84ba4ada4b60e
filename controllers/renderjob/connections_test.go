// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

func connection(name string, policy platenv1alpha1.UploadPolicy) platenv1alpha1.StorageConnection {
	return platenv1alpha1.StorageConnection{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       platenv1alpha1.StorageConnectionSpec{Provider: platenv1alpha1.ProviderDropbox, UploadPolicy: policy, DefaultFolder: "/Renders"},
	}
}

func TestResolveConnections(t *testing.T) {
	auto, byHand, off := connection("b-auto", platenv1alpha1.UploadAutomatic), connection("c-hand", platenv1alpha1.UploadOnRequest), connection("a-off", platenv1alpha1.UploadDisabled)
	dropbox := func(name, folder string) platenv1alpha1.JobConnection {
		c := platenv1alpha1.JobConnection{Type: platenv1alpha1.ConnectionStorage, Provider: platenv1alpha1.ProviderDropbox, Folder: platenv1alpha1.FolderPath(folder)}
		if name != "" {
			c.Name = &name
		}
		return c
	}
	for _, c := range []struct {
		name    string
		all     []platenv1alpha1.StorageConnection
		wanted  []platenv1alpha1.JobConnection
		want    string
		missing bool
	}{
		{"left out: the automatic ones", []platenv1alpha1.StorageConnection{byHand, off, auto}, nil, "b-auto:/Renders", false},
		{"empty: none", []platenv1alpha1.StorageConnection{auto}, []platenv1alpha1.JobConnection{}, "", false},
		{"left out, and none is there", nil, nil, "", false},
		{"named, and none is there", nil, []platenv1alpha1.JobConnection{dropbox("", "")}, "", true},
		{"by provider: the first that is not disabled", []platenv1alpha1.StorageConnection{off, byHand, auto}, []platenv1alpha1.JobConnection{dropbox("", "")}, "b-auto:/Renders", false},
		{"by provider, and all are disabled", []platenv1alpha1.StorageConnection{off}, []platenv1alpha1.JobConnection{dropbox("", "")}, "a-off:/Renders", false},
		{"by name, with a folder", []platenv1alpha1.StorageConnection{auto, byHand}, []platenv1alpha1.JobConnection{dropbox("c-hand", "/Mine")}, "c-hand:/Mine", false},
		{"one is missing", []platenv1alpha1.StorageConnection{auto}, []platenv1alpha1.JobConnection{dropbox("b-auto", ""), dropbox("gone", "")}, "b-auto:/Renders", true},
		{"twice the same", []platenv1alpha1.StorageConnection{auto}, []platenv1alpha1.JobConnection{dropbox("", ""), dropbox("b-auto", "/Other")}, "b-auto:/Renders", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			targets, missing := resolveConnections(&platenv1alpha1.RenderJob{Spec: platenv1alpha1.RenderJobSpec{Connections: c.wanted}}, c.all)
			got := make([]string, 0, len(targets))
			for _, t := range targets {
				got = append(got, t.connection.Name+":"+t.folder)
			}
			if strings.Join(got, " ") != c.want || missing != c.missing {
				t.Errorf("got %q, missing %t", got, missing)
			}
		})
	}
}
