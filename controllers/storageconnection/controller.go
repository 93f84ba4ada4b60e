// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package storageconnection verifies StorageConnections: that their credentials work, who the account is, and that the default
// folder exists.
package storageconnection

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	ctrlreconcile "sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/connect"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/storage"
)

// +kubebuilder:rbac:groups=platen.dev,resources=storageconnections,verbs=get;list;watch
// +kubebuilder:rbac:groups=platen.dev,resources=storageconnections/status,verbs=get;patch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch

const (
	// secretIndex finds connections by the Secret that they name.
	secretIndex = "credentialsSecretRef.name"
	// verifyTimeout bounds one verification.
	verifyTimeout = 30 * time.Second
)

// Reconciler verifies StorageConnections.
type Reconciler struct {
	// Client reads connections from the cache and writes their status.
	Client client.Client
	// Connector opens connections.
	Connector *connect.Connector
	// Recorder writes events.
	Recorder events.EventRecorder
	// Clock tells the time.
	Clock clock.PassiveClock
	// Interval between verifications of a connection that works.
	Interval time.Duration
	// Troubled names connections for whose sake an upload has failed.
	Troubled <-chan event.TypedGenericEvent[types.NamespacedName]
}

// SetupWithManager registers the controller. Of Secrets only the metadata is watched: a change is seen, a value never is.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	if r.Client == nil || r.Connector == nil || r.Recorder == nil || r.Clock == nil || r.Interval == 0 || r.Troubled == nil {
		return errors.New("storageconnection: every field of the Reconciler must be set")
	}
	err := mgr.GetFieldIndexer().IndexField(context.Background(), &platenv1alpha1.StorageConnection{}, secretIndex,
		func(o client.Object) []string {
			connection, ok := o.(*platenv1alpha1.StorageConnection)
			if !ok {
				return nil
			}
			return []string{connect.SecretName(connection)}
		})
	if err != nil {
		return err
	}
	secret := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}}
	return ctrl.NewControllerManagedBy(mgr).
		For(&platenv1alpha1.StorageConnection{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesMetadata(secret, handler.EnqueueRequestsFromMapFunc(r.connectionsOfSecret),
			builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})).
		WatchesRawSource(source.TypedChannel(r.Troubled, handler.TypedEnqueueRequestsFromMapFunc(
			func(_ context.Context, key types.NamespacedName) []ctrlreconcile.Request {
				return []ctrlreconcile.Request{{NamespacedName: key}}
			},
		))).
		WithOptions(controller.Options{MaxConcurrentReconciles: 4, ReconciliationTimeout: 2 * verifyTimeout}).
		Complete(r)
}

func (r *Reconciler) connectionsOfSecret(ctx context.Context, secret client.Object) []ctrlreconcile.Request {
	connections := &platenv1alpha1.StorageConnectionList{}
	err := r.Client.List(ctx, connections, client.InNamespace(secret.GetNamespace()), client.MatchingFields{secretIndex: secret.GetName()})
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "listing the connections of a Secret", "Secret", secret.GetName())
		return nil
	}
	requests := make([]ctrlreconcile.Request, 0, len(connections.Items))
	for i := range connections.Items {
		requests = append(requests, ctrlreconcile.Request{NamespacedName: client.ObjectKeyFromObject(&connections.Items[i])})
	}
	return requests
}

// scope is what one verification has found out.
type scope struct {
	connection *platenv1alpha1.StorageConnection
	provider   storage.Provider
	account    *storage.Account
	// mended is true when an upload has failed for a reason that holds no more.
	mended bool
}

// Reconcile verifies one StorageConnection.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	connection := &platenv1alpha1.StorageConnection{}
	err := r.Client.Get(ctx, req.NamespacedName, connection)
	if apierrors.IsNotFound(err) || (err == nil && !connection.DeletionTimestamp.IsZero()) {
		r.Connector.Forget(req.NamespacedName)
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	s := &scope{connection: connection}
	verify, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	outcome := reconcile.Run(verify, s, r.open, r.verify, r.ensureFolder, r.checkSpace)

	after := connection.DeepCopy()
	setStatus(after, s, outcome, metav1.NewTime(r.Clock.Now()))
	if !apiequality.Semantic.DeepEqual(connection.Status, after.Status) {
		retry, err := reconcile.PatchStatus(ctx, r.Client, after, connection)
		if err != nil {
			return ctrl.Result{}, err
		}
		if retry > 0 {
			return ctrl.Result{RequeueAfter: retry}, nil
		}
		if terminal := (*reconcile.TerminalError)(nil); errors.As(outcome, &terminal) {
			r.Recorder.Eventf(connection, nil, "Warning", terminal.Reason, "Verify", "%s", terminal.Message)
		}
	}
	result, err := reconcile.Result(outcome)
	if err == nil && result.RequeueAfter == 0 {
		// Spread, so that connections that were made together are not verified together for ever.
		result.RequeueAfter = r.Interval + rand.N(r.Interval/5) //nolint:gosec // no secret depends on it
	}
	return result, err
}

