// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/bench/card"
	"github.com/platen-dev/platen/test/fleet"
)

const (
	// creators is how many requests create jobs at a time.
	creators = 32
	// jobTimeout is the spec.timeoutSeconds of jobs: the jobs of a long backlog wait.
	jobTimeout = 3600
)

// namespaceName returns the name of a namespace of the benchmark.
func namespaceName(i int) string { return fmt.Sprintf("scale-%03d", i) }

// newJob returns a job whose render pod learns its name.
func newJob(namespace, name string) *platenv1alpha1.RenderJob {
	return &platenv1alpha1.RenderJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: platenv1alpha1.RenderJobSpec{
			TemplateRef:    platenv1alpha1.TemplateReference{Name: card.Name},
			Modifications:  &apiextensionsv1.JSON{Raw: fmt.Appendf(nil, `{"headline":%q}`, name)},
			TimeoutSeconds: jobTimeout,
		},
	}
}

// load creates jobs and waits for them.
type load struct {
	world  *fleet.World
	client client.Client
	pods   *fleet.Pods
	// manager must run while the load waits for jobs.
	manager managers
	// namespaces in which jobs are created in turn.
	namespaces int
	created    int
}

// prepare makes the namespaces, each with a template.
func (l *load) prepare(ctx context.Context) error {
	return parallel(ctx, l.namespaces, func(ctx context.Context, i int) error {
		in := metav1.ObjectMeta{Namespace: namespaceName(i), Name: card.Name}
		return errors.Join(
			l.world.NewNamespace(ctx, in.Namespace),
			l.client.Create(ctx, &platenv1alpha1.RenderTemplate{ObjectMeta: in, Spec: platenv1alpha1.RenderTemplateSpec{
				Pages: []platenv1alpha1.TemplatePage{{Name: "front", Width: 1200, Height: 630, HTML: card.Page}},
			}}),
		)
	})
}

// parallel calls f for 0 to n-1, by as many workers as creators.
func parallel(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range creators {
		group.Go(func() error {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := f(ctx, i); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	return group.Wait()
}

// create creates n jobs as fast as the API server takes them.
func (l *load) create(ctx context.Context, n int) error {
	first := l.created
	l.created += n
	return parallel(ctx, n, func(ctx context.Context, i int) error {
		return l.client.Create(ctx, newJob(namespaceName((first+i)%l.namespaces), fmt.Sprintf("job-%06d", first+i)))
	})
}

// burst creates n jobs and returns how many ended a second.
func (l *load) burst(ctx context.Context, n int) (perSecond float64, err error) {
	began, rendered := time.Now(), l.pods.Rendered()
	if err := l.create(ctx, n); err != nil {
		return 0, err
	}
	for l.pods.Rendered() < rendered+n {
		if err := l.pause(ctx, 10*time.Millisecond); err != nil {
			return 0, err
		}
	}
	if err := l.finished(ctx); err != nil {
		return 0, err
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// finished returns once every job has succeeded. It reads from the API server's cache, one namespace after the other.
func (l *load) finished(ctx context.Context) error {
	for i := range l.namespaces {
		for {
			left, err := l.unfinished(ctx, namespaceName(i))
			if err != nil {
				return err
			}
			if left == 0 {
				break
			}
			if err := l.pause(ctx, 50*time.Millisecond); err != nil {
				return err
			}
		}
	}
	return nil
}

// unfinished returns how many jobs of a namespace have not ended. The error names one that has failed, or took more than one attempt.
func (l *load) unfinished(ctx context.Context, namespace string) (left int, err error) {
	jobs := &platenv1alpha1.RenderJobList{}
	err = l.client.List(ctx, jobs, client.InNamespace(namespace), &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: "0"}})
	if err != nil {
		return 0, err
	}
	for i := range jobs.Items {
		switch job := &jobs.Items[i]; {
		case !job.Finished():
			left++
		case !meta.IsStatusConditionTrue(job.Status.Conditions, platenv1alpha1.ReadyCondition):
			return 0, fmt.Errorf("RenderJob %s/%s has failed: %+v", namespace, job.Name, job.Status.Conditions)
		case job.Status.Attempts == nil || *job.Status.Attempts != 1:
			return 0, fmt.Errorf("RenderJob %s/%s took another number of attempts than 1", namespace, job.Name)
		}
	}
	return left, nil
}

// paced creates n jobs at a rate, whether earlier ones have ended or not, and returns how long each took from the answer to its creation to the
// moment at which a render pod had it.
func (l *load) paced(ctx context.Context, n int, perSecond float64) ([]time.Duration, error) {
	rendered := l.pods.Rendered()
	first := l.created
	l.created += n
	acknowledged := make([]time.Time, n)
	group, creating := errgroup.WithContext(ctx)
	began := time.Now()
	for i := range n {
		if err := pause(creating, time.Until(began.Add(time.Duration(float64(i)/perSecond*float64(time.Second))))); err != nil {
			return nil, errors.Join(err, group.Wait())
		}
		group.Go(func() error {
			err := l.client.Create(creating, newJob(namespaceName((first+i)%l.namespaces), fmt.Sprintf("job-%06d", first+i)))
			acknowledged[i] = time.Now()
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for l.pods.Rendered() < rendered+n {
		if err := l.pause(ctx, 10*time.Millisecond); err != nil {
			return nil, err
		}
	}
	took := make([]time.Duration, 0, n)
	for i, at := range acknowledged {
		taken, ok := l.pods.TakenAt(fmt.Sprintf("job-%06d", first+i))
		if !ok {
			return nil, fmt.Errorf("no render pod has taken job-%06d", first+i)
		}
		took = append(took, max(taken.Sub(at), 0))
	}
	return took, l.finished(ctx)
}

// deleteAll deletes the jobs of a namespace of the benchmark.
func (l *load) deleteAll(ctx context.Context, i int) error {
	return l.client.DeleteAllOf(ctx, &platenv1alpha1.RenderJob{}, client.InNamespace(namespaceName(i)))
}

// floor makes the writes of n jobs, and nothing else: it creates each, writes what status says while it waits, and what it says in the end. It
// returns how many jobs a second it did. model is a job that has finished.
func (l *load) floor(ctx context.Context, n int, model *platenv1alpha1.RenderJob) (perSecond float64, err error) {
	waiting := model.DeepCopy()
	waiting.Status.Pages, waiting.Status.CompletionTime, waiting.Status.RenderedPages = nil, nil, nil
	name := func(i int) string { return fmt.Sprintf("floor-%06d", i) }
	began := time.Now()
	err = parallel(ctx, n, func(ctx context.Context, i int) error {
		job := newJob(namespaceName(i%l.namespaces), name(i))
		if err := l.client.Create(ctx, job); err != nil {
			return err
		}
		for _, status := range []platenv1alpha1.RenderJobStatus{waiting.Status, model.Status} {
			patch, err := json.Marshal(map[string]any{"metadata": map[string]string{"resourceVersion": job.ResourceVersion}, "status": status})
			if err != nil {
				return err
			}
			if err := l.client.Status().Patch(ctx, job, client.RawPatch(types.MergePatchType, patch)); err != nil {
				return err
			}
		}
		return nil
	})
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	err = parallel(ctx, n, func(ctx context.Context, i int) error {
		return l.client.Delete(ctx, newJob(namespaceName(i%l.namespaces), name(i)))
	})
	return float64(n) / took.Seconds(), err
}

// pause waits. The error says that the manager has ended.
func (l *load) pause(ctx context.Context, d time.Duration) error {
	return errors.Join(pause(ctx, d), l.manager.Running())
}

// pause waits.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
