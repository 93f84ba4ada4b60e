// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// everyFlag calls see with each flag of each command, and with a command line to which the flag can be added.
func everyFlag(t *testing.T, see func(line []string, flag *pflag.Flag)) {
	t.Helper()
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.Name() != "completion" && sub.Name() != "help" {
				visit(sub)
			}
		}
		if !c.HasParent() || c.HasSubCommands() {
			return
		}
		line := strings.Fields(strings.TrimPrefix(c.CommandPath(), c.Root().CommandPath()))
		if c.ValidateArgs(nil) != nil {
			line = append(line, "x")
		}
		c.InheritedFlags()
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" {
				see(line, f)
			}
		})
	}
	visit(New(genericiooptions.NewTestIOStreamsDiscard()))
}

// refused runs a command line, which must be refused before it reaches any cluster.
func refused(t *testing.T, want string, args ...string) {
	t.Helper()
	streams, _, _, errOut := genericiooptions.NewTestIOStreams()
	if code := Main(t.Context(), append([]string{"kubectl-platen"}, args...), streams); code != exitUsage || !strings.Contains(errOut.String(), want) {
		t.Errorf("%q: exit code %d, %q; want %q", args, code, errOut, want)
	}
}

// A script whose variable is not set gives a flag without a value: nothing may happen elsewhere, or under another name.
func TestNoFlagIsEmpty(t *testing.T) {
	t.Setenv("KUBECONFIG", os.DevNull)
	seen := 0
	everyFlag(t, func(line []string, f *pflag.Flag) {
		switch f.Value.Type() {
		case "string", "stringArray", "stringSlice":
			seen++
			want := "error: --" + f.Name + " is empty: "
			refused(t, want, append(line, "--"+f.Name+"=")...)
			refused(t, want, append(line, "--"+f.Name+"= ")...)
		}
	})
	if seen < 100 {
		t.Errorf("%d flags were seen", seen)
	}
	refused(t, "error: --outbound-allow is empty: ", "lint", "x", "--outbound-allow", "10.0.0.0/8,")
	refused(t, "error: the template is empty: ", "render", "")
	refused(t, "error: the job is empty: ", "retry", "a", " ")
	refused(t, "error: the connection is empty: ", "connect", "dropbox", "")
	refused(t, "error: the template is empty: ", "preview", "", "-f", "banner.yaml")
}

func TestTimesArePositive(t *testing.T) {
	t.Setenv("KUBECONFIG", os.DevNull)
	seen := 0
	everyFlag(t, func(line []string, f *pflag.Flag) {
		if f.Value.Type() != "duration" {
			return
		}
		seen++
		refused(t, "error: --"+f.Name+": -1s must ", append(line, "--"+f.Name, "-1s")...)
		if f.Name != "ttl" {
			refused(t, "error: --"+f.Name+": 0s must be more than 0, such as ", append(line, "--"+f.Name, "0")...)
		}
	})
	if seen < 9 {
		t.Errorf("%d flags were seen", seen)
	}
	refused(t, "error: --ttl: 500ms must be whole seconds, 0s or more, such as 24h", "render", "x", "--ttl", "500ms")
	refused(t, "error: --ttl: 1000000h0m0s must be at most 596523h14m7s", "render", "x", "--ttl", "1000000h")
	refused(t, "error: --ttl 0s deletes the files before -o can fetch them; give more time, such as 1h", "render", "x", "--ttl", "0", "-o", "out")
}

// A second file, table or connection does not silently replace the first: other commands take several.
func TestFlagsThatTakeOneThingAreGivenOnce(t *testing.T) {
	t.Setenv("KUBECONFIG", os.DevNull)
	for _, line := range [][]string{{"lint", "-f", "a.yaml", "-f", "b.yaml"}, {"preview", "--filename=a.yaml", "-f", "b.yaml"}} {
		refused(t, "is given twice: the command takes one file; run it once for each", line...)
	}
	refused(t, "is given twice: the command takes one table; run it once for each", "render", "banner", "--csv", "a.csv", "--csv", "b.csv")
	refused(t, "is given twice: the command takes one connection; a job's spec.connections takes several", "render", "banner", "--connection", "a", "--connection", "b")
}
