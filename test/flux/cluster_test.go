// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package flux

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/platen-dev/platen/test/cluster"
)

// TestCluster lets Flux bring config/samples from git to the development cluster: its render pods and their Chromium make the pictures. Flux prunes
// the samples in the end.
func TestCluster(t *testing.T) {
	if os.Getenv("OWN_CLUSTER") != "" {
		t.Skip("a cluster of one's own may have a Flux of its own")
	}
	kubeconfig := os.Getenv("KUBECONFIG")
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Open()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, client: c}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "flux-system"}}
	w.must(client.IgnoreAlreadyExists(c.Create(t.Context(), namespace)))
	t.Cleanup(func() { _ = c.Delete(context.Background(), namespace) })
	w.start(config, kubeconfig)

	t.Log("the Kustomization is ready once each job of the commit is rendered")
	w.edit("sales.yaml", "demo-revoked-app", "demo-app")
	w.commit("Print the campaign of the summer")
	w.apply()
	t.Cleanup(func() { w.must(prune(c)) })
	w.settled()
	jobs := 0
	for _, job := range w.jobs() {
		if job.Labels["kustomize.toolkit.fluxcd.io/name"] != "renders" {
			continue
		}
		jobs++
		for _, page := range job.Status.Pages {
			if content, _, err := c.Content(t.Context(), page.ContentURL); err != nil || int64(len(content)) != *page.Size {
				t.Errorf("%s of %s: %d bytes, want %d: %v", page.ContentURL, job.Name, len(content), *page.Size, err)
			}
		}
	}
	if jobs != 6 {
		t.Errorf("%d jobs are rendered, git has 6", jobs)
	}

	t.Log("a changed job has another picture when the commit is ready")
	picture := func() []byte {
		content, _, err := c.Content(t.Context(), w.job("marketing", "summer").Status.Pages[0].ContentURL)
		w.must(err)
		return content
	}
	before := picture()
	w.edit("marketing.yaml", "Hello, summer\"}", "Hello, autumn\"}")
	w.commit("Print autumn")
	w.settled()
	if bytes.Equal(before, picture()) {
		t.Error("the picture is the same")
	}
}

// prune deletes the objects of Flux, which deletes what it has brought.
func prune(c client.Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var errs []error
	for kind, group := range map[string]string{"Kustomization": "kustomize.toolkit.fluxcd.io/v1", "GitRepository": "source.toolkit.fluxcd.io/v1"} {
		object := &unstructured.Unstructured{}
		object.SetAPIVersion(group)
		object.SetKind(kind)
		object.SetNamespace("flux-system")
		object.SetName("renders")
		if err := client.IgnoreNotFound(c.Delete(ctx, object)); err != nil {
			errs = append(errs, err)
			continue
		}
		err := wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(ctx context.Context) (bool, error) {
			return apierrors.IsNotFound(c.Get(ctx, client.ObjectKeyFromObject(object), object)), nil
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("%s is still there: %w", kind, err))
		}
	}
	return errors.Join(errs...)
}
