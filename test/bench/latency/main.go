// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command latency measures how long a job takes from its creation until it is Succeeded and in Dropbox: cold, in a namespace without a
// render pod; warm, on a pod that has rendered before; and warm with two pages while each Dropbox call takes 100 ms. The peer is a
// batch/v1 Job that runs the same Chromium on the same page and uploads nothing. All take turns.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/bench/card"
	"github.com/platen-dev/platen/test/bench/report"
	"github.com/platen-dev/platen/test/cluster"
)

const (
	// peer is the name of the peer in the report.
	peer = "batch/v1 Job, no upload"
	// dropboxLatency is how long each Dropbox call takes in the measurement with two pages.
	dropboxLatency = 100 * time.Millisecond
	// jobTimeout bounds one measurement.
	jobTimeout = time.Minute
)

// options of a measurement.
type options struct {
	rounds, warm, twoPages int
	image                  string
}

func main() {
	o := options{}
	flag.IntVar(&o.rounds, "runs", 10, "number of rounds: each measures one cold job and one batch/v1 Job, and a share of the warm jobs")
	flag.IntVar(&o.warm, "warm", 100, "number of warm jobs in all")
	flag.IntVar(&o.twoPages, "two-pages", 30, "number of jobs with two pages in all")
	flag.StringVar(&o.image, "image", "platen.dev/renderer:dev", "image with Chromium for the batch/v1 Job")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "latency:", err)
		os.Exit(1)
	}
}

// durations of each kind of job.
type durations struct {
	cold, warm, twoPages, peers []time.Duration
}

func run(ctx context.Context, o options) (err error) {
	c, err := cluster.Open()
	if err != nil {
		return err
	}
	warm, err := card.Namespace(ctx, c)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, c.Simulator().SetLatency(context.WithoutCancel(ctx), 0), card.Remove(ctx, c, warm.Name))
	}()
	if err := errors.Join(card.Prepare(ctx, c, warm.Name), twoPages(ctx, c, warm.Name)); err != nil {
		return err
	}
	d := durations{}
	for i := range o.rounds {
		if err := d.round(ctx, c, o, warm.Name, i); err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
	}
	peers := report.Percentile(d.peers, 50)
	figure := func(name string, values []time.Duration, p float64, goal string) report.Figure {
		return report.Figure{Name: name, Value: report.Percentile(values, p), Unit: "s", Goal: goal}.Against(peer, peers)
	}
	return report.Write(os.Stdout, "latency", []report.Figure{
		figure("cold_p50_seconds", d.cold, 50, "<= 0.33x"),
		figure("cold_p99_seconds", d.cold, 99, ""),
		figure("warm_p50_seconds", d.warm, 50, "<= 0.05x"),
		figure("warm_p99_seconds", d.warm, 99, "<= 0.12x"),
		figure("two_pages_100ms_p50_seconds", d.twoPages, 50, "<= 0.15x"),
	})
}

// round measures a cold job, a batch/v1 Job, and the round's share of the warm jobs.
func (d *durations) round(ctx context.Context, c *cluster.Cluster, o options, warm string, i int) error {
	cold, err := alone(ctx, c, func(ctx context.Context, namespace string) (time.Duration, error) {
		if err := card.Prepare(ctx, c, namespace); err != nil {
			return 0, err
		}
		return renderJob(ctx, c, namespace, card.Name)
	})
	if err != nil {
		return err
	}
	batch, err := alone(ctx, c, func(ctx context.Context, namespace string) (time.Duration, error) {
		return batchJob(ctx, c, namespace, o.image)
	})
	if err != nil {
		return err
	}
	if _, err := renderJob(ctx, c, warm, card.Name); err != nil { // starts a render pod if the last one was idle for too long
		return err
	}
	one, err := series(ctx, c, warm, card.Name, share(o.warm, o.rounds, i))
	if err != nil {
		return err
	}
	if err := c.Simulator().SetLatency(ctx, dropboxLatency); err != nil {
		return err
	}
	two, err := series(ctx, c, warm, twoPagesName, share(o.twoPages, o.rounds, i))
	if err := errors.Join(err, c.Simulator().SetLatency(ctx, 0)); err != nil {
		return err
	}
	fmt.Printf("round %2d: batch/v1 Job %.2f s, cold %.2f s, %d warm jobs %.3f s, %d with two pages and 100 ms a call %.3f s (p50)\n",
		i+1, batch.Seconds(), cold.Seconds(), len(one), report.Percentile(one, 50), len(two), report.Percentile(two, 50))
	d.cold, d.peers = append(d.cold, cold), append(d.peers, batch)
	d.warm, d.twoPages = append(d.warm, one...), append(d.twoPages, two...)
	return nil
}

// share returns how many of n measurements belong to round i.
func share(n, rounds, i int) int { return n*(i+1)/rounds - n*i/rounds }

// series measures n jobs, one after the other.
func series(ctx context.Context, c *cluster.Cluster, namespace, template string, n int) ([]time.Duration, error) {
	values := make([]time.Duration, 0, n)
	for range n {
		took, err := renderJob(ctx, c, namespace, template)
		if err != nil {
			return nil, err
		}
		values = append(values, took)
	}
	return values, nil
}

