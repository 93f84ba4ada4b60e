// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package preview

import "github.com/platen-dev/platen/internal/render/browser"

// ErrNoBrowser means that the machine has no browser that can render. The cluster may still have one.
var ErrNoBrowser = browser.ErrNoBrowser

func openBrowser(r Request, proxy string, blocked func(target string) string) (painter, error) {
	return browser.New(browser.Options{ExecPath: r.Chromium, Proxy: proxy, MaxPixels: r.Limits.MaxPixels, Blocked: blocked, Families: families, Logger: r.Log})
}
