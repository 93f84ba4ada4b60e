// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package server is the manager's side of dispatch: it authenticates render pods, assigns tasks to them and streams their files into
// the content store.
package server

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/dispatch/wire"
	"github.com/platen-dev/platen/internal/failpoint"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/render"
)

// Reviewer returns the pod to which a token is bound.
type Reviewer interface {
	Review(ctx context.Context, token string) (pool.PodID, error)
}

// Pool assigns tasks to pods.
type Pool interface {
	Next(ctx context.Context, id pool.PodID) (*pool.Assignment, error)
	Heartbeat(id pool.PodID, task string) error
	Holds(id pool.PodID, task string) (*pool.Assignment, error)
	Stored(id pool.PodID, task string, files int)
	Progress(id pool.PodID, task string, progress render.Progress)
	Finish(id pool.PodID, task string, failure *render.Error) error
}

// Store keeps rendered files.
type Store interface {
	Put(ctx context.Context, ref content.Ref, attempt int, f file.File, r io.Reader, maxBytes int64) (file.File, error)
	Inspect(ctx context.Context, ref content.Ref, attempt int, f file.File) (file.File, error)
	PutManifest(ctx context.Context, ref content.Ref, m content.Manifest) (content.Manifest, error)
}

// Options of a Server. All fields but MaxPage are required.
type Options struct {
	Reviewer Reviewer
	Pool     Pool
	Store    Store
	// Now returns the time.
	Now func() time.Time
	// Log gets a line for each task that a pod takes and ends, and errors of the manager.
	Log logr.Logger
	// MaxPage bounds one file in bytes. Default wire.MaxPage.
	MaxPage int64
}

// Server answers render pods.
type Server struct {
	Options
	mu sync.Mutex
	// stored has the files that this process has stored, by task. Files of an earlier process are read from the store.
	stored map[string][]file.File
}

// New returns a Server.
func New(options Options) *Server {
	if options.MaxPage == 0 {
		options.MaxPage = wire.MaxPage
	}
	return &Server{Options: options, stored: map[string][]file.File{}}
}

// Serve answers on a listener until ctx ends.
func (s *Server) Serve(ctx context.Context, listener net.Listener, config *tls.Config) error {
	server := &http.Server{
		Handler:           s.Handler(),
		TLSConfig:         config,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * wire.PollTimeout,
		MaxHeaderBytes:    32 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		// HTTP/2 would put the pages of a pod and its heartbeats on one connection for no gain.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		_ = server.Close() // pods poll the next manager
	})
	err := server.ServeTLS(listener, "", "")
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Handler returns the routes of package wire.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/poll", s.authenticated(s.poll))
	mux.HandleFunc("PUT /v1/tasks/{task}/pages/{page}", s.authenticated(s.page))
	mux.HandleFunc("PUT /v1/tasks/{task}/pages/{page}/{extraSize}", s.authenticated(s.page))
	mux.HandleFunc("POST /v1/tasks/{task}/heartbeat", s.authenticated(s.heartbeat))
	mux.HandleFunc("POST /v1/tasks/{task}/result", s.authenticated(s.result))
	return mux
}

// authenticated calls next with the pod to which the request's token is bound.
func (s *Server) authenticated(next func(http.ResponseWriter, *http.Request, pool.PodID)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		pod, err := s.Reviewer.Review(r.Context(), token)
		switch {
		case errors.Is(err, errUnauthorized):
			http.Error(w, "unauthorized", http.StatusUnauthorized)
		case err != nil:
			s.Log.Error(err, "Failed to authenticate a render pod")
			s.tryAgain(w)
		default:
			next(w, r, pod)
		}
	}
}

