// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/webhook"
)

// Warning is a problem that did not stop the render.
type Warning struct {
	Title   string `json:"title" required:"true"`
	Details string `json:"details" required:"true"`
}

// OnePage is the result of a render of one file.
type OnePage struct {
	Data        Data         `json:"data" required:"true"`
	Warnings    []Warning    `json:"warnings,omitempty"`
	Connections []Connection `json:"connections,omitempty" description:"The uploads; missing if there is no connection."`
}

// Data is the file of a OnePage.
type Data struct {
	Content      string  `json:"content" required:"true" description:"A URL, or a data URL if type is base64."`
	Type         string  `json:"type" required:"true" enum:"url,base64"`
	Format       string  `json:"format" required:"true"`
	ResponseTime float64 `json:"responseTime" required:"true" description:"Duration of the render in milliseconds."`

	ExtraSizes []ExtraSize `json:"extraSizes,omitempty" description:"The picture in each of response.extraSizes."`
}

// ExtraSize is a picture in one of response.extraSizes.
type ExtraSize struct {
	Name    string `json:"name,omitempty" description:"The name that the request gives the size."`
	Size    string `json:"size" required:"true"`
	Width   int32  `json:"width" required:"true" description:"Pixels of the picture."`
	Height  int32  `json:"height" required:"true"`
	Content string `json:"content" required:"true" description:"A URL, or a data URL if type is base64."`
}

// ManyPages is the result of a render of several files.
type ManyPages struct {
	Data          []PageData   `json:"data" required:"true" nullable:"false"`
	Format        string       `json:"format" required:"true"`
	Type          string       `json:"type" required:"true" enum:"url,base64"`
	ResponseTime  float64      `json:"responseTime" required:"true" description:"Duration of the render in milliseconds."`
	TotalPages    int          `json:"totalPages" required:"true" description:"Pages of the template."`
	RenderedPages int          `json:"renderedPages" required:"true"`
	Warnings      []Warning    `json:"warnings,omitempty"`
	Connections   []Connection `json:"connections,omitempty" description:"The uploads; missing if there is no connection."`
}

// PageData is one file of ManyPages.
type PageData struct {
	Page    int32  `json:"page" required:"true"`
	PageID  string `json:"pageId" required:"true"`
	Content string `json:"content" required:"true" description:"A URL, or a data URL if type is base64."`

	ExtraSizes []ExtraSize `json:"extraSizes,omitempty" description:"The page in each of response.extraSizes."`
}

// Connection is the result of an upload.
type Connection struct {
	Type     string `json:"type" required:"true" enum:"storage"`
	Provider string `json:"provider" required:"true" enum:"dropbox,s3,gcs,azureblob"`
	Name     string `json:"name,omitempty" description:"The StorageConnection, if the job has several to the provider. Not in the public API."`
	Path     Path   `json:"path" required:"true"`
	Status   string `json:"status" required:"true" enum:"success,error,pending"`
	Error    string `json:"error,omitempty" description:"Why the upload failed."`

	ExtraSizes []SizePath `json:"extraSizes,omitempty" description:"Where the files of response.extraSizes are."`
}

// SizePath is the path of a file of an extra size.
type SizePath struct {
	Page int32  `json:"page" required:"true"`
	Size string `json:"size" required:"true"`
	Path string `json:"path" required:"true"`
}

// Path is where the files are: a string for one file, a list of PagePath for several, null if the upload failed.
type Path struct {
	One  string
	Many []PagePath
}

// MarshalJSON implements json.Marshaler.
func (p Path) MarshalJSON() ([]byte, error) {
	switch {
	case p.Many != nil:
		return json.Marshal(p.Many)
	case p.One != "":
		return json.Marshal(p.One)
	default:
		return []byte("null"), nil
	}
}

// JSONSchemaBytes implements jsonschema.RawExposer.
func (Path) JSONSchemaBytes() ([]byte, error) {
	return []byte(`{"type":["string","array","null"],"description":"A string for one file, a list for several, null if the upload failed.",
		"items":{"type":"object","required":["page","path"],"properties":{"page":{"type":"integer"},"path":{"type":"string"}}}}`), nil
}

// PagePath is the path of one of several files.
type PagePath struct {
	Page int32  `json:"page"`
	Path string `json:"path"`
}

