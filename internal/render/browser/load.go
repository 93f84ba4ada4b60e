// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/headlessexperimental"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"golang.org/x/sys/unix"

	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/render/devtools"
	"github.com/platen-dev/platen/internal/render/template"
)

const (
	// maxReadyTime bounds the time until a page is loaded and ready. After that, the page is painted as it is.
	maxReadyTime = 30 * time.Second
	// pumpInterval is the time between two frames of a page that loads, and pumpDelay the time before the first: an earlier one would draw
	// the page before it. Most pages without scripts are ready by then.
	pumpInterval, pumpDelay = 3 * time.Millisecond, 10 * time.Millisecond
	// undrawnFrames is how many frames of a page that is to be printed run its scripts and its layout, and draw nothing. Most pages are ready
	// by then; some, such as one in a view transition, never are without a drawn frame.
	undrawnFrames = 20
)

// screenWidth and screenHeight are those of the screen that a page finds itself on, if it fits.
const screenWidth, screenHeight = 1920, 1080

// observes matches a page whose scripts may show what only a drawn frame tells them to, or in a canvas that gets its picture with one.
var observes = regexp.MustCompile(`IntersectionObserver|transferControlToOffscreen|<script[^>]*\ssrc`)

// report is what a page reports once it can be painted.
type report struct {
	Warnings []render.Warning `json:"warnings"`
	// Unused lists the keys of modifications that the page does not use.
	Unused []string `json:"unused"`
	// Names are those of values that a key in Unused could have meant, and Elements what its style could have been for.
	Names    []string `json:"names"`
	Elements []string `json:"elements"`
	// Replaced has the relative addresses of pictures that the page no longer shows: a value has taken their place.
	Replaced []string `json:"replaced"`
	// NoStyles are those of the task's StylesElsewhere that name no style, as names of styles, with what each may mean.
	NoStyles map[string]string `json:"noStyles"`
	// Moving is true for a page with pictures that move.
	Moving bool `json:"moving"`
	// Adrift are the addresses of pictures of styles that a film cannot begin, and that move if their names say what they are.
	Adrift []string `json:"adrift"`
	// Looping is true for a page whose scripts run in loops that may end: it has not said that it is ready.
	Looping bool `json:"looping"`
	// varies is true if the page may look different another time. The page does not report it.
	varies bool
	// place is where the page was painted. The page does not report it.
	place render.Place
}

// load shows a page in a document of its own, with a policy, and waits until it can be painted.
func (t *tab) load(ctx context.Context, task render.Task, p render.Page, policy policy) (r report, err error) {
	fonts := make(map[string][]byte, len(task.Fonts))
	faces := make([]template.Face, 0, len(task.Fonts))
	for _, f := range task.Fonts {
		fonts[f.SHA256] = f.Data
		faces = append(faces, template.Face{Family: f.Family, Style: f.Style, Weight: f.Weight, Stretch: f.Stretch, URL: fontsURL + f.SHA256})
	}
	t.fonts.Store(&fonts)
	imports := policy == alonePolicy && importing.MatchString(p.HTML)
	script, err := template.Script(documentURL, template.ForPage(task.Modifications, p.Number), faces, template.About{
		Print: task.Format == "pdf", Margin: inches(task, task.PDF.Margin) * cssPixelsPerInch, Number: p.Number,
		Total: max(task.TemplatePages, task.Pages[len(task.Pages)-1].Number), Styles: stylesOf(task.StylesElsewhere), Imports: imports,
		Families: t.chromium.families,
	})
	if err != nil {
		return report{}, err
	}
	driver := template.Still()
	if task.Filmed() {
		driver = template.Film()
	}
	undrawn := 0
	if task.Format == "pdf" && !observes.MatchString(p.HTML) {
		undrawn = undrawnFrames
	}
	err = t.pump(ctx, pumpDelay, undrawn, func(ctx context.Context) error {
		if err := t.prepare(ctx, task, p); err != nil {
			return err
		}
		if t.pages == 0 && policy != alonePolicy {
			if err := t.watch(ctx); err != nil {
				return err
			}
		}
		// Until a document is shown, the page's process sets the text of a canvas as at scale 1.
		if t.pages == 0 && t.metrics.DeviceScaleFactor != 1 {
			if err := t.navigate(ctx, document{policy: policy}); err != nil {
				return err
			}
		}
		t.pages++
		t.chromium.large.forget(t)
		if err := t.stop(ctx, false); err != nil {
			return err
		}
		if err := t.addScripts(ctx, driver, script); err != nil {
			return err
		}
		if imports {
			if err := t.followModules(ctx); err != nil {
				return err
			}
		}
		if err := t.navigate(ctx, document{html: p.HTML, policy: policy}); err != nil {
			return err
		}
		if imports {
			if err := t.awaitModules(ctx); err != nil {
				return err
			}
		}
		r, err = t.report(ctx, template.Ready(readyTime(ctx)))
		r.Warnings = append(r.Warnings, t.modules.late()...)
		if err == nil && task.Format == "pdf" {
			err = t.widen(ctx, task, p, &r)
		}
		if err == nil && policy != ownPolicy {
			err = t.examine(ctx, &r)
		}
		return err
	})
	if err == nil && (r.Moving || task.Filmed()) {
		t.epoch = uptime()
		t.clock = t.epoch
		_, err = evaluate[any](ctx, t, "try { window[Symbol.for('platen.again')]() } catch {}") // a page may have replaced what it needs
	}
	return r, err
}

