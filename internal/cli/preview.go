// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/preview"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/render"
)

// maxInlineHTML bounds a page that is in its template, in bytes, as the API server does.
const maxInlineHTML = 512 << 10

// previewTimeout is how long preview, and lint for each template, take at most, unless a flag says otherwise.
const previewTimeout = 5 * time.Minute

// previewCommand is kubectl platen preview.
type previewCommand struct {
	*options
	outputFlags
	file, output, browser string
	inCluster             bool
	outboundAllow         []string
	timeout               time.Duration
	platenNamespace       string
}

func (o *options) preview() *cobra.Command {
	p := &previewCommand{options: o}
	command := &cobra.Command{
		Use:   "preview [TEMPLATE]",
		Short: "Render a template while you write it, and upload nothing",
		Long: `Render a template and upload nothing. The command renders with the browser of this machine (Chromium's headless shell) and the same
code as in the cluster. Without a browser, it renders in the cluster with a job that it deletes afterwards.

With -f, it reads the template from a file, and the template need not be in the cluster. TEMPLATE chooses one if the file has several.
It reads FontSets, and ConfigMaps with HTML and fonts, from the file too, or from the cluster if the file does not have them.`,
		Example: `  # A template in a file.
  kubectl platen preview -f banner.yaml --set headline=Hello -o banner.png

  # The second page of a template in the cluster, with the cluster's fonts.
  kubectl platen preview banner --pages 2 --in-cluster -o page.png`,
		Args:              arguments(0, 1, "template"),
		ValidArgsFunction: o.completeNames(1, templateList),
		RunE:              func(c *cobra.Command, args []string) error { return p.run(c.Context(), strings.Join(args, "")) },
	}
	p.add(o, command)
	f := command.Flags()
	f.Lookup("file-name").Usage = "name of the files; the format adds its extension (default: that of -o, or the template's)"
	f.VarP(&once{&p.file, oneFile}, "filename", "f", "file with the template, - for the standard input")
	f.StringVarP(&p.output, "output", "o", "", "file to write; its extension is the format, and several pages become NAME_page_N (default: TEMPLATE.FORMAT)")
	f.StringVar(&p.browser, "browser", "", "path of Chromium's headless shell (default: the one in PATH)")
	f.BoolVar(&p.inCluster, "in-cluster", false, "render in the cluster even if this machine has a browser")
	f.StringSliceVar(&p.outboundAllow, "outbound-allow", nil, "private address `prefixes` that pages may reach, such as 127.0.0.0/8")
	f.DurationVar(&p.timeout, "timeout", previewTimeout, "how long to wait")
	o.platenNamespaceFlag(command, &p.platenNamespace, "namespace of Platen")
	must(command.MarkFlagFilename("filename", "yaml", "yml", "json"))
	return command
}

func (p *previewCommand) run(ctx context.Context, name string) error {
	if name == "" && p.file == "" {
		return usage("name a template of the cluster, or a file with -f")
	}
	if err := p.checkOutput(name); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	template, own, found, err := p.read(ctx, name)
	if err != nil {
		return err
	}
	spec, err := p.spec(template)
	if err != nil {
		return err
	}
	p.warnShellText(p.ErrOut, spec, template)
	name, folder := cmp.Or(template.Name, "preview"), "."
	if p.output != "" {
		folder, name = filepath.Dir(p.output), strings.TrimSuffix(filepath.Base(p.output), filepath.Ext(p.output))
	}
	spec.Output.FileName = platenv1alpha1.FileName(cmp.Or(p.fileName, name))
	spec.Connections = []platenv1alpha1.JobConnection{}
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Name: "preview", Namespace: template.Namespace}, Spec: spec}
	if !p.inCluster {
		err := p.local(ctx, template, job, found, folder)
		if !errors.Is(err, preview.ErrNoBrowser) || p.browser != "" {
			return err
		}
		fmt.Fprintf(p.ErrOut, "This machine cannot render, so the cluster does: %s\n", err)
	}
	return p.remote(ctx, template, job, own, found, folder)
}

// checkOutput takes the format from the extension of -o, and checks that --format and --file-name agree, and that the file can be written.
func (p *previewCommand) checkOutput(template string) error {
	extension := strings.TrimPrefix(filepath.Ext(p.output), ".")
	name := strings.TrimSuffix(filepath.Base(p.output), "."+extension)
	if info, err := os.Stat(p.output); strings.HasSuffix(p.output, "/") || extension == "" && err == nil && info.IsDir() {
		return usage("-o %s is a folder: name a file in it, such as %s", p.output, filepath.Join(p.output, cmp.Or(template, "card")+"."+cmp.Or(p.format, "png")))
	}
	switch {
	case p.output == "-":
		return usage("-o -: preview writes files, not to the standard output; name one, such as %s", cmp.Or(template, "card")+"."+cmp.Or(p.format, "png"))
	case extension == "":
		if p.output != "" {
			return usage("-o must have the extension of a format, such as %s.%s", p.output, cmp.Or(p.format, "png"))
		}
	case !slices.Contains(knownFormats, extension):
		return usage("-o: .%s is not a format; use one of %s", extension, strings.Join(knownFormats, ", "))
	case p.format != "" && p.format != extension:
		return usage("-o %s and --format %s do not agree", p.output, p.format)
	case p.fileName != "" && strings.TrimSuffix(p.fileName, "."+extension) != name:
		return usage("-o %s and --file-name %s do not agree", p.output, p.fileName)
	}
	if extension == "" {
		return nil
	}
	p.format = extension
	return checkFile(p.output)
}

