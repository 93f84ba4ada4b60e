// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/file"
)

// maxConditionMessage bounds a condition's message, in bytes. The Kubernetes API allows 32 KiB, but an object has several conditions.
const maxConditionMessage = 4 << 10

// Conditions sets the conditions of one object at one generation.
type Conditions struct {
	List       *[]metav1.Condition
	Generation int64
	Now        metav1.Time
	// Finishes says that objects of the kind end, so they have a Finished condition.
	Finishes bool
}

// Set writes a condition. Its transition time moves only when its status does, or if the condition is the default of an object that nobody has seen,
// which has none.
func (c Conditions) Set(kind string, status metav1.ConditionStatus, reason, message string) {
	if before := meta.FindStatusCondition(*c.List, kind); before != nil && before.Reason == platenv1alpha1.PendingReason {
		c.Remove(kind)
	}
	meta.SetStatusCondition(c.List, metav1.Condition{
		Type: kind, Status: status, Reason: reason, Message: Truncate(message, maxConditionMessage),
		ObservedGeneration: c.Generation, LastTransitionTime: c.Now,
	})
}

// Remove drops a condition.
func (c Conditions) Remove(kind string) { meta.RemoveStatusCondition(c.List, kind) }

// Summarize sets the conditions that tell the outcome of a reconciliation. reason and message are those of success; a failure has
// its own.
//
//	outcome        Ready    Reconciling  Stalled  Finished
//	nil            True     -            -        True
//	WaitingError   Unknown  True         -        False
//	, Blocked      False    -            True     False
//	TerminalError  False    -            True     True, reason Failed
//	another error  as before: the reconciliation is retried with backoff
func (c Conditions) Summarize(outcome error, reason, message string) {
	terminal, waiting := AsTerminal(outcome), AsWaiting(outcome)
	switch {
	case outcome == nil:
		c.Set(platenv1alpha1.ReadyCondition, metav1.ConditionTrue, reason, message)
		c.finished(metav1.ConditionTrue, reason, message)
		c.Remove(platenv1alpha1.ReconcilingCondition)
		c.Remove(platenv1alpha1.StalledCondition)
	case terminal != nil:
		c.Set(platenv1alpha1.ReadyCondition, metav1.ConditionFalse, terminal.Reason, terminal.Message)
		c.finished(metav1.ConditionTrue, platenv1alpha1.FailedReason, terminal.Message)
		c.Set(platenv1alpha1.StalledCondition, metav1.ConditionTrue, terminal.Reason, terminal.Message)
		c.Remove(platenv1alpha1.ReconcilingCondition)
	case waiting != nil && waiting.Blocked:
		c.Set(platenv1alpha1.ReadyCondition, metav1.ConditionFalse, waiting.Reason, waiting.Message)
		c.finished(metav1.ConditionFalse, waiting.Reason, waiting.Message)
		c.Set(platenv1alpha1.StalledCondition, metav1.ConditionTrue, waiting.Reason, waiting.Message)
		c.Remove(platenv1alpha1.ReconcilingCondition)
	case waiting != nil:
		c.Set(platenv1alpha1.ReadyCondition, metav1.ConditionUnknown, waiting.Reason, waiting.Message)
		c.finished(metav1.ConditionFalse, waiting.Reason, waiting.Message)
		c.Set(platenv1alpha1.ReconcilingCondition, metav1.ConditionTrue, waiting.Reason, waiting.Message)
		c.Remove(platenv1alpha1.StalledCondition)
	}
}

func (c Conditions) finished(status metav1.ConditionStatus, reason, message string) {
	if c.Finishes {
		c.Set(platenv1alpha1.FinishedCondition, status, reason, message)
	}
}

// Truncate returns valid UTF-8 of at most limit bytes, in which no character misleads but tabs and ends of lines: what a terminal shows must
// not control it. A shortened text ends with an ellipsis.
func Truncate(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if file.Misleads(r) && r != '\n' && r != '\t' {
			return utf8.RuneError
		}
		return r
	}, text[:min(len(text), 4*limit)])
	if len(text) <= limit {
		return text
	}
	cut := limit - len("…")
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
