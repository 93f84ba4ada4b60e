// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderpool

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/outbound"
	"github.com/platen-dev/platen/internal/podspec"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/reconcile"
)

// countInterval is the least time between two statuses that differ only in their counts.
const countInterval = 5 * time.Second

// plan is what a namespace's pods are to be like.
type plan struct {
	settings pool.Settings
	config   podspec.Config
	// err says which field of the RenderPool cannot be followed; a TerminalError.
	err error
}

// plan returns the plan of a RenderPool, or the flags' if it is nil.
func (r *Reconciler) plan(renderPool *platenv1alpha1.RenderPool) plan {
	p := plan{settings: r.Defaults, config: r.PodConfig()}
	if renderPool != nil {
		spec := &renderPool.Spec
		override(&p.settings.MinReady, int(ptr.Deref(spec.MinReady, 0)), spec.MinReady != nil)
		override(&p.settings.Max, int(spec.Max), spec.Max != 0)
		override(&p.settings.IdleTimeout, time.Duration(spec.IdleTimeoutSeconds)*time.Second, spec.IdleTimeoutSeconds != 0)
		override(&p.settings.RendersPerPod, int(spec.RendersPerPod), spec.RendersPerPod != 0)
		p.settings.MinReady = min(p.settings.MinReady, p.settings.Max)
		p.settings.IsolatePods = spec.Isolation == platenv1alpha1.IsolationPod
		p.settings.Weight = int(spec.Weight)
		p.config.Overlay, p.config.Isolated = spec.PodTemplate, p.settings.IsolatePods
		wrong := []error{r.allow(&p.config, spec.Egress.Allow)}
		if err := podspec.Check(podspec.Build(p.config, renderPool.Namespace, podspec.NamePrefix, r.SigningKeys()[0])); err != nil {
			wrong = append([]error{reconcile.Terminal(platenv1alpha1.PodForbiddenReason, "spec.podTemplate: %s", err.Error())}, wrong...)
		}
		p.err = reconcile.Join(wrong)
	}
	p.settings.Hash, p.settings.Template = podspec.Hash(p.config), podspec.Template(p.config)
	return p
}

func override[T any](value *T, with T, given bool) {
	if given {
		*value = with
	}
}

// allow lets the pages of a Config reach further prefixes, except for those that the manager does not let RenderPools name.
func (r *Reconciler) allow(config *podspec.Config, wanted []platenv1alpha1.CIDR) error {
	var refused []string
	for i, text := range wanted {
		prefix, err := netip.ParsePrefix(string(text))
		if err != nil || !within(prefix, r.OutboundAllow) {
			refused = append(refused, fmt.Sprintf("spec.egress.allow[%d]: %s", i, text))
			continue
		}
		if config.OutboundAllow != "" {
			config.OutboundAllow += ","
		}
		config.OutboundAllow += prefix.Masked().String()
	}
	them := "it"
	switch len(refused) {
	case 0:
		return nil
	case 1:
	default:
		them = "them"
	}
	return reconcile.Terminal(platenv1alpha1.EgressForbiddenReason, "%s must lie within the manager's --pool-outbound-allow (%s); an administrator may add %s",
		strings.Join(refused, ", "), cmp.Or(r.OutboundAllow.String(), "empty"), them)
}

// within reports whether one of the prefixes has all addresses of another.
func within(prefix netip.Prefix, prefixes outbound.Prefixes) bool {
	for _, p := range prefixes {
		if p.Bits() <= prefix.Bits() && p.Contains(prefix.Addr()) {
			return true
		}
	}
	return false
}

// report writes the status of a RenderPool. It returns when to look again, 0 for never.
func (r *Reconciler) report(ctx context.Context, before *platenv1alpha1.RenderPool, plan plan) (again time.Duration, err error) {
	key := client.ObjectKeyFromObject(before)
	now := r.Clock.Now()
	counts := r.Pool.Status(before.Namespace)
	after := before.DeepCopy()
	outcome := setStatus(after, counts, plan, metav1.NewTime(now))
	if counts.Ready+counts.Busy+counts.Starting+counts.Queued > 0 {
		again = countInterval // ready pods take jobs without a change of any object
	}
	last, _ := r.counted.Load(key)
	if at, ok := last.(time.Time); ok && now.Sub(at) < countInterval && sameConditions(before, after) {
		return max(countInterval-now.Sub(at), time.Millisecond), nil
	}
	next, written, err := r.status.Finish(ctx, before, after, outcome)
	if written {
		r.counted.Store(key, now)
		if !sameConditions(before, after) {
			r.tell(after, outcome)
		}
	}
	return sooner(again, next.RequeueAfter), err
}

