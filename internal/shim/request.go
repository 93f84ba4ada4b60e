// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/bindings"
	"github.com/platen-dev/platen/internal/nearest"
	"github.com/platen-dev/platen/internal/task"
	"github.com/platen-dev/platen/internal/values"
)

const (
	// maxWarnings bounds the warnings about a request.
	maxWarnings = 64
	// maxUnknown bounds the fields that are not known among which one is looked for that was meant.
	maxUnknown = 200
)

// moreWarnings is the title of a warning that stands for those which are left out. The manager's warnings have the same.
const moreWarnings = "There are more warnings"

// bounded returns at most maxWarnings. The last one says so if there are more.
func bounded(warnings []Warning) []Warning {
	if len(warnings) <= maxWarnings {
		return warnings
	}
	return append(slices.Clone(warnings[:maxWarnings-1]), Warning{moreWarnings, fmt.Sprintf("one answer has at most %d: correct what these name first", maxWarnings)})
}

// Request is the body of POST /v1/studio/render.
type Request struct {
	TemplateID TemplateID `json:"templateId" required:"true"`
	RenderOptions
}

// RenderOptions say what to render of a template, and how to answer.
type RenderOptions struct {
	Modifications Object              `json:"modifications" instead:"data,params,parameters,values,variables"`
	Response      ResponseOptions     `json:"response" instead:"output"`
	Connections   []ConnectionOptions `json:"connections,omitempty" instead:"folder,provider" description:"Where the files go. Default: to every automatic connection of the workspace."`
	PDFOptions    PDFOptions          `json:"pdfOptions" description:"For format pdf. May also be in response."`
	VideoOptions  VideoOptions        `json:"videoOptions" description:"For formats mp4, webm and gif. May also be in response."`
	Webhook       string              `json:"webhook,omitempty" format:"uri" description:"URL that is called when the job has ended."`
	WebhookURL    string              `json:"webhook_url,omitempty" format:"uri" description:"Another name for webhook."`
	Metadata      Metadata            `json:"metadata,omitzero"`
	Source        string              `json:"source,omitempty" description:"The SDK's name; ignored."`
	Publish       any                 `json:"publish,omitempty" warn:"Platen publishes to no social networks; upload through a connection, and publish from there or from a webhook"`
}

// PDFOptions apply to format pdf.
type PDFOptions struct {
	Margin    string `json:"margin,omitempty" description:"Margin around each page in px, pt, mm, cm or in, such as 20px; px are those of dpi."`
	RangeFrom Whole  `json:"rangeFrom,omitempty" minimum:"1" description:"First page that is printed, from 1."`
	RangeTo   Whole  `json:"rangeTo,omitempty" minimum:"1" description:"Last page that is printed."`
	DPI       Whole  `json:"dpi,omitempty" minimum:"48" description:"CSS pixels for an inch of paper, 48 to 960. Default 96."`
	ColorMode string `json:"colorMode,omitempty" enum:"rgb,cmyk" description:"Default rgb. The document is rgb for cmyk too, with a warning."`
	Title     string `json:"title,omitempty" description:"Title of the document. Default: the template's name."`
	pictureOptions
}

// pictureOptions are options of the public API that Platen does not have.
type pictureOptions struct {
	ImageFormat  any `json:"imageFormat,omitempty" warn:"pictures in a document stay as the page loads them"`
	ImageQuality any `json:"imageQuality,omitempty" warn:"pictures in a document stay as the page loads them"`
	MaxImageDPI  any `json:"maxImageDpi,omitempty" warn:"pictures in a document stay as the page loads them"`
}

// VideoOptions apply to formats mp4, webm and gif.
type VideoOptions struct {
	FPS                    Decimal  `json:"fps,omitempty" minimum:"1" description:"Frames per second, 1 to 30, rounded to a whole number. Default 30, and 15 for gif."`
	Duration               Decimal  `json:"duration,omitempty" minimum:"0.1" description:"Seconds of each page, 0.1 to 60. Default: as long as its animations."`
	TrimStart              *Decimal `json:"trimStart,omitempty" description:"Time of each page at which its video begins, in seconds. Default 0."`
	TrimEnd                *Decimal `json:"trimEnd,omitempty" description:"Time of each page at which its video ends; duration does not count then."`
	Quality                Whole    `json:"quality,omitempty" minimum:"1" description:"1 to 100."`
	Muted                  *Truth   `json:"muted,omitempty" description:"Films have no sound: false is answered with a warning."`
	Loop                   *Truth   `json:"loop,omitempty" description:"Whether a gif restarts at its end. Default true. For mp4 and webm, true is answered with a warning."`
	CombinePages           *Truth   `json:"combinePages,omitempty" description:"All pages in one file. Default false: a file each."`
	PageTransition         string   `json:"pageTransition,omitempty" description:"With combinePages: fade or none. Any other is a cut, with a warning. Default none."`
	PageTransitionDuration Decimal  `json:"pageTransitionDuration,omitempty" minimum:"0.1" description:"Seconds of a fade, 0.1 to 2. Default 0.5."`
	subtitles
}

// subtitles are options of the public API that Platen does not have.
type subtitles struct {
	SubtitleSource       any `json:"subtitleSource,omitempty" warn:"films have no subtitles; put the text into the template's pages"`
	SubtitleFontSize     any `json:"subtitleFontSize,omitempty" warn:"films have no subtitles"`
	SubtitleFontWeight   any `json:"subtitleFontWeight,omitempty" warn:"films have no subtitles"`
	SubtitleFontFamily   any `json:"subtitleFontFamily,omitempty" warn:"films have no subtitles"`
	SubtitleColor        any `json:"subtitleColor,omitempty" warn:"films have no subtitles"`
	SubtitleBackground   any `json:"subtitleBackground,omitempty" warn:"films have no subtitles"`
	SubtitlePosition     any `json:"subtitlePosition,omitempty" warn:"films have no subtitles"`
	SubtitleOffset       any `json:"subtitleOffset,omitempty" warn:"films have no subtitles"`
	SubtitleBottom       any `json:"subtitleBottom,omitempty" warn:"films have no subtitles"`
	SubtitlePaddingX     any `json:"subtitlePaddingX,omitempty" warn:"films have no subtitles"`
	SubtitlePaddingY     any `json:"subtitlePaddingY,omitempty" warn:"films have no subtitles"`
	SubtitleBorderRadius any `json:"subtitleBorderRadius,omitempty" warn:"films have no subtitles"`
}

