// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package version holds the version that the linker sets.
package version

// Version of the binary, set by `-ldflags "-X github.com/platen-dev/platen/internal/version.Version=…"`.
var Version = "dev"

// UserAgent is how a program calls itself to the API server: it is in audit logs, and its first part names the manager of the fields that the program
// writes.
func UserAgent(program string) string { return program + "/" + Version }
