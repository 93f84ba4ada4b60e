// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// allNamespacesFlag is -A.
func allNamespacesFlag(c *cobra.Command, target *bool) {
	c.Flags().BoolVarP(target, "all-namespaces", "A", false, "those of all namespaces")
}

// status is kubectl platen status.
func (o *options) status() *cobra.Command {
	output, all := "", false
	command := &cobra.Command{
		Use:     "status [JOB]",
		Aliases: []string{"jobs"},
		Short:   "Tell what became of a job, or of all",
		Long: `Tell what became of a job: its files, where they went, warnings, and what to do about them. Without JOB, list the jobs of the
namespace, the newest first.`,
		Example: `  # All jobs of the namespace marketing.
  kubectl platen status -n marketing

  # One job in full.
  kubectl platen status banner-x7k2p

  # Its files' URLs.
  kubectl platen status banner-x7k2p -o json | jq -r '.status.pages[].contentURL'`,
		Args:              arguments(0, 1, "job"),
		ValidArgsFunction: o.completeJobs,
		RunE: func(command *cobra.Command, args []string) error {
			if err := checkOutput(output, formats...); err != nil {
				return err
			}
			c, err := o.cluster()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return o.listJobs(command.Context(), c, output, all)
			}
			if all {
				return usage("-A lists the jobs of all namespaces; a job has one (-n)")
			}
			job := &platenv1alpha1.RenderJob{}
			if err := c.get(command.Context(), args[0], job); err != nil {
				return c.notFound(command.Context(), err, "RenderJob", args[0], &platenv1alpha1.RenderJobList{})
			}
			if output != "" {
				return printObjects(o.Out, output, job)
			}
			describe(o.Out, job)
			return nil
		},
	}
	outputFlag(command, &output)
	allNamespacesFlag(command, &all)
	return command
}

func (o *options) listJobs(ctx context.Context, c *cluster, output string, all bool) error {
	list := &platenv1alpha1.RenderJobList{}
	if err := c.list(ctx, list, all); err != nil {
		return err
	}
	slices.SortStableFunc(list.Items, func(a, b platenv1alpha1.RenderJob) int {
		return b.CreationTimestamp.Compare(a.CreationTimestamp.Time)
	})
	if output != "" {
		return printList(o.Out, output, list)
	}
	rows := make([][]string, 0, len(list.Items))
	for i := range list.Items {
		job := &list.Items[i]
		word, _ := stage(job)
		titles := make([]string, 0, len(job.Status.Warnings))
		for _, w := range job.Status.Warnings {
			titles = append(titles, w.Title)
		}
		rows = append(rows, []string{
			job.Namespace, job.Name, job.Spec.TemplateRef.Name, word, string(job.Spec.Output.Format), strconv.Itoa(int(ptr.Deref(job.Status.RenderedPages, 0))),
			uploadedWord(job), strings.Join(titles, "; "), age(job),
		})
	}
	return o.table(c, all, "jobs", []string{"NAMESPACE", "NAME", "TEMPLATE", "STATUS", "FORMAT", "PAGES", "UPLOADED", "WARNINGS", "AGE"}, rows)
}

// uploadedWord says whether the files are where they shall go; empty when nothing is uploaded.
func uploadedWord(job *platenv1alpha1.RenderJob) string {
	switch uploaded := condition(job, platenv1alpha1.UploadedCondition); {
	case uploaded.Status == metav1.ConditionTrue:
		return "yes"
	case uploaded.Status == metav1.ConditionFalse:
		return uploaded.Reason
	case uploaded.Reason != "":
		return "not yet"
	default:
		return ""
	}
}

func age(o client.Object) string {
	return duration.HumanDuration(time.Since(o.GetCreationTimestamp().Time))
}

// table prints rows of which the first cell is the namespace, which is shown for all namespaces only.
func (o *options) table(c *cluster, all bool, what string, headings []string, rows [][]string) error {
	if len(rows) == 0 {
		where := "namespace " + c.namespace
		if all {
			where = "any namespace"
		}
		fmt.Fprintf(o.ErrOut, "There are no %s in %s.\n", what, where)
		return nil
	}
	if !all {
		headings = headings[1:]
		for i := range rows {
			rows[i] = rows[i][1:]
		}
	}
	printTable(o.Out, headings, rows)
	return nil
}