// ResponseOptions say what the caller gets back.
type ResponseOptions struct {
	Type         string       `json:"type,omitempty" enum:"url,base64,binary" description:"url: URLs of the files. base64: data URLs. binary: the file itself, or a ZIP archive of several. Default url, and base64 for /v1/generate."`
	Format       string       `json:"format,omitempty" instead:"responseFormat" enum:"png,jpg,jpeg,webp,avif,pdf,mp4,webm,gif" description:"Default png, and pdf for /v1/generate/pdfs."`
	FileName     string       `json:"fileName,omitempty" description:"Name without extension. Default: the job's id."`
	Scale        *Decimal     `json:"scale,omitempty" description:"Image pixels for a CSS pixel, 0.1 to 10. Default 1."`
	Size         Size         `json:"size,omitempty"`
	Width        Whole        `json:"width,omitempty" minimum:"1" description:"With height, another way to say size."`
	Height       Whole        `json:"height,omitempty" minimum:"1" description:"With width, another way to say size."`
	ExtraSizes   ExtraSizes   `json:"extraSizes,omitempty"`
	Quality      Whole        `json:"quality,omitempty" minimum:"1" description:"1 to 100. Default 90."`
	Transparent  Truth        `json:"transparent,omitempty" description:"Leaves a png, webp or avif transparent where the page paints no background. Default false: white. Not in the public API."`
	IncludePages []Whole      `json:"includePages,omitempty" instead:"pages" description:"Pages to render, from 1, each once and in the template's order. Default: all."`
	Mode         string       `json:"mode,omitempty" enum:"sync,async" description:"async: answer 202 at once. Default sync."`
	PDFOptions   PDFOptions   `json:"pdfOptions"`
	VideoOptions VideoOptions `json:"videoOptions"`
}

// ConnectionOptions name a connection of the workspace.
type ConnectionOptions struct {
	Type     string `json:"type,omitempty" enum:"storage" description:"Default storage."`
	Provider string `json:"provider" required:"true" enum:"dropbox,s3,gcs,azureblob" description:"dropbox, or the provider of one of the workspace's connections."`
	Name     string `json:"name,omitempty" description:"Name of the StorageConnection, for a workspace with several to the provider. Default: the first by name that is not disabled. Not in the public API."`
	Folder   string `json:"folder,omitempty" description:"Default: the connection's default folder. A missing folder is created."`
}

// TemplateID is a template's number, as a JSON number or string, or its name.
type TemplateID string

// JSONSchemaBytes implements jsonschema.RawExposer.
func (TemplateID) JSONSchemaBytes() ([]byte, error) {
	return []byte(`{"type":["integer","string"],"description":"A template's spec.templateID, as a number or digits, or its name."}`), nil
}

// Whole is a whole number, also as a string of digits: some clients send what people typed.
type Whole int32

// Decimal is a number, also as a string of digits.
type Decimal float64

// Truth is true or false, also as a string or as 1 or 0.
type Truth bool

// decimal returns a number of at most the given digits behind the point.
func (d Decimal) decimal(digits int) string {
	text := strconv.FormatFloat(float64(d), 'f', digits, 64)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// Size is a width and a height in CSS pixels, such as 1080x1920, or a preset's name, also as an object with a width and a height.
type Size string

// JSONSchemaBytes implements jsonschema.RawExposer.
func (Size) JSONSchemaBytes() ([]byte, error) {
	return []byte(`{"type":["string","object"],"properties":{"width":{"type":"integer","minimum":1,"maximum":5000},"height":{"type":"integer","minimum":1,"maximum":5000}},"required":["width","height"],
		"description":"Size of the pages in CSS pixels, such as 1080x1920, or a preset's name, such as instagram-story, or an object with a width and a height. Default: the template's own."}`), nil
}

// sides are those of a size that is an object.
type sides struct {
	Width  Whole `json:"width" minimum:"1"`
	Height Whole `json:"height" minimum:"1"`
}

// tidySize is tidy for a size that is an object. Of a part of a size it has nothing.
func (t *tidier) tidySize(value json.RawMessage, path string) (tidied json.RawMessage, ignored []Warning, err error) {
	wrong := &fieldsError{}
	value, ignored, err = t.tidyFields(value, reflect.TypeFor[sides](), path)
	if err := wrong.add(err); err != nil {
		return nil, nil, err
	}
	var size sides
	if err := json.Unmarshal(value, &size); err != nil {
		return nil, nil, err
	}
	missing := false
	for _, side := range []struct {
		name   string
		pixels Whole
	}{{"width", size.Width}, {"height", size.Height}} {
		switch field := path + "." + side.name; {
		case side.pixels > task.MaxSide:
			_ = wrong.add(tooLarge(field, side.pixels)) // it is of a field
		case side.pixels == 0:
			missing = missing || !wrong.names(field)
		}
	}
	if missing {
		_ = wrong.add(&FieldError{path, "must have a width and a height"})
	}
	if err := wrong.err(); err != nil {
		return nil, ignored, err
	}
	return quote(fmt.Sprintf("%dx%d", size.Width, size.Height)), ignored, nil
}

// tooLarge returns the error about a side of a page.
func tooLarge(field string, side Whole) error {
	return &FieldError{field, fmt.Sprintf("must be at most %d, not %d", task.MaxSide, side)}
}

// tidySizes is tidy for an object from names to sizes.
func (t *tidier) tidySizes(value json.RawMessage, path string) (tidied json.RawMessage, ignored []Warning, err error) {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(value, &given); err != nil {
		return nil, nil, &FieldError{path, "must be an object"}
	}
	wrong, at := &fieldsError{}, []string{}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		place := fmt.Sprintf(".%.100s", name)
		size, more, err := t.tidy(given[name], reflect.TypeFor[Size](), path+place)
		if err := wrong.add(err); err != nil {
			return nil, nil, err
		}
		if given[name] = size; size == nil || err != nil {
			delete(given, name)
		} else {
			at = append(at, place)
		}
		ignored = append(ignored, more...)
	}
	t.places.set(path, at)
	if tidied, err = encode(given); err != nil {
		return nil, nil, err
	}
	return tidied, ignored, wrong.err()
}

// ExtraSizes are sizes, some with names: an array of sizes, or an object from names to sizes.
type ExtraSizes []NamedSize

// NamedSize is a size with the name that the caller gives it.
type NamedSize struct {
	Name string `json:"name,omitempty"`
	Size string `json:"size"`
}

// UnmarshalJSON implements json.Unmarshaler. The sizes of an object are in the order of their names.
func (e *ExtraSizes) UnmarshalJSON(data []byte) error {
	*e = nil
	if data[0] != '{' {
		var list []string
		err := json.Unmarshal(data, &list)
		for _, size := range list {
			*e = append(*e, NamedSize{Size: plainSize(size)})
		}
		return err
	}
	var names map[string]string
	err := json.Unmarshal(data, &names)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		*e = append(*e, NamedSize{name, plainSize(names[name])})
	}
	return err
}

