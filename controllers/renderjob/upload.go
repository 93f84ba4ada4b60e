// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/connect"
	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/destination"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/uploader"
	"github.com/platen-dev/platen/internal/task"
)

// restartGrace is the least time that uploads get after a restart of the manager.
const restartGrace = 30 * time.Second

// uploadAhead offers the stored files of an unfinished render to the uploader, so that it sends them while later pages are painted. A job
// with one file gains nothing from it.
func (r *Reconciler) uploadAhead(ctx context.Context, s *scope) error {
	if s.state.Phase != pool.Rendering || s.state.Files < 2 {
		return nil
	}
	arrived := r.Arrivals.Files(s.state.TaskID)
	if len(arrived) == 0 {
		return nil
	}
	connections := &platenv1alpha1.StorageConnectionList{}
	if err := r.Client.List(ctx, connections, client.InNamespace(s.job.Namespace)); err != nil {
		return fmt.Errorf("listing StorageConnections: %w", err)
	}
	if uploads := uploadsOf(destination.Resolve(s.job, connections.Items).Targets); len(uploads) > 0 {
		r.Uploader.Ensure(r.plan(ctx, s, uploads, s.state.Attempt, rename(s.job, arrived, s.state.Files), s.state.Lost > 0))
	}
	return nil
}

// upload uploads the files through the job's connections, and waits until every upload has succeeded or failed.
func (r *Reconciler) upload(ctx context.Context, s *scope) error {
	connections := &platenv1alpha1.StorageConnectionList{}
	if err := r.Client.List(ctx, connections, client.InNamespace(s.job.Namespace)); err != nil {
		return fmt.Errorf("listing StorageConnections: %w", err)
	}
	resolved := destination.Resolve(s.job, connections.Items)
	s.missing, s.present, s.idle = resolved.Missing, names(connections.Items), resolved.Idle
	s.ofProvider = map[platenv1alpha1.ProviderType]int{}
	for i := range connections.Items {
		s.ofProvider[connections.Items[i].Spec.Provider]++
	}
	if s.retry {
		s.gone = goneConnections(s.job, connections.Items)
	} else {
		s.uploads = uploadsOf(resolved.Targets)
	}
	if len(s.uploads) == 0 {
		return nil
	}
	s.collisions = findCollisions(s.job, s.files, s.uploads, r.sameName(ctx, s), connections.Items)
	// An earlier process, an earlier spec, or a render that was lost may have uploaded files that this plan would write: look before writing.
	doubtful := s.state.Phase == pool.Unknown && !s.fresh || s.state.Lost > 0 || s.job.Generation > 1
	plan := r.plan(ctx, s, s.uploads, s.manifest.Attempt, s.files, doubtful)
	plan.Deadline, plan.Complete = s.uploadDeadline(), true
	r.Uploader.Ensure(plan)
	results, _ := r.Uploader.Results(s.key(), s.job.UID, s.uploadRevision())
	for i := range s.uploads {
		for _, result := range results {
			if result.Name == s.uploads[i].Connection.Name {
				s.uploads[i].result = result
			}
		}
	}
	return s.waitForUploads()
}

// waitForUploads returns a WaitingError while an upload goes on.
func (s *scope) waitForUploads() error {
	for _, u := range s.uploads {
		if !u.result.Done {
			return reconcile.Waiting(platenv1alpha1.UploadingReason, 0, "rendered; uploading to %s", u.Connection.Name)
		}
	}
	return nil
}

// uploadDeadline returns when what is not uploaded fails. After a restart the uploads get a moment even if their time is over, because the
// manager may have been away for all of it.
func (s *scope) uploadDeadline() time.Time {
	timeout := time.Duration(s.job.Spec.UploadTimeoutSeconds) * time.Second
	deadline := s.uploadsBegan().Add(timeout)
	if least := s.now.Add(min(timeout, restartGrace)); s.state.Phase == pool.Unknown && deadline.Before(least) {
		return least
	}
	return deadline
}

// uploadsBegan returns when the uploads began, so that a restart of the manager gives them no more time: when the files were rendered, or
// when the spec last asked for them elsewhere. Status tells, and no status means that it was just now.
func (s *scope) uploadsBegan() time.Time {
	rendered := s.manifest.RenderedTime
	switch {
	case s.retry:
		return s.now
	case s.state.Phase == pool.Rendered, s.job.Status.RenderRevision == "":
		return rendered
	case s.continues() && s.job.Status.StartTime != nil && s.job.Status.StartTime.After(rendered):
		return s.job.Status.StartTime.Time
	case s.continues():
		return rendered
	default:
		return s.now
	}
}

