// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/clock"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// A visitor who asks for too many previews, or for large ones, is told to wait, and others are not.
func TestPace(t *testing.T) {
	p := newPace(clock.RealClock{})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // a sixteenth of what the next large form waits for
	defer cancel()
	if err := p.wait(ctx, "ada", previewBurst*previewBytes); err != nil {
		t.Errorf("the first large form: %v", err)
	}
	refused := (*problem)(nil)
	if err := p.wait(ctx, "ada", previewBurst*previewBytes); !errors.As(err, &refused) || refused.Status != http.StatusTooManyRequests {
		t.Errorf("the second large form: %v", err)
	}
	for range previewBurst {
		if err := p.wait(ctx, "grace", 100); err != nil {
			t.Errorf("another visitor: %v", err)
		}
	}
}

// A preview is one page, not larger than a screen, and goes nowhere.
func TestPreviewSpec(t *testing.T) {
	template := &platenv1alpha1.RenderTemplate{}
	template.Name = "flyer"
	template.Spec.Pages = []platenv1alpha1.TemplatePage{{Name: "front", Width: 1200, Height: 630}, {Name: "back", Width: 1000, Height: 3200}}
	form := newForm(template)
	form.Destination, form.Folder, form.FileName, form.Format = "", "/Marketing", "flyer", "pdf"
	for page, want := range map[string]struct {
		number int32
		scale  string
	}{"": {1, ""}, "1": {1, ""}, "2": {2, "0.500"}, "3": {1, ""}, "-1": {1, ""}, "x": {1, ""}} {
		spec, err := form.previewSpec(map[string]any{"headline": "a & b"}, page)
		if err != nil {
			t.Fatal(err)
		}
		if spec.Output.Pages[0] != want.number || string(spec.Output.Scale) != want.scale || spec.Output.Format != platenv1alpha1.FormatJPG || spec.Output.FileName != "" {
			t.Errorf("page %q: %+v", page, spec.Output)
		}
		if spec.Connections == nil || len(spec.Connections) > 0 || !strings.Contains(string(spec.Modifications.Raw), "a & b") {
			t.Errorf("page %q: %+v", page, spec)
		}
	}
}
