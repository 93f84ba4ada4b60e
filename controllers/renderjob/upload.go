// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"context"
	"fmt"
	"io"

	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/connect"
	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/uploader"
	"github.com/platen-dev/platen/internal/task"
)

// uploadAhead offers the files of a render that goes on to the uploader, so that they go up while later ones are painted. A job with
// one file has nothing to gain.
func (r *Reconciler) uploadAhead(ctx context.Context, s *scope) error {
	if s.state.Phase != pool.Rendering || len(s.state.Files) < 2 {
		return nil
	}
	var pages []content.Page
	arrived := r.Arrivals.Files(s.state.TaskID)
	for _, id := range s.state.Files {
		if object, ok := arrived[id]; ok {
			pages = append(pages, content.Page{ID: id, Object: object})
		}
	}
	if len(pages) == 0 {
		return nil
	}
	connections := &platenv1alpha1.StorageConnectionList{}
	if err := r.Client.List(ctx, connections, client.InNamespace(s.job.Namespace)); err != nil {
		return fmt.Errorf("listing StorageConnections: %w", err)
	}
	if s.targets, _ = resolveConnections(s.job, connections.Items); len(s.targets) > 0 {
		r.Uploader.Ensure(r.plan(s, s.state.Files, pages, false))
	}
	return nil
}

// upload brings the files to the job's connections.
func (r *Reconciler) upload(ctx context.Context, s *scope) error {
	connections := &platenv1alpha1.StorageConnectionList{}
	if err := r.Client.List(ctx, connections, client.InNamespace(s.job.Namespace)); err != nil {
		return fmt.Errorf("listing StorageConnections: %w", err)
	}
	s.targets, s.missing = resolveConnections(s.job, connections.Items)
	if s.again != nil {
		s.targets = s.again
	}
	if len(s.targets) == 0 {
		return nil
	}
	others := &platenv1alpha1.RenderJobList{}
	if err := r.Client.List(ctx, others, client.InNamespace(s.job.Namespace), client.MatchingFields{fileIndex: fileKey(s.job)}); err != nil {
		return fmt.Errorf("listing RenderJobs: %w", err)
	}
	s.collisions = collisions(s.job, s.targets, others.Items, connections.Items)
	var files []file.ID
	for _, p := range s.manifest.Pages {
		files = append(files, p.ID)
	}
	// A render that this process did not see may have been uploaded by the process before: look before writing.
	up := r.plan(s, files, s.manifest.Pages, s.state.Phase == pool.Unknown)
	up.Deadline, up.Complete = deadline(s.job, s.now), true
	r.Uploader.Ensure(up)
	s.uploads, _ = r.Uploader.Results(s.key(), s.job.UID, s.job.Generation)
	for _, result := range s.uploads {
		if !result.Done {
			return reconcile.Waiting(platenv1alpha1.UploadingReason, progressDelay, "rendered; uploading to %s", result.Name)
		}
	}
	return nil
}

// plan is the upload of some pages of a render that has the given files in all.
func (r *Reconciler) plan(s *scope, files []file.ID, pages []content.Page, doubtful bool) uploader.Upload {
	inSize := map[string]int{}
	for _, f := range files {
		inSize[f.ExtraSize]++
	}
	up := uploader.Upload{Job: s.key(), UID: s.job.UID, Generation: s.job.Generation}
	for _, t := range s.targets {
		connection := uploader.Connection{
			Name:           t.connection.Name,
			BytesPerSecond: t.connection.Spec.MaxUploadBytesPerSecond,
			Open:           func(ctx context.Context) (storage.Provider, error) { return r.open(ctx, t.connection) },
		}
		for _, p := range pages {
			name := task.FileName(s.job, p.ID, inSize[p.ExtraSize])
			connection.Files = append(connection.Files, storage.File{
				ID:             p.ID,
				Path:           storage.JoinPath(t.folder, name),
				Size:           p.Size,
				ContentHash:    p.ContentHash,
				ContentType:    p.ContentType,
				ConflictPolicy: connect.ConflictPolicy(t.connection),
				Doubtful:       doubtful,
				Open: func(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
					return r.Store.NewRangeReader(ctx, p.Key, offset, length)
				},
			})
		}
		up.Connections = append(up.Connections, connection)
	}
	return up
}

func (r *Reconciler) open(ctx context.Context, connection *platenv1alpha1.StorageConnection) (storage.Provider, error) {
	if connection.Spec.UploadPolicy == platenv1alpha1.UploadDisabled {
		return nil, &storage.Error{
			Class: storage.Stop, Reason: storage.ReasonDisabled,
			Account: true, Message: fmt.Sprintf("StorageConnection '%s' is disabled", connection.Name),
		}
	}
	return r.Connector.Open(ctx, connection)
}
