// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"slices"
	"strings"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// target is a connection and the folder in it that receive the job's files.
type target struct {
	connection *platenv1alpha1.StorageConnection
	folder     string
}

// resolveConnections finds the connections that a job uploads to: those that it names, or every automatic one of the namespace
// when it leaves spec.connections out. missing is true when one that it names does not exist.
func resolveConnections(job *platenv1alpha1.RenderJob, all []platenv1alpha1.StorageConnection) (targets []target, missing bool) {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b platenv1alpha1.StorageConnection) int { return strings.Compare(a.Name, b.Name) })
	if job.Spec.Connections == nil {
		for i := range all {
			if all[i].Spec.UploadPolicy == platenv1alpha1.UploadAutomatic {
				targets = append(targets, target{&all[i], string(all[i].Spec.DefaultFolder)})
			}
		}
		return targets, false
	}
	for _, wanted := range job.Spec.Connections {
		connection := find(all, wanted)
		if connection == nil {
			missing = true
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
