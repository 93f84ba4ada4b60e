// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package renderpool keeps the render pods of each namespace as its RenderPool says, or as the manager's flags do: it shows the pool
// which pods exist, creates those that the pool asks for, and deletes those that have ended or are not heard.
package renderpool

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	ctrlreconcile "sigs.k8s.io/controller-runtime/pkg/reconcile"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/failpoint"
	"github.com/platen-dev/platen/internal/outbound"
	"github.com/platen-dev/platen/internal/podspec"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/reconcile"
)

// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups=platen.dev,resources=renderpools,verbs=get;list;watch
// +kubebuilder:rbac:groups=platen.dev,resources=renderpools/status,verbs=get;patch

// Selector matches render pods, for the manager's cache.
var Selector = client.MatchingLabels{
	podspec.ManagedByLabel: podspec.ManagedByPlaten,
	podspec.ComponentLabel: podspec.ComponentRenderer,
}

// Reconciler keeps render pods. A request names a namespace's RenderPool, whether it exists or not. Every field but OutboundAllow is
// required.
type Reconciler struct {
	// Client reads pods and RenderPools from the cache, and writes them. It may be a Guard.
	Client client.Client
	// Live reads pods from the API server.
	Live client.Reader
	// Pool decides which pods a namespace has.
	Pool *pool.Pool
	// PodConfig returns what all new render pods share.
	PodConfig func() podspec.Config
	// SigningKeys returns the keys that sign render pods, the newest first.
	SigningKeys func() [][]byte
	// Defaults are the settings of a namespace without a RenderPool.
	Defaults pool.Settings
	// OutboundAllow has the private prefixes that a RenderPool may let pages reach.
	OutboundAllow outbound.Prefixes
	// Changed has the requests of the namespaces for which the pool decides anew; see Request.
	Changed *reconcile.Changes
	// Recorder writes an event for each failure that a user must act on.
	Recorder events.EventRecorder
	// Clock tells the time.
	Clock clock.PassiveClock
	// Owns has the namespaces to reconcile; nil is all of them.
	Owns reconcile.Owns

	status reconcile.StatusWriter
	// counted has the time of the last status of each RenderPool.
	counted sync.Map // types.NamespacedName → time.Time
}

// Guard keeps the NetworkPolicy of a namespace with render pods.
type Guard interface {
	// Ensure makes the policy what a new pod needs.
	Ensure(ctx context.Context, pod *corev1.Pod) error
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	switch {
	case r.Client == nil, r.Live == nil, r.Pool == nil, r.PodConfig == nil, r.SigningKeys == nil, r.Changed == nil, r.Recorder == nil, r.Clock == nil:
		return errors.New("renderpool: every field of the Reconciler but OutboundAllow and Owns must be set")
	}
	r.status.Client = r.Client
	return ctrl.NewControllerManagedBy(mgr).
		WithEventFilter(r.Owns.Events()).
		For(&platenv1alpha1.RenderPool{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(func(_ context.Context, pod client.Object) []ctrlreconcile.Request {
			return []ctrlreconcile.Request{{NamespacedName: Request(pod.GetNamespace())}}
		})).
		WatchesRawSource(r.Changed).
		WithOptions(controller.Options{MaxConcurrentReconciles: 4, RateLimiter: reconcile.Backoff(reconcile.MaxBackoff), ReconciliationTimeout: time.Minute}).
		Complete(r.Owns.Requests(r))
}

// staleInterval is when to report again after the cache has shown a RenderPool without its last status.
const staleInterval = time.Second

// Request is the name by which the controller reconciles a namespace's pods.
func Request(namespace string) types.NamespacedName {
	return types.NamespacedName{Namespace: namespace, Name: platenv1alpha1.RenderPoolName}
}

// Reconcile shows the pool a namespace's render pods and does what the pool decides.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	renderPool := &platenv1alpha1.RenderPool{}
	err := r.Client.Get(ctx, req.NamespacedName, renderPool)
	switch {
	case apierrors.IsNotFound(err):
		renderPool = nil
		r.status.Forget(req.NamespacedName)
		r.counted.Delete(req.NamespacedName)
	case err != nil:
		return ctrl.Result{}, err
	}
	plan := r.plan(renderPool)
	after, err := r.keep(ctx, req.Namespace, plan, renderPool != nil)
	if err != nil || renderPool == nil {
		return ctrl.Result{RequeueAfter: after}, err
	}
	if r.status.IsStale(renderPool) { // the watch shows no changes of status
		return ctrl.Result{RequeueAfter: sooner(after, staleInterval)}, nil
	}
	next, err := r.report(ctx, renderPool, plan)
	return ctrl.Result{RequeueAfter: sooner(after, next)}, err
}

