// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/render/devtools"
	"github.com/platen-dev/platen/internal/render/encode"
)

// executables are the names of a headless shell, the preferred one first. Other builds of Chromium cannot draw frames on request.
var executables = []string{"chromium-headless-shell", "chrome-headless-shell", "headless-shell"}

// ErrNoBrowser means that PATH has no browser that can render.
var ErrNoBrowser = errors.New("no headless shell of Chromium in PATH: install Debian's package chromium-headless-shell or name another")

// Options of a Browser.
type Options struct {
	// ExecPath is the path of the headless shell. Default: the first one in PATH.
	ExecPath string
	// MaxPixels bounds one picture. Default 100 million.
	MaxPixels int
	// MaxRenders is the number of renders after which a new process replaces the old one, because a browser leaks memory. Default 1000.
	MaxRenders int
	// MaxMemory bounds what the browser's processes hold together, in bytes, for all renders in progress. A render that needs more
	// fails with render.ReasonMemoryExceeded. Default 0: no limit.
	MaxMemory int64
	// Parallel bounds the stills that are painted at the same time, over all renders. Default: the number of CPUs the pod may use.
	Parallel int
	// Proxy is the host:port that all requests of pages go through; see package outbound. Default: none, a direct connection.
	Proxy string
	// Blocked returns why a page cannot load from a URL, for the warning that names it; "" if nothing is known. Default: none.
	Blocked func(target string) string
	// Families is a regular expression of JavaScript for the names of the font families that the cluster's renderer has, in any case. A page whose text is in
	// another family of this machine is painted with a warning. Default: none, the machine's fonts are the cluster's.
	Families string
	// Logger gets problems that belong to no render. Default: none.
	Logger *slog.Logger
	// Sandbox lets Chromium have its own sandbox, which needs user namespaces. Default: none, the pod is the sandbox.
	Sandbox bool
	// Flags are further flags for Chromium, for tests and benchmarks. Default: none.
	Flags []string
}

// Browser implements render.Renderer. It starts Chromium at the first use and after a crash.
type Browser struct {
	options    Options
	supervisor *supervisor[*chromium]
	// slots has room for the pages that are painted at the same time.
	slots chan struct{}
	// patience with a tab's frames; framePatience except in tests.
	patience time.Duration
	// hungPatience with a browser in which a page was stuck; hungPatience except in tests.
	hungPatience time.Duration
	// maxMessage bounds what the browser hands over at once, in bytes: a picture of MaxPixels that does not compress, in base64, and what is
	// around it.
	maxMessage int
}

// Find returns path, or that of the first headless shell in PATH if path is empty.
func Find(path string) (string, error) {
	for _, name := range executables {
		if path != "" {
			break
		}
		if found, err := exec.LookPath(name); err == nil {
			path = found
		}
	}
	if path == "" {
		return "", ErrNoBrowser
	}
	return path, nil
}

// New returns a Browser. No process runs before Start or Render.
func New(options Options) (*Browser, error) {
	path, err := Find(options.ExecPath)
	if err != nil {
		return nil, err
	}
	options.ExecPath = path
	options.MaxPixels = cmp.Or(options.MaxPixels, 100_000_000)
	options.MaxRenders = cmp.Or(options.MaxRenders, 1000)
	options.Parallel = cmp.Or(options.Parallel, runtime.GOMAXPROCS(0))
	options.Logger = cmp.Or(options.Logger, slog.New(slog.DiscardHandler))
	const bytesPerPixel, envelope = 4, 16 << 20
	b := &Browser{options: options, slots: make(chan struct{}, options.Parallel), patience: framePatience, hungPatience: hungPatience, maxMessage: options.MaxPixels*bytesPerPixel*4/3 + envelope}
	b.supervisor = newSupervisor(b.launch, options.MaxRenders, options.MaxMemory, options.Logger)
	return b, nil
}

// ExecPath returns the path of the headless shell.
func (b *Browser) ExecPath() string { return b.options.ExecPath }

// Memory returns what the browser's processes hold together, in bytes: proportional divides shared memory among the processes that
// share it (PSS), unshared leaves it out. Both are 0 while no browser runs.
func (b *Browser) Memory() (proportional, unshared int64) {
	c := b.supervisor.running()
	if c == nil {
		return 0, 0
	}
	return c.proportional(), c.Meter()()
}

