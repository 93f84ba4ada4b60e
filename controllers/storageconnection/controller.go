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

	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/connect"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/shares"
)

// +kubebuilder:rbac:groups=platen.dev,resources=storageconnections,verbs=get;list;watch
// +kubebuilder:rbac:groups=platen.dev,resources=storageconnections/status,verbs=get;patch
// +kubebuilder:rbac:groups=platen.dev,resources=renderjobs,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

const (
	// verifyTimeout bounds one verification.
	verifyTimeout = 30 * time.Second
	// staleDelay is how soon to read a connection again whose newest version the cache does not show yet.
	staleDelay = 200 * time.Millisecond
	// askedDelay is the least time between two verifications that uploads or people ask for.
	askedDelay = 2 * time.Second
	// busyDelay is how soon to try again what had to wait for others.
	busyDelay = 2 * time.Second
	// looksPerSecond bounds the requests that look for changed Secrets.
	looksPerSecond = 10
	// overduePerSecond bounds the verifications of connections that have been due for longer than overdueAfter, as after a restart.
	overduePerSecond = 5
	overdueAfter     = 30 * time.Second
)

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
	// Owns has the namespaces to reconcile; nil is all of them.
	Owns reconcile.Owns
	// Interval between verifications of a connection; the reconciler adds up to a fifth.
	Interval time.Duration

	status reconcile.StatusWriter
	// asked has the connections that an upload gives a reason to verify.
	asked sync.Map // types.NamespacedName → true
	// looks bounds how often Platen looks for changed Secrets, and overdue how many connections are verified that were due while no manager
	// ran.
	looks, overdue *rate.Limiter

	// busy counts the verifications in progress.
	busy shares.Shares
}

// Reconcile verifies one StorageConnection if it is time, and else looks whether its Secret has changed.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	connection := &platenv1alpha1.StorageConnection{}
	err := r.Client.Get(ctx, req.NamespacedName, connection)
	if apierrors.IsNotFound(err) || (err == nil && !connection.DeletionTimestamp.IsZero()) {
		r.Connector.Forget(req.NamespacedName)
		r.status.Forget(req.NamespacedName)
		r.asked.Delete(req.NamespacedName)
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	if r.status.IsStale(connection) {
		return ctrl.Result{RequeueAfter: staleDelay}, nil // a newer status causes no reconciliation
	}
	now := r.Clock.Now()
	_, asked := r.asked.Load(req.NamespacedName)
	asked = asked || isAsked(connection)
	s := &scope{connection: connection, now: now}
	due := dueTime(connection)
	wait, err := r.look(ctx, s, due, asked)
	if err != nil || wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, err
	}
	if !r.busy.Enter(connection.Namespace, workersOfNamespace) {
		return ctrl.Result{RequeueAfter: wait1to2(busyDelay)}, nil
	}
	defer r.busy.Leave(connection.Namespace)
	r.asked.Delete(req.NamespacedName)
	if s.credentialsVersion != connection.Status.CredentialsVersion {
		r.Connector.Forget(req.NamespacedName) // what the service has refused before may be right now
	}
	bounded, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	outcome := reconcile.Run(bounded, s, r.open, r.verify, r.ensureFolder, r.checkFailedUploads)
	return r.finish(ctx, s, outcome)
}

// look finds out whether a connection must be verified now, and reads the version of its Secret. It returns how long to wait if not.
func (r *Reconciler) look(ctx context.Context, s *scope, due time.Time, asked bool) (wait time.Duration, err error) {
	c := s.connection
	wrong := misplanned(c, r.Interval, s.now)
	switch {
	case due.IsZero():
	case asked:
		if last := c.Status.LastVerifiedTime; last != nil && !wrong && s.now.Sub(last.Time) < askedDelay {
			return askedDelay, nil
		}
	case s.now.Before(due) && !wrong:
		wait = min(due.Sub(s.now), lookDelay(c, s.now, rand.Float64())) //nolint:gosec // no secret depends on it
		if !r.looks.Allow() {
			return wait, nil
		}
	case (wrong || s.now.Sub(due) > overdueAfter) && !r.overdue.Allow():
		return wait1to2(busyDelay), nil
	}
	bounded, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	s.credentialsVersion, err = r.Connector.CredentialsVersion(bounded, c)
	if err != nil || s.credentialsVersion == c.Status.CredentialsVersion {
		return wait, err
	}
	return 0, nil
}

// wait1to2 returns once to twice the time, so that those who wait do not come back together.
func wait1to2(d time.Duration) time.Duration { return d + rand.N(d) } //nolint:gosec // no secret depends on it

// finish writes status and plans the next look.
func (r *Reconciler) finish(ctx context.Context, s *scope, outcome error) (ctrl.Result, error) {
	after := s.connection.DeepCopy()
	setStatus(after, s, outcome)
	if outcome == nil || reconcile.AsTerminal(outcome) != nil || reconcile.AsWaiting(outcome) != nil {
		next := metav1.NewTime(nextVerification(s, after, outcome, r.Interval, rand.Float64())) //nolint:gosec // no secret depends on it
		after.Status.NextVerificationTime = &next
	}
	next, written, err := r.status.Finish(ctx, s.connection, after, outcome)
	if err != nil || next.RequeueAfter > 0 && !written { // the object has changed meanwhile
		r.asked.Store(client.ObjectKeyFromObject(after), true)
		return next, err
	}
	if written {
		logVerified(ctx, s.connection, after, r.Clock.Since(s.now))
	}
	now := r.Clock.Now()
	wait := min(after.Status.NextVerificationTime.Sub(now), lookDelay(after, now, rand.Float64())) //nolint:gosec // no secret depends on it
	return ctrl.Result{RequeueAfter: max(wait, staleDelay)}, nil
}
