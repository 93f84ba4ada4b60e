// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"context"
	"strings"
	"time"

	"gocloud.dev/blob"
)

// Retain marks a render: whoever deletes the files of jobs that are gone leaves it until a time. It takes the marks off the job's other renders.
// The error is ErrFull if there is no room; earlier marks stay.
func (s *Store) Retain(ctx context.Context, ref Ref, until time.Time) error {
	mark, counted := ref.markKey(until), s.usage.count(ref.Namespace, strings.NewReader(""))
	err := s.put(ctx, mark, counted, 0, blob.WriterOptions{ContentType: contentType(mark)})
	s.usage.ended(counted, err)
	if err != nil {
		return err
	}
	return s.unmark(ctx, ref, mark)
}

// Release takes the marks off all renders of a job.
func (s *Store) Release(ctx context.Context, namespace, jobUID string) error {
	return s.unmark(ctx, Ref{Namespace: namespace, JobUID: jobUID}, "")
}

// unmark takes the marks but one off the renders of a render's job.
func (s *Store) unmark(ctx context.Context, ref Ref, but string) error {
	objects, err := s.Objects(ctx, Ref{Namespace: ref.Namespace, JobUID: ref.JobUID})
	for _, o := range objects {
		if err == nil && !o.RetainedUntil.IsZero() && o.Key != but {
			err = s.remove(ctx, o.Key)
		}
	}
	return err
}
