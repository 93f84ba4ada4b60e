// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package chromium lets tests use web pages as people do: they click, type, and wait for what the page shows.
package chromium

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Browser is one tab in a new Chromium without cookies or storage. A method that waits fails the test after waitTimeout.
type Browser struct {
	ctx context.Context //nolint:containedctx // chromedp keeps the tab in it
	tb  testing.TB

	// axe is the script that finds violations; empty before the first use.
	axe string

	mu sync.Mutex // guards the field below
	// problems that the browser has logged: failed scripts, and what the page's content security policy blocked.
	problems []string
}

// waitTimeout bounds every wait.
const waitTimeout = time.Minute

// Start starts a browser, which ends with the test. The test fails if a script of a page fails or its policy blocks something. hosts
// maps names to addresses, for names that the machine cannot resolve; it may be nil.
func Start(tb testing.TB, hosts map[string]string) *Browser {
	tb.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:len(chromedp.DefaultExecAllocatorOptions):len(chromedp.DefaultExecAllocatorOptions)],
		chromedp.ExecPath("chromium-headless-shell"), chromedp.NoSandbox)
	rules := make([]string, 0, len(hosts))
	for name, address := range hosts {
		rules = append(rules, "MAP "+name+" "+address)
	}
	if len(rules) > 0 {
		options = append(options, chromedp.Flag("host-resolver-rules", strings.Join(rules, ",")))
	}
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	tb.Cleanup(end)
	ctx, cancel := chromedp.NewContext(allocator)
	tb.Cleanup(cancel)
	b := &Browser{ctx: ctx, tb: tb}
	if err := chromedp.Listen(ctx, b.recordProblem); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.problems) > 0 {
			tb.Errorf("the browser logged problems:\n%s", strings.Join(b.problems, "\n"))
		}
	})
	for _, err := range []error{
		call(ctx, log.Enable, cdp.Empty{}), call(ctx, cdpruntime.Enable, cdp.Empty{}),
		// The page has the focus from its first moment on, so that no key is lost.
		call(ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}),
	} {
		if err != nil {
			tb.Fatal(err)
		}
	}
	b.display(1280, 900, false, "light")
	return b
}

func call[P, R any](ctx context.Context, command cdp.Command[P, R], params P) error {
	_, err := chromedp.Call(ctx, command, params)
	return err
}

// recordProblem adds an event to problems if it is one.
func (b *Browser) recordProblem(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *cdpruntime.EventExceptionThrown:
		b.problems = append(b.problems, e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		if e.Entry.Source == log.EntrySourceSecurity || strings.Contains(e.Entry.Text, "Content Security Policy") {
			b.problems = append(b.problems, e.Entry.Text)
		}
	}
}

// do runs steps one after the other. The test ends when one fails.
func (b *Browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.tb.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, waitTimeout)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.tb.Fatalf("%v\nthe page shows:\n%s", err, b.Page())
	}
}

// evaluate returns the value of an expression as text, or the text of the error.
func (b *Browser) evaluate(script string) string {
	ctx, cancel := context.WithTimeout(b.ctx, waitTimeout)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("String("+script+")"))
	if err != nil {
		return err.Error()
	}
	return text
}

// Page returns the page's address and visible text.
func (b *Browser) Page() string {
	return b.evaluate(`document.location + "\n" + document.body.innerText`)
}

// Value returns the value of an expression as text.
func (b *Browser) Value(script string) string { return b.evaluate(script) }

// Text waits for an element and returns its text, hidden or not.
func (b *Browser) Text(selector string) string {
	b.tb.Helper()
	b.Holds(fmt.Sprintf("document.querySelector(%q) !== null", selector))
	return b.evaluate(fmt.Sprintf("document.querySelector(%q).textContent", selector))
}

// Open goes to an address.
func (b *Browser) Open(address string) {
	b.tb.Helper()
	b.do(chromedp.Navigate(address))
}

// Click waits until an element is there, stands still and is covered by nothing, and clicks it.
func (b *Browser) Click(selector string) {
	b.tb.Helper()
	b.do(chromedp.WaitVisible(chromedp.CSS(selector)))
	b.Holds(fmt.Sprintf(`(() => {
		const element = document.querySelector(%q);
		if (!element || element.disabled) return false;
		element.scrollIntoView({block: "nearest", behavior: "instant"});
		const r = element.getBoundingClientRect(), place = [r.x, r.y, r.width, r.height].join();
		const stands = element.chromiumPlace === place;
		element.chromiumPlace = place;
		const top = document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2);
		return stands && top !== null && (element.contains(top) || top.contains(element));
	})()`, selector))
	b.do(chromedp.Click(chromedp.CSS(selector)))
}

// Fill waits for a field and replaces its content with text, as a paste does.
func (b *Browser) Fill(selector, text string) {
	b.tb.Helper()
	field := chromedp.CSS(selector)
	b.do(chromedp.WaitVisible(field), chromedp.Focus(field))
	b.Holds(`document.activeElement.select() === undefined`) // the text replaces the selected text
	if text == "" {
		b.Press(kb.Delete)
	}
	b.insert(text)
	b.Holds(fmt.Sprintf("document.querySelector(%q).value === %s", selector, quote(text)))
}

