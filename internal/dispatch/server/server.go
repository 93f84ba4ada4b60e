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
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"

	"github.com/platen-dev/platen/internal/connections"
	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/dispatch/wire"
	"github.com/platen-dev/platen/internal/failpoint"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/tracing"
)

const (
	// buildTimeout bounds the building of a task.
	buildTimeout = 15 * time.Second
	// idleTimeout is how long a connection may be without a request.
	idleTimeout = 2 * wire.PollTimeout
	// headerTimeout bounds the TLS handshake and the header of a request, and readTimeout a whole request, unless it is a file.
	headerTimeout, readTimeout = 10 * time.Second, 30 * time.Second
)

// limits bound the connections on which no render pod has authenticated itself yet, and those of one pod, which needs a few: a connection takes about
// 45 KiB, and a stranger's lasts readTimeout at most.
var limits = connections.Limits{Strangers: 2048, StrangersOfAddress: 128, OfClient: 64}

// Reviewer returns the pod to which a token is bound, and until when that counts.
type Reviewer interface {
	Review(ctx context.Context, token string) (pod pool.PodID, expires time.Time, err error)
}

// Pool assigns tasks to pods.
type Pool interface {
	Next(ctx context.Context, id pool.PodID) (*pool.Assignment, error)
	Heartbeat(id pool.PodID, task string, plan *pool.Plan) error
	Holds(id pool.PodID, task string, plan *pool.Plan) (*pool.Assignment, error)
	Expect(id pool.PodID, task string, plan *pool.Plan)
	Listen()
	Postpone(id pool.PodID, task, reason, message string) error
	Lose(id pool.PodID, task string) error
	Stored(id pool.PodID, task string, files int)
	Progress(id pool.PodID, task string, progress render.Progress)
	Finish(id pool.PodID, task string, failure *render.Error) error
}

// Tasks builds tasks. A *reconcile.TerminalError fails the job, and a *reconcile.WaitingError postpones it with its reason; after any other error,
// the job is tried again.
type Tasks interface {
	Task(ctx context.Context, key types.NamespacedName, uid types.UID, revision string) (render.Task, *pool.Plan, error)
	// Font returns a font file of a job by its hash. After a *reconcile.TerminalError or a *reconcile.WaitingError, the job has other fonts.
	Font(ctx context.Context, key types.NamespacedName, hash string) ([]byte, error)
}

// Cache keeps committed renders for later jobs with the same task.
type Cache interface {
	Save(ctx context.Context, key content.CacheKey, from content.Ref, m content.Manifest, repeatable bool)
}

// Store keeps rendered files.
type Store interface {
	Put(ctx context.Context, ref content.Ref, attempt int, f file.File, r io.Reader, maxBytes int64) (file.File, error)
	Inspect(ctx context.Context, ref content.Ref, attempt int, f file.File) (file.File, error)
	PutManifest(ctx context.Context, ref content.Ref, m content.Manifest) (content.Manifest, error)
	DeleteAttempt(ctx context.Context, ref content.Ref, attempt int) error
}

// Observer receives metrics.
type Observer interface {
	// Painted reports how many pages of a render were painted in a place: one of render.Places.
	Painted(place string, pages int)
}

// Options of a Server. All fields but Cache, Observer, Tracer, Elsewhere and MaxPage are required.
type Options struct {
	Reviewer Reviewer
	Pool     Pool
	Tasks    Tasks
	Store    Store
	// Cache is needed if plans have cache keys.
	Cache Cache
	// Observer receives metrics. Default none.
	Observer Observer
	// Tracer records attempts. Default none.
	Tracer *tracing.Tracer
	// PlanKeys sign plans and the proofs of reviews: the newest key, and older ones whose signatures are valid too.
	PlanKeys func() [][]byte
	// Elsewhere returns the URL of the server that has the pods of a namespace, empty if it is this one. Default this one.
	Elsewhere func(namespace string) string
	// Now returns the time.
	Now func() time.Time
	// Log gets a line for each task that a pod takes and ends, and errors of the manager.
	Log logr.Logger
	// MaxPage bounds one file in bytes. Default wire.MaxPage.
	MaxPage int64
}

// Server answers render pods. It keeps nothing of a task: the pool does, as long as a pod renders it.
type Server struct {
	Options
	refusals refusals
}

