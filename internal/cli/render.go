// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/crdschema"
	"github.com/platen-dev/platen/internal/plural"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/task"
)

func presets() []string { return task.Presets() }

// renderCommand is kubectl platen render.
type renderCommand struct {
	*options
	outputFlags
	name, folder, connection, output, dryRun string
	csv                                      string
	fromRow                                  int
	noUpload, wait                           bool
	timeout, ttl                             time.Duration
	platenNamespace                          string
	// said has the beginnings of the warnings of a job that the command has given in its own words.
	said []string
}

func (o *options) render() *cobra.Command {
	r := &renderCommand{options: o}
	command := &cobra.Command{
		Use:   "render TEMPLATE",
		Short: "Render a template and fetch the files",
		Long: `Render a template in the cluster.

Without --wait and -o, the command only creates the job. With -o FOLDER it waits, shows the progress, and writes the files into the
folder. Platen also uploads the files to the namespace's storage, as its StorageConnections say.

With --csv FILE, it creates a job for each row of a table. The first line has the names of the parameters, or other keys that --set
takes. A cell is read as a value of --set; an empty one is not given. If a cell does not fit, no job is created.

` + exitCodesForPeople,
		Example: `  # Render, wait, and write the files into the folder out.
  kubectl platen render banner --set headline="Hello World" -o out

  # A PDF in another folder of Dropbox.
  kubectl platen render offer --set price=12.5 --format pdf --folder /Offers/2026 --wait

  # Only create the job, and print its name.
  kubectl platen render banner --set-json points='["fast", "exact"]' -o name

  # A job for each row of a table: cards-1, cards-2 and so on.
  kubectl platen render card --csv people.csv --name cards -o out

  # Print the job for a GitOps tool.
  kubectl platen render banner --set headline=Hello --name summer --dry-run -o yaml`,
		Args:              arguments(1, 1, "template"),
		ValidArgsFunction: o.completeNames(1, templateList),
		RunE:              func(c *cobra.Command, args []string) error { return r.run(c.Context(), args[0]) },
	}
	r.add(o, command)
	f := command.Flags()
	f.StringVar(&r.name, "name", "", "name of the job; with --csv, what the names begin with: NAME-1 for the first row (default: the template's name with a suffix)")
	f.Var(&once{&r.csv, "one table; run it once for each"}, "csv", "table with a job in each row, - for the standard input; the first line has the keys (UTF-8, commas, at most 1000 rows)")
	f.IntVar(&r.fromRow, "from-row", 1, "`number` of the first row of --csv to make a job of, from 1: what an earlier run, which a quota has stopped, has left")
	f.StringVar(&r.folder, "folder", "", "folder for the uploads to --connection, or else to the first Dropbox connection by name and no other (default: each connection's own)")
	f.Var(&once{&r.connection, "one connection; a job's spec.connections takes several"}, "connection", "StorageConnection to upload to (default: every automatic one, without --folder)")
	f.BoolVar(&r.noUpload, "no-upload", false, "upload nothing")
	f.DurationVar(&r.ttl, "ttl", 0, "delete the job and its files this long after it has finished, in whole seconds, such as 24h; 0s at once (default: never)")
	f.BoolVar(&r.wait, "wait", false, "wait until the job has finished")
	f.DurationVar(&r.timeout, "timeout", 10*time.Minute, "how long to wait")
	f.StringVarP(&r.output, "output", "o", "", "folder for the files: the command waits and writes them; or json, yaml or name to print the job (./json is a folder)")
	o.platenNamespaceFlag(command, &r.platenNamespace, "namespace of Platen, for files whose URL works only in the cluster")
	dryRunFlag(command, &r.dryRun)
	must(command.RegisterFlagCompletionFunc("output", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return formats, cobra.ShellCompDirectiveDefault
	}))
	must(command.RegisterFlagCompletionFunc("connection", o.completeFlag(connectionList)))
	must(command.MarkFlagFilename("csv", "csv"))
	return command
}

// printed tells that -o prints the job, and toFolder that it names a folder for the files.
func (r *renderCommand) printed() bool  { return slices.Contains(formats, r.output) }
func (r *renderCommand) toFolder() bool { return r.output != "" && !r.printed() }

// checkFlags reads the table, if there is one, and returns all that is wrong with the command line by itself.
func (r *renderCommand) checkFlags() (rows *table, err error) {
	wrong := []error{checkDryRun(r.dryRun), checkName("--name", r.name), checkName("--connection", r.connection)}
	if r.noUpload && (r.folder != "" || r.connection != "") {
		wrong = append(wrong, usage("--no-upload excludes --folder and --connection"))
	}
	if r.csv != "" {
		if r.fileName != "" {
			wrong = append(wrong, usage("--csv excludes --file-name: the files of each row have the name of its job"))
		}
		if rows, err = r.readTable(r.csv); err == nil {
			err = rows.from(r.fromRow)
		}
		wrong = append(wrong, err)
	} else if r.outputFlags.flags.Changed("from-row") {
		wrong = append(wrong, usage("--from-row needs --csv"))
	}
	if r.toFolder() {
		wrong = append(wrong, r.checkOutput())
	}
	return rows, errors.Join(wrong...)
}

