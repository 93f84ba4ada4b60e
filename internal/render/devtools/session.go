// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package devtools

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/target"
)

// lenient accepts half a surrogate pair in a string: JavaScript strings may have one, and Chromium sends it.
var lenient = jsonv2.AllowInvalidUTF8(true)

// Error is the browser's answer to a command that failed.
type Error struct {
	// Code is an error code of JSON-RPC 2.0, and Message is the browser's text.
	Code    int64  `json:"code"`
	Message string `json:"message"`
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("%s (%d)", e.Message, e.Code) }

// Session is the connection to one target, or to the browser itself.
type Session struct {
	browser *Browser
	id      target.SessionID
	// handle gets the session's events from the goroutine that reads, so it must not wait for an answer.
	handle func(method string, params jsonv2.Value)

	end sync.Once
	// done is closed once cause is set.
	done  chan struct{}
	cause error
}

// Attach opens a session with a target. handle gets the target's events from the goroutine that reads: it must return at once.
func (b *Browser) Attach(ctx context.Context, id target.ID, handle func(s *Session, method string, params jsonv2.Value)) (*Session, error) {
	attached, err := Call(ctx, b.Session, target.AttachToTarget, target.AttachToTargetParams{TargetID: id, Flatten: new(true)})
	if err != nil {
		return nil, err
	}
	s := &Session{browser: b, id: attached.SessionID, done: make(chan struct{})}
	s.handle = func(method string, params jsonv2.Value) { handle(s, method, params) }
	b.mu.Lock()
	b.sessions[s.id] = s
	b.mu.Unlock()
	return s, nil
}

// End makes every call of the session fail with an error, those in progress too.
func (s *Session) End(cause error) {
	s.end.Do(func() {
		s.cause = cause
		close(s.done)
	})
}

// Ended reports whether the session or the browser has ended.
func (s *Session) Ended() bool {
	select {
	case <-s.done:
		return true
	case <-s.browser.lost:
		return true
	default:
		return false
	}
}

// Call sends a command and returns its result. The error is an *Error when the browser answers with one.
func Call[P, R any](ctx context.Context, s *Session, command cdp.Command[P, R], params P) (R, error) {
	reply, err := s.Send(ctx, command.Method, params)
	if err != nil {
		var none R
		return none, err
	}
	result, _, err := Decode(command, reply)
	return result, err
}

// CallForBytes is Call for a command whose result has bytes, such as a picture. They are not in the result but beside it.
func CallForBytes[P, R any](ctx context.Context, s *Session, command cdp.Command[P, R], params P) (result R, bytes []byte, err error) {
	reply, err := s.Send(ctx, command.Method, params)
	if err != nil {
		return result, nil, err
	}
	return Decode(command, reply)
}

// Reply is an answer that is not decoded yet.
type Reply []byte

// answer is what a call waits for.
type answer struct {
	reply Reply
	err   error
}

// Send sends a command and waits for its answer.
func (s *Session) Send(ctx context.Context, method string, params any) (Reply, error) {
	b := s.browser
	answered := make(chan answer, 1)
	b.mu.Lock()
	b.lastID++
	id := b.lastID
	b.waiting[id] = answered
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
	if err == nil {
		message, err = fromJSON(message)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: encoding the command: %w", method, err)
	}
	if err := b.write(message); err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	got, err := wait(ctx, s, answered)
	if err == nil {
		err = got.err
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	return got.reply, nil
}

// Decode returns the result in a command's answer, and the bytes that belong to it. The error is an *Error when the browser answers with one.
func Decode[P, R any](command cdp.Command[P, R], reply Reply) (result R, bytes []byte, err error) {
	var answer struct {
		Result R      `json:"result"`
		Error  *Error `json:"error"`
	}
	text, bytes, err := toJSON(reply)
	if err == nil {
		err = jsonv2.Unmarshal(text, &answer, lenient)
	}
	if err == nil && answer.Error != nil {
		err = answer.Error
	}
	if err != nil {
		return result, nil, fmt.Errorf("%s: %w", command.Method, err)
	}
	return answer.Result, bytes, nil
}

// Wait waits for a signal of the session's event handler. It fails when the session ends.
func (s *Session) Wait(ctx context.Context, signal <-chan struct{}) error {
	_, err := wait(ctx, s, signal)
	return err
}

func wait[T any](ctx context.Context, s *Session, from <-chan T) (value T, err error) {
	select {
	case value = <-from:
		return value, nil
	case <-ctx.Done():
		return value, context.Cause(ctx)
	case <-s.done:
		return value, s.cause
	case <-s.browser.lost:
		return value, ErrLost
	}
}

// ReadEvent decodes the parameters of an event.
func ReadEvent(params jsonv2.Value, event any) error { return jsonv2.Unmarshal(params, event, lenient) }

// deliver passes an answer to the call that waits for it, and an event to its session. It drops what it cannot read.
func (b *Browser) deliver(message []byte) {
	if id, ok := answerID(message); ok {
		b.answer(id, answer{reply: message})
		return
	}
	var event struct {
		SessionID target.SessionID `json:"sessionId"`
		Method    string           `json:"method"`
		Params    jsonv2.Value     `json:"params"`
	}
	text, _, err := toJSON(message)
	if err != nil || jsonv2.Unmarshal(text, &event, lenient) != nil {
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

// answer passes an answer to the call that waits for it, if it still does.
func (b *Browser) answer(id int64, a answer) {
	b.mu.Lock()
	waiting := b.waiting[id]
	delete(b.waiting, id)
	b.mu.Unlock()
	if waiting != nil {
		waiting <- a // never blocks: it has room for one
	}
}

// handle ends the session of a target that was closed.
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
		session.End(errors.New("the page was closed"))
	}
}