// New returns a Server.
func New(options Options) *Server {
	if options.MaxPage == 0 {
		options.MaxPage = wire.MaxPage
	}
	return &Server{Options: options}
}

// Serve answers on a listener until ctx ends.
func (s *Server) Serve(ctx context.Context, listener net.Listener, config *tls.Config) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Without HTTP/2, which would put the pages of a pod and its heartbeats on one connection for no gain.
	parking := newParking(ctx, tls.NewListener(records{connections.Listen(listener, limits)}, config), s.Log)
	server := &http.Server{
		Handler:           s.handler(parking.park),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    32 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       connections.Context,
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		_ = server.Close() // pods poll the next manager
	})
	s.Pool.Listen()
	err := server.Serve(parking)
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
	return s.handler(nil)
}

// handler returns the routes of package wire. park, if it is not nil, answers polls later.
func (s *Server) handler(park func(http.ResponseWriter, func(context.Context, http.ResponseWriter))) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/poll", s.authenticated(func(w http.ResponseWriter, r *http.Request, pod pool.PodID) {
		if park == nil {
			s.poll(r.Context(), w, pod)
			return
		}
		park(w, func(ctx context.Context, w http.ResponseWriter) { s.poll(ctx, w, pod) })
	}))
	mux.HandleFunc("PUT /v1/tasks/{task}/pages/{page}", s.authenticated(s.page))
	mux.HandleFunc("PUT /v1/tasks/{task}/pages/{page}/{extraSize}", s.authenticated(s.page))
	mux.HandleFunc("GET /v1/tasks/{task}/fonts/{sha256}", s.authenticated(s.font))
	mux.HandleFunc("POST /v1/tasks/{task}/heartbeat", s.authenticated(s.heartbeat))
	mux.HandleFunc("POST /v1/tasks/{task}/result", s.authenticated(s.result))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Nobody waits for the rest of a stranger's request.
		w.Header().Set("Connection", "close")
		mux.ServeHTTP(w, r)
		if w.Header().Get("Connection") != "" {
			_ = http.NewResponseController(w).SetReadDeadline(s.Now()) // some test servers have no deadlines
		}
	})
}

// authenticated calls next with the pod to which the request's token is bound.
func (s *Server) authenticated(next func(http.ResponseWriter, *http.Request, pool.PodID)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		pod, err := s.podOf(w, r, token)
		switch {
		case errors.Is(err, errUnauthorized):
			s.refusals.refused(r.RemoteAddr, s.Now())
			http.Error(w, "unauthorized", http.StatusUnauthorized)
		case errors.Is(err, errBusy):
			s.tryAgain(w)
		case err != nil:
			s.Log.Error(err, "Failed to authenticate a render pod")
			s.tryAgain(w)
		default:
			if !connections.Admit(r.Context(), string(pod.UID)) {
				s.tryAgain(w)
				return
			}
			w.Header().Del("Connection")
			if other := s.elsewhere(pod.Namespace); other != "" {
				w.Header().Set(wire.ServerHeader, other)
				http.Error(w, "another server has the pod's namespace", http.StatusMisdirectedRequest)
				return
			}
			next(w, r, pod)
		}
	}
}

// podOf returns the pod to which the token of a request is bound. After a review, the answer has the proof of it.
func (s *Server) podOf(w http.ResponseWriter, r *http.Request, token string) (pool.PodID, error) {
	if pod, ok := s.proven(r, token); ok {
		return pod, nil
	}
	if !s.refusals.admits(r.RemoteAddr, s.Now()) {
		return pool.PodID{}, errBusy
	}
	pod, expires, err := s.Reviewer.Review(r.Context(), token)
	if err == nil {
		w.Header().Set(wire.ReviewHeader, s.prove(pod, token, expires))
	}
	return pod, err
}

func (s *Server) elsewhere(namespace string) string {
	if s.Elsewhere == nil {
		return ""
	}
	return s.Elsewhere(namespace)
}

func (s *Server) poll(ctx context.Context, w http.ResponseWriter, pod pool.PodID) {
	waiting, cancel := context.WithTimeout(ctx, wire.PollTimeout)
	defer cancel()
	for {
		assignment, err := s.Pool.Next(waiting, pod)
		if err != nil {
			s.respond(w, err)
			return
		}
		if assignment == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		task, plan, err := s.build(ctx, pod, assignment)
		switch {
		case err == nil:
			s.Pool.Expect(pod, assignment.TaskID, plan)
			s.send(w, assignment, task, plan)
			return
		case reconcile.AsTerminal(err) == nil && reconcile.AsWaiting(err) == nil:
			s.tryAgain(w) // the next job would fail for the same reason, such as an API server that does not answer
			return
		}
		// The job failed or waits: the pod takes the next one.
	}
}