// alone measures in a new namespace, and waits until the namespace is gone, so that nothing disturbs the next measurement.
func alone(ctx context.Context, c *cluster.Cluster, m func(context.Context, string) (time.Duration, error)) (took time.Duration, err error) {
	namespace, err := card.Namespace(ctx, c)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, remove(ctx, c, namespace)) }()
	return m(ctx, namespace.Name)
}

func remove(ctx context.Context, c *cluster.Cluster, namespace *corev1.Namespace) error {
	if err := c.Delete(ctx, namespace); err != nil {
		return err
	}
	return card.AwaitGone(ctx, c, namespace.Name)
}

// twoPagesName is the name of the template with two pages.
const twoPagesName = "two-pages"

// twoPages creates the template with two pages.
func twoPages(ctx context.Context, c *cluster.Cluster, namespace string) error {
	return c.Create(ctx, &platenv1alpha1.RenderTemplate{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: twoPagesName},
		Spec: platenv1alpha1.RenderTemplateSpec{Pages: []platenv1alpha1.TemplatePage{
			{Name: "front", Width: 1200, Height: 630, HTML: card.Page}, {Name: "back", Width: 1200, Height: 630, HTML: card.Page},
		}},
	})
}

// renderJob measures a RenderJob. A watch sees its end.
func renderJob(ctx context.Context, c *cluster.Cluster, namespace, template string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, jobTimeout)
	defer cancel()
	watch, err := c.Watch(ctx, &platenv1alpha1.RenderJobList{}, client.InNamespace(namespace))
	if err != nil {
		return 0, fmt.Errorf("watching the jobs: %w", err)
	}
	defer watch.Stop()
	job := &platenv1alpha1.RenderJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: template + "-"},
		Spec:       platenv1alpha1.RenderJobSpec{TemplateRef: platenv1alpha1.TemplateReference{Name: template}, Cache: platenv1alpha1.CacheDisabled},
	}
	start := time.Now()
	if err := c.Create(ctx, job); err != nil {
		return 0, err
	}
	for event := range watch.ResultChan() {
		seen, ok := event.Object.(*platenv1alpha1.RenderJob)
		if !ok || seen.UID != job.UID || !seen.Finished() {
			continue
		}
		took := time.Since(start)
		if ready := meta.FindStatusCondition(seen.Status.Conditions, platenv1alpha1.ReadyCondition); ready.Reason != platenv1alpha1.SucceededReason {
			return 0, fmt.Errorf("job %s did not succeed: %+v", seen.Name, seen.Status)
		}
		return took, nil
	}
	return 0, fmt.Errorf("job %s has not finished within %s: %w", job.Name, jobTimeout, context.Cause(ctx))
}

// batchJob measures a batch/v1 Job.
func batchJob(ctx context.Context, c *cluster.Cluster, namespace, image string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, jobTimeout)
	defer cancel()
	in := metav1.ObjectMeta{Namespace: namespace, Name: "card"}
	if err := c.Create(ctx, &corev1.ConfigMap{ObjectMeta: in, Data: map[string]string{"page.html": card.Page}}); err != nil {
		return 0, err
	}
	watch, err := c.Watch(ctx, &batchv1.JobList{}, client.InNamespace(namespace))
	if err != nil {
		return 0, fmt.Errorf("watching the jobs: %w", err)
	}
	defer watch.Stop()
	job := &batchv1.Job{ObjectMeta: in, Spec: batchv1.JobSpec{
		BackoffLimit: new(int32(0)),
		Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy:                corev1.RestartPolicyNever,
			AutomountServiceAccountToken: new(false),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: new(true), RunAsUser: new(int64(65532)),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: "chromium", Image: image, ImagePullPolicy: corev1.PullIfNotPresent,
				Command: []string{
					"chromium-headless-shell", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1200,630",
					"--screenshot=/tmp/card.png", "file:///page/page.html",
				},
				Env: []corev1.EnvVar{{Name: "HOME", Value: "/tmp"}},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
					Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
				VolumeMounts: []corev1.VolumeMount{{Name: "tmp", MountPath: "/tmp"}, {Name: "page", MountPath: "/page"}},
			}},
			Volumes: []corev1.Volume{
				{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
				{Name: "page", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "card"}}}},
			},
		}},
	}}
	start := time.Now()
	if err := c.Create(ctx, job); err != nil {
		return 0, err
	}
	for event := range watch.ResultChan() {
		seen, ok := event.Object.(*batchv1.Job)
		if !ok {
			continue
		}
		for _, condition := range seen.Status.Conditions {
			switch {
			case condition.Status != corev1.ConditionTrue:
			case condition.Type == batchv1.JobComplete:
				return time.Since(start), nil
			case condition.Type == batchv1.JobFailed:
				return 0, fmt.Errorf("the batch/v1 Job failed: %s", condition.Message)
			}
		}
	}
	return 0, fmt.Errorf("the batch/v1 Job has not finished within %s: %w", jobTimeout, context.Cause(ctx))
}
