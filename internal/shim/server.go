// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package shim answers the public render API's JSON with RenderJobs, so that its clients work without knowing Kubernetes. It
// has no rights of its own over jobs: it creates them with the caller's token.
package shim

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/callers"
	"github.com/platen-dev/platen/internal/jobwatch"
	"github.com/platen-dev/platen/internal/webhook"
)

// maxWait bounds what a caller may ask for with Prefer: wait=N.
const maxWait = 10 * time.Minute

// Options of a Server. All are required but PublicURL.
type Options struct {
	// Desk knows the callers.
	Desk *callers.Desk
	// Waiters are told when a job has finished.
	Waiters *jobwatch.Waiters
	// Cache of RenderJobs and RenderTemplates.
	Cache client.Reader
	// Delivery tells what became of a job's webhook; nil when it has none.
	Delivery func(context.Context, *platenv1alpha1.RenderJob) (*webhook.Delivery, error)
	// Derive returns a secret key for a purpose, the same in every replica.
	Derive func(purpose string) []byte
	// Stopping is closed when the process is to end: those who wait are answered with 202 then.
	Stopping <-chan struct{}
	// Wait is how long a synchronous request waits for its job unless it says otherwise.
	Wait time.Duration
	// TTL after which a job that came this way is deleted with its files.
	TTL time.Duration
	// SignedURLTTL is how long a signed URL may be valid: at most as long as the content URLs of the manager.
	SignedURLTTL time.Duration
	// ContentURL is where the files are read: what content URLs begin with.
	ContentURL string
	// PublicURL is what signed URLs begin with. Empty: the host that the request named.
	PublicURL string
	// Limits of one caller.
	Limits Limits
	Log    logr.Logger
}

// Server answers the public render API.
type Server struct {
	Options
	ledger  *ledger
	files   *http.Client
	urlKey  []byte
	openAPI []byte
	page    []byte
}

// New returns a Server.
func New(options Options) (*Server, error) {
	s := &Server{
		Options: options, ledger: newLedger(options.Limits), urlKey: options.Derive("signed-url"),
		files: &http.Client{Timeout: maxWait, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	var err error
	if s.openAPI, s.page, err = document(); err != nil {
		return nil, fmt.Errorf("describing the API: %w", err)
	}
	return s, nil
}

// Handler returns the API's routes, and their description.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, handle := range s.routes() {
		mux.HandleFunc(pattern, s.answering(handle))
	}
	for pattern, handle := range map[string]handler{
		"GET /openapi.json": s.static("application/json", s.openAPI),
		"GET /docs":         s.static("text/html; charset=utf-8", s.page),
		"GET /docs.css":     s.static("text/css", stylesheet),
		"/v1/": func(http.ResponseWriter, *http.Request) error {
			return callers.Refuse(http.StatusNotFound, "there is no such route; GET /openapi.json lists them")
		},
	} {
		mux.HandleFunc(pattern, s.answering(handle))
	}
	return mux
}

// routes are those that the document describes.
func (s *Server) routes() map[string]handler {
	return map[string]handler{
		"POST /v1/studio/render":                  s.asCaller(s.render),
		"GET /v1/studio/render-jobs":              s.asCaller(s.listJobs),
		"GET /v1/studio/render-jobs/{id}":         s.asCaller(s.getJob),
		"POST /v1/studio/render-jobs/{id}/cancel": s.asCaller(s.cancelJob),
		"GET /v1/studio/templates/all":            s.asCaller(s.listTemplates),
		"GET /v1/studio/template/modifications":   s.asCaller(s.listModifications),
		"GET /v1/studio/webhook-secret":           s.asCaller(s.webhookSecret),
		"POST /v1/generate/{kind}":                s.asCaller(s.generate),
		"POST /v1/generate/{kind}/{id}":           s.asCaller(s.generate),
		"GET /v1/generate/{kind}":                 s.openSignedURL,
		"POST /v1/signed-url/create":              s.asCaller(s.createSignedURL),
	}
}

// HTTPServer returns a server for pages of the shim: whoever is slow to send or to read does not hold it for long.
func HTTPServer(h http.Handler, log logr.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: maxWait + time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(logr.ToSlogHandler(log), slog.LevelDebug),
	}
}

// handler answers a request, or returns the error that is the answer.
type handler func(http.ResponseWriter, *http.Request) error

// notes are what a request's log line tells.
type notes struct{ user, namespace, job string }

// note returns the notes of the request that w answers.
func note(w http.ResponseWriter) *notes {
	if r, ok := w.(*recorder); ok {
		return &r.notes
	}
	return &notes{}
}

// requestID is what a caller may choose for itself.
var requestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// recorder remembers how a request was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
	notes  notes
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	r.status = cmp.Or(r.status, http.StatusOK)
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// answering turns a handler's error into JSON with the key error, and logs one line a request. Headers, queries and bodies are
// not logged: they hold secrets.
func (s *Server) answering(handle handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		began, id := time.Now(), r.Header.Get("X-Request-Id")
		if !requestID.MatchString(id) {
			id = uuid.NewString()
		}
		answer := &recorder{ResponseWriter: w}
		answer.Header().Set("X-Request-Id", id)
		answer.Header().Set("X-Content-Type-Options", "nosniff")
		defer func() {
			s.Log.Info("Answered", "requestID", id, "route", r.Pattern, "status", answer.status, "bytes", answer.bytes, "milliseconds", time.Since(began).Milliseconds(),
				"user", answer.notes.user, "namespace", answer.notes.namespace, "job", answer.notes.job)
		}()
		switch err := handle(answer, r); {
		case err == nil || r.Context().Err() != nil:
		case answer.status != 0:
			// An answer that has begun and cannot be ended well is cut, so that nobody takes the half for the whole.
			s.Log.Error(err, "Cutting an answer", "requestID", id)
			panic(http.ErrAbortHandler)
		default:
			s.fail(answer, id, err)
		}
	}
}