// build returns the task of an assignment. If it cannot be built, build takes it back from the pod.
func (s *Server) build(ctx context.Context, pod pool.PodID, a *pool.Assignment) (render.Task, *pool.Plan, error) {
	ctx, cancel := context.WithTimeout(ctx, buildTimeout)
	defer cancel()
	work, plan, err := s.Tasks.Task(ctx, a.Key, a.UID, a.Revision)
	terminal, waiting := reconcile.AsTerminal(err), reconcile.AsWaiting(err)
	switch {
	case err == nil:
		return work, plan, nil
	case terminal != nil:
		// The pool drops the task if it is not the pod's any more.
		_ = s.Pool.Finish(pod, a.TaskID, &render.Error{Reason: terminal.Reason, Message: bounded(terminal.Message, maxMessage), Terminal: true})
	case waiting != nil:
		_ = s.Pool.Postpone(pod, a.TaskID, waiting.Reason, bounded(waiting.Message, maxMessage))
	default:
		s.log(a).Error(err, "Failed to build a task")
		_ = s.Pool.Postpone(pod, a.TaskID, pool.ReasonRetrying, "the task could not be built; it is tried again")
	}
	return render.Task{}, nil, err
}

// send answers a poll with a task. A pod that did not receive it polls again and takes it again.
func (s *Server) send(w http.ResponseWriter, a *pool.Assignment, task render.Task, plan *pool.Plan) {
	s.Log.Info("Assigned RenderJob to render pod", append(about(a), "timeout", a.Timeout)...)
	s.traceWait(a, plan)
	failpoint.Hit("dispatch.after-assign-before-answer")
	w.Header().Set("Content-Type", "application/json")
	err := json.NewEncoder(w).Encode(wire.Assignment{
		TaskID:              a.TaskID,
		TimeoutMilliseconds: a.Deadline.Sub(s.Now()).Milliseconds(),
		Task:                task,
		Plan:                s.seal(a, task, plan),
		Traced:              plan.Trace != "",
	})
	if err != nil {
		s.log(a).V(1).Info("Failed to send a task; the pod polls again", "error", err.Error())
	}
}

// planOf returns the plan of a task that the pod holds. For a pod that does not show it, the task is built again.
func (s *Server) planOf(ctx context.Context, pod pool.PodID, a *pool.Assignment) (*pool.Plan, error) {
	if plan := a.Files.Plan(); plan != nil {
		return plan, nil
	}
	_, plan, err := s.build(ctx, pod, a)
	if err != nil {
		return nil, pool.ErrGone
	}
	plan.CacheKey = "" // the pod may have another task: its template may have changed since
	s.Pool.Expect(pod, a.TaskID, plan)
	return plan, nil
}

