// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package mcp

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/platen-dev/platen/internal/contenturl"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/nearest"
	"github.com/platen-dev/platen/internal/shim"
)

// The arguments of a render that are no values of the template, called as the fields of a RenderJob. A dot is in no parameter's name.
const (
	outputPrefix   = "output."
	formatArgument = outputPrefix + "format"
	nameArgument   = outputPrefix + "fileName"
	scaleArgument  = outputPrefix + "scale"
	// modificationsArgument is the argument of the tool render that has the values.
	modificationsArgument = "modifications"
)

// argumentName matches the arguments that Anthropic's API takes. It refuses a whole conversation for a tool with any other.
var argumentName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,64}$`)

const (
	// maxFurther bounds the values that a tool's description names.
	maxFurther = 20
	// maxUnknown bounds the arguments that one answer names.
	maxUnknown = 10
)

// The names of a request's fields in the words of the tool render, and in those of a template's tool, whose values are arguments.
var (
	argumentWords = strings.NewReplacer(fieldWords...)
	valueWords    = strings.NewReplacer(slices.Concat(fieldWords, []string{"modifications.", ""})...)
	// adviceWords are those of the advice about uploads that is in a result: its other texts are what users have written, too.
	adviceWords = strings.NewReplacer(slices.Concat(folderWords, []string{"another response.fileName ", "another " + nameArgument + " "})...)
	fieldWords  = slices.Concat(folderWords, []string{
		"response.format", formatArgument, "response.fileName", nameArgument, "response.scale", scaleArgument, "templateId: ", "template: ",
	})
	folderWords = []string{"name the folder in connections[].folder", "a render's folder is its connection's own"}
)

const (
	// maxTools bounds the templates that are tools. The tool render renders the others too.
	maxTools = 500
	// toolPrefix begins the names of the templates' tools.
	toolPrefix = "render_"
	// maxToolName bounds the name of a tool, because some clients take no longer ones.
	maxToolName = 64
)

// template is a template as a tool.
type template struct {
	shim.Template
	name string
}

var notInNames = regexp.MustCompile(`[^a-zA-Z0-9_-]+`)

// tools names the tools of templates by the names of the objects. Each name is that of one template, whatever others there are.
func tools(all []shim.Template) []template {
	list := make([]template, 0, min(len(all), maxTools))
	for _, t := range all[:min(len(all), maxTools)] {
		name := toolPrefix + notInNames.ReplaceAllString(t.ResourceName, "_")
		if name != toolPrefix+t.ResourceName || len(name) > maxToolName {
			sum := sha256.Sum256([]byte(t.ResourceName))
			name = strings.TrimRight(name[:min(len(name), maxToolName-9)], "_-") + "_" + hex.EncodeToString(sum[:4])
		}
		list = append(list, template{t, name})
	}
	return list
}

// tool describes the template to an assistant.
func (t template) tool() *mcp.Tool {
	properties, required, further := outputs(), []string{}, []string{}
	for _, m := range t.Modifications {
		if !argumentName.MatchString(m.Key) { // a page may bind any name; the API takes the value all the same
			further = append(further, m.Key)
			continue
		}
		properties[m.Key] = property(m)
		if m.Required {
			required = append(required, m.Key)
		}
	}
	sizes := make([]string, 0, len(t.PagesData))
	for _, p := range t.PagesData {
		sizes = append(sizes, fmt.Sprintf("%s %dx%d", p.Name, p.Width, p.Height))
	}
	description := fmt.Sprintf("Render the template %s (%s).", t.Name, strings.Join(sizes, ", "))
	if about := strings.TrimSpace(t.Description); about != "" {
		if !strings.ContainsAny(about[len(about)-1:], ".!?:") {
			about += "."
		}
		description = about + " " + description
	}
	if len(further) > 0 {
		if more := len(further) - maxFurther; more > 0 {
			further = append(further[:maxFurther], fmt.Sprintf("and %d more, which list_templates names", more))
		}
		description += " The tool render also takes, in modifications: " + strings.Join(further, ", ") + "."
	}
	return &mcp.Tool{
		Name: t.name, Title: t.Title, Description: description, InputSchema: object(properties, required...), Annotations: &mcp.ToolAnnotations{Title: t.Title},
	}
}

// split returns the template's id, the arguments that say what files there are, and the modifications.
func (t template) split(arguments json.RawMessage) (id json.RawMessage, output map[string]json.RawMessage, modifications json.RawMessage, err error) {
	output, values := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	if len(arguments) > 0 {
		if err := json.Unmarshal(arguments, &values); err != nil {
			return nil, nil, nil, err
		}
	}
	for _, name := range []string{formatArgument, nameArgument, scaleArgument} {
		if value, ok := values[name]; ok {
			output[name] = value
			delete(values, name)
		}
	}
	if id, err = json.Marshal(t.ID); err != nil {
		return nil, nil, nil, err
	}
	modifications, err = json.Marshal(values)
	return id, output, modifications, err
}

// unknownArgument says which arguments a tool does not have, and once which it has; empty if it has all.
func unknownArgument(given map[string]json.RawMessage, known map[string]any) string {
	names, unknown, more, told := slices.Sorted(maps.Keys(known)), []string{}, 0, false
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if _, ok := known[name]; ok {
			continue
		}
		if len(unknown) == maxUnknown {
			more++
			continue
		}
		text, hint := fmt.Sprintf("%.100s: there is no such argument", name), meant(name, names)
		isQuestion := strings.HasSuffix(hint, "?")
		if isQuestion || !told {
			text += "; " + hint
		}
		told = told || !isQuestion
		unknown = append(unknown, text)
	}
	if more > 0 {
		unknown = append(unknown, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(unknown, "; ")
}

// mistaken says which value was meant to be another argument: one that begins with a dollar or as the arguments do, or is called as an argument
// in another spelling or without its beginning, or as the argument of the tool render that has the values. A template may have values that its tool does not know, so it takes all others.
func (t template) mistaken(values json.RawMessage) string {
	given := map[string]json.RawMessage{}
	if json.Unmarshal(values, &given) != nil {
		return "" // the API says what is wrong
	}
	names := slices.Sorted(maps.Keys(outputs()))
	// An element with the id output has styles that begin as the arguments do.
	styled := slices.ContainsFunc(t.Modifications, func(m shim.Modification) bool { return strings.HasPrefix(m.Key, outputPrefix) })
	for _, name := range slices.Sorted(maps.Keys(given)) {
		own := slices.ContainsFunc(t.Modifications, func(m shim.Modification) bool { return m.Key == name })
		isOutput := func(argument string) bool {
			return letters(argument) == letters(name) || letters(argument) == letters(outputPrefix+name)
		}
		if !own && strings.EqualFold(name, modificationsArgument) {
			return name + ": the template has no such value; each value is an argument of its own. The tool render takes any value in modifications"
		}
		if strings.HasPrefix(name, "$") || strings.HasPrefix(name, outputPrefix) && !styled || !own && (slices.ContainsFunc(names, isOutput) || letters(name) == letters(outputPrefix)) {
			hint := meant(name, names)
			if !strings.HasSuffix(hint, "?") {
				hint += "."
			}
			return fmt.Sprintf("%.100s: the template has no such value; %s The tool render takes any value in modifications", name, hint)
		}
	}
	return ""
}

// letters returns a name as it is compared with another spelling of it: clients write output_format for output.format.
func letters(name string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		if strings.ContainsRune("._-", r) {
			return -1
		}
		return r
	}, name))
}

// meant asks for the argument that a mistyped one may mean, or tells which there are.
func meant(name string, names []string) string {
	if len(names) == 0 {
		return "the tool has none"
	}
	for _, name := range []string{name, outputPrefix + strings.TrimPrefix(name, "$")} {
		if near := nearest.Name(name, names); near != "" {
			return "did you mean " + near + "?"
		}
		for _, known := range names {
			if letters(known) == letters(name) {
				return "did you mean " + known + "?"
			}
		}
	}
	return "there are " + strings.Join(names, ", ")
}

// property returns the JSON schema of a value. Clients refuse a tool whose arguments have several types, or an array without the schema of its items. The
// API takes a number as text and text as a number all the same.
func property(m shim.Modification) map[string]any {
	schema := map[string]any{}
	var example any
	if m.Example != nil && json.Unmarshal(m.Example.Raw, &example) == nil {
		schema["examples"] = []json.RawMessage{m.Example.Raw}
	}
	switch m.Type {
	case "number", "boolean":
		schema["type"] = m.Type
	case "list":
		items, _ := example.([]any)
		schema["type"], schema["items"] = "array", shape(items)
	case "object":
		schema["type"] = "object"
		if _, ok := example.(map[string]any); ok {
			maps.Copy(schema, shape([]any{example}))
		}
	case "image":
		schema["type"], schema["description"] = "string", "A URL of a picture."
	case "color":
		schema["type"], schema["description"] = "string", "A CSS colour or gradient."
	case "date":
		schema["type"], schema["description"] = "string", "A date, such as 2026-11-26."
	default:
		schema["type"] = "string"
	}
	if m.Description != "" {
		schema["description"] = m.Description
	}
	return schema
}

// shape returns a JSON schema that fits each of the values; null has no type. It is that of text if they have no type in common: clients refuse a tool with a
// schema that has none, and a page shows any other value as text.
func shape(values []any) map[string]any {
	schema := map[string]any{}
	var items []any
	fields := map[string][]any{}
	for _, v := range values {
		kind := ""
		switch v := v.(type) {
		case nil:
			continue
		case bool:
			kind = "boolean"
		case float64:
			kind = "number"
		case string:
			kind = "string"
		case []any:
			kind, items = "array", append(items, v...)
		case map[string]any:
			kind = "object"
			for name, field := range v {
				fields[name] = append(fields[name], field)
			}
		}
		if schema["type"] != nil && schema["type"] != kind {
			return map[string]any{"type": "string"}
		}
		schema["type"] = kind
	}
	switch schema["type"] {
	case nil:
		schema["type"] = "string"
	case "array":
		schema["items"] = shape(items)
	case "object":
		properties := map[string]any{}
		for name, field := range fields {
			if argumentName.MatchString(name) {
				properties[name] = shape(field)
			}
		}
		if len(properties) > 0 {
			schema["properties"] = properties
		}
	}
	return schema
}

// outputs returns the schemas of the arguments that say what files there are.
func outputs() map[string]any {
	return map[string]any{
		formatArgument: map[string]any{"type": "string", "enum": []string{"png", "jpg", "jpeg", "webp", "avif", "pdf", "mp4", "webm", "gif"}, "description": "Format of the files. Default png."},
		nameArgument:   map[string]any{"type": "string", "description": "Name of the files, without an extension."},
		scaleArgument:  map[string]any{"type": "number", "description": "Pixels of the picture for each CSS pixel, 0.1 to 10. Default 1."},
	}
}

// object returns the JSON schema of an object.
func object(properties map[string]any, required ...string) map[string]any {
	if properties == nil {
		properties = map[string]any{}
	}
	schema := map[string]any{"type": "object", "properties": properties}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}

// links returns a link to each file of an answer of the API.
func links(answer []byte) (list []*mcp.ResourceLink) {
	type rendered struct {
		Content    string `json:"content"`
		Page       int    `json:"page"`
		ExtraSizes []struct {
			Content string `json:"content"`
			Size    string `json:"size"`
		} `json:"extraSizes"`
	}
	var body struct {
		Data json.RawMessage `json:"data"`
	}
	if json.Unmarshal(answer, &body) != nil {
		return nil
	}
	var several []rendered
	if json.Unmarshal(body.Data, &several) != nil {
		var one rendered
		if json.Unmarshal(body.Data, &one) != nil {
			return nil
		}
		several = []rendered{one}
	}
	for _, r := range several {
		list = appendLink(list, r.Content)
		for _, size := range r.ExtraSizes {
			list = appendLink(list, size.Content)
		}
	}
	return list
}

func appendLink(list []*mcp.ResourceLink, contentURL string) []*mcp.ResourceLink {
	u, err := url.Parse(contentURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return list
	}
	kind := file.Format(strings.TrimPrefix(path.Ext(u.Path), ".")).ContentType()
	if parsed, _, err := mime.ParseMediaType(kind); err == nil {
		kind = parsed
	}
	name, err := contenturl.Name(u.Query()) // under which browsers save it
	if err != nil || name == "" {
		name = path.Base(u.Path)
	}
	return append(list, &mcp.ResourceLink{URI: contentURL, Name: name, MIMEType: kind})
}
