// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"net/url"
	"strconv"
)

// Condition types. Ready, Reconciling and Stalled follow kstatus
// (https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md): Reconciling and Stalled exist only while
// they are true.
const (
	// ReadyCondition is True when a job succeeded or a connection works, False when it failed, and Unknown until Platen knows. It is
	// always present.
	ReadyCondition = "Ready"
	// ReconcilingCondition is True while Platen works on the object or waits for something. Absent otherwise.
	ReconcilingCondition = "Reconciling"
	// StalledCondition is True when a user must act. Absent otherwise.
	StalledCondition = "Stalled"
	// RenderedCondition is True when every page is in the content store, Unknown before, False when rendering failed.
	RenderedCondition = "Rendered"
	// UploadedCondition is True when every file has reached every connection, Unknown before, False when an upload failed. Absent
	// when there is nothing to upload. A file that conflictPolicy Keep has kept in place of the job's counts as the job's.
	UploadedCondition = "Uploaded"
	// FinishedCondition is True when a job has ended, whether it succeeded or failed, so that
	// `kubectl wait --for=condition=Finished` returns either way. False before.
	FinishedCondition = "Finished"
)

// Reasons of a RenderJob's Ready, Rendered, Uploaded and Finished conditions.
const (
	// SucceededReason means that all pages are rendered, and uploaded to every connection of the job.
	SucceededReason = "Succeeded"
	// SucceededWithWarningsReason means that all pages are rendered and that status.warnings lists problems.
	SucceededWithWarningsReason = "SucceededWithWarnings"
	// FailedReason means that the render failed and will not be retried.
	FailedReason = "Failed"
	// QueuedReason means that the job waits for a render pod.
	QueuedReason = "Queued"
	// RenderingReason means that a render pod works on the job.
	RenderingReason = "Rendering"
	// UploadingReason means that the pages are rendered and on their way to the connections.
	UploadingReason = "Uploading"
	// RetryingReason means that an attempt failed and that another will follow.
	RetryingReason = "Retrying"
	// QuotaExceededReason means that a ResourceQuota refuses more render pods; the job waits for room.
	QuotaExceededReason = "QuotaExceeded"
	// PodForbiddenReason means that the API server refuses render pods in the namespace; the job waits until it takes them.
	PodForbiddenReason = "PodForbidden"
	// UnschedulableReason means that no node has room for a render pod; the job waits for one.
	UnschedulableReason = "Unschedulable"
	// ImagePullFailedReason means that a node cannot pull the image of render pods; the job waits until one can.
	ImagePullFailedReason = "ImagePullFailed"
	// ContainerStartFailedReason means that a node cannot start the container of a render pod, such as for want of the seccomp profile that the
	// RenderPool names; the job waits until one can.
	ContainerStartFailedReason = "ContainerStartFailed"
	// ContentStoreFullReason means that the content store, or the namespace's share of it, has no room; the job waits for room.
	ContentStoreFullReason = "ContentStoreFull"
	// ContentStoreUnavailableReason means that the content store cannot be reached, or takes or gives no files; the job waits until it does.
	ContentStoreUnavailableReason = "ContentStoreUnavailable"
	// SuspendedReason means that spec.suspend is true.
	SuspendedReason = "Suspended"
	// CanceledReason means that the job was canceled while it was suspended.
	CanceledReason = "Canceled"
	// TemplateNotFoundReason means that spec.templateRef names no RenderTemplate; the job waits for it.
	TemplateNotFoundReason = "TemplateNotFound"
	// SourceNotFoundReason means that a ConfigMap or its key is missing, or that the file at a FontSet's URL cannot be fetched; the job waits for it.
	SourceNotFoundReason = "SourceNotFound"
	// FontSetNotFoundReason means that the template's spec.fontSetRefs name a FontSet that does not exist; the job waits for it.
	FontSetNotFoundReason = "FontSetNotFound"
	// InvalidFontReason means that a file of a FontSet is no font that pages can use.
	InvalidFontReason = "InvalidFont"
	// InvalidSpecReason means that the job's spec does not fit its template.
	InvalidSpecReason = "InvalidSpec"
	// InvalidModificationsReason means that a modification does not fit the template's parameters.
	InvalidModificationsReason = "InvalidModifications"
	// RenderFailedReason means that the browser could not render the page.
	RenderFailedReason = "RenderFailed"
	// DeadlineExceededReason means that the render took longer than spec.timeoutSeconds.
	DeadlineExceededReason = "DeadlineExceeded"
	// BackoffLimitExceededReason means that render pods were lost more often than spec.backoffLimit.
	BackoffLimitExceededReason = "BackoffLimitExceeded"
	// StatusTooLargeReason means that the job is so large that the API server stores no status with it.
	StatusTooLargeReason = "StatusTooLarge"
)

