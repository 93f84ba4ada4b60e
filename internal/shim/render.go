// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/callers"
	"github.com/platen-dev/platen/internal/numbers"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/task"
)

const (
	// maxKey bounds an idempotency key, in bytes.
	maxKey = 255
	// modeAsync is the value of response.mode that does not wait, and noWait the wait of such a request.
	modeAsync, noWait = "async", time.Duration(-1)
	// refusedTTL is how long the job of a request is kept that only the manager can refuse, for its own limits: the answer says why, and has no id.
	// If the answer was 202, the caller sees the reason in the job.
	refusedTTL = 10 * time.Second
)

// The kinds of /v1/generate/{kind}.
const (
	images = "images"
	pdfs   = "pdfs"
)

// render answers POST /v1/studio/render.
func (s *Server) render(w http.ResponseWriter, r *http.Request, c caller) error {
	return s.respond(w, r, c, func(*Request) []Warning { return nil })
}

// generate answers POST /v1/generate/images and /v1/generate/pdfs as the public SDKs call them: the template is in the path or in
// the body, and response.type defaults to base64.
func (s *Server) generate(w http.ResponseWriter, r *http.Request, c caller) error {
	kind, id := r.PathValue("kind"), r.PathValue("id")
	if kind != images && kind != pdfs {
		return callers.Errorf(http.StatusNotFound, "there is no /v1/generate/%.30s; use /v1/generate/images or /v1/generate/pdfs", kind)
	}
	return s.respond(w, r, c, func(request *Request) (warnings []Warning) {
		if other := request.TemplateID; id != "" && other != "" && string(other) != id {
			warnings = append(warnings, ignoredField("templateId", "the template is in the URL"))
		}
		request.TemplateID = cmp.Or(TemplateID(id), request.TemplateID)
		request.Response.Type = cmp.Or(request.Response.Type, typeBase64)
		return append(warnings, formatOf(kind, "response.format", &request.Response.Format)...)
	})
}

// formatOf sets the format that a kind has unless the field says another one, and warns if that is no document.
func formatOf(kind, field string, format *string) []Warning {
	if kind != pdfs {
		return nil
	}
	if *format = cmp.Or(*format, string(platenv1alpha1.FormatPDF)); *format == string(platenv1alpha1.FormatPDF) || !slices.Contains(formats, *format) {
		return nil
	}
	return []Warning{{
		Title: fmt.Sprintf("The result is no pdf: '%s' is %s, and counts more than %s", field, *format, pdfs), Details: fmt.Sprintf("leave out '%s' for a pdf", field),
	}}
}

// respond creates a job and answers with its result, or with its state if the job takes longer than the wait. defaults completes the request, and
// returns the warnings about it.
func (s *Server) respond(w http.ResponseWriter, r *http.Request, c caller, defaults func(*Request) []Warning) error {
	job, wait, err := s.start(w, r, c, defaults)
	if err != nil {
		return err
	}
	requestLog(w).job = job.Name
	if wait == noWait {
		return s.respondAccepted(w, r, job)
	}
	// Release the body and the job, so that a waiting request needs little memory.
	job = created(job)
	clear(r.Header)
	return s.awaitAndRespond(w, r, job, wait, &c)
}

