// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package preview

import "errors"

// ErrNoBrowser means that the machine has no browser that can render. The cluster may still have one.
var ErrNoBrowser = errors.New("only Linux can render with its own browser")

// openBrowser fails: the renderer needs Linux to measure and limit the memory of its processes.
func openBrowser(Request, string, func(string) string) (painter, error) { return nil, ErrNoBrowser }