// sooner returns the shorter of two delays, of which 0 is never.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// keep shows the pool a namespace's render pods and does what the pool decides. It returns when to do so again, 0 for never.
func (r *Reconciler) keep(ctx context.Context, namespace string, plan plan, configured bool) (after time.Duration, err error) {
	pods := &corev1.PodList{}
	if err := r.Client.List(ctx, pods, client.InNamespace(namespace), Selector, client.UnsafeDisableDeepCopy); err != nil {
		return 0, fmt.Errorf("listing render pods: %w", err)
	}
	views := make([]pool.PodView, 0, len(pods.Items))
	var errs []error
	for i := range pods.Items {
		pod := &pods.Items[i]
		if !podspec.Signed(r.SigningKeys(), pod) {
			// A pod with our labels that Platen did not create, or that an early version or a lost key has left behind.
			if (isEarly(pod) || podspec.IsMarked(pod)) && hasEnded(pod) && pod.DeletionTimestamp == nil {
				errs = append(errs, r.delete(ctx, forced(pod)))
			}
			continue
		}
		view := viewOf(pod)
		view.Unfit = reachesMore(pod, plan.config)
		views = append(views, view)
		if view.Ended && !view.Deleting {
			errs = append(errs, r.delete(ctx, forced(pod)))
		}
	}
	if guard, ok := r.Client.(Guard); ok && len(views) > 0 {
		// What pods may reach narrows at once, not only with the next pod.
		errs = append(errs, guard.Ensure(ctx, podspec.Build(plan.config, namespace, podspec.NamePrefix, r.SigningKeys()[0])))
	}
	// A namespace that has neither pods nor jobs nor a RenderPool takes no memory.
	if configured || len(views) > 0 || !isEmpty(r.Pool.Status(namespace)) {
		r.Pool.Configure(namespace, plan.settings)
	}
	r.Pool.ObservePods(namespace, views)
	decision := r.Pool.Decide(namespace)
	for i, launch := range decision.Launch {
		uid, failure := r.create(ctx, namespace, launch, plan)
		r.Pool.Launched(namespace, launch, uid, failure)
		if failure != nil {
			for _, untried := range decision.Launch[i+1:] {
				r.Pool.Launched(namespace, untried, "", nil)
			}
			break
		}
	}
	errs = append(errs, r.deleteAll(ctx, decision.Delete))
	for _, id := range decision.Lookup {
		errs = append(errs, r.lookup(ctx, id))
	}
	if !configured && isEmpty(r.Pool.Status(namespace)) {
		r.Pool.Configure(namespace, pool.Settings{})
	}
	return decision.After, errors.Join(errs...)
}

// isEmpty reports whether a namespace has neither pods nor jobs. A problem of its last pods may outlive them.
func isEmpty(s pool.Status) bool {
	s.Problem = pool.Problem{}
	return s == (pool.Status{})
}

// create creates a render pod and returns its UID, or why it could not be created. It returns no error: the pool paces the attempts.
func (r *Reconciler) create(ctx context.Context, namespace string, launch pool.Launch, plan plan) (types.UID, *pool.LaunchFailure) {
	log := ctrl.LoggerFrom(ctx).WithValues("pod", launch.PodName)
	pod := podspec.Build(plan.config, namespace, launch.PodName, r.SigningKeys()[0])
	err := podspec.Check(pod)
	if err != nil {
		return "", &pool.LaunchFailure{Reason: platenv1alpha1.PodForbiddenReason, Message: "spec.podTemplate of the RenderPool: " + err.Error()}
	}
	err = r.Client.Create(ctx, pod)
	failpoint.Hit("pod.after-create-before-observe")
	if err == nil {
		log.Info("Created render pod")
		return pod.UID, nil
	}
	log.Info("Failed to create a render pod", "error", err.Error())
	failure := failureOf(err, pod.Name)
	return "", &failure
}

