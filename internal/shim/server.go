// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/callers"
	"github.com/platen-dev/platen/internal/jobwatch"
)

const (
	// maxBody bounds a request, in bytes.
	maxBody = 2 << 20
	// maxInline bounds a file that is answered as base64 or binary, in bytes.
	maxInline = 64 << 20
	// maxWait bounds what a caller may ask for with Prefer: wait=N.
	maxWait = 10 * time.Minute
	// keyAnnotation holds the digest of the request that an idempotency key belongs to.
	keyAnnotation = "platen.dev/request-sha256"
)

// Options of a Server. All are required.
type Options struct {
	// Desk knows the callers.
	Desk *callers.Desk
	// Waiters are told when a job has finished.
	Waiters *jobwatch.Waiters
	// Cache of RenderJobs and RenderTemplates.
	Cache client.Reader
	// Wait is how long a synchronous request waits for its job unless it says otherwise.
	Wait time.Duration
	// TTL after which a job that came this way is deleted with its files.
	TTL time.Duration
	Log logr.Logger
}

// Server answers the public render API.
type Server struct {
	Options
	content *http.Client
}

// New returns a Server.
func New(options Options) *Server {
	return &Server{Options: options, content: &http.Client{Timeout: 2 * time.Minute}}
}

// Handler returns the API's routes.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/studio/render", s.answering(s.render))
	mux.HandleFunc("GET /v1/studio/render-jobs/{id}", s.answering(s.job))
	return mux
}

// answering turns a handler's error into JSON with the key error.
func (s *Server) answering(handle func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := handle(w, r)
		if err == nil {
			return
		}
		status, message := http.StatusInternalServerError, "the API server did not answer; try again"
		known := (*callers.Refusal)(nil)
		field := (*FieldError)(nil)
		api := apierrors.APIStatus(nil)
		large := (*http.MaxBytesError)(nil)
		switch {
		case errors.As(err, &known):
			status, message = known.Status, known.Message
		case errors.As(err, &field):
			status, message = http.StatusBadRequest, field.Error()
		case errors.As(err, &large):
			status, message = http.StatusRequestEntityTooLarge, fmt.Sprintf("the body must be at most %d bytes", maxBody)
		case errors.As(err, &api):
			status, message = int(api.Status().Code), api.Status().Message
			if status == http.StatusUnprocessableEntity {
				status = http.StatusBadRequest
			}
		case r.Context().Err() != nil:
			return // nobody listens
		default:
			s.Log.Error(err, "Answering a request", "path", r.URL.Path)
		}
		writeJSON(w, status, map[string]string{"error": message})
	}
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
}

// authenticate finds out who asks. The workspace is the service account's namespace, or what X-Workspace says; whether the
// caller may act there is the API server's decision.
func (s *Server) authenticate(r *http.Request) (caller, error) {
	who, err := s.Desk.Authenticate(r.Context(), callers.Bearer(r.Header))
	if err != nil {
		return caller{}, err
	}
	c := caller{who, cmp.Or(r.Header.Get("X-Workspace"), who.Home())}
	if c.namespace == "" {
		return caller{}, callers.Refuse(http.StatusBadRequest, "X-Workspace: the namespace is required for a token that is no service account's")
	}
	return c, nil
}

// allowed asks whether the caller may do it to Platen's resource in the workspace.
func (s *Server) allowed(ctx context.Context, c caller, verb, resource string) error {
	return s.Desk.Allow(ctx, c.Caller, authorizationv1.ResourceAttributes{
		Namespace: c.namespace, Verb: verb, Group: platenv1alpha1.GroupVersion.Group, Resource: resource,
	})
}

// render answers POST /v1/studio/render.
func (s *Server) render(w http.ResponseWriter, r *http.Request) error {
	began := time.Now()
	c, err := s.authenticate(r)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return err
	}
	request, warnings, err := parse(body)
	if err != nil {
		return err
	}
	wait, err := patience(r.Header, s.Wait)
	if err != nil {
		return err
	}
	template, err := s.template(r.Context(), c, request.TemplateID)
	if err != nil {
		return err
	}
	job, err := s.create(r, c, request, template, body)
	if err != nil {
		return err
	}
	if request.Response.Mode == "async" {
		writeJSON(w, http.StatusAccepted, describe(job))
		return nil
	}
	// The job goes on when the caller leaves; only the waiting ends.
	done, err := s.await(r.Context(), job, wait)
	if err != nil {
		return err
	}
	if done == nil {
		w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait.Seconds())))
		writeJSON(w, http.StatusAccepted, describe(job))
		return nil
	}
	return s.deliver(w, r, done, request.Response.Type, warnings, time.Since(began))
}

