// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command devcluster runs a real single-node Kubernetes on a bare Linux machine, for development and end-to-end tests.
// It needs root, Go and Debian's package manager, but neither a container engine nor an image registry.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

const usage = `usage: go run ./hack/devcluster COMMAND

  up                    start the cluster, or repair it; does nothing when all is healthy
  down                  stop the cluster and remove everything that it left on this machine, except built binaries
  status                show what runs; exits with 1 unless the cluster is ready
  kubeconfig            print the path of the cluster's kubeconfig
  load-image FILE...    load container images (OCI or docker archives) into the node
  network-policies on   enforce NetworkPolicies, until network-policies off
  binaries [--only A,B] [--minor 1.36]
                        build the cluster's programs and kubectl, and print the directory that holds them; with --minor, an older API server
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "devcluster:", err)
		os.Exit(1)
	}
}

// run executes one command. Progress goes to stderr, results for scripts go to stdout.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return errors.New("no command given; there are up, down, status, kubeconfig, load-image, network-policies and binaries")
	}
	command, args := args[0], args[1:]
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage) }
	only, minor := "", ""
	if command == "binaries" {
		flags.StringVar(&only, "only", "", "names of the programs, separated by commas")
		flags.StringVar(&minor, "minor", "", "the minor of Kubernetes of which the API server is, a folder of hack/devcluster/minors")
	}
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	if command != "load-image" && command != "network-policies" && flags.NArg() > 0 {
		return fmt.Errorf("%s takes no argument, got %q", command, flags.Arg(0))
	}

	c, err := newCluster(newProgress(stderr))
	if err != nil {
		return err
	}
	switch command {
	case "up":
		return c.up(ctx)
	case "down":
		return c.down(ctx)
	case "status":
		return c.status(ctx, stdout)
	case "kubeconfig":
		_, err := fmt.Fprintln(stdout, c.kubeconfig())
		return err
	case "load-image":
		return c.loadImages(ctx, flags.Args())
	case "network-policies":
		return c.networkPolicies(ctx, strings.Join(flags.Args(), " "))
	case "binaries":
		names := programNames()
		if only != "" {
			names = strings.Split(only, ",")
		}
		dir, err := c.binaries(ctx, names, minor)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(stdout, dir)
		return err
	}
	return fmt.Errorf("unknown command %q\n%s", command, usage)
}