// tell writes an event if a person has to act.
func (r *Reconciler) tell(renderPool *platenv1alpha1.RenderPool, outcome error) {
	stalled := meta.FindStatusCondition(renderPool.Status.Conditions, platenv1alpha1.StalledCondition)
	if stalled == nil {
		return
	}
	note := stalled.Message
	if terminal := reconcile.AsTerminal(outcome); terminal != nil {
		note = terminal.Note
	}
	r.Recorder.Eventf(renderPool, nil, corev1.EventTypeWarning, stalled.Reason, "Configure", "%s", reconcile.Truncate(note, reconcile.MaxEventNote))
}

func sameConditions(a, b *platenv1alpha1.RenderPool) bool {
	return apiequality.Semantic.DeepEqual(a.Status.Conditions, b.Status.Conditions) &&
		ptr.Deref(a.Status.ObservedGeneration, -1) == ptr.Deref(b.Status.ObservedGeneration, -1)
}

// setStatus computes the whole status. It is pure. The outcome says what is wrong or awaited.
func setStatus(renderPool *platenv1alpha1.RenderPool, counts pool.Status, plan plan, now metav1.Time) (outcome error) {
	status := &renderPool.Status
	status.ObservedGeneration = &renderPool.Generation
	status.Ready, status.Busy, status.Starting, status.Queued = count(counts.Ready), count(counts.Busy), count(counts.Starting), count(counts.Queued)
	status.Selector = labels.SelectorFromSet(labels.Set(Selector)).String()
	bounded := "" // says that a flag bounds minReady; the API server compares it with max only
	if wanted := int(ptr.Deref(renderPool.Spec.MinReady, 0)); wanted > plan.settings.Max {
		bounded = fmt.Sprintf("; spec.minReady: %d counts as %d, the manager's --max-pods-per-namespace; spec.max allows more", wanted, plan.settings.Max)
	}
	switch short := plan.settings.MinReady - counts.Ready - counts.Busy; {
	case plan.err != nil:
		outcome = beside(plan.err, counts)
	case isRefusal(counts):
		outcome = reconcile.Blocked(counts.Problem.Reason, "%s", counts.Problem.Message)
	case counts.Problem.Reason != "":
		outcome = reconcile.Waiting(counts.Problem.Reason, 0, "%s", counts.Problem.Message)
	case short > 0:
		outcome = reconcile.Waiting(platenv1alpha1.StartingReason, 0, "fewer than minReady (%d) pods are ready", plan.settings.MinReady)
	}
	outcome = with(outcome, bounded)
	message := fmt.Sprintf("at most %d pods; they start when jobs need them", plan.settings.Max)
	if plan.settings.Max == 1 {
		message = "at most 1 pod, which starts when a job needs it"
	}
	message += bounded
	reconcile.Conditions{List: &status.Conditions, Generation: renderPool.Generation, Now: now}.Summarize(outcome, platenv1alpha1.AvailableReason, message)
	return outcome
}

// beside returns what is wrong with a RenderPool's fields, and in its message what else the namespace's pods wait for. What keeps the namespace from having
// pods at all comes before addresses that its pages do not reach.
func beside(wrong error, counts pool.Status) error {
	terminal := reconcile.AsTerminal(wrong)
	if terminal == nil || terminal.Reason != platenv1alpha1.EgressForbiddenReason || counts.Problem.Reason == "" {
		return wrong
	}
	if isRefusal(counts) {
		return reconcile.Blocked(counts.Problem.Reason, "%s; %s", counts.Problem.Message, terminal.Message)
	}
	return &reconcile.TerminalError{Reason: terminal.Reason, Message: terminal.Message + "; " + counts.Problem.Message, Note: terminal.Note}
}

// with returns an outcome with a text behind the message that status shows.
func with(outcome error, text string) error {
	if terminal := reconcile.AsTerminal(outcome); terminal != nil {
		return &reconcile.TerminalError{Reason: terminal.Reason, Message: terminal.Message + text, Note: terminal.Note}
	}
	if waiting := reconcile.AsWaiting(outcome); waiting != nil {
		longer := *waiting
		longer.Message += text
		return &longer
	}
	return outcome
}

// isRefusal reports whether a person has to act before the namespace has render pods. A quota that admits some is only full.
func isRefusal(counts pool.Status) bool {
	switch counts.Problem.Reason {
	case platenv1alpha1.PodForbiddenReason:
		return true
	case platenv1alpha1.QuotaExceededReason:
		return counts.Ready+counts.Busy+counts.Starting == 0
	default:
		return false
	}
}

// count bounds a number to what the API allows.
func count(n int) *int32 { return new(int32(min(max(n, 0), 1<<31-1))) }
