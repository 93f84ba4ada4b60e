// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package chromium looks at web pages as people do, in tests: it clicks, types and waits for what is to be seen.
package chromium

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Browser is one tab of a Chromium of its own, with nothing remembered. What does not happen in time ends the test.
type Browser struct {
	ctx context.Context //nolint:containedctx // chromedp keeps the tab in it
	tb  testing.TB

	mu sync.Mutex
	// complaints of the browser: scripts that failed, what the page's policy refused.
	complaints []string
}

// patience bounds every wait.
const patience = 30 * time.Second

// Start starts a browser, which ends with the test. A complaint of the browser fails the test. hosts are addresses by name, for
// names that the machine cannot resolve; may be nil.
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
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.complaints) > 0 {
			tb.Errorf("the browser complains:\n%s", strings.Join(b.complaints, "\n"))
		}
	})
	for _, err := range []error{
		call(ctx, log.Enable, cdp.Empty{}), call(ctx, cdpruntime.Enable, cdp.Empty{}),
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

// hear keeps what the browser complains of.
func (b *Browser) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *cdpruntime.EventExceptionThrown:
		b.complaints = append(b.complaints, e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		if e.Entry.Source == log.EntrySourceSecurity || strings.Contains(e.Entry.Text, "Content Security Policy") {
			b.complaints = append(b.complaints, e.Entry.Text)
		}
	}
}

// do runs steps one after the other; the test ends when one fails.
func (b *Browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.tb.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.tb.Fatalf("%v\nthe page says:\n%s", err, b.Page())
	}
}

// quietly evaluates something that is text and never fails.
func (b *Browser) quietly(script string) string {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("String("+script+")"))
	if err != nil {
		return err.Error()
	}
	return text
}

// Page is what a person sees, and where.
func (b *Browser) Page() string {
	return b.quietly(`document.location + "\n" + document.body.innerText`)
}

// Open goes to an address.
func (b *Browser) Open(address string) {
	b.tb.Helper()
	b.do(chromedp.Navigate(address))
}

// Click waits for an element and clicks it.
func (b *Browser) Click(selector string) {
	b.tb.Helper()
	b.do(chromedp.WaitVisible(chromedp.CSS(selector)), chromedp.Click(chromedp.CSS(selector)))
}

// Fill types into a field, in place of what is there.
func (b *Browser) Fill(selector, text string) {
	b.tb.Helper()
	field := chromedp.CSS(selector)
	b.do(chromedp.WaitVisible(field), chromedp.Focus(field))
	b.Holds(`document.activeElement.select() === undefined`) // what is typed takes the place of what is there
	b.do(chromedp.SendKeys(field, text))
}

// Sees waits until the page's text has all of the words. Whoever sees the page sees them.
func (b *Browser) Sees(words ...string) {
	b.tb.Helper()
	b.eventually(fmt.Sprintf("the page shows %q", words), func() error {
		text := b.Page()
		for _, word := range words {
			if !strings.Contains(text, word) {
				return fmt.Errorf("%q is not on it:\n%s", word, text)
			}
		}
		return nil
	})
}

// Holds waits until a script is true.
func (b *Browser) Holds(script string) {
	b.tb.Helper()
	b.eventually(script, func() error {
		if got := b.quietly(script); got != "true" {
			return fmt.Errorf("it is %s", got)
		}
		return nil
	})
}

// Press presses keys where the focus is, as a person without a mouse does: kb.Tab, kb.Enter, or text.
func (b *Browser) Press(keys string) {
	b.tb.Helper()
	b.do(chromedp.KeyEvent(keys))
}

// Seen waits until an element is to be seen.
func (b *Browser) Seen(selector string) {
	b.tb.Helper()
	b.do(chromedp.WaitVisible(chromedp.CSS(selector)))
}

// eventually waits until check has no more to say.
func (b *Browser) eventually(what string, check func() error) {
	b.tb.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
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
			b.tb.Fatalf("waited in vain until %s: %v", what, err)
		}
	}
}

// Screenshots keeps pictures of the page: as a desk and a phone show it, light and dark.
func (b *Browser) Screenshots(name string) {
	b.tb.Helper()
	dir := os.Getenv("PLATEN_SCREENSHOTS")
	if dir == "" {
		_, file, _, _ := runtime.Caller(0)
		dir = filepath.Join(filepath.Dir(file), "..", "..", ".bench", "screenshots")
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
		{"desk-light", 1280, 900, false, "light"},
		{"desk-dark", 1280, 900, false, "dark"},
		{"phone-light", 390, 844, true, "light"},
		{"phone-dark", 390, 844, true, "dark"},
	} {
		b.display(view.width, view.height, view.mobile, view.scheme)
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
		cancel()
		if err != nil {
			b.tb.Fatal(err)
		}
		if view.mobile {
			// What is wider than the screen must be scrolled for.
			b.Holds("document.documentElement.scrollWidth <= 390")
		}
		if err := os.WriteFile(filepath.Join(dir, name+"-"+view.name+".png"), picture, 0o644); err != nil {
			b.tb.Fatal(err)
		}
	}
	b.display(1280, 900, false, "light")
}

// display makes the browser's window that of another device.
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
