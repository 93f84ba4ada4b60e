// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package shim serves the public render API with RenderJobs, so that its clients need not know Kubernetes. It has no rights of its own
// to write jobs: it creates them with the caller's token.
package shim

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path"
	"reflect"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	"github.com/rs/cors"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/callers"
	"github.com/platen-dev/platen/internal/connections"
	"github.com/platen-dev/platen/internal/jobwatch"
	"github.com/platen-dev/platen/internal/nearest"
	"github.com/platen-dev/platen/internal/tracing"
	"github.com/platen-dev/platen/internal/webhook"
)

// maxWait bounds Prefer: wait=N.
const maxWait = 10 * time.Minute

// Options of a Server. All but PublicURL and CORSOrigins are required.
type Options struct {
	// Reviewer authenticates and authorizes callers.
	Reviewer *callers.Reviewer
	// Waiters report the end of a job.
	Waiters *jobwatch.Waiters
	// Cache of RenderJobs and RenderTemplates.
	Cache client.Reader
	// Own has the shim's own rights. It creates the jobs of dynamic URLs.
	Own client.Client
	// Delivery returns the state of a job's webhook; nil if the job has none.
	Delivery func(context.Context, *platenv1alpha1.RenderJob) (*webhook.Delivery, error)
	// WebhookBlocked reports whether a webhook's URL can never be called, as far as the URL itself tells; nil if that is unknown.
	WebhookBlocked func(url string) bool
	// Derive returns a secret key for a purpose. Every replica gets the same key.
	Derive func(purpose string) []byte
	// Stopping is closed when the process shuts down: waiting requests then get 202.
	Stopping <-chan struct{}
	// Wait is how long a synchronous request waits for its job by default.
	Wait time.Duration
	// TTL is how long a finished job and its files are kept.
	TTL time.Duration
	// SignedURLTTL is the longest life of a signed URL. It must not exceed that of the manager's content URLs.
	SignedURLTTL time.Duration
	// ContentURL is where the shim reaches the content server. The URLs that users get may begin otherwise.
	ContentURL string
	// ContentTransport sends requests to the content server. Default http.DefaultTransport.
	ContentTransport http.RoundTripper
	// PublicURL is the beginning of signed URLs. Default: the host that the request names.
	PublicURL string
	// CORSOrigins are the origins whose pages may call the API from a browser (https://fetch.spec.whatwg.org/#http-cors-protocol), such as
	// https://studio.example.com, or "*". Empty: none.
	CORSOrigins []string
	// Limits apply to each caller.
	Limits Limits
	// Tracer makes a span of each request. Default none.
	Tracer *tracing.Tracer
	Log    logr.Logger
}

// Server serves the public render API.
type Server struct {
	Options
	limiter *limiter
	files   *http.Client
	urlKey  []byte
	dynamic *dynamic
	openAPI []byte
	page    []byte
}

// New returns a Server.
func New(options Options) (*Server, error) {
	s := &Server{
		Options: options, limiter: newLimiter(options.Limits), urlKey: options.Derive("signed-url"), dynamic: newDynamic(),
		files: &http.Client{Transport: options.ContentTransport, Timeout: maxWait, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	var err error
	if s.openAPI, s.page, err = document(); err != nil {
		return nil, fmt.Errorf("describing the API: %w", err)
	}
	return s, nil
}

// Handler returns the routes of the API and of its description.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, handle := range s.routes() {
		mux.HandleFunc(pattern, s.handle(handle))
	}
	for _, missing := range Missing {
		mux.HandleFunc(missing.Pattern, s.handle(s.anywhere(missing.answer)))
	}
	for pattern, handle := range map[string]handler{
		"GET /openapi.json": s.static("application/json", s.openAPI),
		"GET /docs":         s.static("text/html; charset=utf-8", s.page),
		"GET /docs.css":     s.static("text/css", stylesheet),
		notFound:            func(w http.ResponseWriter, r *http.Request) error { return noRoute(mux, w, r) },
	} {
		mux.HandleFunc(pattern, s.handle(handle))
	}
	return s.crossOrigin(clean(mux))
}

// clean takes /v1/x/ and //v1/x for /v1/x, because some clients send them. A ServeMux would redirect to the clean path, with a page for
// people.
func clean(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if cleaned := path.Clean("/" + r.URL.Path); cleaned != r.URL.Path {
			r.URL.Path = cleaned
			if r.URL.RawPath != "" {
				r.URL.RawPath = path.Clean("/" + r.URL.RawPath)
			}
		}
		h.ServeHTTP(w, r)
	})
}

