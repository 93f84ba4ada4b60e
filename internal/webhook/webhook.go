// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package webhook tells a URL that a RenderJob has ended. What it remembers of a delivery is a ConfigMap in the shim's own
// namespace, so that it needs no right to write jobs: replicas claim a delivery there, and one that restarts goes on from there.
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
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/outbound"
	"github.com/platen-dev/platen/internal/version"
)

const (
	// URLAnnotation names the URL that is called when a job has ended.
	URLAnnotation = "platen.dev/webhook-url"
	// Label marks the ConfigMaps in which deliveries are remembered.
	Label = "platen.dev/webhook-delivery"

	// callTimeout bounds one call.
	callTimeout = 10 * time.Second
	// claim is how long a replica has a delivery for itself: longer than a call takes.
	claim = 30 * time.Second
	// maxAttempts, the first after firstBackoff, each of the next after twice as long, are spread over a bit more than an hour.
	maxAttempts  = 11
	firstBackoff = 5 * time.Second
	maxBackoff   = 20 * time.Minute
	// workers is how many calls are made at a time.
	workers = 8
	// maxAnswer bounds what is read of an answer, so that the connection can be used again.
	maxAnswer = 16 << 10
)

// Words of Delivery.Status.
const (
	Pending   = "pending"
	Delivered = "delivered"
	Failed    = "failed"
)

// Delivery is what became of a job's webhook.
type Delivery struct {
	Status        string     `json:"status" required:"true" enum:"pending,delivered,failed"`
	Attempts      int        `json:"attempts" required:"true"`
	DeliveredAt   *time.Time `json:"delivered_at,omitempty"`
	NextAttemptAt *time.Time `json:"next_attempt_at,omitempty"`
	Error         string     `json:"error,omitempty" description:"Why the last attempt failed."`
}

// record is what is remembered of a delivery.
type record struct {
	Namespace  string    `json:"namespace"`
	Name       string    `json:"name"`
	UID        types.UID `json:"uid"`
	Generation int64     `json:"generation"`
	Delivery
	// Claimed until then: another replica is calling.
	Claimed time.Time `json:"claimed,omitzero"`
}

// Reconciler calls webhooks.
type Reconciler struct {
	// Client reads jobs and records from the cache, and writes records.
	Client client.Client
	// Reader reads jobs past the cache.
	Reader client.Reader
	// Namespace of the records.
	Namespace string
	// Policy says which addresses may be called.
	Policy outbound.Policy
	// Ended tells whether a job has ended.
	Ended func(*platenv1alpha1.RenderJob) bool
	// Body of the call for a job.
	Body func(*platenv1alpha1.RenderJob) ([]byte, error)
	// Secret with which the calls for a namespace are signed.
	Secret func(namespace string) []byte
	Clock  clock.PassiveClock

	calls *http.Client
}

// Secret is the text of a signing secret, as https://www.standardwebhooks.com writes it and its libraries read it.
func Secret(key []byte) string { return "whsec_" + base64.StdEncoding.EncodeToString(key) }

// SetupWithManager lets the manager run the Reconciler, in every replica.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.calls = &http.Client{
		Timeout: callTimeout,
		Transport: &http.Transport{
			DialContext: r.Policy.Dialer().DialContext, TLSHandshakeTimeout: callTimeout, ResponseHeaderTimeout: callTimeout,
			MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true,
		},
		// What was signed for one receiver is not carried to another.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	hooked := predicate.NewPredicateFuncs(func(o client.Object) bool { return o.GetAnnotations()[URLAnnotation] != "" })
	mine := predicate.NewPredicateFuncs(func(o client.Object) bool { return o.GetNamespace() == r.Namespace && o.GetLabels()[Label] != "" })
	err := ctrl.NewControllerManagedBy(mgr).Named("webhook").
		For(&platenv1alpha1.RenderJob{}, builder.WithPredicates(hooked)).
		Watches(&corev1.ConfigMap{}, handler.EnqueueRequestsFromMapFunc(jobOf), builder.WithPredicates(mine)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers, NeedLeaderElection: new(false)}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("setting up webhooks: %w", err)
	}
	return nil
}

// jobOf returns the job of a record, so that a record outlives no job.
func jobOf(_ context.Context, o client.Object) []reconcile.Request {
	configMap, ok := o.(*corev1.ConfigMap)
	if !ok {
		return nil
	}
	rec := parse(configMap)
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: rec.Namespace, Name: rec.Name}}}
}

