// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/render/procs"
)

// A browser of which a process hangs is replaced. The one render that finds it out is tried again: the fault is not its page's.
func TestAHungBrowserIsReplaced(t *testing.T) {
	for process, argument := range map[string]string{"zygote": "--type=zygote", "GPU process": "--type=gpu-process"} {
		t.Run(process, func(t *testing.T) {
			b := start(t)
			b.hungPatience = time.Second
			alone := task("png", red+`<iframe></iframe>`)
			run(t, b, alone)
			hung := b.supervisor.running()
			hang(t, b, argument)
			b.patience = time.Second
			failed := 0
			for b.supervisor.running() == hung {
				_, err := b.Render(t.Context(), alone, render.SinkFunc(drop))
				if err == nil {
					continue // a tab that was open before
				}
				failed++
				if problem := (*render.Error)(nil); !errors.As(err, &problem) || problem.Reason != render.ReasonBrowserCrashed || problem.Terminal {
					t.Errorf("the render that finds it out fails with %v", err)
				}
			}
			if failed != 1 {
				t.Errorf("%d renders have failed", failed)
			}
			b.patience = framePatience
			run(t, b, alone)
		})
	}
}

// A render whose time is over fails for that, and no other render does.
func TestABrowserThatHangsUntilTheDeadlineIsReplaced(t *testing.T) {
	for process, argument := range map[string]string{"browser": "", "GPU process": "--type=gpu-process"} {
		t.Run(process, func(t *testing.T) {
			b := start(t)
			run(t, b, task("png", red))
			hang(t, b, argument)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := b.Render(ctx, task("png", red), render.SinkFunc(drop))
			problem := (*render.Error)(nil)
			if !errors.As(err, &problem) || problem.Reason != render.ReasonDeadlineExceeded || !strings.Contains(problem.Message, "the browser draws nothing any more") {
				t.Errorf("the render fails with %v", err)
			}
			run(t, b, task("png", red))
		})
	}
}

// A page that takes all its time does not end the browser.
func TestAnEndlessPageLeavesTheBrowser(t *testing.T) {
	b := start(t)
	run(t, b, task("png", red))
	before := b.supervisor.running()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := b.Render(ctx, task("png", red+`<script>for (;;);</script>`), render.SinkFunc(drop))
	if problem := (*render.Error)(nil); !errors.As(err, &problem) || problem.Reason != render.ReasonDeadlineExceeded || strings.Contains(problem.Message, "browser") {
		t.Errorf("the render fails with %v", err)
	}
	if b.supervisor.running() != before {
		t.Error("another browser runs")
	}
}

// hang stops those processes of the browser that have an argument; with none, its main process, and the script that has started it.
func hang(t *testing.T, b *Browser, argument string) {
	t.Helper()
	stopped := 0
	for _, pid := range procs.Tree(b.supervisor.running().Pid()) {
		arguments, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil {
			continue // it has ended
		}
		if argument == "" && !bytes.Contains(arguments, []byte("--type=")) || argument != "" && bytes.Contains(arguments, []byte(argument)) {
			if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			stopped++
		}
	}
	if stopped == 0 {
		t.Fatalf("no process of the browser has the argument %s", argument)
	}
}

// drop is a sink that keeps nothing.
func drop(context.Context, file.File, []byte) error { return nil }
