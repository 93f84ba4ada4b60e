// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/utils/ptr"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/destination"
	"github.com/platen-dev/platen/internal/storage/uploader"
)

// upload is what a job uploads through one connection, and how far that has come.
type upload struct {
	destination.Target
	// result so far; the zero Result before the upload has begun.
	result uploader.Result
}

// uploadsOf returns the uploads to a job's targets, none of which has begun.
func uploadsOf(targets []destination.Target) []upload {
	uploads := make([]upload, 0, len(targets))
	for _, t := range targets {
		uploads = append(uploads, upload{Target: t})
	}
	return uploads
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
