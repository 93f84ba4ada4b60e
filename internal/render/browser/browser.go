// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package browser renders tasks with one long-lived headless Chromium, driven over its debugging pipe.
package browser

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/render/devtools"
	"github.com/platen-dev/platen/internal/render/encode"
	"github.com/platen-dev/platen/internal/render/procs"
	"github.com/platen-dev/platen/internal/render/template"
)

// startTimeout bounds the start of the browser, closeTimeout its end.
const (
	startTimeout = 30 * time.Second
	closeTimeout = 5 * time.Second
)

// names of the browser's executable. It must be a headless shell: only that one draws frames when it is asked to.
var names = []string{"chromium-headless-shell", "chrome-headless-shell", "headless-shell"}

// ErrNoBrowser means that there is no browser that can render.
var ErrNoBrowser = errors.New("no headless shell of Chromium in PATH: install Debian's package chromium-headless-shell or name another")

// Options of a Browser.
type Options struct {
	// ExecPath of the browser; looked up in PATH when empty.
	ExecPath string
	// MaxPixels of one picture. Default 100 million.
	MaxPixels int
	// MaxRenders after which the browser is replaced by a new one, so that what it leaks stays small. Default 1000.
	MaxRenders int
	// MaxMemory that the browser's processes may hold together, in bytes: a render that needs more ends with
	// render.ReasonMemoryExceeded. 0 is no limit. It bounds all renders of the Browser together.
	MaxMemory int64
	// Parallel is how many stills are painted at a time, of all renders together. Default: the number of CPUs that the pod may use.
	Parallel int
	// Proxy is the host:port through which everything goes that pages load; see package outbound. Empty is a direct connection.
	Proxy string
	// Logger for what goes wrong outside of a render.
	Logger *slog.Logger
}

// Browser implements render.Renderer. It starts the browser when it is needed and again after a crash.
type Browser struct {
	options Options
	// turns has room for the pages that are painted at a time.
	turns chan struct{}

	mu      sync.Mutex
	current *process
	closed  bool
	// background counts what makes tabs and browsers ahead of need, and ends old ones.
	background sync.WaitGroup
}

// process is one run of the browser.
type process struct {
	*devtools.Browser
	// idle holds tabs that are as good as new, at least one of them made ahead of need. making is set while one is being made, and
	// closed when it is there; it belongs to the Browser's lock.
	idle   chan *tab
	making chan struct{}
	// exceeded is set when the process was ended for its memory.
	exceeded atomic.Bool
	// users are the renders that use the process, and renders those that it has begun. Both belong to the Browser's lock.
	users, renders int

	// drawing is held by whoever asks for a frame: Chromium's GPU process ends when frames overlap, also those of two tabs.
	drawing chan struct{}
}

