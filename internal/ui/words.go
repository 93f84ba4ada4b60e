// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// tone is how a state is to be taken; the style sheet has a colour and a sign for each.
type tone string

const (
	good tone = "good"
	busy tone = "busy"
	warn tone = "warn"
	bad  tone = "bad"
	idle tone = "idle"
)

// words tell a person what is, and what to do about it.
type words struct {
	Tone tone
	// Title is the state in two or three words.
	Title string
	// Text says what happened and what to do; empty when nothing is to be done.
	Text string
}

// reconnect is what helps against most of what can happen to an account.
const reconnect = "Press Connect again and allow Platen the access; waiting uploads follow by themselves."

// accountAdvice has words for a reason of the storage service, or of the Secret.
var accountAdvice = map[string]struct{ title, text string }{
	"TokenExpired":       {"Access has ended", "Dropbox no longer accepts the access that it gave. " + reconnect},
	"InvalidCredentials": {"App not accepted", "Dropbox does not know the app key. Compare it with the app's settings at Dropbox, then press Connect again."},
	"MissingScope":       {"A permission is missing", "Add it to the app's permissions at Dropbox, then press Connect again."},
	"AccountSuspended":   {"Account suspended", "Dropbox has suspended this account. Its owner must talk to Dropbox."},
	"AccessDenied":       {"Access denied", "Dropbox denies access to this app or account. Its owner must talk to Dropbox, or connect another account."},
	"InsufficientSpace":  {"Dropbox is full", "Make room in the account; uploads can be retried then."},
	"NoWritePermission":  {"Folder is closed", "The account may not write to this folder. Choose another one, or ask its owner for the right to edit."},
	"PathNotAllowed":     {"Folder name not allowed", "Dropbox refuses this name. Choose another folder."},
	"Conflict":           {"Something is in the way", "A file stands where the folder should be. Choose another folder, or move the file."},
	"PathRootNotAllowed": {"Team space is closed", "The account has no access to the team space in spec.dropbox.rootNamespaceID. Correct or remove it."},
	"SecretNotFound":     {"Credentials are missing", "The Secret with the credentials is gone. Press Connect again to have it made anew."},
	"SecretNotLabelled":  {"Credentials are not released", "Platen reads a Secret only when it carries the label platen.dev/credentials: \"true\"."},
	"SecretKeyMissing":   {"Credentials are incomplete", "Press Connect again, or mend the Secret."},
	"SecretKeyInvalid":   {"Credentials are damaged", "Press Connect again, or mend the Secret."},
	"SecretUnreadable":   {"Credentials could not be read", "Platen tries again by itself."},
	"Unreachable":        {"Dropbox out of reach", "Platen asks again by itself; nothing is to be done."},
	"Unavailable":        {"Dropbox unavailable", "Platen asks again by itself; nothing is to be done."},
	"RateLimited":        {"Dropbox asks for patience", "Platen asks again by itself; nothing is to be done."},
}

// connectionWords tell how a connection is.
func connectionWords(c *platenv1alpha1.StorageConnection) words {
	ready := meta.FindStatusCondition(c.Status.Conditions, platenv1alpha1.ReadyCondition)
	switch {
	case ready == nil || c.Status.ObservedGeneration == nil || *c.Status.ObservedGeneration != c.Generation:
		return words{busy, "Checking", "Platen is asking Dropbox for the account."}
	case ready.Status == metav1.ConditionTrue && c.Spec.UploadPolicy == platenv1alpha1.UploadDisabled:
		return words{idle, "Switched off", "The account works, but uploadPolicy is Disabled: nothing is uploaded."}
	case ready.Status == metav1.ConditionTrue:
		return words{good, "Connected", ""}
	}
	how := bad
	if ready.Status == metav1.ConditionUnknown {
		how = warn
	}
	what, _, _ := strings.Cut(ready.Message, ": add") // the advice below says what to do
	return accountWords(how, ready.Reason, what)
}

// accountWords tell what is wrong with an account.
func accountWords(how tone, reason, message string) words {
	advice, ok := accountAdvice[reason]
	switch {
	case !ok:
		return words{how, "Not working", sentence(message)}
	case strings.HasPrefix(reason, "Secret") || reason == "MissingScope":
		return words{how, advice.title, sentence(message) + " " + advice.text} // the message names the key or the scope
	default:
		return words{how, advice.title, advice.text}
	}
}

