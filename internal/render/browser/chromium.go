// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/chromedp/cdproto/headlessexperimental"

	"github.com/platen-dev/platen/internal/render/devtools"
	"github.com/platen-dev/platen/internal/render/procs"
)

const (
	// closeTimeout bounds the end of a process or a tab, and each answer to the browser.
	closeTimeout = 5 * time.Second
	// treeInterval is the number of measurements after which a meter looks for new processes.
	treeInterval = 5
)

// chromium is one run of the browser.
type chromium struct {
	*devtools.Browser
	tabs *tabs[*tab]
	// drawing is held while a frame is drawn, because frames must not overlap, even those of two tabs. Chromium gives the frames of all tabs
	// the same source, so a tab waits for the others' frames, too, and its next request then counts as a second one at the same time. That
	// ends the GPU process. (Later versions than 156 tell the frames apart: components/viz/service/frame_sinks/external_begin_frame_source_mojo.cc.)
	drawing chan struct{}
	// killed is true once Kill was called because the browser held too much memory, and hung once one of its processes was found to hang.
	killed, hung atomic.Bool
	// hungPatience is how long the browser may take to draw a blank page before it counts as hung.
	hungPatience time.Duration
	// families is Options.Families.
	families string
	// large has the large pictures of the pages that are shown.
	large largePictures
}

// launch starts Chromium and opens the first tab in the background.
func (b *Browser) launch(ctx context.Context) (*chromium, error) {
	connection, err := devtools.Start(ctx, b.options.ExecPath, b.maxMessage, append(launchFlags(b.options.Proxy, b.options.Sandbox), b.options.Flags...)...)
	if err != nil && strings.Contains(err.Error(), noSandbox) {
		return nil, fmt.Errorf("the sandbox of Chromium needs user namespaces, which the pod's seccomp profile or the node forbids: %w", err)
	}
	if err != nil {
		return nil, err
	}
	if product := connection.Product(); !strings.HasPrefix(product, headlessShell) {
		closing, cancel := context.WithTimeout(ctx, closeTimeout)
		defer cancel()
		connection.Close(closing)
		return nil, fmt.Errorf("%s is %s, a whole browser, which does not draw frames on request: name a headless shell of Chromium, such as that of Debian's package chromium-headless-shell",
			b.options.ExecPath, bounded(product, maxProduct))
	}
	c := &chromium{Browser: connection, drawing: make(chan struct{}, 1), hungPatience: b.hungPatience, families: b.options.Families}
	c.tabs = newTabs(c.openTab, b.options.Parallel, b.hungPatience, b.options.Logger)
	c.tabs.openAhead()
	return c, nil
}

const (
	// headlessShell begins the product's name of a headless shell. A whole browser that runs headless is Chrome or Chromium.
	headlessShell = "HeadlessChrome/"
	// maxProduct bounds what an error says of another product, in bytes.
	maxProduct = 64
)

// noSandbox is in Chromium's last words when it can have no sandbox.
const noSandbox = "No usable sandbox"

