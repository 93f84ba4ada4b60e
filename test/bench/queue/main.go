// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command queue measures what one namespace's queue costs others. Fairness: how long ten jobs take alone, and how long they take behind a
// thousand jobs of another namespace. Quota: what sixty jobs of three seconds under a ResourceQuota of two pods cost the API server; this
// needs the development cluster, whose audit log it reads.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/bench/card"
	"github.com/platen-dev/platen/test/bench/report"
	"github.com/platen-dev/platen/test/cluster"
	"github.com/platen-dev/platen/test/node"
)

const (
	// seriesTimeout bounds a series of jobs.
	seriesTimeout = 15 * time.Minute
	// quotaJobs and quotaWindow are what the goals of the quota name.
	quotaJobs   = 60
	quotaWindow = 45 * time.Second
	slow        = "slow"
	// creators is how many jobs are created at a time.
	creators = 16
)

func main() {
	flood := flag.Int("flood", 1000, "jobs of the other namespace")
	jobs := flag.Int("jobs", 10, "jobs that are measured")
	rounds := flag.Int("rounds", 3, "times that they are measured, alone and beside; the median counts")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *flood, *jobs, *rounds)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "queue:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, flood, jobs, rounds int) error {
	c, err := cluster.Open()
	if err != nil {
		return err
	}
	alone, beside, err := fairness(ctx, c, flood, jobs, rounds)
	if err != nil {
		return err
	}
	writes, refused, err := quota(ctx, c)
	if err != nil {
		return err
	}
	return report.Write(os.Stdout, "queue", []report.Figure{
		report.Figure{Name: "fairness_seconds", Value: beside.Seconds(), Unit: "s", Goal: "<= 3.0x"}.
			Against(fmt.Sprintf("the same %d jobs alone", jobs), alone.Seconds()),
		{Name: "quota_status_writes_per_job", Value: float64(writes) / quotaJobs, Goal: "<= 3"},
		{Name: "quota_refused_creates", Value: float64(refused), Goal: "<= 15"},
	})
}

// prepared returns a new namespace with an account and a template of a card, and a function that deletes it.
func prepared(ctx context.Context, c *cluster.Cluster) (string, func() error, error) {
	namespace, err := card.Namespace(ctx, c)
	if err != nil {
		return "", nil, err
	}
	remove := func() error { return card.Remove(ctx, c, namespace.Name) }
	return namespace.Name, remove, card.Prepare(ctx, c, namespace.Name)
}

// fairness measures jobs alone, and beside the jobs of another namespace, which are created before. It returns the medians of some rounds.
func fairness(ctx context.Context, c *cluster.Cluster, flood, jobs, rounds int) (alone, beside time.Duration, err error) {
	alones, err := measured(ctx, c, jobs, rounds)
	if err != nil {
		return 0, 0, err
	}
	fmt.Printf("%d jobs alone: %v\n", jobs, alones)
	other, remove, err := prepared(ctx, c)
	if remove != nil {
		defer func() { err = errors.Join(err, remove()) }()
	}
	if err != nil {
		return 0, 0, err
	}
	if err := create(ctx, c, other, card.Name, flood); err != nil {
		return 0, 0, err
	}
	before, err := finished(ctx, c, other)
	if err != nil {
		return 0, 0, err
	}
	besides, err := measured(ctx, c, jobs, rounds)
	if err != nil {
		return 0, 0, err
	}
	after, err := finished(ctx, c, other)
	if err != nil {
		return 0, 0, err
	}
	fmt.Printf("%d jobs beside %d of another namespace, of which %d ended before and %d meanwhile: %v\n", jobs, flood, before, after-before, besides)
	if after == flood {
		return 0, 0, errors.New("the other namespace has no jobs left: nothing was measured; use a larger -flood")
	}
	return median(alones), median(besides), nil
}

func median(values []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}

// measured measures jobs in a new namespace, some rounds one after another. Each namespace is gone before the next one comes.
func measured(ctx context.Context, c *cluster.Cluster, jobs, rounds int) (took []time.Duration, err error) {
	for range rounds {
		one, err := measuredOnce(ctx, c, jobs)
		if err != nil {
			return nil, err
		}
		took = append(took, one.Round(10*time.Millisecond))
	}
	return took, nil
}

