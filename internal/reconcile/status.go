// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/failpoint"
)

const (
	// conflictDelay is how soon to reconcile again after a status write that met a newer version of the object.
	conflictDelay = 100 * time.Millisecond
	// MaxEventNote is the bound that the Kubernetes API sets for the text of an event, in bytes.
	MaxEventNote = 1024
	// NoRoom is the event of an object whose status cannot be written: nothing else of it tells.
	NoRoom = "with its status, the object would be larger than the API server stores, 1.5 MiB by default: make it smaller, or divide it into several"
)

// StatusWriter ends the reconciliations of one kind. It is safe for concurrent use and must not be copied.
type StatusWriter struct {
	// Client writes status.
	Client client.StatusClient
	// Recorder writes an event when status is written with a TerminalError. Nil for a kind whose status is also written while the error lasts.
	Recorder events.EventRecorder
	// Action names in events what the controller was doing, such as Render.
	Action string

	// replaced holds the resourceVersion that the last write of an object replaced, until the cache shows a newer one.
	replaced sync.Map // types.NamespacedName → string
}

// Finish ends a reconciliation. It writes the status of after if that differs from before, in one merge patch. The API server refuses the patch
// when the object has changed since before was read; the object is then reconciled again soon. written reports whether the API server took
// the status. An object that is gone needs none. An outcome that is neither a TerminalError nor a WaitingError is
// returned as err, and status stays as it is. If the API server does not take so large an object, Finish calls shorter, one after the other, until
// it does: each shortens the status of after.
func (w *StatusWriter) Finish(ctx context.Context, before, after client.Object, outcome error, shorter ...func()) (next ctrl.Result, written bool, err error) {
	next, err = result(outcome)
	if err != nil || apiequality.Semantic.DeepEqual(before, after) {
		return next, false, err
	}
	failpoint.Hit("status.before-patch")
	patch := func() error {
		return w.Client.Status().Patch(ctx, after, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	}
	err = patch()
	for _, shorten := range shorter {
		if !IsTooLarge(err) {
			break
		}
		// The object is larger than the cache shows, which drops managed fields.
		shorten()
		err = patch()
	}
	switch {
	case apierrors.IsNotFound(err):
		return ctrl.Result{}, false, nil
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: conflictDelay}, false, nil
	case err != nil:
		if w.Recorder != nil && IsTooLarge(err) {
			w.Recorder.Eventf(before, nil, corev1.EventTypeWarning, platenv1alpha1.StatusTooLargeReason, w.Action, NoRoom)
		}
		return ctrl.Result{}, false, fmt.Errorf("writing status: %w", err)
	}
	if before.GetResourceVersion() != after.GetResourceVersion() { // else the write changed nothing, and no event will follow
		w.replaced.Store(client.ObjectKeyFromObject(before), before.GetResourceVersion())
	}
	if terminal := AsTerminal(outcome); terminal != nil && w.Recorder != nil {
		w.Recorder.Eventf(before, nil, corev1.EventTypeWarning, terminal.Reason, w.Action, "%s", Truncate(terminal.Note, MaxEventNote))
	}
	return next, true, nil
}

// IsTooLarge reports whether a write failed because the API server stores no such large object.
func IsTooLarge(err error) bool {
	return apierrors.IsRequestEntityTooLargeError(err) || err != nil && strings.Contains(err.Error(), "request is too large") // etcd's words
}

// IsStale reports whether the cache returned a version of the object that Finish has replaced. A status write based on it
// would be refused; the watch event of the newer version brings the next reconciliation.
func (w *StatusWriter) IsStale(object client.Object) bool {
	key := client.ObjectKeyFromObject(object)
	version, ok := w.replaced.Load(key)
	if ok && version != object.GetResourceVersion() {
		w.replaced.Delete(key)
		return false
	}
	return ok
}

// Forget drops the memory of an object that is gone.
func (w *StatusWriter) Forget(key types.NamespacedName) { w.replaced.Delete(key) }
