// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package webhook calls a URL once a RenderJob has ended. The state of a delivery is a ConfigMap in the shim's namespace, so the package
// needs no right to write jobs. A replica claims a delivery in the ConfigMap before it calls; after a restart it reads the state there.
package webhook

import (
	"bytes"
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
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/outbound"
	"github.com/platen-dev/platen/internal/reach"
	"github.com/platen-dev/platen/internal/shares"
	"github.com/platen-dev/platen/internal/tracing"
	"github.com/platen-dev/platen/internal/version"
)

const (
	// Label marks the ConfigMaps with the state of deliveries.
	Label = "platen.dev/webhook-delivery"

	// callTimeout bounds one call.
	callTimeout = 10 * time.Second
	// claimTime is how long a claim lasts. It must be longer than callTimeout.
	claimTime = 30 * time.Second
	// maxAttempts bounds the calls. The wait after the first is firstBackoff and doubles up to maxBackoff: all calls take a little
	// more than an hour.
	maxAttempts  = 11
	firstBackoff = 5 * time.Second
	maxBackoff   = 20 * time.Minute
	// longestPlan is how far ahead a call may be planned; a later time is of a replica whose clock was ahead.
	longestPlan = maxBackoff + claimTime
	// firstRetry and lastRetry are how soon the API server is asked again after its first failure and after many.
	firstRetry, lastRetry = 5 * time.Millisecond, 30 * time.Second
	// workers bounds the calls in progress, and share those of one namespace: receivers that do not answer hold up the calls of their own only.
	workers, share = 32, 8
	// turn is the wait for a call that exceeds its namespace's share.
	turn = 2 * time.Second
	// maxAnswer bounds the bytes read of an answer; reading it lets the client reuse the connection.
	maxAnswer = 16 << 10
)

// The values of Delivery.Status.
const (
	Pending   = "pending"
	Delivered = "delivered"
	Failed    = "failed"
)

// Delivery is the state of a job's webhook.
type Delivery struct {
	Status        string     `json:"status" required:"true" enum:"pending,delivered,failed"`
	Attempts      int        `json:"attempts" required:"true"`
	DeliveredAt   *time.Time `json:"delivered_at,omitempty"`
	NextAttemptAt *time.Time `json:"next_attempt_at,omitempty"`
	Error         string     `json:"error,omitempty" description:"Why the last attempt failed, or why there is none."`
}

// record is the stored state of a delivery.
type record struct {
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	UID       types.UID `json:"uid"`
	// Generation at which the outcome was first seen, which is part of the calls' id, and Revision, what was rendered and where it went. A
	// generation that keeps the outcome makes no call.
	Generation int64  `json:"generation"`
	Revision   string `json:"revision"`
	Delivery
	// Claimed is when the claim of the calling replica ends; zero if no replica is calling.
	Claimed time.Time `json:"claimed,omitzero"`
}

// Reconciler calls webhooks.
type Reconciler struct {
	// Client reads jobs and records from the cache, and writes records.
	Client client.Client
	// Reader reads jobs from the API server.
	Reader client.Reader
	// Namespace holds the records.
	Namespace string
	// Policy says which addresses may be called.
	Policy outbound.Policy
	// Ended tells whether a job has ended.
	Ended func(*platenv1alpha1.RenderJob) bool
	// Body returns the body of the call for a job.
	Body func(*platenv1alpha1.RenderJob) ([]byte, error)
	// Secret returns the key that signs the calls for a namespace.
	Secret func(namespace string) []byte
	Clock  clock.PassiveClock
	// Tracer makes a span of each call for a traced job; nil for none.
	Tracer *tracing.Tracer

	calls *http.Client

	// busy counts the calls in progress.
	busy shares.Shares
}

// Secret returns a signing key in the format that the libraries of https://www.standardwebhooks.com read.
func Secret(key []byte) string { return "whsec_" + base64.StdEncoding.EncodeToString(key) }

