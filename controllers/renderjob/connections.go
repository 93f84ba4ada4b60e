// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"slices"
	"strings"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/task"
)

// target is a connection and the folder in it that receive the job's files.
type target struct {
	connection *platenv1alpha1.StorageConnection
	folder     string
}

// resolveConnections finds the connections that a job uploads to: those that it names, or every automatic one of the namespace
// when it leaves spec.connections out. missing are the providers of those that it names and that do not exist.
func resolveConnections(job *platenv1alpha1.RenderJob, all []platenv1alpha1.StorageConnection) (targets []target, missing []platenv1alpha1.ProviderType) {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b platenv1alpha1.StorageConnection) int { return strings.Compare(a.Name, b.Name) })
	if job.Spec.Connections == nil {
		for i := range all {
			if all[i].Spec.UploadPolicy == platenv1alpha1.UploadAutomatic {
				targets = append(targets, target{&all[i], string(all[i].Spec.DefaultFolder)})
			}
		}
		return targets, nil
	}
	for _, wanted := range job.Spec.Connections {
		connection := find(all, wanted)
		if connection == nil {
			if !slices.Contains(missing, wanted.Provider) {
				missing = append(missing, wanted.Provider)
			}
			continue
		}
		folder := string(wanted.Folder)
		if folder == "" {
			folder = string(connection.Spec.DefaultFolder)
		}
		same := func(t target) bool { return t.connection.Name == connection.Name }
		if !slices.ContainsFunc(targets, same) {
			targets = append(targets, target{connection, folder})
		}
	}
	return targets, missing
}

// find returns the connection of that name; without a name, the provider's first that is not disabled, else its first.
func find(all []platenv1alpha1.StorageConnection, wanted platenv1alpha1.JobConnection) *platenv1alpha1.StorageConnection {
	var disabled *platenv1alpha1.StorageConnection
	for i := range all {
		c := &all[i]
		switch name := valueOr(wanted.Name, ""); {
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

// fileIndex finds jobs whose files have one name, without regard to case.
const fileIndex = "fileKey"

func fileKey(job *platenv1alpha1.RenderJob) string {
	return strings.ToLower(task.FileName(job, file.ID{}, 1))
}

// collision is another job whose file is the same as this job's for a service that ignores case, while the two jobs spell it in two
// ways. Jobs that spell it the same mean the same file, and the connection's conflict policy says what happens.
type collision struct {
	job, path string
	provider  platenv1alpha1.ProviderType
}

// collisions finds those with the given older jobs.
func collisions(job *platenv1alpha1.RenderJob, targets []target, others []platenv1alpha1.RenderJob, connections []platenv1alpha1.StorageConnection) (list []collision) {
	for i := range others {
		other := &others[i]
		if other.Name == job.Name || job.CreationTimestamp.Before(&other.CreationTimestamp) {
			continue
		}
		theirs, _ := resolveConnections(other, connections)
		for _, mine := range targets {
			for _, their := range theirs {
				a := storage.JoinPath(mine.folder, task.FileName(job, file.ID{}, 1))
				b := storage.JoinPath(their.folder, task.FileName(other, file.ID{}, 1))
				ignoresCase := mine.connection.Spec.Provider == platenv1alpha1.ProviderDropbox
				if mine.connection.Name == their.connection.Name && ignoresCase && a != b && strings.EqualFold(a, b) {
					list = append(list, collision{other.Name, b, mine.connection.Spec.Provider})
				}
			}
		}
	}
	return list
}
