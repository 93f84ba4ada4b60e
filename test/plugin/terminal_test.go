// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
)

// buffer is a bytes.Buffer for concurrent use, which reports changes.
type buffer struct {
	mu      sync.Mutex
	data    bytes.Buffer
	changed chan struct{}
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
	return b.data.Write(p)
}

func (b *buffer) String() string {
	text, _ := b.look()
	return text
}

// look returns the content, and a channel that closes at the next change.
func (b *buffer) look() (string, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	return b.data.String(), b.changed
}

// terminal is the program at a pseudo-terminal.
type terminal struct {
	t      *testing.T
	device *os.File
	// shown is the output. The last match of await ends after its first seen bytes.
	shown buffer
	seen  int
	// ended closes when the program has ended with err.
	ended chan struct{}
	err   error
}

// browser is the kind of browser that a machine has.
type browser int

const (
	// noBrowser is a machine without a display.
	noBrowser browser = iota
	// brokenBrowser fails to open.
	brokenBrowser
	// realBrowser records the address that it is opened with.
	realBrowser
)

// open starts the program at a terminal.
func open(t *testing.T, b browser, args ...string) (*terminal, *visits) {
	t.Helper()
	folder := t.TempDir()
	v := &visits{t: t, file: filepath.Join(folder, "visits")}
	script := "#!/bin/sh\nprintf '%s\\n' \"$1\" >> " + v.file + "\n"
	if b == brokenBrowser {
		script = "#!/bin/sh\nexit 1\n"
	}
	if err := os.WriteFile(filepath.Join(folder, "xdg-open"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*timeout)
	t.Cleanup(cancel)
	if args[0] == "connect" {
		args = append(args, "--dropbox-authorize-url", simURL, "--dropbox-api-url", simURL)
	}
	command := exec.CommandContext(ctx, binary, args...)
	command.Env = append(os.Environ(), "PATH="+folder+":"+os.Getenv("PATH"), "DISPLAY=", "WAYLAND_DISPLAY=", "TERM=xterm")
	if b != noBrowser {
		command.Env = append(command.Env, "DISPLAY=:99")
	}
	device, err := pty.StartWithSize(command, &pty.Winsize{Rows: 40, Cols: 160})
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, device: device, ended: make(chan struct{})}
	go func() {
		defer close(term.ended)
		_, _ = io.Copy(&term.shown, device) // ends with an error when the program does
		term.err = command.Wait()
		_ = device.Close()
	}()
	v.terminal = term
	return term, v
}

// await waits until the terminal shows a match of pattern after the last match, and returns the submatches.
func (s *terminal) await(pattern string) []string {
	s.t.Helper()
	expression := regexp.MustCompile(pattern)
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		text, changed := s.shown.look()
		if match := expression.FindStringSubmatchIndex(text[s.seen:]); match != nil {
			found := expression.FindStringSubmatch(text[s.seen:])
			s.seen += match[1]
			return found
		}
		select {
		case <-changed:
			continue
		case <-timer.C:
		case <-s.ended:
			if s.shown.String() != text {
				continue // the program has printed more before it ended
			}
		}
		s.t.Fatalf("the terminal does not show %q:\n%s", pattern, text)
	}
}

// enter types a line.
func (s *terminal) enter(line string) {
	s.t.Helper()
	if _, err := io.WriteString(s.device, line+"\n"); err != nil {
		s.t.Fatal(err)
	}
}

// end waits until the program ends, and returns its exit code and its whole output.
func (s *terminal) end() (code int, text string) {
	s.t.Helper()
	<-s.ended
	exit := (*exec.ExitError)(nil)
	if errors.As(s.err, &exit) {
		return exit.ExitCode(), s.shown.String()
	}
	if s.err != nil {
		s.t.Fatal(s.err)
	}
	return 0, s.shown.String()
}

// visits are the addresses that the program opened in the browser.
type visits struct {
	t        *testing.T
	file     string
	terminal *terminal
}

// next waits for the first address.
func (v *visits) next() string {
	v.t.Helper()
	deadline := time.Now().Add(timeout)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for time.Now().Before(deadline) {
		data, err := os.ReadFile(v.file)
		if page, _, ok := strings.Cut(string(data), "\n"); err == nil && ok {
			return page
		}
		select {
		case <-ticker.C:
		case <-v.terminal.ended:
			deadline = time.Time{}
		}
	}
	v.t.Fatalf("the browser was not opened:\n%s", v.terminal.shown.String())
	return ""
}