// Job is the state of a render.
type Job struct {
	ID        string            `json:"id" required:"true" description:"Name of the RenderJob."`
	Status    string            `json:"status" required:"true" enum:"queued,processing,succeeded,failed,canceled"`
	Finished  bool              `json:"finished" required:"true"`
	Self      string            `json:"self" required:"true" description:"Path of this answer."`
	CreatedAt time.Time         `json:"created_at" required:"true"`
	Result    any               `json:"result,omitempty" description:"The answer of a synchronous request: OnePage or ManyPages."`
	Metadata  any               `json:"metadata,omitempty" description:"The metadata of the request."`
	Warnings  []Warning         `json:"warnings,omitempty" description:"The warnings about the request, until result has them."`
	Error     string            `json:"error,omitempty" description:"Why the render failed, or what a queued job waits for."`
	ErrorCode string            `json:"error_code,omitempty" description:"The reason of the job's Ready condition."`
	Webhook   *webhook.Delivery `json:"webhook,omitempty" description:"The state of the webhook."`
}

// The values of Job.Status, as the public API has them.
const (
	queued     = "queued"
	processing = "processing"
	succeeded  = "succeeded"
	failed     = "failed"
	canceled   = "canceled"
)

// status returns the public API's status of a job.
func status(job *platenv1alpha1.RenderJob) string {
	ready := meta.FindStatusCondition(job.Status.Conditions, platenv1alpha1.ReadyCondition)
	switch {
	case job.Canceled():
		return canceled
	case job.Finished():
		if _, _, bad := failure(job); bad {
			return failed
		}
		return succeeded
	case ready != nil && (ready.Reason == platenv1alpha1.RenderingReason || ready.Reason == platenv1alpha1.UploadingReason):
		return processing
	default:
		return queued
	}
}

// failure returns why a finished job failed. bad is false if it did not.
func failure(job *platenv1alpha1.RenderJob) (reason, message string, bad bool) {
	if meta.IsStatusConditionTrue(job.Status.Conditions, platenv1alpha1.RenderedCondition) {
		return "", "", false
	}
	if ready := meta.FindStatusCondition(job.Status.Conditions, platenv1alpha1.ReadyCondition); ready != nil {
		return ready.Reason, inRequestWords(ready.Message), true
	}
	return platenv1alpha1.FailedReason, "the render failed", true
}

// describe returns a Job without its result.
func describe(job *platenv1alpha1.RenderJob) Job {
	body := Job{ID: job.Name, Status: status(job), Self: "/v1/studio/render-jobs/" + job.Name, CreatedAt: job.CreationTimestamp.UTC(), Metadata: metadata(job)}
	if body.Status != succeeded {
		body.Warnings = requestWarnings(job)
	}
	ready := meta.FindStatusCondition(job.Status.Conditions, platenv1alpha1.ReadyCondition)
	switch body.Status {
	case succeeded:
		body.Finished = true
	case failed:
		body.Finished = true
		body.ErrorCode, body.Error, _ = failure(job)
	case canceled:
		body.Finished = true
		body.ErrorCode, body.Error = "Canceled", "the job was canceled"
	default:
		if job.Suspended() {
			body.ErrorCode, body.Error = platenv1alpha1.SuspendedReason, "the job is suspended: it starts when spec.suspend of its RenderJob is set to false"
			break
		}
		// A missing template, FontSet or ConfigMap is worth a message; a render pod that starts is not.
		missing := []string{platenv1alpha1.TemplateNotFoundReason, platenv1alpha1.FontSetNotFoundReason, platenv1alpha1.SourceNotFoundReason}
		if ready != nil && slices.Contains(missing, ready.Reason) {
			body.ErrorCode, body.Error = ready.Reason, inRequestWords(ready.Message)
		}
	}
	return body
}

// report returns a Job with its result. Its files are URLs.
func report(job *platenv1alpha1.RenderJob) Job {
	body := describe(job)
	if body.Status == succeeded {
		body.Result = answer(job, typeURL, urls(job))
	}
	return body
}

// Ended tells whether a job has succeeded, failed or been canceled.
func Ended(job *platenv1alpha1.RenderJob) bool { return describe(job).Finished }

// Event is the body of a webhook. Some receivers look for the job itself, others for the job in an event.
type Event struct {
	Event string `json:"event"`
	Job
	Again Job `json:"job"`
}

// WebhookBody returns the body of a webhook: that of GET /v1/studio/render-jobs/{id}, with URLs, and the same as an event.
func WebhookBody(job *platenv1alpha1.RenderJob) ([]byte, error) {
	body := report(job)
	return encode(Event{"render_job.finished", body, body})
}

