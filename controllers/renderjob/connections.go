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

// resolution is what spec.connections of a job means in its namespace.
type resolution struct {
	uploads []upload
	// missing are the wanted connections that do not exist.
	missing []platenv1alpha1.JobConnection
	idle    []idleEntry
}

// idleEntry is an entry of spec.connections that uploads nothing: an entry before it means the same connection, and names another folder. One of
// the two has no name, so the API server cannot refuse them.
type idleEntry struct {
	// entry and first are the indexes of the two in spec.connections.
	entry, first int
	connection   string
	// folder is that of the entry, and used, the one that receives the files.
	folder, used string
}

// resolveConnections returns the uploads of a job: through the connections that it names or, without spec.connections, through the
// automatic ones of the namespace, at most maxConnections.
func resolveConnections(job *platenv1alpha1.RenderJob, all []platenv1alpha1.StorageConnection) (r resolution) {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b platenv1alpha1.StorageConnection) int { return strings.Compare(a.Name, b.Name) })
	if job.Spec.Connections == nil {
		for i := range all {
			if all[i].Spec.UploadPolicy == platenv1alpha1.UploadAutomatic && len(r.uploads) < maxConnections {
				r.uploads = append(r.uploads, upload{connection: &all[i], folder: string(all[i].Spec.DefaultFolder)})
			}
		}
		return r
	}
	entries := map[string]int{} // by the name of the connection
	for i, wanted := range job.Spec.Connections {
		connection := find(all, wanted)
		if connection == nil {
			r.missing = append(r.missing, wanted)
			continue
		}
		folder := cmp.Or(string(wanted.Folder), string(connection.Spec.DefaultFolder))
		before := slices.IndexFunc(r.uploads, func(u upload) bool { return u.connection.Name == connection.Name })
		switch {
		case before < 0:
			entries[connection.Name] = i
			r.uploads = append(r.uploads, upload{connection: connection, folder: folder})
		case r.uploads[before].folder != folder:
			r.idle = append(r.idle, idleEntry{i, entries[connection.Name], connection.Name, folder, r.uploads[before].folder})
		}
	}
	return r
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
