// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Format is the kind of file that a job produces, and its extension.
// +kubebuilder:validation:Enum=png;jpg;jpeg;webp;avif;pdf;mp4;webm;gif
type Format string

const (
	// FormatPNG is a lossless picture, one file a page.
	FormatPNG Format = "png"
	// FormatJPG is a JPEG picture with the extension jpg, one file a page.
	FormatJPG Format = "jpg"
	// FormatWebP is a WebP picture, one file a page.
	FormatWebP Format = "webp"
	// FormatAVIF is an AVIF picture, one file a page.
	FormatAVIF Format = "avif"
	// FormatPDF is a PDF document, one file for all pages.
	FormatPDF Format = "pdf"
	// FormatMP4 is an H.264 video of animated pages.
	FormatMP4 Format = "mp4"
	// FormatWebM is a VP9 video of animated pages.
	FormatWebM Format = "webm"
	// FormatGIF is an animated GIF of animated pages.
	FormatGIF Format = "gif"
)

// CachePolicy says whether a job uses the render cache.
// +kubebuilder:validation:Enum=Enabled;Disabled
type CachePolicy string

const (
	// CacheEnabled lets the job have the files of an earlier render of the same, and later jobs have its own.
	CacheEnabled CachePolicy = "Enabled"
	// CacheDisabled renders the job whatever was rendered before, and keeps nothing for later jobs.
	CacheDisabled CachePolicy = "Disabled"
)

// ContentPolicy says what becomes of a job's files in the content store when the job is deleted.
// +kubebuilder:validation:Enum=Delete;Retain
type ContentPolicy string

const (
	// ContentDelete deletes the files with the job.
	ContentDelete ContentPolicy = "Delete"
	// ContentRetain keeps the files until their content URLs expire.
	ContentRetain ContentPolicy = "Retain"
)

// CacheResult says what the render cache did for a job.
// +kubebuilder:validation:Enum=Hit;Miss;Off
type CacheResult string

const (
	// CacheHit means that an earlier render has the files: nothing was rendered.
	CacheHit CacheResult = "Hit"
	// CacheMiss means that the job was rendered.
	CacheMiss CacheResult = "Miss"
	// CacheOff means that the job was rendered, because its spec or the manager does without the cache.
	CacheOff CacheResult = "Off"
)

// ConnectionType says what a connection of a job is for.
// +kubebuilder:validation:Enum=storage
type ConnectionType string

// ConnectionStorage uploads the job's files.
const ConnectionStorage ConnectionType = "storage"

// TemplateReference names a RenderTemplate in the same namespace.
type TemplateReference struct {
	// name of the RenderTemplate.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of a RenderTemplate: lower-case letters, digits, hyphens and dots, with a letter or a digit first and last"
	Name string `json:"name,omitempty"`
}

// ModificationsSource names an object that holds modifications. It cannot be a Secret, because a user who may create a job could then
// read the Secret in a picture.
type ModificationsSource struct {
	// configMapKeyRef names a ConfigMap key that holds a JSON or YAML object.
	// +required
	ConfigMapKeyRef ConfigMapKeySelector `json:"configMapKeyRef,omitempty,omitzero"`
}

// ColorMode says how a document describes colours.
// +kubebuilder:validation:Enum=rgb;cmyk
type ColorMode string

const (
	// ColorRGB describes colours in sRGB.
	ColorRGB ColorMode = "rgb"
	// ColorCMYK asks for the colours of a printing press.
	ColorCMYK ColorMode = "cmyk"
)

// PageTransition says how a page of a video gives way to the next.
// +kubebuilder:validation:Enum=none;fade
type PageTransition string

const (
	// TransitionNone cuts from page to page.
	TransitionNone PageTransition = "none"
	// TransitionFade dissolves the end of a page into the beginning of the next.
	TransitionFade PageTransition = "fade"
)

