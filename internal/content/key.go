// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/platen-dev/platen/internal/file"
)

// prefix of all keys. The objects of one render, where <revision> names what is rendered:
//
//	jobs/<namespace>/<job's UID>/<revision>/<attempt>/<page>[_<extraSize>].<format>
//	jobs/<namespace>/<job's UID>/<revision>/manifest.json
//	jobs/<namespace>/<job's UID>/<revision>/retained-<seconds since 1970, in base 36>
const prefix = "jobs/"

// Ref names one render: one revision of one job.
type Ref struct {
	Namespace, JobUID string
	// Revision of the spec, as task.Revision returns it. Only Objects and Delete take a Ref without one.
	Revision string
}

// Key returns the key of a file that an attempt at the render has made. What a lost attempt still sends harms no other attempt.
func (r Ref) Key(attempt int, f file.File) string {
	size := ""
	if f.ExtraSize != "" {
		size = "_" + f.ExtraSize
	}
	return fmt.Sprintf("%s%d/%d%s.%s", r.prefix(), attempt, f.Page, size, f.Format)
}

func (r Ref) prefix() string {
	job := fmt.Sprintf("%s%s/%s/", prefix, r.Namespace, r.JobUID)
	if r.Revision == "" {
		return job
	}
	return job + r.Revision + "/"
}

func (r Ref) manifestKey() string { return r.prefix() + manifestName }

const manifestName = "manifest.json"

// markKey returns the key of the mark that retains the render until a time. The time is in the key, so that a list of keys tells it.
func (r Ref) markKey(until time.Time) string {
	return r.prefix() + markName + strconv.FormatInt(until.Unix(), 36)
}

const markName = "retained-"

var keyPattern = regexp.MustCompile(`^jobs/([0-9a-z.-]{1,253})/([0-9A-Za-z-]{1,64})/([0-9a-z]{1,32})/(?:([1-9][0-9]{0,8})/[0-9a-z._-]{1,64}|manifest\.json|` + markName + `([0-9a-z]{1,12}))$`)

// oldPattern matches jobs/<job's UID>/<generation>/<file or manifest>, which the keys were once. Their files are still served, and swept.
var oldPattern = regexp.MustCompile(`^jobs/([0-9A-Za-z-]{1,64})/([0-9]{1,18})/[0-9a-z._-]{1,64}$`)

// parseKey returns what a key tells of its object. An old key has no namespace and no attempt. ok is false for any other key.
func parseKey(key string) (o Object, ok bool) {
	m := keyPattern.FindStringSubmatch(key)
	if old := oldPattern.FindStringSubmatch(key); old != nil {
		return Object{Key: key, Ref: Ref{JobUID: old[1], Revision: old[2]}}, true
	}
	if m == nil {
		return Object{}, false
	}
	o = Object{Key: key, Ref: Ref{Namespace: m[1], JobUID: m[2], Revision: m[3]}}
	o.Attempt, _ = strconv.Atoi(m[4]) // none in the keys of others than files
	if m[5] != "" {
		seconds, _ := strconv.ParseInt(m[5], 36, 64) // twelve digits fit
		o.RetainedUntil = time.Unix(seconds, 0)
	}
	return o, true
}
