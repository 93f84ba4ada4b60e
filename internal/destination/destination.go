// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package destination decides through which StorageConnections a job uploads. The manager follows it, and the plugin and the web page say
// with it what a retry can do.
package destination

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/utils/ptr"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// Max bounds the connections of one job, as the API does in status.connections.
const Max = 64

// Target is where a job uploads its files.
type Target struct {
	Connection *platenv1alpha1.StorageConnection
	// Folder that receives the files.
	Folder string
}

// Resolution is what spec.connections of a job means in its namespace.
type Resolution struct {
	Targets []Target
	// Missing are the wanted connections that do not exist.
	Missing []platenv1alpha1.JobConnection
	Idle    []IdleEntry
}

// IdleEntry is an entry of spec.connections that uploads nothing: an entry before it means the same connection, and names another folder. One of
// the two has no name, so the API server cannot refuse them.
type IdleEntry struct {
	// Entry and First are the indexes of the two in spec.connections.
	Entry, First int
	Connection   string
	// Folder is that of the entry, and Used, the one that receives the files.
	Folder, Used string
}

// Resolve returns the targets of a job among all connections of its namespace: those that it names or, without spec.connections, the
// automatic ones, at most Max.
func Resolve(job *platenv1alpha1.RenderJob, all []platenv1alpha1.StorageConnection) (r Resolution) {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b platenv1alpha1.StorageConnection) int { return strings.Compare(a.Name, b.Name) })
	if job.Spec.Connections == nil {
		for i := range all {
			if all[i].Spec.UploadPolicy == platenv1alpha1.UploadAutomatic && len(r.Targets) < Max {
				r.Targets = append(r.Targets, Target{&all[i], string(all[i].Spec.DefaultFolder)})
			}
		}
		return r
	}
	entries := map[string]int{} // by the name of the connection
	for i, wanted := range job.Spec.Connections {
		connection := find(all, wanted)
		if connection == nil {
			r.Missing = append(r.Missing, wanted)
			continue
		}
		folder := cmp.Or(string(wanted.Folder), string(connection.Spec.DefaultFolder))
		before := slices.IndexFunc(r.Targets, func(t Target) bool { return t.Connection.Name == connection.Name })
		switch {
		case before < 0:
			entries[connection.Name] = i
			r.Targets = append(r.Targets, Target{connection, folder})
		case r.Targets[before].Folder != folder:
			r.Idle = append(r.Idle, IdleEntry{i, entries[connection.Name], connection.Name, folder, r.Targets[before].Folder})
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

// Obstacle is why none of a job's failed uploads has a connection that takes it.
type Obstacle struct {
	// Text says it, as in "spec.uploadPolicy of StorageConnection 'dropbox' is Disabled".
	Text string
	// Disabled is the name of the connection that somebody can enable; empty if there is none.
	Disabled string
}

// FindObstacle returns what stands in the way of a retry of a job's failed uploads; nil if a connection takes one of them.
func FindObstacle(job *platenv1alpha1.RenderJob, all []platenv1alpha1.StorageConnection) *Obstacle {
	var disabled []string
	resolution := Resolve(job, all)
	for _, t := range resolution.Targets {
		switch {
		case result(job, t.Connection.Name) == platenv1alpha1.UploadSuccess:
		case t.Connection.Spec.UploadPolicy != platenv1alpha1.UploadDisabled:
			return nil
		default:
			disabled = append(disabled, t.Connection.Name)
		}
	}
	for i := range all {
		isFailed := result(job, all[i].Name) == platenv1alpha1.UploadError
		if job.Spec.Connections == nil && isFailed && all[i].Spec.UploadPolicy == platenv1alpha1.UploadDisabled { // it was Automatic
			disabled = append(disabled, all[i].Name)
		}
	}
	switch {
	case len(disabled) > 0:
		return &Obstacle{fmt.Sprintf("spec.uploadPolicy of StorageConnection '%s' is Disabled", disabled[0]), disabled[0]}
	case job.Spec.Connections == nil:
		return &Obstacle{Text: "no StorageConnection of the namespace has the uploadPolicy Automatic"}
	case len(resolution.Missing) == 0: // all is uploaded
		return nil
	}
	missing := resolution.Missing[0]
	if name := ptr.Deref(missing.Name, ""); name != "" {
		return &Obstacle{Text: fmt.Sprintf("StorageConnection '%s' of spec.connections does not exist", name)}
	}
	return &Obstacle{Text: fmt.Sprintf("no StorageConnection of the namespace has the provider '%s' of spec.connections", missing.Provider)}
}

// result returns how the upload of a job through the connection of a name ended; empty if there was none.
func result(job *platenv1alpha1.RenderJob, name string) platenv1alpha1.UploadStatus {
	for _, c := range job.Status.Connections {
		if c.Name == name {
			return c.Status
		}
	}
	return ""
}
