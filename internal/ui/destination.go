// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// target is a connection that a form can upload to.
type target struct {
	Provider platenv1alpha1.ProviderType
	Name     string
	// Account is the account's e-mail address; empty if it is not known.
	Account string
	// Automatic tells whether it receives every render of the workspace.
	Automatic bool
}

// Value is what the form sends for the connection.
func (t target) Value() string { return string(t.Provider) + "/" + t.Name }

// Label names the connection to a person.
func (t target) Label() string {
	if t.Account == "" {
		return t.Name
	}
	return t.Name + " (" + t.Account + ")"
}

// parseTarget reads a Value.
func parseTarget(value string) (target, bool) {
	provider, name, ok := strings.Cut(value, "/")
	return target{Provider: platenv1alpha1.ProviderType(provider), Name: name}, ok && provider != "" && name != ""
}

// entry returns the entry of a job that uploads to a folder of the connection; to its default folder if folder is empty.
func (t target) entry(folder string) platenv1alpha1.JobConnection {
	return platenv1alpha1.JobConnection{
		Type: platenv1alpha1.ConnectionStorage, Provider: t.Provider, Name: &t.Name, Folder: platenv1alpha1.FolderPath(folder),
	}
}

// destinations are the connections that a form offers, by name.
type destinations struct {
	// Known tells whether the visitor may list the workspace's connections.
	Known   bool
	Targets []target
}

// destinations returns the connections of the visitor's workspace that are not switched off.
func (v *visitor) destinations(ctx context.Context) (destinations, error) {
	list := &platenv1alpha1.StorageConnectionList{}
	err := v.List(ctx, list, client.InNamespace(v.Workspace), client.Limit(maxConnections))
	if apierrors.IsForbidden(err) {
		return destinations{}, nil // a form that offers no single connection is not an error
	}
	if err != nil {
		return destinations{}, err
	}
	found := destinations{Known: true}
	for i := range list.Items {
		c := &list.Items[i]
		if c.Spec.UploadPolicy == platenv1alpha1.UploadDisabled {
			continue
		}
		t := target{Provider: c.Spec.Provider, Name: c.Name, Automatic: c.Spec.UploadPolicy != platenv1alpha1.UploadOnRequest}
		if c.Status.Account != nil {
			t.Account = c.Status.Account.Email
		}
		found.Targets = append(found.Targets, t)
	}
	return found, nil
}

// Automatic returns the connections that receive every render of the workspace.
func (d destinations) Automatic() []target {
	return slices.DeleteFunc(slices.Clone(d.Targets), func(t target) bool { return !t.Automatic })
}

// Choices returns the connections to choose one from; none if that is no choice.
func (d destinations) Choices() []target {
	if len(d.Targets) == 1 && d.Targets[0].Automatic {
		return nil
	}
	return d.Targets
}

// Everyone names the connections that receive every render, if there are several; empty otherwise.
func (d destinations) Everyone() string {
	automatic := d.Automatic()
	if len(automatic) < 2 {
		return ""
	}
	names := make([]string, 0, len(automatic))
	for _, t := range automatic {
		names = append(names, t.Name)
	}
	return strings.Join(names, ", ")
}

// Nobody tells that no connection receives the renders of the workspace.
func (d destinations) Nobody() bool { return d.Known && len(d.Automatic()) == 0 }

// gone returns, for each connection of a job that a form cannot upload to, why that is, and the folder; nothing if it is not known.
func (d destinations) gone(connections []platenv1alpha1.JobConnection) []string {
	var names []string
	for _, c := range connections {
		name := ptr.Deref(c.Name, "")
		isThere := slices.ContainsFunc(d.Targets, func(t target) bool { return t.Provider == c.Provider && t.Name == name })
		if !d.Known || name == "" || isThere {
			continue
		}
		if c.Folder != "" {
			name += fmt.Sprintf(" with folder %s", c.Folder)
		}
		names = append(names, name+": deleted, or switched off")
	}
	return names
}

// of returns the destination and the folder of a job's connections in a form. ok is false if the form cannot upload there.
func (d destinations) of(connections []platenv1alpha1.JobConnection) (destination, folder string, ok bool) {
	if connections == nil {
		return "", "", true
	}
	if len(connections) == 0 {
		return noUpload, "", true
	}
	folder = string(connections[0].Folder)
	if len(d.Targets) == 0 && len(connections) == 1 && ptr.Deref(connections[0].Name, "") == "" {
		return "", folder, true // as spec has it without connections
	}
	chosen := make([]string, 0, len(connections))
	for _, c := range connections {
		at := slices.IndexFunc(d.Targets, func(t target) bool {
			return t.Provider == c.Provider && (ptr.Deref(c.Name, "") == "" || *c.Name == t.Name)
		})
		if at < 0 || string(c.Folder) != folder {
			return "", "", false
		}
		chosen = append(chosen, d.Targets[at].Value())
	}
	everyone := make([]string, 0, len(chosen))
	for _, t := range d.Automatic() {
		everyone = append(everyone, t.Value())
	}
	slices.Sort(chosen)
	slices.Sort(everyone)
	switch {
	case slices.Equal(chosen, everyone):
		return "", folder, true
	case len(chosen) == 1:
		return chosen[0], folder, true
	default:
		return "", "", false
	}
}