// watched are the changes of jobs that may need a call, or the end of a record: a job may have lost its annotation before it was deleted.
var watched = predicate.Funcs{
	CreateFunc:  func(e event.CreateEvent) bool { return hasWebhook(e.Object) },
	UpdateFunc:  func(e event.UpdateEvent) bool { return hasWebhook(e.ObjectNew) },
	GenericFunc: func(event.GenericEvent) bool { return false },
}

func hasWebhook(o client.Object) bool {
	return o.GetAnnotations()[platenv1alpha1.WebhookURLAnnotation] != ""
}

// SetupWithManager adds the Reconciler to a manager. It runs in every replica.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.calls = &http.Client{
		Timeout:   callTimeout,
		Transport: r.Tracer.Transport(r.Policy.Transport(), func(*http.Request) string { return "webhook" }),
		// A redirect would send the signed call to another receiver.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	isRecord := predicate.NewPredicateFuncs(func(o client.Object) bool { return o.GetNamespace() == r.Namespace && o.GetLabels()[Label] != "" })
	err := ctrl.NewControllerManagedBy(mgr).Named("webhook").
		For(&platenv1alpha1.RenderJob{}, builder.WithPredicates(watched)).
		Watches(&corev1.ConfigMap{}, handler.EnqueueRequestsFromMapFunc(jobOf), builder.WithPredicates(isRecord)).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: workers, NeedLeaderElection: new(false),
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, lastRetry),
		}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("setting up webhooks: %w", err)
	}
	return nil
}

// jobOf maps a record to its job, so that a record without a job is deleted.
func jobOf(_ context.Context, o client.Object) []reconcile.Request {
	configMap, ok := o.(*corev1.ConfigMap)
	if !ok {
		return nil
	}
	rec := parse(configMap)
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: rec.Namespace, Name: rec.Name}}}
}

// Reconcile calls a job's webhook if the job has ended and a call is due.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	job := &platenv1alpha1.RenderJob{}
	err := r.Client.Get(ctx, req.NamespacedName, job)
	if apierrors.IsNotFound(err) {
		return ctrl.Result{}, r.forget(ctx, req.NamespacedName)
	}
	hook := job.Annotations[platenv1alpha1.WebhookURLAnnotation]
	if err != nil || hook == "" || !r.Ended(job) || job.WebhookProblem() != "" {
		return ctrl.Result{}, err // Delivery says of a URL that can never be called that the call has failed
	}
	configMap, rec, err := r.load(ctx, job)
	if err != nil || rec.Status == Delivered || rec.Status == Failed {
		return ctrl.Result{}, err
	}
	if wait := rec.due().Sub(r.Clock.Now()); wait > 0 && wait <= longestPlan {
		return ctrl.Result{RequeueAfter: wait}, nil
	}

	if !r.busy.Enter(job.Namespace, share) {
		return ctrl.Result{RequeueAfter: turn}, nil
	}
	defer r.busy.Leave(job.Namespace)
	// The replica that writes its claim makes the call. The others see the claim, or fail to write theirs.
	rec.Attempts++
	rec.Claimed = r.Clock.Now().Add(claimTime)
	if err := r.save(ctx, configMap, rec); err != nil {
		return waitForClaim(err)
	}
	// A stop lets the call end, and its record: the receiver would get it again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimTime)
	defer cancel()
	err = r.call(ctx, hook, job, rec.Generation)
	now := r.Clock.Now().UTC().Truncate(time.Second)
	rec.Claimed = time.Time{}
	refusal := &refusedError{}
	errors.As(err, &refusal)
	switch {
	case err == nil:
		rec.Delivery = Delivery{Status: Delivered, Attempts: rec.Attempts, DeliveredAt: &now}
	case rec.Attempts >= maxAttempts || refusal.status == http.StatusGone:
		rec.Delivery = Delivery{Status: Failed, Attempts: rec.Attempts, Error: err.Error()}
	default:
		wait := max(backoff(rec.Attempts), refusal.after)
		rec.Delivery = Delivery{Status: Pending, Attempts: rec.Attempts, NextAttemptAt: new(now.Add(wait)), Error: err.Error()}
	}
	ctrl.LoggerFrom(ctx).Info("Called a webhook", "status", rec.Status, "attempts", rec.Attempts, "error", rec.Error)
	if err := r.save(ctx, configMap, rec); err != nil {
		return waitForClaim(err)
	}
	if next := rec.NextAttemptAt; next != nil {
		return ctrl.Result{RequeueAfter: next.Sub(now)}, nil
	}
	return ctrl.Result{}, nil
}

