// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// fetchCommand is kubectl platen fetch.
type fetchCommand struct {
	*options
	folder, platenNamespace string
	wait                    bool
	timeout                 time.Duration
}

func (o *options) fetch() *cobra.Command {
	f := &fetchCommand{options: o}
	command := &cobra.Command{
		Use:   "fetch JOB...",
		Short: "Fetch the files of jobs",
		Long: `Fetch all files of each job into a folder, under the names that the job gives them. A file of the same name is replaced once the new one
is complete and has the checksum in the job's status.`,
		Example: `  # The files of a job, into this folder.
  kubectl platen fetch banner-x7k2p

  # Wait until the job is rendered, and write its files into the folder out.
  kubectl platen fetch banner-x7k2p --wait -o out -n marketing`,
		Args:              arguments(1, -1, "job"),
		ValidArgsFunction: o.completeNames(-1, jobList),
		RunE:              func(c *cobra.Command, args []string) error { return f.run(c.Context(), args) },
	}
	flags := command.Flags()
	flags.StringVarP(&f.folder, "output", "o", ".", "folder for the files; a missing folder is created")
	flags.BoolVar(&f.wait, "wait", false, "wait until the job is rendered")
	flags.DurationVar(&f.timeout, "timeout", 10*time.Minute, "how long to wait for each job")
	o.platenNamespaceFlag(command, &f.platenNamespace, "namespace of Platen, for files whose URL works only in the cluster")
	must(command.MarkFlagDirname("output"))
	return command
}

func (f *fetchCommand) run(ctx context.Context, names []string) error {
	if format, _, _ := strings.Cut(f.folder, "="); slices.Contains(append([]string{"json", "yaml", "name"}, otherFormats...), format) {
		return usage("-o %[1]s: fetch writes files into a folder, and ./%[1]s is one; kubectl get renderjob %[2]s -o %[1]s prints the job", f.folder, names[0])
	}
	if slices.Contains(knownFormats, strings.ToLower(f.folder)) {
		return usage("-o %[1]s: a job's files have the format that it was rendered in; ./%[1]s is a folder", f.folder)
	}
	if err := checkFolder(f.folder); err != nil {
		return err
	}
	c, err := f.cluster()
	if err != nil {
		return err
	}
	if len(names) == 1 {
		return f.job(ctx, c, names[0])
	}
	bad := failures{}
	for _, name := range names {
		err := f.job(ctx, c, name)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			bad.add(err.Error(), err)
		}
	}
	return bad.err(len(names))
}

// waitsForSomebody are the reasons of jobs that do not begin before a person does something.
var waitsForSomebody = []string{
	platenv1alpha1.SuspendedReason, platenv1alpha1.CanceledReason, platenv1alpha1.TemplateNotFoundReason, platenv1alpha1.SourceNotFoundReason,
	platenv1alpha1.FontSetNotFoundReason,
}

// job fetches the files of one job.
func (f *fetchCommand) job(ctx context.Context, c *cluster, name string) (err error) {
	job := &platenv1alpha1.RenderJob{}
	if err := c.get(ctx, name, job); err != nil {
		return c.notFound(ctx, err, "RenderJob", name, &platenv1alpha1.RenderJobList{})
	}
	if f.wait {
		if job, err = f.awaitJob(ctx, c, job, int(ptr.Deref(job.Status.TotalPages, 1)), f.timeout, hasFiles); err != nil {
			return err
		}
	}
	switch word, sentence := stage(job); {
	case !hasFiles(job):
		f.printNext(c.advice(ctx, job))
		remedy := ": wait for it with --wait"
		if slices.Contains(waitsForSomebody, word) {
			remedy = "" // the advice says what helps
		}
		return fmt.Errorf("RenderJob %s/%s is not rendered yet (%s: %s)%s", c.namespace, name, word, sentence, remedy)
	case condition(job, platenv1alpha1.RenderedCondition).Status != metav1.ConditionTrue:
		f.printNext(c.advice(ctx, job))
		return outcome(job)
	}
	for _, page := range job.Status.Pages {
		if page.ContentURL == "" {
			return fmt.Errorf("the content store does not keep the files of RenderJob %s/%s any more: render it again, or take them from where it uploaded them (kubectl platen status %s -n %s)",
				c.namespace, name, name, c.namespace)
		}
	}
	files, err := downloader{cluster: c, platenNamespace: f.platenNamespace}.files(ctx, job, f.folder)
	for _, file := range files {
		fmt.Fprintln(f.Out, file)
	}
	return err
}

// hasFiles tells whether a job is rendered, or has finished without.
func hasFiles(job *platenv1alpha1.RenderJob) bool {
	return job.Finished() || job.Observed() && condition(job, platenv1alpha1.RenderedCondition).Status == metav1.ConditionTrue
}
