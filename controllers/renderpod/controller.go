// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package renderpod keeps the render pods of each namespace: it shows the pool which pods exist, creates those that the pool asks for,
// and deletes those that have ended.
package renderpod

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/platen-dev/platen/internal/failpoint"
	"github.com/platen-dev/platen/internal/podspec"
	"github.com/platen-dev/platen/internal/pool"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create

// Selector matches render pods, for the manager's cache.
var Selector = client.MatchingLabels{
	podspec.ManagedByLabel: podspec.ManagedByPlaten,
	podspec.ComponentLabel: podspec.ComponentRenderer,
}

// Reconciler keeps render pods. A request names a namespace and its built-in pool "default". Client, Pool and Changed are required.
type Reconciler struct {
	// Client reads pods from the cache and writes them.
	Client client.Client
	// Pool decides how many pods a namespace has.
	Pool *pool.Pool
	// PodConfig returns what all new render pods share.
	PodConfig func() podspec.Config
	// Changed carries the namespaces that may need another pod.
	Changed <-chan event.TypedGenericEvent[string]
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	if r.Client == nil || r.Pool == nil || r.Changed == nil {
		return errors.New("renderpod: Client, Pool and Changed must be set")
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("renderpod").
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(func(_ context.Context, pod client.Object) []reconcile.Request {
			return []reconcile.Request{request(pod.GetNamespace())}
		})).
		WatchesRawSource(source.TypedChannel(r.Changed, handler.TypedEnqueueRequestsFromMapFunc(
			func(_ context.Context, namespace string) []reconcile.Request {
				return []reconcile.Request{request(namespace)}
			},
		))).
		WithOptions(controller.Options{MaxConcurrentReconciles: 4, ReconciliationTimeout: time.Minute}).
		Complete(r)
}

// request is the request for a namespace's pods.
func request(namespace string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: "default"}}
}

// Reconcile shows the pool a namespace's render pods, deletes those that have ended, and does what the pool decides.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	pods := &corev1.PodList{}
	if err := r.Client.List(ctx, pods, client.InNamespace(req.Namespace), Selector); err != nil {
		return ctrl.Result{}, fmt.Errorf("listing render pods: %w", err)
	}
	views := make([]pool.PodView, 0, len(pods.Items))
	var errs []error
	for i := range pods.Items {
		pod := &pods.Items[i]
		if !strings.HasPrefix(pod.Name, podspec.NamePrefix) {
			continue // a pod with our labels that Platen did not create
		}
		view := viewOf(pod)
		views = append(views, view)
		if view.Ended && !view.Deleting {
			errs = append(errs, r.delete(ctx, pod))
		}
	}
	r.Pool.ObservePods(req.Namespace, views)
	decision := r.Pool.Decide(req.Namespace)
	for _, launch := range decision.Launch {
		uid, failure := r.create(ctx, req.Namespace, launch)
		r.Pool.Launched(req.Namespace, launch, uid, failure)
		if failure != nil {
			break
		}
	}
	for _, id := range decision.Delete {
		errs = append(errs, r.delete(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: id.Namespace, Name: id.Name, UID: id.UID}}))
	}
	for _, id := range decision.Lookup {
		pod := &corev1.Pod{}
		err := r.Client.Get(ctx, types.NamespacedName{Namespace: id.Namespace, Name: id.Name}, pod)
		if apierrors.IsNotFound(err) || err == nil && pod.UID != id.UID {
			r.Pool.Gone(id.Namespace, id.UID)
		} else {
			errs = append(errs, err)
		}
	}
	return ctrl.Result{RequeueAfter: decision.After}, errors.Join(errs...)
}

// create creates a render pod and returns its UID, or why it could not be created.
func (r *Reconciler) create(ctx context.Context, namespace string, launch pool.Launch) (types.UID, *pool.LaunchFailure) {
	pod := podspec.Build(r.PodConfig(), namespace, launch.PodName)
	log := ctrl.LoggerFrom(ctx).WithValues("pod", pod.Name)
	err := r.Client.Create(ctx, pod)
	failpoint.Hit("pod.after-create-before-observe")
	if err == nil {
		log.Info("Created render pod")
		return pod.UID, nil
	}
	log.Info("Failed to create a render pod", "error", err.Error())
	reason := pool.ReasonPodForbidden
	if strings.Contains(err.Error(), "exceeded quota") {
		reason = pool.ReasonQuotaExceeded
	}
	return "", &pool.LaunchFailure{Reason: reason, Message: "render pods cannot be created: " + strings.ReplaceAll(err.Error(), pod.Name, "…")}
}

// delete deletes a pod that has ended, without a grace period.
func (r *Reconciler) delete(ctx context.Context, pod *corev1.Pod) error {
	err := r.Client.Delete(ctx, pod, &client.DeleteOptions{
		GracePeriodSeconds: new(int64(0)),
		Preconditions:      &metav1.Preconditions{UID: &pod.UID},
	})
	switch {
	case apierrors.IsNotFound(err), apierrors.IsConflict(err): // it is gone already
		r.Pool.Gone(pod.Namespace, pod.UID)
		return nil
	case err != nil:
		return fmt.Errorf("deleting ended render pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	ctrl.LoggerFrom(ctx).Info("Deleted render pod", "pod", pod.Name, "phase", pod.Status.Phase, "problem", podspec.Problem(pod))
	return nil
}

// viewOf returns what the pool needs to know about a pod.
func viewOf(pod *corev1.Pod) pool.PodView {
	view := pool.PodView{
		Name: pod.Name, UID: pod.UID,
		Ended:    pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed,
		Started:  pod.Status.Phase != corev1.PodPending && pod.Status.Phase != "",
		Deleting: pod.DeletionTimestamp != nil,
	}
	for _, c := range pod.Status.Conditions {
		view.Disrupted = view.Disrupted || c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue
	}
	if problem := podspec.Problem(pod); problem != "" {
		reason, _, _ := strings.Cut(problem, ":")
		switch reason {
		case "ErrImagePull", "ImagePullBackOff", "InvalidImageName":
			reason = pool.ReasonImagePullFailed
		}
		view.Problem = pool.Problem{Reason: reason, Message: problem}
	}
	return view
}
