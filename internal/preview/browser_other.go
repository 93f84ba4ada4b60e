// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package preview

import "errors"

// ErrNoBrowser means that the machine has no browser that can render; the cluster still may.
var ErrNoBrowser = errors.New("only Linux can render with its own browser")

// openBrowser fails: the renderer watches and bounds its processes with what only Linux has.
func openBrowser(Request, string) (painter, error) { return nil, ErrNoBrowser }