// waitForClaim turns a conflict with another replica's claim into a requeue after that claim's end.
func waitForClaim(err error) (ctrl.Result, error) {
	if apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: claimTime}, nil
	}
	return ctrl.Result{}, err
}

// backoff returns the wait after the given number of attempts.
func backoff(attempts int) time.Duration { return min(firstBackoff<<(attempts-1), maxBackoff) }

// due returns the earliest time of the next call.
func (r record) due() time.Time {
	if next := r.NextAttemptAt; next != nil && next.After(r.Claimed) {
		return *next
	}
	return r.Claimed
}

// call makes one call. Its error has no part of the URL, because the API's callers see it.
func (r *Reconciler) call(ctx context.Context, hook string, job *platenv1alpha1.RenderJob, generation int64) error {
	body, err := r.Body(job)
	if err != nil {
		return errors.New("the body of the call could not be made")
	}
	ctx, cancel := context.WithTimeout(r.Tracer.InRun(ctx, tracing.Run{
		UID: string(job.UID), Generation: generation, Traceparent: job.Annotations[platenv1alpha1.TraceparentAnnotation],
	}), callTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, hook, bytes.NewReader(body))
	if err != nil {
		return errors.New("the call could not be made")
	}
	signer, err := standardwebhooks.NewWebhookRaw(r.Secret(job.Namespace))
	if err != nil {
		return errors.New("the call could not be signed")
	}
	// The id is the same in every attempt, so that a receiver can recognise repetitions.
	id, now := fmt.Sprintf("%s-%d", job.UID, generation), r.Clock.Now()
	signature, err := signer.Sign(id, now, body)
	if err != nil {
		return errors.New("the call could not be signed")
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "platen/"+version.Version)
	request.Header.Set(standardwebhooks.HeaderWebhookID, id)
	request.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	request.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	setEvent(request.Header, job, id)
	resp, err := r.calls.Do(request)
	switch {
	case errors.Is(err, outbound.ErrRefused):
		return fmt.Errorf("%w; an administrator can allow others with the shim's flag --webhook-allow", outbound.ErrRefused)
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("no answer within %s", callTimeout)
	case err != nil:
		return errors.New(unreached(err))
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	if resp.StatusCode/100 != 2 {
		return &refusedError{resp.StatusCode, reach.RetryAfter(resp.Header, now, maxBackoff)}
	}
	return nil
}

// refusedError is an answer that is not 2xx. after is how long its receiver asks to wait, at most maxBackoff; 0 if it does not.
type refusedError struct {
	status int
	after  time.Duration
}

// Error implements error.
func (e *refusedError) Error() string {
	if e.status == http.StatusGone {
		return "the answer was HTTP 410: the receiver wants no more calls for this job"
	}
	return fmt.Sprintf("the answer was HTTP %d; it must be 2xx, and redirects are not followed", e.status)
}

// unreached says why a receiver was not reached, without a part of its URL.
func unreached(err error) string {
	if why := reach.Why(err); why != "" {
		return "no connection" + why
	}
	return "no connection, or no HTTP answer; check the URL, its name in DNS and its certificate"
}

// eventType is the type of the CloudEvent that each call is.
const eventType = "dev.platen.renderjob.finished"

// setEvent makes a call a CloudEvent in the binary content mode (https://github.com/cloudevents/spec, HTTP protocol binding 1.0.2, section 3.1).
func setEvent(header http.Header, job *platenv1alpha1.RenderJob, id string) {
	header.Set("Ce-Specversion", "1.0")
	header.Set("Ce-Id", id)
	header.Set("Ce-Type", eventType)
	header.Set("Ce-Source", fmt.Sprintf("/apis/%s/namespaces/%s/renderjobs", platenv1alpha1.GroupVersion, job.Namespace))
	header.Set("Ce-Subject", job.Name)
	if ended := job.Status.CompletionTime; ended != nil {
		header.Set("Ce-Time", ended.UTC().Format(time.RFC3339))
	}
}

// recordName returns the name of a job's record.
func recordName(job types.NamespacedName) string {
	digest := sha256.Sum256([]byte(job.String()))
	return "webhook-" + hex.EncodeToString(digest[:10])
}

func parse(configMap *corev1.ConfigMap) (rec record) {
	// A record that cannot be read starts again from zero.
	_ = json.Unmarshal([]byte(configMap.Data["delivery"]), &rec)
	return rec
}

// load returns the record of the job's outcome and its ConfigMap, which has no resourceVersion if it is not stored yet.
func (r *Reconciler) load(ctx context.Context, job *platenv1alpha1.RenderJob) (configMap *corev1.ConfigMap, rec record, err error) {
	key := types.NamespacedName{Namespace: r.Namespace, Name: recordName(client.ObjectKeyFromObject(job))}
	configMap = &corev1.ConfigMap{}
	err = r.Client.Get(ctx, key, configMap)
	switch {
	case apierrors.IsNotFound(err):
		configMap = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
			Namespace: key.Namespace, Name: key.Name, Labels: map[string]string{Label: "true", "app.kubernetes.io/name": "platen"},
		}}
	case err != nil:
		return nil, record{}, fmt.Errorf("reading the record of a webhook: %w", err)
	default:
		configMap = configMap.DeepCopy()
		rec = parse(configMap)
	}
	if revision := job.Status.RenderRevision + "/" + job.Status.UploadRevision; rec.UID != job.UID || rec.Revision != revision {
		rec = record{
			Namespace: job.Namespace, Name: job.Name, UID: job.UID, Generation: job.Generation, Revision: revision, Delivery: Delivery{Status: Pending},
		}
	}
	return configMap, rec, nil
}