// JSONSchemaBytes implements jsonschema.RawExposer.
func (ExtraSizes) JSONSchemaBytes() ([]byte, error) {
	return []byte(`{"description":"Sizes in which every picture is made too, like size: an array, or an object from names to sizes. Images only.",
		"oneOf":[{"type":"array","items":{"$ref":"#/components/schemas/Size"}},{"type":"object","additionalProperties":{"$ref":"#/components/schemas/Size"}}]}`), nil
}

var (
	dimensions = regexp.MustCompile(`^([0-9]+) *[x×] *([0-9]+)$`)
	gaps       = regexp.MustCompile(`[ _-]+`)
	sizes      = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
)

// plainSize returns a size as spec.output spells it: Instagram Story and instagram_story are instagram-story.
func plainSize(size string) string {
	size = strings.ToLower(strings.TrimSpace(size))
	if sides := dimensions.FindStringSubmatch(size); sides != nil {
		return sides[1] + "x" + sides[2]
	}
	return gaps.ReplaceAllString(size, "-")
}

// checkSize returns an error for what cannot be a size; a job says which names there are.
func checkSize(field, size string) error {
	if plain := plainSize(size); size != "" && (!sizes.MatchString(plain) || len(plain) > 32) {
		return &FieldError{field, fmt.Sprintf("'%.100s' must be a width and a height in CSS pixels, such as 1080x1920, or a name, such as instagram-story", size)}
	}
	return nil
}

// Object is a JSON object in its original form. An array of objects with a name and a value becomes an object; so does an empty array,
// which is PHP's empty object.
type Object struct{ json.RawMessage }

// described are the fields of Modification that say nothing about a value, in lower case: some clients send its entries back.
var described = []string{"type", "description", "helptext", "required", "example"}

// wantModifications says what modifications must be.
const wantModifications = "an object, or an array of objects with a name and a text, src or value"

// namedValues returns the object that an array of modifications stands for. The error is about the entries that it leaves out.
func (t *tidier) namedValues(array json.RawMessage, path string) (object json.RawMessage, warnings []Warning, err error) {
	var entries []json.RawMessage
	if json.Unmarshal(array, &entries) != nil {
		return nil, nil, &FieldError{path, "must be " + wantModifications}
	}
	all, keys, wrong := map[string]json.RawMessage{}, 0, &fieldsError{}
	refuse := func(field, format string, args ...any) {
		_ = wrong.add(&FieldError{field, fmt.Sprintf(format, args...)})
	}
	for i, given := range entries {
		var entry map[string]json.RawMessage
		at := fmt.Sprintf("%s[%d]", path, i)
		if json.Unmarshal(given, &entry) != nil {
			refuse(at, "must be an object with a name and a text, src or value, not %s", jsonType(given))
			continue
		}
		if entry == nil { // null
			continue
		}
		name, others, ignored := nameOf(entry)
		warnings = append(warnings, ignored...)
		if name == "" {
			refuse(at+".name", "must be the key of the modification; it may also be in key or id%s", meantBy(nameFields, slices.Collect(maps.Keys(entry))))
			continue
		}
		for other, words := range others {
			if t.others == nil {
				t.others = map[string]string{}
			}
			if len(t.others) < maxUnknown {
				t.others[other] = at + " has it in " + words
			}
		}
		// Before they are made: a body of the allowed size could make keys of many gigabytes.
		if keys += len(name) * len(entry); keys > maxBody {
			refuse(at+".name", "must be shorter, or have fewer fields beside it: each is a key that begins with the name, and all keys must have at most %d bytes", maxBody)
			break
		}
		values, more := namedValue(name, entry)
		warnings = append(warnings, more...)
		for key, value := range values {
			if before, twice := all[key]; twice && !bytes.Equal(before, value) {
				warnings = append(warnings, Warning{Title: fmt.Sprintf("Modification '%.100s' is there twice", key), Details: "the last one counts"})
			}
			all[key] = value
		}
	}
	if object, err = encode(all); err != nil {
		return nil, nil, err
	}
	return object, warnings, wrong.err()
}

// givenFields returns the fields of an entry of an array of modifications by their names in lower case. Clients send all fields that they have:
// null counts as absent.
func givenFields(entry map[string]json.RawMessage) map[string]json.RawMessage {
	fields := map[string]json.RawMessage{}
	for field, value := range entry {
		if string(value) != "null" {
			fields[strings.ToLower(field)] = value
		}
	}
	return fields
}

// nameFields are those that may hold the name of an entry of an array of modifications. The first that has one wins.
var nameFields = []string{"name", "key", "id"}

// meantBy asks whether the first of the given names that is nearly one of the fields is a misspelling of that; empty if none is.
func meantBy(fields, given []string) string {
	slices.Sort(given)
	for _, name := range given {
		if near := nearest.Name(name, fields); near != "" && !slices.Contains(fields, strings.ToLower(name)) {
			return fmt.Sprintf("; is '%.100s' a misspelling of %s?", name, near)
		}
	}
	return ""
}

// nameOf returns the name of an entry of an array of modifications; empty if there is none. others says of each other name in the entry in which field it
// is, and which counts. The warnings are about those that are hardly meant.
func nameOf(entry map[string]json.RawMessage) (name string, others map[string]string, warnings []Warning) {
	fields, from := givenFields(entry), ""
	others = map[string]string{}
	sentBack := slices.ContainsFunc(described, func(field string) bool { return fields[field] != nil })
	for _, field := range nameFields {
		value, ok := fields[field]
		if !ok {
			continue
		}
		switch text := strings.TrimSpace(plainText(value)); {
		case text == "":
		case name == "":
			name, from = text, field
			continue
		case field == "id" && fields["key"] != nil && sentBack: // the id of an entry of the template
		case text != name:
			warnings = append(warnings, Warning{
				fmt.Sprintf("Modification '%.100s': %s '%.100s' was ignored", name, field, text), from + " is there too: name, key and id are one field",
			})
		}
		if text := strings.TrimSpace(plainText(value)); text != "" && text != name {
			others[text] = field + ", but its " + from + " counts"
		}
	}
	return name, others, warnings
}

