// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command golangci-lint is golangci-lint with the Kubernetes API linter built in, so that one binary serves both lint passes.
package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/golangci/golangci-lint/v2/pkg/commands"
	"github.com/golangci/golangci-lint/v2/pkg/exitcodes"
	_ "sigs.k8s.io/kube-api-linter/pkg/plugin/base"  // registers the linter kubeapilinter
	_ "sigs.k8s.io/kube-api-linter/pkg/registration" // registers its rules
)

func main() {
	err := commands.Execute(commands.BuildInfo{GoVersion: runtime.Version(), Version: "2.15.0", Commit: "?", Date: ""})
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "The command is terminated due to an error: %v\n", err)
		os.Exit(exitcodes.Failure)
	}
}
