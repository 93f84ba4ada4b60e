// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package reconcile holds what every controller does the same way: error classes, a step runner and the one status write. It
// knows no kind.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// conflictDelay is how soon a status write that met another version of the object is tried again.
const conflictDelay = 100 * time.Millisecond

// TerminalError means that a user must act: it is shown as Stalled and not tried again until the object changes.
type TerminalError struct {
	// Reason for the Ready condition, in CamelCase.
	Reason string
	// Message names the field or object, what was expected and what to do.
	Message string
}

// Error implements error.
func (e *TerminalError) Error() string { return e.Message }

// Terminal returns a TerminalError.
func Terminal(reason, format string, args ...any) error {
	return &TerminalError{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// WaitingError means that something else must happen first. It is shown as Reconciling.
type WaitingError struct {
	// Reason for the Ready condition, in CamelCase.
	Reason string
	// Message says what is waited for.
	Message string
	// After is when to look again without an event; 0 waits for an event alone.
	After time.Duration
}

// Error implements error.
func (e *WaitingError) Error() string { return e.Message }

// Waiting returns a WaitingError.
func Waiting(reason string, after time.Duration, format string, args ...any) error {
	return &WaitingError{Reason: reason, Message: fmt.Sprintf(format, args...), After: after}
}

// Step is one part of a reconciliation. A step reads or acts and fills in the scope; it never writes status.
type Step[S any] func(ctx context.Context, scope S) error

// Run runs the steps in order and stops at the first error, because each step builds on those before it.
func Run[S any](ctx context.Context, scope S, steps ...Step[S]) error {
	for _, step := range steps {
		if err := step(ctx, scope); err != nil {
			return err
		}
	}
	return nil
}

// Result translates the outcome of Run for the controller: a TerminalError is done, a WaitingError is looked at again after its
// delay, and any other error is tried again with backoff.
func Result(outcome error) (ctrl.Result, error) {
	if terminal := (*TerminalError)(nil); errors.As(outcome, &terminal) {
		return ctrl.Result{}, nil
	}
	if waiting := (*WaitingError)(nil); errors.As(outcome, &waiting) {
		return ctrl.Result{RequeueAfter: waiting.After}, nil
	}
	return ctrl.Result{}, outcome
}

// PatchStatus writes the status of after in one merge patch that is refused when the object has changed since before was read.
// A refusal is no error: retry is then how soon to reconcile again. An object that is gone needs no status.
func PatchStatus(ctx context.Context, c client.StatusClient, after, before client.Object) (retry time.Duration, err error) {
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	err = c.Status().Patch(ctx, after, patch)
	if apierrors.IsConflict(err) {
		return conflictDelay, nil
	}
	if err = client.IgnoreNotFound(err); err != nil {
		return 0, fmt.Errorf("writing status: %w", err)
	}
	return 0, nil
}
