// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/bindings"
)

// completionTimeout bounds how long the Tab key waits for the cluster.
const completionTimeout = 3 * time.Second

// completion returns what can follow on a command line.
type completion = func(c *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective)

// completeNames offers the names of objects that are not on the command line yet, for at most so many arguments; none if the cluster cannot be
// reached. most < 0 means no upper bound.
func (o *options) completeNames(most int, list func() client.ObjectList) completion {
	return func(command *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		if most >= 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return o.complete(command.Context(), toComplete, func(ctx context.Context, c *cluster) []string {
			return slices.DeleteFunc(c.names(ctx, list(), false), func(name string) bool { return slices.Contains(args, name) })
		})
	}
}

// completeFlag offers the names of objects for a flag, whatever the arguments are.
func (o *options) completeFlag(list func() client.ObjectList) completion {
	names := o.completeNames(-1, list)
	return func(command *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		return names(command, nil, toComplete)
	}
}

func jobList() client.ObjectList        { return &platenv1alpha1.RenderJobList{} }
func templateList() client.ObjectList   { return &platenv1alpha1.RenderTemplateList{} }
func connectionList() client.ObjectList { return &platenv1alpha1.StorageConnectionList{} }
func secretList() client.ObjectList     { return &corev1.SecretList{} }

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

// completeKubeconfig offers what the kubeconfig has of a kind: names returns its names.
func (o *options) completeKubeconfig(names func(clientcmdapi.Config) []string) completion {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		config, err := o.flags.ToRawKubeConfigLoader().RawConfig()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names(config), cobra.ShellCompDirectiveNoFileComp
	}
}

// platenNamespaceFlag adds --platen-namespace.
func (o *options) platenNamespaceFlag(c *cobra.Command, target *string, usage string) {
	c.Flags().StringVar(target, "platen-namespace", platenNamespace, usage)
	must(c.RegisterFlagCompletionFunc("platen-namespace", o.completeNamespaces))
}
