// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is one tab of a Chromium of its own, with nothing remembered.
type browser struct {
	ctx context.Context //nolint:containedctx // chromedp keeps the tab in it
	t   *testing.T

	mu sync.Mutex
	// complaints of the browser: scripts that failed, what the page's policy refused.
	complaints []string
}

// newBrowser starts a browser, which ends with the test. A complaint of the browser fails the test.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:len(chromedp.DefaultExecAllocatorOptions):len(chromedp.DefaultExecAllocatorOptions)],
		chromedp.ExecPath("chromium-headless-shell"), chromedp.NoSandbox)
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(end)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	b := &browser{ctx: ctx, t: t}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.complaints) > 0 {
			t.Errorf("the browser complains:\n%s", strings.Join(b.complaints, "\n"))
		}
	})
	for _, err := range []error{
		call(ctx, log.Enable, cdp.Empty{}), call(ctx, cdpruntime.Enable, cdp.Empty{}),
	} {
		if err != nil {
			t.Fatal(err)
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
func (b *browser) hear(event any) {
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
func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%v\nthe page says:\n%s", err, b.page())
	}
}

// quietly evaluates something that is text and never fails.
func (b *browser) quietly(script string) string {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("String("+script+")"))
	if err != nil {
		return err.Error()
	}
	return text
}

// page is what a person sees, and where.
func (b *browser) page() string {
	return b.quietly(`document.location + "\n" + document.body.innerText`)
}

func (b *browser) open(path string) {
	b.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = world.page + path
	}
	b.do(chromedp.Navigate(path))
}

// click waits for an element and clicks it.
func (b *browser) click(selector string) {
	b.t.Helper()
	b.do(chromedp.WaitVisible(chromedp.CSS(selector)), chromedp.Click(chromedp.CSS(selector)))
}

// fill types into a field, in place of what is there.
func (b *browser) fill(selector, text string) {
	b.t.Helper()
	field := chromedp.CSS(selector)
	b.do(chromedp.WaitVisible(field), chromedp.Focus(field))
	b.holds(`document.activeElement.select() === undefined`) // what is typed takes the place of what is there
	b.do(chromedp.SendKeys(field, text))
}

// sees waits until the page's text has all of the words. Whoever sees the page sees them.
func (b *browser) sees(words ...string) {
	b.t.Helper()
	eventually(b.t, fmt.Sprintf("the page shows %q", words), func() error {
		text := b.page()
		for _, word := range words {
			if !strings.Contains(text, word) {
				return fmt.Errorf("%q is not on it:\n%s", word, text)
			}
		}
		return nil
	})
}

// holds waits until a script is true.
func (b *browser) holds(script string) {
	b.t.Helper()
	eventually(b.t, script, func() error {
		if got := b.quietly(script); got != "true" {
			return fmt.Errorf("it is %s", got)
		}
		return nil
	})
}

// signIn signs in with the workspace's token.
func (b *browser) signIn(w *workspace) {
	b.t.Helper()
	b.open("/ui/")
	b.fill("#token", w.token)
	b.click(".primary")
	b.sees("Where the renders of " + w.name)
}

// allow plays the person at Dropbox's consent page.
func (b *browser) allow(w *workspace) {
	b.t.Helper()
	b.click(fmt.Sprintf("input[data-email=%q]", w.email))
	b.click("button[value=allow]")
}

// connect connects the workspace's account, through Dropbox's screens.
func (b *browser) connect(w *workspace) {
	b.t.Helper()
	b.open("/ui/storage")
	b.fill("#appKey", appKey)
	b.click("#connect")
	b.allow(w)
	b.sees("Choose a folder", "Dropbox is connected")
}

// screenshots keeps pictures of the page: as a desk and a phone show it, light and dark.
func (b *browser) screenshots(name string) {
	b.t.Helper()
	dir := os.Getenv("PLATEN_SCREENSHOTS")
	if dir == "" {
		dir = filepath.Join("..", "..", ".bench", "screenshots")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.t.Fatal(err)
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
			b.t.Fatal(err)
		}
		if view.mobile {
			// What is wider than the screen must be scrolled for.
			b.holds("document.documentElement.scrollWidth <= 390")
		}
		if err := os.WriteFile(filepath.Join(dir, name+"-"+view.name+".png"), picture, 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
	b.display(1280, 900, false, "light")
}

// display makes the browser's window that of another device.
func (b *browser) display(width, height int64, mobile bool, scheme string) {
	b.t.Helper()
	for _, err := range []error{
		call(b.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: width, Height: height, DeviceScaleFactor: 1, Mobile: mobile,
		}),
		call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		}),
	} {
		if err != nil {
			b.t.Fatal(err)
		}
	}
}
