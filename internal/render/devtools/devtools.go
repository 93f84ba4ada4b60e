// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package devtools runs a headless Chromium and speaks with it over its debugging pipe: commands, sessions and events of the Chrome
// DevTools Protocol (https://chromedevtools.github.io/devtools-protocol/), whose types are cdproto's. It knows nothing of pages.
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
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/target"
)

const (
	// bufferSize of what is read at a time: a picture is about a megabyte, and each read costs as much as copying a good part of it.
	bufferSize = 256 << 10
	// maxMessage bounds one message of the browser: the largest picture that a renderer may make, uncompressed, in base64.
	maxMessage = 1 << 30
	// writeTimeout bounds the writing of one command, which waits only when the browser does not read.
	writeTimeout = 30 * time.Second
	// cleanAttempts is how often the removal of the profile is tried, once in cleanInterval.
	cleanAttempts = 50
	cleanInterval = 20 * time.Millisecond
	// maxTail is how much of the browser's own output an error shows.
	maxTail = 2 << 10
)

// ErrLost means that the browser has ended or cannot be understood.
var ErrLost = errors.New("the connection to the browser is lost")

// Error is the browser's refusal of a command.
type Error struct {
	// Code of JSON-RPC 2.0, and Message in the browser's words.
	Code    int64  `json:"code"`
	Message string `json:"message"`
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("%s (%d)", e.Message, e.Code) }

// lenient reads what Chromium writes: half a surrogate pair, which JavaScript may have in a string, is no reason to stop.
var lenient = jsonv2.AllowInvalidUTF8(true)

// Browser is a running browser and the connection to it.
type Browser struct {
	*Session // of the browser itself

	command *exec.Cmd
	output  *tail
	// directory of the browser's profile.
	directory string

	// writing is held while a command is written.
	writing sync.Mutex
	pipe    *os.File

	mu       sync.Mutex
	last     int64
	waiting  map[int64]chan<- Reply
	sessions map[target.SessionID]*Session

	// lost is closed when nothing can be read any more, and ended when the process is gone, too.
	lost, ended chan struct{}
}

// Session is the connection to one target, or to the browser itself.
type Session struct {
	browser *Browser
	id      target.SessionID
	// handle is told of events by the goroutine that reads: it must not wait for an answer.
	handle func(method string, params jsonv2.Value)

	end  sync.Once
	gone chan struct{}
	why  error
}

// Start starts the browser at path with an empty profile. Close must be called. It fails when the browser has not answered before the
// end of ctx, which may end afterwards.
func Start(ctx context.Context, path string, flags ...string) (*Browser, error) {
	directory, err := os.MkdirTemp("", "platen-browser-")
	if err != nil {
		return nil, fmt.Errorf("making a profile for the browser: %w", err)
	}
	b := &Browser{
		directory: directory, output: &tail{}, waiting: map[int64]chan<- Reply{}, sessions: map[target.SessionID]*Session{},
		lost: make(chan struct{}), ended: make(chan struct{}),
	}
	b.Session = &Session{browser: b, gone: make(chan struct{}), handle: b.handle}
	if err := b.start(path, flags); err != nil {
		_ = os.RemoveAll(directory) // it is empty, and in a place for what is temporary
		return nil, fmt.Errorf("starting %s: %w", path, err)
	}
	if _, err := Call(ctx, b.Session, browser.GetVersion, cdp.Empty{}); err != nil {
		b.kill()
		<-b.ended
		return nil, fmt.Errorf("starting %s: %w%s", path, err, b.output)
	}
	return b, nil
}