// PDFOptions say how a document is made.
// +kubebuilder:validation:XValidation:rule="!has(self.rangeFrom) || !has(self.rangeTo) || self.rangeFrom <= self.rangeTo",message="rangeFrom must be at most rangeTo"
type PDFOptions struct {
	// margin around each page: a number of px, or a length in px, pt, mm, cm or in, such as 1.5cm; less than 10000. The paper grows by it. px are
	// those of dpi; the other units are lengths on paper. Defaults to none.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	Margin NumberOrString `json:"margin,omitempty"`

	// rangeFrom is the first page that is printed, from 1. Defaults to the first.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=200
	RangeFrom int32 `json:"rangeFrom,omitempty"`

	// rangeTo is the last page that is printed. Defaults to the last.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=200
	RangeTo int32 `json:"rangeTo,omitempty"`

	// dpi is the number of CSS pixels in an inch of paper. Defaults to 96, as in CSS.
	// +optional
	// +kubebuilder:validation:Minimum=48
	// +kubebuilder:validation:Maximum=960
	DPI int32 `json:"dpi,omitempty"`

	// colorMode of the document: rgb or cmyk. Platen makes every document in rgb, and warns if cmyk is wanted. Defaults to rgb.
	// +optional
	ColorMode ColorMode `json:"colorMode,omitempty"`

	// title of the document. Defaults to the template's name.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	Title string `json:"title,omitempty"`
}

// PageSize is a size in CSS pixels: a width and a height of 1 to 5000, such as 1080x1080, or a well-known name, such as
// instagram-post.
// +kubebuilder:validation:MinLength=2
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]+(-[a-z0-9]+)*$')",message="must be a width and a height in CSS pixels, such as 1080x1080, or a name, such as instagram-post"
// +kubebuilder:validation:XValidation:rule="!self.matches('^[0-9]+x[0-9]+$') || self.matches('^0*([1-9][0-9]{0,2}|[1-4][0-9]{3}|5000)x0*([1-9][0-9]{0,2}|[1-4][0-9]{3}|5000)$')",message="width and height must be from 1 to 5000 CSS pixels"
type PageSize string

// VideoOptions say how animated pages become a video.
// +kubebuilder:validation:XValidation:rule="!has(self.pageTransition) || self.pageTransition == 'none' || (has(self.combinePages) && self.combinePages)",message="pageTransition needs combinePages"
type VideoOptions struct {
	// fps is frames per second, 1..30. Defaults to 30 for mp4 and webm, and to 15 for gif.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=30
	FPS int32 `json:"fps,omitempty"`

	// duration of each page in seconds, a decimal number from 0.1 to the manager's --max-video-duration (60 by default). Defaults to
	// the longest finite animation of the page, else to one round of the longest endless animation, else to 5.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	Duration NumberOrString `json:"duration,omitempty"`

	// trimStart is the time of each page at which its video begins, in seconds, a decimal number up to 3600. Defaults to 0.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	TrimStart NumberOrString `json:"trimStart,omitempty"`

	// trimEnd is the time of each page at which its video ends, in seconds, a decimal number that is more than trimStart. With it, duration does not count.
	// Defaults to
	// the time at which the page's video would end.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	TrimEnd NumberOrString `json:"trimEnd,omitempty"`

	// loop makes a gif repeat for ever. Defaults to true.
	// +optional
	Loop *bool `json:"loop,omitempty"`

	// combinePages joins the pages in one file, in order; they must have the same size. Defaults to false: one file a page.
	// +optional
	CombinePages *bool `json:"combinePages,omitempty"`

	// pageTransition says how a page gives way to the next in one file: none, or fade, in which the end of a page dissolves into the
	// beginning of the next; each fade shortens the video by its own length. Defaults to none.
	// +optional
	PageTransition PageTransition `json:"pageTransition,omitempty"`

	// pageTransitionDuration is the length of a transition in seconds, a decimal number from 0.1 to 2. It needs pageTransition. Defaults to 0.5.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	PageTransitionDuration NumberOrString `json:"pageTransitionDuration,omitempty"`
}