// namedValue returns what an entry of an array of modifications sets. text, src or value is the modification of the entry's name, and every other
// field is a style of the element of that name. An empty text counts as absent if another field has a value.
func namedValue(name string, entry map[string]json.RawMessage) (values map[string]json.RawMessage, warnings []Warning) {
	fields := givenFields(entry)
	values = map[string]json.RawMessage{}
	for _, field := range []string{"text", "src", "value"} {
		value, ok := fields[field]
		before := values[name]
		if !ok || before != nil && string(value) == `""` {
			continue
		}
		if before != nil && string(before) != `""` && !bytes.Equal(before, value) {
			warnings = append(warnings, Warning{Title: fmt.Sprintf("Modification '%.100s' has two values", name), Details: "that of " + field + " counts"})
		}
		values[name] = value
	}
	for _, field := range slices.Sorted(maps.Keys(entry)) {
		value, known := entry[field], strings.ToLower(field)
		switch {
		case slices.Contains(nameFields, known) || slices.Contains([]string{"text", "src", "value"}, known) || slices.Contains(described, known):
		case string(value) != "null" && string(value) != `""`:
			values[name+"."+field] = value
			if near := nearest.Name(field, []string{"text", "value"}); near != "" {
				warnings = append(warnings, Warning{fmt.Sprintf("Field '%.100s' of modification '%.100s' is taken for a style", field, name), fmt.Sprintf("did you mean '%s'?", near)})
			}
		}
	}
	// An entry that a client sends back unchanged has more fields.
	isEmpty := !slices.ContainsFunc(slices.Collect(maps.Keys(entry)), func(field string) bool {
		return !slices.Contains(nameFields, strings.ToLower(field))
	})
	if isEmpty {
		warnings = append(warnings, Warning{fmt.Sprintf("Modification '%.100s' changes nothing", name), "give it a text, src or value"})
	}
	return values, warnings
}

var pageKey = regexp.MustCompile(`^page[0-9]{1,4}@`)

// placeValues adds to the warnings of fields that no request has, if a field is a value of the template, where the value belongs. unknown has the first of
// these fields.
func placeValues(warnings []Warning, unknown []string, template *platenv1alpha1.RenderTemplate) {
	known := bindings.Cached(template)
	for i, w := range warnings {
		for _, name := range unknown {
			isValue := slices.ContainsFunc(known, func(p bindings.Parameter) bool { return p.Name == name })
			if isValue && w == (Warning{Title: unknownField(name)}) {
				warnings[i].Details = "it is a value of the template: put it into modifications"
			}
		}
	}
}

// unknownField is the title of the warning about a field that a request does not have.
func unknownField(path string) string {
	return fmt.Sprintf("Field '%.100s' is not known and was ignored", path)
}

// textsFor returns modifications in which true and false are texts where the template's parameter is a text. YAML's no is false, so a job
// refuses them; JSON has no such words.
func (o Object) textsFor(t *platenv1alpha1.RenderTemplate) Object {
	object, changed := map[string]json.RawMessage{}, false
	if json.Unmarshal(o.RawMessage, &object) != nil {
		return o // the API server says what is wrong
	}
	for key, value := range object {
		name := pageKey.ReplaceAllString(key, "")
		isText := slices.ContainsFunc(t.Spec.Parameters, func(p platenv1alpha1.Parameter) bool {
			return p.Name == name && cmp.Or(p.Type, platenv1alpha1.ParameterText) == platenv1alpha1.ParameterText
		})
		if text := string(value); isText && (text == "true" || text == "false") {
			object[key], changed = quote(text), true
		}
	}
	if text, err := encode(object); changed && err == nil {
		return Object{text}
	}
	return o
}

// JSONSchemaBytes implements jsonschema.RawExposer.
func (Object) JSONSchemaBytes() ([]byte, error) {
	return []byte(`{"description":"A flat map: parameters, canvasBackgroundColor, canvasBackgroundImage, ID.cssProperty, ID.href, and page2@KEY for one page only. Or a list of objects with a name and a text, src or value.",
		"oneOf":[{"type":"object","additionalProperties":true},{"type":"array","items":{"type":"object","description":"A modification; name, key or id is required.","additionalProperties":{"description":"A style of the element: color is KEY.color of the map."},
		"properties":{"name":{"type":"string","description":"The key in the map."},"key":{"type":"string","description":"Another name for name, which wins if both are there."},"id":{"type":"string","description":"Another name for name, which wins if both are there, as key does."},
		"text":{"description":"The value."},"src":{"description":"Another name for text, such as for a picture's URL."},"value":{"description":"Another name for text, such as for a number."}}}}]}`), nil
}

// maxMetadata bounds the metadata of a request, in bytes.
const maxMetadata = 4096

// Metadata is any JSON that a caller wants to find in the job.
type Metadata struct{ json.RawMessage }

// JSONSchemaBytes implements jsonschema.RawExposer.
func (Metadata) JSONSchemaBytes() ([]byte, error) {
	return fmt.Appendf(nil, `{"description":"Any value of at most %d bytes; the job has it too."}`, maxMetadata), nil
}

// FieldError names a wrong field of a request and says what is expected.
type FieldError struct{ Field, Problem string }

// Error implements error.
func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

// maxFieldErrors bounds the wrong fields that one answer names.
const maxFieldErrors = 10

// fieldsError are the mistakes of a request. It is also a *FieldError, whose problem has those of all, if one is of a field.
type fieldsError struct {
	list []*FieldError
	// said are further mistakes, in full.
	said []string
	// more is how many there are besides.
	more int
	// places are those of the request, and unknown its first fields that it does not have. within are such fields of its objects, by their paths.
	places          places
	unknown, within []string
	// others says of names that entries of a list of modifications have where they are, and which one counts instead.
	others map[string]string
}

// places are where a request has the items of its lists, such as [2] or .story, by the list's path as plainName has it. What is read of a list may
// have fewer items.
type places map[string][]string

func (p places) set(list string, items []string) { p[plainName(list)] = items }

// at returns the path of an item of what is read of a list.
func (p places) at(list string, i int) string {
	if known := p[plainName(list)]; i < len(known) {
		return list + known[i]
	}
	return fmt.Sprintf("%s[%d]", list, i)
}

// keep notes that a job has only some items of what is read of a list.
func (e *fieldsError) keep(list string, items []int) {
	kept := make([]string, 0, len(items))
	for _, i := range items {
		kept = append(kept, strings.TrimPrefix(e.places.at(list, i), list))
	}
	if e.places == nil {
		e.places = places{}
	}
	e.places.set(list, kept)
}

// firsts returns the index of each item that is none of those before it.
func firsts[T comparable](list []T) (indexes []int) {
	seen := map[T]bool{}
	for i, item := range list {
		if !seen[item] {
			indexes = append(indexes, i)
		}
		seen[item] = true
	}
	return indexes
}

// add adds a *FieldError or a *fieldsError. It returns any other error.
func (e *fieldsError) add(err error) error {
	one, several := (*FieldError)(nil), (*fieldsError)(nil)
	switch {
	case errors.As(err, &several):
		e.list, e.said, e.more = append(e.list, several.list...), append(e.said, several.said...), e.more+several.more
	case errors.As(err, &one):
		e.list = append(e.list, one)
	default:
		return err
	}
	if more := len(e.list) - maxFieldErrors; more > 0 {
		e.list, e.more = e.list[:maxFieldErrors], e.more+more
	}
	if more := len(e.list) + len(e.said) - maxFieldErrors; more > 0 {
		e.said, e.more = e.said[:max(len(e.said)-more, 0)], e.more+more
	}
	return nil
}

