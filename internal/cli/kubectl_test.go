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