func (r *renderCommand) run(ctx context.Context, templateName string) error {
	// All mistakes are said at once: of the command line, and of what only the template tells, if the cluster has it.
	rows, mistaken := r.checkFlags()
	c, err := r.cluster()
	if err != nil {
		return cmp.Or(mistaken, err)
	}
	template := &platenv1alpha1.RenderTemplate{}
	if err := c.get(ctx, templateName, template); err != nil {
		if mistaken != nil {
			return mistaken
		}
		return c.notFound(ctx, err, "RenderTemplate", templateName, &platenv1alpha1.RenderTemplateList{})
	}
	if mistaken != nil && r.csv != "" && rows == nil {
		return mistaken // the jobs are not known
	}
	connection := &platenv1alpha1.StorageConnection{Spec: platenv1alpha1.StorageConnectionSpec{Provider: platenv1alpha1.ProviderDropbox}}
	if r.connection != "" && checkName("--connection", r.connection) == nil {
		if err := c.get(ctx, r.connection, connection); err != nil {
			return errors.Join(mistaken, c.notFound(ctx, err, "StorageConnection", r.connection, &platenv1alpha1.StorageConnectionList{}))
		}
	}
	if rows != nil {
		specs, err := r.tableSpecs(rows, template)
		if err = errors.Join(mistaken, err); err != nil {
			return err
		}
		jobs := make([]*platenv1alpha1.RenderJob, 0, len(specs))
		for i, spec := range specs {
			jobs = append(jobs, r.job(template, spec, connection.Spec.Provider))
			if r.name != "" {
				jobs[i].Name = fmt.Sprintf("%s-%d", r.name, rows.rows[i].number)
			}
		}
		if len(specs) > 0 {
			r.warnShellText(r.ErrOut, specs[0], template) // all have the values of --set
		}
		r.warnUnused(ctx, c, template, specs...)
		return r.renderTable(ctx, c, rows, jobs)
	}
	spec, found, err := r.read(template)
	if err != nil {
		return err
	}
	job := r.job(template, spec, connection.Spec.Provider)
	if err := r.refuse(ctx, job, mistaken, found); err != nil {
		return err
	}
	r.warnShellText(r.ErrOut, spec, template)
	r.warnUnused(ctx, c, template, spec)
	return r.render(ctx, c, job, len(template.Spec.Pages))
}

// render creates a job, and does with it what the flags say. pages is the number of its template's pages.
func (r *renderCommand) render(ctx context.Context, c *cluster, job *platenv1alpha1.RenderJob, pages int) error {
	if r.dryRun == dryRunClient {
		if err := r.admit(ctx, job); err != nil {
			return err
		}
		return r.print(job, "created (dry run)")
	}
	if err := r.create(ctx, c, job); err != nil {
		return err
	}
	if r.dryRun == dryRunServer || !r.wait && !r.toFolder() {
		suffix := "created"
		if r.dryRun == dryRunServer {
			suffix = "created (server dry run)"
		}
		return r.print(job, suffix)
	}
	name := job.Name
	job, err := r.awaitJob(ctx, c, job, pages, r.timeout, (*platenv1alpha1.RenderJob).Finished)
	if err != nil && ctx.Err() != nil {
		return &goesOnError{fmt.Errorf(
			"RenderJob %[1]s/%[2]s goes on: kubectl platen status %[2]s -n %[1]s shows it, kubectl delete renderjob %[2]s -n %[1]s ends it", c.namespace, name)}
	}
	if err != nil {
		return err
	}
	if r.printed() {
		return errors.Join(printObjects(r.Out, r.output, job), r.outcome(job))
	}
	if r.toFolder() && len(job.Status.Pages) > 0 {
		d := downloader{cluster: c, platenNamespace: r.platenNamespace}
		files, err := d.files(ctx, job, r.output)
		for _, file := range files {
			fmt.Fprintln(r.Out, file)
		}
		if denied := (*notAllowedError)(nil); errors.As(err, &denied) {
			return fmt.Errorf("RenderJob %s/%s is rendered: %w", job.Namespace, job.Name, err)
		}
		if err != nil && ctx.Err() != nil {
			return &goesOnError{fmt.Errorf("RenderJob %[1]s/%[2]s is rendered; fetch its files with kubectl platen fetch %[2]s -o FOLDER -n %[1]s", job.Namespace, job.Name)}
		}
		if err != nil {
			return fmt.Errorf("RenderJob %[1]s/%[2]s is rendered: %[3]w; fetch its files with kubectl platen fetch %[2]s -o FOLDER -n %[1]s", job.Namespace, job.Name, err)
		}
	} else {
		describeFiles(r.Out, job)
	}
	about := r.Out
	if r.toFolder() {
		about = r.ErrOut // programs read the names of the files
	}
	describeUploads(about, job)
	describeWarnings(r.ErrOut, r.unsaid(job.Status.Warnings))
	r.printNext(c.advice(ctx, job))
	return r.outcome(job)
}