func measuredOnce(ctx context.Context, c *cluster.Cluster, jobs int) (took time.Duration, err error) {
	namespace, remove, err := prepared(ctx, c)
	if remove != nil {
		defer func() { err = errors.Join(err, remove(), card.AwaitGone(ctx, c, namespace)) }()
	}
	if err != nil {
		return 0, err
	}
	return series(ctx, c, namespace, jobs)
}

// create creates n jobs of a template, several at a time: the first ones are not to end before the last one exists.
func create(ctx context.Context, c *cluster.Cluster, namespace, template string, n int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	for i := range n {
		group.Go(func() error {
			return c.Create(ctx, &platenv1alpha1.RenderJob{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("%s-%04d", template, i)},
				Spec:       platenv1alpha1.RenderJobSpec{TemplateRef: platenv1alpha1.TemplateReference{Name: template}, Cache: platenv1alpha1.CacheDisabled},
			})
		})
	}
	return group.Wait()
}

// finished counts the jobs that have finished. Each must have succeeded.
func finished(ctx context.Context, c *cluster.Cluster, namespace string) (n int, err error) {
	jobs := &platenv1alpha1.RenderJobList{}
	if err := c.List(ctx, jobs, client.InNamespace(namespace)); err != nil {
		return 0, err
	}
	for i := range jobs.Items {
		job := &jobs.Items[i]
		if !job.Finished() {
			continue
		}
		if !meta.IsStatusConditionTrue(job.Status.Conditions, platenv1alpha1.ReadyCondition) {
			return 0, fmt.Errorf("job %s has failed: %+v", job.Name, job.Status.Conditions)
		}
		n++
	}
	return n, nil
}

// series creates jobs and measures the time until the last one has finished.
func series(ctx context.Context, c *cluster.Cluster, namespace string, n int) (time.Duration, error) {
	began := time.Now()
	if err := create(ctx, c, namespace, card.Name, n); err != nil {
		return 0, err
	}
	err := await(ctx, c, namespace, n)
	return time.Since(began), err
}

func await(ctx context.Context, c *cluster.Cluster, namespace string, n int) error {
	return wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, seriesTimeout, true, func(ctx context.Context) (bool, error) {
		done, err := finished(ctx, c, namespace)
		return done == n, err
	})
}

// quota runs jobs of three seconds under a ResourceQuota of two pods. It returns the writes of Platen to the jobs' status until the last one
// has finished, and the refused creations of pods in the window after the first job.
func quota(ctx context.Context, c *cluster.Cluster) (writes, refused int, err error) {
	namespace, remove, err := prepared(ctx, c)
	if remove != nil {
		defer func() { err = errors.Join(err, remove()) }()
	}
	if err != nil {
		return 0, 0, err
	}
	log := node.AuditLog{Path: filepath.Join(".devcluster", "audit.log"), Kube: c.Kube()}
	offset, err := log.End()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	err = errors.Join(
		c.Create(ctx, &corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "pods"},
			Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("2")}},
		}),
		c.Create(ctx, &platenv1alpha1.RenderTemplate{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: slow},
			Spec: platenv1alpha1.RenderTemplateSpec{Pages: []platenv1alpha1.TemplatePage{{
				Name: "front", Width: 400, Height: 200, HTML: `<p>slow<script>platen.ready = () => new Promise((ready) => setTimeout(ready, 3000))</script>`,
			}}},
		}),
		create(ctx, c, namespace, slow, quotaJobs),
		await(ctx, c, namespace, quotaJobs),
	)
	if err != nil {
		return 0, 0, err
	}
	took := time.Since(began)
	events, err := log.Writes(ctx, offset, namespace)
	if err != nil {
		return 0, 0, err
	}
	for _, e := range events {
		switch {
		case e.ObjectRef.Namespace != namespace:
		case e.ObjectRef.Resource == "renderjobs" && e.ObjectRef.Subresource == "status":
			writes++
		case e.ObjectRef.Resource == "pods" && e.Verb == "create" && e.ResponseStatus.Code == http.StatusForbidden &&
			e.RequestReceivedTimestamp.Sub(began) < quotaWindow:
			refused++
		}
	}
	fmt.Printf("%d jobs of three seconds on two pods: %.0f s, %d status writes, %d refused creations of pods in the first %s\n",
		quotaJobs, took.Seconds(), writes, refused, quotaWindow)
	return writes, refused, nil
}