// patience reads Prefer: wait=N (RFC 7240).
func patience(h http.Header, otherwise time.Duration) (time.Duration, error) {
	for preference := range strings.SplitSeq(h.Get("Prefer"), ",") {
		if text, ok := strings.CutPrefix(strings.TrimSpace(preference), "wait="); ok {
			seconds, err := strconv.Atoi(text)
			if err != nil || seconds < 0 || time.Duration(seconds)*time.Second > maxWait {
				return 0, callers.Refuse(http.StatusBadRequest, "Prefer: wait=%.20s must be a number of seconds from 0 to %d", text, int(maxWait.Seconds()))
			}
			return time.Duration(seconds) * time.Second, nil
		}
	}
	return otherwise, nil
}

// template finds a RenderTemplate by its number or its name.
func (s *Server) template(ctx context.Context, c caller, id TemplateID) (string, error) {
	if err := s.allowed(ctx, c, "list", "rendertemplates"); err != nil {
		return "", err
	}
	templates := &platenv1alpha1.RenderTemplateList{}
	if err := s.Cache.List(ctx, templates, client.InNamespace(c.namespace)); err != nil {
		return "", fmt.Errorf("listing RenderTemplates: %w", err)
	}
	number, err := strconv.ParseInt(string(id), 10, 64)
	for _, t := range templates.Items {
		if t.Name == string(id) || (err == nil && t.Spec.TemplateID != nil && *t.Spec.TemplateID == number) {
			return t.Name, nil
		}
	}
	return "", callers.Refuse(http.StatusNotFound, "templateId: namespace '%s' has no RenderTemplate with the id or name '%.100s'", c.namespace, id)
}

// create makes the job with the caller's token. A job that the same idempotency key made before is returned instead.
func (s *Server) create(r *http.Request, c caller, request Request, template string, body []byte) (*platenv1alpha1.RenderJob, error) {
	theirs, err := c.Client()
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(body)
	job := &platenv1alpha1.RenderJob{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: c.namespace, GenerateName: "rest-",
			Annotations: map[string]string{keyAnnotation: hex.EncodeToString(digest[:])},
		},
		Spec: spec(request, template, s.TTL),
	}
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		name := sha256.Sum256([]byte(c.User.Username + "\n" + key))
		job.GenerateName, job.Name = "", "rest-"+hex.EncodeToString(name[:10])
	}
	wanted := job.Annotations[keyAnnotation]
	err = theirs.Create(r.Context(), job)
	if apierrors.IsAlreadyExists(err) {
		err = theirs.Get(r.Context(), client.ObjectKeyFromObject(job), job)
		if err == nil && job.Annotations[keyAnnotation] != wanted {
			return nil, callers.Refuse(http.StatusConflict, "Idempotency-Key: it was used before for another request")
		}
	}
	return job, err
}

