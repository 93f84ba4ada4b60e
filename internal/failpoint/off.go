//go:build !failpoints

// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package failpoint

import "net/http"

// Hit marks the point with a name. It does nothing.
func Hit(string) {}

// Handler returns nil: no point can be armed.
func Handler() http.Handler { return nil }
