// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/destination"
)

func connection(name string, policy platenv1alpha1.UploadPolicy) platenv1alpha1.StorageConnection {
	return platenv1alpha1.StorageConnection{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       platenv1alpha1.StorageConnectionSpec{Provider: platenv1alpha1.ProviderDropbox, UploadPolicy: policy, DefaultFolder: "/Renders"},
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
				versions = append(versions, version(uploadsOf(destination.Resolve(job, []platenv1alpha1.StorageConnection{c}).Targets)[0]))
			}
			if (versions[0] == versions[1]) != tc.stays {
				t.Errorf("the versions are %q", versions)
			}
		})
	}
}