// checkOutput refuses an -o that is no folder for files.
func (r *renderCommand) checkOutput() error {
	if format, _, _ := strings.Cut(r.output, "="); slices.Contains(otherFormats, format) {
		return usage("-o %[1]s: a job is printed as json, yaml or name; ./%[1]s is a folder", r.output)
	}
	if slices.Contains(knownFormats, strings.ToLower(r.output)) {
		return usage("-o %[1]s: the format of the files is --format %[2]s; ./%[1]s is a folder", r.output, strings.ToLower(r.output))
	}
	if r.outputFlags.flags.Changed("ttl") && r.ttl == 0 {
		return usage("--ttl 0s deletes the files before -o can fetch them; give more time, such as 1h")
	}
	return checkFolder(r.output)
}

// refuse returns an error about all that is wrong with a job and the flags that describe it; nil if nothing is. Of a job with a mistake it also says what
// the cluster would refuse besides.
func (r *renderCommand) refuse(ctx context.Context, job *platenv1alpha1.RenderJob, mistaken error, found mistakes) error {
	if mistaken == nil && len(found.list) == 0 {
		return nil
	}
	rest := job.DeepCopy()
	rest.Spec.Modifications = nil
	if slices.ContainsFunc(found.list, func(one mistake) bool { return one.option }) {
		rest.Spec.Output = platenv1alpha1.OutputSpec{} // what is wrong with it is known
	}
	if checkName("--name", r.name) != nil {
		rest.Name = "x"
	}
	return errors.Join(mistaken, found.err(), r.admit(ctx, rest))
}

func (r *renderCommand) print(job *platenv1alpha1.RenderJob, what string) error {
	if r.printed() {
		return printObjects(r.Out, r.output, job)
	}
	name := job.Name
	if name == "" {
		name = job.GenerateName + "*"
	}
	fmt.Fprintf(r.Out, "renderjob.platen.dev/%s %s in namespace %s\n", name, what, job.Namespace)
	if r.dryRun == dryRunNone {
		fmt.Fprint(r.ErrOut, r.sameCluster(fmt.Sprintf("Show its state: kubectl platen status %[1]s -n %[2]s\nFetch its files: kubectl platen fetch %[1]s --wait -o out -n %[2]s\n", job.Name, job.Namespace)))
	}
	return nil
}

// job returns a job of a spec, with the uploads and the name that the flags say.
func (r *renderCommand) job(template *platenv1alpha1.RenderTemplate, spec platenv1alpha1.RenderJobSpec, provider platenv1alpha1.ProviderType) *platenv1alpha1.RenderJob {
	switch {
	case r.noUpload:
		spec.Connections = []platenv1alpha1.JobConnection{}
	case r.folder != "" || r.connection != "":
		connection := platenv1alpha1.JobConnection{
			Type: platenv1alpha1.ConnectionStorage, Provider: provider, Folder: platenv1alpha1.FolderPath(r.folder),
		}
		if r.connection != "" {
			connection.Name = &r.connection
		}
		spec.Connections = []platenv1alpha1.JobConnection{connection}
	}
	if r.outputFlags.flags.Changed("ttl") {
		spec.TTLSecondsAfterFinished = new(int32(r.ttl.Seconds()))
	}
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: template.Namespace, Name: r.name}, Spec: spec}
	if r.name == "" {
		job.GenerateName = template.Name + "-"
	}
	return job
}

func (r *renderCommand) create(ctx context.Context, c *cluster, job *platenv1alpha1.RenderJob) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	options := []client.CreateOption{client.FieldOwner(fieldOwner)}
	if r.dryRun == dryRunServer {
		options = append(options, client.DryRunAll)
	}
	err := c.Create(ctx, job, options...)
	if apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("RenderJob %s/%s exists already: give another --name, or delete it (kubectl delete renderjob %s -n %s)", job.Namespace, job.Name, job.Name, job.Namespace)
	}
	if reconcile.IsTooLarge(err) {
		return usage("the values take more than the cluster keeps in one object, about 1.5 MiB: put pictures at an https: address")
	}
	return explain(r.fields().refusal(err))
}

