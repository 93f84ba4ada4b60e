// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rendertemplate checks RenderTemplates: whether jobs can render them, and what in them is seldom meant.
package rendertemplate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	ctrlreconcile "sigs.k8s.io/controller-runtime/pkg/reconcile"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/bindings"
	"github.com/platen-dev/platen/internal/lint"
	"github.com/platen-dev/platen/internal/plural"
	"github.com/platen-dev/platen/internal/reconcile"
)

// +kubebuilder:rbac:groups=platen.dev,resources=rendertemplates,verbs=get;list;watch
// +kubebuilder:rbac:groups=platen.dev,resources=rendertemplates/status,verbs=get;patch
// +kubebuilder:rbac:groups=platen.dev,resources=fontsets,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

const (
	// idIndex finds templates by their spec.templateID.
	idIndex = "spec.templateID"
	// sourceRetry is how long to wait for a missing ConfigMap: nobody watches ConfigMaps.
	sourceRetry = 30 * time.Second
	// staleDelay is how soon to read a template again whose newest version the cache does not show yet.
	staleDelay = 200 * time.Millisecond
)

// Reconciler checks RenderTemplates. Every field is required.
type Reconciler struct {
	// Client reads templates from the cache and writes their status.
	Client client.Client
	// Reader reads ConfigMaps from the API server.
	Reader client.Reader
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
	if r.Client == nil || r.Reader == nil || r.Recorder == nil || r.Clock == nil {
		return errors.New("rendertemplate: every field of the Reconciler but Owns must be set")
	}
	r.status.Client, r.status.Recorder, r.status.Action = r.Client, r.Recorder, "Check"
	err := mgr.GetFieldIndexer().IndexField(context.Background(), &platenv1alpha1.RenderTemplate{}, idIndex, idOf)
	if err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).
		WithEventFilter(r.Owns.Events()).
		For(&platenv1alpha1.RenderTemplate{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&platenv1alpha1.RenderTemplate{}, r.sharers()).
		Watches(&platenv1alpha1.FontSet{}, handler.EnqueueRequestsFromMapFunc(r.templatesOf), builder.WithPredicates(fontsChanged)).
		WithOptions(controller.Options{MaxConcurrentReconciles: 2, RateLimiter: reconcile.Backoff(reconcile.MaxBackoff), NewQueue: reconcile.NewFairQueue, ReconciliationTimeout: time.Minute}).
		Complete(r.Owns.Requests(r))
}

// fontsChanged passes the changes of a FontSet after which a template may be another: of its spec, and of whether it is Ready.
var fontsChanged = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	before, ok1 := e.ObjectOld.(*platenv1alpha1.FontSet)
	after, ok2 := e.ObjectNew.(*platenv1alpha1.FontSet)
	return !ok1 || !ok2 || before.Generation != after.Generation ||
		!apiequality.Semantic.DeepEqual(readyOf(before), readyOf(after))
}}

// readyOf returns the Ready condition of a FontSet, nil if it has none of its present generation.
func readyOf(set *platenv1alpha1.FontSet) *metav1.Condition {
	ready := meta.FindStatusCondition(set.Status.Conditions, platenv1alpha1.ReadyCondition)
	if ready == nil || ready.ObservedGeneration != set.Generation {
		return nil
	}
	return ready
}

// idOf returns a template's spec.templateID as the value of idIndex; none if it has no number.
func idOf(o client.Object) []string {
	template, ok := o.(*platenv1alpha1.RenderTemplate)
	if !ok || template.Spec.TemplateID == nil {
		return nil
	}
	return []string{strconv.FormatInt(*template.Spec.TemplateID, 10)}
}

// sharers looks again at the templates whose number another template takes or gives up.
func (r *Reconciler) sharers() handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[ctrlreconcile.Request]
	look := func(ctx context.Context, changed client.Object, q queue) {
		for _, id := range idOf(changed) {
			list := &platenv1alpha1.RenderTemplateList{}
			err := r.Client.List(ctx, list, client.InNamespace(changed.GetNamespace()), client.MatchingFields{idIndex: id}, client.UnsafeDisableDeepCopy)
			if err != nil {
				ctrl.LoggerFrom(ctx).Error(err, "Failed to list the templates with a number", "templateID", id)
				return
			}
			for i := range list.Items {
				if name := list.Items[i].Name; name != changed.GetName() {
					q.Add(ctrlreconcile.Request{NamespacedName: types.NamespacedName{Namespace: changed.GetNamespace(), Name: name}})
				}
			}
		}
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) { look(ctx, e.Object, q) },
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			if e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() {
				look(ctx, e.ObjectOld, q)
				look(ctx, e.ObjectNew, q)
			}
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) { look(ctx, e.Object, q) },
	}
}