// notFound is the pattern of requests without a route.
const notFound = "/"

// noRoute answers a request that no route takes: 405 if the path has routes of other methods, else 404.
func noRoute(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) error {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := mux.Handler(other); pattern != notFound {
			allowed = append(allowed, method)
		}
	}
	switch {
	case len(allowed) == 0:
		return callers.Errorf(http.StatusNotFound, "there is no such route; GET /openapi.json lists them")
	case r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "":
		return callers.Errorf(http.StatusForbidden, "pages of other origins may not call this API; an administrator allows them with the shim's flag --cors-origins")
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return callers.Errorf(http.StatusMethodNotAllowed, "this route takes %s", strings.Join(allowed, " and "))
}

// crossOrigin lets pages of CORSOrigins call the API. Callers send a token, never a cookie, so no request needs credentials.
func (s *Server) crossOrigin(api http.Handler) http.Handler {
	if len(s.CORSOrigins) == 0 {
		return api
	}
	return cors.New(cors.Options{
		AllowedOrigins: s.CORSOrigins,
		AllowedMethods: []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete},
		AllowedHeaders: []string{"*"},
		ExposedHeaders: []string{"Content-Disposition", "Location", "Preference-Applied", "Retry-After", "X-Request-Id", jobHeader, warningsHeader, connectionsHeader},
		MaxAge:         int((10 * time.Minute).Seconds()),
	}).Handler(api)
}

// routes returns the routes that the OpenAPI document describes, by pattern.
func (s *Server) routes() map[string]handler {
	return map[string]handler{
		"POST /v1/studio/render":                  s.authenticated(s.render),
		"GET /v1/studio/render-jobs":              s.authenticated(s.listJobs),
		"GET /v1/studio/render-jobs/{id}":         s.authenticated(s.getJob),
		"POST /v1/studio/render-jobs/{id}/cancel": s.authenticated(s.cancelJob),
		"GET /v1/me":                               s.anywhere(s.me),
		"GET /v1/me/user_id":                       s.anywhere(s.me),
		"GET /v1/profile/workspace":                s.authenticated(s.workspace),
		"GET /v1/templates":                        s.authenticated(s.listAllTemplates),
		"GET /v1/templates/modifications":          s.authenticated(s.listModifications),
		"GET /v1/studio/templates":                 s.authenticated(s.listAllTemplates),
		"GET /v1/studio/templates/all":             s.authenticated(s.listTemplates),
		"GET /v1/studio/templates/{id}":            s.authenticated(s.getTemplate),
		"PATCH /v1/studio/templates/{id}":          s.authenticated(s.patchTemplate),
		"DELETE /v1/studio/templates/{id}":         s.authenticated(s.deleteTemplate),
		"DELETE /v1/studio/templates/{id}/delete":  s.authenticated(s.deleteTemplate),
		"POST /v1/studio/templates/{id}/duplicate": s.authenticated(s.duplicateTemplate),
		"GET /v1/studio/template/modifications":    s.authenticated(s.listModifications),
		"POST /v1/studio/dynamic-url":              s.authenticated(s.createDynamicURL),
		dynamicPattern:                             s.openDynamicURL,
		"GET /v1/studio/dynamic-url-secret":        s.authenticated(s.dynamicSecretOf),
		"GET /v1/studio/webhook-secret":            s.authenticated(s.webhookSecret),
		"POST /v1/generate/{kind}":                 s.authenticated(s.generate),
		"POST /v1/generate/{kind}/{id}":            s.authenticated(s.generate),
		"GET /v1/generate/{kind}":                  s.openSignedURL,
		"POST /v1/signed-url/create":               s.authenticated(s.createSignedURL),
	}
}

// HTTPServer returns a server with timeouts, so that slow clients do not hold connections for long.
func HTTPServer(h http.Handler, log logr.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: maxWait + time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, ConnContext: connections.Context,
		ErrorLog: slog.NewLogLogger(logr.ToSlogHandler(log), slog.LevelDebug),
	}
}

// handler answers a request, or returns the error to answer with.
type handler func(http.ResponseWriter, *http.Request) error

// parameters are those of the routes' queries. A dynamic URL has others too, and checks them itself.
var parameters = []string{"cache", "cursor", "expiresAt", "id", "limit", "page", "search", "signature", "status", "templateId", "template_id"}