// WebhookKey returns the key that signs a workspace's webhooks.
func WebhookKey(derive func(purpose string) []byte, namespace string) []byte {
	return derive("webhook " + namespace)
}

func urls(job *platenv1alpha1.RenderJob) []string {
	list := make([]string, 0, len(job.Status.Pages))
	for _, page := range job.Status.Pages {
		list = append(list, page.ContentURL)
	}
	return list
}

// unknownConnection matches the warning about a connection that a job names and that does not exist. The title of the public API's does not name
// it, so the details do.
var unknownConnection = regexp.MustCompile(`^(.* connection) '[^']*'( not found for this workspace)$`)

// answer returns the body for a finished job. contents holds the URL or data URL of each file. The body depends on the job alone, so
// that a repeated request gets the same answer.
func answer(job *platenv1alpha1.RenderJob, kind string, contents []string) any {
	var milliseconds float64
	if took := job.Status.RenderMilliseconds; took != nil {
		milliseconds = float64(*took)
	}
	format, files := string(job.Status.Format), pictures(job, contents)
	if len(files) == 1 {
		data := Data{Content: files[0].Content, Type: kind, Format: format, ResponseTime: milliseconds, ExtraSizes: files[0].ExtraSizes}
		return OnePage{data, warnings(job), uploadsOf(job, false)}
	}
	body := ManyPages{
		Data: files, Format: format, Type: kind, ResponseTime: milliseconds, TotalPages: len(files), RenderedPages: len(files),
		Warnings: warnings(job), Connections: uploadsOf(job, true),
	}
	if n := job.Status.TotalPages; n != nil {
		body.TotalPages = int(*n)
	}
	if n := job.Status.RenderedPages; n != nil {
		body.RenderedPages = int(*n)
	}
	return body
}

// warnings returns the warnings about the request and those of its job, in the words of the request.
func warnings(job *platenv1alpha1.RenderJob) []Warning {
	list := requestWarnings(job)
	if job.Annotations[platenv1alpha1.ResponseTypeAnnotation] == typeBase64 && tooLargeInline(job) {
		list = append(list, Warning{
			"Field 'response.type' was ignored: the files are too large for base64", fmt.Sprintf("they have more than %d bytes together, so content has URLs; binary has no such limit", maxInline),
		})
	}
	for _, w := range job.Status.Warnings {
		title := unknownConnection.ReplaceAllString(w.Title, "$1$2")
		list = append(list, Warning{inRequestWords(title), inRequestWords(ptr.Deref(w.Details, ""))})
	}
	return list
}

// pictures returns the files of a job with their contents: one for each page, with its extra sizes in the order of the request.
func pictures(job *platenv1alpha1.RenderJob, contents []string) (files []PageData) {
	type id struct {
		page int32
		size string
	}
	extra := map[id]int{}
	for i, f := range job.Status.Pages {
		if size := ptr.Deref(f.ExtraSize, ""); size != "" {
			extra[id{f.Page, size}] = i
			continue
		}
		files = append(files, PageData{Page: f.Page, PageID: f.PageID, Content: contents[i]})
	}
	for n := range files {
		for _, wanted := range extraSizes(job) {
			if i, ok := extra[id{files[n].Page, wanted.Size}]; ok {
				f := job.Status.Pages[i]
				files[n].ExtraSizes = append(files[n].ExtraSizes, ExtraSize{wanted.Name, wanted.Size, f.Width, f.Height, contents[i]})
			}
		}
	}
	return files
}

func uploadsOf(job *platenv1alpha1.RenderJob, several bool) (list []Connection) {
	providers := map[platenv1alpha1.ProviderType]int{}
	for _, c := range job.Status.Connections {
		providers[c.Provider]++
	}
	for _, c := range job.Status.Connections {
		entry := Connection{Type: string(c.Type), Provider: string(c.Provider), Status: string(c.Status), Error: inRequestWords(c.Error)}
		if providers[c.Provider] > 1 {
			entry.Name = c.Name
		}
		for _, p := range c.Pages {
			size := ptr.Deref(p.ExtraSize, "")
			switch {
			case c.Status != platenv1alpha1.UploadSuccess:
			case size != "":
				entry.ExtraSizes = append(entry.ExtraSizes, SizePath{p.Page, size, p.Path})
			case several:
				entry.Path.Many = append(entry.Path.Many, PagePath{p.Page, p.Path})
			default:
				entry.Path.One = p.Path
			}
		}
		list = append(list, entry)
	}
	return list
}
