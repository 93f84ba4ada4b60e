// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package devtools

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/inspector"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"

	"github.com/platen-dev/platen/internal/render/procs"
)

const maxMessage = 16 << 20

func start(t *testing.T) *Browser {
	t.Helper()
	path, err := exec.LookPath("chromium-headless-shell")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	b, err := Start(ctx, path, maxMessage, "--headless", "--no-sandbox", "--disable-gpu")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(b) })
	return b
}

func stop(b *Browser) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	b.Close(ctx)
}

// attach opens a tab. events gets the methods of its events.
func attach(t *testing.T, b *Browser) (s *Session, events <-chan string, id target.ID) {
	t.Helper()
	created, err := Call(t.Context(), b.Session, target.CreateTarget, target.CreateTargetParams{URL: "about:blank"})
	if err != nil {
		t.Fatal(err)
	}
	methods := make(chan string, 100)
	s, err = b.Attach(t.Context(), created.TargetID, func(_ *Session, method string, _ jsonv2.Value) { methods <- method })
	if err != nil {
		t.Fatal(err)
	}
	return s, methods, created.TargetID
}

func TestSessionsGetTheirOwnAnswersAndEvents(t *testing.T) {
	b := start(t)
	one, events, _ := attach(t, b)
	other, otherEvents, _ := attach(t, b)
	if _, err := Call(t.Context(), one, page.Enable, page.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	for s, title := range map[*Session]string{one: "one", other: "other"} {
		if _, err := Call(t.Context(), s, page.Navigate, page.NavigateParams{URL: "data:text/html,<title>" + title}); err != nil {
			t.Fatal(err)
		}
	}
	for event := range events {
		if event == page.LoadEventFired.Method {
			break
		}
	}
	const loadedTitle = `new Promise(done => {
		const tell = () => done(document.title)
		document.readyState === "complete" ? tell() : addEventListener("load", tell)
	})`
	for s, title := range map[*Session]string{one: `"one"`, other: `"other"`} {
		got, err := Call(t.Context(), s, runtime.Evaluate, runtime.EvaluateParams{Expression: loadedTitle, AwaitPromise: new(true)})
		if err != nil || string(got.Result.Value) != title {
			t.Errorf("got %s, %v, want %s", got.Result.Value, err, title)
		}
	}
	if len(otherEvents) != 0 {
		t.Errorf("the other session got the event %s", <-otherEvents)
	}
}

func TestLargeMessagesInBothDirections(t *testing.T) {
	s, _, _ := attach(t, start(t))
	long := strings.Repeat("0123456789", 1<<18)
	got, err := Call(t.Context(), s, runtime.Evaluate, runtime.EvaluateParams{Expression: `"` + long + `"`})
	if err != nil || string(got.Result.Value) != `"`+long+`"` {
		t.Errorf("got %d bytes, %v", len(got.Result.Value), err)
	}
}

func TestAMessageThatIsTooLargeHasAnError(t *testing.T) {
	b := start(t)
	s, _, _ := attach(t, b)
	_, err := Call(t.Context(), s, runtime.Evaluate, runtime.EvaluateParams{Expression: `"x".repeat(` + strconv.Itoa(maxMessage) + `)`})
	if !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	// The connection is still good, for messages up to the bound.
	const envelope = 1 << 10
	got, err := Call(t.Context(), s, runtime.Evaluate, runtime.EvaluateParams{Expression: `"x".repeat(` + strconv.Itoa(maxMessage-envelope) + `)`})
	if err != nil || len(got.Result.Value) != maxMessage-envelope+len(`""`) {
		t.Errorf("got %d bytes, %v", len(got.Result.Value), err)
	}
}

func TestErrorsNameTheCommand(t *testing.T) {
	s, _, _ := attach(t, start(t))
	_, err := Call(t.Context(), s, page.Navigate, page.NavigateParams{URL: "no URL"})
	answer := (*Error)(nil)
	if !errors.As(err, &answer) || answer.Code == 0 || !strings.HasPrefix(err.Error(), "Page.navigate: ") {
		t.Errorf("got %v", err)
	}
}

func TestCallsEnd(t *testing.T) {
	forever := runtime.EvaluateParams{Expression: "new Promise(() => {})", AwaitPromise: new(true)}
	for name, test := range map[string]struct {
		end func(b *Browser, s *Session, id target.ID, cancel func())
		// want is the error; nil is any.
		want error
	}{
		"with their context": {
			end:  func(_ *Browser, _ *Session, _ target.ID, cancel func()) { cancel() },
			want: context.Canceled,
		},
		"with their session": {
			end:  func(_ *Browser, s *Session, _ target.ID, _ func()) { s.End(os.ErrClosed) },
			want: os.ErrClosed,
		},
		"with their target": {
			end: func(b *Browser, _ *Session, id target.ID, _ func()) {
				_, _ = Call(context.Background(), b.Session, target.CloseTarget, target.CloseTargetParams{TargetID: id})
			},
		},
		"with the browser": {
			end:  func(b *Browser, _ *Session, _ target.ID, _ func()) { b.kill() },
			want: ErrLost,
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t)
			s, events, id := attach(t, b)
			if _, err := Call(t.Context(), s, runtime.Enable, cdp.Empty{}); err != nil {
				t.Fatal(err)
			}
			<-events
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				_, err := Call(ctx, s, runtime.Evaluate, forever)
				ended <- err
			}()
			// Once the browser answers the next command, it has the one above.
			if _, err := Call(t.Context(), s, runtime.Evaluate, runtime.EvaluateParams{Expression: "1"}); err != nil {
				t.Fatal(err)
			}
			test.end(b, s, id, cancel)
			select {
			case err := <-ended:
				if err == nil || test.want != nil && !errors.Is(err, test.want) {
					t.Errorf("got %v, want %v", err, test.want)
				}
			case <-time.After(10 * time.Second):
				t.Error("the call still waits")
			}
		})
	}
}

