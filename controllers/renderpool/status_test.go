// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderpool

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/podspec"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/test/gitops"
	"github.com/platen-dev/platen/test/testenv"
)

func TestStatusOfEveryMoment(t *testing.T) {
	validator, err := testenv.NewValidator("RenderPool")
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("𠮷\x00", 20000)
	for name, c := range map[string]struct {
		counts  pool.Status
		plan    plan
		ready   metav1.ConditionStatus
		reason  string
		kstatus status.Status
		message string // a part of it
	}{
		"nothing to do": {plan: plan{settings: pool.Settings{Max: 10}}, ready: metav1.ConditionTrue, reason: "Available", kstatus: status.CurrentStatus},
		"jobs are rendered": {
			counts: pool.Status{Ready: 1, Busy: 3, Starting: 1, Queued: 7}, plan: plan{settings: pool.Settings{MinReady: 2, Max: 10}},
			ready: metav1.ConditionTrue, reason: "Available", kstatus: status.CurrentStatus,
		},
		"pods are starting": {
			counts: pool.Status{Starting: 2}, plan: plan{settings: pool.Settings{MinReady: 2, Max: 10}},
			ready: metav1.ConditionUnknown, reason: "Starting", kstatus: status.InProgressStatus,
		},
		"no node has room": {
			counts: pool.Status{Starting: 2, Queued: 9, Problem: pool.Problem{Reason: "Unschedulable", Message: "no node has room"}},
			ready:  metav1.ConditionUnknown, reason: "Unschedulable", kstatus: status.InProgressStatus,
		},
		"the API server refuses pods": {
			counts: pool.Status{Queued: 9, Problem: pool.Problem{Reason: "PodForbidden", Message: "violates PodSecurity"}},
			ready:  metav1.ConditionFalse, reason: "PodForbidden", kstatus: status.FailedStatus,
		},
		"no node can pull the image": {
			counts: pool.Status{Starting: 1, Queued: 9, Problem: pool.Problem{Reason: "ImagePullFailed", Message: "no such image"}},
			ready:  metav1.ConditionUnknown, reason: "ImagePullFailed", kstatus: status.InProgressStatus,
		},
		"a quota admits some pods": {
			counts: pool.Status{Busy: 2, Queued: 9, Problem: pool.Problem{Reason: "QuotaExceeded", Message: "exceeded quota: pods"}},
			ready:  metav1.ConditionUnknown, reason: "QuotaExceeded", kstatus: status.InProgressStatus,
		},
		"a quota admits no pod": {
			counts: pool.Status{Queued: 9, Problem: pool.Problem{Reason: "QuotaExceeded", Message: "exceeded quota: pods"}},
			ready:  metav1.ConditionFalse, reason: "QuotaExceeded", kstatus: status.FailedStatus,
		},
		"a field that cannot be followed": {
			plan:  plan{err: reconcile.Terminal(platenv1alpha1.EgressForbiddenReason, "spec.egress.allow[0]: no")},
			ready: metav1.ConditionFalse, reason: "EgressForbidden", kstatus: status.FailedStatus,
		},
		"a field that cannot be followed, and the API server refuses pods": {
			plan:   plan{err: reconcile.Terminal(platenv1alpha1.EgressForbiddenReason, "spec.egress.allow[0]: no")},
			counts: pool.Status{Queued: 9, Problem: pool.Problem{Reason: "PodForbidden", Message: "no such PriorityClass"}},
			ready:  metav1.ConditionFalse, reason: "PodForbidden", kstatus: status.FailedStatus, message: "no such PriorityClass; spec.egress.allow[0]: no",
		},
		"a field that cannot be followed, and no node has room": {
			plan:   plan{err: reconcile.Terminal(platenv1alpha1.EgressForbiddenReason, "spec.egress.allow[0]: no")},
			counts: pool.Status{Starting: 2, Queued: 9, Problem: pool.Problem{Reason: "Unschedulable", Message: "no node has room"}},
			ready:  metav1.ConditionFalse, reason: "EgressForbidden", kstatus: status.FailedStatus, message: "spec.egress.allow[0]: no; no node has room",
		},
		"more than status can hold": {
			counts: pool.Status{Ready: math.MaxInt, Busy: -1, Problem: pool.Problem{Reason: "QuotaExceeded", Message: long}},
			ready:  metav1.ConditionUnknown, reason: "QuotaExceeded", kstatus: status.InProgressStatus,
		},
		"more than status can hold, of a refusal": {
			counts: pool.Status{Ready: math.MaxInt, Busy: -1, Problem: pool.Problem{Reason: "PodForbidden", Message: long}},
			ready:  metav1.ConditionFalse, reason: "PodForbidden", kstatus: status.FailedStatus,
		},
	} {
		t.Run(name, func(t *testing.T) {
			own := &platenv1alpha1.RenderPool{ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: "default", Generation: 2}}
			_ = setStatus(own, c.counts, c.plan, metav1.NewTime(time.Unix(1_800_000_000, 0)))
			condition := meta.FindStatusCondition(own.Status.Conditions, platenv1alpha1.ReadyCondition)
			if condition.Status != c.ready || condition.Reason != c.reason || condition.ObservedGeneration != 2 || !strings.Contains(condition.Message, c.message) {
				t.Errorf("Ready is %+v", condition)
			}
			if err := validator.Validate(t.Context(), own); err != nil {
				t.Errorf("the CRD refuses the status: %v", err)
			}
			gitops.ExpectStatus(t, "RenderPool", own, c.kstatus)
		})
	}
}