// start reads a request and creates its job. wait is how long the caller waits for it, or noWait.
func (s *Server) start(
	w http.ResponseWriter, r *http.Request, c caller, defaults func(*Request) []Warning,
) (job *platenv1alpha1.RenderJob, wait time.Duration, err error) {
	wrong := &fieldsError{} // the answer names all mistakes
	preferred, err := preferences(r.Header, s.Wait)
	if err := wrong.add(err); err != nil {
		return nil, 0, err
	}
	body, done, err := s.read(w, r, c)
	if err != nil {
		return nil, 0, err
	}
	defer done()
	request, warnings, err := parseInto[Request](body, wrong)
	if err != nil {
		return nil, 0, err
	}
	warnings = append(warnings, unknownParameters(r)...)
	warnings = append(warnings, defaults(&request)...)
	if request.Response.Mode == "" && preferred.async {
		request.Response.Mode = modeAsync
		w.Header().Set("Preference-Applied", "respond-async")
	}
	request.check(wrong)
	key, err := idempotencyKey(r.Header)
	if err := wrong.add(err); err != nil {
		return nil, 0, err
	}
	cache, err := cachePolicy(r.URL.Query().Get("cache"))
	if err := wrong.add(err); err != nil {
		return nil, 0, err
	}
	template, err := s.templateOfRequest(r.Context(), c, request, wrong)
	if err != nil {
		return nil, 0, err
	}
	if err := checkConnections(r.Context(), c, request.Connections, wrong); err != nil {
		return nil, 0, err
	}
	request.Modifications = request.Modifications.textsFor(template)
	placeValues(warnings, wrong.unknown, template)
	if hook := cmp.Or(request.Webhook, request.WebhookURL); s.WebhookBlocked != nil && s.WebhookBlocked(hook) {
		warnings = append(warnings, Warning{
			"The webhook cannot be called", "only public addresses on the ports 80 and 443 are; an administrator can allow others with the shim's flag --webhook-allow",
		})
	}
	// The path is part of the digest, because the same body means something else at another path.
	job, err = newJob(c, request, warnings, template.Name, key, append([]byte(r.URL.Path+"\n"), body...))
	if err := wrong.add(err); err != nil {
		return nil, 0, err
	}
	job.Spec.TTLSecondsAfterFinished = new(int32(s.TTL.Seconds()))
	if request.Response.Mode != modeAsync && job.Annotations[platenv1alpha1.WebhookURLAnnotation] == "" {
		job.Annotations[platenv1alpha1.RefusedTTLAnnotation] = strconv.Itoa(int(refusedTTL.Seconds()))
	}
	job.Spec.Cache = cache
	wait = preferred.wait
	if request.Response.Mode == modeAsync {
		wait = noWait
	}
	return job, wait, s.create(r.Context(), c, job, template, wrong)
}

// templateOf returns the template of a request, which has its id where it says. If there is none, the error is about that, and about the mistakes that are
// known.
func (s *Server) templateOf(ctx context.Context, c caller, id TemplateID, where string, wrong *fieldsError) (template *platenv1alpha1.RenderTemplate, err error) {
	if err = missingTemplate(where, wrong.unknown...); id != "" {
		template, err = s.template(ctx, c, id, http.StatusForbidden)
	}
	if absent := (*codeError)(nil); errors.As(err, &absent) {
		err = absence(absent, wrong)
	}
	return template, err
}

// absence returns the error of a request without a template, which is also about the mistakes that are known.
func absence(absent *codeError, wrong *fieldsError) error {
	switch {
	case wrong.err() == nil:
		return absent
	case wrong.names("templateId"):
		return wrong.err()
	default:
		return wrong.with(&FieldError{"templateId", strings.TrimPrefix(absent.message, "templateId: ")})
	}
}

// templateOfRequest is templateOf for a request that makes a job. If there is no template, the error is also about what a job of any template would have wrong.
func (s *Server) templateOfRequest(ctx context.Context, c caller, request Request, wrong *fieldsError) (*platenv1alpha1.RenderTemplate, error) {
	template, err := s.templateOf(ctx, c, request.TemplateID, inBody, &fieldsError{unknown: wrong.unknown})
	absent := (*codeError)(nil)
	if !errors.As(err, &absent) {
		return template, err
	}
	if err := checkConnections(ctx, c, request.Connections, wrong); err != nil {
		return nil, err
	}
	job, err := newJob(c, request, nil, "template", "", nil)
	if err := wrong.add(err); err != nil {
		return nil, err
	}
	_, mistakes := numbers.Read(job.Spec.Output, numbers.MaxVideo)
	for _, mistake := range mistakes {
		wrong.say([]string{inRequestWords(mistake.Error())}, 0)
	}
	api, err := c.Client()
	if err != nil {
		return nil, err
	}
	s.sayRefused(ctx, api, job, s.limitedCreate(ctx, api, job.DeepCopy(), client.DryRunAll), wrong)
	return nil, absence(absent, wrong)
}

// idempotencyKey returns the key of a request; empty if it has none.
func idempotencyKey(h http.Header) (string, error) {
	keys := slices.Compact(slices.DeleteFunc(slices.Clone(h.Values("Idempotency-Key")), func(key string) bool { return key == "" }))
	switch {
	case len(keys) > 1:
		return "", &FieldError{"Idempotency-Key", "the request has more than one; send one"}
	case len(keys) == 1 && len(keys[0]) > maxKey:
		return "", &FieldError{"Idempotency-Key", fmt.Sprintf("must be at most %d bytes", maxKey)}
	}
	return strings.Join(keys, ""), nil
}