// OutputSpec says what files a job produces.
// +kubebuilder:validation:XValidation:rule="!has(self.pages) || !has(self.extraSizes) || self.pages.size() * (self.extraSizes.size() + 1) <= 200",message="pages in all of their sizes must be at most 200 files"
// +kubebuilder:validation:XValidation:rule="!has(self.pdf) || self.format == 'pdf'",message="pdf options need format pdf"
// +kubebuilder:validation:XValidation:rule="!has(self.video) || self.format in ['mp4', 'webm', 'gif']",message="video options need format mp4, webm or gif"
// +kubebuilder:validation:XValidation:rule="!has(self.extraSizes) || self.format in ['png', 'jpg', 'jpeg', 'webp', 'avif']",message="extraSizes need format png, jpg, jpeg, webp or avif"
// +kubebuilder:validation:XValidation:rule="!has(self.transparent) || !self.transparent || self.format in ['png', 'webp', 'avif']",message="transparent needs format png, webp or avif"
type OutputSpec struct {
	// format of the files: png, jpg, jpeg, webp, avif, pdf, mp4, webm or gif. Defaults to png.
	// +optional
	// +default="png"
	Format Format `json:"format,omitempty"`

	// fileName without extension; the format's own extension at its end is taken as such. Defaults to the job's name, whose end becomes a hash if it has more than 200 characters. Files are named `<fileName>.<format>`, or
	// `<fileName>_page_<N>.<format>` when there are several; files of an extra size have `_<size>` after the name.
	// +optional
	FileName FileName `json:"fileName,omitempty"`

	// scale is the number of picture pixels per CSS pixel, a decimal number from 0.1 to 10. Defaults to "1".
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +default="1"
	Scale NumberOrString `json:"scale,omitempty"`

	// size in which every page is laid out: `<width>x<height>` in CSS pixels or a name such as instagram-post. scale multiplies it.
	// Defaults to each page's own size.
	// +optional
	Size PageSize `json:"size,omitempty"`

	// extraSizes are further sizes in which every page is rendered, each in a file of its own. A job makes at most 200 files.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, a == b))",messageExpression="'each size must be named once, and ' + self.filter(a, !self.exists_one(b, a == b))[0] + ' is named twice'",message="each size must be named once"
	ExtraSizes []PageSize `json:"extraSizes,omitempty"`

	// quality of jpg, jpeg, webp, avif, mp4 and webm files, 1..100; webp and avif files are lossless at 100. Defaults to 90.
	// +optional
	// +default=90
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Quality int32 `json:"quality,omitempty"`

	// transparent leaves a png, webp or avif file transparent where the page paints no background. Defaults to false: white.
	// +optional
	// +default=false
	Transparent *bool `json:"transparent,omitempty"`

	// pdf options, for format pdf.
	// +optional
	// +nullable
	PDF PDFOptions `json:"pdf,omitempty,omitzero"`

	// video options, for formats mp4, webm and gif.
	// +optional
	// +nullable
	Video VideoOptions `json:"video,omitempty,omitzero"`

	// pages to render, numbered from 1, in the order of the template. Defaults to every page of the template.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=200
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, a == b))",message="each page must be named once"
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=200
	Pages []int32 `json:"pages,omitempty"`
}

// JobConnection names a StorageConnection that receives the job's files.
type JobConnection struct {
	// type of the connection; must be storage.
	// +required
	Type ConnectionType `json:"type,omitempty"`

	// provider of the connection.
	// +required
	Provider ProviderType `json:"provider,omitempty"`

	// name of the StorageConnection. When it is empty, Platen uses the namespace's first connection to the provider, by name,
	// that is not disabled.
	// +optional
	// +kubebuilder:validation:MinLength=0
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of a StorageConnection: lower-case letters, digits, hyphens and dots, with a letter or a digit first and last"
	Name *string `json:"name,omitempty"`

	// folder that receives the files. It is created when missing. Defaults to the connection's default folder.
	// +optional
	Folder FolderPath `json:"folder,omitempty"`
}

