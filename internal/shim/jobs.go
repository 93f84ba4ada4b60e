// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/callers"
)

const (
	defaultJobs = 20
	maxJobs     = 100
	// cancelTries bounds the attempts to cancel a job that changes at the same time.
	cancelTries = 5
)

// JobList is the answer of GET /v1/studio/render-jobs.
type JobList struct {
	Data       []Job   `json:"data" required:"true" nullable:"false" description:"Newest first; those of one second by id."`
	Pagination JobPage `json:"pagination" required:"true"`
}

// JobPage tells where a JobList continues.
type JobPage struct {
	HasMore    bool    `json:"has_more" required:"true"`
	NextCursor *string `json:"next_cursor" required:"true" nullable:"true" description:"What to pass as cursor; null on the last page."`
}

// listJobs answers GET /v1/studio/render-jobs.
func (s *Server) listJobs(w http.ResponseWriter, r *http.Request, c caller) error {
	query := r.URL.Query()
	wrong, wanted := &fieldsError{}, strings.ToLower(query.Get("status"))
	limit, err := queryNumber(query.Get("limit"), "limit", defaultJobs, maxJobs)
	_ = wrong.add(err) // it is of a field, as are the next ones
	after, err := parseCursor(query.Get("cursor"))
	_ = wrong.add(err)
	if !slices.Contains([]string{"", queued, processing, succeeded, failed, canceled}, wanted) {
		const problem = "must be queued, processing, succeeded, failed or canceled"
		if wrong.err() == nil {
			return &codeError{http.StatusBadRequest, codeStatusFilter, "status: " + problem}
		}
		_ = wrong.add(&FieldError{"status", problem})
	}
	if err := wrong.err(); err != nil {
		return err
	}
	if err := s.allow(r.Context(), c, "list", "renderjobs"); err != nil {
		return err
	}
	jobs := &platenv1alpha1.RenderJobList{}
	if err := s.Cache.List(r.Context(), jobs, client.InNamespace(c.namespace), client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("listing jobs: %w", err)
	}
	found := make([]*platenv1alpha1.RenderJob, 0, len(jobs.Items))
	for i := range jobs.Items {
		job := &jobs.Items[i]
		if (wanted == "" || status(job) == wanted) && (after == nil || after.compare(cursorOf(job)) < 0) {
			found = append(found, job)
		}
	}
	slices.SortFunc(found, func(a, b *platenv1alpha1.RenderJob) int { return cursorOf(a).compare(cursorOf(b)) })
	body := JobList{Data: []Job{}}
	if len(found) > limit {
		found = found[:limit]
		body.Pagination = JobPage{true, new(cursorOf(found[limit-1]).String())}
	}
	for _, job := range found {
		body.Data = append(body.Data, report(job))
	}
	writeJSON(w, http.StatusOK, body)
	return nil
}

// queryNumber reads a number from 1 to most from the query.
func queryNumber(text, name string, defaultValue, most int) (int, error) {
	if text == "" {
		return defaultValue, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		if most == 1 {
			return 0, &FieldError{name, "must be 1"}
		}
		return 0, &FieldError{name, fmt.Sprintf("must be a whole number from 1 to %d", most)}
	}
	return n, nil
}

// cursor is a job's place in the list, which is sorted newest first and then by name.
type cursor struct {
	created int64
	name    string
}

func cursorOf(job *platenv1alpha1.RenderJob) cursor {
	return cursor{job.CreationTimestamp.Unix(), job.Name}
}

func (c cursor) compare(other cursor) int {
	return cmp.Or(cmp.Compare(other.created, c.created), cmp.Compare(c.name, other.name))
}

// String encodes a cursor. It is opaque to callers.
func (c cursor) String() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(c.created, 10) + " " + c.name))
}

func parseCursor(text string) (*cursor, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // without a cursor the list starts with the newest job
	}
	plain, err := base64.RawURLEncoding.DecodeString(text)
	created, name, found := strings.Cut(string(plain), " ")
	seconds, badNumber := strconv.ParseInt(created, 10, 64)
	if err != nil || !found || badNumber != nil {
		return nil, &FieldError{"cursor", "must be the next_cursor of an earlier answer"}
	}
	return &cursor{seconds, name}, nil
}

