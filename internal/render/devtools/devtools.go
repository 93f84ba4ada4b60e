// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package devtools runs headless Chromium and speaks the Chrome DevTools Protocol (https://chromedevtools.github.io/devtools-protocol/)
// with it over its debugging pipe. The protocol's types are cdproto's. This file has the process and its pipe, session.go the commands
// and events. The package knows nothing of pages.
package devtools

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/target"
)

const (
	// bufferSize is how much is read from the pipe at once. A picture is about a megabyte, and each read costs as much as copying a
	// good part of it.
	bufferSize = 256 << 10
	// headSize is how much is kept of a message that is too large, to know which command it answers.
	headSize = 64
	// writeTimeout bounds the writing of one command. It waits only while the browser does not read.
	writeTimeout = 30 * time.Second
	// removeAttempts is how often the removal of the profile is tried, once per removeInterval.
	removeAttempts = 50
	removeInterval = 20 * time.Millisecond
	// maxTail is how much of the browser's last output an error shows.
	maxTail = 2 << 10
)

var (
	// ErrLost means that the browser has ended, or that its pipe is unusable.
	ErrLost = errors.New("the connection to the browser is lost")
	// ErrTooLarge means that the browser's answer to a command is larger than a message may be.
	ErrTooLarge = errors.New("the browser's answer is too large")
)

// Browser is a running browser and the connection to it.
type Browser struct {
	*Session // of the browser itself

	// maxMessage bounds one message of the browser, in bytes.
	maxMessage int

	command *exec.Cmd
	output  *tail
	// profile is the directory of the browser's profile.
	profile string

	product string

	// writing is held while a command is written to pipe.
	writing sync.Mutex
	pipe    *os.File

	// mu guards the fields below.
	mu sync.Mutex
	// lastID is the number of the last command.
	lastID int64
	// waiting has the commands without an answer, by number.
	waiting  map[int64]chan<- answer
	sessions map[target.SessionID]*Session

	// lost is closed once the pipe has ended, and ended once the process is gone too.
	lost, ended chan struct{}
}

// Start starts the browser at path with an empty profile. A message of it may have at most maxMessage bytes; a larger answer is an
// ErrTooLarge, and a larger event is dropped. Start fails if the browser has not answered before ctx ends; later, ctx has no effect. The
// caller calls Close.
func Start(ctx context.Context, path string, maxMessage int, flags ...string) (*Browser, error) {
	profile, err := os.MkdirTemp("", "platen-browser-")
	if err != nil {
		return nil, fmt.Errorf("making a profile for the browser: %w", err)
	}
	b := &Browser{
		maxMessage: maxMessage, profile: profile, output: &tail{}, waiting: map[int64]chan<- answer{}, sessions: map[target.SessionID]*Session{},
		lost: make(chan struct{}), ended: make(chan struct{}),
	}
	b.Session = &Session{browser: b, done: make(chan struct{}), handle: b.handle}
	if err := b.start(path, flags); err != nil {
		_ = os.RemoveAll(profile) // an empty directory among other temporary files
		return nil, fmt.Errorf("starting %s: %w", path, err)
	}
	version, err := Call(ctx, b.Session, browser.GetVersion, cdp.Empty{})
	if err != nil {
		b.kill()
		<-b.ended
		return nil, fmt.Errorf("starting %s: %w%s", path, err, b.output)
	}
	b.product = version.Product
	return b, nil
}

func (b *Browser) start(path string, flags []string) error {
	theirs, ours, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = theirs.Close() }() // the browser has a copy
	from, to, err := os.Pipe()
	if err != nil {
		return errors.Join(err, ours.Close())
	}
	defer func() { _ = to.Close() }() // the browser has a copy
	arguments := append([]string{"--remote-debugging-pipe=cbor", "--no-startup-window", "--user-data-dir=" + b.profile}, flags...)
	b.command = exec.Command(path, arguments...)  //nolint:gosec,noctx // the operator's browser, which Close ends
	b.command.ExtraFiles = []*os.File{theirs, to} // the browser reads descriptor 3 and writes 4
	b.command.Stderr = b.output
	b.command.Env = append(os.Environ(), "TZ=UTC") // pages show the same hour on every machine
	b.command.WaitDelay = 100 * time.Millisecond   // its children may hold its output open
	// A process group, because path may be a script whose children must end too.
	b.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	b.pipe = ours
	if err := b.command.Start(); err != nil {
		return errors.Join(err, ours.Close(), from.Close())
	}
	go func() {
		defer func() { _ = from.Close() }() // it was only read
		b.read(from)
		b.kill()
	}()
	go func() {
		defer close(b.ended)
		_ = b.command.Wait() // the exit status does not matter
		b.kill()             // its children
		<-b.lost
		b.removeProfile()
	}()
	return nil
}

// removeProfile tries several times, because children that are ending may still write to the profile.
func (b *Browser) removeProfile() {
	retry := time.NewTicker(removeInterval)
	defer retry.Stop()
	for range removeAttempts {
		if os.RemoveAll(b.profile) == nil {
			return
		}
		<-retry.C
	}
}

// kill ends the browser's processes at once.
func (b *Browser) kill() {
	select {
	case <-b.ended: // another process may have its number by now
	default:
		_ = syscall.Kill(-b.command.Process.Pid, syscall.SIGKILL) // fails when none is left
	}
}

// Close ends the browser and waits until it is gone. When ctx ends first, it kills the browser.
func (b *Browser) Close(ctx context.Context) {
	_, _ = Call(ctx, b.Session, browser.Close, cdp.Empty{}) // if it fails, the browser is killed below
	select {
	case <-b.ended:
	case <-ctx.Done():
		b.kill()
		<-b.ended
	}
}

// Product returns the browser's name and version, such as HeadlessChrome/150.0.7871.128.
func (b *Browser) Product() string { return b.product }

// Pid returns the id of the process that Start started: the browser, or the script that runs it.
func (b *Browser) Pid() int { return b.command.Process.Pid }

// Lost returns a channel that is closed once the browser has ended.
func (b *Browser) Lost() <-chan struct{} { return b.lost }

// read delivers messages until the pipe ends.
func (b *Browser) read(from io.Reader) {
	defer func() {
		close(b.lost)
		_ = b.pipe.Close() // nobody reads it
	}()
	reader := bufio.NewReaderSize(from, bufferSize)
	for {
		message, err := readMessage(reader, b.maxMessage)
		switch {
		case err == nil:
			b.deliver(message)
		case errors.Is(err, ErrTooLarge):
			if id, ok := answerID(message); ok {
				b.answer(id, answer{err: err})
			}
		default:
			return
		}
	}
}

func (b *Browser) write(message []byte) error {
	b.writing.Lock()
	defer b.writing.Unlock()
	err := b.pipe.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err == nil {
		_, err = b.pipe.Write(message)
	}
	if err != nil {
		b.kill() // half a command cannot be taken back
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	return nil
}

// tail keeps the end of the browser's output, for an error that shows it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-maxTail):]
	return len(p), nil
}

// String implements fmt.Stringer.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if text := bytes.TrimSpace(t.text); len(text) > 0 {
		return "; its last output: " + string(text)
	}
	return ""
}
