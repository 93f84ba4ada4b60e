// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/plural"
	"github.com/platen-dev/platen/internal/storage"
)

// tone is the severity of a state. The style sheet has a colour and a sign for each.
type tone string

const (
	good tone = "good"
	busy tone = "busy"
	warn tone = "warn"
	bad  tone = "bad"
	idle tone = "idle"
)

// words describe a state to a person.
type words struct {
	Tone tone
	// Title is the state in two or three words.
	Title string
	// Text says what happened and what to do; empty if there is nothing to do.
	Text string
}

// connectionWords describes the state of a connection.
func connectionWords(c *platenv1alpha1.StorageConnection) words {
	ready := meta.FindStatusCondition(c.Status.Conditions, platenv1alpha1.ReadyCondition)
	switch {
	case ready == nil || c.Status.ObservedGeneration == nil || *c.Status.ObservedGeneration != c.Generation:
		return words{busy, "Checking", "Platen is asking the service whether the connection works."}
	case c.Spec.Provider != platenv1alpha1.ProviderDropbox && verifying(c): // what Dropbox says, the page asks itself
		return words{busy, "Checking", "Platen is asking the service whether the connection works."}
	case ready.Status == metav1.ConditionTrue && c.Spec.UploadPolicy == platenv1alpha1.UploadDisabled:
		return words{idle, "Switched off", "The connection works, but uploadPolicy is Disabled: nothing is uploaded."}
	case ready.Status == metav1.ConditionTrue:
		return words{good, "Connected", ""}
	}
	severity := bad
	if ready.Status == metav1.ConditionUnknown {
		severity = warn
	}
	advice := storage.Reason(ready.Reason).Advice(string(c.Spec.Provider))
	return words{severity, cmp.Or(advice.Title, "Not working"), sentence(ready.Message)}
}

// verifying reports whether somebody has asked for a verification that has not happened yet.
func verifying(c *platenv1alpha1.StorageConnection) bool {
	asked, handled := c.Annotations[platenv1alpha1.VerifyAnnotation], c.Status.LastHandledVerify
	return asked != "" && (handled == "" || !strings.HasPrefix(asked, handled))
}

// jobWords describes the state of a job.
func jobWords(job *platenv1alpha1.RenderJob) words {
	ready := meta.FindStatusCondition(job.Status.Conditions, platenv1alpha1.ReadyCondition)
	if ready == nil || !job.Observed() {
		return words{busy, "Waiting to start", ""}
	}
	if retrying(job) {
		return words{busy, "Uploading again", "The pages are kept and are not rendered again."}
	}
	switch ready.Reason {
	case platenv1alpha1.SucceededReason:
		return words{good, "Done", ""}
	case platenv1alpha1.SucceededWithWarningsReason:
		if uploadFailed(job) {
			title := "Rendered, not uploaded"
			if partlyUploaded(job) {
				title = "Rendered, partly uploaded"
			}
			return words{warn, title, uploadText(job)}
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
	case platenv1alpha1.CanceledReason:
		return words{idle, "Canceled", "It is rendered after all when spec.suspend is set to false."}
	case platenv1alpha1.TemplateNotFoundReason, platenv1alpha1.SourceNotFoundReason, platenv1alpha1.FontSetNotFoundReason,
		platenv1alpha1.PodForbiddenReason, platenv1alpha1.ImagePullFailedReason, platenv1alpha1.ContainerStartFailedReason:
		return words{warn, "Waiting", sentence(ready.Message)}
	case platenv1alpha1.InvalidSpecReason, platenv1alpha1.InvalidModificationsReason:
		return words{bad, "Cannot be rendered", sentence(ready.Message) + " Correct it and render again."}
	case platenv1alpha1.DeadlineExceededReason:
		if strings.HasPrefix(ready.Message, "at the deadline, ") { // says itself what takes the time
			return words{bad, "Took too long", sentence(ready.Message)}
		}
		return words{bad, "Took too long", sentence(ready.Message) + " Check what the page waits for, such as a script that does not end or a picture that does not load."}
	}
	if ready.Status == metav1.ConditionFalse {
		return words{bad, "Failed", sentence(ready.Message)}
	}
	return words{busy, "Working", sentence(ready.Message)}
}

// onPage says what concerns uploads in the words of the page, which has no field for a conflict policy.
var onPage = strings.NewReplacer(
	storage.PolicyHelps, "another file name helps",
	storage.KeptByPolicy, "the connection keeps files that are there; another file name makes a new one",
).Replace

// pagesKept begins what is said of a failed upload.
const pagesKept = "The pages are kept."

// uploadText says what to do about a failed upload.
func uploadText(job *platenv1alpha1.RenderJob) string {
	uploaded := meta.FindStatusCondition(job.Status.Conditions, platenv1alpha1.UploadedCondition)
	provider := ""
	for _, c := range job.Status.Connections {
		if c.Status == platenv1alpha1.UploadError {
			provider = string(c.Provider)
			break
		}
	}
	return pagesKept + " " + cmp.Or(onPage(storage.Reason(uploaded.Reason).Advice(provider).Do), "The upload can be retried.")
}

// uploadFailed tells whether an upload of a finished job failed and can be retried.
func uploadFailed(job *platenv1alpha1.RenderJob) bool {
	return job.Finished() && meta.IsStatusConditionFalse(job.Status.Conditions, platenv1alpha1.UploadedCondition)
}

// partlyUploaded tells whether one of the job's connections has a file.
func partlyUploaded(job *platenv1alpha1.RenderJob) bool {
	return slices.ContainsFunc(job.Status.Connections, func(c platenv1alpha1.JobConnectionStatus) bool {
		return c.Status == platenv1alpha1.UploadSuccess ||
			slices.ContainsFunc(c.Pages, func(p platenv1alpha1.UploadedPage) bool { return p.Path != "" })
	})
}

// retrying tells whether the manager still has to handle a request to retry the uploads.
func retrying(job *platenv1alpha1.RenderJob) bool {
	requested := job.Annotations[platenv1alpha1.RetryUploadsAnnotation]
	return uploadFailed(job) && requested != "" && requested != job.Status.LastHandledRetryUploads
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

// ago returns an age in words, such as 3 hours ago.
func ago(d time.Duration) string {
	if d < time.Minute {
		return "just now"
	}
	return inWords(d) + " ago"
}

// ahead returns in words when something is to be, such as in 3 hours.
func ahead(d time.Duration) string {
	if d < time.Minute {
		return "within a minute"
	}
	return "in " + inWords(d.Round(time.Minute))
}

// inWords returns a duration of at least a minute, such as 3 hours.
func inWords(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Hour:
		return plural.Count(int(d/time.Minute), "minute")
	case d < day:
		return plural.Count(int(d/time.Hour), "hour")
	default:
		return plural.Count(int(d/day), "day")
	}
}