func (s *Server) poll(w http.ResponseWriter, r *http.Request, pod pool.PodID) {
	ctx, cancel := context.WithTimeout(r.Context(), wire.PollTimeout)
	defer cancel()
	assignment, err := s.Pool.Next(ctx, pod)
	if err != nil {
		s.respond(w, err)
		return
	}
	if assignment == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	// A pod that polls again for a lost answer takes the task again.
	s.log(assignment).Info("Assigned RenderJob to render pod", "timeout", assignment.Timeout)
	failpoint.Hit("dispatch.after-assign-before-answer")
	w.Header().Set("Content-Type", "application/json")
	err = json.NewEncoder(w).Encode(wire.Assignment{
		TaskID:              assignment.TaskID,
		TimeoutMilliseconds: assignment.Deadline.Sub(s.Now()).Milliseconds(),
		Task:                assignment.Task,
	})
	if err != nil {
		s.log(assignment).V(1).Info("Failed to send a task; the pod polls again", "error", err.Error())
	}
}

func (s *Server) heartbeat(w http.ResponseWriter, r *http.Request, pod pool.PodID) {
	task := r.PathValue("task")
	if err := s.Pool.Heartbeat(pod, task); err != nil {
		s.respond(w, err)
		return
	}
	var beat wire.Heartbeat
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, wire.MaxHeartbeat)).Decode(&beat); err != nil && !errors.Is(err, io.EOF) {
		http.Error(w, "a heartbeat must be JSON of at most 1 KiB", http.StatusBadRequest)
		return
	}
	if beat.Progress != nil {
		s.Pool.Progress(pod, task, *beat.Progress)
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) page(w http.ResponseWriter, r *http.Request, pod pool.PodID) {
	task := r.PathValue("task")
	assignment, err := s.Pool.Holds(pod, task)
	if err != nil {
		s.respond(w, err)
		return
	}
	number, err := strconv.Atoi(r.PathValue("page"))
	expected := find(assignment.Task.Files(), file.ID{Page: number, ExtraSize: r.PathValue("extraSize")})
	if err != nil || expected == nil {
		http.Error(w, "the task has no such page", http.StatusBadRequest)
		return
	}
	if r.Header.Get("Content-Type") != expected.Format.ContentType() {
		http.Error(w, "the task has another format", http.StatusUnsupportedMediaType)
		return
	}
	if r.ContentLength < 0 || r.ContentLength > s.MaxPage {
		http.Error(w, "the file is too large or of unknown length", http.StatusRequestEntityTooLarge)
		return
	}
	failpoint.Hit("page.first-byte")
	// 30 seconds, and one for each 64 KiB: a pod sends over the cluster's network.
	deadline := s.Now().Add(30*time.Second + time.Duration(r.ContentLength>>16)*time.Second)
	_ = http.NewResponseController(w).SetReadDeadline(deadline) // some test servers have no deadlines
	stored, err := s.Store.Put(r.Context(), ref(assignment), assignment.Attempt, *expected, r.Body, s.MaxPage)
	if errors.Is(err, content.ErrTooLarge) {
		http.Error(w, "the file is too large", http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		s.log(assignment).Error(err, "Failed to store a file", "file", expected.Name)
		s.tryAgain(w)
		return
	}
	s.Pool.Stored(pod, task, s.remember(task, stored))
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) result(w http.ResponseWriter, r *http.Request, pod pool.PodID) {
	task := r.PathValue("task")
	assignment, err := s.Pool.Holds(pod, task)
	if err != nil {
		s.forget(task)
		s.respond(w, err)
		return
	}
	var result wire.Result
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, wire.MaxResult)).Decode(&result); err != nil {
		http.Error(w, "the result must be JSON of at most 1 MiB", http.StatusBadRequest)
		return
	}
	if f := result.Failure; f != nil {
		s.forget(task)
		err := s.Pool.Finish(pod, task, &render.Error{Reason: f.Reason, Message: truncate(f.Message), Terminal: f.Terminal})
		if err == nil {
			s.log(assignment).Info("Render pod failed to render RenderJob", "reason", truncate(f.Reason), "terminal", f.Terminal, "duration", s.elapsed(assignment))
		}
		s.respond(w, err)
		return
	}
	manifest, missing := s.manifest(r.Context(), assignment, result)
	if len(missing) > 0 {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusConflict)
		_ = json.NewEncoder(w).Encode(wire.Missing{Files: missing}) // without the answer, the pod sends the result again
		return
	}
	failpoint.Hit("content.before-commit")
	if _, err := s.Store.PutManifest(r.Context(), ref(assignment), manifest); err != nil {
		s.log(assignment).Error(err, "Failed to store a manifest")
		s.tryAgain(w)
		return
	}
	failpoint.Hit("content.after-commit")
	s.forget(task)
	err = s.Pool.Finish(pod, task, nil)
	if err == nil {
		s.log(assignment).Info("Render pod rendered RenderJob", "files", len(manifest.Files), "duration", s.elapsed(assignment))
	}
	s.respond(w, err)
}