// admit refuses a job that the cluster would refuse, without sending it.
func (r *renderCommand) admit(ctx context.Context, job *platenv1alpha1.RenderJob) error {
	named := job.DeepCopy()
	if named.Name == "" {
		named.Name = named.GenerateName + "x" // as the cluster would end it
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(named)
	if err != nil {
		return err
	}
	schema, err := crdschema.Of("RenderJob")
	if err != nil {
		return err
	}
	if _, refused := schema.Admit(ctx, content); len(refused) > 0 {
		return r.fields().refusal(apierrors.NewInvalid(platenv1alpha1.GroupVersion.WithKind("RenderJob").GroupKind(), job.Name, refused))
	}
	return nil
}

// otherFormats are those in which kubectl prints and this command does not. Nobody means a folder of such a name.
var otherFormats = []string{"wide", "jsonpath", "jsonpath-as-json", "jsonpath-file", "go-template", "go-template-file", "template", "templatefile", "custom-columns", "custom-columns-file"}

// fields returns the fields that the flags set.
func (r *renderCommand) fields() fieldFlags {
	fields := maps.Clone(outputFields)
	fields["spec.connections.folder"], fields["spec.connections.name"], fields["spec.ttlSecondsAfterFinished"] = "--folder", "--connection", "--ttl"
	if r.name != "" {
		fields["metadata.name"] = "--name"
	}
	return fields
}

// awaitJob shows the progress of a job of so many pages until it is done, and returns it.
func (o *options) awaitJob(ctx context.Context, c *cluster, job *platenv1alpha1.RenderJob, pages int, timeout time.Duration, done func(*platenv1alpha1.RenderJob) bool) (*platenv1alpha1.RenderJob, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if chosen := len(job.Spec.Output.Pages); chosen > 0 {
		pages = chosen
	}
	bar := newProgress(o.ErrOut)
	last := job
	err := follow(ctx, c, job.Name, job.DeepCopy(), &platenv1alpha1.RenderJobList{}, func(now *platenv1alpha1.RenderJob) (bool, error) {
		last = now
		bar.show(progressOf(now, pages))
		return done(now), nil
	})
	bar.end()
	if errors.Is(err, context.DeadlineExceeded) {
		word, sentence := stage(last)
		if metav1.GetControllerOf(job) != nil { // temporary: it is deleted now, and nothing goes on
			return nil, &exitError{exitTimeout, fmt.Errorf(
				"the cluster has not rendered the template within %s, as --timeout says (%s: %s); give it more time, or check Platen (kubectl platen check -n %s)", timeout, word, sentence, job.Namespace)}
		}
		o.printNext(advice(last))
		return nil, &exitError{exitTimeout, fmt.Errorf(
			"RenderJob %s/%s has not finished within %s and goes on (%s: %s); see kubectl platen status %s -n %s", job.Namespace, job.Name, timeout, word, sentence, job.Name, job.Namespace)}
	}
	if errors.Is(err, errGone) {
		return nil, fmt.Errorf("RenderJob %s/%w", job.Namespace, err)
	}
	return last, err
}

// progressOf returns the progress of a job, in pages or in percent of a video, and a text for it.
func progressOf(job *platenv1alpha1.RenderJob, pages int) (done, total int, text string) {
	word, sentence := stage(job)
	total, done = pages, int(ptr.Deref(job.Status.RenderedPages, 0))
	switch word {
	case platenv1alpha1.RenderingReason:
		text = fmt.Sprintf("Rendering, %d of %s done", done, plural.Count(total, "page"))
		if p := job.Status.Progress; p != nil && p.Percent != nil && *p.Percent > 0 {
			done, total = int(*p.Percent), 100
			text = fmt.Sprintf("Filming, %d%%", *p.Percent)
		}
	case platenv1alpha1.UploadingReason:
		done, total = pages, pages
		text = "Rendered, uploading"
	case platenv1alpha1.SucceededReason, platenv1alpha1.SucceededWithWarningsReason:
		done, total, text = 1, 1, plural.Count(pages, "page")+" rendered"
	case platenv1alpha1.PendingReason, platenv1alpha1.QueuedReason:
		text = "Waiting for a render pod"
	default:
		if text = word + ": " + sentence; job.Finished() {
			text = word // the error says the rest
		}
	}
	return min(done, total), total, text
}

// goesOn are the reasons of jobs that render, upload or wait for their turn.
var goesOn = []string{platenv1alpha1.PendingReason, platenv1alpha1.QueuedReason, platenv1alpha1.RenderingReason, platenv1alpha1.UploadingReason}

// held says why a job that has not finished does not go on, beginning with its name; empty if it does.
func held(job *platenv1alpha1.RenderJob) string {
	word, sentence := stage(job)
	if job.Finished() || slices.Contains(goesOn, word) {
		return ""
	}
	return fmt.Sprintf("%s waits (%s: %s)", job.Name, word, sentence)
}
