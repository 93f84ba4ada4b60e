// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"cmp"
	"slices"
	"strings"

	"k8s.io/utils/ptr"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/storage"
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
// automatic ones of the namespace, at most maxConnections. missing are the providers of named connections that do not exist.
func resolveConnections(job *platenv1alpha1.RenderJob, all []platenv1alpha1.StorageConnection) (uploads []upload, missing []platenv1alpha1.ProviderType) {
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
			if !slices.Contains(missing, wanted.Provider) {
				missing = append(missing, wanted.Provider)
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

// fileIndex finds jobs by the name of their file, without regard to case.
const fileIndex = "fileKey"

func fileKey(job *platenv1alpha1.RenderJob) string { return strings.ToLower(fileName(job)) }

// fileName returns the name of the job's only file. Jobs with the same name for their only file have the same names for several.
func fileName(job *platenv1alpha1.RenderJob) string {
	return file.Name(job.FileBaseName(), file.ID{}, false, file.Format(job.Spec.Output.Format))
}

// collision is another job that spells the path of this job's file with other capitals. A service that ignores case keeps one file for
// both. Jobs with the same spelling mean the same file, and the connection's conflict policy applies.
type collision struct {
	job, path string
	provider  platenv1alpha1.ProviderType
}

// findCollisions returns the collisions of a job with older jobs among others.
func findCollisions(job *platenv1alpha1.RenderJob, uploads []upload, others []platenv1alpha1.RenderJob, connections []platenv1alpha1.StorageConnection) (list []collision) {
	for i := range others {
		other := &others[i]
		if other.Name == job.Name || job.CreationTimestamp.Before(&other.CreationTimestamp) {
			continue
		}
		theirs, _ := resolveConnections(other, connections)
		for _, mine := range uploads {
			for _, their := range theirs {
				a := storage.JoinPath(mine.folder, fileName(job))
				b := storage.JoinPath(their.folder, fileName(other))
				ignoresCase := mine.connection.Spec.Provider == platenv1alpha1.ProviderDropbox
				if mine.connection.Name == their.connection.Name && ignoresCase && a != b && strings.EqualFold(a, b) {
					list = append(list, collision{other.Name, b, mine.connection.Spec.Provider})
				}
			}
		}
	}
	return list
}