// Type waits until a field has the focus, pastes text at its end, and waits until the field has it.
func (b *Browser) Type(selector, text string) {
	b.tb.Helper()
	b.Holds(fmt.Sprintf("document.hasFocus() && document.activeElement.matches(%q)", selector))
	b.insert(text)
	b.Holds(fmt.Sprintf("document.querySelector(%q).value.endsWith(%s)", selector, quote(text)))
}

// insert pastes text into the element that has the focus. Keys would be several messages for each letter, and a token has a thousand.
func (b *Browser) insert(text string) {
	b.tb.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, waitTimeout)
	defer cancel()
	if err := call(ctx, input.InsertText, input.InsertTextParams{Text: text}); err != nil {
		b.tb.Fatal(err)
	}
}

// quote returns a text as a literal of JavaScript.
func quote(text string) string {
	literal, _ := json.Marshal(text) // fails for no string
	return string(literal)
}

// Sees waits until the page's visible text has all words.
func (b *Browser) Sees(words ...string) {
	b.tb.Helper()
	b.eventually(fmt.Sprintf("the page shows %q", words), func() error {
		text := b.Page()
		for _, word := range words {
			if !strings.Contains(text, word) {
				return fmt.Errorf("%q is not on the page:\n%s", word, text)
			}
		}
		return nil
	})
}

// Is tells whether an expression is true now.
func (b *Browser) Is(script string) bool { return b.evaluate(script) == "true" }

// Holds waits until an expression is true.
func (b *Browser) Holds(script string) {
	b.tb.Helper()
	b.eventually(script, func() error {
		if got := b.evaluate(script); got != "true" {
			return fmt.Errorf("it was %s", got)
		}
		return nil
	})
}

// Press presses keys in the element that has the focus, as a person without a mouse does: kb.Tab, kb.Enter, or text.
func (b *Browser) Press(keys string) {
	b.tb.Helper()
	b.do(chromedp.KeyEvent(keys))
}

// WaitVisible waits until an element is visible.
func (b *Browser) WaitVisible(selector string) {
	b.tb.Helper()
	b.do(chromedp.WaitVisible(chromedp.CSS(selector)))
}

// eventually waits until check returns no error.
func (b *Browser) eventually(what string, check func() error) {
	b.tb.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, waitTimeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			b.tb.Fatalf("not true within %s: %s: %v", waitTimeout, what, err)
		}
	}
}

// Screenshots writes pictures of the page on a desktop and on a phone, light and dark, to PLATEN_SCREENSHOTS or .bench/screenshots of the
// repository, and checks each for accessibility.
func (b *Browser) Screenshots(name string) {
	b.tb.Helper()
	dir := os.Getenv("PLATEN_SCREENSHOTS")
	if dir == "" {
		dir = filepath.Join("..", "..", ".bench", "screenshots") // tests run in test/NAME
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.tb.Fatal(err)
	}
	for _, view := range []struct {
		name          string
		width, height int64
		mobile        bool
		scheme        string
	}{
		{"desktop-light", 1280, 900, false, "light"},
		{"desktop-dark", 1280, 900, false, "dark"},
		{"phone-light", 390, 844, true, "light"},
		{"phone-dark", 390, 844, true, "dark"},
	} {
		b.display(view.width, view.height, view.mobile, view.scheme)
		if view.name != "phone-dark" { // what a phone changes, and what the dark changes, is in the other three
			b.accessible(name + ", " + view.name)
		}
		ctx, cancel := context.WithTimeout(b.ctx, waitTimeout)
		picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
		cancel()
		if err != nil {
			b.tb.Fatal(err)
		}
		if view.mobile {
			// A wider page would have to be scrolled sideways.
			b.Holds("document.documentElement.scrollWidth <= 390")
		}
		if err := os.WriteFile(filepath.Join(dir, name+"-"+view.name+".png"), picture, 0o644); err != nil {
			b.tb.Fatal(err)
		}
	}
	b.display(1280, 900, false, "light")
}

// Phone shows the page on a phone of 390 by 844 pixels.
func (b *Browser) Phone() {
	b.tb.Helper()
	b.display(390, 844, true, "light")
}

// accessible fails the test if axe (https://github.com/dequelabs/axe-core) finds a violation on the page.
func (b *Browser) accessible(what string) {
	b.tb.Helper()
	if b.axe == "" {
		script, err := os.ReadFile(filepath.Join("..", "sdk", "node_modules", "axe-core", "axe.min.js"))
		if err != nil {
			b.tb.Fatalf("run `make sdk`, as `make test` does: %v", err)
		}
		b.axe = string(script)
	}
	b.evaluate("(() => {\n" + b.axe + `
		;window.violations = undefined;
		axe.run().then((r) => { window.violations = r.violations.map((v) => v.id + ": " + v.help + "\n" + v.nodes.map((n) => "  " + n.html + "\n  " + n.failureSummary).join("\n")); });
	})()`)
	b.Holds("Array.isArray(window.violations)")
	if found := b.evaluate(`violations.join("\n")`); found != "" {
		b.tb.Errorf("%s: %s", what, found)
	}
}

// display sets the window's size, the kind of device and the colour scheme.
func (b *Browser) display(width, height int64, mobile bool, scheme string) {
	b.tb.Helper()
	for _, err := range []error{
		call(b.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: width, Height: height, DeviceScaleFactor: 1, Mobile: mobile,
		}),
		call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		}),
	} {
		if err != nil {
			b.tb.Fatal(err)
		}
	}
}