func TestACrashIsAnEvent(t *testing.T) {
	s, events, _ := attach(t, start(t))
	if _, err := Call(t.Context(), s, inspector.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	go func() { _, _ = Call(ctx, s, page.Navigate, page.NavigateParams{URL: "chrome://crash"}) }()
	for {
		select {
		case event := <-events:
			if event == inspector.TargetCrashed.Method {
				return
			}
		case <-ctx.Done():
			t.Fatal("no event came")
		}
	}
}

// ends waits until a process has ended. One that was killed ends when it gets a processor.
func ends(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		// A zombie is as good as gone: init has not read its exit status yet.
		status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
		if err != nil || bytes.Contains(status, []byte("State:\tZ")) || bytes.Contains(status, []byte("State:\tX")) {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("process %d is left:\n%s", pid, status)
			return
		}
	}
}

func TestNoProcessOrFileIsLeft(t *testing.T) {
	for name, end := range map[string]func(b *Browser){
		"closed": stop,
		"killed": func(b *Browser) {
			_ = syscall.Kill(b.Pid(), syscall.SIGKILL)
			stop(b)
		},
		"out of time": func(b *Browser) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			b.Close(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t)
			attach(t, b)
			tree := procs.Tree(b.Pid())
			if len(tree) < 3 {
				t.Fatalf("the browser has only the processes %v", tree)
			}
			end(b)
			if _, err := os.Stat(b.profile); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the profile: %v", err)
			}
			for _, pid := range tree {
				ends(t, pid)
			}
			if _, err := Call(t.Context(), b.Session, browser.GetVersion, cdp.Empty{}); !errors.Is(err, ErrLost) {
				t.Errorf("a call after the end: got %v", err)
			}
		})
	}
}

func TestStartShowsTheBrowsersOutput(t *testing.T) {
	if _, err := Start(t.Context(), "/nonexistent/browser", maxMessage); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	script := t.TempDir() + "/browser"
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho a library is missing >&2\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), script, maxMessage)
	if !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "its last output: a library is missing") {
		t.Errorf("got %v", err)
	}
}
