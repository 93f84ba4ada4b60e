// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package fontset

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/fonts"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/test/gitops"
	"github.com/platen-dev/platen/test/testenv"
)

func TestStatusOfEveryMoment(t *testing.T) {
	validator, err := testenv.NewValidator("FontSet")
	if err != nil {
		t.Fatal(err)
	}
	file := func(family, weight, warning string) fonts.File {
		return fonts.File{
			Font:      render.Font{Family: family, Style: "normal", Weight: weight, Stretch: "100%", SHA256: strings.Repeat("0", 64), Size: 1},
			ConfigMap: "brand", Key: "a.woff2", Warning: warning,
		}
	}
	extreme := file(strings.Repeat("字", 85), "100.123456 900.123456", strings.Repeat("𠮷\x00", 2000))
	extreme.ConfigMap, extreme.Key = strings.Repeat("a", 253), strings.Repeat("k", 253)
	many := make([]fonts.File, 0, fonts.MaxFonts)
	for i := range fonts.MaxFonts {
		many = append(many, extreme)
		many[i].Family = fmt.Sprintf("%03d", i) + extreme.Family[3:]
	}
	for name, c := range map[string]struct {
		files    []fonts.File
		outcome  error
		ready    metav1.ConditionStatus
		reason   string
		message  string
		families []string
		warnings int
		kstatus  status.Status
	}{
		"valid": {
			files: []fonts.File{file("Brand", "400", ""), file("Brand", "700", ""), file("Acme", "400", "")}, ready: metav1.ConditionTrue, reason: "Valid",
			message: "3 font files; pages use them as Acme, Brand", families: []string{"Acme", "Brand"}, kstatus: status.CurrentStatus,
		},
		"one file": {
			files: []fonts.File{file("Brand", "400", "")}, ready: metav1.ConditionTrue, reason: "Valid",
			message: "1 font file; pages use them as Brand", families: []string{"Brand"}, kstatus: status.CurrentStatus,
		},
		"a licence": {
			files: []fonts.File{file("Brand", "400", "must not be embedded")}, ready: metav1.ConditionTrue, reason: "ValidWithWarnings",
			message: "status.warnings", families: []string{"Brand"}, warnings: 1, kstatus: status.CurrentStatus,
		},
		"no font": {
			outcome: reconcile.Terminal(platenv1alpha1.InvalidFontReason, "spec.sources[0]: key 'a.ttf' of ConfigMap 'brand' is no font"),
			ready:   metav1.ConditionFalse, reason: "InvalidFont", message: "key 'a.ttf'", kstatus: status.FailedStatus,
		},
		"a missing ConfigMap": {
			outcome: reconcile.Waiting(platenv1alpha1.SourceNotFoundReason, time.Second, "spec.sources[0]: ConfigMap 'brand' does not exist"),
			ready:   metav1.ConditionUnknown, reason: "SourceNotFound", message: "'brand' does not exist", kstatus: status.InProgressStatus,
		},
		"a licence of a file at a URL": {
			files: []fonts.File{{Font: file("Brand", "400", "").Font, URL: "https://example.com/" + strings.Repeat("x", 2028), Warning: "must not be embedded"}},
			ready: metav1.ConditionTrue, reason: "ValidWithWarnings", families: []string{"Brand"}, warnings: 1, kstatus: status.CurrentStatus,
		},
		"a licence of a file in an image": {
			files: []fonts.File{{Font: file("Brand", "400", "").Font, Image: strings.Repeat("x", 512), Path: strings.Repeat("字\x00\xff", 250), Warning: "must not be embedded"}},
			ready: metav1.ConditionTrue, reason: "ValidWithWarnings", families: []string{"Brand"}, warnings: 1, kstatus: status.CurrentStatus,
		},
		"extremes": {files: many, ready: metav1.ConditionTrue, reason: "ValidWithWarnings", message: "256 font files", warnings: maxWarnings, kstatus: status.CurrentStatus},
	} {
		t.Run(name, func(t *testing.T) {
			set := &platenv1alpha1.FontSet{
				ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: "brand", Generation: 2},
				Spec: platenv1alpha1.FontSetSpec{Sources: []platenv1alpha1.FontSource{
					{ConfigMapRef: &platenv1alpha1.ConfigMapReference{Name: "brand"}},
				}},
			}
			setStatus(set, c.files, c.outcome, metav1.NewTime(time.Unix(1_800_000_000, 0)))
			ready := meta.FindStatusCondition(set.Status.Conditions, platenv1alpha1.ReadyCondition)
			if ready.Status != c.ready || ready.Reason != c.reason || !strings.Contains(ready.Message, c.message) || ready.ObservedGeneration != 2 {
				t.Errorf("Ready is %+v", ready)
			}
			if len(set.Status.Warnings) != c.warnings || len(set.Status.Fonts) != len(c.files) || c.families != nil && !slices.Equal(set.Status.Families, c.families) {
				t.Errorf("%d warnings, %d fonts, families %v", len(set.Status.Warnings), len(set.Status.Fonts), set.Status.Families)
			}
			if err := validator.Validate(t.Context(), set); err != nil {
				t.Errorf("the CRD refuses the status: %v", err)
			}
			gitops.ExpectStatus(t, "FontSet", set, c.kstatus)
		})
	}
}