// checkConnections adds a mistake for a provider other than Dropbox that the workspace has no connection to, and for a name that none of the
// workspace's connections to the provider has. If the caller may not list connections, the job says what is missing.
func checkConnections(ctx context.Context, c caller, wanted []ConnectionOptions, wrong *fieldsError) error {
	dropbox := string(platenv1alpha1.ProviderDropbox)
	if len(wanted) > maxConnections || !slices.ContainsFunc(wanted, func(o ConnectionOptions) bool { return o.Provider != dropbox || strings.TrimSpace(o.Name) != "" }) {
		return nil
	}
	api, err := c.Client()
	if err != nil {
		return err
	}
	connections := &platenv1alpha1.StorageConnectionList{}
	err = api.List(ctx, connections, client.InNamespace(c.namespace))
	forbidden := apierrors.IsForbidden(err)
	if err != nil && !forbidden {
		return err
	}
	checkAmong(wanted, connections.Items, forbidden, wrong)
	return nil
}

// checkAmong is checkConnections once the workspace's connections are known, or once it is known that nobody may list them.
func checkAmong(wanted []ConnectionOptions, connections []platenv1alpha1.StorageConnection, forbidden bool, wrong *fieldsError) {
	known := []string{string(platenv1alpha1.ProviderDropbox)}
	if forbidden {
		known = append(known, string(platenv1alpha1.ProviderS3), string(platenv1alpha1.ProviderGCS), string(platenv1alpha1.ProviderAzureBlob))
	}
	names := map[string][]string{} // by provider
	for _, connection := range connections {
		provider := string(connection.Spec.Provider)
		known, names[provider] = append(known, provider), append(names[provider], connection.Name)
	}
	slices.Sort(known)
	known = slices.Compact(known)
	for i, o := range wanted {
		name, at := strings.TrimSpace(o.Name), wrong.places.at("connections", i)
		switch {
		case wrong.names(at + ".provider"):
		case !slices.Contains(known, o.Provider):
			hint := ""
			if o.Provider == "" {
				hint = wrong.meant(at + ".provider")
			}
			_ = wrong.add(&FieldError{at + ".provider", fmt.Sprintf("'%.100s' must be %s%s", o.Provider, strings.Join(known, " or "), hint)})
		case name != "" && !forbidden && !slices.Contains(names[o.Provider], name) && !wrong.names(at+".name"):
			_ = wrong.add(&FieldError{at + ".name", noConnection(name, o.Provider, names[o.Provider])})
		}
	}
}

// maxNamed bounds the connections that a message names.
const maxNamed = 10

// noConnection says that a name is none of the connections to a provider, and which there are.
func noConnection(name, provider string, known []string) string {
	text := fmt.Sprintf("'%.100s' is no connection to %s of this workspace", name, provider)
	if len(known) == 0 {
		return text + ", which has none"
	}
	slices.Sort(known)
	more := ""
	if len(known) > maxNamed {
		more = fmt.Sprintf(" or one of %d more", len(known)-maxNamed)
	}
	return text + "; it must be " + strings.Join(known[:min(len(known), maxNamed)], " or ") + more
}

// cachePolicy reads the query's cache.
func cachePolicy(text string) (platenv1alpha1.CachePolicy, error) {
	switch strings.ToLower(text) {
	case "", "true", "1":
		return platenv1alpha1.CacheEnabled, nil
	case "false", "0":
		return platenv1alpha1.CacheDisabled, nil
	default:
		return "", &FieldError{"cache", fmt.Sprintf("'%.100s' must be true or false", text)}
	}
}

// created returns of a new job what an answer has as long as the watch has not seen the job.
func created(job *platenv1alpha1.RenderJob) *platenv1alpha1.RenderJob {
	brief := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{
		Namespace: job.Namespace, Name: job.Name, UID: job.UID, CreationTimestamp: job.CreationTimestamp,
	}}
	for _, name := range []string{metadataAnnotation, warningsAnnotation} {
		if text, ok := job.Annotations[name]; ok {
			metav1.SetMetaDataAnnotation(&brief.ObjectMeta, name, text)
		}
	}
	return brief
}