// Reconcile checks one RenderTemplate and writes its status if that has changed.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	before := &platenv1alpha1.RenderTemplate{}
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
	sources, err := r.read(ctx, before)
	if err != nil && reconcile.AsWaiting(err) == nil {
		return ctrl.Result{}, err
	}
	if err == nil {
		err = r.checkFontSets(ctx, before)
		if err != nil && reconcile.AsWaiting(err) == nil && reconcile.AsTerminal(err) == nil {
			return ctrl.Result{}, err
		}
	}
	taken, takenErr := r.taken(ctx, before)
	if takenErr != nil {
		return ctrl.Result{}, takenErr
	}
	source := func(page platenv1alpha1.TemplatePage) (string, bool) {
		text, known := sources[page.Name]
		return text, known
	}
	findings := lint.Template(before, source)
	if taken != nil {
		findings = append([]lint.Finding{*taken}, findings...)
	}
	after := before.DeepCopy()
	after.Status.Parameters = nil
	if bindings.FromConfigMap(before) {
		after.Status.Parameters = bindings.Status(bindings.Parameters(before, source))
	}
	outcome := setStatus(after, findings, err, metav1.NewTime(r.Clock.Now()))
	next, _, err := r.status.Finish(ctx, before, after, outcome)
	if err == nil && next.RequeueAfter == 0 && bindings.FromConfigMap(before) {
		next.RequeueAfter = r.pace.Next(r.Clock.Now())
	}
	return next, err
}

// read returns the HTML of each page by its name. A WaitingError names each ConfigMap or key that is missing.
func (r *Reconciler) read(ctx context.Context, template *platenv1alpha1.RenderTemplate) (map[string]string, error) {
	sources, absent := map[string]string{}, []error(nil)
	maps := map[string]*corev1.ConfigMap{}
	for _, page := range template.Spec.Pages {
		if page.HTMLFrom == nil {
			sources[page.Name] = page.HTML
			continue
		}
		ref := page.HTMLFrom.ConfigMapKeyRef
		if maps[ref.Name] == nil {
			maps[ref.Name] = &corev1.ConfigMap{}
			failed := r.Reader.Get(ctx, types.NamespacedName{Namespace: template.Namespace, Name: ref.Name}, maps[ref.Name])
			if client.IgnoreNotFound(failed) != nil {
				return nil, fmt.Errorf("reading ConfigMap %s: %w", ref.Name, failed)
			}
		}
		text, missing := ref.TextIn(maps[ref.Name])
		switch {
		case missing == "":
			sources[page.Name] = text
		case maps[ref.Name].UID == "":
			absent = append(absent, reconcile.Waiting(platenv1alpha1.SourceNotFoundReason, sourceRetry,
				"page '%s': ConfigMap '%s' does not exist in namespace '%s'", page.Name, ref.Name, template.Namespace))
		default:
			absent = append(absent, reconcile.Waiting(platenv1alpha1.SourceNotFoundReason, sourceRetry, "page '%s': %s", page.Name, missing))
		}
	}
	return sources, reconcile.Join(absent)
}

// checkFontSets returns what jobs of the template fail by or wait for: the first FontSet that it names and that is wrong, else all that do not exist or are
// not Ready.
func (r *Reconciler) checkFontSets(ctx context.Context, template *platenv1alpha1.RenderTemplate) error {
	var absent []error
	for i, ref := range template.Spec.FontSetRefs {
		set := &platenv1alpha1.FontSet{}
		err := r.Client.Get(ctx, types.NamespacedName{Namespace: template.Namespace, Name: ref.Name}, set)
		if apierrors.IsNotFound(err) {
			absent = append(absent, reconcile.Waiting(platenv1alpha1.FontSetNotFoundReason, sourceRetry,
				"spec.fontSetRefs[%d]: FontSet '%s' does not exist in namespace '%s'", i, ref.Name, template.Namespace))
			continue
		}
		if err != nil {
			return fmt.Errorf("reading FontSet %s: %w", ref.Name, err)
		}
		switch ready := readyOf(set); {
		case ready == nil: // it is looked at just now
		case ready.Status == metav1.ConditionFalse:
			return reconcile.Terminal(ready.Reason, "spec.fontSetRefs[%d]: FontSet '%s': %s", i, ref.Name, ready.Message)
		case ready.Status == metav1.ConditionUnknown:
			absent = append(absent, reconcile.Waiting(ready.Reason, sourceRetry, "spec.fontSetRefs[%d]: FontSet '%s': %s", i, ref.Name, ready.Message))
		}
	}
	return reconcile.Join(absent)
}

