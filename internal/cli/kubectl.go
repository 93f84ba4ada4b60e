// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"flag"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"
)

// addKubectlFlags adds the flags that kubectl's own commands take. All of them work. The help of a command shows the common ones, and names the
// command that shows all.
func (o *options) addKubectlFlags(root *cobra.Command) {
	flags := root.PersistentFlags()
	o.flags.AddFlags(flags)
	logging := flag.NewFlagSet("", flag.ContinueOnError)
	klog.InitFlags(logging)
	v := pflag.PFlagFromGoFlag(logging.Lookup("v"))
	v.Usage = "how much to say of the requests to the cluster: 6 shows their addresses, 9 all that they carry, Secrets too"
	flags.AddFlag(v)
	flags.VisitAll(func(f *pflag.Flag) {
		f.Hidden = f.Name != "namespace" && f.Name != "context" && f.Name != "kubeconfig"
	})
	root.SetUsageTemplate(root.UsageTemplate() + "\nUse \"kubectl platen options\" for a list of the flags that all commands take, such as --as and --server.\n")
}

// kubectlOptions is kubectl platen options.
func (o *options) kubectlOptions() *cobra.Command {
	return &cobra.Command{
		Use:   "options",
		Short: "List the flags that all commands take",
		Example: `  # See what another person may see.
  kubectl platen templates --as ada --as-group designers -n marketing

  # See the requests to the cluster.
  kubectl platen status -v=6`,
		Args: arguments(0, 0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			all := pflag.NewFlagSet("", pflag.ContinueOnError)
			c.Root().PersistentFlags().VisitAll(func(f *pflag.Flag) {
				shown := *f
				shown.Hidden = false
				all.AddFlag(&shown)
			})
			fmt.Fprintf(o.Out, "All commands take these flags:\n\n%s", all.FlagUsages())
			return nil
		},
	}
}