func TestMessageOfAPoolThatWaitsForJobs(t *testing.T) {
	for most, want := range map[int]string{1: "at most 1 pod, which starts when a job needs it", 2: "at most 2 pods; they start when jobs need them"} {
		own := &platenv1alpha1.RenderPool{}
		_ = setStatus(own, pool.Status{}, plan{settings: pool.Settings{Max: most}}, metav1.Now())
		if got := meta.FindStatusCondition(own.Status.Conditions, platenv1alpha1.ReadyCondition).Message; got != want {
			t.Errorf("%d: %s", most, got)
		}
	}
}

// An autoscaler, kubectl scale, or a manifest without max may ask for more pods than the manager's flag allows.
func TestPoolSaysThatAFlagBoundsMinReady(t *testing.T) {
	renderPool := &platenv1alpha1.RenderPool{Spec: platenv1alpha1.RenderPoolSpec{MinReady: new(int32(50))}}
	r := &Reconciler{
		Defaults: pool.Settings{Max: 10}, PodConfig: func() podspec.Config { return podspec.Config{} }, SigningKeys: func() [][]byte { return [][]byte{[]byte("key")} },
	}
	egress := reconcile.Terminal(platenv1alpha1.EgressForbiddenReason, "spec.egress.allow[0]: no")
	for want, c := range map[string]struct {
		counts pool.Status
		err    error
	}{
		"at most 10 pods; they start when jobs need them": {counts: pool.Status{Ready: 10}},
		"fewer than minReady (10) pods are ready":         {counts: pool.Status{Ready: 9}},
		"exceeded quota: pods":                            {counts: pool.Status{Ready: 1, Problem: pool.Problem{Reason: "QuotaExceeded", Message: "exceeded quota: pods"}}},
		"no node has room":                                {counts: pool.Status{Starting: 2, Problem: pool.Problem{Reason: "Unschedulable", Message: "no node has room"}}},
		"violates PodSecurity":                            {counts: pool.Status{Problem: pool.Problem{Reason: "PodForbidden", Message: "violates PodSecurity"}}},
		"spec.egress.allow[0]: no":                        {err: egress},
		"violates PodSecurity; spec.egress.allow[0]: no":  {err: egress, counts: pool.Status{Problem: pool.Problem{Reason: "PodForbidden", Message: "violates PodSecurity"}}},
	} {
		plan := r.plan(renderPool)
		plan.err = c.err
		_ = setStatus(renderPool, c.counts, plan, metav1.Now())
		want += "; spec.minReady: 50 counts as 10, the manager's --max-pods-per-namespace; spec.max allows more"
		if got := meta.FindStatusCondition(renderPool.Status.Conditions, platenv1alpha1.ReadyCondition); got == nil || got.Message != want {
			t.Errorf("got %+v, want %q", got, want)
		}
	}
}

// A field that only keeps pages from some addresses hides none that keeps the namespace from having pods.
func TestPoolNamesAllFieldsThatCannotBeFollowed(t *testing.T) {
	renderPool := &platenv1alpha1.RenderPool{}
	renderPool.Spec.Egress.Allow = []platenv1alpha1.CIDR{"10.0.0.0/8"}
	renderPool.Spec.PodTemplate.Resources.Requests = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("3Gi")}
	renderPool.Spec.PodTemplate.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("2Gi")}
	r := &Reconciler{PodConfig: func() podspec.Config { return podspec.Config{} }, SigningKeys: func() [][]byte { return [][]byte{[]byte("key")} }}
	terminal := reconcile.AsTerminal(r.plan(renderPool).err)
	if terminal == nil || terminal.Reason != platenv1alpha1.PodForbiddenReason {
		t.Fatalf("got %+v", terminal)
	}
	for _, field := range []string{"spec.podTemplate: resources.requests.memory: 3Gi must be at most", "; spec.egress.allow[0]: 10.0.0.0/8 must lie within"} {
		if !strings.Contains(terminal.Message, field) {
			t.Errorf("got %q, want %q", terminal.Message, field)
		}
	}
}