// failureOf returns the failure of a creation in the user's words. The name of the pod, which is another each time, is not in it.
func failureOf(err error, name string) pool.LaunchFailure {
	message := reconcile.Truncate(strings.ReplaceAll(err.Error(), fmt.Sprintf("%q ", name), ""), maxMessage)
	_, quota, exceeded := strings.Cut(message, "exceeded quota: ")
	switch {
	case apierrors.IsForbidden(err) && exceeded:
		_, limited, _ := strings.Cut(quota, ", limited: ")
		quota, _, _ = strings.Cut(quota, ",") // the used amounts follow, which change with each pod
		if limited != "" {
			quota += ", which allows " + limited
		}
		return pool.LaunchFailure{
			Reason: platenv1alpha1.QuotaExceededReason, Message: "no more render pods fit into the namespace: exceeded quota: " + quota,
		}
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsNotFound(err):
		return pool.LaunchFailure{Reason: platenv1alpha1.PodForbiddenReason, Message: "the API server refuses render pods: " + message}
	default:
		return pool.LaunchFailure{Reason: platenv1alpha1.QueuedReason, Message: "the API server did not take a render pod; Platen tries again"}
	}
}

// maxMessage bounds the API server's words, in bytes.
const maxMessage = 512

// forced is the deletion of a pod whose end nobody waits for.
func forced(pod *corev1.Pod) pool.Deletion {
	return pool.Deletion{PodID: pool.PodID{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}, Force: true}
}

// deleters is how many render pods of a namespace are deleted at a time.
const deleters = 8

// deleteAll deletes render pods, several at a time: other namespaces may wait for their room.
func (r *Reconciler) deleteAll(ctx context.Context, deletions []pool.Deletion) error {
	var group errgroup.Group
	group.SetLimit(deleters)
	for _, deletion := range deletions {
		group.Go(func() error { return r.delete(ctx, deletion) })
	}
	return group.Wait()
}

// delete deletes a render pod.
func (r *Reconciler) delete(ctx context.Context, d pool.Deletion) error {
	options := &client.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &d.UID}}
	if d.Force {
		options.GracePeriodSeconds = new(int64(0))
	}
	err := r.Client.Delete(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: d.Namespace, Name: d.Name}}, options)
	switch {
	case apierrors.IsNotFound(err), apierrors.IsConflict(err): // it is gone already
		r.Pool.Gone(d.Namespace, d.UID)
		return nil
	case err != nil:
		return fmt.Errorf("deleting render pod %s/%s: %w", d.Namespace, d.Name, err)
	}
	ctrl.LoggerFrom(ctx).Info("Deleted render pod", "pod", d.Name)
	return nil
}

// lookup asks the API server for a pod that the cache does not show.
func (r *Reconciler) lookup(ctx context.Context, id pool.PodID) error {
	pod := &corev1.Pod{}
	err := r.Live.Get(ctx, types.NamespacedName{Namespace: id.Namespace, Name: id.Name}, pod)
	switch {
	case apierrors.IsNotFound(err), err == nil && pod.UID != id.UID:
		r.Pool.Gone(id.Namespace, id.UID)
		return nil
	case err != nil:
		return fmt.Errorf("looking up render pod %s/%s: %w", id.Namespace, id.Name, err)
	}
	return nil
}

// isEarly reports whether a pod has the owner that early versions gave to render pods: a RenderJob controls it.
func isEarly(pod *corev1.Pod) bool {
	owner := metav1.GetControllerOf(pod)
	return owner != nil && owner.Kind == "RenderJob" && strings.HasPrefix(owner.APIVersion, platenv1alpha1.GroupVersion.Group+"/")
}

func hasEnded(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// reachesMore reports whether the pages of a pod may reach private addresses that those of new pods may not.
func reachesMore(pod *corev1.Pod, config podspec.Config) bool {
	var old, allowed outbound.Prefixes
	if err := errors.Join(old.Set(podspec.OutboundAllow(pod)), allowed.Set(config.OutboundAllow)); err != nil {
		return true
	}
	return slices.ContainsFunc(old, func(prefix netip.Prefix) bool { return !within(prefix, allowed) })
}

// viewOf returns what the pool needs to know about a pod.
func viewOf(pod *corev1.Pod) pool.PodView {
	return pool.PodView{
		Name: pod.Name, UID: pod.UID, Node: pod.Spec.NodeName, Hash: pod.Labels[podspec.HashLabel], Template: podspec.TemplateOf(pod),
		Started:   pod.Status.Phase != corev1.PodPending && pod.Status.Phase != "",
		Ended:     hasEnded(pod),
		Bare:      podspec.Bare(pod),
		Deleting:  pod.DeletionTimestamp != nil,
		Disrupted: podspec.Disrupted(pod),
		Problem:   pool.Problem(podspec.ProblemOf(pod)),
	}
}
