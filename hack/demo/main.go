// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command demo renders a first card and the samples, and shows the outcome as a user would see it. It needs a cluster with Platen and
// the Dropbox simulator, and the plugin in PATH; `make demo` provides both.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/types"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/cluster"
)

// out is the folder for the rendered files.
const out = ".devcluster/demo"

// sample is a job of config/samples and how it should end.
type sample struct {
	job     types.NamespacedName
	account string
	ready   string
}

func samples() []sample {
	named := func(namespace, name, account, ready string) sample {
		return sample{types.NamespacedName{Namespace: namespace, Name: name}, account, ready}
	}
	return []sample{
		named("marketing", "summer", "demo-app", platenv1alpha1.SucceededReason),
		named("marketing", "launch", "demo-app", platenv1alpha1.SucceededReason),
		named("marketing", "teaser", "demo-app", platenv1alpha1.SucceededReason),
		named("finance", "invoice", "demo-app", platenv1alpha1.SucceededReason),
		named("sales", "offer", "", platenv1alpha1.SucceededWithWarningsReason),
		named("press", "release", "", platenv1alpha1.SucceededWithWarningsReason),
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo failed:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	c, err := cluster.Open()
	if err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o750); err != nil {
		return err
	}
	fmt.Println("\n==> kubectl platen try > hello.yaml")
	if err := try(ctx); err != nil {
		return err
	}
	fmt.Println("\n==> kubectl apply --server-side -k config/samples: a banner, a carousel, a video, an invoice, and two jobs that end with a warning")
	samples := samples()
	for _, s := range samples {
		if err := kubectl(ctx, "-n", s.job.Namespace, "delete", "renderjob", s.job.Name, "--ignore-not-found"); err != nil {
			return err
		}
	}
	if err := kubectl(ctx, "apply", "--server-side", "--force-conflicts", "-k", "config/samples"); err != nil {
		return err
	}
	var problems []error
	for _, s := range samples {
		job, err := c.WaitFinished(ctx, s.job)
		if err != nil {
			return err
		}
		problems = append(problems, show(ctx, c, s, job))
	}
	fmt.Println("\n==> kubectl get renderjobs,renderpools,storageconnections,rendertemplates -A")
	if err := kubectl(ctx, "get", "renderjobs,renderpools,storageconnections,rendertemplates", "-A"); err != nil {
		return err
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	bin, err := filepath.Abs("bin")
	if err != nil {
		return err
	}
	fmt.Printf(`
==> demo: %d of %d jobs ended as expected. The files:
  %[3]s/hello.png                     the first card
  %[3]s/marketing/summer-1.png        a banner
  %[3]s/marketing/launch-{1,2,3}.png  a carousel
  %[3]s/marketing/teaser-1.mp4        a video
  %[3]s/finance/invoice-1.pdf         an invoice

The cluster stays up; try:
  export KUBECONFIG=%[4]s PATH=%[5]s:$PATH   # the cluster, its kubectl and the plugin
  kubectl -n marketing get rj summer -o yaml
  kubectl -n marketing patch rj summer --type merge -p '{"spec":{"modifications":{"headline":"Long days, short nights"}}}'
  kubectl -n marketing get rj -w
  make cluster-down        # when you are done
`, len(samples), len(samples), out, os.Getenv("KUBECONFIG"), bin)
	return nil
}

// try renders the first card.
func try(ctx context.Context) error {
	manifest, err := os.Create(filepath.Join(out, "hello.yaml"))
	if err != nil {
		return err
	}
	command := exec.CommandContext(ctx, "kubectl", "platen", "try", "-o", filepath.Join(out, "hello.png"))
	command.Stdout, command.Stderr = manifest, os.Stderr
	return errors.Join(command.Run(), manifest.Close())
}

// show prints a job's status, fetches its files, and compares those in Dropbox with those in the content store.
func show(ctx context.Context, c *cluster.Cluster, s sample, job *platenv1alpha1.RenderJob) error {
	fmt.Printf("\n==> %s\n", s.job)
	reason := ""
	for _, condition := range job.Status.Conditions {
		if condition.Type == platenv1alpha1.ReadyCondition {
			reason = condition.Reason
			fmt.Printf("  %s: %s\n", condition.Reason, condition.Message)
		}
	}
	contents := map[int32][]byte{}
	for _, page := range job.Status.Pages {
		data, contentType, err := c.Content(ctx, page.ContentURL)
		if err != nil {
			return fmt.Errorf("%s: reading page %d: %w", s.job, page.Page, err)
		}
		contents[page.Page] = data
		path := filepath.Join(out, s.job.Namespace, fmt.Sprintf("%s-%d.%s", s.job.Name, page.Page, job.Status.Format))
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return err
		}
		fmt.Printf("  page %d: %s, %d bytes, %dx%d\n    content %s\n    copied to %s\n",
			page.Page, contentType, len(data), page.Width, page.Height, page.ContentURL, path)
	}
	for _, connection := range job.Status.Connections {
		fmt.Printf("  %s (%s): %s %s\n", connection.Name, connection.Provider, connection.Status, connection.Error)
		for _, page := range connection.Pages {
			if page.Error != "" {
				fmt.Printf("    page %d is not in Dropbox: %s\n", page.Page, page.Error)
				continue
			}
			data, err := c.Simulator().File(ctx, s.account, page.Path)
			if err != nil {
				return fmt.Errorf("%s: %s is not in Dropbox: %w", s.job, page.Path, err)
			}
			if !bytes.Equal(data, contents[page.Page]) {
				return fmt.Errorf("%s: %s in Dropbox differs from the content store", s.job, page.Path)
			}
			fmt.Printf("    page %d in Dropbox at %s, byte-identical\n", page.Page, page.Path)
		}
	}
	for _, w := range job.Status.Warnings {
		fmt.Printf("  warning: %s\n", w.Title)
	}
	if reason != s.ready {
		return fmt.Errorf("%s ended with %s, want %s", s.job, reason, s.ready)
	}
	return nil
}

func kubectl(ctx context.Context, args ...string) error {
	command := exec.CommandContext(ctx, "kubectl", args...)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	return command.Run()
}
