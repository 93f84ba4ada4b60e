// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/callers"
	"github.com/platen-dev/platen/internal/connections"
	"github.com/platen-dev/platen/internal/values"
	"github.com/platen-dev/platen/internal/webhook"
)

// minMilliseconds is the smallest expiresAt that means milliseconds; a smaller one means seconds. Clients send either.
const minMilliseconds = 100_000_000_000

// formats are those of a signed URL's file. RenderJobs have the same, and name the field as a render's request does.
var formats = []string{"png", "jpg", "jpeg", "webp", "avif", "pdf", "mp4", "webm", "gif"}

// refusedURLTTL is how long the job of a signed URL is kept that only the manager can refuse: whoever opens the URL sees why.
const refusedURLTTL = time.Hour

// watchLag is how long a replica's watch may take to see a new job.
const watchLag = 2 * time.Second

// SignedURLRequest is the body of POST /v1/signed-url/create.
type SignedURLRequest struct {
	TemplateID     TemplateID `json:"templateId" required:"true"`
	Modifications  Object     `json:"modifications"`
	RenderType     string     `json:"renderType,omitempty" enum:"images,pdfs" description:"Default images."`
	ResponseFormat string     `json:"responseFormat,omitempty" instead:"format,response" enum:"png,jpg,jpeg,webp,avif,pdf,mp4,webm,gif" description:"Default png, and pdf for pdfs."`
	ExpiresAt      *Expiry    `json:"expiresAt,omitempty" description:"Unix time in seconds or milliseconds, or never. Default: as late as possible."`
	Source         string     `json:"source,omitempty" description:"The SDK's name; ignored."`
}

// SignedURLAnswer is the answer to a SignedURLRequest.
type SignedURLAnswer struct {
	Data      string    `json:"data" required:"true" format:"uri" description:"A URL that anyone can GET, without a token, until it expires."`
	ExpiresAt int64     `json:"expiresAt" required:"true" description:"Unix time in seconds."`
	Warnings  []Warning `json:"warnings,omitempty"`
}

// createSignedURL answers POST /v1/signed-url/create. It renders at once, because it has the caller's rights only now.
func (s *Server) createSignedURL(w http.ResponseWriter, r *http.Request, c caller) error {
	body, done, err := s.read(w, r, c)
	if err != nil {
		return err
	}
	defer done()
	wrong := &fieldsError{} // the answer names all mistakes
	request, warnings, err := parseInto[SignedURLRequest](body, wrong)
	if err != nil {
		return err
	}
	warnings = append(warnings, unknownParameters(r)...)
	kind := cmp.Or(request.RenderType, images)
	if kind != images && kind != pdfs {
		_ = wrong.add(&FieldError{"renderType", fmt.Sprintf("'%.100s' must be images or pdfs", kind)})
	}
	if format := request.ResponseFormat; format != "" && !slices.Contains(formats, format) {
		_ = wrong.add(&FieldError{"responseFormat", fmt.Sprintf("'%.100s' must be %s", format, strings.Join(formats, ", "))})
		request.ResponseFormat = "" // what a job says of it has another name
	}
	expires, shortened, err := expiry(request.ExpiresAt, time.Now(), s.SignedURLTTL)
	if err != nil {
		_ = wrong.add(err) // it is of a field
		expires = time.Now().Add(s.SignedURLTTL)
	}
	if shortened {
		warnings = append(warnings, Warning{
			Title:   "The URL expires earlier than requested, at " + expires.UTC().Format(time.RFC3339),
			Details: "files can be read for " + duration.HumanDuration(s.SignedURLTTL),
		})
	}
	render := Request{TemplateID: request.TemplateID}
	render.Modifications = request.Modifications
	render.Response.Type, render.Response.Format = typeBinary, request.ResponseFormat
	warnings = append(warnings, formatOf(kind, "responseFormat", &render.Response.Format)...)
	render.check(wrong)
	template, err := s.templateOfRequest(r.Context(), c, render, wrong)
	if err != nil {
		return err
	}
	if pages := len(template.Spec.Pages); pages > 1 && render.Response.Format != string(platenv1alpha1.FormatPDF) {
		warnings = append(warnings, Warning{
			Title:   fmt.Sprintf("The URL answers with a ZIP archive of %d files", pages),
			Details: "add &page=1 to it for the file of the first page",
		})
	}
	render.Modifications = render.Modifications.textsFor(template)
	key, err := idempotencyKey(r.Header)
	if err := wrong.add(err); err != nil {
		return err
	}
	job, err := newJob(c, render, nil, template.Name, key, append([]byte(r.URL.Path+"\n"), body...))
	if err := wrong.add(err); err != nil {
		return err
	}
	if given := job.Spec.Modifications; given != nil {
		if modifications, err := values.Decode(given.Raw); err == nil { // else the API server says what is wrong
			warnings = append(warnings, unused(template, slices.Collect(maps.Keys(modifications)), given.Raw)...)
		}
	}
	// Keep the file until the URL expires.
	job.Spec.TTLSecondsAfterFinished = new(int32(time.Until(expires).Seconds()) + 1)
	job.Annotations[platenv1alpha1.RefusedTTLAnnotation] = strconv.Itoa(int(refusedURLTTL.Seconds()))
	if err := s.create(r.Context(), c, job, template, wrong); err != nil {
		return err
	}
	requestLog(w).job = job.Name
	expires = keptUntil(job, expires)
	id := client.ObjectKeyFromObject(job).String() + "/" + string(job.UID)
	query := url.Values{"id": {id}, "expiresAt": {strconv.FormatInt(expires.Unix(), 10)}}
	query.Set("signature", s.sign(kind, id, query.Get("expiresAt")))
	writeJSON(w, http.StatusOK, SignedURLAnswer{
		Data:      s.publicURL(r) + "/v1/generate/" + kind + "?" + query.Encode(),
		ExpiresAt: expires.Unix(),
		Warnings:  warnings,
	})
	return nil
}

