// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cli has the commands of the kubectl plugin.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/platen-dev/platen/internal/nearest"
	"github.com/platen-dev/platen/internal/version"
)

// Exit codes tell scripts what happened.
const (
	exitFailed         = 1
	exitUsage          = 2
	exitRenderFailed   = 3
	exitUploadFailed   = 4
	exitTimeout        = 5
	exitInterrupted    = 130
	exitCodesForPeople = `Exit codes:
  0    done
  1    another failure: the message says what happened
  2    the command line is not valid, or a value does not fit the template
  3    the render failed
  4    rendered, but an upload failed
  5    not finished within --timeout; the job of render, fetch or retry goes on in the cluster
  130  interrupted; jobs that are created go on in the cluster`
)

// fieldOwner owns the fields that the plugin writes.
const fieldOwner = "kubectl-platen"

// exitError is an error with its own exit code.
type exitError struct {
	code int
	err  error
}

// Error implements error.
func (e *exitError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *exitError) Unwrap() error { return e.err }

// usage returns an error about the command line.
func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// options are shared by all commands.
type options struct {
	genericiooptions.IOStreams
	flags *genericclioptions.ConfigFlags
	// given has the flags that all commands take, as the person gave them.
	given *pflag.FlagSet
	// fileNamespace is the namespace of the template of -f; empty if the file does not say it.
	fileNamespace string
}

// Main runs the plugin with the arguments of its process and returns the exit code. Under the name kubectl_complete-platen, which
// kubectl calls to complete a command line, it prints completions.
func Main(ctx context.Context, args []string, streams genericiooptions.IOStreams) int {
	out := &output{Writer: streams.Out}
	streams.Out = out
	root := New(streams)
	if strings.HasPrefix(filepath.Base(args[0]), "kubectl_complete-platen") {
		args = append([]string{args[0], cobra.ShellCompRequestCmd}, args[1:]...)
	}
	root.SetArgs(args[1:])
	command, err := root.ExecuteContextC(ctx)
	if err == nil && out.err != nil {
		err = fmt.Errorf("the output could not be written: %w", out.err)
	}
	return exitCode(ctx, command, err, streams.ErrOut)
}

// output remembers the first error of a writer, so that a script never takes half an output for all of it.
type output struct {
	io.Writer
	err error
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (n int, err error) {
	n, err = o.Writer.Write(p)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// exitCode returns the exit code of a command, and says what its error is.
func exitCode(ctx context.Context, command *cobra.Command, err error, out io.Writer) int {
	left, goesOn := (*leftoverError)(nil), (*goesOnError)(nil)
	flags := command.Root().PersistentFlags()
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		fmt.Fprintln(out, "interrupted")
		if errors.As(err, &goesOn) {
			fmt.Fprintln(out, sameCluster(flags, goesOn.Error()))
		}
		if errors.As(err, &left) {
			fmt.Fprintln(out, "error:", sameCluster(flags, left.Error()))
		}
		return exitInterrupted
	}
	fmt.Fprintln(out, "error:", sameCluster(flags, err.Error()))
	code := exitCodeOf(err)
	if code == exitUsage {
		fmt.Fprintf(out, "See '%s --help'.\n", command.CommandPath())
	}
	return code
}

// exitCodeOf returns the exit code that an error asks for.
func exitCodeOf(err error) int {
	exit := (*exitError)(nil)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.code
	default:
		return exitFailed
	}
}