func (s *Server) heartbeat(w http.ResponseWriter, r *http.Request, pod pool.PodID) {
	task := r.PathValue("task")
	if err := s.Pool.Heartbeat(pod, task, s.shown(r, pod)); err != nil {
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

// font sends a font of the task that a pod holds. If the fonts have changed since, the pod gives up the task, and it is built again a little later: at
// once, a font that stays away would keep the pod and the API server busy.
func (s *Server) font(w http.ResponseWriter, r *http.Request, pod pool.PodID) {
	assignment, err := s.Pool.Holds(pod, r.PathValue("task"), s.shown(r, pod))
	if err != nil {
		s.respond(w, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), buildTimeout)
	defer cancel()
	data, err := s.Tasks.Font(ctx, assignment.Key, r.PathValue("sha256"))
	switch {
	case reconcile.AsTerminal(err) != nil:
		_ = s.Pool.Postpone(pod, assignment.TaskID, pool.ReasonRetrying, bounded("the fonts have changed; the job takes the new ones: "+err.Error(), maxMessage))
		s.respond(w, pool.ErrGone)
	case reconcile.AsWaiting(err) != nil:
		waiting := reconcile.AsWaiting(err)
		_ = s.Pool.Postpone(pod, assignment.TaskID, waiting.Reason, bounded(waiting.Message, maxMessage))
		s.respond(w, pool.ErrGone)
	case err != nil:
		s.log(assignment).Error(err, "Failed to read a font")
		s.tryAgain(w)
	default:
		w.Header().Set("Content-Type", "application/octet-stream")
		// Some test servers have no deadlines.
		_ = http.NewResponseController(w).SetWriteDeadline(s.Now().Add(answerTimeout))
		_, _ = w.Write(data) //nolint:gosec // a font that is no page; a pod that did not receive it asks again
	}
}

func (s *Server) page(w http.ResponseWriter, r *http.Request, pod pool.PodID) {
	task := r.PathValue("task")
	assignment, err := s.Pool.Holds(pod, task, s.shown(r, pod))
	if err != nil {
		s.respond(w, err)
		return
	}
	plan, err := s.planOf(r.Context(), pod, assignment)
	if err != nil {
		s.respond(w, err)
		return
	}
	number, err := strconv.Atoi(r.PathValue("page"))
	expected := find(plan.Files, file.ID{Page: number, ExtraSize: r.PathValue("extraSize")})
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
	switch {
	case errors.Is(err, content.ErrTooLarge):
		http.Error(w, "the file is too large", http.StatusRequestEntityTooLarge)
	case isRefused(err):
		s.postpone(r.Context(), w, pod, assignment, err)
	case err != nil:
		s.log(assignment).Error(err, "Failed to store a file", "file", expected.Name)
		s.tryAgain(w)
	default:
		s.Pool.Stored(pod, task, assignment.Files.Store(stored))
		w.WriteHeader(http.StatusNoContent)
	}
}

// isRefused reports whether the content store has no room, or has not worked for a while: another try would end as this one did.
func isRefused(err error) bool {
	return errors.Is(err, content.ErrFull) || errors.Is(err, content.ErrQuota) || errors.Is(err, content.ErrUnavailable)
}

// postpone puts a task back whose files the content store refuses. The pod drops it. What the attempt has stored goes: nobody needs it,
// and it would take the room of the next attempt.
func (s *Server) postpone(ctx context.Context, w http.ResponseWriter, pod pool.PodID, a *pool.Assignment, err error) {
	if err := s.Store.DeleteAttempt(ctx, ref(a), a.Attempt); err != nil {
		s.log(a).Error(err, "Failed to delete the files of a postponed attempt; the next sweep does")
	}
	reason, message := pool.ReasonContentStoreFull, "the content store is full; the job is rendered when there is room again"
	switch {
	case errors.Is(err, content.ErrQuota):
		message = "the files of the namespace use up its quota of the content store; delete jobs that are not needed any more"
	case errors.Is(err, content.ErrUnavailable):
		reason, message = pool.ReasonContentStoreUnavailable, "the content store takes no files; the job is rendered when it does again"
	}
	if s.Pool.Postpone(pod, a.TaskID, reason, message) == nil {
		s.log(a).Info("The content store refuses the files of RenderJob", "error", err.Error())
	}
	http.Error(w, "the content store takes no files", http.StatusInsufficientStorage)
}

func (s *Server) result(w http.ResponseWriter, r *http.Request, pod pool.PodID) {
	task := r.PathValue("task")
	assignment, err := s.Pool.Holds(pod, task, s.shown(r, pod))
	if err != nil {
		s.respond(w, err)
		return
	}
	var result wire.Result
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, wire.MaxResult)).Decode(&result); err != nil {
		http.Error(w, "the result must be JSON of at most 1 MiB", http.StatusBadRequest)
		return
	}
	if f := result.Failure; f != nil {
		failure := valid(*f)
		err := s.Pool.Finish(pod, task, failure)
		if err == nil {
			s.log(assignment).Info("Render pod failed to render RenderJob", "reason", failure.Reason, "terminal", f.Terminal, "duration", s.elapsed(assignment))
			s.traceAttempt(assignment, s.shown(r, pod), result)
		}
		s.respond(w, err)
		return
	}
	plan, err := s.planOf(r.Context(), pod, assignment)
	if err != nil {
		s.respond(w, err)
		return
	}
	manifest, missing, err := s.manifest(r.Context(), assignment, plan, result)
	if err != nil {
		s.log(assignment).Error(err, "Failed to read a stored file")
		s.tryAgain(w)
		return
	}
	if len(missing) > 0 {
		// The pod has let go of what was stored. It takes the task again, or another pod does.
		if s.Pool.Lose(pod, task) == nil {
			s.log(assignment).Info("The content store has lost files of RenderJob", "files", len(missing))
		}
		s.respond(w, pool.ErrGone)
		return
	}
	failpoint.Hit("content.before-commit")
	// The first commit of a revision wins: if what follows it fails, the pod's next report finds it and changes nothing.
	committed, err := s.Store.PutManifest(r.Context(), ref(assignment), manifest)
	switch {
	case isRefused(err):
		s.postpone(r.Context(), w, pod, assignment, err)
		return
	case err != nil:
		s.log(assignment).Error(err, "Failed to store a manifest")
		s.tryAgain(w)
		return
	}
	failpoint.Hit("content.after-commit")
	if plan.CacheKey != "" && committed.Attempt == manifest.Attempt {
		s.Cache.Save(r.Context(), content.CacheKey{Namespace: assignment.Key.Namespace, Task: plan.CacheKey}, ref(assignment), committed, result.Repeatable)
	}
	err = s.Pool.Finish(pod, task, nil)
	if err == nil {
		s.observe(plan, result)
		s.traceAttempt(assignment, plan, result)
		s.Log.Info("Render pod rendered RenderJob", append(about(assignment), "files", len(manifest.Files), "duration", s.elapsed(assignment))...)
	}
	s.respond(w, err)
}

