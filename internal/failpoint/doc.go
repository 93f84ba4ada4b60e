// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package failpoint names the instants at which tests kill the manager. In ordinary builds nothing in it does anything; built
// with the tag failpoints, an armed name ends the process with SIGKILL.
package failpoint