// with adds an error after which nothing more of the request is looked at, and returns what is known: all mistakes, or an error of another kind alone.
func (e *fieldsError) with(err error) error { return cmp.Or(e.add(err), e.err()) }

// saidField matches the field that a text begins with.
var saidField = regexp.MustCompile(`^[a-z][A-Za-z0-9_@.\[\]-]*`)

// saidItem matches the item of a list that a text begins with.
var saidItem = regexp.MustCompile(`^([a-z][A-Za-z.]*)\[([0-9]+)\]`)

// say adds what a job or the API server says of fields, with items where the request has them. It leaves out what may follow from a mistake that is there:
// of the same field, or of one in or around it.
func (e *fieldsError) say(texts []string, more int) {
	fresh := make([]string, 0, len(texts))
	for _, text := range texts {
		if item := saidItem.FindStringSubmatch(text); item != nil {
			if i, err := strconv.Atoi(item[2]); err == nil {
				text = e.places.at(item[1], i) + text[len(item[0]):]
			}
		}
		if !e.names(saidField.FindString(text)) {
			fresh = append(fresh, text+e.misplaced(text))
		}
	}
	_ = e.add(&fieldsError{said: fresh, more: more}) // it is one of its own
}

// missingValue matches what a job says of a value that it must have.
var missingValue = regexp.MustCompile(`^modifications\.(.+) is required by the template$`)

// misplaced says where the request may have what is missing: in a field of its own, or in one whose name is a misspelling. It is empty for another text.
func (e *fieldsError) misplaced(text string) string {
	missing := missingValue.FindStringSubmatch(text)
	if missing == nil {
		return ""
	}
	if slices.Contains(e.unknown, missing[1]) {
		return fmt.Sprintf("; the request has '%.100s' as a field of its own: put it into modifications", missing[1])
	}
	if where := e.others[missing[1]]; where != "" {
		return "; the entry " + where
	}
	if near := nearest.Name("modifications", e.unknown); near != "" {
		return fmt.Sprintf("; is '%.100s' a misspelling of modifications?", near)
	}
	field, _ := reflect.TypeFor[RenderOptions]().FieldByName("Modifications")
	for other := range strings.SplitSeq(field.Tag.Get("instead"), ",") {
		if slices.Contains(e.unknown, other) {
			return fmt.Sprintf("; put the values of '%s' into modifications", other)
		}
	}
	return ""
}

// meant asks whether a field of the request that it does not have is a misspelling of the field of that path beside it; empty if none is.
func (e *fieldsError) meant(path string) string {
	at := strings.LastIndex(path, ".") + 1
	var given []string
	for _, full := range e.within {
		if name, ok := strings.CutPrefix(full, path[:at]); ok && !strings.Contains(name, ".") {
			given = append(given, name)
		}
	}
	return meantBy([]string{path[at:]}, given)
}

// names reports whether there is a mistake of a field, or of one in or around it.
func (e *fieldsError) names(field string) bool {
	plain := func(path string) string { // as the request may spell it
		if strings.HasPrefix(path, "modifications") {
			return path
		}
		return plainName(path)
	}
	within := func(inner, outer string) bool {
		rest, ok := strings.CutPrefix(plain(inner), plain(outer))
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	}
	both := func(known string) bool { return within(known, field) || within(field, known) }
	return slices.ContainsFunc(e.list, func(one *FieldError) bool { return both(one.Field) }) ||
		slices.ContainsFunc(e.said, func(text string) bool { return both(saidField.FindString(text)) })
}

// err returns the error; nil if nothing is wrong.
func (e *fieldsError) err() error {
	if len(e.list)+len(e.said) == 0 {
		return nil
	}
	return e
}

// Error implements error.
func (e *fieldsError) Error() string {
	texts := make([]string, 0, len(e.list)+len(e.said)+1)
	for _, one := range e.list {
		texts = append(texts, one.Error())
	}
	texts = append(texts, e.said...)
	if e.more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", e.more))
	}
	return strings.Join(texts, "; ")
}

// As is for errors.As.
func (e *fieldsError) As(target any) bool {
	one, ok := target.(**FieldError)
	if ok = ok && len(e.list) > 0; ok {
		first := e.list[0].Field
		*one = &FieldError{first, strings.TrimPrefix(e.Error(), first+": ")}
	}
	return ok
}

// parseInto is parse for a request of which the answer names all mistakes: it adds them to wrong. The error is one after which nothing more of the request
// is known.
func parseInto[T any](body []byte, wrong *fieldsError) (target T, warnings []Warning, err error) {
	t := &tidier{places: places{}}
	target, warnings, err = parseWith[T](t, body)
	wrong.places, wrong.unknown, wrong.within, wrong.others = t.places, t.unknown, t.within, t.others
	if err != nil && fieldsErrorOf(err) == nil {
		return target, nil, wrong.with(err)
	}
	return target, warnings, wrong.add(err)
}

// parse reads a body into target. It ignores unknown fields with a warning. The error is a *FieldError. If it is a *fieldsError, target has all other
// fields.
func parse[T any](body []byte) (target T, warnings []Warning, err error) {
	return parseWith[T](&tidier{places: places{}}, body)
}

func parseWith[T any](t *tidier, body []byte) (target T, warnings []Warning, err error) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))) // a byte order mark
	if bytes.HasPrefix(body, []byte("\x1f\x8b")) {
		return target, nil, &FieldError{"body", "is gzip: send it with Content-Encoding: gzip"}
	}
	if problem := notUnicode(body); problem != "" && body[0] != '{' {
		return target, nil, &FieldError{"body", problem}
	}
	if len(body) == 0 || body[0] != '{' {
		return target, nil, &FieldError{"body", "must be a JSON object, not a form, a list or nothing"}
	}
	if err := json.Unmarshal(body, new(json.RawMessage)); err != nil {
		return target, nil, &FieldError{"body", "must be a JSON object: " + err.Error()}
	}
	if err := checkTexts(body, "", 0); err != nil {
		return target, nil, err
	}
	if err := checkTwice(body, ""); err != nil {
		return target, nil, err
	}
	plain, ignored, wrong := t.tidy(body, reflect.TypeFor[T](), "")
	if plain == nil {
		return target, nil, wrong
	}
	if err := json.Unmarshal(plain, &target); err != nil {
		return target, nil, &FieldError{"body", "must be a JSON object of this request's fields"}
	}
	return target, bounded(ignored), wrong
}