// read finds the template and the objects that it reads: its own, of the file, and all that are found, in the file and in the cluster.
func (p *previewCommand) read(ctx context.Context, name string) (template *platenv1alpha1.RenderTemplate, own, found sources, err error) {
	template = &platenv1alpha1.RenderTemplate{}
	if p.file == "" {
		c, err := p.cluster()
		if err != nil {
			return nil, own, found, err
		}
		if err := c.get(ctx, name, template); err != nil {
			return nil, own, found, c.notFound(ctx, err, "RenderTemplate", name, &platenv1alpha1.RenderTemplateList{})
		}
	} else {
		if found, err = p.manifests(ctx, p.file); err != nil {
			return nil, own, found, err
		}
		if template, err = p.choose(found.templates, name); err == nil {
			err = p.follows(template)
		}
		if err != nil {
			return nil, own, found, err
		}
	}
	own = found.in(template.Namespace)
	if err = p.addPages(ctx, template, &found); err == nil {
		err = p.addFontSets(ctx, template, &found)
	}
	return template, own, found.in(template.Namespace), err
}

// choose returns the template of the file that the command line means.
func (p *previewCommand) choose(templates []platenv1alpha1.RenderTemplate, name string) (*platenv1alpha1.RenderTemplate, error) {
	names := make([]string, 0, len(templates))
	var namespaces []string
	var meant *platenv1alpha1.RenderTemplate
	for i := range templates {
		t := &templates[i]
		names = append(names, t.Name)
		if n := *p.options.flags.Namespace; name == "" && len(templates) == 1 || name == t.Name && (n == "" || n == t.Namespace) {
			namespaces = append(namespaces, t.Namespace)
			meant = t
		}
	}
	switch {
	case len(namespaces) == 1:
		return meant, nil
	case len(namespaces) > 1:
		return nil, usage("%s holds RenderTemplate '%s' in several namespaces, choose one with -n: %s", fileName(p.file), name, strings.Join(namespaces, ", "))
	case len(templates) == 0:
		return nil, fmt.Errorf("%s holds no RenderTemplate of %s", fileName(p.file), platenv1alpha1.GroupVersion)
	case name == "":
		return nil, usage("%s holds several templates, name one: %s", fileName(p.file), strings.Join(names, ", "))
	case slices.Contains(names, name):
		return nil, usage("%s holds RenderTemplate '%s', but not in namespace %s of -n", fileName(p.file), name, *p.options.flags.Namespace)
	default:
		return nil, fmt.Errorf("%s holds no RenderTemplate '%s'; %s", fileName(p.file), name, among(name, names))
	}
}

