// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// +kubebuilder:rbac:groups="",resources=pods,namespace=platen-system,verbs=patch

const (
	// roleLabel of a manager's pod is roleLeader while it leads. The Service of the dispatch server selects it.
	roleLabel, roleLeader = "platen.dev/role", "leader"

	// roleInterval is the time between checks of the label, and roleRetry that after a failed one.
	roleInterval, roleRetry = 10 * time.Second, 500 * time.Millisecond
	// roleTimeout bounds a check.
	roleTimeout = 5 * time.Second
	// releaseTimeout bounds the removal of the label by a manager that stops.
	releaseTimeout = time.Second
)

// role keeps the leader's label on the pod of the manager that leads, and on no other manager's pod.
type role struct {
	client         client.Client
	namespace, pod string
}

// run keeps the label until ctx ends, and then removes it.
func (r role) run(ctx context.Context) error {
	failed := false
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, roleTimeout)
		err := r.take(attempt)
		cancel()
		next := roleInterval
		if err != nil && ctx.Err() == nil {
			next = roleRetry
			if !failed { // one line for each time that it fails, not for each attempt
				ctrl.Log.Error(err, "Failed to label the leader's pod: render pods cannot reach it until this succeeds")
			}
		}
		failed = err != nil
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if err := r.label(release, r.pod, nil); err != nil {
		ctrl.Log.Info("The leader's label stays on the pod of this manager until the next leader removes it", "error", err.Error())
	}
	return nil
}

// take gives the label to the manager's pod, and takes it from the pods of earlier leaders, which may have ended without removing it.
func (r role) take(ctx context.Context) error {
	pods := &corev1.PodList{}
	if err := r.client.List(ctx, pods, client.InNamespace(r.namespace), client.MatchingLabels(managerLabels), client.MatchingLabels{roleLabel: roleLeader}); err != nil {
		return fmt.Errorf("listing the managers' pods: %w", err)
	}
	mine, errs := false, []error(nil)
	for i := range pods.Items {
		if pods.Items[i].Name == r.pod {
			mine = true
			continue
		}
		errs = append(errs, r.label(ctx, pods.Items[i].Name, nil))
	}
	if !mine {
		errs = append(errs, r.label(ctx, r.pod, new(roleLeader)))
	}
	return errors.Join(errs...)
}

// label sets the label of a pod, or removes it if the value is nil. A pod that is gone needs none.
func (r role) label(ctx context.Context, name string, value *string) error {
	patch := `{"metadata":{"labels":{"` + roleLabel + `":null}}}`
	if value != nil {
		patch = fmt.Sprintf(`{"metadata":{"labels":{"%s":%q}}}`, roleLabel, *value)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: name}}
	if err := r.client.Patch(ctx, pod, client.RawPatch(types.MergePatchType, []byte(patch))); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("labelling pod %s: %w", name, err)
	}
	return nil
}