// New returns the root command.
func New(streams genericiooptions.IOStreams) *cobra.Command {
	o := &options{IOStreams: streams, flags: genericclioptions.NewConfigFlags(true)}
	root := &cobra.Command{
		Use:   "kubectl-platen",
		Short: "Render templates, and connect the Dropbox that receives the files",
		Long: `Render templates in the cluster, fetch the files, and connect the Dropbox that receives them.

` + exitCodesForPeople,
		Example: `  # Check that Platen works in the cluster.
  kubectl platen try

  # Connect a Dropbox to the namespace marketing.
  kubectl platen connect dropbox --app-key m4v7... -n marketing

  # Render a template, and put the files into the folder out.
  kubectl platen render banner --set headline="Hello World" -o out -n marketing`,
		Version:       version.Version,
		SilenceErrors: true, SilenceUsage: true,
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl platen"},
		Args:        cobra.ArbitraryArgs,
		// No command has another one, which would replace this.
		PersistentPreRunE: func(c *cobra.Command, _ []string) error { return checkFlags(c.Flags()) },
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			return subcommand("platen")(c, args)
		},
	}
	o.given = root.PersistentFlags()
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.ErrOut)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usage("%w", flagError(c, err)) })
	o.addKubectlFlags(root)
	connect := &cobra.Command{Use: "connect", Short: "Connect an account that receives the files", Args: cobra.ArbitraryArgs, RunE: func(c *cobra.Command, args []string) error {
		if len(args) > 0 && slices.Contains([]string{"s3", "gcs", "azureblob"}, args[0]) {
			return usage("a bucket has no account that allows access: create a Secret with its keys, and a StorageConnection of provider %s, as in docs/spec/v1alpha1/storageconnection.md", args[0])
		}
		return subcommand("connect")(c, args)
	}}
	connect.AddCommand(o.connectDropbox())
	root.AddCommand(connect, o.render(), o.preview(), o.lint(), o.try(), o.check(), o.status(), o.fetch(), o.retry(), o.templates(), o.connections(), o.kubectlOptions())
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() != "completion" {
			continue
		}
		c.Args, c.RunE = cobra.ArbitraryArgs, subcommand("completion")
		for _, shell := range c.Commands() {
			shell.Args = arguments(0, 0, "")
		}
	}
	must(root.RegisterFlagCompletionFunc("namespace", o.completeNamespaces))
	for flag, names := range map[string]func(clientcmdapi.Config) []string{
		"context": func(c clientcmdapi.Config) []string { return slices.Sorted(maps.Keys(c.Contexts)) },
		"cluster": func(c clientcmdapi.Config) []string { return slices.Sorted(maps.Keys(c.Clusters)) },
		"user":    func(c clientcmdapi.Config) []string { return slices.Sorted(maps.Keys(c.AuthInfos)) },
	} {
		must(root.RegisterFlagCompletionFunc(flag, o.completeKubeconfig(names)))
	}
	return root
}

// wordEnd matches the end of a word in a name such as fileName.
var wordEnd = regexp.MustCompile(`([a-z])([A-Z])`)

// flagError says which values a flag takes that was given another one, and which flag of a command an unknown one means.
func flagError(c *cobra.Command, err error) error {
	if unknown := (*pflag.NotExistError)(nil); errors.As(err, &unknown) {
		var names []string
		c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		given := strings.ToLower(strings.ReplaceAll(wordEnd.ReplaceAllString(unknown.GetSpecifiedName(), "$1-$2"), "_", "-"))
		if near := nearest.Name(given, names); near != "" && len(given) > 1 {
			return fmt.Errorf("%w; did you mean --%s?", err, near)
		}
		if given == "f" && c.Name() == "render" {
			return fmt.Errorf("%w; kubectl apply -f creates the jobs of a file", err)
		}
		return err
	}
	invalid := (*pflag.InvalidValueError)(nil)
	if !errors.As(err, &invalid) {
		return err
	}
	want := map[string]string{
		"int": "a whole number", "int32": "a whole number", "int32Slice": "whole numbers with commas between them, such as 1,3",
		"duration": "a time with its unit, such as 30s or 10m", "bool": "true or false", "Level": "a whole number",
	}[invalid.GetFlag().Value.Type()]
	if want == "" {
		return err
	}
	return fmt.Errorf("invalid argument %q for --%s: it must be %s", invalid.GetValue(), invalid.GetFlag().Name, want)
}

// must panics on errors that only a mistake in the code can cause.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// subcommand returns the RunE of a command that needs a subcommand: its error names the possible ones.
func subcommand(what string) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		var names []string
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				names = append(names, sub.Name())
			}
		}
		if len(args) > 0 {
			c.SuggestionsMinimumDistance = 2
			similar := c.SuggestionsFor(args[0])
			if c.Flags().Lookup(args[0]) != nil { // kubectl has a command version, for instance
				similar = append(similar, "--"+args[0])
			}
			if len(similar) == 0 && len(names) > 3 { // nobody means all of them
				return usage("%s knows no %q; there are: %s", what, args[0], strings.Join(names, ", "))
			}
			if len(similar) > 0 {
				names = similar
			}
			return usage("%s knows no %q; did you mean: %s", what, args[0], strings.Join(names, ", "))
		}
		if what == "completion" { // which is no verb
			return usage("name the shell: %s", strings.Join(names, ", "))
		}
		return usage("say what to %s: %s", what, strings.Join(names, ", "))
	}
}

// arguments checks that there are least to most arguments; most < 0 means no upper bound. what names a missing argument.
func arguments(least, most int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usage("name the %s", what)
		case most >= 0 && len(args) > most:
			return usage("unexpected %q", args[most])
		case slices.ContainsFunc(args, func(arg string) bool { return strings.TrimSpace(arg) == "" }):
			return usage("the %s is empty: name one (is a variable of your shell not set?)", what)
		}
		return nil
	}
}
