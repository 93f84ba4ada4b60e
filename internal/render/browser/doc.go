// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package browser renders tasks with headless Chromium, driven over its debugging pipe.
//
//	Browser           renders tasks: stills and documents several at a time (paint.go), videos frame by frame (film.go)
//	└─ supervisor     keeps one Chromium running: starts it, replaces it, watches its memory, ends it
//	   └─ chromium    is one run of it: the process, the connection, and the turn to draw a frame
//	      └─ tabs     keeps the tabs that no page uses, opens one ahead of need, closes the others
//	         └─ tab   shows one page at a time in a browser context of its own (tab.go, load.go) and draws it (draw.go)
//
// place.go decides which tab a page gets. The supervisor and the tabs each have a lock; neither calls the other while it holds it.
// Both use what is below them through a small interface, so that their tests need no Chromium.
package browser