// jobWords tell how far a job has come.
func jobWords(job *platenv1alpha1.RenderJob) words {
	ready := meta.FindStatusCondition(job.Status.Conditions, platenv1alpha1.ReadyCondition)
	if ready == nil || job.Status.ObservedGeneration == nil || *job.Status.ObservedGeneration != job.Generation {
		return words{busy, "Waiting to start", ""}
	}
	if retrying(job) {
		return words{busy, "Uploading again", "The pages are kept: nothing is rendered anew."}
	}
	switch ready.Reason {
	case platenv1alpha1.SucceededReason:
		return words{good, "Done", ""}
	case platenv1alpha1.SucceededWithWarningsReason:
		if uploadFailed(job) {
			return words{warn, "Rendered, not uploaded", uploadText(job)}
		}
		return words{warn, "Done, with warnings", ""}
	case platenv1alpha1.QueuedReason:
		return words{busy, "Waiting to start", "A render pod takes it as soon as one is free."}
	case platenv1alpha1.RenderingReason:
		return words{busy, "Rendering", ""}
	case platenv1alpha1.UploadingReason:
		return words{busy, "Uploading", ""}
	case platenv1alpha1.RetryingReason:
		return words{busy, "Trying again", sentence(ready.Message)}
	case platenv1alpha1.SuspendedReason:
		return words{idle, "Suspended", "It starts when spec.suspend is set to false."}
	case platenv1alpha1.TemplateNotFoundReason, platenv1alpha1.SourceNotFoundReason:
		return words{warn, "Waiting", sentence(ready.Message)}
	case platenv1alpha1.InvalidSpecReason, platenv1alpha1.InvalidModificationsReason:
		return words{bad, "Cannot be rendered", sentence(ready.Message) + " Correct it and render again."}
	case platenv1alpha1.DeadlineExceededReason:
		return words{bad, "Took too long", sentence(ready.Message) + " Look for what the page waits for, such as a picture that does not load."}
	}
	if ready.Status == metav1.ConditionFalse {
		return words{bad, "Failed", sentence(ready.Message)}
	}
	return words{busy, "Working", sentence(ready.Message)}
}

// uploadText says what to do about an upload that failed.
func uploadText(job *platenv1alpha1.RenderJob) string {
	uploaded := meta.FindStatusCondition(job.Status.Conditions, platenv1alpha1.UploadedCondition)
	switch uploaded.Reason {
	case "TokenExpired", "InvalidCredentials", "MissingScope", "SecretNotFound", "SecretNotLabelled", "SecretKeyMissing", "SecretKeyInvalid":
		return "The pages are kept. Connect the account again under Storage, then try the upload again."
	case "InsufficientSpace":
		return "The pages are kept. Make room in the account, then try the upload again."
	case platenv1alpha1.ConnectionNotFoundReason:
		return "The pages are kept. Connect an account under Storage, then try the upload again."
	default:
		return "The pages are kept, and the upload can be tried again."
	}
}

// uploadFailed tells whether an upload of a finished job failed, so that it can be tried again.
func uploadFailed(job *platenv1alpha1.RenderJob) bool {
	return job.Finished() && meta.IsStatusConditionFalse(job.Status.Conditions, platenv1alpha1.UploadedCondition)
}

// retrying tells whether another try was asked for that the manager has not made yet.
func retrying(job *platenv1alpha1.RenderJob) bool {
	asked := job.Annotations[platenv1alpha1.RetryUploadsAnnotation]
	return uploadFailed(job) && asked != "" && asked != job.Status.LastHandledRetryUploads
}

// label makes a parameter's name readable: subTitle and sub_title become Sub title.
func label(name string) string {
	var b strings.Builder
	previous := rune(0)
	for _, r := range name {
		switch {
		case r == '_' || r == '-':
			r = ' '
		case unicode.IsUpper(r) && unicode.IsLower(previous):
			b.WriteRune(' ')
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
		previous = r
	}
	text := strings.TrimSpace(b.String())
	if text == "" {
		return name
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// bytes tells a size as people do: 1.9 MB.
func bytes(n int64) string {
	const step = 1000
	if n < step {
		return plural(int(n), "byte")
	}
	value, unit := float64(n), 0
	for ; value >= step && unit < len("kMGTP"); unit++ {
		value /= step
	}
	digits := 1
	if value >= 100 {
		digits = 0
	}
	return fmt.Sprintf("%.*f %cB", digits, value, "kMGTP"[unit-1])
}

// ago tells how long something is past.
func ago(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return plural(int(d/time.Minute), "minute") + " ago"
	case d < day:
		return plural(int(d/time.Hour), "hour") + " ago"
	default:
		return plural(int(d/day), "day") + " ago"
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