// New returns a Browser. Nothing runs until Start or Render.
func New(options Options) (*Browser, error) {
	if options.ExecPath == "" {
		for _, name := range names {
			if path, err := exec.LookPath(name); err == nil {
				options.ExecPath = path
				break
			}
		}
	}
	if options.ExecPath == "" {
		return nil, ErrNoBrowser
	}
	if options.MaxPixels == 0 {
		options.MaxPixels = 100_000_000
	}
	if options.MaxRenders == 0 {
		options.MaxRenders = 1000
	}
	if options.Parallel == 0 {
		options.Parallel = runtime.GOMAXPROCS(0)
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	return &Browser{options: options, turns: make(chan struct{}, options.Parallel)}, nil
}

// Memory is what the browser's processes hold together, in bytes: with their share of what they have in common with other processes
// (PSS), and what is theirs alone. Both are 0 when it does not run.
func (b *Browser) Memory() (proportional, alone int64) {
	b.mu.Lock()
	p := b.current
	b.mu.Unlock()
	if p == nil || p.lost() {
		return 0, 0
	}
	for _, pid := range procs.Tree(p.Pid()) {
		proportional += procs.Proportional(pid)
	}
	return proportional, unshared(procs.Tree(p.Pid()))
}

// ExecPath is the path of the browser's executable.
func (b *Browser) ExecPath() string { return b.options.ExecPath }

// Start starts the browser, so that the first render need not wait for it.
func (b *Browser) Start(ctx context.Context) error {
	_, err := b.process(ctx)
	return err
}

// Close ends the browser and waits for its processes.
func (b *Browser) Close() {
	b.mu.Lock()
	p := b.current
	b.current, b.closed = nil, true
	b.mu.Unlock()
	b.background.Wait()
	if p != nil {
		p.close()
	}
}

// process returns the running browser, started if there is none or it has crashed.
func (b *Browser) process(ctx context.Context) (*process, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.running(ctx)
}

// use returns the running browser for a render. release must be called.
func (b *Browser) use(ctx context.Context) (*process, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, err := b.running(ctx)
	if err == nil {
		p.users++
		p.renders++
	}
	return p, err
}

// running is process with the lock held.
func (b *Browser) running(ctx context.Context) (*process, error) {
	if b.closed {
		return nil, errors.New("the browser is closed")
	}
	if b.current != nil && !b.current.lost() {
		return b.current, nil
	}
	if b.current != nil {
		b.options.Logger.Warn("the browser has ended; starting another")
		b.current.close()
		b.current = nil
	}
	p, err := b.launch(ctx)
	if err != nil {
		return nil, err
	}
	b.current = p
	b.refill(p)
	return p, nil
}

func (b *Browser) launch(ctx context.Context) (*process, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	running, err := devtools.Start(ctx, b.options.ExecPath, b.flags()...)
	if err != nil {
		return nil, err
	}
	return &process{Browser: running, idle: make(chan *tab, b.options.Parallel), drawing: make(chan struct{}, 1)}, nil
}

// flags of the browser, for what a pod needs. Chromium's own sandbox needs user namespaces, which a "restricted" pod does not have;
// the pod is the sandbox. What each does: https://peter.sh/experiments/chromium-command-line-switches/.
func (b *Browser) flags() []string {
	flags := []string{
		"--headless",
		"--no-sandbox",
		"--disable-gpu",
		"--disable-dev-shm-usage", // a pod's /dev/shm has 64 MiB
		"--no-first-run",

		// What the browser would do besides, for a person in front of it or for its maker.
		"--block-new-web-contents", // no popups, from whatever frame
		"--disable-background-networking",
		"--disable-breakpad",
		"--disable-client-side-phishing-detection",
		"--disable-component-update",
		"--disable-default-apps",
		"--disable-extensions",
		"--disable-features=Translate",
		"--disable-sync",
		"--enable-features=NetworkServiceInProcess2", // a process less
		"--metrics-recording-only",
		"--mute-audio",
		"--password-store=basic",
		"--safebrowsing-disable-auto-update",

		// A page that nobody looks at is not slower for it.
		"--disable-background-timer-throttling",
		"--disable-backgrounding-occluded-windows",
		"--disable-hang-monitor",
		"--disable-ipc-flooding-protection",
		"--disable-renderer-backgrounding",

		// Nothing reaches the network but through the proxy.
		"--disable-quic",
		"--force-webrtc-ip-handling-policy=disable_non_proxied_udp",

		// The same picture everywhere.
		"--font-render-hinting=none",
		"--force-color-profile=srgb",
		"--hide-scrollbars",

		// The renderer says when a frame is drawn, and it is drawn whole: no waiting for a display that is not there.
		// See https://chromedevtools.github.io/devtools-protocol/tot/HeadlessExperimental/.
		"--enable-begin-frame-control",
		"--run-all-compositor-stages-before-draw",
		"--disable-new-content-rendering-timeout",
		"--disable-threaded-animation",
		"--disable-threaded-scrolling",
		"--disable-checker-imaging",
		"--disable-image-animation-resync",
	}
	if b.options.Proxy != "" {
		// Chromium would reach loopback and link-local addresses directly otherwise.
		flags = append(flags, "--proxy-server=http://"+b.options.Proxy, "--proxy-bypass-list=<-loopback>")
	}
	return flags
}

// lost tells whether the browser has ended.
func (p *process) lost() bool {
	select {
	case <-p.Lost():
		return true
	default:
		return false
	}
}

func (p *process) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	p.Close(ctx)
}

// refill makes an idle tab in the background. The lock must be held.
func (b *Browser) refill(p *process) {
	made := make(chan struct{})
	p.making = made
	b.background.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		t, err := p.newTab(ctx)
		if err == nil {
			b.putBack(p, t)
		} else if !p.lost() {
			b.options.Logger.Warn("making a tab ahead of need", "error", err)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		p.making = nil
		close(made)
	})
}