// RenderJobSpec says what is rendered, to which files, and where they go. A changed field that changes the files renders again; one that
// changes only where they go uploads again; any other does neither.
type RenderJobSpec struct {
	// templateRef names the template.
	// +required
	TemplateRef TemplateReference `json:"templateRef,omitempty,omitzero"`

	// modifications is a flat JSON object: a value for each parameter, and the special keys canvasBackgroundColor,
	// canvasBackgroundImage, `<id>.<style>`, `<id>.href` and `page2@<key>` for one page only.
	// +optional
	// +nullable
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Type=object
	Modifications *apiextensionsv1.JSON `json:"modifications,omitempty"`

	// modificationsFrom are sources of modifications, read in order. spec.modifications overrides them.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	ModificationsFrom []ModificationsSource `json:"modificationsFrom,omitempty"`

	// output says what files are produced.
	// +optional
	// +default={}
	Output OutputSpec `json:"output,omitempty,omitzero"`

	// connections that receive the files. When it is absent, every connection of the namespace whose uploadPolicy is Automatic
	// receives them, at most 64. An empty list means no upload. Otherwise exactly these receive them. Two entries must not have the same
	// provider and name: for two folders of a connection, create two jobs.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4
	// +kubebuilder:validation:XValidation:rule="self.all(c, self.exists_one(d, d.provider == c.provider && (has(d.name) ? d.name : '') == (has(c.name) ? c.name : '')))",message="each connection must be named once: no two entries may have the same provider and name; for two folders of a connection, create two jobs"
	Connections []JobConnection `json:"connections,omitzero"`

	// timeoutSeconds bounds the rendering of one attempt, from the moment a render pod takes it. The manager's flag
	// --max-timeout bounds it, by default to an hour. Defaults to 300.
	// +optional
	// +default=300
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	TimeoutSeconds int32 `json:"timeoutSeconds,omitempty"`

	// uploadTimeoutSeconds bounds the uploads, from the moment the files are rendered. A file that is not uploaded by then becomes a
	// warning. Defaults to 600.
	// +optional
	// +default=600
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	UploadTimeoutSeconds int32 `json:"uploadTimeoutSeconds,omitempty"`

	// backoffLimit is how often a render is retried after its pod was lost or its browser crashed. A fault of the template or of the
	// modifications is not retried. Defaults to 2.
	// +optional
	// +default=2
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10
	BackoffLimit *int32 `json:"backoffLimit,omitempty"`

	// priority of the job among those that wait in its namespace: a higher one renders first, and of two equal ones the older. Defaults
	// to 0.
	// +optional
	// +default=0
	// +kubebuilder:validation:Minimum=-1000
	// +kubebuilder:validation:Maximum=1000
	Priority *int32 `json:"priority,omitempty"`

	// ttlSecondsAfterFinished deletes the job this long after it finished, and its content unless contentPolicy is Retain. It is ignored on
	// objects that Flux or Argo CD track, because they would create the job again. Defaults to never.
	// +optional
	// +kubebuilder:validation:Minimum=0
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`

	// contentPolicy says what becomes of the job's files in the content store once the job is deleted, whoever deletes it. Delete deletes
	// them too. Retain keeps those that status shows until their content URLs expire or the namespace is deleted. Defaults to Delete.
	// +optional
	ContentPolicy ContentPolicy `json:"contentPolicy,omitempty"`

	// cache says whether the job may have the files of an earlier job of the namespace with the same pages, values and output options,
	// and whether later jobs may have its own. Disabled does neither. Defaults to Enabled.
	// +optional
	// +default="Enabled"
	Cache CachePolicy `json:"cache,omitempty"`

	// suspend keeps the job from starting, and stops it when it runs. Defaults to false.
	// +optional
	// +default=false
	Suspend *bool `json:"suspend,omitempty"`
}

// RenderedPage is one file in the content store.
type RenderedPage struct {
	// page is the number of the page in the template, from 1. A file of several pages has the number of its first page.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=200
	Page int32 `json:"page,omitempty"`

	// extraSize is the entry of spec.output.extraSizes that the file was rendered in; empty for the page's own size.
	// +optional
	// +default=""
	// +kubebuilder:validation:MinLength=0
	// +kubebuilder:validation:MaxLength=32
	ExtraSize *string `json:"extraSize,omitempty"`

	// pageID is the template page's id.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=36
	PageID string `json:"pageID,omitempty"`

	// contentURL serves the file until the URL expires. Absent once the content store does not keep the file any more.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	ContentURL string `json:"contentURL,omitempty"`

	// size of the file in bytes.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Size *int64 `json:"size,omitempty"`

	// sha256 of the file, in hexadecimal.
	// +optional
	// +kubebuilder:validation:MinLength=64
	// +kubebuilder:validation:MaxLength=64
	SHA256 string `json:"sha256,omitempty"`

	// width of the picture in pixels; for a PDF, of its first page in CSS pixels.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Width int32 `json:"width,omitempty"`

	// height of the picture in pixels; for a PDF, of its first page in CSS pixels.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Height int32 `json:"height,omitempty"`
}

// UploadStatus is how an upload ended.
// +kubebuilder:validation:Enum=success;error;pending
type UploadStatus string

const (
	// UploadSuccess means that every file is at its path, or conflictPolicy Keep has kept another one there.
	UploadSuccess UploadStatus = "success"
	// UploadError means that at least one file could not be uploaded.
	UploadError UploadStatus = "error"
	// UploadPending means that the upload has not ended.
	UploadPending UploadStatus = "pending"
)

// UploadedPage is one file in the storage service.
type UploadedPage struct {
	// page is the number of the page in the template, from 1. A file of several pages has the number of its first page.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=200
	Page int32 `json:"page,omitempty"`

	// extraSize is the entry of spec.output.extraSizes that the file was rendered in; empty for the page's own size.
	// +optional
	// +default=""
	// +kubebuilder:validation:MinLength=0
	// +kubebuilder:validation:MaxLength=32
	ExtraSize *string `json:"extraSize,omitempty"`

	// path of the file in the storage service; that of another file if conflictPolicy Keep has kept it: contentHash is absent then.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2560
	Path string `json:"path,omitempty"`

	// contentHash of the file as Dropbox defines it, in hexadecimal; absent if conflictPolicy Keep has kept another file at path.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	ContentHash string `json:"contentHash,omitempty"`

	// error says in the user's words why the file could not be uploaded; path is absent then.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Error string `json:"error,omitempty"`
}

// JobConnectionStatus is the result of the upload through one connection.
type JobConnectionStatus struct {
	// name of the StorageConnection.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// type of the connection.
	// +optional
	Type ConnectionType `json:"type,omitempty"`

	// provider of the connection.
	// +optional
	Provider ProviderType `json:"provider,omitempty"`

	// status is success when every file is at its path, or conflictPolicy Keep has kept another one there; error when one could not be uploaded;
	// pending until then.
	// +optional
	Status UploadStatus `json:"status,omitempty"`

	// uid of the StorageConnection at the time of the upload. A failed upload is retried once another connection of the name is Ready.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	UID string `json:"uid,omitempty"`

	// readyCount of the StorageConnection at the time of the upload. A failed upload is retried once the connection's count is higher.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ReadyCount *int64 `json:"readyCount,omitempty"`

	// folder to which files could not be uploaded; absent if all are at their paths. An upload that failed because of a file is retried once the
	// connection's default folder is another one.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2560
	Folder string `json:"folder,omitempty"`

	// pages are the files that were uploaded and those that could not be.
	// +optional
	// +listType=map
	// +listMapKey=page
	// +listMapKey=extraSize
	// +kubebuilder:validation:MaxItems=200
	Pages []UploadedPage `json:"pages,omitempty"`

	// reason why the upload failed, in CamelCase, such as TokenExpired. Absent unless status is error.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Reason string `json:"reason,omitempty"`

	// error says in the user's words why the upload failed.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Error string `json:"error,omitempty"`
}

// Kept reports whether conflictPolicy Keep has left another file at the path: then nothing was uploaded, and there is no hash.
func (p UploadedPage) Kept() bool { return p.Path != "" && p.ContentHash == "" }

// Warning is something that went wrong and did not stop the render.
type Warning struct {
	// title says what went wrong.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Title string `json:"title,omitempty"`

	// details for a closer look.
	// +optional
	// +kubebuilder:validation:MinLength=0
	// +kubebuilder:validation:MaxLength=1024
	Details *string `json:"details,omitempty"`
}

// RenderProgress is how far the render of a video has come.
type RenderProgress struct {
	// percent of the job's frames that are drawn.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Percent *int32 `json:"percent,omitempty"`

	// frames that are drawn.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Frames *int64 `json:"frames,omitempty"`
}

// RenderJobStatus is the observed state of a job.
type RenderJobStatus struct {
	// conditions of the job: Ready, Rendered, Uploaded and Finished, and Reconciling or Stalled while they are true.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the metadata.generation that this status describes; -1 before Platen has seen the object.
	// +optional
	ObservedGeneration *int64 `json:"observedGeneration,omitempty"`

	// renderRevision names what of the spec the files were rendered from: a hash of the fields that change the files. A failed render
	// has the limits that it failed with after it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	RenderRevision string `json:"renderRevision,omitempty"`

	// uploadRevision names where the files went: a hash of the fields that change the connections and paths.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	UploadRevision string `json:"uploadRevision,omitempty"`

	// format of the files.
	// +optional
	Format Format `json:"format,omitempty"`

	// totalPages of the template.
	// +optional
	// +kubebuilder:validation:Minimum=0
	TotalPages *int32 `json:"totalPages,omitempty"`

	// renderedPages is how many pages have been rendered.
	// +optional
	// +kubebuilder:validation:Minimum=0
	RenderedPages *int32 `json:"renderedPages,omitempty"`

	// progress of the frames of an mp4, a webm or a gif while it is rendered. It changes at most once a second.
	// +optional
	Progress *RenderProgress `json:"progress,omitempty"`

	// pages are the files in the content store.
	// +optional
	// +listType=map
	// +listMapKey=page
	// +listMapKey=extraSize
	// +kubebuilder:validation:MaxItems=200
	Pages []RenderedPage `json:"pages,omitempty"`

	// connections are the results of the uploads.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Connections []JobConnectionStatus `json:"connections,omitempty"`

	// warnings are the problems that did not stop the render.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Warnings []Warning `json:"warnings,omitempty"`

	// startTime is when the job was accepted.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`

	// completionTime is when the job finished.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`

	// contentExpirationTime is when the content store stops keeping the files. Absent when it keeps them as long as the job exists.
	// +optional
	ContentExpirationTime *metav1.Time `json:"contentExpirationTime,omitempty"`

	// cache says where the files are from: Hit, an earlier render of the same; Miss, the job's own render; Off, its own render without
	// the cache.
	// +optional
	Cache CacheResult `json:"cache,omitempty"`

	// renderMilliseconds is how long the browser took, from the task to its last page; 0 if it was not needed.
	// +optional
	// +kubebuilder:validation:Minimum=0
	RenderMilliseconds *int64 `json:"renderMilliseconds,omitempty"`

	// attempts is how often a render was started.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Attempts *int32 `json:"attempts,omitempty"`

	// podName of the render pod that rendered the job.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	PodName string `json:"podName,omitempty"`

	// lastHandledRetryUploads is the last value of the annotation platen.dev/retry-uploads that was handled.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	LastHandledRetryUploads string `json:"lastHandledRetryUploads,omitempty"`
}