// coded is an error whose text is one of the public API's codes.
type coded struct {
	status        int
	code, message string
}

func (c *coded) Error() string { return c.message }

// problem is the body of an error.
type problem struct {
	Error   string `json:"error" required:"true" description:"What is wrong, where, and what to do; or one of the codes that the route lists."`
	Message string `json:"message,omitempty" description:"What the code means."`
}

// fail answers with an error.
func (s *Server) fail(w http.ResponseWriter, id string, err error) {
	status, body := http.StatusInternalServerError, problem{Error: "the API server did not answer; try again"}
	refusal, code, field := (*callers.Refusal)(nil), (*coded)(nil), (*FieldError)(nil)
	many, large, api := (*tooManyError)(nil), (*http.MaxBytesError)(nil), apierrors.APIStatus(nil)
	switch {
	case errors.As(err, &refusal):
		status, body.Error = refusal.Status, refusal.Message
	case errors.As(err, &code):
		status, body = code.status, problem{code.code, code.message}
	case errors.As(err, &field):
		status, body.Error = http.StatusBadRequest, field.Error()
	case errors.As(err, &many):
		status, body.Error = http.StatusTooManyRequests, many.Error()
		retryAfter(w.Header(), many.after)
	case errors.As(err, &large):
		status, body.Error = http.StatusRequestEntityTooLarge, fmt.Sprintf("the body must be at most %d bytes", maxBody)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, os.ErrDeadlineExceeded):
		status, body.Error = http.StatusRequestTimeout, "the body did not come in time, or ended early"
	case errors.As(err, &api):
		status, body.Error = fromAPI(w.Header(), err, api)
	default:
		s.Log.Error(err, "Answering a request", "requestID", id)
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="platen"`)
	}
	writeJSON(w, status, body)
}

// fromAPI translates an answer of the API server.
func fromAPI(h http.Header, err error, api apierrors.APIStatus) (status int, message string) {
	status, message = int(api.Status().Code), api.Status().Message
	switch {
	case apierrors.IsInvalid(err):
		status = http.StatusBadRequest
		if details := api.Status().Details; details != nil && len(details.Causes) > 0 {
			causes := make([]string, 0, len(details.Causes))
			for _, cause := range details.Causes {
				causes = append(causes, cause.Field+": "+cause.Message)
			}
			message = strings.Join(causes, "; ")
		}
	case apierrors.IsTooManyRequests(err), apierrors.IsServerTimeout(err):
		if seconds, ok := apierrors.SuggestsClientDelay(err); ok {
			retryAfter(h, time.Duration(seconds)*time.Second)
		}
	case status < http.StatusBadRequest || status > 599:
		status = http.StatusInternalServerError
	}
	return status, inRequestWords(message)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // fails only when the caller is gone
}

// caller is who asks, and for which workspace.
type caller struct {
	*callers.Caller
	namespace string
	account   *account
}

// asCaller finds out who asks, and counts the request. The workspace is the service account's namespace, or what X-Workspace
// says; whether the caller may act there is the API server's decision.
func (s *Server) asCaller(handle func(http.ResponseWriter, *http.Request, caller) error) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		who, err := s.Desk.Authenticate(r.Context(), callers.Bearer(r.Header))
		if err != nil {
			return err
		}
		account, closed, err := s.ledger.open(who.User.Username)
		if err != nil {
			return err
		}
		defer closed()
		c := caller{who, cmp.Or(r.Header.Get("X-Workspace"), who.Home()), account}
		if c.namespace == "" {
			return callers.Refuse(http.StatusBadRequest, "X-Workspace: the namespace is required for a token that is no service account's")
		}
		if len(validation.IsDNS1123Label(c.namespace)) > 0 {
			return callers.Refuse(http.StatusBadRequest, "X-Workspace: must be the name of a namespace")
		}
		n := note(w)
		n.user, n.namespace = c.User.Username, c.namespace
		return handle(w, r, c)
	}
}

// allow asks whether the caller may do it to Platen's resource in the workspace.
func (s *Server) allow(ctx context.Context, c caller, verb, resource string) error {
	return s.Desk.Allow(ctx, c.Caller, authorizationv1.ResourceAttributes{
		Namespace: c.namespace, Verb: verb, Group: platenv1alpha1.GroupVersion.Group, Resource: resource,
	})
}

// read reads a body into memory that the caller is lent until done.
func (s *Server) read(w http.ResponseWriter, r *http.Request, c caller) (body []byte, done func(), err error) {
	size, err := bodySize(r)
	if err != nil {
		w.Header().Set("Connection", "close") // the rest is not read
		return nil, nil, err
	}
	done, err = s.ledger.lend(r.Context(), c.account, size)
	if err != nil {
		return nil, nil, err
	}
	body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		done()
		return nil, nil, err
	}
	return body, done, nil
}