// save writes a record. The error is Conflict or AlreadyExists if another replica has written it since load.
func (r *Reconciler) save(ctx context.Context, configMap *corev1.ConfigMap, rec record) error {
	text, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	configMap.Data = map[string]string{"delivery": string(text)}
	if configMap.ResourceVersion == "" {
		return r.Client.Create(ctx, configMap)
	}
	return r.Client.Update(ctx, configMap)
}

// forget deletes the record of a job that does not exist, if there is one. It asks the API server about the job, because another replica may
// have made the record of a job that this replica's cache does not have yet.
func (r *Reconciler) forget(ctx context.Context, job types.NamespacedName) error {
	configMap := &corev1.ConfigMap{}
	err := r.Client.Get(ctx, types.NamespacedName{Namespace: r.Namespace, Name: recordName(job)}, configMap)
	if err != nil {
		return client.IgnoreNotFound(err)
	}
	if err = r.Reader.Get(ctx, job, &platenv1alpha1.RenderJob{}); apierrors.IsNotFound(err) {
		err = client.IgnoreNotFound(r.Client.Delete(ctx, configMap))
	}
	return err
}

// Delivery returns the state of a job's webhook; nil if the job has none.
func (r *Reconciler) Delivery(ctx context.Context, job *platenv1alpha1.RenderJob) (*Delivery, error) {
	if job.Annotations[platenv1alpha1.WebhookURLAnnotation] == "" {
		return nil, nil //nolint:nilnil // a job without a webhook has no delivery
	}
	if problem := job.WebhookProblem(); problem != "" {
		return &Delivery{Status: Failed, Error: problem}, nil
	}
	_, rec, err := r.load(ctx, job)
	if err != nil {
		return nil, err
	}
	return &rec.Delivery, nil
}