func (b *Browser) start(path string, flags []string) error {
	theirs, ours, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = theirs.Close() }() // the browser has its own
	from, to, err := os.Pipe()
	if err != nil {
		return errors.Join(err, ours.Close())
	}
	defer func() { _ = to.Close() }() // as above
	arguments := append([]string{"--remote-debugging-pipe", "--no-startup-window", "--user-data-dir=" + b.directory}, flags...)
	b.command = exec.Command(path, arguments...)  //nolint:gosec,noctx // the operator's browser; it is ended by Close
	b.command.ExtraFiles = []*os.File{theirs, to} // 3, which it reads, and 4
	b.command.Stderr = b.output
	b.command.WaitDelay = 100 * time.Millisecond // children hold its output open
	// A script may stand before the browser, so that its children must be ended, too.
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
		_ = b.command.Wait() // why it ended does not matter
		b.kill()             // what is left of its children
		<-b.lost
		b.clean()
	}()
	return nil
}

// clean removes the profile. Children that are just ending may still write to it.
func (b *Browser) clean() {
	again := time.NewTicker(cleanInterval)
	defer again.Stop()
	for range cleanAttempts {
		if os.RemoveAll(b.directory) == nil {
			return
		}
		<-again.C
	}
}

// kill ends the browser's processes at once.
func (b *Browser) kill() {
	select {
	case <-b.ended: // others may have its number
	default:
		_ = syscall.Kill(-b.command.Process.Pid, syscall.SIGKILL) // fails when there are none
	}
}

// Close ends the browser and waits until it is gone: on its own before the end of ctx, or else by force.
func (b *Browser) Close(ctx context.Context) {
	_, _ = Call(ctx, b.Session, browser.Close, cdp.Empty{}) // what does not end on its own is ended below
	select {
	case <-b.ended:
	case <-ctx.Done():
		b.kill()
		<-b.ended
	}
}

// Pid of the process that was started, which may be the browser's parent.
func (b *Browser) Pid() int { return b.command.Process.Pid }

// Lost is closed when the browser has ended.
func (b *Browser) Lost() <-chan struct{} { return b.lost }

// read takes messages until there are no more.
func (b *Browser) read(from io.Reader) {
	defer func() {
		close(b.lost)
		_ = b.pipe.Close() // nobody reads it
	}()
	reader := bufio.NewReaderSize(from, bufferSize)
	for {
		var message []byte
		for {
			part, err := reader.ReadSlice(0)
			message = append(message, part...)
			if err == nil {
				break
			}
			if !errors.Is(err, bufio.ErrBufferFull) || len(message) > maxMessage {
				return
			}
		}
		b.deliver(message[:len(message)-1])
	}
}

// deliver gives an answer to who waits for it and an event to its session. What cannot be read is left out.
func (b *Browser) deliver(message []byte) {
	if id, ok := answers(message); ok {
		b.mu.Lock()
		waiting := b.waiting[id]
		delete(b.waiting, id)
		b.mu.Unlock()
		if waiting != nil {
			waiting <- message // it has room for the one
		}
		return
	}
	var event struct {
		SessionID target.SessionID `json:"sessionId"`
		Method    string           `json:"method"`
		Params    jsonv2.Value     `json:"params"`
	}
	if err := jsonv2.Unmarshal(message, &event, lenient); err != nil {
		return
	}
	b.mu.Lock()
	session := b.sessions[event.SessionID]
	b.mu.Unlock()
	switch {
	case event.SessionID == "":
		b.Session.handle(event.Method, event.Params)
	case session != nil:
		session.handle(event.Method, event.Params)
	}
}

// answers tells which command a message answers. Chromium writes the number first, so that the rest, often a picture, can be left to
// who waits for it.
func answers(message []byte) (id int64, ok bool) {
	rest, ok := bytes.CutPrefix(message, []byte(`{"id":`))
	if !ok {
		return 0, false
	}
	end := bytes.IndexAny(rest[:min(len(rest), 20)], ",}")
	if end < 0 {
		return 0, false
	}
	id, err := strconv.ParseInt(string(rest[:end]), 10, 64)
	return id, err == nil
}