// checkTwice refuses valid JSON with a field that is there twice. encoding/json would take the last one. path is the path of the JSON in the
// request. The error is a *FieldError.
func checkTwice(value json.RawMessage, path string) error {
	twice := values.Twice(value)
	if twice == "" {
		return nil
	}
	if path != "" && twice[0] != '[' {
		path += "."
	}
	return &FieldError{fmt.Sprintf("%.200s", path+twice), "is there twice: send it once"}
}

// tidier reads a request, and notes what a fieldsError has of it.
type tidier struct {
	places          places
	unknown, within []string
	others          map[string]string
	// outer are the fields of the request itself.
	outer []reflect.StructField
}

// tidy returns valid JSON as its Go type has it, nil if it says nothing. Clients send numbers, truths and objects as text, and text as numbers.
// For nothing they send null, an empty text or, in PHP, an empty list instead of an object. tidy returns a warning for each field that the type
// does not have or that has the tag warn. A value of the wrong type is an error with its full path. If it is a *fieldsError, what is right of an object
// or a list is tidied all the same. encoding/json does none of it.
func (t *tidier) tidy(value json.RawMessage, kind reflect.Type, path string) (tidied json.RawMessage, ignored []Warning, err error) {
	if kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	value = bytes.TrimSpace(value)
	isText := value[0] == '"'
	text := strings.TrimSpace(plainText(value))
	if string(value) == "null" || isText && text == "" && kind.Kind() != reflect.String {
		return nil, nil, nil
	}
	wrong := func(want string) error {
		given := jsonType(value)
		// Texts stand for them, too, so that the type says nothing.
		if isText && slices.Contains([]reflect.Kind{reflect.Bool, reflect.Int32, reflect.Int64, reflect.Float64}, kind.Kind()) {
			given = values.Shorten(text)
		}
		return &FieldError{path, "must be " + want + ", not " + given}
	}
	isObject := kind == reflect.TypeFor[Object]() || kind.Kind() == reflect.Struct && !kind.Implements(reflect.TypeFor[exposer]())
	isList := kind == reflect.TypeFor[Object]() || kind.Kind() == reflect.Slice
	inText := isObject && strings.HasPrefix(text, "{") || isList && strings.HasPrefix(text, "[") || kind == reflect.TypeFor[ExtraSizes]() && strings.HasPrefix(text, "{")
	if isText && inText && json.Valid([]byte(text)) {
		if err := cmp.Or(checkTexts(json.RawMessage(text), path, 0), checkTwice(json.RawMessage(text), path)); err != nil {
			return nil, nil, err
		}
		return t.tidy(json.RawMessage(text), kind, path)
	}
	switch kind {
	case reflect.TypeFor[Metadata]():
		if len(value) > maxMetadata {
			return nil, nil, &FieldError{path, fmt.Sprintf("must have at most %d bytes", maxMetadata)}
		}
		return value, nil, nil
	case reflect.TypeFor[Object]():
		if err := values.CheckDepth(value); err != nil {
			return nil, nil, &FieldError{path, err.Error()}
		}
		switch value[0] {
		case '[':
			return t.namedValues(value, path)
		case '{':
			return value, nil, nil
		}
		return nil, nil, wrong(wantModifications)
	case reflect.TypeFor[ExtraSizes]():
		switch value[0] {
		case '[', '"':
			return t.tidy(value, reflect.TypeFor[[]Size](), path)
		case '{':
			return t.tidySizes(value, path)
		}
		return nil, nil, wrong("an array of sizes, or an object from names to sizes")
	case reflect.TypeFor[Size]():
		if value[0] == '{' {
			return t.tidySize(value, path)
		}
	case reflect.TypeFor[TemplateID]():
		if !isText {
			n, whole := wholeNumber(text, 64)
			if !whole {
				return nil, nil, wrong("a whole number or a string")
			}
			text = strconv.FormatInt(n, 10)
		}
		return quote(text), nil, nil
	case reflect.TypeFor[Expiry]():
		tidied, err := tidyExpiry(text, wrong)
		return tidied, nil, err
	}
	switch kind.Kind() {
	case reflect.Struct:
		if isEmptyList(value) {
			return nil, nil, nil
		}
		if value[0] != '{' {
			return nil, nil, wrong("an object")
		}
		return t.tidyFields(value, kind, path)
	case reflect.Slice:
		return t.tidyList(asList(value, text, kind.Elem()), kind, path)
	default:
		tidied, err := tidyScalar(value, text, kind, wrong)
		return tidied, nil, err
	}
}

// tidyScalar is tidy for texts, numbers and truths. text is the value without quotes and without spaces around it.
func tidyScalar(value json.RawMessage, text string, kind reflect.Type, wrong func(want string) error) (json.RawMessage, error) {
	isText := value[0] == '"'
	switch kind.Kind() {
	case reflect.String:
		switch {
		case isText:
			return value, nil
		case value[0] == '-' || '0' <= value[0] && value[0] <= '9':
			return quote(text), nil
		}
		return nil, wrong("a string")
	case reflect.Bool:
		if truth, err := strconv.ParseBool(strings.ToLower(text)); err == nil && len(text) != 1 || text == "1" || text == "0" {
			return strconv.AppendBool(nil, truth), nil
		}
		return nil, wrong("true or false")
	case reflect.Int32, reflect.Int64:
		if isText && text == "null" {
			return nil, nil
		}
		if n, whole := wholeNumber(text, kind.Bits()); whole {
			return strconv.AppendInt(nil, n, 10), nil
		}
		return nil, wrong("a whole number")
	case reflect.Float64:
		if isText && text == "null" {
			return nil, nil
		}
		if number, err := strconv.ParseFloat(text, 64); err == nil && json.Valid([]byte(text)) {
			return json.Marshal(number)
		}
		if point := strings.Replace(text, ",", ".", 1); point != text && json.Valid([]byte(point)) {
			return nil, wrong("a number with a decimal point, such as " + point)
		}
		return nil, wrong("a number")
	default:
		return nil, fmt.Errorf("requests cannot have the Go type %s", kind)
	}
}

// plainText returns the text of a JSON string, and any other JSON as it is.
func plainText(value json.RawMessage) (text string) {
	if value[0] != '"' || json.Unmarshal(value, &text) != nil {
		return string(value)
	}
	return text
}

func quote(text string) json.RawMessage {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // every text can be encoded
	}
	return quoted
}

