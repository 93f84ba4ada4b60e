// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/bindings"
	"github.com/platen-dev/platen/internal/values"
)

// maxPicture bounds a picture in a form, in bytes. The picture becomes part of the job, which is stored in etcd.
const maxPicture = 512 << 10

// input is the form field of one parameter.
type input struct {
	Name, Label, Description string
	Type                     platenv1alpha1.ParameterType
	// Required tells whether the field must be filled in: the parameter is required and has no default.
	Required bool
	// Value is what the field shows, Default the template's default.
	Value, Default string
	// Checked is the value of a boolean. Undeclared tells that no template declares the parameter, so that a page takes every value of it as data-if does.
	Checked, Undeclared bool
	// JSON tells whether the visitor edits a list as JSON, because an item is not a single line of text. Objects tells that an item is no text at all.
	JSON, Objects bool
	// Example is a value that the template takes, and ExampleText the same in JSON, for a list, an object or a link; nil if none is known.
	Example     any
	ExampleText string
	// Error says what is wrong with Value; empty if nothing is.
	Error string
}

// Missing tells whether the field must be filled in and is empty.
func (i input) Missing() bool { return i.Error == emptyError }

// emptyError is the Error of a required field that is empty.
const emptyError = "Please fill this in."

// Hex returns the value for a browser's colour picker, which accepts only #rrggbb. The page's script knows the names of colours, too.
func (i input) Hex() string {
	switch {
	case hexColor.MatchString(i.Value):
		return strings.ToLower(i.Value)
	case shortHex.MatchString(i.Value):
		c := strings.ToLower(i.Value)
		return "#" + c[1:2] + c[1:2] + c[2:3] + c[2:3] + c[3:4] + c[3:4]
	}
	return "#808080"
}

// maxPlaceholder bounds the default in a placeholder, in characters.
const maxPlaceholder = 200

// Placeholder returns what an empty field shows: the default that takes its place, or how a value looks; empty for nothing.
func (i input) Placeholder() string {
	text := []rune(i.Default)
	if len(text) > maxPlaceholder {
		text = append(text[:maxPlaceholder:maxPlaceholder], '…')
	}
	switch {
	case i.Type == platenv1alpha1.ParameterText: // an empty text is a value
		return ""
	case len(text) > 0 && i.Type == platenv1alpha1.ParameterList:
		return "Default:\n" + string(text)
	case len(text) > 0:
		return "Default: " + string(text)
	case i.Type == platenv1alpha1.ParameterDate:
		return "2026-01-31"
	case i.Type == platenv1alpha1.ParameterImage:
		return "https://…"
	}
	return ""
}

// Rows returns the height of a text field, in lines.
func (i input) Rows() int { return min(1+strings.Count(i.Value, "\n")+len(i.Value)/60, 12) }

var hexColor, shortHex = regexp.MustCompile(`^#[0-9A-Fa-f]{6}$`), regexp.MustCompile(`^#[0-9A-Fa-f]{3}$`)

// inputs returns a field with the default for each parameter, except for styles.
func inputs(parameters []bindings.Parameter) []input {
	list := make([]input, 0, len(parameters))
	for _, p := range parameters {
		if p.Style {
			continue
		}
		i := input{
			Name: p.Name, Label: label(p.Name), Description: p.Description, Type: p.Type,
			Required: p.Needed(), Undeclared: !p.Declared,
		}
		var value any
		if p.Default != nil {
			_ = withDigits(p.Default.Raw, &value) // valid: the API server has parsed it
		}
		switch v := value.(type) {
		case nil:
		case string:
			i.Default = v
		case []any:
			i.Default, i.JSON = lines(v)
			i.Objects = !allText(v)
		case map[string]any:
			i.Default, i.JSON = string(p.Default.Raw), true
		default:
			i.Default = string(p.Default.Raw)
		}
		if p.Type == platenv1alpha1.ParameterBoolean {
			i.Default, i.JSON = "", false
			i.setChecked(value)
		}
		i.Value = i.Default
		i.setExample(p)
		list = append(list, i)
	}
	return list
}

// setExample sets the example of a parameter whose value people would not guess.
func (i *input) setExample(p bindings.Parameter) {
	if p.Example == nil || p.Type != platenv1alpha1.ParameterList && values.Type(p.Type) != values.Object && !p.Link {
		return
	}
	if json.Unmarshal(p.Example.Raw, &i.Example) != nil {
		return // the HTML has it, so it is JSON
	}
	switch example := i.Example.(type) {
	case []any:
		_, isJSON := lines(example)
		i.JSON, i.Objects = i.JSON || isJSON, i.Objects || !allText(example)
	case map[string]any:
		i.JSON = true
	}
	i.ExampleText = string(p.Example.Raw)
}

// allText tells whether each item of a list is text.
func allText(items []any) bool {
	return !slices.ContainsFunc(items, func(item any) bool { _, ok := item.(string); return !ok })
}

// lines returns a list as text with one item a line, or as JSON if an item is not a single line of text, or would not be read as it is.
func lines(items []any) (text string, isJSON bool) {
	texts := make([]string, 0, len(items))
	for _, item := range items {
		text, _ := item.(string)
		texts = append(texts, text)
	}
	text = strings.Join(texts, "\n")
	if read, err := values.ReadText(values.List, text); len(items) > 0 && (err != nil || !reflect.DeepEqual(read, items)) {
		text, err := encodeLines(items)
		return text, err == nil
	}
	return text, false
}