// awaitAndRespond waits for a job and answers with its result, or with its state if the job takes longer than the wait. known is what is known of
// the job already. c is the job's caller, who learns from the headers of a file how the job went; nil for everybody else.
func (s *Server) awaitAndRespond(w http.ResponseWriter, r *http.Request, known *platenv1alpha1.RenderJob, wait time.Duration, c *caller) error {
	job, err := s.await(r.Context(), known, wait)
	if err != nil {
		return err
	}
	if c != nil {
		w.Header().Set(jobHeader, job.Name)
	}
	switch status(job) {
	case succeeded:
		if c == nil {
			if job, err = onePage(job, r.URL.Query().Get("page")); err != nil {
				return err
			}
		} else if job.Annotations[platenv1alpha1.ResponseTypeAnnotation] == typeBinary {
			describeFile(w.Header(), job)
		}
		return s.deliver(w, r, job)
	case failed:
		return renderFailure(job)
	case canceled:
		return &codeError{http.StatusConflict, codeJobCanceled, fmt.Sprintf("the job '%s' was canceled", job.Name)}
	default:
		w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait.Seconds())))
		return s.respondAccepted(w, r, job)
	}
}

// onePage returns a finished job with the file of one page only; with all files if text is empty.
func onePage(job *platenv1alpha1.RenderJob, text string) (*platenv1alpha1.RenderJob, error) {
	if text == "" {
		return job, nil
	}
	wanted, err := queryNumber(text, "page", 1, math.MaxInt32)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(job.Status.Pages, func(f platenv1alpha1.RenderedPage) bool { return int(f.Page) == wanted })
	if at < 0 {
		return nil, &FieldError{"page", fmt.Sprintf("%d is not the number of a page that has a file", wanted)}
	}
	one := *job // the cache owns job
	one.Status.Pages = job.Status.Pages[at : at+1]
	return &one, nil
}

// respondAccepted answers with the state of a job that the caller does not wait for. One of an earlier request with the same idempotency key may have ended.
func (s *Server) respondAccepted(w http.ResponseWriter, r *http.Request, job *platenv1alpha1.RenderJob) error {
	body := describe(job)
	w.Header().Set("Location", body.Self)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set(jobHeader, job.Name)
	if body.Finished {
		return s.sendJob(w, r, http.StatusAccepted, job)
	}
	writeJSON(w, http.StatusAccepted, body)
	return nil
}

// renderFailure returns the error of a failed job.
func renderFailure(job *platenv1alpha1.RenderJob) error {
	status := http.StatusInternalServerError
	if isMistake(job) {
		status = http.StatusBadRequest
	}
	_, message, _ := failure(job)
	return callers.Errorf(status, "%s", message)
}

// mistakes are the reasons of jobs that fail for what their request says.
var mistakes = []string{platenv1alpha1.InvalidSpecReason, platenv1alpha1.InvalidModificationsReason}

// isMistake reports whether a failed job's request is at fault.
func isMistake(job *platenv1alpha1.RenderJob) bool {
	reason, _, _ := failure(job)
	return slices.Contains(mistakes, reason)
}

// check returns an error for a job that its manager would refuse for what the request says, before there is a job.
func check(ctx context.Context, job *platenv1alpha1.RenderJob, template *platenv1alpha1.RenderTemplate) error {
	said, more := refusals(ctx, job, template)
	wrong := &fieldsError{said: said, more: more}
	return wrong.err()
}

// refusals returns what the manager of a job would refuse for what the request says, and how many mistakes there are besides.
func refusals(ctx context.Context, job *platenv1alpha1.RenderJob, template *platenv1alpha1.RenderTemplate) (said []string, more int) {
	invalid := reconcile.AsTerminal(task.Check(ctx, job, template))
	if invalid == nil || !slices.Contains(mistakes, invalid.Reason) {
		return nil, 0
	}
	if said, more = task.Mistakes(invalid.Message); len(said) == 0 {
		said = []string{invalid.Message}
	}
	for i, text := range said {
		said[i] = inRequestWords(text)
	}
	return said, more
}

// refuse returns an error with the mistakes of a request that are known, and those that a job of it would have: its manager would refuse them, or the API
// server. A mistake that may follow from a known one is left out.
func (s *Server) refuse(ctx context.Context, c caller, job *platenv1alpha1.RenderJob, template *platenv1alpha1.RenderTemplate, wrong *fieldsError) error {
	wrong.say(refusals(ctx, job, template))
	api, err := c.Client()
	if err != nil {
		return wrong
	}
	s.sayRefused(ctx, api, job, s.limitedCreate(ctx, api, job.DeepCopy(), client.DryRunAll), wrong)
	return wrong
}