// templatesOf names the templates that name a FontSet.
func (r *Reconciler) templatesOf(ctx context.Context, set client.Object) (requests []ctrlreconcile.Request) {
	templates := &platenv1alpha1.RenderTemplateList{}
	if err := r.Client.List(ctx, templates, client.InNamespace(set.GetNamespace()), client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Failed to list the templates of a FontSet", "FontSet", set.GetName())
		return nil
	}
	for i := range templates.Items {
		if templates.Items[i].NamesFontSet(set.GetName()) {
			requests = append(requests, ctrlreconcile.Request{NamespacedName: client.ObjectKeyFromObject(&templates.Items[i])})
		}
	}
	return requests
}

// taken returns the finding that another template has the same number; nil if none has.
func (r *Reconciler) taken(ctx context.Context, template *platenv1alpha1.RenderTemplate) (*lint.Finding, error) {
	if template.Spec.TemplateID == nil {
		return nil, nil //nolint:nilnil // no finding, which is no error
	}
	list := &platenv1alpha1.RenderTemplateList{}
	id := strconv.FormatInt(*template.Spec.TemplateID, 10)
	err := r.Client.List(ctx, list, client.InNamespace(template.Namespace), client.MatchingFields{idIndex: id}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, fmt.Errorf("listing the templates with the number %s: %w", id, err)
	}
	finding, ok := lint.TakenIDs(list.Items)[template.Name]
	if !ok {
		return nil, nil //nolint:nilnil // no finding, which is no error
	}
	return &finding, nil
}

const (
	// maxWarnings bounds status.warnings, and maxWhere and maxMessage their texts in bytes.
	maxWarnings, maxWhere, maxMessage = 32, 512, 1024
	// maxMistakes bounds the mistakes that the Ready condition names.
	maxMistakes = 10
)

// reasons of the findings that make a template unusable.
var reasons = map[string]string{
	lint.InvalidDefault:  platenv1alpha1.InvalidParametersReason,
	lint.TemplateIDTaken: platenv1alpha1.TemplateIDTakenReason,
}

// setStatus computes the whole status. It is pure. waiting says that the HTML of a page is missing; nil if all is there. The outcome says
// what is wrong or awaited.
func setStatus(template *platenv1alpha1.RenderTemplate, findings []lint.Finding, waiting error, now metav1.Time) (outcome error) {
	status := &template.Status
	status.ObservedGeneration = new(template.Generation)
	status.Warnings = nil
	outcome = waiting
	wrong, mistakes := "", []string(nil)
	reason, message := platenv1alpha1.ValidReason, "nothing is wrong with the template"
	for _, f := range findings {
		if f.Severity == lint.Error {
			mistakes = append(mistakes, f.Where+": "+f.Message)
			if len(mistakes) == 1 {
				wrong = cmp.Or(reasons[f.Rule], platenv1alpha1.InvalidSpecReason)
			}
			continue
		}
		if len(status.Warnings) < maxWarnings {
			status.Warnings = append(status.Warnings, platenv1alpha1.TemplateWarning{
				Rule: f.Rule, Where: reconcile.Truncate(f.Where, maxWhere), Message: reconcile.Truncate(f.Message, maxMessage),
			})
		}
	}
	if len(mistakes) > 0 {
		text := strings.Join(mistakes[:min(len(mistakes), maxMistakes)], "; ")
		if more := len(mistakes) - maxMistakes; more > 0 {
			text = fmt.Sprintf("%s; and %d more", text, more)
		}
		outcome = reconcile.Terminal(wrong, "%s", text)
	}
	if len(status.Warnings) > 0 {
		reason = platenv1alpha1.ValidWithWarningsReason
		message = "jobs can render the template; status.warnings has " + plural.Count(len(status.Warnings), "warning") + " of what is seldom meant"
	}
	reconcile.Conditions{List: &status.Conditions, Generation: template.Generation, Now: now}.Summarize(outcome, reason, message)
	return outcome
}
