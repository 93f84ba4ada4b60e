// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"fmt"
	"strings"
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

func TestResolveConnections(t *testing.T) {
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
		idle    []idleEntry
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
			idle: []idleEntry{{entry: 1, folder: "/Other", first: 0, connection: "b-auto", used: "/Renders"}},
		},
		"the same one twice, first by name": {
			all:    []platenv1alpha1.StorageConnection{auto, onRequest},
			wanted: []platenv1alpha1.JobConnection{dropbox("c-request", ""), dropbox("b-auto", "/Mine"), dropbox("", "")}, want: []string{"c-request:/Renders", "b-auto:/Mine"},
			idle: []idleEntry{{entry: 2, folder: "/Renders", first: 1, connection: "b-auto", used: "/Mine"}},
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
			resolved := resolveConnections(job, tc.all)
			got := make([]string, 0, len(resolved.uploads))
			for _, u := range resolved.uploads {
				got = append(got, u.connection.Name+":"+u.folder)
			}
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("uploads (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.missing, resolved.missing); diff != "" {
				t.Errorf("missing (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.idle, resolved.idle, cmp.AllowUnexported(idleEntry{})); diff != "" {
				t.Errorf("idle entries (-want +got):\n%s", diff)
			}
		})
	}
}

func TestResolveConnectionsStopsAtTheBoundOfTheAPI(t *testing.T) {
	all := make([]platenv1alpha1.StorageConnection, 0, maxConnections+1)
	for i := range maxConnections + 1 {
		all = append(all, connection(fmt.Sprintf("dropbox-%03d", i), platenv1alpha1.UploadAutomatic))
	}
	if uploads := resolveConnections(&platenv1alpha1.RenderJob{}, all).uploads; len(uploads) != maxConnections {
		t.Errorf("got %d uploads, want %d", len(uploads), maxConnections)
	}
}

func TestAbsenceNamesWhatThereIs(t *testing.T) {
	many := make([]string, 12)
	for i := range many {
		many[i] = fmt.Sprintf("c%02d (s3)", i)
	}
	for want, c := range map[string]struct {
		wanted platenv1alpha1.JobConnection
		all    []string
	}{
		"this namespace has no StorageConnection 'dropbx' to dropbox; there are: dropbox (dropbox)": {
			platenv1alpha1.JobConnection{Provider: platenv1alpha1.ProviderDropbox, Name: new("dropbx")}, []string{"dropbox (dropbox)"},
		},
		"this namespace has no StorageConnection to dropbox, and no other": {platenv1alpha1.JobConnection{Provider: platenv1alpha1.ProviderDropbox}, nil},
		"this namespace has no StorageConnection to dropbox; there are: " + strings.Join(many[:10], ", ") + " and 2 more": {
			platenv1alpha1.JobConnection{Provider: platenv1alpha1.ProviderDropbox}, many,
		},
	} {
		if got := absence(c.wanted, c.all); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// What is not uploaded begins anew with another version, so each change that counts for an upload makes one, and no other.
func TestVersionsOfUploads(t *testing.T) {
	base := func() platenv1alpha1.StorageConnection {
		c := connection("dropbox", platenv1alpha1.UploadAutomatic)
		c.UID, c.Spec.DefaultFolder = "1", "/Renders"
		c.Spec.Dropbox = &platenv1alpha1.DropboxSpec{CredentialsSecretRef: platenv1alpha1.SecretReference{Name: "dropbox"}}
		return c
	}
	for name, tc := range map[string]struct {
		change func(*platenv1alpha1.StorageConnection)
		// folder of the job; empty for that of the connection.
		folder platenv1alpha1.FolderPath
		stays  bool
	}{
		"its rate":                            {change: func(c *platenv1alpha1.StorageConnection) { c.Spec.MaxUploadBytesPerSecond = 1 }, stays: true},
		"the jobs that it takes":              {change: func(c *platenv1alpha1.StorageConnection) { c.Spec.UploadPolicy = platenv1alpha1.UploadOnRequest }, stays: true},
		"its state":                           {change: func(c *platenv1alpha1.StorageConnection) { c.Generation, c.Status.ReadyCount = 5, new(int64(2)) }, stays: true},
		"the folder":                          {change: func(c *platenv1alpha1.StorageConnection) { c.Spec.DefaultFolder = "/Else" }},
		"the folder, and the job has its own": {change: func(c *platenv1alpha1.StorageConnection) { c.Spec.DefaultFolder = "/Else" }, folder: "/Own", stays: true},
		"it takes nothing":                    {change: func(c *platenv1alpha1.StorageConnection) { c.Spec.UploadPolicy = platenv1alpha1.UploadDisabled }},
		"its credentials":                     {change: func(c *platenv1alpha1.StorageConnection) { c.Spec.Dropbox.CredentialsSecretRef.Name = "other" }},
		"its conflict policy":                 {change: func(c *platenv1alpha1.StorageConnection) { c.Spec.Dropbox.ConflictPolicy = "Rename" }},
		"another of its name":                 {change: func(c *platenv1alpha1.StorageConnection) { c.UID = "2" }},
	} {
		t.Run(name, func(t *testing.T) {
			job := &platenv1alpha1.RenderJob{Spec: platenv1alpha1.RenderJobSpec{Connections: []platenv1alpha1.JobConnection{{
				Type: platenv1alpha1.ConnectionStorage, Provider: platenv1alpha1.ProviderDropbox, Folder: tc.folder,
			}}}}
			versions := make([]string, 0, 2)
			for _, change := range []func(*platenv1alpha1.StorageConnection){func(*platenv1alpha1.StorageConnection) {}, tc.change} {
				c := base()
				change(&c)
				versions = append(versions, version(resolveConnections(job, []platenv1alpha1.StorageConnection{c}).uploads[0]))
			}
			if (versions[0] == versions[1]) != tc.stays {
				t.Errorf("the versions are %q", versions)
			}
		})
	}
}