// sayRefused adds what the API server refuses of a job, as the error of its creation says. The API server leaves out the rules while a field has a wrong
// type or value, so it is asked again without those fields: else each answer would be followed by another one.
func (s *Server) sayRefused(ctx context.Context, api client.Client, job *platenv1alpha1.RenderJob, refusal error, wrong *fieldsError) {
	for range 2 {
		status := apierrors.APIStatus(nil)
		if !apierrors.IsInvalid(refusal) || !errors.As(refusal, &status) {
			return
		}
		causes := causesOf(status)
		fields := make([]string, 0, len(causes))
		for i, cause := range causes {
			field, _, _ := strings.Cut(cause, ":")
			fields, causes[i] = append(fields, field), inRequestWords(cause)
		}
		wrong.say(causes, 0)
		if details := status.Status().Details; details == nil || !slices.ContainsFunc(details.Causes, func(cause metav1.StatusCause) bool { return cause.Field == noField }) {
			return // it has looked at everything
		}
		rest, kept, err := withoutFields(job, fields)
		if err != nil {
			return
		}
		for list, items := range kept {
			wrong.keep(inRequestWords(list), items)
		}
		job = rest
		refusal = s.limitedCreate(ctx, api, rest, client.DryRunAll)
	}
}

// withoutFields returns a job without some fields of its spec, and without the items of lists that the fields are in. kept are the indexes of the items that
// remain, by their list.
func withoutFields(job *platenv1alpha1.RenderJob, fields []string) (rest *platenv1alpha1.RenderJob, kept map[string][]int, err error) {
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(job)
	if err != nil {
		return nil, nil, err
	}
	items := map[string][]int{}
	for _, field := range fields {
		list, index, inList := strings.Cut(field, "[")
		index, _, _ = strings.Cut(index, "]")
		i, failed := strconv.Atoi(index)
		switch {
		case !strings.HasPrefix(field, "spec."):
		case inList && failed == nil:
			items[list] = append(items[list], i)
		default:
			unstructured.RemoveNestedField(object, strings.Split(list, ".")...)
		}
	}
	kept = map[string][]int{}
	for list, wrong := range items {
		path := strings.Split(list, ".")
		all, _, err := unstructured.NestedSlice(object, path...)
		if err != nil {
			return nil, nil, err
		}
		good := []any{}
		for i, item := range all {
			if !slices.Contains(wrong, i) {
				good, kept[list] = append(good, item), append(kept[list], i)
			}
		}
		if unstructured.RemoveNestedField(object, path...); len(good) == 0 {
			continue // a list has at least one item
		}
		if err := unstructured.SetNestedSlice(object, good, path...); err != nil {
			return nil, nil, err
		}
	}
	rest = &platenv1alpha1.RenderJob{}
	return rest, kept, runtime.DefaultUnstructuredConverter.FromUnstructured(object, rest)
}

