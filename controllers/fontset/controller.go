// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fontset checks FontSets: whether their files are fonts that pages can use, and what their licences say.
package fontset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/fonts"
	"github.com/platen-dev/platen/internal/plural"
	"github.com/platen-dev/platen/internal/reconcile"
)

// +kubebuilder:rbac:groups=platen.dev,resources=fontsets,verbs=get;list;watch
// +kubebuilder:rbac:groups=platen.dev,resources=fontsets/status,verbs=get;patch
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

const (
	// retryInterval is how soon to look again at a set with a file that is no font, and checkInterval at any other that has no ConfigMap, which nobody watches.
	retryInterval, checkInterval = 30 * time.Second, 10 * time.Minute
	// staleDelay is how soon to read a set again whose newest version the cache does not show yet.
	staleDelay = 200 * time.Millisecond
	// maxWarnings bounds status.warnings, maxWhere and maxMessage their texts, and maxPath the path of a font, in bytes.
	maxWarnings, maxWhere, maxMessage, maxPath = 32, 512, 1024, 1024
)

// Reconciler checks FontSets. Every field is required.
type Reconciler struct {
	// Client reads sets from the cache and writes their status.
	Client client.Client
	// Fonts reads the files.
	Fonts *fonts.Library
	// Changed has the sets whose files at URLs or in images jobs wait for.
	Changed *reconcile.Changes
	// Recorder writes an event for each failure that a user must act on.
	Recorder events.EventRecorder
	// Clock tells the time.
	Clock clock.PassiveClock
	// Owns has the namespaces to reconcile; nil is all of them.
	Owns reconcile.Owns

	status reconcile.StatusWriter
	pace   reconcile.Pace
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	if r.Client == nil || r.Fonts == nil || r.Changed == nil || r.Recorder == nil || r.Clock == nil {
		return errors.New("fontset: every field of the Reconciler but Owns must be set")
	}
	r.status.Client, r.status.Recorder, r.status.Action = r.Client, r.Recorder, "Check"
	return ctrl.NewControllerManagedBy(mgr).
		WithEventFilter(r.Owns.Events()).
		For(&platenv1alpha1.FontSet{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: 2, RateLimiter: reconcile.Backoff(reconcile.MaxBackoff), NewQueue: reconcile.NewFairQueue, ReconciliationTimeout: time.Minute}).
		WatchesRawSource(r.Changed).
		Complete(r.Owns.Requests(r))
}

// Reconcile checks one FontSet and writes its status if that has changed.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	before := &platenv1alpha1.FontSet{}
	err := r.Client.Get(ctx, req.NamespacedName, before)
	if apierrors.IsNotFound(err) || err == nil && !before.DeletionTimestamp.IsZero() {
		r.status.Forget(req.NamespacedName)
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	if r.status.IsStale(before) {
		return ctrl.Result{RequeueAfter: staleDelay}, nil // a newer status causes no reconciliation
	}
	// Only here: a server that does not answer keeps these workers busy, and no job of another namespace.
	if err := r.Fonts.Fetch(ctx, before); err != nil {
		return ctrl.Result{}, err
	}
	files, outcome := r.Fonts.Files(ctx, before)
	if outcome != nil && reconcile.AsTerminal(outcome) == nil && reconcile.AsWaiting(outcome) == nil {
		return ctrl.Result{}, outcome
	}
	after := before.DeepCopy()
	setStatus(after, files, outcome, metav1.NewTime(r.Clock.Now()))
	next, _, err := r.status.Finish(ctx, before, after, outcome)
	if err == nil && next.RequeueAfter == 0 {
		switch {
		case outcome != nil:
			next.RequeueAfter = retryInterval
		case slices.ContainsFunc(before.Spec.Sources, func(s platenv1alpha1.FontSource) bool { return s.ConfigMapRef != nil }):
			next.RequeueAfter = r.pace.Next(r.Clock.Now())
		default:
			next.RequeueAfter = checkInterval
		}
	}
	return next, err
}

// setStatus computes the whole status. It is pure. outcome says why there are no files; nil if all is well.
func setStatus(set *platenv1alpha1.FontSet, files []fonts.File, outcome error, now metav1.Time) {
	status := &set.Status
	status.ObservedGeneration = new(set.Generation)
	status.Families, status.Fonts, status.Warnings = nil, nil, nil
	for _, f := range files {
		status.Families = append(status.Families, f.Family)
		status.Fonts = append(status.Fonts, platenv1alpha1.Font{
			Family: f.Family, Style: f.Style, Weight: f.Weight, ConfigMap: f.ConfigMap, Key: f.Key, URL: f.URL,
			Image: f.Image, Path: reconcile.Truncate(f.Path, maxPath), Size: new(f.Size), SHA256: f.SHA256,
		})
		if f.Warning != "" && len(status.Warnings) < maxWarnings {
			status.Warnings = append(status.Warnings, platenv1alpha1.FontWarning{
				Where:   reconcile.Truncate(whereIs(f), maxWhere),
				Message: reconcile.Truncate(f.Warning, maxMessage),
			})
		}
	}
	slices.Sort(status.Families)
	status.Families = slices.Compact(status.Families)
	reason, message := platenv1alpha1.ValidReason, fmt.Sprintf("%s; pages use them as %s", plural.Count(len(files), "font file"), strings.Join(status.Families, ", "))
	if len(status.Warnings) > 0 {
		reason, message = platenv1alpha1.ValidWithWarningsReason, message+"; status.warnings lists what their licences say"
	}
	reconcile.Conditions{List: &status.Conditions, Generation: set.Generation, Now: now}.Summarize(outcome, reason, message)
}

// whereIs says where a font is.
func whereIs(f fonts.File) string {
	switch {
	case f.URL != "":
		return f.URL
	case f.Image != "":
		return fmt.Sprintf("file %s of image %s", f.Path, f.Image)
	default:
		return fmt.Sprintf("ConfigMap %s, key %s", f.ConfigMap, f.Key)
	}
}