// Reasons of the Ready condition of a RenderTemplate and of a FontSet, besides SourceNotFound, FontSetNotFound and InvalidFont.
const (
	// ValidReason means that nothing is wrong with the object.
	ValidReason = "Valid"
	// ValidWithWarningsReason means that jobs can use the object and that status.warnings lists what is seldom meant.
	ValidWithWarningsReason = "ValidWithWarnings"
)

// Reasons of a RenderTemplate's Ready condition alone.
const (
	// InvalidParametersReason means that a parameter has a default that its type does not take: every job without a value for it fails.
	InvalidParametersReason = "InvalidParameters"
	// TemplateIDTakenReason means that another template of the namespace has the same spec.templateID: REST clients meet one of them.
	TemplateIDTakenReason = "TemplateIDTaken"
)

// PendingReason is the reason of the Ready condition of an object that Platen has not seen yet: a default of its status.
const PendingReason = "Pending"

// VerifiedReason is the reason of a StorageConnection that is Ready: the account answered and the default folder exists. Any other reason
// is that of a storage failure, such as TokenExpired.
const VerifiedReason = "Verified"

// CredentialsLabel marks a Secret that a StorageConnection or a FontSet may read; its value must be "true".
const CredentialsLabel = "platen.dev/credentials"

// CanceledAnnotation on a RenderJob whose spec.suspend is true says that nobody will resume it. The job then finishes with the reason
// Canceled, and its time to live begins. REST gives it the time of the cancellation; any value does, also an empty one.
const CanceledAnnotation = "platen.dev/canceled"

// PreviewLabel marks a RenderJob that only shows somebody how a template looks, with the value "true". The web page lists it apart from
// other jobs, and kubectl platen lists it not at all.
const PreviewLabel = "platen.dev/preview"

// RefusedTTLAnnotation on a RenderJob is how long the job is kept, in seconds, after it has finished with the reason InvalidSpec or
// InvalidModifications, if spec.ttlSecondsAfterFinished does not delete it earlier. Other values than a whole number from 0 are ignored.
const RefusedTTLAnnotation = "platen.dev/refused-ttl-seconds"

// ResponseTypeAnnotation on a RenderJob holds the response.type of the REST request that it is of, such as url. Other jobs have none.
const ResponseTypeAnnotation = "platen.dev/response-type"

// RetryUploadsAnnotation on a RenderJob asks Platen to retry its failed uploads, from the content store and without rendering. Each new
// value asks once; status.lastHandledRetryUploads is the last value that was handled.
const RetryUploadsAnnotation = "platen.dev/retry-uploads"

// TraceparentAnnotation on a RenderJob has the span that the job is from, as in the header traceparent of https://www.w3.org/TR/trace-context/.
// The job's spans belong to its trace. Anything else than such a value is ignored.
const TraceparentAnnotation = "platen.dev/traceparent"

// VerifyAnnotation on a StorageConnection asks Platen to verify it now. Each new value asks once; status.lastHandledVerify is the last value
// that was handled.
const VerifyAnnotation = "platen.dev/verify"

// WebhookURLAnnotation on a RenderJob is the http or https URL that the shim calls when the job has ended.
const WebhookURLAnnotation = "platen.dev/webhook-url"

// WebhookProblem returns why a job's webhook cannot be called, whatever its receiver does; empty if it has none, or one that can.
func (j *RenderJob) WebhookProblem() string {
	hook := j.Annotations[WebhookURLAnnotation]
	if hook == "" {
		return ""
	}
	if problem := WebhookURLProblem(hook); problem != "" {
		return "the webhook " + problem
	}
	return ""
}

// WebhookURLProblem returns what a URL must be or have, so that a webhook can call it; empty if it is and has all.
func WebhookURLProblem(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "must be an http or https URL"
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "must have a port from 1 to 65535"
		}
	}
	return ""
}