// submitted reads a visitor's values into the fields and returns them as modifications. ok is false if a field has an Error.
func submitted(list []input, form *multipart.Form) (modifications map[string]any, ok bool) {
	modifications, ok = map[string]any{}, true
	for n := range list {
		i := &list[n]
		i.Value = ""
		if texts := form.Value["p."+i.Name]; len(texts) > 0 {
			i.Value = strings.ToValidUTF8(strings.ReplaceAll(texts[0], "\r\n", "\n"), "\uFFFD")
		}
		i.Checked = i.Value == "true"
		value, problem := i.read(form.File["f."+i.Name])
		switch {
		case problem != "":
			i.Error, ok = problem, false
		case value != nil:
			modifications[i.Name] = value
		}
	}
	return modifications, ok
}

// check says in the fields which of the values that they begin with are wrong. An empty field is none: nobody has reached it yet.
func check(list []input) {
	for n := range list {
		if i := &list[n]; strings.TrimSpace(i.Value) != "" {
			_, i.Error = i.read(nil)
		}
	}
}

// read returns the value of a field; nil if the template's default applies.
func (i *input) read(files []*multipart.FileHeader) (value any, problem string) {
	if i.Type == platenv1alpha1.ParameterBoolean {
		return i.Checked, ""
	}
	trimmed := strings.TrimSpace(i.Value)
	if i.Type == platenv1alpha1.ParameterImage && len(files) > 0 && files[0].Size > 0 {
		if trimmed != "" && trimmed != strings.TrimSpace(i.Default) { // without scripts, the default stays in the field
			return nil, "An address and a picture from this device: clear the address, or remove the picture."
		}
		return picture(files[0])
	}
	switch {
	case trimmed == "" && i.Required:
		return nil, emptyError
	case trimmed == "" && i.Type == platenv1alpha1.ParameterText && i.Default != "":
		return i.Value, "" // the visitor has deleted the default
	case trimmed == "":
		return nil, ""
	}
	value, err := values.ReadText(values.Type(i.Type), i.Value)
	if i.Objects && (err != nil || !strings.HasPrefix(trimmed, "[")) {
		return nil, "This must be a list: JSON such as " + cmp.Or(i.ExampleText, compact(i.Default)) + "."
	}
	if refused := (*values.Error)(nil); errors.As(err, &refused) {
		return nil, "This must be " + refused.Want + "."
	}
	return value, ""
}

// compact returns JSON in one line.
func compact(text string) string {
	var b bytes.Buffer
	if json.Compact(&b, []byte(text)) != nil {
		return text
	}
	return b.String()
}

// picture turns a file into a data URL. The file's bytes decide its type, not its name.
func picture(header *multipart.FileHeader) (value any, problem string) {
	if header.Size > maxPicture {
		return nil, fmt.Sprintf("The picture has more than %d KiB. Give it by its address.", maxPicture>>10)
	}
	file, err := header.Open()
	if err != nil {
		return nil, "The picture could not be read. Choose it again."
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, maxPicture))
	if err != nil {
		return nil, "The picture could not be read. Choose it again."
	}
	kind := http.DetectContentType(data)
	if !slices.Contains([]string{"image/png", "image/jpeg", "image/gif", "image/webp"}, kind) {
		return nil, "This must be a PNG, JPEG, GIF or WebP picture."
	}
	return "data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(data), ""
}

// grey is an image of one grey pixel.
const grey = "data:image/gif;base64,R0lGODdhAQABAPAAAMDAwAAAACwAAAAAAQABAAACAkQBADs="

// defaults returns the values of a form that nobody has changed.
func defaults(list []input) map[string]any {
	given := map[string]any{}
	for _, i := range list {
		i.Required = false // a sample takes the place of what is missing
		if value, problem := i.read(nil); value != nil && problem == "" {
			given[i.Name] = value
		}
	}
	return given
}

// complete adds a sample for each required parameter that has no value yet. It returns the labels of these, and what is wrong with others.
func (f formView) complete(given map[string]any) (samples, wrong []string) {
	for _, i := range f.Inputs {
		switch {
		case given[i.Name] != nil:
		case i.Required && strings.TrimSpace(i.Value) == "":
			given[i.Name] = i.sample()
			samples = append(samples, i.Label)
		case i.Error != "":
			wrong = append(wrong, i.Label+": "+i.Error)
		}
	}
	return samples, wrong
}

// sample returns a value for a required parameter without a default.
func (i input) sample() any {
	if i.Example != nil {
		return i.Example
	}
	switch i.Type {
	case platenv1alpha1.ParameterImage:
		return grey
	case platenv1alpha1.ParameterColor:
		return "#808080"
	case platenv1alpha1.ParameterNumber:
		return 1
	case platenv1alpha1.ParameterBoolean:
		return true
	case platenv1alpha1.ParameterList:
		return []any{i.Label}
	case platenv1alpha1.ParameterDate:
		return "2026-01-31"
	default:
		return i.Label
	}
}