// handle ends sessions whose targets have been closed.
func (b *Browser) handle(method string, params jsonv2.Value) {
	if method != target.DetachedFromTarget.Method {
		return
	}
	var event target.EventDetachedFromTarget
	if ReadEvent(params, &event) != nil {
		return
	}
	b.mu.Lock()
	session := b.sessions[event.SessionID]
	delete(b.sessions, event.SessionID)
	b.mu.Unlock()
	if session != nil {
		session.End(errors.New("the page has been closed"))
	}
}

// Attach opens a session with a target. handle is told of the target's events by the goroutine that reads them: it must return at once.
func (b *Browser) Attach(ctx context.Context, id target.ID, handle func(s *Session, method string, params jsonv2.Value)) (*Session, error) {
	attached, err := Call(ctx, b.Session, target.AttachToTarget, target.AttachToTargetParams{TargetID: id, Flatten: new(true)})
	if err != nil {
		return nil, err
	}
	s := &Session{browser: b, id: attached.SessionID, gone: make(chan struct{})}
	s.handle = func(method string, params jsonv2.Value) { handle(s, method, params) }
	b.mu.Lock()
	b.sessions[s.id] = s
	b.mu.Unlock()
	return s, nil
}

// End makes every call of the session fail for a reason, those that are waiting, too.
func (s *Session) End(why error) {
	s.end.Do(func() {
		s.why = why
		close(s.gone)
	})
}

// Ended tells whether the session has ended, or the browser.
func (s *Session) Ended() bool {
	select {
	case <-s.gone:
		return true
	case <-s.browser.lost:
		return true
	default:
		return false
	}
}

// ReadEvent reads what an event has told.
func ReadEvent(params jsonv2.Value, event any) error { return jsonv2.Unmarshal(params, event, lenient) }

// Reply is an answer that has not been decoded.
type Reply []byte

// Send sends a command and waits for its answer.
func (s *Session) Send(ctx context.Context, method string, params any) (Reply, error) {
	b := s.browser
	answer := make(chan Reply, 1)
	b.mu.Lock()
	b.last++
	id := b.last
	b.waiting[id] = answer
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.waiting, id)
	}()
	message, err := jsonv2.Marshal(struct {
		ID        int64            `json:"id"`
		SessionID target.SessionID `json:"sessionId,omitempty"`
		Method    string           `json:"method"`
		Params    any              `json:"params"`
	}{id, s.id, method, params})
	if err != nil {
		return nil, fmt.Errorf("%s: encoding the command: %w", method, err)
	}
	if err := b.write(append(message, 0)); err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	reply, err := wait(ctx, s, answer)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	return reply, nil
}

// Wait waits for a word of the session's event handler, but not beyond the end of the session.
func (s *Session) Wait(ctx context.Context, word <-chan struct{}) error {
	_, err := wait(ctx, s, word)
	return err
}

func wait[T any](ctx context.Context, s *Session, from <-chan T) (value T, err error) {
	select {
	case value = <-from:
		return value, nil
	case <-ctx.Done():
		return value, context.Cause(ctx)
	case <-s.gone:
		return value, s.why
	case <-s.browser.lost:
		return value, ErrLost
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

// Decode returns what a command has answered.
func Decode[P, R any](command cdp.Command[P, R], reply Reply) (R, error) {
	var answer struct {
		Result R      `json:"result"`
		Error  *Error `json:"error"`
	}
	err := jsonv2.Unmarshal(reply, &answer, lenient)
	if err == nil && answer.Error != nil {
		err = answer.Error
	}
	if err != nil {
		var none R
		return none, fmt.Errorf("%s: %w", command.Method, err)
	}
	return answer.Result, nil
}

// Call sends a command and returns what it answers. The error is an *Error when the browser refuses it.
func Call[P, R any](ctx context.Context, s *Session, command cdp.Command[P, R], params P) (R, error) {
	reply, err := s.Send(ctx, command.Method, params)
	if err != nil {
		var none R
		return none, err
	}
	return Decode(command, reply)
}

// tail keeps the end of what the browser writes, for an error that shows it.
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
		return "; its last words: " + string(text)
	}
	return ""
}