// RenderJob renders a template, and again when its spec asks for other files.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=rj,categories=platen
// +kubebuilder:selectablefield:JSONPath=`.spec.templateRef.name`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Format",type=string,JSONPath=`.spec.output.format`
// +kubebuilder:printcolumn:name="Pages",type=integer,JSONPath=`.status.renderedPages`
// +kubebuilder:printcolumn:name="Uploaded",type=string,JSONPath=`.status.conditions[?(@.type=="Uploaded")].status`
// +kubebuilder:printcolumn:name="Warnings",type=string,JSONPath=`.status.warnings[*].title`
// +kubebuilder:printcolumn:name="Template",type=string,JSONPath=`.spec.templateRef.name`,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type RenderJob struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec says what is rendered, to which files, and where they go.
	// +required
	Spec RenderJobSpec `json:"spec,omitempty,omitzero"`

	// status is the observed state of the job.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1,"conditions":{{"type":"Ready","status":"Unknown","reason":"Pending","message":"Platen has not looked at it yet","lastTransitionTime":"1970-01-01T00:00:00Z"}}}
	Status RenderJobStatus `json:"status,omitempty,omitzero"`
}

// Observed reports whether the status describes the job's present generation.
func (j *RenderJob) Observed() bool {
	return j.Status.ObservedGeneration != nil && *j.Status.ObservedGeneration == j.Generation
}

