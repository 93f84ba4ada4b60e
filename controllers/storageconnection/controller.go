// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package storageconnection verifies StorageConnections: whether their credentials work, who the account is, whether the default folder
// exists, and whether the account has room for uploads that failed because it was full.
package storageconnection

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/connect"
	"github.com/platen-dev/platen/internal/reconcile"
)

// +kubebuilder:rbac:groups=platen.dev,resources=storageconnections,verbs=get;list;watch
// +kubebuilder:rbac:groups=platen.dev,resources=storageconnections/status,verbs=get;patch
// +kubebuilder:rbac:groups=platen.dev,resources=renderjobs,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// verifyTimeout bounds one verification.
const verifyTimeout = 30 * time.Second

// Reconciler verifies StorageConnections. Every exported field is required.
type Reconciler struct {
	// Client reads connections and jobs from the cache and writes the status of connections.
	Client client.Client
	// Connector opens connections.
	Connector *connect.Connector
	// Recorder writes events.
	Recorder events.EventRecorder
	// Clock tells the time.
	Clock clock.PassiveClock
	// Interval between verifications of a connection; the reconciler adds up to a fifth.
	Interval time.Duration

	status reconcile.StatusWriter
	// repairs holds when each connection last counted as Ready once more because of its failed uploads.
	repairs sync.Map // types.NamespacedName → time.Time
}

// Reconcile verifies one StorageConnection.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	connection := &platenv1alpha1.StorageConnection{}
	err := r.Client.Get(ctx, req.NamespacedName, connection)
	if apierrors.IsNotFound(err) || (err == nil && !connection.DeletionTimestamp.IsZero()) {
		r.Connector.Forget(req.NamespacedName)
		r.status.Forget(req.NamespacedName)
		r.repairs.Delete(req.NamespacedName)
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	s := &scope{connection: connection, now: r.Clock.Now()}
	bounded, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	outcome := reconcile.Run(bounded, s, r.open, r.verify, r.ensureFolder, r.checkFailedUploads)
	return r.finish(ctx, s, outcome)
}

// finish writes status and plans the next verification.
func (r *Reconciler) finish(ctx context.Context, s *scope, outcome error) (ctrl.Result, error) {
	after := s.connection.DeepCopy()
	setStatus(after, s, outcome)
	next, written, err := r.status.Finish(ctx, s.connection, after, outcome)
	if err != nil {
		return ctrl.Result{}, err
	}
	if written && s.repaired {
		r.repairs.Store(client.ObjectKeyFromObject(after), s.now)
	}
	if written {
		logVerified(ctx, s.connection, after, r.Clock.Since(s.now))
	}
	if next.RequeueAfter == 0 {
		next.RequeueAfter = s.repairAfter
	}
	if next.RequeueAfter == 0 {
		// Connections that were created together are not always verified together.
		next.RequeueAfter = r.Interval + rand.N(r.Interval/5) //nolint:gosec // no secret depends on it
	}
	return next, nil
}