// local renders on this machine.
func (p *previewCommand) local(ctx context.Context, template *platenv1alpha1.RenderTemplate, job *platenv1alpha1.RenderJob, found sources, folder string) error {
	request := preview.Request{Template: template, Job: job, ConfigMaps: found.maps, FontSets: found.sets, Chromium: p.browser}
	if err := request.OutboundAllow.Set(strings.Join(p.outboundAllow, ",")); err != nil {
		return usage("--outbound-allow: %w", err)
	}
	var written []string
	warnings, err := preview.Render(ctx, request, func(f file.File, data []byte) error {
		path := filepath.Join(folder, filepath.Base(f.Name))
		err := os.WriteFile(path, data, 0o644) //nolint:gosec // like every file that a person makes
		if err == nil {
			written = append(written, path)
		}
		return err
	})
	for _, path := range written {
		fmt.Fprintln(p.Out, path)
	}
	for _, w := range warnings {
		fmt.Fprintf(p.ErrOut, "Warning: %s\n", plain(w.Title))
		if w.Details != "" {
			fmt.Fprintf(p.ErrOut, "  %s\n", plain(w.Details))
		}
	}
	if err = p.inFlags(err); exitCodeOf(err) == exitUsage {
		return err
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && err != nil {
		return &exitError{exitTimeout, fmt.Errorf("the template is not rendered within %s, as --timeout says: %w", p.timeout, err)}
	}
	// If another attempt cannot help, the template is at fault.
	invalid, failed := (*reconcile.TerminalError)(nil), (*render.Error)(nil)
	if errors.As(err, &invalid) || errors.As(err, &failed) && failed.Terminal {
		return &exitError{exitRenderFailed, err}
	}
	return err
}

// remote renders in the cluster with temporary objects.
func (p *previewCommand) remote(ctx context.Context, template *platenv1alpha1.RenderTemplate, job *platenv1alpha1.RenderJob, own, found sources, folder string) (err error) {
	c, err := p.cluster()
	if err != nil {
		return err
	}
	temporary := &platenv1alpha1.RenderTemplate{Spec: *template.Spec.DeepCopy()}
	temporary.Spec.TemplateID = nil
	if err := inlinePages(temporary, own, found); err != nil {
		return err
	}
	if err := p.compareFontSets(ctx, c, template, own); err != nil {
		return err
	}
	if output := &job.Spec.Output; output.Format == platenv1alpha1.FormatPDF {
		// By default, a document has the name of its template, and the temporary one has a generated name.
		output.PDF.Title = cmp.Or(output.PDF.Title, template.Name)
	}
	discard, err := c.createTemporary(ctx, "preview-", temporary, job)
	if err != nil {
		return explain(err)
	}
	defer func() { err = errors.Join(err, discard()) }()
	done, err := p.awaitJob(ctx, c, job, len(template.Spec.Pages), p.timeout, (*platenv1alpha1.RenderJob).Finished)
	if err != nil {
		return err
	}
	nameAsGiven(done, template)
	files, err := downloader{cluster: c, platenNamespace: p.platenNamespace}.files(ctx, done, folder)
	for _, path := range files {
		fmt.Fprintln(p.Out, path)
	}
	describeWarnings(p.ErrOut, done.Status.Warnings)
	return errors.Join(err, p.outcome(done))
}

// nameAsGiven lets the status of a job on a temporary template speak of the template that a person has given, and of its ConfigMaps.
func nameAsGiven(job *platenv1alpha1.RenderJob, template *platenv1alpha1.RenderTemplate) {
	names := []string{"RenderTemplate '" + job.Spec.TemplateRef.Name + "'", "RenderTemplate '" + template.Name + "'"}
	for i, page := range template.Spec.Pages {
		if page.HTMLFrom != nil {
			ref := page.HTMLFrom.ConfigMapKeyRef
			names = append(names, fmt.Sprintf("spec.pages[%d].html ", i), fmt.Sprintf("spec.pages[%d].htmlFrom: key '%s' of ConfigMap '%s' ", i, ref.Key, ref.Name))
		}
	}
	given := strings.NewReplacer(names...)
	for i := range job.Status.Warnings {
		w := &job.Status.Warnings[i]
		w.Title = given.Replace(w.Title)
		if w.Details != nil {
			w.Details = new(given.Replace(*w.Details))
		}
	}
	for i := range job.Status.Conditions {
		c := &job.Status.Conditions[i]
		c.Message = given.Replace(c.Message)
	}
}

// inlinePages puts the pages into the template that the cluster does not have, because they are in a ConfigMap of the file. The job reads the others
// where they are. It returns what is wrong with a ConfigMap, for which a job would wait.
func inlinePages(template *platenv1alpha1.RenderTemplate, own, found sources) error {
	for i := range template.Spec.Pages {
		page := &template.Spec.Pages[i]
		if page.HTMLFrom == nil {
			continue
		}
		ref := page.HTMLFrom.ConfigMapKeyRef
		named := func(m corev1.ConfigMap) bool { return m.Name == ref.Name }
		n := slices.IndexFunc(found.maps, named)
		if n < 0 {
			continue
		}
		html, missing := ref.TextIn(&found.maps[n])
		switch inFile := slices.ContainsFunc(own.maps, named); {
		case missing != "":
			return &exitError{exitRenderFailed, fmt.Errorf("spec.pages[%d].htmlFrom: %s", i, missing)}
		case inFile && len(html) > maxInlineHTML:
			return fmt.Errorf("spec.pages[%d].htmlFrom: key '%s' of ConfigMap '%s' has more than 512 KiB, and a preview in the cluster takes no more from a file: apply the ConfigMap, and leave it out of the file",
				i, ref.Key, ref.Name)
		case inFile:
			page.HTML, page.HTMLFrom = cmp.Or(html, "\n"), nil // the API server takes no page without a letter
		}
	}
	return nil
}

// compareFontSets returns an error for a FontSet that only the file has, for which a job would wait, and warns of one that is another in the cluster.
func (p *previewCommand) compareFontSets(ctx context.Context, c *cluster, template *platenv1alpha1.RenderTemplate, own sources) error {
	for i, ref := range template.Spec.FontSetRefs {
		n := slices.IndexFunc(own.sets, func(set platenv1alpha1.FontSet) bool { return set.Name == ref.Name })
		if n < 0 {
			continue
		}
		there := &platenv1alpha1.FontSet{}
		err := c.get(ctx, ref.Name, there)
		switch {
		case apierrors.IsNotFound(err):
			return fmt.Errorf("spec.fontSetRefs[%d]: FontSet '%s' of the file does not exist in namespace %s, and the cluster renders with those that are there: apply it first", i, ref.Name, c.namespace)
		case err != nil:
			return explain(err)
		case !equality.Semantic.DeepEqual(there.Spec, own.sets[n].Spec):
			fmt.Fprintf(p.ErrOut, "Warning: the cluster renders with FontSet '%s' as it is in namespace %s, not with that of the file; apply it first\n", ref.Name, c.namespace)
		}
	}
	return nil
}