// release is the end of a render. Another browser takes over when this one has made enough.
func (b *Browser) release(p *process) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p.users--
	switch {
	case b.closed:
	case b.current != p:
		if p.users == 0 {
			b.background.Go(p.close)
		}
	case p.renders >= b.options.MaxRenders:
		p.renders = 0 // so that it is replaced once
		b.background.Go(func() { b.replace(p) })
	}
}

// restock makes sure that an idle tab is there or being made. The lock must be held.
func (b *Browser) restock(p *process) {
	if !b.closed && b.current == p && !p.lost() && len(p.idle) == 0 && p.making == nil {
		b.refill(p)
	}
}

// replace starts another browser while the old one still renders. Without another one, the old one goes on.
func (b *Browser) replace(old *process) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	p, err := b.launch(ctx)
	if err != nil {
		b.options.Logger.Warn("replacing the browser", "error", err)
		return
	}
	b.mu.Lock()
	unwanted, idle := p, true
	if !b.closed && b.current == old {
		unwanted, idle = old, old.users == 0 // else its last render ends it
		b.current = p
		b.refill(p)
	}
	b.mu.Unlock()
	if idle {
		unwanted.close()
	}
}

// tab returns an idle tab that fits, the one that is being made, or a new one. Who takes it calls putBack, when it is as good as new, or
// discard.
func (b *Browser) tab(ctx context.Context, p *process, fits func(*tab) bool) (*tab, error) {
	if t := b.idle(p, fits); t != nil {
		return t, nil
	}
	b.mu.Lock()
	made := p.making
	b.mu.Unlock()
	if made != nil {
		select {
		case <-made:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if t := b.idle(p, fits); t != nil {
		return t, nil
	}
	return p.newTab(ctx)
}

// idle returns an idle tab that fits, if there is one.
func (b *Browser) idle(p *process, fits func(*tab) bool) *tab {
	for {
		select {
		case t := <-p.idle:
			if !t.session.Ended() && fits(t) {
				return t
			}
			b.discard(p, t)
		default:
			return nil
		}
	}
}

// atScale are the tabs for pages at a scale: a page's process keeps how it lays out text at the first one that it has been told of.
func atScale(scale float64) func(*tab) bool {
	return func(t *tab) bool { return t.metrics.DeviceScaleFactor == 0 || t.metrics.DeviceScaleFactor == scale }
}

// spend is tab for a page that needs it to itself: the next one is made meanwhile.
func (b *Browser) spend(ctx context.Context, p *process, scale float64) (*tab, error) {
	t, err := b.tab(ctx, p, atScale(scale))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.restock(p)
	return t, err
}

// putBack makes a tab idle, or ends it when there are enough.
func (b *Browser) putBack(p *process, t *tab) {
	select {
	case p.idle <- t:
	default:
		b.discard(p, t)
	}
}

// discard ends a tab in the background, for no render waits for the end of another, and makes sure that there is one for the next.
func (b *Browser) discard(p *process, t *tab) {
	b.mu.Lock()
	closed := b.closed
	if !closed {
		b.background.Go(t.end)
		b.restock(p)
	}
	b.mu.Unlock()
	if closed {
		t.end()
	}
}

// Render implements render.Renderer. Several pages are painted at a time, each in a browser context that no page with a script or a
// request has been in before; see paint.
func (b *Browser) Render(ctx context.Context, task render.Task, sink render.Sink) ([]render.Warning, error) {
	if err := b.validate(task); err != nil {
		return nil, err
	}
	p, err := b.use(ctx)
	if err != nil {
		return nil, explain(ctx, nil, err)
	}
	defer b.release(p)
	defer b.guard(p)()
	var warnings []render.Warning
	if task.Filmed() {
		warnings, err = b.film(ctx, p, task, sink)
	} else {
		warnings, err = b.paintAll(ctx, p, task, sink)
	}
	if err != nil {
		return nil, explain(ctx, p, err)
	}
	return warnings, nil
}

// paintAll paints every page in every size and emits the files in order.
func (b *Browser) paintAll(ctx context.Context, p *process, task render.Task, sink render.Sink) (warnings []render.Warning, err error) {
	shots := shots(task)
	group, ctx := errgroup.WithContext(ctx)
	// One more goroutine than pages in flight: it emits.
	group.SetLimit(b.options.Parallel + 1)
	group.Go(func() (err error) {
		warnings, err = collect(ctx, task, shots, sink)
		return err
	})
	for _, s := range shots {
		group.Go(func() error {
			result, err := b.paint(ctx, p, task, s)
			if err != nil {
				return err
			}
			s.result <- result
			return nil
		})
	}
	return warnings, group.Wait()
}

// shot is a page in one size, on its way to be painted.
type shot struct {
	page      render.Page
	extraSize string
	result    chan painted
}

// shots of a task, in the order of its files: each page, and then each page in each extra size.
func shots(task render.Task) []shot {
	all := make([]shot, 0, len(task.Files()))
	for _, page := range task.Pages {
		all = append(all, shot{page, "", make(chan painted, 1)})
	}
	for _, size := range task.ExtraSizes {
		for _, page := range task.Pages {
			page.Width, page.Height = size.Width, size.Height
			all = append(all, shot{page, size.Name, make(chan painted, 1)})
		}
	}
	return all
}

func (b *Browser) validate(task render.Task) error {
	if len(task.Pages) == 0 {
		return &render.Error{Reason: render.ReasonInvalidTask, Message: "the task has no pages", Terminal: true}
	}
	for _, s := range shots(task) {
		if pixels := task.Pixels(s.page.Width, s.page.Height); pixels > float64(b.options.MaxPixels) {
			return &render.Error{
				Reason: render.ReasonInvalidTask, Terminal: true,
				Message: fmt.Sprintf("page %d would have %.0f pixels, and at most %d are allowed", s.page.Number, pixels, b.options.MaxPixels),
			}
		}
	}
	return nil
}

// painted is one page's file and what the page said.
type painted struct {
	output render.Output
	report report
}

// unused warns of the keys that no page uses to which they were given.
func unused(task render.Task, reports []report) (warnings []render.Warning) {
	used := map[string]bool{}
	for i, p := range task.Pages {
		for key := range template.ForPage(task.Modifications, p.Number) {
			used[key] = used[key] || !slices.Contains(reports[i].Unused, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(used)) {
		if !used[key] {
			warnings = append(warnings, render.Warning{
				Title:   fmt.Sprintf("Modification %.100s is not used by the page", key),
				Details: "no element names it in data-param, data-if, data-each or data-param-href",
			})
		}
	}
	return warnings
}

// collect emits the files in order, or joins the pages to one PDF.
func collect(ctx context.Context, task render.Task, shots []shot, sink render.Sink) ([]render.Warning, error) {
	var documents []render.Output
	reports := make([]report, 0, len(shots))
	for _, s := range shots {
		select {
		case result := <-s.result:
			reports = append(reports, result.report)
			if task.Format == "pdf" {
				documents = append(documents, result.output)
			} else if err := sink.Emit(ctx, result.output); err != nil {
				return nil, err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	warnings := warnings(task, reports)
	if len(documents) == 0 {
		return warnings, nil
	}
	joined, err := joinPDF(documents, task)
	if err != nil {
		return nil, &render.Error{Reason: render.ReasonRenderFailed, Message: "the pages could not be joined to one PDF", Terminal: true, Err: err}
	}
	return warnings, sink.Emit(ctx, joined)
}

// warnings of all pages, each once: a page says the same in every size.
func warnings(task render.Task, reports []report) (all []render.Warning) {
	for _, r := range reports {
		for _, w := range r.Warnings {
			if !slices.Contains(all, w) {
				all = append(all, w)
			}
		}
	}
	return append(all, unused(task, reports)...)
}

// paint makes one page's file, once it is its turn.
func (b *Browser) paint(ctx context.Context, p *process, task render.Task, s shot) (painted, error) {
	select {
	case b.turns <- struct{}{}:
		defer func() { <-b.turns }()
	case <-ctx.Done():
		return painted{}, ctx.Err()
	}
	result, err := b.paintPage(ctx, p, task, s)
	if task.Format == "avif" && err == nil {
		// The tab serves others meanwhile.
		result.output.Data, err = encode.AVIF(ctx, result.output.Data, task.Quality, b.encoderMemory())
	}
	return result, err
}

// paintPage has the browser paint a page in the tab that is right for it. A page with a script or a request gets a browser context that
// is thrown away after it. Making one takes longer than painting, and most pages have neither: they are written into a tab one after the
// other, in which the browser refuses both. A page that does not get on there is painted again.
func (b *Browser) paintPage(ctx context.Context, p *process, task render.Task, s shot) (painted, error) {
	if template.Inert(s.page.HTML, template.ForPage(task.Modifications, s.page.Number)) {
		result, err := b.paintInert(ctx, p, task, s)
		if err == nil || ctx.Err() != nil || p.lost() {
			return result, err
		}
		b.options.Logger.Debug("painting a page again, in a tab of its own", "page", s.page.Number, "error", err)
	}
	t, err := b.spend(ctx, p, deviceScale(task))
	if err != nil {
		return painted{}, err
	}
	defer b.discard(p, t)
	said, err := t.load(ctx, task, s.page)
	if err != nil {
		return painted{}, err
	}
	return capture(ctx, t, task, s, said)
}

// paintInert paints a page in a tab that serves others after it. An error may mean no more than that the page needs one of its own.
func (b *Browser) paintInert(ctx context.Context, p *process, task render.Task, s shot) (painted, error) {
	ctx, cancel := context.WithTimeout(ctx, inertTimeout)
	defer cancel()
	fits := atScale(deviceScale(task))
	quirks := template.Quirks(s.page.HTML)
	// A document keeps how it has understood a style attribute.
	t, err := b.tab(ctx, p, func(t *tab) bool { return fits(t) && (t.pages == 0 || t.quirks == quirks) })
	if err != nil {
		return painted{}, err
	}
	said, err := t.write(ctx, task, s.page)
	var result painted
	if err == nil {
		result, err = capture(ctx, t, task, s, said)
	}
	if err == nil && t.refused.Load() {
		err = errRefused
	}
	// What a page has taken is given back at leisure, and must not be taken for the next one's.
	if err != nil || t.pages >= maxPages || p.holdsMuch(b.options.MaxMemory) {
		b.discard(p, t)
	} else {
		b.putBack(p, t)
	}
	return result, err
}

// capture has the browser make the picture or document of a page that is ready; that of AVIF is a PNG.
func capture(ctx context.Context, t *tab, task render.Task, s shot, said report) (painted, error) {
	page := s.page
	output := render.Output{
		ID: file.ID{Page: page.Number, ExtraSize: s.extraSize}, PageID: page.ID,
		Width: page.Width, Height: page.Height, ContentType: task.ContentType(),
	}
	var err error
	if task.Format == "pdf" {
		output.Data, err = t.print(ctx, task, page)
	} else {
		output.Width, output.Height = scaled(page.Width, task.Scale), scaled(page.Height, task.Scale)
		output.Data, err = t.screenshot(ctx, task, page)
	}
	return painted{output, said}, err
}

// encoderMemory is what an encoder may hold besides the browser, which does not need its own share while one works.
func (b *Browser) encoderMemory() int64 { return b.options.MaxMemory / 2 }

func scaled(pixels int, scale float64) int { return max(1, int(float64(pixels)*scale+0.5)) }

// explain finds the cause of a failed render: the deadline, the end of the browser, or the page.
func explain(ctx context.Context, p *process, err error) error {
	known := (*render.Error)(nil)
	refused := (*devtools.Error)(nil)
	switch {
	case p != nil && p.exceeded.Load(), errors.Is(err, encode.ErrMemory):
		return &render.Error{Reason: render.ReasonMemoryExceeded, Message: "the render needs more memory than a render pod has for it", Terminal: true, Err: err}
	case errors.As(err, &known):
		return known
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &render.Error{Reason: render.ReasonDeadlineExceeded, Message: "the page was not ready before the deadline", Terminal: true, Err: err}
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errTabCrashed), p != nil && p.lost():
		return &render.Error{Reason: render.ReasonBrowserCrashed, Message: "the browser crashed while it rendered the page", Err: err}
	case errors.As(err, &refused):
		return &render.Error{Reason: render.ReasonRenderFailed, Message: "the browser could not render the page", Terminal: true, Err: err}
	case p == nil:
		return &render.Error{Reason: render.ReasonBrowserCrashed, Message: "the browser could not be started", Err: err}
	default:
		return &render.Error{Reason: render.ReasonRenderFailed, Message: "the page could not be rendered", Err: err}
	}
}