// addScripts makes scripts run in the documents that follow, one after the other, before any other. Those that the tab has already stay.
func (t *tab) addScripts(ctx context.Context, scripts ...string) error {
	same := 0
	for same < len(t.scripts) && same < len(scripts) && t.scripts[same].source == scripts[same] {
		same++
	}
	for _, old := range t.scripts[same:] {
		if _, err := devtools.Call(ctx, t.session, page.RemoveScriptToEvaluateOnNewDocument, page.RemoveScriptToEvaluateOnNewDocumentParams{Identifier: old.id}); err != nil {
			return err
		}
	}
	t.scripts = t.scripts[:same]
	for _, source := range scripts[same:] {
		added, err := devtools.Call(ctx, t.session, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: source})
		if err != nil {
			return err
		}
		t.scripts = append(t.scripts, addedScript{added.Identifier, source})
	}
	return nil
}

// uptime returns the time of Chromium's frames, in milliseconds.
func uptime() float64 {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // cannot fail
	return float64(now.Nano()) / float64(time.Millisecond)
}

// prepare sets the page's size, scale, medium and background.
func (t *tab) prepare(ctx context.Context, task render.Task, p render.Page) error {
	metrics := emulation.SetDeviceMetricsOverrideParams{
		Width: int64(p.Width), Height: int64(p.Height), DeviceScaleFactor: deviceScale(task),
		ScreenWidth: int64(max(p.Width, screenWidth)), ScreenHeight: int64(max(p.Height, screenHeight)),
	}
	if metrics.Width != t.metrics.Width || metrics.Height != t.metrics.Height || metrics.DeviceScaleFactor != t.metrics.DeviceScaleFactor {
		if _, err := devtools.Call(ctx, t.session, emulation.SetDeviceMetricsOverride, metrics); err != nil {
			return err
		}
		t.metrics = metrics
	}
	if printed := task.Format == "pdf"; printed != t.printed {
		media := emulation.SetEmulatedMediaParams{} // screen
		if printed {
			media.Media = "print"
		}
		if _, err := devtools.Call(ctx, t.session, emulation.SetEmulatedMedia, media); err != nil {
			return err
		}
		t.printed = printed
	}
	if task.Transparent == t.transparent {
		return nil
	}
	var background emulation.SetDefaultBackgroundColorOverrideParams // white
	if task.Transparent {
		background.Color = &cdp.RGBA{A: 0.001} // becomes 0 of 255; a plain 0 is omitted and means 1
	}
	_, err := devtools.Call(ctx, t.session, emulation.SetDefaultBackgroundColorOverride, background)
	t.transparent = task.Transparent
	return err
}

// maxWhole bounds the pixels of a picture at a whole scale that is made smaller afterwards.
const maxWhole = 20_000_000

// deviceScale returns the number of device pixels per CSS pixel: 1 for a document, which has no pixels. It is a whole number: at others,
// boxes that touch show a line of what is behind them. The picture is made smaller afterwards, unless it would be too large.
func deviceScale(task render.Task) float64 {
	if task.Format == "pdf" {
		return 1
	}
	whole := math.Ceil(task.Scale)
	for _, p := range paintings(task) {
		if float64(p.page.Width)*float64(p.page.Height)*whole*whole > maxWhole {
			return task.Scale
		}
	}
	return whole
}

// resized reports whether a task's pictures are made smaller after they are painted.
func resized(task render.Task) bool { return task.Format != "pdf" && deviceScale(task) != task.Scale }

// readyTime returns how long a page may take to become ready: it leaves time to paint the page before the deadline of ctx.
func readyTime(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return min(maxReadyTime, time.Until(deadline)*3/4)
	}
	return maxReadyTime
}

// pump requests frames while f runs: the first after a delay, and as many as undrawn without drawing. A page that gets none may never finish loading.
func (t *tab) pump(ctx context.Context, delay time.Duration, undrawn int, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	ticker := time.NewTicker(delay)
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case err := <-done:
			return err
		case <-ticker.C:
			ticker.Reset(pumpInterval)
		}
		select {
		case err := <-done:
			return err
		case t.chromium.drawing <- struct{}{}:
		}
		if _, err := t.beginFrame(ctx, headlessexperimental.BeginFrameParams{NoDisplayUpdates: new(n < undrawn)}); err != nil {
			cancel()
			return errors.Join(<-done, err)
		}
	}
}

// foresight bounds the time to look at what a page would still do. It leaves most of the time until the deadline: the picture is there already.
const foresight = 2 * time.Second

