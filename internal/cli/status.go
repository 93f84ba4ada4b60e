// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/destination"
)

// status is kubectl platen status.
func (o *options) status() *cobra.Command {
	wait, timeout := false, time.Duration(0)
	command := listing[*platenv1alpha1.RenderJob]{
		kind: "RenderJob", name: "job", plural: "jobs",
		object: &platenv1alpha1.RenderJob{}, list: &platenv1alpha1.RenderJobList{},
		headings: []string{"NAMESPACE", "NAME", "TEMPLATE", "STATUS", "FORMAT", "PAGES", "UPLOADED", "WARNINGS", "AGE"}, row: jobRow,
		order: func(a, b *platenv1alpha1.RenderJob) int {
			return b.CreationTimestamp.Compare(a.CreationTimestamp.Time)
		},
		await: func(ctx context.Context, c *cluster, job *platenv1alpha1.RenderJob) (*platenv1alpha1.RenderJob, error) {
			if !wait {
				return job, nil
			}
			return o.awaitJob(ctx, c, job, int(ptr.Deref(job.Status.TotalPages, 1)), timeout, (*platenv1alpha1.RenderJob).Finished)
		},
		ended: func(job *platenv1alpha1.RenderJob) error {
			if !wait {
				return nil
			}
			return outcome(job)
		},
		describe: func(ctx context.Context, c *cluster, out io.Writer, job *platenv1alpha1.RenderJob) {
			describe(out, job, c.advice(ctx, job))
		},
	}.command(o, &cobra.Command{
		Use:     "status [JOB]",
		Aliases: []string{"jobs"},
		Short:   "Show the state of a job, or list all jobs",
		Long: `Show the state of a job: its files, their uploads, warnings, and what to do about them. Without JOB, list the jobs of the
namespace, newest first, without the previews of the web page.`,
		Example: `  # All jobs of the namespace marketing.
  kubectl platen status -n marketing

  # One job with all details.
  kubectl platen status banner-x7k2p

  # The same once it has ended.
  kubectl platen status banner-x7k2p --wait

  # The URLs of its files.
  kubectl platen status banner-x7k2p -o json | jq -r '.status.pages[].contentURL'`,
		ValidArgsFunction: o.completeNames(1, jobList),
		PreRunE: func(_ *cobra.Command, args []string) error {
			if wait && len(args) == 0 {
				return usage("--wait waits for one job: name it")
			}
			return nil
		},
	})
	command.Flags().BoolVar(&wait, "wait", false, "wait until the job has finished")
	command.Flags().DurationVar(&timeout, "timeout", 10*time.Minute, "how long to wait")
	return command
}

func jobRow(job *platenv1alpha1.RenderJob) []string {
	word, _ := stage(job)
	return []string{
		job.Namespace, job.Name, job.Spec.TemplateRef.Name, word, string(job.Spec.Output.Format), strconv.Itoa(int(ptr.Deref(job.Status.RenderedPages, 0))),
		uploadedWord(job), warningsWord(job), age(job),
	}
}

// maxWarning bounds a warning in a table, in characters.
const maxWarning = 60

// warningsWord returns the first warning, and how many others there are.
func warningsWord(job *platenv1alpha1.RenderJob) string {
	if len(job.Status.Warnings) == 0 {
		return ""
	}
	text := job.Status.Warnings[0].Title
	if utf8.RuneCountInString(text) > maxWarning {
		text = string([]rune(text)[:maxWarning]) + "…"
	}
	if more := len(job.Status.Warnings) - 1; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// uploadedWord tells whether the files are uploaded, in the word that kubectl get has for it, and why not; empty if the job uploads nothing.
func uploadedWord(job *platenv1alpha1.RenderJob) string {
	uploaded := condition(job, platenv1alpha1.UploadedCondition)
	switch {
	case uploaded.Reason == "":
		return ""
	case uploaded.Status == metav1.ConditionTrue:
		return string(uploaded.Status)
	}
	return fmt.Sprintf("%s (%s)", uploaded.Status, uploaded.Reason)
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
		Short: "Retry failed uploads without rendering again",
		Long: `Retry failed uploads. The rendered files are kept as long as their job, so nothing is rendered again.

If an upload failed because of its connection, Platen retries it by itself once the connection works again.`,
		Example: `  # Retry after you made room in Dropbox, and show the result.
  kubectl platen retry banner-x7k2p -n marketing --wait`,
		Args:              arguments(1, -1, "job"),
		ValidArgsFunction: o.completeFailedJobs,
		RunE: func(command *cobra.Command, args []string) error {
			c, err := o.cluster()
			if err != nil {
				return err
			}
			return r.jobs(command.Context(), c, args)
		},
	}
	command.Flags().BoolVar(&r.wait, "wait", false, "wait until the uploads have succeeded or failed")
	command.Flags().DurationVar(&r.timeout, "timeout", 10*time.Minute, "how long to wait")
	return command
}

