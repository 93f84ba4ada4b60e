// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
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
	// shardLabel of a manager's pod is the shard that it leads, if there are several. The Service of the shard's dispatch server selects it.
	shardLabel = "platen.dev/shard"

	// roleInterval is the time between checks of the label, and roleRetry that after a failed one.
	roleInterval, roleRetry = 10 * time.Second, 500 * time.Millisecond
	// roleTimeout bounds a check.
	roleTimeout = 5 * time.Second
	// releaseTimeout bounds the removal of the label by a manager that stops.
	releaseTimeout = time.Second
)

// role keeps the leader's labels on the pod of the manager that leads, and on no other manager's pod but those that lead beside it.
type role struct {
	client         client.Client
	namespace, pod string
	own            *ownShare
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
	if err := r.label(release, r.pod, map[string]any{roleLabel: nil, shardLabel: nil}); err != nil {
		ctrl.Log.Info("The leader's label stays on the pod of this manager until the next leader removes it", "error", err.Error())
	}
	return nil
}

// take gives the labels to the manager's pod, and takes them from the pods of earlier leaders, which may have ended without removing them.
func (r role) take(ctx context.Context) error {
	pods := &corev1.PodList{}
	if err := r.client.List(ctx, pods, client.InNamespace(r.namespace), client.MatchingLabels(managerLabels), client.MatchingLabels{roleLabel: roleLeader}); err != nil {
		return fmt.Errorf("listing the managers' pods: %w", err)
	}
	mine, errs := false, []error(nil)
	for i := range pods.Items {
		switch name, shard := pods.Items[i].Name, pods.Items[i].Labels[shardLabel]; {
		case name == r.pod:
			mine = shard == r.own.label()
		case !r.own.leadsBeside(shard):
			errs = append(errs, r.label(ctx, name, map[string]any{roleLabel: nil, shardLabel: nil}))
		}
	}
	if !mine {
		labels := map[string]any{roleLabel: roleLeader, shardLabel: nil}
		if shard := r.own.label(); shard != "" {
			labels[shardLabel] = shard
		}
		errs = append(errs, r.label(ctx, r.pod, labels))
	}
	return errors.Join(errs...)
}

// label sets the labels of a pod, or removes those whose value is nil. A pod that is gone needs none.
func (r role) label(ctx context.Context, name string, labels map[string]any) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": labels}})
	if err != nil {
		return fmt.Errorf("labelling pod %s: %w", name, err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: name}}
	if err := r.client.Patch(ctx, pod, client.RawPatch(types.MergePatchType, patch)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("labelling pod %s: %w", name, err)
	}
	return nil
}
