// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"flag"
	"fmt"
	"regexp"
	"slices"
	"strings"

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

// clusterFlags choose the cluster and the person. Those that hold a secret are not among them: a message must not show one.
var clusterFlags = []string{
	"as", "as-group", "as-uid", "certificate-authority", "cluster", "context", "insecure-skip-tls-verify", "kubeconfig", "server", "tls-server-name", "user",
}

// personFlags are those of clusterFlags that choose the person: an administrator's command has none of them.
var personFlags = []string{"as", "as-group", "as-uid", "user"}

// recommended matches the beginning of a command that a message recommends. One that creates a RoleBinding is for an administrator.
var recommended = regexp.MustCompile(`\bkubectl (?:platen |create rolebinding )?`)

// sameCluster puts the flags by which a person chose the cluster into the commands of a text. Without them, a copied command would reach
// another cluster.
func sameCluster(given *pflag.FlagSet, text string) string {
	var words, forAnyone strings.Builder
	add := func(name, value string) {
		fmt.Fprintf(&words, "--%s=%s ", name, shellWord(value))
		if !slices.Contains(personFlags, name) {
			fmt.Fprintf(&forAnyone, "--%s=%s ", name, shellWord(value))
		}
	}
	for _, name := range clusterFlags {
		f := given.Lookup(name)
		switch several, ok := f.Value.(pflag.SliceValue); {
		case !f.Changed:
		case ok:
			for _, value := range several.GetSlice() {
				add(name, value)
			}
		default:
			add(name, f.Value.String())
		}
	}
	return recommended.ReplaceAllStringFunc(text, func(begin string) string {
		if rest, ok := strings.CutPrefix(begin, "kubectl create"); ok {
			return "kubectl " + forAnyone.String() + "create" + rest
		}
		return begin + words.String()
	})
}

// sameCluster puts the flags by which the person chose the cluster into the commands of a text.
func (o *options) sameCluster(text string) string { return sameCluster(o.given, text) }

// printNext prints advice for people, its commands below; nothing if there is none.
func (o *options) printNext(advice string) { printNext(o.ErrOut, o.sameCluster(advice)) }

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