// retryCommand is kubectl platen retry.
type retryCommand struct {
	*options
	wait    bool
	timeout time.Duration
}

func (o *options) retry() *cobra.Command {
	r := &retryCommand{options: o}
	command := &cobra.Command{
		Use:   "retry JOB...",
		Short: "Upload again what could not be uploaded, without rendering",
		Long: `Upload again what could not be uploaded. The files are those that were rendered: nothing is rendered again.

Jobs whose upload failed for a reason of the connection are tried again by themselves when it works again. Files are kept as long as
their job.`,
		Example: `  # After there is room in Dropbox again, and tell how it went.
  kubectl platen retry banner-x7k2p -n marketing --wait`,
		Args:              arguments(1, -1, "job"),
		ValidArgsFunction: o.completeFailedJobs,
		RunE: func(command *cobra.Command, args []string) error {
			c, err := o.cluster()
			if err != nil {
				return err
			}
			for _, name := range args {
				if err := r.job(command.Context(), c, name); err != nil {
					return err
				}
			}
			return nil
		},
	}
	command.Flags().BoolVar(&r.wait, "wait", false, "wait until the files are uploaded, or cannot be again")
	command.Flags().DurationVar(&r.timeout, "timeout", 10*time.Minute, "how long to wait")
	return command
}

func (r *retryCommand) job(ctx context.Context, c *cluster, name string) error {
	job := &platenv1alpha1.RenderJob{}
	if err := c.get(ctx, name, job); err != nil {
		return c.notFound(ctx, err, "RenderJob", name, &platenv1alpha1.RenderJobList{})
	}
	switch _, sentence := stage(job); {
	case !job.Finished():
		return fmt.Errorf("RenderJob %s/%s has not finished (%s): there is nothing to try again yet", c.namespace, name, sentence)
	case condition(job, platenv1alpha1.RenderedCondition).Status != metav1.ConditionTrue:
		return fmt.Errorf("RenderJob %s/%s could not be rendered (%s): change its spec, which renders it again", c.namespace, name, sentence)
	case !retriable(job):
		return fmt.Errorf("RenderJob %s/%s has no upload that failed: there is nothing to try again", c.namespace, name)
	}
	wish := time.Now().UTC().Format(time.RFC3339Nano)
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"annotations": map[string]string{platenv1alpha1.RetryUploadsAnnotation: wish},
	}})
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := c.Patch(limited, job, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(fieldOwner)); err != nil {
		return explain(err)
	}
	if !r.wait {
		fmt.Fprintf(r.Out, "renderjob.platen.dev/%s is uploaded again; see kubectl platen status %s -n %s\n", name, name, c.namespace)
		return nil
	}
	return r.await(ctx, c, name, wish)
}

// await waits until the manager has acted upon the wish, and tells how it went.
func (r *retryCommand) await(ctx context.Context, c *cluster, name, wish string) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	var done *platenv1alpha1.RenderJob
	err := follow(ctx, c, name, &platenv1alpha1.RenderJob{}, &platenv1alpha1.RenderJobList{}, func(now *platenv1alpha1.RenderJob) (bool, error) {
		done = now
		return now.Status.LastHandledRetryUploads == wish && now.Finished(), nil
	})
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &exitError{exitTimeout, fmt.Errorf("RenderJob %s/%s is not uploaded again within %s; see kubectl platen status %s -n %s", c.namespace, name, r.timeout, name, c.namespace)}
	case err != nil:
		return err
	}
	describeUploads(r.Out, done)
	if text := advice(done); text != "" {
		fmt.Fprintln(r.ErrOut, text)
	}
	return outcome(done)
}

// retriable tells whether an upload of a finished job failed.
func retriable(job *platenv1alpha1.RenderJob) bool {
	return job.Finished() && condition(job, platenv1alpha1.RenderedCondition).Status == metav1.ConditionTrue &&
		condition(job, platenv1alpha1.UploadedCondition).Status == metav1.ConditionFalse
}