// Start starts Chromium, so that the first render does not wait for it.
func (b *Browser) Start(ctx context.Context) error {
	_, err := b.supervisor.start(ctx)
	return err
}

// Close ends Chromium and waits for its processes. Renders in progress fail.
func (b *Browser) Close() { b.supervisor.close() }

// checkPatience is how long a browser may take to draw a blank page. A pod has 15 seconds from a render's deadline to report.
const checkPatience = 5 * time.Second

// Render implements render.Renderer.
func (b *Browser) Render(ctx context.Context, task render.Task, sink render.Sink) ([]render.Warning, error) {
	if err := b.validate(task); err != nil {
		return nil, err
	}
	c, release, err := b.supervisor.acquire(ctx)
	if err != nil {
		return nil, b.explain(ctx, nil, err)
	}
	defer release()
	produce := b.paintAll
	if task.Filmed() {
		produce = b.film
	}
	warnings, err := produce(ctx, c, task, sink)
	if err != nil && (errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)) {
		// Nothing else is rendered now: a slow page would not hold up the check.
		checking, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkPatience)
		defer cancel()
		c.check(checking, checkPatience)
	}
	if err != nil {
		return nil, b.explain(ctx, c, err)
	}
	for i, w := range warnings {
		warnings[i] = render.Warning{Title: withoutSecrets(w.Title), Details: withoutSecrets(w.Details)}
	}
	return warnings, nil
}

// explainLoads adds to the warnings of what could not be loaded why that is blocked or, if nothing else is known, what may be the cause. It names the
// modifications that have the data of a data: URL: nobody reads it.
func (b *Browser) explainLoads(warnings []render.Warning, modifications map[string]any) {
	for i, w := range warnings {
		target, load := strings.CutPrefix(w.Title, "Could not load ")
		if !load {
			continue
		}
		if b.options.Blocked != nil {
			if why := b.options.Blocked(target); why != "" {
				warnings[i].Details = bounded(why, maxDetails)
				continue
			}
		}
		if w.Details == "" {
			warnings[i].Details = causeOf(target)
			if names := holders(modifications, target); names != "" && warnings[i].Details != "" {
				warnings[i].Details += "; it is the value of " + names
			}
		}
	}
}

const (
	maxHolders = 3   // modifications that one warning names
	maxHolder  = 100 // bytes of the name of one
)

