// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"mime/multipart"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// maxPicture bounds a picture that is sent with a form, in bytes: it becomes part of the job, which etcd holds.
const maxPicture = 512 << 10

// input is one parameter of a template as a visitor fills it in.
type input struct {
	Name, Label, Description string
	Type                     platenv1alpha1.ParameterType
	Required                 bool
	// Value that the input shows, and Default that it began with.
	Value, Default string
	Checked        bool
	// JSON says that a list's items are no plain texts, so that it is edited as JSON.
	JSON bool
	// Error says what is wrong with Value.
	Error string
}

// Hex is the value for a browser's colour picker, which knows nothing but #rrggbb.
func (i input) Hex() string {
	if hexColor.MatchString(i.Value) {
		return strings.ToLower(i.Value)
	}
	return "#808080"
}

// Rows that a text needs.
func (i input) Rows() int { return min(1+strings.Count(i.Value, "\n")+len(i.Value)/60, 12) }

var (
	hexColor = regexp.MustCompile(`^#[0-9A-Fa-f]{6}$`)
	imageURL = regexp.MustCompile(`(?i)^(https?://|data:image/)`)
)

// inputs are those of a template's parameters, filled with the defaults.
func inputs(parameters []platenv1alpha1.Parameter) []input {
	list := make([]input, 0, len(parameters))
	for _, p := range parameters {
		i := input{
			Name: p.Name, Label: label(p.Name), Description: p.Description, Type: p.Type,
			Required: p.Required != nil && *p.Required,
		}
		var value any
		if p.Default != nil {
			_ = json.Unmarshal(p.Default.Raw, &value) // the API server has parsed it
		}
		switch v := value.(type) {
		case nil:
		case string:
			i.Default = v
		case bool:
			i.Checked = v
		case []any:
			i.Default, i.JSON = lines(v)
		default:
			i.Default = string(p.Default.Raw)
		}
		i.Value = i.Default
		list = append(list, i)
	}
	return list
}

// lines shows a list with an item a line; a list of anything but texts is shown as JSON.
func lines(items []any) (text string, isJSON bool) {
	texts := make([]string, 0, len(items))
	for _, item := range items {
		text, ok := item.(string)
		if !ok || strings.ContainsAny(text, "\r\n") {
			data, err := json.MarshalIndent(items, "", "  ")
			return string(data), err == nil
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, "\n"), false
}

// submitted reads a visitor's values into the inputs and returns them as modifications. ok is false when an input has an Error.
func submitted(list []input, form *multipart.Form) (modifications map[string]any, ok bool) {
	modifications, ok = map[string]any{}, true
	for n := range list {
		i := &list[n]
		i.Value = ""
		if values := form.Value["p."+i.Name]; len(values) > 0 {
			i.Value = strings.ReplaceAll(values[0], "\r\n", "\n")
		}
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

// read returns the value of an input, nil when it is left to the template.
func (i *input) read(files []*multipart.FileHeader) (value any, problem string) {
	if i.Type == platenv1alpha1.ParameterBoolean {
		i.Checked = i.Value == "true"
		return i.Checked, ""
	}
	if i.Type == platenv1alpha1.ParameterImage && len(files) > 0 && files[0].Size > 0 {
		return picture(files[0])
	}
	trimmed := strings.TrimSpace(i.Value)
	switch {
	case trimmed == "" && i.Required:
		return nil, "Please fill this in."
	case trimmed == "" && i.Type == platenv1alpha1.ParameterText && i.Default != "":
		return i.Value, "" // emptied on purpose
	case trimmed == "":
		return nil, ""
	}
	switch i.Type {
	case platenv1alpha1.ParameterNumber:
		number, err := strconv.ParseFloat(strings.Replace(trimmed, ",", ".", 1), 64)
		if err != nil || math.IsInf(number, 0) || math.IsNaN(number) {
			return nil, "This must be a number, such as 1.5."
		}
		return number, ""
	case platenv1alpha1.ParameterImage:
		if !imageURL.MatchString(trimmed) {
			return nil, "This must be an address that begins with https:// or http://, or choose a file."
		}
		return trimmed, ""
	case platenv1alpha1.ParameterColor:
		return trimmed, ""
	case platenv1alpha1.ParameterList:
		return i.items(trimmed)
	default:
		return i.Value, ""
	}
}

func (i *input) items(text string) (value any, problem string) {
	if i.JSON || strings.HasPrefix(text, "[") {
		var items []any
		if err := json.Unmarshal([]byte(text), &items); err != nil {
			return nil, `This must be a list in JSON, such as ["one", "two"].`
		}
		return items, ""
	}
	var items []any
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			items = append(items, line)
		}
	}
	return items, ""
}

// picture makes a file a data URL. What it is, its bytes say, not its name.
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

// grey is a picture of one pixel.
const grey = "data:image/gif;base64,R0lGODdhAQABAPAAAMDAwAAAACwAAAAAAQABAAACAkQBADs="

// samples are values for the parameters that must be given, for a preview.
func samples(list []input) map[string]any {
	values := map[string]any{}
	for _, i := range list {
		if !i.Required || i.Default != "" {
			continue
		}
		switch i.Type {
		case platenv1alpha1.ParameterImage:
			values[i.Name] = grey
		case platenv1alpha1.ParameterColor:
			values[i.Name] = "#808080"
		case platenv1alpha1.ParameterNumber:
			values[i.Name] = 1
		case platenv1alpha1.ParameterBoolean:
			values[i.Name] = true
		case platenv1alpha1.ParameterList:
			values[i.Name] = []any{i.Label}
		case platenv1alpha1.ParameterText:
			values[i.Name] = i.Label
		}
	}
	return values
}
