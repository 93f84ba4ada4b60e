// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/utils/ptr"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/storage/uploader"
)

// maxConnections bounds the connections of one job, as the API does in status.connections.
const maxConnections = 64

// upload is what a job uploads through one connection, and how far that has come.
type upload struct {
	connection *platenv1alpha1.StorageConnection
	// folder that receives the files.
	folder string
	// result so far; the zero Result before the upload has begun.
	result uploader.Result
}

// resolveConnections returns the uploads of a job: through the connections that it names or, without spec.connections, through the
// automatic ones of the namespace, at most maxConnections. missing are the wanted connections that do not exist, one of each provider.
func resolveConnections(job *platenv1alpha1.RenderJob, all []platenv1alpha1.StorageConnection) (uploads []upload, missing []platenv1alpha1.JobConnection) {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b platenv1alpha1.StorageConnection) int { return strings.Compare(a.Name, b.Name) })
	if job.Spec.Connections == nil {
		for i := range all {
			if all[i].Spec.UploadPolicy == platenv1alpha1.UploadAutomatic && len(uploads) < maxConnections {
				uploads = append(uploads, upload{connection: &all[i], folder: string(all[i].Spec.DefaultFolder)})
			}
		}
		return uploads, nil
	}
	for _, wanted := range job.Spec.Connections {
		connection := find(all, wanted)
		if connection == nil {
			if !slices.ContainsFunc(missing, func(m platenv1alpha1.JobConnection) bool { return m.Provider == wanted.Provider }) {
				missing = append(missing, wanted)
			}
			continue
		}
		folder := cmp.Or(string(wanted.Folder), string(connection.Spec.DefaultFolder))
		if !slices.ContainsFunc(uploads, func(u upload) bool { return u.connection.Name == connection.Name }) {
			uploads = append(uploads, upload{connection: connection, folder: folder})
		}
	}
	return uploads, missing
}

// find returns the wanted connection, nil if there is none. Without a name it is the provider's first that is not disabled, else its
// first.
func find(all []platenv1alpha1.StorageConnection, wanted platenv1alpha1.JobConnection) *platenv1alpha1.StorageConnection {
	var disabled *platenv1alpha1.StorageConnection
	for i := range all {
		c := &all[i]
		switch name := ptr.Deref(wanted.Name, ""); {
		case c.Spec.Provider != wanted.Provider:
		case name != "":
			if c.Name == name {
				return c
			}
		case c.Spec.UploadPolicy != platenv1alpha1.UploadDisabled:
			return c
		case disabled == nil:
			disabled = c
		}
	}
	return disabled
}

// maxNamed bounds the connections that a message names.
const maxNamed = 10

// absence says which wanted connection does not exist, and which do.
func absence(wanted platenv1alpha1.JobConnection, all []string) string {
	text := fmt.Sprintf("this namespace has no StorageConnection to %s", wanted.Provider)
	if name := ptr.Deref(wanted.Name, ""); name != "" {
		text = fmt.Sprintf("this namespace has no StorageConnection '%s' to %s", name, wanted.Provider)
	}
	if len(all) == 0 {
		return text + ", and no other"
	}
	more := ""
	if len(all) > maxNamed {
		more = fmt.Sprintf(" and %d more", len(all)-maxNamed)
	}
	return text + "; there are: " + strings.Join(all[:min(len(all), maxNamed)], ", ") + more
}

// names returns the names of connections with their providers, in order.
func names(all []platenv1alpha1.StorageConnection) []string {
	list := make([]string, 0, len(all))
	for _, c := range all {
		list = append(list, fmt.Sprintf("%s (%s)", c.Name, c.Spec.Provider))
	}
	slices.Sort(list)
	return list
}