// Reconcile calls a job's webhook when its time has come.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	job := &platenv1alpha1.RenderJob{}
	err := r.Client.Get(ctx, req.NamespacedName, job)
	if apierrors.IsNotFound(err) {
		return ctrl.Result{}, r.forget(ctx, req.NamespacedName)
	}
	hook := job.Annotations[URLAnnotation]
	if err != nil || hook == "" || !r.Ended(job) {
		return ctrl.Result{}, err
	}
	configMap, rec, err := r.load(ctx, job)
	if err != nil || rec.Status == Delivered || rec.Status == Failed {
		return ctrl.Result{}, err
	}
	if wait := rec.due().Sub(r.Clock.Now()); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}

	// Who writes the claim calls; the others see it, or fail to write theirs.
	rec.Attempts++
	rec.Claimed = r.Clock.Now().Add(claim)
	if err := r.save(ctx, configMap, rec); err != nil {
		return again(err)
	}
	err = r.call(ctx, hook, job)
	now := r.Clock.Now().UTC().Truncate(time.Second)
	rec.Claimed = time.Time{}
	switch {
	case err == nil:
		rec.Delivery = Delivery{Status: Delivered, Attempts: rec.Attempts, DeliveredAt: &now}
	case rec.Attempts >= maxAttempts:
		rec.Delivery = Delivery{Status: Failed, Attempts: rec.Attempts, Error: err.Error()}
	default:
		rec.Delivery = Delivery{Status: Pending, Attempts: rec.Attempts, NextAttemptAt: new(now.Add(backoff(rec.Attempts))), Error: err.Error()}
	}
	ctrl.LoggerFrom(ctx).Info("Called a webhook", "status", rec.Status, "attempts", rec.Attempts, "error", rec.Error)
	if err := r.save(ctx, configMap, rec); err != nil {
		return again(err)
	}
	if next := rec.NextAttemptAt; next != nil {
		return ctrl.Result{RequeueAfter: next.Sub(now)}, nil
	}
	return ctrl.Result{}, nil
}

// again drops the error of a replica that came too late: the other's record comes by the watch.
func again(err error) (ctrl.Result, error) {
	if apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: claim}, nil
	}
	return ctrl.Result{}, err
}

func backoff(attempts int) time.Duration { return min(firstBackoff<<(attempts-1), maxBackoff) }

// due is when the next call may be made.
func (r record) due() time.Time {
	if next := r.NextAttemptAt; next != nil && next.After(r.Claimed) {
		return *next
	}
	return r.Claimed
}

// call makes one call. Its error is for the caller of the API to read, and holds nothing of the URL.
func (r *Reconciler) call(ctx context.Context, hook string, job *platenv1alpha1.RenderJob) error {
	body, err := r.Body(job)
	if err != nil {
		return errors.New("the answer could not be written")
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, hook, bytes.NewReader(body))
	if err != nil {
		return errors.New("the webhook must be an http or https URL")
	}
	signer, err := standardwebhooks.NewWebhookRaw(r.Secret(job.Namespace))
	if err != nil {
		return errors.New("the call could not be signed")
	}
	// The same for every attempt, so that a receiver knows what it has seen.
	id, now := fmt.Sprintf("%s-%d", job.UID, job.Generation), r.Clock.Now()
	signature, err := signer.Sign(id, now, body)
	if err != nil {
		return errors.New("the call could not be signed")
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "platen/"+version.Version)
	request.Header.Set(standardwebhooks.HeaderWebhookID, id)
	request.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	request.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	resp, err := r.calls.Do(request)
	switch {
	case errors.Is(err, outbound.ErrRefused):
		return outbound.ErrRefused
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("no answer within %s", callTimeout)
	case err != nil:
		return errors.New("no connection, or no HTTP answer; check the URL, its name in DNS and its certificate")
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the answer was HTTP %d; 2xx is expected, and redirects are not followed", resp.StatusCode)
	}
	return nil
}

// recordName is the ConfigMap of a job of that name.
func recordName(job types.NamespacedName) string {
	digest := sha256.Sum256([]byte(job.String()))
	return "webhook-" + hex.EncodeToString(digest[:10])
}

func parse(configMap *corev1.ConfigMap) (rec record) {
	// What cannot be read is begun anew.
	_ = json.Unmarshal([]byte(configMap.Data["delivery"]), &rec)
	return rec
}

// load returns the record of the job's generation, new when there is none. configMap is nil when it is not stored yet.
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
		return nil, record{}, fmt.Errorf("reading what is remembered of a webhook: %w", err)
	default:
		configMap = configMap.DeepCopy()
		rec = parse(configMap)
	}
	if rec.UID != job.UID || rec.Generation != job.Generation {
		rec = record{
			Namespace: job.Namespace, Name: job.Name, UID: job.UID, Generation: job.Generation, Delivery: Delivery{Status: Pending},
		}
	}
	return configMap, rec, nil
}

// save writes a record if nobody else has written it since it was read.
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

// forget deletes the record of a job that is gone. The cache may be behind: another replica may have made the record of a job
// that this one has not seen yet.
func (r *Reconciler) forget(ctx context.Context, job types.NamespacedName) error {
	err := r.Reader.Get(ctx, job, &platenv1alpha1.RenderJob{})
	if !apierrors.IsNotFound(err) {
		return err
	}
	configMap := &corev1.ConfigMap{}
	err = r.Client.Get(ctx, types.NamespacedName{Namespace: r.Namespace, Name: recordName(job)}, configMap)
	if err == nil {
		err = r.Client.Delete(ctx, configMap)
	}
	return client.IgnoreNotFound(err)
}

// Delivery tells what became of a job's webhook; nil when it has none.
func (r *Reconciler) Delivery(ctx context.Context, job *platenv1alpha1.RenderJob) (*Delivery, error) {
	if job.Annotations[URLAnnotation] == "" {
		return nil, nil //nolint:nilnil // a job without a webhook has no delivery
	}
	_, rec, err := r.load(ctx, job)
	if err != nil {
		return nil, err
	}
	return &rec.Delivery, nil
}