// limitedCreate creates a job. The creates of all callers are bounded.
func (s *Server) limitedCreate(ctx context.Context, api client.Client, job *platenv1alpha1.RenderJob, options ...client.CreateOption) error {
	select {
	case s.limiter.creates <- struct{}{}:
		defer func() { <-s.limiter.creates }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return api.Create(ctx, job, options...)
}

// preference is what a caller prefers (RFC 7240).
type preference struct {
	// wait is how long to wait for the job.
	wait time.Duration
	// async answers at once. With wait=N too, the wait comes first (RFC 7240, 4.3).
	async bool
}

// preferences reads Prefer: wait=N and Prefer: respond-async. Without them, the wait is defaultWait.
func preferences(h http.Header, defaultWait time.Duration) (preferred preference, err error) {
	preferred.wait = defaultWait
	waits := false
	for one := range strings.SplitSeq(strings.Join(h.Values("Prefer"), ","), ",") {
		one, _, _ = strings.Cut(one, ";")
		name, text, hasValue := strings.Cut(one, "=")
		switch name = strings.TrimSpace(name); {
		case strings.EqualFold(name, "respond-async"):
			preferred.async = true
		case strings.EqualFold(name, "wait") && hasValue && !waits: // the first of several counts
			text = strings.Trim(strings.TrimSpace(text), `"`)
			seconds, err := strconv.Atoi(text)
			if err != nil || seconds < 0 || seconds > int(maxWait.Seconds()) {
				return preferred, &FieldError{"Prefer", fmt.Sprintf("wait=%.20s must be a number of seconds from 0 to %d", text, int(maxWait.Seconds()))}
			}
			preferred.wait, waits = time.Duration(seconds)*time.Second, true
		}
	}
	preferred.async = preferred.async && !waits
	return preferred, nil
}

// create creates the job with the caller's token, or reads the job that an earlier request with the same idempotency key created. wrong has the mistakes
// of the request that are known; if there are some, here or there, the error names all.
func (s *Server) create(ctx context.Context, c caller, job *platenv1alpha1.RenderJob, template *platenv1alpha1.RenderTemplate, wrong *fieldsError) error {
	if wrong.err() != nil {
		return s.refuse(ctx, c, job, template, wrong)
	}
	if known, err := s.findByKey(ctx, c, job); known || err != nil {
		return err
	}
	api, err := c.Client()
	if err != nil {
		return err
	}
	if err := check(ctx, job, template); err != nil {
		// The cache may not have the last change of the template yet.
		current := &platenv1alpha1.RenderTemplate{}
		if api.Get(ctx, client.ObjectKeyFromObject(template), current) != nil || current.Generation == template.Generation {
			current = template
		}
		if current == template || check(ctx, job, current) != nil {
			return s.refuse(ctx, c, job, current, wrong)
		}
	}
	wanted := job.Annotations[digestAnnotation]
	markTrace(ctx, job)
	err = s.limitedCreate(ctx, api, job)
	if apierrors.IsAlreadyExists(err) {
		if err = api.Get(ctx, client.ObjectKeyFromObject(job), job); err == nil {
			err = sameRequest(job, wanted)
		}
	}
	if s.sayRefused(ctx, api, job, err, wrong); wrong.err() != nil {
		return wrong
	}
	return err
}

// findByKey looks for the job of an idempotency key in the cache, so that a repeated request costs the API server nothing.
func (s *Server) findByKey(ctx context.Context, c caller, job *platenv1alpha1.RenderJob) (known bool, err error) {
	if job.Name == "" {
		return false, nil
	}
	before := &platenv1alpha1.RenderJob{}
	err = s.Cache.Get(ctx, client.ObjectKeyFromObject(job), before)
	if apierrors.IsNotFound(err) || (err == nil && !before.DeletionTimestamp.IsZero()) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading a job: %w", err)
	}
	if err := s.allow(ctx, c, "get", "renderjobs"); err != nil {
		return false, err
	}
	wanted := job.Annotations[digestAnnotation]
	*job = *before
	return true, sameRequest(job, wanted)
}

// sameRequest returns an error if the idempotency key belongs to another request.
func sameRequest(job *platenv1alpha1.RenderJob, digest string) error {
	if job.Annotations[digestAnnotation] != digest {
		return callers.Errorf(http.StatusConflict, "Idempotency-Key: it was used before for another request; use a new one")
	}
	return nil
}

// await returns the job once it has finished or is suspended, or as it is when the wait is over or the process shuts down: as it is known if the
// watch has not seen it.
func (s *Server) await(ctx context.Context, known *platenv1alpha1.RenderJob, wait time.Duration) (*platenv1alpha1.RenderJob, error) {
	key, uid := client.ObjectKeyFromObject(known), known.UID
	ended, leave := s.Waiters.Register(uid)
	defer leave()
	if job, over, err := s.find(ctx, key, uid); err != nil || over {
		return job, err
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case job := <-ended:
		if job == nil {
			return nil, callers.Errorf(http.StatusGone, "the job '%s' was deleted", key.Name)
		}
		return job, nil
	case <-timer.C:
	case <-s.Stopping:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	job, _, err := s.find(ctx, key, uid)
	if err == nil && job == nil {
		job = known // the watch has seen neither the job nor its end: it goes on
	}
	return job, err
}

// find reads a job from the cache. job is nil if the cache does not have it, or has another job of that name. over is true once the job
// has finished or is suspended.
func (s *Server) find(ctx context.Context, key types.NamespacedName, uid types.UID) (job *platenv1alpha1.RenderJob, over bool, err error) {
	job = &platenv1alpha1.RenderJob{}
	err = s.Cache.Get(ctx, key, job)
	if apierrors.IsNotFound(err) || (err == nil && job.UID != uid) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading a job: %w", err)
	}
	return job, job.Finished() || job.Suspended(), nil
}
