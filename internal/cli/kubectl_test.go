// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// kubectlFlags are those that scripts for kubectl use.
var kubectlFlags = []string{
	"as", "as-group", "as-uid", "certificate-authority", "client-certificate", "client-key", "cluster", "context", "insecure-skip-tls-verify", "kubeconfig", "namespace",
	"request-timeout", "server", "tls-server-name", "token", "user", "v",
}

func TestEveryCommandTakesKubectlsFlags(t *testing.T) {
	root := New(genericiooptions.NewTestIOStreamsDiscard())
	var check func(*cobra.Command)
	check = func(c *cobra.Command) {
		for _, name := range kubectlFlags {
			if flag := root.PersistentFlags().Lookup(name); flag == nil || c != root && c.InheritedFlags().Lookup(name) != flag {
				t.Errorf("%s has no --%s of kubectl's", c.CommandPath(), name)
			}
		}
		if usage := c.UsageString(); !strings.Contains(usage, "kubectl platen options") {
			t.Errorf("the help of %s does not say where all flags are", c.CommandPath())
		}
		for _, child := range c.Commands() {
			check(child)
		}
	}
	check(root)
}

func TestOptionsListsKubectlsFlags(t *testing.T) {
	streams, _, out, errOut := genericiooptions.NewTestIOStreams()
	if code := Main(t.Context(), []string{"kubectl-platen", "options", "-v=0"}, streams); code != 0 {
		t.Fatalf("exit code %d, %s", code, errOut)
	}
	for _, name := range kubectlFlags {
		if !strings.Contains(out.String(), "--"+name+" ") {
			t.Errorf("--%s is not listed in\n%s", name, out)
		}
	}
}

// A command that a message recommends reaches the cluster that the person chose, as the person, and shows no secret.
func TestCommandsReachTheSameCluster(t *testing.T) {
	for name, c := range map[string]struct {
		args       []string
		text, want string
	}{
		"no flags":   {text: "see kubectl platen status x -n y", want: "see kubectl platen status x -n y"},
		"no command": {args: []string{"--context", "prod"}, text: "kubectl's own", want: "kubectl's own"},
		"a context":  {args: []string{"--context", "prod"}, text: "kubectl get pods | kubectl replace -f -", want: "kubectl --context=prod get pods | kubectl --context=prod replace -f -"},
		"the plugin": {args: []string{"--context", "prod"}, text: "(kubectl platen check -n y)", want: "(kubectl platen --context=prod check -n y)"},
		"odd names":  {args: []string{"--context", "my prod", "--kubeconfig", "a'b"}, text: "kubectl get x", want: `kubectl --context='my prod' --kubeconfig='a'\''b' get x`},
		"a person":   {args: []string{"--as", "ada", "--as-group", "a", "--as-group", "b"}, text: "kubectl get x", want: "kubectl --as=ada --as-group=a --as-group=b get x"},
		"another person": {
			args: []string{"--as", "ada", "--as-group", "a", "--as-uid", "1", "--user", "ada", "--context", "prod"},
			text: "(kubectl create rolebinding x)", want: "(kubectl --context=prod create rolebinding x)",
		},
		"a secret":      {args: []string{"--token", "s3cret", "--server", "https://x"}, text: "kubectl get x", want: "kubectl --server=https://x get x"},
		"the namespace": {args: []string{"-n", "other"}, text: "kubectl get x -n y", want: "kubectl get x -n y"},
	} {
		t.Run(name, func(t *testing.T) {
			root := New(genericiooptions.NewTestIOStreamsDiscard())
			if err := root.ParseFlags(c.args); err != nil {
				t.Fatal(err)
			}
			if got := sameCluster(root.PersistentFlags(), c.text); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
