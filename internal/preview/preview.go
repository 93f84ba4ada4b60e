// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package preview renders a template with the browser of its author's own machine, by the code that render pods run: the same
// checks, the same browser and the same limits of what pages may reach.
package preview

import (
	"context"
	"fmt"
	"log/slog"

	corev1 "k8s.io/api/core/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/outbound"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/task"
)

// painter is a browser that renders.
type painter interface {
	render.Renderer
	Close()
}

// Request is what to render.
type Request struct {
	// Template to render. It need not have been to an API server: defaults are filled in.
	Template *platenv1alpha1.RenderTemplate
	// Job whose modifications and output are used; its name is the default of the file names.
	Job *platenv1alpha1.RenderJob
	// ConfigMaps that the template or the job reads, by name.
	ConfigMaps []corev1.ConfigMap
	// Limits of the render. Default task.DefaultLimits.
	Limits task.Limits
	// Chromium is the path of the browser; looked up in PATH when empty.
	Chromium string
	// OutboundAllow lists prefixes that pages may reach although they are private, such as 127.0.0.0/8 for an author's own server.
	OutboundAllow outbound.Prefixes
	// Log gets what goes wrong beside the render. Default: nothing.
	Log *slog.Logger
}

// Render renders a template and calls emit for each file. The error names the field that is wrong; it is ErrNoBrowser when there
// is no browser.
func Render(ctx context.Context, r Request, emit func(f file.File, data []byte) error) ([]render.Warning, error) {
	job, template := r.Job.DeepCopy(), r.Template.DeepCopy()
	task.SetDefaults(job, template)
	if r.Limits == (task.Limits{}) {
		r.Limits = task.DefaultLimits
	}
	if r.Log == nil {
		r.Log = slog.New(slog.DiscardHandler)
	}
	work, err := task.Build(ctx, job, template, r.Limits, r.configMapValue)
	if err != nil {
		return nil, err
	}
	proxy, err := outbound.NewProxy(outbound.Policy{Allowed: r.OutboundAllow}, r.Log)
	if err != nil {
		return nil, err
	}
	defer proxy.Close()
	b, err := openBrowser(r, proxy.Address())
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return b.Render(ctx, work, render.SinkFunc(func(_ context.Context, f file.File, data []byte) error { return emit(f, data) }))
}

func (r Request) configMapValue(_ context.Context, _ string, ref platenv1alpha1.ConfigMapKeySelector) (string, error) {
	for _, m := range r.ConfigMaps {
		if value, ok := m.Data[ref.Key]; ok && m.Name == ref.Name {
			return value, nil
		}
	}
	return "", reconcile.Terminal(platenv1alpha1.SourceNotFoundReason, "%s",
		fmt.Sprintf("key '%s' of ConfigMap '%s' is not among the given ConfigMaps", ref.Key, ref.Name))
}