// observe counts the pages of a committed render. A pod cannot claim more than it was asked for.
func (s *Server) observe(plan *pool.Plan, result wire.Result) {
	if s.Observer == nil {
		return
	}
	left := max(plan.Pages, len(plan.Files)) // a document has several pages in a file, and a page several files in several sizes
	for _, place := range render.Places {
		if n := min(result.Places[place], left); n > 0 {
			s.Observer.Painted(string(place), n)
			left -= n
		}
	}
}

// about returns what the log says of an assignment: its job and its pod, and nothing of the job's content.
func about(a *pool.Assignment) []any {
	return []any{
		"namespace", a.Key.Namespace, "name", a.Key.Name, "uid", string(a.UID), "revision", a.Revision, "pod", a.PodName, "attempt", a.Attempts,
	}
}

// log returns a logger for what is rarely logged of an assignment. A logger with values of its own costs more than a line.
func (s *Server) log(a *pool.Assignment) logr.Logger { return s.Log.WithValues(about(a)...) }

// elapsed returns the time since the pod took the task.
func (s *Server) elapsed(a *pool.Assignment) time.Duration {
	return s.Now().Sub(s.taken(a))
}

// manifest returns the manifest of a task and the missing files: those that are not stored with the SHA256 that the pod reports.
func (s *Server) manifest(ctx context.Context, a *pool.Assignment, plan *pool.Plan, result wire.Result) (m content.Manifest, missing []file.ID, err error) {
	m = content.Manifest{
		Attempt: a.Attempt, Attempts: a.Attempts, RenderedTime: s.Now(), RenderMilliseconds: min(max(result.RenderMilliseconds, 0), s.elapsed(a).Milliseconds()),
		PodName: a.PodName, TotalPages: plan.TotalPages, RenderedPages: plan.Pages, Warnings: warnings(result.Warnings),
	}
	stored := a.Files.Stored()
	for _, expected := range plan.Files {
		sent, kept := find(result.Files, expected.ID), find(stored, expected.ID)
		if kept == nil {
			// Another process may have stored it.
			inspected, err := s.Store.Inspect(ctx, ref(a), a.Attempt, expected)
			switch {
			case err == nil:
				kept = &inspected
			case !errors.Is(err, content.ErrNotFound):
				return m, nil, err
			}
		}
		if sent == nil || kept == nil || kept.SHA256 != sent.SHA256 {
			missing = append(missing, expected.ID)
			continue
		}
		f := *kept
		f.Width, f.Height = pixels(sent.Width), pixels(sent.Height)
		m.Files = append(m.Files, f)
	}
	return m, missing, nil
}

// find returns the file with an ID, nil if there is none.
func find(files []file.File, id file.ID) *file.File {
	i := slices.IndexFunc(files, func(f file.File) bool { return f.ID == id })
	if i < 0 {
		return nil
	}
	return &files[i]
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
