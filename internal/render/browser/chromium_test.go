// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"context"
	"errors"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/render"
)

func TestBrowserIsRestartedAfterACrash(t *testing.T) {
	b := start(t)
	run(t, b, task("png", red))
	killed := pid(t, b)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	killBrowser := render.SinkFunc(func(context.Context, file.File, []byte) error {
		return exec.CommandContext(t.Context(), "kill", "-9", strconv.Itoa(killed)).Run()
	})
	_, err := b.Render(ctx, task("png", red, `<script>for (;;);</script>`), killBrowser)
	problem := (*render.Error)(nil)
	if !errors.As(err, &problem) || problem.Reason != render.ReasonBrowserCrashed || problem.Terminal {
		t.Fatalf("got %v", err)
	}
	run(t, b, task("png", red))
}

func TestBrowserIsReplacedAfterSomeRenders(t *testing.T) {
	b, err := New(Options{MaxRenders: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	first := pid(t, b)
	run(t, b, task("png", red))
	if pid(t, b) != first {
		t.Fatal("the browser was replaced too early")
	}
	run(t, b, task("png", red))
	b.supervisor.background.Wait()
	second := pid(t, b)
	if second == first {
		t.Fatal("the browser was not replaced")
	}
	if err := syscall.Kill(first, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the first browser still runs: %v", err)
	}
	run(t, b, task("png", red))
	if pid(t, b) != second {
		t.Error("the second browser was not used")
	}
}

func TestBrowserIsReplacedWhileItRenders(t *testing.T) {
	b, err := New(Options{MaxRenders: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	first := pid(t, b)
	// While the first page is emitted, another render begins and ends, after which the browser is replaced.
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	emitted := 0
	_, err = b.Render(ctx, task("png", red, red, red, red), render.SinkFunc(func(context.Context, file.File, []byte) error {
		if emitted++; emitted == 1 {
			run(t, b, task("png", red))
			b.supervisor.background.Wait()
			if pid(t, b) == first {
				t.Error("the browser was not replaced")
			}
		}
		return nil
	}))
	if err != nil || emitted != 4 {
		t.Errorf("%d pages, %v", emitted, err)
	}
	b.supervisor.background.Wait()
	if err := syscall.Kill(first, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the first browser still runs: %v", err)
	}
}

// pid returns the process id of the browser that the next render uses.
func pid(t *testing.T, b *Browser) int {
	t.Helper()
	c, err := b.supervisor.start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c.Pid()
}
