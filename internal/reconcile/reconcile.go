// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package reconcile holds what every controller does in the same way: it runs the steps of a reconciliation, turns their outcome into
// conditions, and writes status at most once. It knows no kind.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
)

// TerminalError means that a user must act. It is shown as Stalled and not retried until the object changes.
type TerminalError struct {
	// Reason of the Ready condition, in CamelCase.
	Reason string
	// Message names the field or object, what was expected and what to do.
	Message string
	// Note is the Message for events, which are also logged: it shows … for what is Private.
	Note string
}

// Error implements error.
func (e *TerminalError) Error() string { return e.Message }

// Private is an argument of Terminal that may hold a modification. Only status shows it.
type Private string

// Terminal returns a TerminalError.
func Terminal(reason, format string, args ...any) error {
	public := slices.Clone(args)
	for i, arg := range public {
		if _, ok := arg.(Private); ok {
			public[i] = "…"
		}
	}
	return &TerminalError{Reason: reason, Message: fmt.Sprintf(format, args...), Note: fmt.Sprintf(format, public...)}
}

// MaxMistakes bounds the mistakes that one error of Join names.
const MaxMistakes = 10

// Join returns one TerminalError of several, so that all mistakes can be corrected at once, with the reason of the first; nil if there is none. It leaves out
// nil. WaitingErrors hide TerminalErrors, and become one in the same way. Any other error hides all.
func Join(wrong []error) error {
	wrong = slices.DeleteFunc(slices.Clone(wrong), func(err error) bool { return err == nil })
	messages, notes, awaited := make([]string, 0, len(wrong)), make([]string, 0, len(wrong)), []*WaitingError(nil)
	for _, err := range wrong {
		terminal, waiting := AsTerminal(err), AsWaiting(err)
		switch {
		case terminal != nil:
			messages, notes = append(messages, terminal.Message), append(notes, terminal.Note)
		case waiting != nil:
			awaited = append(awaited, waiting)
		default:
			return err
		}
	}
	switch {
	case len(awaited) > 0:
		return joinAwaited(awaited)
	case len(wrong) == 0:
		return nil
	}
	return &TerminalError{Reason: AsTerminal(wrong[0]).Reason, Message: listed(messages), Note: listed(notes)}
}

// joinAwaited returns one WaitingError of several, which waits until the first of them is due.
func joinAwaited(awaited []*WaitingError) error {
	joined, messages := *awaited[0], make([]string, 0, len(awaited))
	for _, w := range awaited {
		messages = append(messages, w.Message)
		if w.After > 0 && (joined.After == 0 || w.After < joined.After) {
			joined.After = w.After
		}
	}
	joined.Message = listed(messages)
	return &joined
}

// listed returns messages in one text, of at most MaxMistakes.
func listed(messages []string) string {
	if more := len(messages) - MaxMistakes; more > 0 {
		messages = append(slices.Clone(messages[:MaxMistakes]), fmt.Sprintf("and %d more", more))
	}
	return strings.Join(messages, "; ")
}

// WaitingError means that something else must happen first. It is shown as Reconciling, unless it is Blocked.
type WaitingError struct {
	// Reason of the Ready condition, in CamelCase.
	Reason string
	// Message says what the object waits for.
	Message string
	// Blocked is true if a person has to act first. It is shown as Stalled, as a TerminalError is, but the object goes on by itself afterwards.
	Blocked bool
	// After is how long to wait before the next reconciliation if no event comes; 0 waits for an event.
	After time.Duration
}

// Error implements error.
func (e *WaitingError) Error() string { return e.Message }

// Waiting returns a WaitingError.
func Waiting(reason string, after time.Duration, format string, args ...any) error {
	return &WaitingError{Reason: reason, Message: fmt.Sprintf(format, args...), After: after}
}

// Blocked returns a WaitingError for what only a person can change.
func Blocked(reason, format string, args ...any) error {
	return &WaitingError{Reason: reason, Message: fmt.Sprintf(format, args...), Blocked: true}
}

// Within returns an error with a text in front of the message that users see, such as the object that it is about. Any other error stays as it is.
func Within(text string, err error) error {
	if terminal := AsTerminal(err); terminal != nil {
		return &TerminalError{Reason: terminal.Reason, Message: text + terminal.Message, Note: text + terminal.Note}
	}
	if waiting := AsWaiting(err); waiting != nil {
		within := *waiting
		within.Message = text + within.Message
		return &within
	}
	return err
}

// Step is one part of a reconciliation. A step reads or acts and fills in the scope; it never writes status.
type Step[S any] func(ctx context.Context, scope S) error

// Run runs the steps in order and stops at the first error, because each step builds on those before it.
func Run[S any](ctx context.Context, scope S, steps ...Step[S]) error {
	for _, step := range steps {
		if err := step(ctx, scope); err != nil {
			return err
		}
	}
	return nil
}

// AsTerminal returns the TerminalError in an outcome, nil when there is none.
func AsTerminal(outcome error) *TerminalError {
	terminal := (*TerminalError)(nil)
	errors.As(outcome, &terminal)
	return terminal
}

// AsWaiting returns the WaitingError in an outcome, nil when there is none.
func AsWaiting(outcome error) *WaitingError {
	waiting := (*WaitingError)(nil)
	errors.As(outcome, &waiting)
	return waiting
}

// result translates an outcome for controller-runtime: after a TerminalError nothing more happens, a WaitingError is reconciled
// again after its delay, and any other error is retried with backoff.
func result(outcome error) (ctrl.Result, error) {
	if AsTerminal(outcome) != nil {
		return ctrl.Result{}, nil //nolint:nilerr // status shows it
	}
	if waiting := AsWaiting(outcome); waiting != nil {
		return ctrl.Result{RequeueAfter: waiting.After}, nil //nolint:nilerr // waiting is no failure
	}
	return ctrl.Result{}, outcome
}
