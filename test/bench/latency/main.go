// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command latency measures how long a job of one page takes in a namespace without a render pod, from its creation until it is
// Succeeded and in Dropbox. The peer is a batch/v1 Job that runs the same Chromium on the same page and uploads nothing. The two take
// turns.
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
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/bench/card"
	"github.com/platen-dev/platen/test/bench/report"
	"github.com/platen-dev/platen/test/cluster"
)

func main() {
	runs := flag.Int("runs", 10, "number of measurements of each")
	image := flag.String("image", "platen.dev/renderer:dev", "image with Chromium for the batch/v1 Job")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *runs, *image)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "latency:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, runs int, image string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(runs)*2*time.Minute)
	defer cancel()
	c, err := cluster.Open()
	if err != nil {
		return err
	}
	var ours, peers []time.Duration
	for i := range runs {
		job, err := measure(ctx, c, renderJob)
		if err != nil {
			return err
		}
		peer, err := measure(ctx, c, func(ctx context.Context, c *cluster.Cluster, namespace string) (time.Duration, error) {
			return batchJob(ctx, c, namespace, image)
		})
		if err != nil {
			return err
		}
		fmt.Printf("run %2d: RenderJob %.2f s, batch/v1 Job %.2f s\n", i+1, job.Seconds(), peer.Seconds())
		ours, peers = append(ours, job), append(peers, peer)
	}
	const name = "batch/v1 Job, no upload"
	return report.Write(os.Stdout, "latency", []report.Figure{
		report.Figure{Name: "cold_p50_seconds", Value: report.Percentile(ours, 50), Unit: "s", Goal: "<= 2.0"}.Against(name, report.Percentile(peers, 50)),
		report.Figure{Name: "cold_p99_seconds", Value: report.Percentile(ours, 99), Unit: "s"}.Against(name, report.Percentile(peers, 99)),
	})
}

// measure runs a measurement in a new namespace, and waits until the namespace is gone, so that nothing disturbs the next measurement.
func measure(ctx context.Context, c *cluster.Cluster, m func(context.Context, *cluster.Cluster, string) (time.Duration, error)) (took time.Duration, err error) {
	namespace, err := card.Namespace(ctx, c)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, remove(ctx, c, namespace)) }()
	return m(ctx, c, namespace.Name)
}

func remove(ctx context.Context, c *cluster.Cluster, namespace *corev1.Namespace) error {
	if err := c.Delete(ctx, namespace); err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		err := c.Get(ctx, client.ObjectKeyFromObject(namespace), namespace)
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
}

// renderJob measures a RenderJob.
func renderJob(ctx context.Context, c *cluster.Cluster, namespace string) (time.Duration, error) {
	if err := card.Prepare(ctx, c, namespace); err != nil {
		return 0, err
	}
	in := metav1.ObjectMeta{Namespace: namespace, Name: card.Name}
	job := &platenv1alpha1.RenderJob{ObjectMeta: in, Spec: platenv1alpha1.RenderJobSpec{TemplateRef: platenv1alpha1.TemplateReference{Name: card.Name}}}
	start := time.Now()
	if err := c.Create(ctx, job); err != nil {
		return 0, err
	}
	job, err := c.WaitFinished(ctx, client.ObjectKeyFromObject(job))
	took := time.Since(start)
	if err == nil && meta.FindStatusCondition(job.Status.Conditions, platenv1alpha1.ReadyCondition).Reason != platenv1alpha1.SucceededReason {
		err = fmt.Errorf("the job did not succeed: %+v", job.Status)
	}
	return took, err
}

// batchJob measures a batch/v1 Job.
func batchJob(ctx context.Context, c *cluster.Cluster, namespace, image string) (time.Duration, error) {
	in := metav1.ObjectMeta{Namespace: namespace, Name: "card"}
	if err := c.Create(ctx, &corev1.ConfigMap{ObjectMeta: in, Data: map[string]string{"page.html": card.Page}}); err != nil {
		return 0, err
	}
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
	err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		if err := c.Get(ctx, client.ObjectKeyFromObject(job), job); err != nil {
			return false, err
		}
		for _, condition := range job.Status.Conditions {
			switch {
			case condition.Status != corev1.ConditionTrue:
			case condition.Type == batchv1.JobComplete:
				return true, nil
			case condition.Type == batchv1.JobFailed:
				return false, fmt.Errorf("the batch/v1 Job failed: %s", condition.Message)
			}
		}
		return false, nil
	})
	return time.Since(start), err
}