// checkQuery refuses a query that cannot be read, or has a parameter twice, instead of taking a part of it.
func checkQuery(r *http.Request) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return callers.Errorf(http.StatusBadRequest, "the query must be NAME=VALUE in percent-encoding, with & between several")
	}
	if r.Pattern == dynamicPattern {
		return nil
	}
	wrong := &fieldsError{}
	for _, name := range parameters {
		_ = wrong.add(checkParameter(name, query[name])) // it is of a field
	}
	return wrong.err()
}

// checkParameter returns an error for a parameter of a query that is there twice, or is no text.
func checkParameter(name string, texts []string) error {
	switch field := fmt.Sprintf("%.100s", name); {
	case !utf8.ValidString(name):
		return &FieldError{fmt.Sprintf("%.100q", name), "must be UTF-8 in percent-encoding"}
	case len(texts) > 1:
		return &FieldError{field, "is in the query twice"}
	case len(texts) == 1 && !utf8.ValidString(texts[0]):
		return &FieldError{field, "must be UTF-8 in percent-encoding"}
	default:
		return nil
	}
}

// queries are the parameters of each route's query, by the route's pattern. That of a dynamic URL has any.
var queries = func() map[string][]string {
	known := map[string][]string{}
	for _, o := range operations {
		if o.path == dynamicPath+"{name}" {
			continue
		}
		names := []string{}
		for _, field := range reflect.VisibleFields(reflect.TypeOf(o.request)) {
			if name := field.Tag.Get("query"); name != "" {
				names = append(names, name)
			}
		}
		if slices.Contains(names, "templateId") {
			names = append(names, "template_id") // its other spelling
		}
		known[o.method+" "+o.path] = names
	}
	return known
}()

// unknownParameters returns a warning for each parameter of the query that the route does not have, or that loses against another one.
func unknownParameters(r *http.Request) (warnings []Warning) {
	names, described := queries[r.Pattern]
	if r.URL.RawQuery == "" || !described {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(r.URL.Query())) {
		if slices.Contains(names, name) || len(warnings) > maxWarnings {
			continue
		}
		details := "the query of this route has no parameters"
		if near := nearest.Name(name, names); near != "" {
			details = fmt.Sprintf("did you mean '%s'?", near)
		} else if len(names) > 0 {
			details = "the query of this route may have " + strings.Join(names, ", ")
		}
		warnings = append(warnings, Warning{fmt.Sprintf("Parameter '%.100s' of the query is not known and was ignored", name), details})
	}
	warnings = bounded(warnings)
	if counts, other := r.URL.Query().Get("templateId"), r.URL.Query().Get("template_id"); slices.Contains(names, "template_id") && counts != "" && other != "" && counts != other {
		warnings = append(warnings, Warning{Title: "Parameter 'template_id' of the query was ignored, because 'templateId' is there too"})
	}
	return warnings
}

// logFields are the fields of a request's log line that its handler knows.
type logFields struct{ user, namespace, job string }

// requestLog returns the log fields of the request that w answers.
func requestLog(w http.ResponseWriter) *logFields {
	if r, ok := w.(*recorder); ok {
		return &r.fields
	}
	return &logFields{}
}

// requestID matches the ids that a caller may choose.
var requestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// recorder records the status and the size of an answer.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
	fields logFields
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