// wholeNumber reads a whole number. Some languages write 25 as 25.0 or 2.5e1.
func wholeNumber(text string, bits int) (n int64, ok bool) {
	if !json.Valid([]byte(text)) {
		return 0, false
	}
	if before, zeros, found := strings.Cut(text, "."); found && zeros != "" && strings.Trim(zeros, "0") == "" {
		text = before
	}
	if strings.ContainsAny(text, "eE") {
		// Up to 2^53, a float64 has every whole number.
		if number, err := strconv.ParseFloat(text, 64); err == nil && number == math.Trunc(number) && math.Abs(number) <= 1<<53 {
			text = strconv.FormatFloat(number, 'f', -1, 64)
		}
	}
	n, err := strconv.ParseInt(text, 10, bits)
	return n, err == nil
}

func isEmptyList(value json.RawMessage) bool {
	return value[0] == '[' && len(bytes.TrimSpace(value[1:len(value)-1])) == 0
}

// asList returns what stands for a list of items: one object for itself, and a number or a text for the items between its commas. text is the
// value without quotes.
func asList(value json.RawMessage, text string, item reflect.Type) json.RawMessage {
	list := []json.RawMessage{}
	switch isText := value[0] == '"'; {
	case value[0] == '{' && item.Kind() == reflect.Struct:
		list = append(list, value)
	case isText && item.Kind() == reflect.String, item.Kind() == reflect.Int32 && (isText || jsonType(value) == text):
		for one := range strings.SplitSeq(text, ",") {
			list = append(list, quote(strings.TrimSpace(one)))
		}
	default:
		return value
	}
	all, err := encode(list)
	if err != nil {
		panic(err) // every text can be encoded
	}
	return all
}

// tidyList is tidy for a list. It leaves out the items that say nothing, and those that are wrong, but has what is right of an object.
func (t *tidier) tidyList(value json.RawMessage, kind reflect.Type, path string) (tidied json.RawMessage, ignored []Warning, err error) {
	var items []json.RawMessage
	if json.Unmarshal(value, &items) != nil {
		return nil, nil, &FieldError{path, "must be an array, not " + jsonType(value)}
	}
	list, kept, wrong := []json.RawMessage{}, []int{}, &fieldsError{places: t.places}
	for i, item := range items {
		plain, more, err := t.tidy(item, kind.Elem(), fmt.Sprintf("%s[%d]", path, i))
		if err := wrong.add(err); err != nil {
			return nil, nil, err
		}
		if plain == nil && err != nil && kind.Elem().Kind() == reflect.Struct {
			plain = json.RawMessage("{}") // it counts as an item
		}
		if plain != nil {
			list, kept = append(list, plain), append(kept, i)
		}
		ignored = append(ignored, more...)
	}
	if len(kept) < len(items) {
		wrong.keep(path, kept)
	}
	if tidied, err = encode(list); err != nil {
		return nil, nil, err
	}
	return tidied, ignored, wrong.err()
}