// await returns the finished job, or nil when wait is over before.
func (s *Server) await(ctx context.Context, job *platenv1alpha1.RenderJob, wait time.Duration) (*platenv1alpha1.RenderJob, error) {
	told, leave := s.Waiters.Register(job.UID)
	defer leave()
	current := &platenv1alpha1.RenderJob{}
	err := s.Cache.Get(ctx, client.ObjectKeyFromObject(job), current)
	if err == nil && current.UID == job.UID && jobwatch.Finished(current) {
		return current, nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case done := <-told:
		if done == nil {
			return nil, callers.Refuse(http.StatusGone, "the job '%s' was deleted", job.Name)
		}
		return done, nil
	case <-timer.C:
		return nil, nil //nolint:nilnil // the job goes on
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// deliver answers with a finished job's files.
func (s *Server) deliver(w http.ResponseWriter, r *http.Request, job *platenv1alpha1.RenderJob, kind string, warnings []Warning, took time.Duration) error {
	if reason, message, failed := failure(job); failed {
		switch reason {
		case platenv1alpha1.InvalidSpecReason, platenv1alpha1.InvalidModificationsReason:
			return callers.Refuse(http.StatusBadRequest, "%s", message)
		default:
			return callers.Refuse(http.StatusInternalServerError, "%s", message)
		}
	}
	if kind == "" {
		kind = "url"
	}
	if kind == "binary" && len(job.Status.Pages) == 1 {
		return s.stream(w, r, job.Status.Pages[0].ContentURL)
	}
	contents := make([]string, 0, len(job.Status.Pages))
	for _, page := range job.Status.Pages {
		content := page.ContentURL
		if kind != "url" {
			data, contentType, err := s.fetch(r.Context(), content)
			if err != nil {
				return err
			}
			content = "data:" + contentType + ";base64," + base64.StdEncoding.EncodeToString(data)
		}
		contents = append(contents, content)
	}
	writeJSON(w, http.StatusOK, answer(job, kind, contents, warnings, took))
	return nil
}

// open asks for a file of the content store.
func (s *Server) open(ctx context.Context, contentURL string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, contentURL, nil)
	if err != nil {
		return nil, fmt.Errorf("reading a file: %w", err)
	}
	resp, err := s.content.Do(request)
	if err != nil {
		return nil, callers.Refuse(http.StatusBadGateway, "the content store does not answer; the job's files are kept, try again")
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return nil, callers.Refuse(http.StatusBadGateway, "the content store answers HTTP %d", resp.StatusCode)
	}
	return resp, nil
}

func (s *Server) fetch(ctx context.Context, contentURL string) (data []byte, contentType string, err error) {
	resp, err := s.open(ctx, contentURL)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err = io.ReadAll(io.LimitReader(resp.Body, maxInline+1))
	if err == nil && len(data) > maxInline {
		err = callers.Refuse(http.StatusBadRequest, "response.type: the file has more than %d bytes; ask for its url", maxInline)
	}
	return data, resp.Header.Get("Content-Type"), err
}

func (s *Server) stream(w http.ResponseWriter, r *http.Request, contentURL string) error {
	resp, err := s.open(r.Context(), contentURL)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	for _, name := range []string{"Content-Type", "Content-Length", "Content-Disposition"} {
		if value := resp.Header.Get(name); value != "" {
			w.Header().Set(name, value)
		}
	}
	_, _ = io.Copy(w, resp.Body) // fails only when one end is gone
	return nil
}

// job answers GET /v1/studio/render-jobs/{id}.
func (s *Server) job(w http.ResponseWriter, r *http.Request) error {
	c, err := s.authenticate(r)
	if err != nil {
		return err
	}
	if err := s.allowed(r.Context(), c, "get", "renderjobs"); err != nil {
		return err
	}
	job := &platenv1alpha1.RenderJob{}
	err = s.Cache.Get(r.Context(), client.ObjectKey{Namespace: c.namespace, Name: r.PathValue("id")}, job)
	if apierrors.IsNotFound(err) {
		return callers.Refuse(http.StatusNotFound, "namespace '%s' has no render job '%.100s'", c.namespace, r.PathValue("id"))
	}
	if err != nil {
		return fmt.Errorf("reading a job: %w", err)
	}
	body := describe(job)
	if body.Finished {
		var failed bool
		if body.ErrorCode, body.Error, failed = failure(job); !failed {
			contents := make([]string, 0, len(job.Status.Pages))
			for _, page := range job.Status.Pages {
				contents = append(contents, page.ContentURL)
			}
			var took time.Duration
			if done := job.Status.CompletionTime; done != nil {
				took = done.Sub(job.CreationTimestamp.Time)
			}
			body.Result = answer(job, "url", contents, nil, took)
		}
	}
	writeJSON(w, http.StatusOK, body)
	return nil
}

func describe(job *platenv1alpha1.RenderJob) Job {
	return Job{ID: job.Name, Status: status(job), Finished: jobwatch.Finished(job), Self: "/v1/studio/render-jobs/" + job.Name}
}
