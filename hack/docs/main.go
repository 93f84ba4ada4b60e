// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command docs writes the reference pages that are made from the code.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/platen-dev/platen/internal/metrics"
)

const metricsPage = `# Metrics

The manager serves these at :8443/metrics, over HTTPS, to whoever may ` + "`get`" + ` the URL /metrics, beside those of
[controller-runtime](https://book.kubebuilder.io/reference/metrics-reference).

`

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: docs FOLDER")
		os.Exit(2)
	}
	if err := os.WriteFile(filepath.Join(os.Args[1], "metrics.md"), []byte(metricsPage+metrics.Table()), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(1)
	}
}