// foresee warns of what a page that has been painted would still do: its scripts may count, type or draw longer than the time that they got. The page
// lives through that here, so nothing may be painted of it afterwards. It returns an error if the page's scripts do not answer.
func (t *tab) foresee(ctx context.Context, r *report) error {
	if !r.Looping {
		return nil
	}
	limit := foresight
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/4)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	// A page may have replaced what the function needs.
	milliseconds, err := evaluate[float64](ctx, t, "(async () => { try { return await window[Symbol.for('platen.still')].foresee() } catch { return 0 } })()")
	if milliseconds > 0 && err == nil {
		r.Warnings = append(r.Warnings, render.Warning{
			Title: "The page was still changing when it was painted",
			Details: fmt.Sprintf("its scripts are done after %.1f s, and a page that does not say when it is ready gets 2.5 s of its own time; "+
				"a page that uses platen.ready or data-platen-ready is painted when it says so", milliseconds/1000),
		})
	}
	return err
}

// tell adds the warnings of what has happened since a page was ready: a script of a film may fail, or load what is not there.
func (t *tab) tell(ctx context.Context, r *report) {
	// A page may have replaced what the script needs, and the film is there already.
	text, err := evaluate[string](ctx, t, "try { JSON.stringify({ warnings: window[Symbol.for('platen.warnings')] }) } catch { '' }")
	if err != nil {
		return
	}
	for _, w := range readReport(text).Warnings {
		if !slices.Contains(r.Warnings, w) {
			r.Warnings = append(r.Warnings, w)
		}
	}
}

// The bounds of what a page reports: it may say anything, because its own scripts can reach the renderer's.
const (
	maxReport   = 1 << 20 // bytes of JSON
	maxWarnings = 64
	maxTitle    = 512 // bytes
	maxDetails  = 1024
)

// report runs a script that resolves to a report as JSON. A page whose scripts have replaced what the script needs, such as
// Array.prototype.map or JSON.stringify, is painted as it is, with a warning.
func (t *tab) report(ctx context.Context, script string) (report, error) {
	value, err := evaluate[any](ctx, t, script)
	if broken := (*scriptError)(nil); errors.As(err, &broken) || errors.Is(err, devtools.ErrTooLarge) {
		return report{Warnings: []render.Warning{{
			Title:   "The page was painted as it is: its scripts have replaced what tells when it is ready",
			Details: bounded(err.Error(), maxDetails),
		}}}, nil
	}
	text, _ := value.(string)
	return readReport(text), err
}

// readReport returns what a page reports, as far as it is a report and within the bounds.
func readReport(text string) (r report) {
	if len(text) > maxReport || json.Unmarshal([]byte(text), &r) != nil {
		return report{}
	}
	r.Warnings = r.Warnings[:min(len(r.Warnings), maxWarnings)]
	for i, w := range r.Warnings {
		r.Warnings[i] = readable(w)
	}
	return r
}

// readable returns a warning within the bounds and without the address of every page, which nobody knows.
func readable(w render.Warning) render.Warning {
	if w.Title == "Could not load "+documentURL {
		w.Title, w.Details = `Could not load ""`, "an img, a script or another element has an empty address"
	}
	if strings.HasPrefix(w.Title, "Could not load "+documentURL) {
		w.Details = "a page has no address of its own, so it has no relative URLs; use an https: or data: URL"
		if strings.Contains(w.Title, "%7B%7B") {
			w.Title = strings.NewReplacer("%7B", "{", "%7D", "}").Replace(w.Title)
			w.Details = "the browser asks for it as it is: give an img data-param in place of such a src, and set a style by a modification: card.backgroundImage, for instance, that of the element with the id card"
		}
	}
	w.Title, w.Details = strings.ReplaceAll(w.Title, documentURL, ""), strings.ReplaceAll(w.Details, documentURL, "")
	return render.Warning{Title: bounded(w.Title, maxTitle), Details: bounded(w.Details, maxDetails)}
}

// bounded returns the beginning of a text in valid UTF-8 of at most limit bytes.
func bounded(text string, limit int) string {
	return strings.ToValidUTF8(text[:min(len(text), limit)], "")
}

// scriptError means that a script in the page threw an exception.
type scriptError struct{ text string }

// Error implements error.
func (e *scriptError) Error() string { return "a script in the page failed: " + e.text }

// evaluate runs a script in the page and returns its value. If that is a promise, it returns the value that the promise resolves to.
func evaluate[T any](ctx context.Context, t *tab, script string) (value T, err error) {
	result, err := devtools.Call(ctx, t.session, runtime.Evaluate, runtime.EvaluateParams{
		Expression: script, AwaitPromise: new(true), ReturnByValue: new(true),
	})
	if err != nil {
		return value, err
	}
	if result.ExceptionDetails != nil {
		text := result.ExceptionDetails.Text
		if thrown := result.ExceptionDetails.Exception; thrown != nil {
			text += " " + thrown.Description
		}
		return value, &scriptError{bounded(text, maxTitle)}
	}
	if len(result.Result.Value) > 0 {
		err = json.Unmarshal(result.Result.Value, &value)
	}
	return value, err
}
