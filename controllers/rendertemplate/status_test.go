// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package rendertemplate

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/lint"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/test/gitops"
	"github.com/platen-dev/platen/test/testenv"
)

func TestStatusOfEveryMoment(t *testing.T) {
	validator, err := testenv.NewValidator("RenderTemplate")
	if err != nil {
		t.Fatal(err)
	}
	warning := lint.Finding{Rule: lint.MissingAlt, Severity: lint.Warning, Where: "page front, <img>", Message: "the picture has no alt text"}
	taken := lint.Finding{Rule: lint.TemplateIDTaken, Severity: lint.Error, Where: "spec.templateID", Message: "25 is also the templateID of other"}
	long := lint.Finding{Rule: lint.UnreachableFile, Severity: lint.Warning, Where: strings.Repeat("𠮷\x00", 2000), Message: strings.Repeat("𠮷\x00", 2000)}
	waiting := reconcile.Waiting(platenv1alpha1.SourceNotFoundReason, sourceRetry, "page 'front': ConfigMap 'pages' does not exist")
	for name, c := range map[string]struct {
		findings []lint.Finding
		waiting  error
		ready    metav1.ConditionStatus
		reason   string
		message  string
		warnings int
		kstatus  status.Status
	}{
		"valid":    {ready: metav1.ConditionTrue, reason: "Valid", message: "nothing is wrong", kstatus: status.CurrentStatus},
		"warnings": {findings: []lint.Finding{warning}, ready: metav1.ConditionTrue, reason: "ValidWithWarnings", message: "status.warnings has 1 warning of", warnings: 1, kstatus: status.CurrentStatus},
		"taken": {
			findings: []lint.Finding{taken, warning}, ready: metav1.ConditionFalse, reason: "TemplateIDTaken", message: "spec.templateID: 25 is also",
			warnings: 1, kstatus: status.FailedStatus,
		},
		"a default that does not fit": {
			findings: []lint.Finding{{Rule: lint.InvalidDefault, Severity: lint.Error, Where: "spec.parameters[0].default", Message: "must be a number"}},
			ready:    metav1.ConditionFalse, reason: "InvalidParameters", message: "spec.parameters[0].default: must be a number", kstatus: status.FailedStatus,
		},
		"several defaults that do not fit": {
			findings: []lint.Finding{
				{Rule: lint.InvalidDefault, Severity: lint.Error, Where: "spec.parameters[0].default", Message: "must be a number"}, warning,
				{Rule: lint.InvalidDefault, Severity: lint.Error, Where: "spec.parameters[3].default", Message: "must be a date"},
			},
			ready: metav1.ConditionFalse, reason: "InvalidParameters", message: "spec.parameters[0].default: must be a number; spec.parameters[3].default: must be a date",
			warnings: 1, kstatus: status.FailedStatus,
		},
		"a default that does not fit and a taken number": {
			findings: []lint.Finding{{Rule: lint.InvalidDefault, Severity: lint.Error, Where: "spec.parameters[0].default", Message: "must be a number"}, taken},
			ready:    metav1.ConditionFalse, reason: "InvalidParameters", message: "must be a number; spec.templateID: 25 is also", kstatus: status.FailedStatus,
		},
		"many defaults that do not fit": {
			findings: slices.Repeat([]lint.Finding{{Rule: lint.InvalidDefault, Severity: lint.Error, Where: "spec.parameters[0].default", Message: "must be a number"}}, 12),
			ready:    metav1.ConditionFalse, reason: "InvalidParameters", message: "; and 2 more", kstatus: status.FailedStatus,
		},
		"a missing ConfigMap": {waiting: waiting, ready: metav1.ConditionUnknown, reason: "SourceNotFound", message: "'pages' does not exist", kstatus: status.InProgressStatus},
		"a missing ConfigMap and a taken number": {
			findings: []lint.Finding{taken}, waiting: waiting, ready: metav1.ConditionFalse, reason: "TemplateIDTaken", message: "25", kstatus: status.FailedStatus,
		},
		"extremes": {
			findings: slices.Repeat([]lint.Finding{long}, 100), ready: metav1.ConditionTrue, reason: "ValidWithWarnings", message: "status.warnings has 32 warnings of", warnings: maxWarnings, kstatus: status.CurrentStatus,
		},
	} {
		t.Run(name, func(t *testing.T) {
			template := &platenv1alpha1.RenderTemplate{
				ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: "banner", Generation: 2},
				Spec:       platenv1alpha1.RenderTemplateSpec{Pages: []platenv1alpha1.TemplatePage{{Name: "front", Width: 1, Height: 1, HTML: "x"}}},
			}
			_ = setStatus(template, c.findings, c.waiting, metav1.NewTime(time.Unix(1_800_000_000, 0)))
			ready := meta.FindStatusCondition(template.Status.Conditions, platenv1alpha1.ReadyCondition)
			if ready.Status != c.ready || ready.Reason != c.reason || !strings.Contains(ready.Message, c.message) || ready.ObservedGeneration != 2 {
				t.Errorf("Ready is %+v", ready)
			}
			if len(template.Status.Warnings) != c.warnings || *template.Status.ObservedGeneration != 2 {
				t.Errorf("%d warnings at generation %d", len(template.Status.Warnings), *template.Status.ObservedGeneration)
			}
			if err := validator.Validate(t.Context(), template); err != nil {
				t.Errorf("the CRD refuses the status: %v", err)
			}
			gitops.ExpectStatus(t, "RenderTemplate", template, c.kstatus)
		})
	}
}

// A ConfigMap that goes is missed within a minute, although nobody watches it.
func TestATemplateFollowsItsConfigMap(t *testing.T) {
	scheme, err := testenv.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	template := &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: "banner", Generation: 1}}
	template.Spec.Pages = []platenv1alpha1.TemplatePage{{Name: "front", Width: 1, Height: 1, HTMLFrom: &platenv1alpha1.HTMLSource{
		ConfigMapKeyRef: platenv1alpha1.ConfigMapKeySelector{Name: "pages", Key: "front.html"},
	}}}
	pages := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: "pages", UID: "1"}, Data: map[string]string{"front.html": "<p>Hello"}}
	api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(template, pages).WithStatusSubresource(template).Build()
	r := &Reconciler{Client: api, Reader: api, Recorder: events.NewFakeRecorder(10), Clock: clock.RealClock{}}
	r.status.Client = api
	look := func() (next time.Duration, reason string) {
		t.Helper()
		result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(template)})
		if err != nil {
			t.Fatal(err)
		}
		if err := api.Get(t.Context(), client.ObjectKeyFromObject(template), template); err != nil {
			t.Fatal(err)
		}
		return result.RequeueAfter, meta.FindStatusCondition(template.Status.Conditions, platenv1alpha1.ReadyCondition).Reason
	}
	if next, reason := look(); reason != platenv1alpha1.ValidReason || next <= 0 || next > time.Minute {
		t.Errorf("%s, looked at again after %s", reason, next)
	}
	if err := api.Delete(t.Context(), pages); err != nil {
		t.Fatal(err)
	}
	if _, reason := look(); reason != platenv1alpha1.SourceNotFoundReason {
		t.Errorf("%s without its ConfigMap", reason)
	}
}
