// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package version holds the version that the linker sets.
package version

// Version of the binary, set by `-ldflags "-X github.com/platen-dev/platen/internal/version.Version=…"`.
var Version = "dev"