// holders names the modifications that are a data: URL, or that begin with it as a warning has it; empty if there is none.
func holders(modifications map[string]any, url string) string {
	if !strings.HasPrefix(strings.ToLower(url), "data:") {
		return ""
	}
	var names []string
	var find func(name string, value any)
	find = func(name string, value any) {
		switch value := value.(type) {
		case string:
			if value = strings.TrimSpace(value); value == url || len("Could not load "+url) >= maxTitle && strings.HasPrefix(value, url) {
				names = append(names, bounded(name, maxHolder))
			}
		case []any:
			for i, item := range value {
				find(fmt.Sprintf("%s[%d]", name, i), item)
			}
		case map[string]any:
			for _, field := range slices.Sorted(maps.Keys(value)) {
				find(strings.TrimPrefix(name+"."+field, "."), value[field])
			}
		}
	}
	find("", modifications)
	if more := len(names) - maxHolders; more > 0 {
		names = append(names[:maxHolders], fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

// svgCutOff matches an SVG in a data: URL whose colours and references have a # that is not encoded (RFC 3986, section 3.5).
var svgCutOff = regexp.MustCompile(`^data:image/svg\+xml[^#,]*,[^#]*#[\w-]*[^\w-]`)

// svgEnds matches an SVG in a data: URL that is whole before its fragment.
var svgEnds = regexp.MustCompile(`^[^#]*(<|%3c)/svg`)

// pictureType matches the beginning of a data: URL of a picture.
var pictureType = regexp.MustCompile(`^data:image/(png|jpe?g|gif|webp|avif|svg)\b`)

// causeOf returns what may be the cause that a URL could not be loaded; empty if nothing is known. Which of a host's faults it is stays open, so
// that nobody learns by a page what the pod can reach.
func causeOf(target string) string {
	kind := strings.ToLower(target)
	found := pictureType.FindStringSubmatch(kind)
	switch {
	case svgCutOff.MatchString(kind) && !svgEnds.MatchString(kind):
		return "a # ends the data of a URL: write %23 in its place, as in fill='%23f00'"
	case found != nil:
		return fmt.Sprintf("the data is no %s, or it is damaged", strings.Replace(strings.ToUpper(found[1]), "JPG", "JPEG", 1))
	case strings.HasPrefix(kind, "data:"):
		return "the data is no file that the page can use there, or it is damaged"
	case strings.HasPrefix(kind, "http://"), strings.HasPrefix(kind, "https://"):
		return "the host does not exist, does not answer or may not be reached, or it has no such file, or the file is damaged"
	}
	return ""
}

func (b *Browser) validate(task render.Task) error {
	if len(task.Pages) == 0 {
		return &render.Error{Reason: render.ReasonInvalidTask, Message: "the task has no pages", Terminal: true}
	}
	for _, p := range paintings(task) {
		if pixels := task.Pixels(p.page.Width, p.page.Height); pixels > float64(b.options.MaxPixels) {
			return &render.Error{
				Reason: render.ReasonInvalidTask, Terminal: true,
				Message: fmt.Sprintf("page %d would have %.0f pixels, and at most %d are allowed", p.page.Number, pixels, b.options.MaxPixels),
			}
		}
	}
	return nil
}

// leftPage are Chromium's answers about a document that is gone.
var leftPage = []string{"Execution context was destroyed.", "Cannot find context with specified id", "Inspected target navigated or closed"}

// explain returns a render's error with its cause: memory, the deadline, the end of the browser, or the page. The command that failed then says
// nothing to a person, so it is left out. c is nil when no browser could be started.
func (b *Browser) explain(ctx context.Context, c *chromium, err error) error {
	known := (*render.Error)(nil)
	answer := (*devtools.Error)(nil)
	switch {
	case errors.Is(err, encode.ErrMemory):
		message := fmt.Sprintf("the file's encoder needs more memory than a render pod has for it: %d MiB, which are 35 %% of the pod's limit; make the page or its scale smaller, or give the pods of the RenderPool more memory",
			b.encoderMemory()>>20)
		return &render.Error{Reason: render.ReasonMemoryExceeded, Message: message, Terminal: true}
	case c != nil && c.killed.Load():
		message := "the render needs more memory than a render pod has for it"
		if most := b.options.MaxMemory >> 20; most > 0 {
			message += fmt.Sprintf(": %d MiB, which are 70 %% of the pod's limit", most)
		}
		if c.large.text() != "" {
			message += "; " + c.large.text()
		}
		message += "; make the page, its scale or its pictures smaller, or give the pods of the RenderPool more memory"
		return &render.Error{Reason: render.ReasonMemoryExceeded, Message: message, Terminal: true}
	case c != nil && c.hung.Load() && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &render.Error{Reason: render.ReasonDeadlineExceeded, Message: "the page was not ready before the deadline, and the browser draws nothing any more: the page keeps it busy, or a process of it hangs; the next render gets another browser", Terminal: true}
	case errors.As(err, &known):
		told := *known
		told.Message = withoutSecrets(told.Message)
		return &told
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &render.Error{Reason: render.ReasonDeadlineExceeded, Message: "the page was not ready before the deadline: a script of it does not end, a file does not come, or it needs more time", Terminal: true}
	case ctx.Err() != nil:
		return ctx.Err()
	case c == nil:
		return &render.Error{Reason: render.ReasonBrowserCrashed, Message: "the browser could not be started", Err: err}
	case c.hung.Load():
		return &render.Error{Reason: render.ReasonBrowserCrashed, Message: "the browser stopped working while it rendered the page"}
	case errors.Is(err, errTabCrashed), isClosed(c.Lost()):
		return &render.Error{Reason: render.ReasonBrowserCrashed, Message: "the browser crashed while it rendered the page"}
	case errors.As(err, &answer) && slices.Contains(leftPage, answer.Message):
		return &render.Error{Reason: render.ReasonRenderFailed, Message: "the page left for another address while it was rendered; remove the script or the meta refresh that loads one", Terminal: true}
	case errors.As(err, &answer):
		return &render.Error{Reason: render.ReasonRenderFailed, Message: "the browser could not render the page", Terminal: true, Err: errors.New(answer.Message)}
	default:
		return &render.Error{Reason: render.ReasonRenderFailed, Message: "the page could not be rendered", Err: err}
	}
}