// plainName returns a field's name as it is compared: templateId is also TemplateID and template_id.
func plainName(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// tidyFields is tidy for an object. Names of fields may differ in case and in underscores.
func (t *tidier) tidyFields(object json.RawMessage, kind reflect.Type, path string) (tidied json.RawMessage, ignored []Warning, err error) {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(object, &given); err != nil {
		return nil, nil, &FieldError{path, "must be an object"}
	}
	fields, plain, spelled := reflect.VisibleFields(kind), map[string]json.RawMessage{}, map[string]string{}
	names, wrong := make([]string, len(fields)), fieldsError{}
	for i, f := range fields {
		names[i] = plainName(jsonName(f)) // empty for an embedded struct
	}
	if path == "" {
		t.outer = fields
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		full, value := name, given[name]
		if path != "" {
			full = path + "." + name
		}
		at := slices.Index(names, plainName(name))
		if at < 0 || fields[at].Anonymous {
			if len(ignored) <= maxWarnings { // there may be many thousands
				ignored = append(ignored, Warning{unknownField(full), t.meantField(name, path, fields)})
			}
			if path == "" && len(t.unknown) < maxUnknown {
				t.unknown = append(t.unknown, name)
			}
			if path != "" && len(t.within) < maxUnknown {
				t.within = append(t.within, full)
			}
			continue
		}
		field, known := fields[at], jsonName(fields[at])
		if reason := field.Tag.Get("warn"); reason != "" {
			if string(value) != "null" {
				ignored = append(ignored, Warning{Title: fmt.Sprintf("Field '%.100s' is not supported and was ignored", full), Details: reason})
			}
			continue
		}
		other, twice := spelled[known]
		if exact, there := given[known]; there && name != known && string(exact) != "null" {
			other, twice = known, true
		}
		if twice {
			ignored = append(ignored, ignoredField(fmt.Sprintf("%.100s", full), fmt.Sprintf("'%.100s' is there too", other)))
			continue
		}
		one, more, err := t.tidy(value, field.Type, full)
		if least, failed := strconv.ParseFloat(field.Tag.Get("minimum"), 64); failed == nil && one != nil {
			if number, failed := strconv.ParseFloat(string(one), 64); failed == nil && number < least {
				err = &FieldError{full, fmt.Sprintf("must be at least %s, not %s", field.Tag.Get("minimum"), plainText(value))}
			}
		}
		if most, failed := strconv.Atoi(field.Tag.Get("maxLength")); failed == nil && one != nil && utf8.RuneCountInString(strings.TrimSpace(plainText(one))) > most {
			err = &FieldError{full, fmt.Sprintf("must be at most %d characters long", most)}
		}
		isPart := fieldsErrorOf(err) != nil
		if added := wrong.add(err); added != nil {
			return nil, nil, added
		}
		if err != nil && !isPart {
			one = nil
		}
		if one != nil {
			if field.Tag.Get("format") == "uri" {
				one = quote(strings.TrimSpace(plainText(one))) // pasted with the end of its line
			}
			plain[known], spelled[known] = oneOf(one, field.Tag.Get("enum")), name
		}
		ignored = append(ignored, more...)
	}
	if tidied, err = encode(plain); err != nil {
		return nil, nil, err
	}
	return tidied, ignored, wrong.err()
}

// fieldsErrorOf returns the *fieldsError in an error; nil if there is none.
func fieldsErrorOf(err error) *fieldsError {
	several := (*fieldsError)(nil)
	errors.As(err, &several)
	return several
}

// meantField asks for the field that an unknown name of the object at path may mean: a mistyped one, one of an object in it, or one of the request itself.
// It is empty if there is none.
func (t *tidier) meantField(name, path string, fields []reflect.StructField) string {
	names := make([]string, 0, len(fields))
	for _, f := range fields {
		names = append(names, jsonName(f))
	}
	near := nearest.Name(name, names)
	isAlso := func(f reflect.StructField) bool { // other requests call it so
		return slices.ContainsFunc(strings.Split(f.Tag.Get("instead"), ","), func(other string) bool { return other != "" && plainName(other) == plainName(name) })
	}
	for _, f := range fields {
		if near == "" && isAlso(f) {
			near = jsonName(f)
		}
		if near != "" || f.Anonymous || f.Type.Kind() != reflect.Struct {
			continue
		}
		for _, inner := range reflect.VisibleFields(f.Type) {
			if within := jsonName(inner); within != "" && (plainName(within) == plainName(name) || isAlso(inner)) {
				near = strings.TrimPrefix(path+"."+jsonName(f)+"."+within, ".")
				break
			}
		}
	}
	if near != "" {
		return fmt.Sprintf("did you mean '%s'?", near)
	}
	for _, f := range t.outer {
		if own := jsonName(f); path != "" && own != "" && plainName(own) == plainName(name) {
			return fmt.Sprintf("did you mean '%s' beside '%s'?", own, path)
		}
	}
	return ""
}

// jsonName returns the name of a field in JSON.
func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// oneOf returns a text as a field's list of words spells it: PNG is png.
func oneOf(value json.RawMessage, words string) json.RawMessage {
	if words == "" || value[0] != '"' {
		return value
	}
	text := strings.TrimSpace(plainText(value))
	for word := range strings.SplitSeq(words, ",") {
		if strings.EqualFold(word, text) {
			return quote(word)
		}
	}
	return value
}

// jsonType returns the name of a value's type, or the value itself if it is a number or a boolean.
func jsonType(value json.RawMessage) string {
	switch value[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return string(value)
	default:
		return fmt.Sprintf("%.30s", value)
	}
}

// check adds to the mistakes of a request those that the API server cannot find, or would report under another name. The request has no value in a field
// of which there is a mistake already.
func (r *Request) check(wrong *fieldsError) {
	refuse := func(err error) { _ = wrong.add(err) } // all are of fields
	if !slices.Contains([]string{"", "url", "base64", "binary"}, r.Response.Type) {
		refuse(&FieldError{"response.type", fmt.Sprintf("'%.100s' must be url, base64 or binary", r.Response.Type)})
	}
	if r.Response.Size == "" && !wrong.names("response.size") {
		r.Response.checkSides(refuse, wrong.names("response.width"), wrong.names("response.height"))
	}
	if !slices.Contains([]string{"", "sync", modeAsync}, r.Response.Mode) {
		refuse(&FieldError{"response.mode", fmt.Sprintf("'%.100s' must be sync or async", r.Response.Mode)})
	}
	for _, margin := range [][2]string{{"pdfOptions.margin", r.PDFOptions.Margin}, {"response.pdfOptions.margin", r.Response.PDFOptions.Margin}} {
		if _, ok := plainMargin(margin[1]); !ok {
			refuse(&FieldError{margin[0], fmt.Sprintf("'%.100s' must be one length for all sides, in px, pt, mm, cm or in, such as 20px", margin[1])})
		}
	}
	refuse(checkSize("response.size", string(r.Response.Size)))
	extra := make([]string, 0, len(r.Response.ExtraSizes))
	for i, one := range r.Response.ExtraSizes {
		refuse(checkSize(wrong.places.at("response.extraSizes", i), one.Size))
		extra = append(extra, one.Size)
	}
	checkConnectionOptions(r.Connections, wrong)
	refuse(checkWebhook("webhook", r.Webhook))
	refuse(checkWebhook("webhook_url", r.WebhookURL))
	// A job has each page and each size once.
	wrong.keep("response.includePages", firsts(r.Response.IncludePages))
	wrong.keep("response.extraSizes", firsts(extra))
}

// checkSides looks at a size that is a width and a height, of which a mistake may be known already.
func (o *ResponseOptions) checkSides(refuse func(error), badWidth, badHeight bool) {
	switch {
	case badWidth && !badHeight:
		refuse(otherSide("response.height", "response.width", o.Height))
	case badHeight && !badWidth:
		refuse(otherSide("response.width", "response.height", o.Width))
	case !badWidth && (o.Width == 0) != (o.Height == 0):
		refuse(&FieldError{"response.width", "needs response.height, and the other way round"})
	}
}

// otherSide returns what is wrong with a side of a size, besides a mistake of the other side.
func otherSide(field, other string, side Whole) error {
	switch {
	case side == 0:
		return &FieldError{field, "is required beside " + other}
	case side > task.MaxSide:
		return tooLarge(field, side)
	default:
		return nil
	}
}

// checkConnectionOptions adds the mistakes of the connections that are wrong by themselves.
func checkConnectionOptions(connections []ConnectionOptions, wrong *fieldsError) {
	refuse := func(err error) { _ = wrong.add(err) } // all are of fields
	if n := len(connections); n > maxConnections {
		refuse(&FieldError{"connections", fmt.Sprintf("has %d items; it must have at most %d", n, maxConnections)})
		return
	}
	before := map[string]ConnectionOptions{} // by their places
	for i, c := range connections {
		at := wrong.places.at("connections", i)
		bad := wrong.names(at)
		if c.Type != "" && c.Type != string(platenv1alpha1.ConnectionStorage) {
			refuse(&FieldError{at + ".type", fmt.Sprintf("'%.100s' must be storage", c.Type)})
		}
		if !bad { // else it may not be the one that it says
			refuse(checkTwiceNamed(before, c, at))
			before[at] = c
		}
	}
}

// maxConnections is how many connections a RenderJob may name.
const maxConnections = 4

// checkTwiceNamed returns an error for a connection that is, or may be, one of those before it: its files would go to one folder only.
func checkTwiceNamed(before map[string]ConnectionOptions, c ConnectionOptions, path string) error {
	name := strings.TrimSpace(c.Name)
	for _, place := range slices.Sorted(maps.Keys(before)) {
		b := before[place]
		other := strings.TrimSpace(b.Name)
		if b.Provider != c.Provider || name != other && name != "" && other != "" {
			continue
		}
		const remedy = "is there twice: a request uploads to one folder of a connection; send another request for a second folder"
		switch {
		case name != other:
			if name != "" {
				path = place // that has none
			}
			return &FieldError{path + ".name", fmt.Sprintf("must be given, as must that of every other connection to %s: without one, it may be the same connection", c.Provider)}
		case name != "":
			return &FieldError{path + ".name", fmt.Sprintf("'%.100s' %s", name, remedy)}
		default:
			return &FieldError{path + ".provider", fmt.Sprintf("'%.100s' %s", c.Provider, remedy)}
		}
	}
	return nil
}

func checkWebhook(field, text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "" || u.User != nil || len(text) > 2048 {
		return &FieldError{field, "must be an http or https URL of at most 2048 characters, without a user name"}
	}
	if problem := platenv1alpha1.WebhookURLProblem(text); problem != "" {
		return &FieldError{field, problem}
	}
	return nil
}