func (r *Reconciler) open(ctx context.Context, s *scope) (err error) {
	s.provider, err = r.Connector.Open(ctx, s.connection)
	return classify(string(s.connection.Spec.Provider), err)
}

func (r *Reconciler) verify(ctx context.Context, s *scope) error {
	account, err := s.provider.Verify(ctx)
	if err != nil {
		return classify(string(s.connection.Spec.Provider), err)
	}
	s.account = &account
	return nil
}

func (r *Reconciler) ensureFolder(ctx context.Context, s *scope) error {
	if s.connection.Spec.UploadPolicy == platenv1alpha1.UploadDisabled {
		return nil
	}
	return classify(string(s.connection.Spec.Provider), s.provider.EnsureFolder(ctx, string(s.connection.Spec.DefaultFolder)))
}

// checkSpace finds out whether the account has room for what the last upload could not bring there. A connection that has none is
// not Ready, so that jobs are told when it has.
func (r *Reconciler) checkSpace(_ context.Context, s *scope) error {
	trouble, ok := r.Connector.Trouble(s.connection)
	if !ok {
		return nil
	}
	free := s.account.SpaceAllocated - s.account.SpaceUsed
	if trouble.Reason == storage.ReasonInsufficientSpace && s.account.SpaceAllocated > 0 && free < trouble.Bytes {
		return reconcile.Terminal(string(trouble.Reason), "the account has %d bytes free, and an upload needed %d: make room, uploads are then made again", max(free, 0), trouble.Bytes)
	}
	r.Connector.Resolve(s.connection)
	s.mended = trouble.Reason.Advice(string(s.connection.Spec.Provider)).Checked
	return nil
}

// minRetry is how soon a service that could not be reached is asked again.
const minRetry = 10 * time.Second

// classify makes an error of the provider one that the controller understands.
func classify(provider string, err error) error {
	problem := (*storage.Error)(nil)
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &problem):
		return err
	case problem.Class == storage.Retry:
		after := max(problem.RetryAfter, minRetry+rand.N(minRetry)) //nolint:gosec // no secret depends on it
		return reconcile.Waiting(string(problem.Reason), after, "%s", problem.Explain(provider))
	default:
		return reconcile.Terminal(string(problem.Reason), "%s", problem.Explain(provider))
	}
}

// setStatus computes the whole status. It is pure.
func setStatus(connection *platenv1alpha1.StorageConnection, s *scope, outcome error, now metav1.Time) {
	status := &connection.Status
	status.ObservedGeneration = &connection.Generation
	if s.account != nil {
		status.LastVerifiedTime = &now
		status.Account = &platenv1alpha1.StorageAccount{ID: s.account.ID, Email: s.account.Email, DisplayName: s.account.DisplayName}
		status.Space = nil
		if s.account.SpaceAllocated > 0 {
			status.Space = &platenv1alpha1.StorageSpace{Used: &s.account.SpaceUsed, Allocated: &s.account.SpaceAllocated}
		}
	}
	c := reconcile.Conditions{List: &status.Conditions, Generation: connection.Generation, Now: now}
	waiting := (*reconcile.WaitingError)(nil)
	terminal := (*reconcile.TerminalError)(nil)
	switch {
	case outcome == nil:
		status.DefaultFolder = string(connection.Spec.DefaultFolder)
		if s.mended || !meta.IsStatusConditionTrue(status.Conditions, platenv1alpha1.ReadyCondition) {
			count := int64(1)
			if status.ReadyCount != nil {
				count = *status.ReadyCount + 1
			}
			status.ReadyCount = &count
		}
		c.Set(platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.VerifiedReason,
			"connected as "+cmp.Or(s.account.Email, s.account.DisplayName))
		c.Remove(platenv1alpha1.ReconcilingCondition)
		c.Remove(platenv1alpha1.StalledCondition)
	case errors.As(outcome, &terminal):
		c.Set(platenv1alpha1.ReadyCondition, metav1.ConditionFalse, terminal.Reason, terminal.Message)
		c.Set(platenv1alpha1.StalledCondition, metav1.ConditionTrue, terminal.Reason, terminal.Message)
		c.Remove(platenv1alpha1.ReconcilingCondition)
	case errors.As(outcome, &waiting):
		c.Set(platenv1alpha1.ReadyCondition, metav1.ConditionUnknown, waiting.Reason, waiting.Message)
		c.Set(platenv1alpha1.ReconcilingCondition, metav1.ConditionTrue, waiting.Reason, waiting.Message)
		c.Remove(platenv1alpha1.StalledCondition)
	default:
		// Tried again with backoff; the conditions stay as they were.
	}
}
