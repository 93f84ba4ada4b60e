//go:build !failpoints

// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package failpoint

import "net/http"

// Hit marks the instant with the given name.
func Hit(string) {}

// Handler returns nil: there is nothing to arm.
func Handler() http.Handler { return nil }
