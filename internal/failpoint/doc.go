// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package failpoint names the points at which tests kill the manager. With the build tag failpoints, an armed point ends the process
// with SIGKILL. Without the tag, the package does nothing.
package failpoint