// Finished reports whether the job's present generation has ended, whether it succeeded or failed.
func (j *RenderJob) Finished() bool {
	return j.Observed() && meta.IsStatusConditionTrue(j.Status.Conditions, FinishedCondition)
}

// IsFilm reports whether one film has several pages of the job.
func (j *RenderJob) IsFilm() bool {
	combine, rendered := j.Spec.Output.Video.CombinePages, j.Status.RenderedPages
	return combine != nil && *combine && rendered != nil && *rendered > 1
}

// maxFileName bounds the name of a file without its extension, as FileName does.
const maxFileName = 200

// FileBaseName returns the beginning of the names of the job's files: spec.output.fileName without the format's own extension, else the job's
// name. The end of a name that is too long for a file becomes a hash of the name.
func (j *RenderJob) FileBaseName() string {
	name, extension := string(j.Spec.Output.FileName), "."+string(cmp.Or(j.Spec.Output.Format, FormatPNG))
	if base := len(name) - len(extension); base > 0 && strings.EqualFold(name[base:], extension) {
		name = name[:base]
	}
	if name != "" || len(j.Name) <= maxFileName {
		return cmp.Or(name, j.Name)
	}
	hash := fmt.Sprintf("-%x", sha256.Sum256([]byte(j.Name)))[:9]
	return j.Name[:maxFileName-len(hash)] + hash
}