// Unwrap lets http.ResponseController find the original writer.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// handle turns a handler's error into JSON with the key error, and logs one line for each request. It logs no headers, queries and
// bodies, because they hold secrets. Requests wait in it: the runtime halves a stack of 16 KiB only while it is used to less than a quarter,
// so a layer more between here and await doubles the memory of those that wait.
func (s *Server) handle(handle handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		began, id := time.Now(), r.Header.Get("X-Request-Id")
		if !requestID.MatchString(id) {
			id = uuid.NewString()
		}
		traced, span := s.Tracer.Serve(r)
		answer := &recorder{ResponseWriter: w}
		answer.Header().Set("X-Request-Id", id)
		answer.Header().Set("X-Content-Type-Options", "nosniff")
		defer func() {
			span.Answered(r.Pattern, answer.status)
			s.Log.Info("Answered", "requestID", id, "route", r.Pattern, "status", answer.status, "bytes", answer.bytes, "milliseconds", time.Since(began).Milliseconds(),
				"user", answer.fields.user, "namespace", answer.fields.namespace, "job", answer.fields.job)
		}()
		defer func() {
			if p := recover(); p == http.ErrAbortHandler { //nolint:errorlint // net/http compares so too
				panic(p)
			} else if p != nil {
				s.Log.Error(fmt.Errorf("panic: %v", p), "Answering a request", "requestID", id, "stack", string(debug.Stack()))
				if answer.status != 0 {
					panic(http.ErrAbortHandler)
				}
				s.respondError(answer, id, callers.Errorf(http.StatusInternalServerError, "a bug in the shim; its log has the request id"))
			}
		}()
		err := checkQuery(r)
		if err == nil {
			addWarnings(answer.Header(), unknownParameters(r))
			err = handle(answer, traced)
		}
		switch {
		case err == nil:
		case r.Context().Err() != nil && (answer.status != 0 || !isCutOff(err)):
			// The caller has left, or has closed its half of the connection, which net/http cannot tell apart. It would end the request with an empty 200.
			panic(http.ErrAbortHandler)
		case answer.status != 0:
			// Abort an answer that has begun, so that no client takes half of it for the whole.
			s.Log.Error(err, "Aborting an answer", "requestID", id)
			panic(http.ErrAbortHandler)
		default:
			s.respondError(answer, id, err)
			drain(answer, r)
		}
	}
}

// isCutOff reports whether an error is that of a body that did not arrive whole, or not in time.
func isCutOff(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, os.ErrDeadlineExceeded)
}

// maxDrain bounds what is read of the body of a refused request, in bytes. The server's ReadTimeout bounds the time.
const maxDrain = 256 << 20

// drain sends an answer that the client may not wait for, and reads what the client still sends. Many clients write their whole request before
// they read: if the server closed the connection meanwhile, they would see a reset instead of the answer (RFC 9112, 9.6).
func drain(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 || r.Header.Get("Expect") != "" {
		return // such a client sends nothing more once it has the answer
	}
	_ = http.NewResponseController(w).Flush()
	_, _ = io.CopyN(io.Discard, r.Body, maxDrain) // fails if the client leaves
}

// Drained answers with h, and drains what h leaves of the body. Routes of the API do it themselves: they wait, and have no room for a layer more.
func Drained(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := &readBy{ReadCloser: r.Body}
		r.Body = body
		h.ServeHTTP(w, r)
		if r.Body = body; !body.ended { // h may have put another reader around it
			drain(w, r)
		}
	})
}

// readBy is a body that knows whether it has been read to its end.
type readBy struct {
	io.ReadCloser
	ended bool
}

func (b *readBy) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.ended = b.ended || err == io.EOF
	return n, err
}

// code is one of the public API's error codes. Clients compare it, so an answer has its meaning elsewhere, in message.
type code string

// The codes. operations says which route answers with which.
const (
	codeTemplateMissing  code = "templateId missing"
	codeTemplateNotFound code = "Template not found"
	codeStatusFilter     code = "invalid-status-filter"
	codeJobNotFound      code = "job-not-found"
	codeJobCanceled      code = "job-canceled"
	codeJobFinished      code = "job-already-finished"
	codeJobNotCancelable code = "job-not-cancelable"
)

// codeError is an error with a code.
type codeError struct {
	status  int
	code    code
	message string
}

// Error implements error.
func (c *codeError) Error() string { return c.message }

// problem is the body of an error.
type problem struct {
	Error   string `json:"error" required:"true" description:"What is wrong, where, and what to do; or one of the codes that the descriptions of the route's answers list."`
	Message string `json:"message,omitempty" description:"What the code means."`
}

