// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command docs writes the reference pages of flags, metrics and storage reasons from the code.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/platen-dev/platen/internal/metrics"
	"github.com/platen-dev/platen/internal/storage"
)

const metricsPage = `# Metrics

The manager serves these at :8443/metrics, over HTTPS, and those of
[controller-runtime](https://book.kubebuilder.io/reference/metrics-reference) too. A caller needs the right to ` + "`get`" + ` the URL /metrics.

`

const reasonsPage = `# Reasons of storage failures

These are the reasons that a StorageConnection's Ready and a RenderJob's Uploaded condition give when storage fails, and the results
of storage calls in the [metrics](metrics.md). The fault says what a failure depends on:

- connection: the account, the credentials or the settings. Repair them; other files fail too until then.
- file: the name or the bytes. The file fails through any connection.
- service: the storage service, the network or Platen itself. It may pass by itself.

| reason | fault | what happened | what to do |
|---|---|---|---|
`

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: docs FOLDER")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(1)
	}
}

func write(folder string) error {
	flags, err := flags()
	if err != nil {
		return err
	}
	for name, text := range map[string]string{"flags.md": flags, "metrics.md": metricsPage + metrics.Table(), "reasons.md": reasonsPage + reasons()} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// reasons returns the rows of the table of storage.Reason.
func reasons() string {
	var rows strings.Builder
	for _, reason := range storage.Reasons() {
		advice, bucket := reason.Advice("dropbox"), reason.Advice("s3")
		do := advice.Do
		if bucket.Do != do {
			do = "Dropbox: " + do + " A bucket: " + bucket.Do
		}
		fmt.Fprintf(&rows, "| `%s` | %s | %s | %s |\n", reason, advice.Fault, advice.Title, do)
	}
	return rows.String()
}
