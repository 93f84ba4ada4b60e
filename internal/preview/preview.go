// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package preview renders a template with the browser of its author's machine. It uses the code of render pods: the same checks, the
// same browser and the same rules for what pages may reach.
package preview

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	corev1 "k8s.io/api/core/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/fonts"
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

// Request describes a preview.
type Request struct {
	// Template to render. Render sets the API server's defaults.
	Template *platenv1alpha1.RenderTemplate
	// Job with the modifications and the output. Render sets the API server's defaults.
	Job *platenv1alpha1.RenderJob
	// ConfigMaps that the template, its FontSets or the job read.
	ConfigMaps []corev1.ConfigMap
	// FontSets that the template names.
	FontSets []platenv1alpha1.FontSet
	// Limits of the render. Default task.DefaultLimits.
	Limits task.Limits
	// Chromium is the path of the browser. Default: found in PATH.
	Chromium string
	// OutboundAllow has prefixes that pages may reach even if they are private, such as 127.0.0.0/8 for an author's own server.
	OutboundAllow outbound.Prefixes
	// Log gets problems that do not fail the render. Default: no log.
	Log *slog.Logger
}

// families matches the names of the font families of the renderer's image: those of hack/images/renderer-packages.txt, and those that Chromium takes for
// one of them, because its letters are as wide.
const families = `^((DejaVu|Liberation|Noto|WenQuanYi) .*|Arial|Arimo|Helvetica|Times New Roman|Times|Tinos|Courier New|Courier|Cousine)$`

// Render renders a template and calls emit with each file. The error names the wrong field, or is ErrNoBrowser.
func Render(ctx context.Context, r Request, emit func(f file.File, data []byte) error) ([]render.Warning, error) {
	work, b, err := r.open(ctx)
	if err != nil {
		return nil, err
	}
	defer b.close()
	return b.Render(ctx, work, render.SinkFunc(func(_ context.Context, f file.File, data []byte) error { return emit(f, data) }))
}

// opened is a browser with its proxy.
type opened struct {
	painter
	proxy *outbound.Proxy
}

func (o opened) close() {
	o.Close()
	o.proxy.Close()
}

// open builds the task of a request and opens a browser for it.
func (r Request) open(ctx context.Context) (render.Task, opened, error) {
	job, template := r.Job.DeepCopy(), r.Template.DeepCopy()
	task.SetDefaults(job)
	if r.Limits == (task.Limits{}) {
		r.Limits = task.DefaultLimits
	}
	if r.Log == nil {
		r.Log = slog.New(slog.DiscardHandler)
	}
	policy := outbound.Policy{Allowed: r.OutboundAllow}
	const advice = "--outbound-allow allows others"
	fetcher := fonts.NewFetcher(policy, fonts.LoginOfUser, advice)
	work, err := task.Build(ctx, job, template, r.Limits, task.Sources{
		Value: r.configMapValue,
		Fonts: func(ctx context.Context, _, name string) ([]render.Font, error) { return r.fonts(ctx, fetcher, name) },
	})
	if err != nil {
		return work, opened{}, err
	}
	proxy, err := outbound.NewProxy(policy, r.Log)
	if err != nil {
		return work, opened{}, err
	}
	b, err := openBrowser(r, proxy.Address(), func(target string) string {
		if !policy.Blocks(target) {
			return ""
		}
		return outbound.ErrRefused.Error() + "; " + advice
	})
	if err != nil {
		proxy.Close()
		return work, opened{}, err
	}
	return work, opened{b, proxy}, nil
}

// fonts returns the fonts of a FontSet, with their data.
func (r Request) fonts(ctx context.Context, fetcher *fonts.Fetcher, name string) ([]render.Font, error) {
	i := slices.IndexFunc(r.FontSets, func(set platenv1alpha1.FontSet) bool { return set.Name == name })
	if i < 0 {
		return nil, reconcile.Terminal(platenv1alpha1.FontSetNotFoundReason, "it is not among the given FontSets")
	}
	var list []render.Font
	var missing []error
	for position, source := range r.FontSets[i].Spec.Sources {
		if source.ConfigMapRef == nil {
			files, err := fetcher.FetchAll(ctx, r.Template.Namespace, source)
			if waiting := reconcile.AsWaiting(err); waiting != nil { // nobody waits here
				err = reconcile.Terminal(waiting.Reason, "%s", waiting.Message)
			}
			if err != nil {
				return nil, reconcile.Within(fmt.Sprintf("spec.sources[%d].", position), err)
			}
			list = append(list, fonts.Of(files)...)
			continue
		}
		from := source.ConfigMapName()
		n := slices.IndexFunc(r.ConfigMaps, func(m corev1.ConfigMap) bool { return m.Name == from })
		if n < 0 {
			missing = append(missing, reconcile.Terminal(platenv1alpha1.SourceNotFoundReason, "ConfigMap '%s' is not among the given ConfigMaps", from))
			continue
		}
		files, err := fonts.InConfigMap(&r.ConfigMaps[n])
		if err != nil {
			return nil, err
		}
		list = append(list, fonts.Of(files)...)
	}
	return list, reconcile.Join(missing)
}

func (r Request) configMapValue(_ context.Context, _ string, ref platenv1alpha1.ConfigMapKeySelector) (string, error) {
	for i := range r.ConfigMaps {
		if m := &r.ConfigMaps[i]; m.Name == ref.Name {
			value, missing := ref.TextIn(m)
			if missing == "" {
				return value, nil
			}
			return "", reconcile.Terminal(platenv1alpha1.SourceNotFoundReason, "%s", missing)
		}
	}
	return "", reconcile.Terminal(platenv1alpha1.SourceNotFoundReason, "key '%s' of ConfigMap '%s' is not among the given ConfigMaps", ref.Key, ref.Name)
}