// Suspended reports whether spec.suspend is true.
func (j *RenderJob) Suspended() bool { return j.Spec.Suspend != nil && *j.Spec.Suspend }

// Canceled reports whether nobody will resume a suspended job. Whatever the value of the annotation is, also none, it says so.
func (j *RenderJob) Canceled() bool {
	_, annotated := j.Annotations[CanceledAnnotation]
	return annotated && j.Suspended()
}

// ExpirationTime returns when the manager deletes a finished job with its files; zero for never.
func (j *RenderJob) ExpirationTime() time.Time {
	if j.Status.CompletionTime == nil || j.trackedByGitOps() {
		return time.Time{}
	}
	ttl := j.Spec.TTLSecondsAfterFinished
	if kept, err := strconv.ParseUint(j.Annotations[RefusedTTLAnnotation], 10, 31); err == nil && j.refused() && (ttl == nil || int32(kept) < *ttl) {
		ttl = new(int32(kept))
	}
	if ttl == nil {
		return time.Time{}
	}
	return j.Status.CompletionTime.Add(time.Duration(*ttl) * time.Second)
}

// refused reports whether a finished job has failed for what its spec says.
func (j *RenderJob) refused() bool {
	ready := meta.FindStatusCondition(j.Status.Conditions, ReadyCondition)
	return ready != nil && (ready.Reason == InvalidSpecReason || ready.Reason == InvalidModificationsReason)
}

// trackedByGitOps reports whether a GitOps tool would create the job again after its deletion.
func (j *RenderJob) trackedByGitOps() bool {
	_, argo := j.Annotations["argocd.argoproj.io/tracking-id"]
	_, argoLabel := j.Labels["argocd.argoproj.io/instance"]
	_, flux := j.Labels["kustomize.toolkit.fluxcd.io/name"]
	_, helm := j.Labels["helm.toolkit.fluxcd.io/name"]
	return argo || argoLabel || flux || helm
}

// RenderJobList is a list of RenderJobs.
// +kubebuilder:object:root=true
type RenderJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []RenderJob `json:"items"`
}