// respondError answers with an error.
func (s *Server) respondError(w http.ResponseWriter, id string, err error) {
	status, body := http.StatusInternalServerError, problem{Error: "the request failed; the shim's log has its id"}
	known, code, field, fields := (*callers.StatusError)(nil), (*codeError)(nil), (*FieldError)(nil), (*fieldsError)(nil)
	many, large, api := (*tooManyError)(nil), (*http.MaxBytesError)(nil), apierrors.APIStatus(nil)
	switch {
	case errors.As(err, &known):
		status, body.Error = known.Status, known.Message
	case errors.As(err, &code):
		status, body = code.status, problem{string(code.code), code.message}
	case errors.As(err, &fields):
		status, body.Error = http.StatusBadRequest, fields.Error()
	case errors.As(err, &field):
		status, body.Error = http.StatusBadRequest, field.Error()
	case errors.As(err, &many):
		status, body.Error = http.StatusTooManyRequests, many.Error()
		retryAfter(w.Header(), many.after)
	case errors.As(err, &large):
		status, body.Error = http.StatusRequestEntityTooLarge, fmt.Sprintf("the body must be at most %d bytes", maxBody)
	case callers.IsUnreachable(err):
		s.Log.Error(err, "The API server did not answer", "requestID", id)
		status, body.Error = callers.ErrUnreachable.Status, callers.ErrUnreachable.Message
		retryAfter(w.Header(), callers.RetryAfter)
	case isCutOff(err):
		status, body.Error = http.StatusRequestTimeout, "the body did not arrive in time, or ended early; send it again"
	case errors.As(err, &api):
		status, body.Error = fromAPI(w.Header(), err, api)
	default:
		s.Log.Error(err, "Answering a request", "requestID", id)
	}
	// What was to be said of the file is not true of an error.
	for _, name := range []string{"Cache-Control", "Etag", "Content-Disposition", "Preference-Applied"} {
		w.Header().Del(name)
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="platen"`)
	}
	writeJSON(w, status, body)
}

const (
	// maxCauses bounds what an answer says of one request.
	maxCauses = 8
	// noField is what the API server calls the field of a cause that says only that there are others.
	noField = "<nil>"
)

// fromAPI translates an error of the API server.
func fromAPI(h http.Header, err error, api apierrors.APIStatus) (status int, message string) {
	status, message = int(api.Status().Code), api.Status().Message
	switch {
	case apierrors.IsInvalid(err):
		status = http.StatusBadRequest
		if details := api.Status().Details; details != nil && len(details.Causes) > 0 {
			causes := causesOf(api)
			if more := len(causes) - maxCauses; more > 0 {
				causes = append(causes[:maxCauses], fmt.Sprintf("and %d more", more))
			}
			message = strings.Join(causes, "; ")
		}
	case apierrors.IsTooManyRequests(err), apierrors.IsServerTimeout(err), apierrors.IsServiceUnavailable(err):
		if seconds, ok := apierrors.SuggestsClientDelay(err); ok {
			retryAfter(h, time.Duration(seconds)*time.Second)
		} else if apierrors.IsServiceUnavailable(err) {
			retryAfter(h, callers.RetryAfter)
		}
	case status < http.StatusBadRequest || status > 599:
		status = http.StatusInternalServerError
	}
	return status, inRequestWords(message)
}

// causesOf returns what the API server refuses of the fields of an object.
func causesOf(api apierrors.APIStatus) (causes []string) {
	if details := api.Status().Details; details != nil {
		for _, cause := range details.Causes {
			if cause.Field != noField {
				causes = append(causes, cause.Field+": "+boundInWords(cause.Field, cause.Message))
			}
		}
	}
	return causes
}

// outOfBounds matches what the API server says of a number that is too small or too large.
var outOfBounds = regexp.MustCompile(`^Invalid value: (\S+): \S+ in body should be (less|greater) than or equal to (\S+)$`)

// tooLong matches what the API server says of a text that is too long. Of a field of spec, it counts characters, although it calls them bytes.
var tooLong = regexp.MustCompile(`^Too long: may not be more than (\d+) bytes$`)

// boundInWords says a bound that the API server has for a field as the requests' own are said.
func boundInWords(field, message string) string {
	m := outOfBounds.FindStringSubmatch(message)
	if m == nil {
		if strings.HasPrefix(field, "spec.") {
			message = tooLong.ReplaceAllString(message, "must be at most $1 characters long")
		}
		return message
	}
	word := map[string]string{"less": "most", "greater": "least"}[m[2]]
	return fmt.Sprintf("must be at %s %s, not %s", word, m[3], m[1])
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := encode(body)
	if err != nil {
		panic(err) // every body can be encoded
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text) //nolint:gosec // no browser takes JSON for a page: handle sets nosniff; fails only if the caller is gone
}

// encode returns a value as JSON in which a URL can be copied as it stands: encoding/json writes & as \u0026.
func encode(value any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return text.Bytes(), err
}

// caller is the user behind a request, and the workspace that it is for.
type caller struct {
	*callers.Caller
	namespace string
	usage     *usage
}

// authenticated passes a request and its caller to handle, within the caller's limits. The workspace is the namespace in X-Workspace or
// X-Workspace-Id, or the service account's own. The API server decides whether the caller may act there.
func (s *Server) authenticated(handle func(http.ResponseWriter, *http.Request, caller) error) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		c, done, err := s.identify(w, r)
		if err != nil {
			return err
		}
		defer done()
		if c.namespace == "" {
			return callers.Errorf(http.StatusBadRequest, "X-Workspace: the namespace is required, because the token is not a service account's")
		}
		return handle(w, r, c)
	}
}

// anywhere is authenticated for requests that need no workspace.
func (s *Server) anywhere(handle func(http.ResponseWriter, *http.Request, caller) error) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		c, done, err := s.identify(w, r)
		if err != nil {
			return err
		}
		defer done()
		return handle(w, r, c)
	}
}

// identify returns the caller of a request. The caller's limits count the request until the call of done.
func (s *Server) identify(w http.ResponseWriter, r *http.Request) (c caller, done func(), err error) {
	if tokens := slices.Compact(slices.Clone(r.Header.Values("Authorization"))); len(tokens) > 1 {
		// A proxy on the way may have let the request pass for the other one.
		return c, nil, callers.Errorf(http.StatusBadRequest, "Authorization: the request has more than one; send one")
	}
	who, err := s.Reviewer.Authenticate(r.Context(), callers.Bearer(r.Header))
	if err != nil {
		return c, nil, err
	}
	named := slices.DeleteFunc(slices.Concat(r.Header.Values("X-Workspace"), r.Header.Values("X-Workspace-Id")), func(name string) bool { return name == "" })
	if named = slices.Compact(named); len(named) > 1 {
		return c, nil, callers.Errorf(http.StatusBadRequest, "X-Workspace: the request names more than one namespace")
	}
	c = caller{who, cmp.Or(strings.Join(named, ""), who.Home()), nil}
	if c.namespace != "" && len(validation.IsDNS1123Label(c.namespace)) > 0 {
		return c, nil, callers.Errorf(http.StatusBadRequest, "X-Workspace: must be the name of a namespace")
	}
	log := requestLog(w)
	log.user, log.namespace = c.User.Username, c.namespace
	c.usage, done, err = s.limiter.admit(who.User.Username)
	return c, done, err
}

// allow asks whether the caller has a right to one of Platen's resources in the workspace.
func (s *Server) allow(ctx context.Context, c caller, verb, resource string) error {
	return s.Reviewer.Authorize(ctx, c.Caller, authorizationv1.ResourceAttributes{
		Namespace: c.namespace, Verb: verb, Group: platenv1alpha1.GroupVersion.Group, Resource: resource,
	})
}

// read reads the body of a request. Its memory counts against the caller's limit until the call of done.
func (s *Server) read(w http.ResponseWriter, r *http.Request, c caller) (body []byte, done func(), err error) {
	size, err := bodySize(r)
	if err != nil {
		w.Header().Set("Connection", "close") // the body is not read
		return nil, nil, err
	}
	done, err = s.limiter.reserve(r.Context(), c.usage, size)
	if err != nil {
		return nil, nil, err
	}
	if body, err = readBody(w, r); err != nil {
		done()
		return nil, nil, err
	}
	return body, done, nil
}

// readBody reads a body, and decompresses it.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	sent := http.MaxBytesReader(w, r.Body, maxBody)
	switch encoding := r.Header.Get("Content-Encoding"); strings.ToLower(encoding) {
	case "", "identity":
		plain, err := io.ReadAll(sent)
		if large := (*http.MaxBytesError)(nil); err == nil || errors.As(err, &large) || isCutOff(err) {
			return plain, err
		}
		return nil, callers.Errorf(http.StatusBadRequest, "the body could not be read: its length or its chunks are not as HTTP says (RFC 9112)")
	case "gzip", "x-gzip":
		large, plain := (*http.MaxBytesError)(nil), []byte(nil)
		unpacked, err := gzip.NewReader(sent)
		if err == nil {
			plain, err = io.ReadAll(http.MaxBytesReader(w, unpacked, maxBody))
		}
		if err != nil && !errors.As(err, &large) && !errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, callers.Errorf(http.StatusBadRequest, "Content-Encoding: the body is not gzip")
		}
		return plain, err
	default:
		w.Header().Set("Accept-Encoding", "gzip") // RFC 9110, 15.5.16
		return nil, callers.Errorf(http.StatusUnsupportedMediaType, "Content-Encoding: '%.30s' must be gzip, or missing", encoding)
	}
}