// jobs retries the uploads of each job, also after one that cannot be retried, and then waits for all together.
func (r *retryCommand) jobs(ctx context.Context, c *cluster, args []string) error {
	var names []string
	for _, name := range args {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	var asked, requests []string
	bad, only := failures{}, error(nil)
	fail := func(err error) {
		bad.add(err.Error(), err)
		only = err
	}
	for _, name := range names {
		requested, err := r.request(ctx, c, name)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			fail(err)
			continue
		}
		asked, requests = append(asked, name), append(requests, requested)
	}
	if r.wait {
		waiting, cancel := context.WithTimeout(ctx, r.timeout)
		defer cancel()
		for i, name := range asked {
			if err := r.await(waiting, c, name, requests[i], len(names) > 1); ctx.Err() != nil {
				return ctx.Err()
			} else if err != nil {
				fail(err)
			}
		}
	}
	if len(names) == 1 {
		return only
	}
	return bad.err(len(names))
}

// request asks Platen to upload a job's files again, and returns the value of the annotation that does so.
func (r *retryCommand) request(ctx context.Context, c *cluster, name string) (string, error) {
	job := &platenv1alpha1.RenderJob{}
	if err := c.get(ctx, name, job); err != nil {
		return "", c.notFound(ctx, err, "RenderJob", name, &platenv1alpha1.RenderJobList{})
	}
	switch _, sentence := stage(job); {
	case !job.Finished():
		return "", fmt.Errorf("RenderJob %s/%s has not finished (%s): there is nothing to retry yet", c.namespace, name, sentence)
	case condition(job, platenv1alpha1.RenderedCondition).Status != metav1.ConditionTrue:
		return "", fmt.Errorf("RenderJob %s/%s could not be rendered (%s): it has nothing to upload; see kubectl platen status %s -n %s", c.namespace, name, sentence, name, c.namespace)
	case !retriable(job):
		return "", fmt.Errorf("RenderJob %s/%s has no failed upload: there is nothing to retry", c.namespace, name)
	}
	if problem := r.nowhere(ctx, c, job); problem != "" {
		return "", fmt.Errorf("RenderJob %s/%s cannot be uploaded again: %s", c.namespace, name, problem)
	}
	requested := time.Now().UTC().Format(time.RFC3339Nano)
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"annotations": map[string]string{platenv1alpha1.RetryUploadsAnnotation: requested},
	}})
	if err != nil {
		return "", err
	}
	limited, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := c.Patch(limited, job, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(fieldOwner)); err != nil {
		return "", explain(err)
	}
	if !r.wait {
		fmt.Fprint(r.Out, r.sameCluster(fmt.Sprintf("renderjob.platen.dev/%s will be uploaded again; see kubectl platen status %s -n %s\n", name, name, c.namespace)))
	}
	return requested, nil
}

// nowhere says why none of a job's failed uploads has a connection that takes it, and what to do; empty if one has, or if the person may not list
// connections.
func (r *retryCommand) nowhere(ctx context.Context, c *cluster, job *platenv1alpha1.RenderJob) string {
	list := &platenv1alpha1.StorageConnectionList{}
	if c.list(ctx, list, false) != nil {
		return ""
	}
	obstacle := destination.FindObstacle(job, list.Items)
	switch {
	case obstacle == nil:
		return ""
	case obstacle.Disabled != "":
		return obstacle.Text + "; make it Automatic, and Platen uploads the files by itself: " + enable(obstacle.Disabled, c.namespace)
	case job.Spec.Connections == nil:
		return obstacle.Text + fmt.Sprintf("; list them (kubectl platen connections -n %s), and make one Automatic", c.namespace)
	default:
		return obstacle.Text + "; create it, or name another, and Platen uploads the files by itself:" + forJob(job, strings.ReplaceAll(editJob, "\n", " "))
	}
}

// await waits until the manager has handled the request, and prints the result, with the job's name if it is one of several.
func (r *retryCommand) await(ctx context.Context, c *cluster, name, requested string, several bool) error {
	var done *platenv1alpha1.RenderJob
	err := follow(ctx, c, name, &platenv1alpha1.RenderJob{}, &platenv1alpha1.RenderJobList{}, func(now *platenv1alpha1.RenderJob) (bool, error) {
		done = now
		return now.Status.LastHandledRetryUploads == requested && now.Finished(), nil
	})
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &exitError{exitTimeout, fmt.Errorf("RenderJob %s/%s was not uploaded within %s; see kubectl platen status %s -n %s", c.namespace, name, r.timeout, name, c.namespace)}
	case err != nil:
		return err
	}
	if several {
		fmt.Fprintf(r.Out, "%s:\n", name)
	}
	describeUploads(r.Out, done)
	r.printNext(c.advice(ctx, done))
	return outcome(done)
}

// retriable tells whether a finished job has a failed upload.
func retriable(job *platenv1alpha1.RenderJob) bool {
	return job.Finished() && condition(job, platenv1alpha1.RenderedCondition).Status == metav1.ConditionTrue &&
		condition(job, platenv1alpha1.UploadedCondition).Status == metav1.ConditionFalse
}