// keptUntil returns when a URL of a job's file that is to last until a time has to expire: the job of an Idempotency-Key may be days old, and its file
// is kept from then.
func keptUntil(job *platenv1alpha1.RenderJob, wanted time.Time) time.Time {
	kept := job.CreationTimestamp.Add(time.Duration(ptr.Deref(job.Spec.TTLSecondsAfterFinished, 0)) * time.Second)
	if kept.Before(wanted) {
		return kept
	}
	return wanted
}

// Expiry is a Unix time in seconds or milliseconds, or never.
type Expiry float64

// never is later than every time.
const never Expiry = math.MaxFloat64

// JSONSchemaBytes implements jsonschema.RawExposer.
func (Expiry) JSONSchemaBytes() ([]byte, error) { return []byte(`{"type":["number","string"]}`), nil }

// tidyExpiry is tidy for an Expiry.
func tidyExpiry(text string, wrong func(want string) error) (json.RawMessage, error) {
	if text == "null" {
		return nil, nil
	}
	if strings.EqualFold(text, "never") {
		return json.Marshal(never)
	}
	if _, err := strconv.ParseFloat(text, 64); err != nil || !json.Valid([]byte(text)) {
		return nil, wrong("a Unix time in seconds or milliseconds, or never")
	}
	return json.RawMessage(text), nil
}

// expiry reads expiresAt. shortened is true if it is later than ttl allows.
func expiry(at *Expiry, now time.Time, ttl time.Duration) (expires time.Time, shortened bool, err error) {
	latest := now.Add(ttl)
	if at == nil {
		return latest, false, nil
	}
	seconds := float64(*at)
	if seconds >= minMilliseconds {
		seconds /= 1000
	}
	switch {
	case seconds <= float64(now.Unix()):
		return time.Time{}, false, &FieldError{"expiresAt", "must be a Unix time in the future, in seconds or milliseconds"}
	case seconds > float64(latest.Unix()):
		return latest, true, nil
	default:
		return time.Unix(int64(seconds), 0), false, nil
	}
}

func (s *Server) sign(kind, id, expiresAt string) string {
	mac := hmac.New(sha256.New, s.urlKey)
	_, _ = fmt.Fprintf(mac, "%s\n%s\n%s", kind, id, expiresAt)
	return hex.EncodeToString(mac.Sum(nil))
}

func (s *Server) publicURL(r *http.Request) string {
	if s.PublicURL != "" {
		return strings.TrimSuffix(s.PublicURL, "/")
	}
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// openSignedURL answers GET /v1/generate/{kind}?id=… with the file, once it is rendered.
func (s *Server) openSignedURL(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	id, expiresAt := query.Get("id"), query.Get("expiresAt")
	if !hmac.Equal([]byte(s.sign(r.PathValue("kind"), id, expiresAt)), []byte(query.Get("signature"))) {
		return callers.Errorf(http.StatusForbidden, "the signature of this URL is not valid")
	}
	if seconds, err := strconv.ParseInt(expiresAt, 10, 64); err != nil || time.Now().Unix() >= seconds {
		return callers.Errorf(http.StatusForbidden, "this URL has expired; create a new one")
	}
	connections.Admit(r.Context(), "")
	// The limits of one caller apply to each URL.
	_, done, err := s.limiter.admit("signed URL " + id)
	if err != nil {
		return err
	}
	defer done()
	parts := strings.Split(id, "/")
	if len(parts) != 3 {
		return callers.Errorf(http.StatusForbidden, "the signature of this URL is not valid")
	}
	known := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: parts[0], Name: parts[1], UID: types.UID(parts[2])}}
	log := requestLog(w)
	log.namespace, log.job = known.Namespace, known.Name
	job, _, err := s.find(r.Context(), client.ObjectKeyFromObject(known), known.UID)
	if err == nil && job == nil {
		// The watch may not have seen a new job yet.
		job, err = s.await(r.Context(), known, watchLag)
	}
	if err != nil {
		return err
	}
	if job.ResourceVersion == "" {
		return &codeError{http.StatusNotFound, codeJobNotFound, "the file of this URL is no longer kept"}
	}
	w.Header().Set("Cache-Control", "private, max-age=300")
	w.Header().Set("Content-Security-Policy", "sandbox; default-src 'none'")
	return s.awaitAndRespond(w, r, known, s.Wait, nil)
}

// WebhookSecret is the answer of GET /v1/studio/webhook-secret.
type WebhookSecret struct {
	Secret string `json:"secret" required:"true" description:"Verifies the workspace's webhooks with the libraries of https://www.standardwebhooks.com."`
}

// webhookSecret answers GET /v1/studio/webhook-secret. It requires the right to create jobs, as a webhook does.
func (s *Server) webhookSecret(w http.ResponseWriter, r *http.Request, c caller) error {
	if err := s.allow(r.Context(), c, "create", "renderjobs"); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, WebhookSecret{webhook.Secret(WebhookKey(s.Derive, c.namespace))})
	return nil
}