// launchFlags returns Chromium's flags for a pod (https://peter.sh/experiments/chromium-command-line-switches/). Chromium's own sandbox needs
// user namespaces, which a pod has only with another seccomp profile than the runtime's; without them, the pod is the sandbox.
func launchFlags(proxy string, sandbox bool) []string {
	flags := []string{
		"--headless",
		"--disable-gpu",
		"--disable-dev-shm-usage", // a pod's /dev/shm has 64 MiB
		"--no-first-run",

		// No features for a user at a screen, and none for the vendor.
		"--block-new-web-contents", // no popups, from any frame
		"--disable-background-networking",
		"--disable-breakpad",
		"--disable-client-side-phishing-detection",
		"--disable-component-update",
		"--disable-default-apps",
		"--disable-extensions",
		// Without RenderDocument, a tab keeps its compositor from page to page: half of the cost of a new document. Without PaintHolding,
		// it does not show the page before until the next one has content.
		"--disable-features=BackForwardCache,MediaRouter,OptimizationHints,PaintHolding,RenderDocument,SpareRendererForSitePerProcess,Translate",
		"--disable-sync",
		"--enable-features=NetworkServiceInProcess2", // one process less
		"--metrics-recording-only",
		"--mute-audio",
		"--password-store=basic",
		"--safebrowsing-disable-auto-update",

		// Pages in the background run at full speed.
		"--disable-background-timer-throttling",
		"--disable-backgrounding-occluded-windows",
		"--disable-hang-monitor",
		"--disable-ipc-flooding-protection",
		"--disable-renderer-backgrounding",

		// Everything goes through the proxy.
		"--disable-quic",
		"--force-webrtc-ip-handling-policy=disable_non_proxied_udp",

		"--enable-blink-features=CSSImageAnimation", // pictures that move can be stopped

		// A page finds a mouse, as on a desktop: without one, styles for touch would apply.
		"--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4",

		// The picture is the same on every machine.
		"--font-render-hinting=none",
		"--force-color-profile=srgb",
		"--hide-scrollbars",

		// A frame is drawn on request, and completely: nothing waits for a display
		// (https://chromedevtools.github.io/devtools-protocol/tot/HeadlessExperimental/).
		"--enable-begin-frame-control",
		"--run-all-compositor-stages-before-draw",
		"--disable-new-content-rendering-timeout",
		"--disable-threaded-animation",
		"--disable-threaded-scrolling",
		"--disable-checker-imaging",
		"--disable-image-animation-resync",
		"--disable-smooth-scrolling", // a scroll that takes time ends at once
	}
	if !sandbox {
		flags = append(flags, "--no-sandbox")
	}
	if proxy != "" {
		// Without the second flag, Chromium reaches loopback and link-local addresses directly.
		flags = append(flags, "--proxy-server=http://"+proxy, "--proxy-bypass-list=<-loopback>")
	}
	return flags
}

// Meter implements process. It counts memory that no other process shares.
func (c *chromium) Meter() func() int64 {
	var tree []int
	n := 0
	return func() (total int64) {
		if n%treeInterval == 0 {
			tree = procs.Tree(c.Pid())
		}
		n++
		for _, pid := range tree {
			total += procs.Unshared(pid)
		}
		return total
	}
}

// proportional returns the memory of the processes in bytes, with their share of shared memory (PSS).
func (c *chromium) proportional() (total int64) {
	for _, pid := range procs.Tree(c.Pid()) {
		total += procs.Proportional(pid)
	}
	return total
}

// Kill implements process.
func (c *chromium) Kill() {
	c.large.keep()
	c.killed.Store(true)
	c.end()
}

// end kills the processes, also those that hang.
func (c *chromium) end() {
	for _, pid := range procs.Tree(c.Pid()) {
		_ = syscall.Kill(pid, syscall.SIGKILL) // fails when the process has ended already
	}
}

// check ends the browser if it draws no blank page: one of its processes hangs, and every other render would wait for it in vain. It returns false
// then. patience is for the browser; for its turn to draw, check waits as long as ctx allows.
func (c *chromium) check(ctx context.Context, patience time.Duration) bool {
	opening, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	t, err := c.openTab(opening)
	if err == nil {
		t.patience = patience
		_, err = t.frame(ctx, headlessexperimental.BeginFrameParams{})
		c.tabs.discard(t)
	}
	if isClosed(c.Lost()) || !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, errStuck) {
		return true // what is lost is replaced anyway
	}
	c.hung.Store(true)
	c.end()
	select {
	case <-c.Lost(): // no other render gets this browser
	case <-time.After(closeTimeout):
	}
	return false
}

// Close implements process.
func (c *chromium) Close() {
	c.tabs.close()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	c.Browser.Close(ctx)
}