// uploadsPlanned returns when this process has first asked for the uploads; zero before. A busy manager comes to it later than the render ends,
// and then most uploads are over before status would say that they go on.
func (s *scope) uploadsPlanned() (first time.Time) {
	for _, u := range s.uploads {
		if at := u.result.Planned; first.IsZero() || !at.IsZero() && at.Before(first) {
			first = at
		}
	}
	return first
}

// uploadRevision names what is uploaded and where.
func (s *scope) uploadRevision() string { return s.revision + "/" + task.UploadRevision(s.job) }

// plan returns the upload of some of the files that an attempt has stored. doubtful says that a file may already be at its path.
func (r *Reconciler) plan(ctx context.Context, s *scope, uploads []upload, attempt int, files []file.File, doubtful bool) uploader.Upload {
	plan := uploader.Upload{Job: s.key(), UID: s.job.UID, Revision: s.uploadRevision(), Trace: r.Tracer.Traceparent(runOf(s.job))}
	log := ctrl.LoggerFrom(ctx)
	var bytes int64
	for _, f := range files {
		bytes += f.Size
	}
	for _, u := range uploads {
		connection := uploader.Connection{
			Name:           u.Connection.Name,
			UID:            u.Connection.UID,
			Version:        version(u),
			ReadyCount:     ptr.Deref(u.Connection.Status.ReadyCount, 0),
			BytesPerSecond: u.Connection.Spec.MaxUploadBytesPerSecond,
			Open:           func(ctx context.Context) (storage.Provider, error) { return r.open(ctx, s, u.Connection, bytes) },
		}
		for _, f := range files {
			connection.Files = append(connection.Files, storage.File{
				File:           f,
				Path:           storage.JoinPath(u.Folder, f.Name),
				ConflictPolicy: connect.ConflictPolicy(u.Connection),
				Doubtful:       doubtful,
				Open: func(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
					reader, err := r.Store.NewRangeReader(ctx, s.ref().Key(attempt, f), f.Size, offset, length)
					switch {
					case errors.Is(err, content.ErrNotFound):
						err = fmt.Errorf("%w: %w", storage.ErrContentLost, err)
					case errors.Is(err, content.ErrChanged):
						err = fmt.Errorf("%w: %w", storage.ErrContentChanged, err)
					}
					if err != nil {
						if ctx.Err() == nil {
							log.Info("Failed to read a rendered file for its upload", "page", f.Page, "error", err.Error())
						}
						return nil, err
					}
					return reader, nil
				},
			})
		}
		plan.Connections = append(plan.Connections, connection)
	}
	return plan
}

// version names where an upload goes and how: the connection, those fields of its spec that count for the upload, and the folder, which is the job's own or
// the connection's. The rate is none of them, because it counts for what is on its way.
func version(u upload) string {
	spec := u.Connection.Spec
	spec.DefaultFolder, spec.MaxUploadBytesPerSecond = platenv1alpha1.FolderPath(u.Folder), 0
	if spec.UploadPolicy != platenv1alpha1.UploadDisabled {
		spec.UploadPolicy = ""
	}
	text, err := json.Marshal(spec)
	if err != nil { // of strings and numbers: never
		return ""
	}
	return string(u.Connection.UID) + string(text)
}

// open opens a connection for an upload of files with so many bytes. A disabled connection takes none, and a full account is not sent what does not
// fit, unless a user asks: the connection tells when there is room.
func (r *Reconciler) open(ctx context.Context, s *scope, connection *platenv1alpha1.StorageConnection, bytes int64) (storage.Provider, error) {
	if connection.Spec.UploadPolicy == platenv1alpha1.UploadDisabled {
		return nil, &storage.Error{
			Class: storage.Stop, Reason: storage.ReasonDisabled,
			Account: true, Message: "uploads are switched off: its spec.uploadPolicy is Disabled",
		}
	}
	if problem := fullAccount(connection, bytes); problem != nil && retryRequest(s.job) == "" {
		return nil, problem
	}
	return r.Connector.Open(ctx, connection)
}

// fullAccount returns an error if the account of a connection has no room for so many bytes, as far as the connection's status tells.
func fullAccount(connection *platenv1alpha1.StorageConnection, bytes int64) error {
	ready, space := meta.FindStatusCondition(connection.Status.Conditions, platenv1alpha1.ReadyCondition), connection.Status.Space
	if ready == nil || ready.Status != metav1.ConditionFalse || ready.Reason != string(storage.ReasonInsufficientSpace) || ready.ObservedGeneration != connection.Generation ||
		space == nil || ptr.Deref(space.Allocated, 0)-ptr.Deref(space.Used, 0) >= bytes {
		return nil
	}
	return &storage.Error{Class: storage.Stop, Reason: storage.ReasonInsufficientSpace, Account: true, Message: titles[connection.Spec.Provider] + " is full"}
}