// getJob answers GET /v1/studio/render-jobs/{id}.
func (s *Server) getJob(w http.ResponseWriter, r *http.Request, c caller) error {
	if err := s.allow(r.Context(), c, "get", "renderjobs"); err != nil {
		return err
	}
	job, key := &platenv1alpha1.RenderJob{}, client.ObjectKey{Namespace: c.namespace, Name: r.PathValue("id")}
	if len(validation.IsDNS1123Subdomain(key.Name)) > 0 {
		return jobNotFound(c, key.Name) // no job can have this name, and a client of the API server refuses to ask for it
	}
	err := s.Cache.Get(r.Context(), key, job)
	if apierrors.IsNotFound(err) {
		// The watch may not have seen a new job yet.
		api, failed := c.Client()
		if failed != nil {
			return failed
		}
		err = api.Get(r.Context(), key, job)
	}
	if err != nil {
		return jobError(err, c, key.Name)
	}
	requestLog(w).job = job.Name
	return s.sendJob(w, r, http.StatusOK, job)
}

// sendJob answers with the state of a job, and with its result once it has one.
func (s *Server) sendJob(w http.ResponseWriter, r *http.Request, code int, job *platenv1alpha1.RenderJob) (err error) {
	body := report(job)
	if body.Webhook, err = s.Delivery(r.Context(), job); err != nil {
		return err
	}
	// Of files that an answer cannot hold, the state of the job has the URLs.
	if body.Status == succeeded && job.Annotations[platenv1alpha1.ResponseTypeAnnotation] == typeBase64 && checkKept(job) == nil && !tooLargeInline(job) {
		return s.deliverInline(w, r, code, job, func(contents []string) any {
			body.Result = answer(job, typeBase64, contents)
			return body
		})
	}
	writeJSON(w, code, body)
	return nil
}

func jobError(err error, c caller, id string) error {
	if apierrors.IsNotFound(err) {
		return jobNotFound(c, id)
	}
	return fmt.Errorf("reading a job: %w", err)
}

func jobNotFound(c caller, id string) error {
	return &codeError{http.StatusNotFound, codeJobNotFound, fmt.Sprintf("namespace '%s' has no render job '%.100s'", c.namespace, id)}
}

// cancelJob answers POST /v1/studio/render-jobs/{id}/cancel: it suspends the job with the caller's token.
func (s *Server) cancelJob(w http.ResponseWriter, r *http.Request, c caller) error {
	if id := r.PathValue("id"); len(validation.IsDNS1123Subdomain(id)) > 0 {
		return jobNotFound(c, id)
	}
	api, err := c.Client()
	if err != nil {
		return err
	}
	for range cancelTries {
		job := &platenv1alpha1.RenderJob{}
		// Not from the cache: suspending a job that has just finished would render it again once it is resumed.
		if err := api.Get(r.Context(), client.ObjectKey{Namespace: c.namespace, Name: r.PathValue("id")}, job); err != nil {
			return jobError(err, c, r.PathValue("id"))
		}
		requestLog(w).job = job.Name
		err = cancel(r.Context(), api, job)
		if apierrors.IsConflict(err) {
			continue
		}
		if err != nil {
			return err
		}
		writeJSON(w, http.StatusOK, describe(job))
		return nil
	}
	return callers.Errorf(http.StatusConflict, "the job '%.100s' changed at the same time; try again", r.PathValue("id"))
}

// cancel suspends a job. The error is a conflict if the job has changed since it was read.
func cancel(ctx context.Context, api client.Client, job *platenv1alpha1.RenderJob) error {
	switch status(job) {
	case succeeded, failed, canceled:
		return &codeError{http.StatusConflict, codeJobFinished, fmt.Sprintf("the job '%s' is %s; there is nothing to cancel", job.Name, status(job))}
	}
	if meta.IsStatusConditionTrue(job.Status.Conditions, platenv1alpha1.RenderedCondition) {
		return &codeError{http.StatusConflict, codeJobNotCancelable, fmt.Sprintf("the job '%s' is rendered and is being uploaded", job.Name)}
	}
	before := job.DeepCopy()
	job.Spec.Suspend = new(true)
	if job.Annotations == nil {
		job.Annotations = map[string]string{}
	}
	job.Annotations[platenv1alpha1.CanceledAnnotation] = time.Now().UTC().Format(time.RFC3339)
	return api.Patch(ctx, job, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}
