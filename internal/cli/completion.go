// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/bindings"
)

// completionTimeout bounds how long the Tab key waits for the cluster.
const completionTimeout = 3 * time.Second

// completion returns what can follow on a command line.
type completion = func(c *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective)

// completeNames offers the names of objects for the first argument; none if the cluster cannot be reached.
func (o *options) completeNames(list func() client.ObjectList) completion {
	return func(command *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return o.complete(command.Context(), toComplete, func(ctx context.Context, c *cluster) []string { return c.names(ctx, list(), false) })
	}
}

func (o *options) complete(ctx context.Context, toComplete string, names func(context.Context, *cluster) []string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	c, err := o.cluster()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	matching := slices.DeleteFunc(names(ctx, c), func(name string) bool { return !strings.HasPrefix(name, toComplete) })
	return matching, cobra.ShellCompDirectiveNoFileComp
}

func (o *options) completeTemplates(c *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return o.completeNames(func() client.ObjectList { return &platenv1alpha1.RenderTemplateList{} })(c, args, toComplete)
}

func (o *options) completeJobs(c *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return o.completeNames(func() client.ObjectList { return &platenv1alpha1.RenderJobList{} })(c, args, toComplete)
}

func (o *options) completeConnections(c *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return o.completeNames(func() client.ObjectList { return &platenv1alpha1.StorageConnectionList{} })(c, args, toComplete)
}

// completeFailedJobs offers the jobs that can be retried and are not on the command line yet.
func (o *options) completeFailedJobs(command *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return o.complete(command.Context(), toComplete, func(ctx context.Context, c *cluster) (names []string) {
		list := &platenv1alpha1.RenderJobList{}
		if c.list(ctx, list, false) != nil {
			return nil
		}
		for i := range list.Items {
			if job := &list.Items[i]; retriable(job) && !slices.Contains(args, job.Name) {
				names = append(names, job.Name)
			}
		}
		return names
	})
}

// completeParameters offers KEY= for each parameter of the template on the command line.
func (o *options) completeParameters(command *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names, directive := o.complete(command.Context(), toComplete, func(ctx context.Context, c *cluster) (names []string) {
		template := &platenv1alpha1.RenderTemplate{}
		if c.get(ctx, args[0], template) != nil {
			return nil
		}
		for _, p := range bindings.Known(template) {
			names = append(names, p.Name+"=")
		}
		return names
	})
	return names, directive | cobra.ShellCompDirectiveNoSpace
}

func (o *options) completeNamespaces(command *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return o.complete(command.Context(), toComplete, func(ctx context.Context, c *cluster) []string {
		return c.names(ctx, &corev1.NamespaceList{}, true)
	})
}

func (o *options) completeContexts(_ *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	config, err := o.flags.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.Sorted(maps.Keys(config.Contexts)), cobra.ShellCompDirectiveNoFileComp
}