// log returns a logger with the job and the pod of an assignment. It has nothing of the job's content.
func (s *Server) log(a *pool.Assignment) logr.Logger {
	return s.Log.WithValues("namespace", a.Key.Namespace, "name", a.Key.Name, "uid", a.UID, "revision", a.Revision, "pod", a.PodName, "attempt", a.Attempt)
}

// elapsed returns the time since the pod took the task.
func (s *Server) elapsed(a *pool.Assignment) time.Duration {
	return s.Now().Sub(a.Deadline.Add(-a.Timeout))
}

// manifest returns the manifest of a task, with the dimensions that the pod reports, and the missing files: those that are not stored
// with the SHA256 that the pod reports.
func (s *Server) manifest(ctx context.Context, a *pool.Assignment, result wire.Result) (m content.Manifest, missing []file.ID) {
	m = content.Manifest{
		Attempt: a.Attempt, Attempts: a.Attempt, RenderedTime: s.Now(),
		RenderMilliseconds: max(result.RenderMilliseconds, 0),
		PodName:            a.PodName, TotalPages: a.TotalPages, RenderedPages: len(a.Task.Pages),
	}
	for i, w := range result.Warnings {
		if i < wire.MaxWarnings {
			m.Warnings = append(m.Warnings, content.Warning{Title: truncate(w.Title), Details: truncate(w.Details)})
		}
	}
	stored := s.Files(a.TaskID)
	for _, expected := range a.Task.Files() {
		sent, kept := find(result.Files, expected.ID), find(stored, expected.ID)
		if kept == nil {
			if inspected, err := s.Store.Inspect(ctx, ref(a), a.Attempt, expected); err == nil {
				kept = &inspected
			}
		}
		if sent == nil || kept == nil || kept.SHA256 != sent.SHA256 {
			missing = append(missing, expected.ID)
			continue
		}
		f := *kept
		f.Width, f.Height = sent.Width, sent.Height
		m.Files = append(m.Files, f)
	}
	return m, missing
}

// find returns the file with an ID, nil if there is none.
func find(files []file.File, id file.ID) *file.File {
	i := slices.IndexFunc(files, func(f file.File) bool { return f.ID == id })
	if i < 0 {
		return nil
	}
	return &files[i]
}

// remember records a stored file of a task, and returns the number of the task's stored files.
func (s *Server) remember(task string, f file.File) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if earlier := find(s.stored[task], f.ID); earlier != nil {
		*earlier = f
	} else {
		s.stored[task] = append(s.stored[task], f)
	}
	return len(s.stored[task])
}

// Files returns the files that this process has stored for an unfinished task, in the order of their arrival.
func (s *Server) Files(task string) []file.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.stored[task])
}

func (s *Server) forget(task string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.stored, task)
}

// respond answers with the status for an error of the pool: 204 for none.
func (s *Server) respond(w http.ResponseWriter, err error) {
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, pool.ErrUnknownPod):
		http.Error(w, "forbidden", http.StatusForbidden)
	case errors.Is(err, pool.ErrNotReady):
		s.tryAgain(w)
	default:
		http.Error(w, "gone", http.StatusGone)
	}
}

func (s *Server) tryAgain(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, "try again", http.StatusServiceUnavailable)
}

func ref(a *pool.Assignment) content.Ref {
	return content.Ref{Namespace: a.Key.Namespace, JobUID: string(a.UID), Revision: a.Revision}
}

func truncate(text string) string { return strings.ToValidUTF8(fmt.Sprintf("%.1000s", text), "") }
