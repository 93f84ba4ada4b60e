// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// fieldFlags has the flag that sets a field, so that a refusal of the field names what the person wrote. Fields have no indexes.
type fieldFlags map[string]string

// outputFields are the fields that outputFlags set.
var outputFields = fieldFlags{
	"spec.output.format":         "--format",
	"spec.output.fileName":       "--file-name",
	"spec.output.scale":          "--scale",
	"spec.output.size":           "--size",
	"spec.output.extraSizes":     "--extra-sizes",
	"spec.output.quality":        "--quality",
	"spec.output.transparent":    "--transparent",
	"spec.output.pages":          "--pages",
	"spec.output.pdf":            "--margin",
	"spec.output.pdf.margin":     "--margin",
	"spec.output.video.fps":      "--fps",
	"spec.output.video.duration": "--duration",
}

// fieldName matches the name of a field with its indexes.
var fieldName = regexp.MustCompile(`\b(?:spec|metadata)(?:\.[A-Za-z]+(?:\[[0-9]+\])?)+`)

var index = regexp.MustCompile(`\[[0-9]+\]`)

// words replaces the fields of a message by their flags. It reports whether the message is about a flag.
func (f fieldFlags) words(message string) (text string, ok bool) {
	if first := fieldName.FindStringIndex(message); first != nil && first[0] == 0 {
		ok = f[index.ReplaceAllString(message[:first[1]], "")] != ""
	}
	return fieldName.ReplaceAllStringFunc(message, func(name string) string {
		if flag := f[index.ReplaceAllString(name, "")]; flag != "" {
			return flag
		}
		return name
	}), ok
}

// Shapes of what the API server says of a value, after the name of its field.
var (
	invalidValue = regexp.MustCompile(`^Invalid value: (?:"(?:object|array|string|integer|number|boolean)": |("(?:[^"\\]|\\.)*"|[0-9.-]+|[\[{].*[\]}]): )?`)
	unsupported  = regexp.MustCompile(`^Unsupported value: (.*): supported values: (.*)$`)
	wrongType    = regexp.MustCompile(`must be of type (\S+): "(\w+)"$`)
	bound        = regexp.MustCompile(`^should (.*)$`)
	// Of a field of spec, the API server counts characters, although it calls them bytes.
	tooLong   = regexp.MustCompile(`^Too long: may not be more than (\d+) bytes$`)
	typeNames = map[string]string{
		"integer": "a whole number", "number": "a number", "string": "text", "boolean": "true or false", "array": "a list", "object": "an object",
		"integer,string": "a whole number or text", "null": "null", "int32": "a whole number", "float64": "a number with a fraction",
	}
	boundWords = strings.NewReplacer(
		"be less than or equal to", "be at most", "be greater than or equal to", "be at least", "be at least 1 chars long", "not be empty", "chars long", "characters long",
		"have at least 1 items", "have an item",
	)
)

// inWords says what the API server refuses of a field without the words of its libraries.
func inWords(field, message string) string {
	if m := unsupported.FindStringSubmatch(message); m != nil {
		one := ""
		if strings.Contains(m[2], ", ") {
			one = "one of "
		}
		return m[1] + " must be " + one + m[2]
	}
	if rest, ok := strings.CutPrefix(message, "Duplicate value: "); ok {
		return rest + " is there twice"
	}
	if m := tooLong.FindStringSubmatch(message); m != nil && strings.HasPrefix(field, "spec.") {
		return "must be at most " + m[1] + " characters long"
	}
	for _, prefix := range []string{"Required value: ", "Too long: ", "Too many: ", "Forbidden: "} {
		if rest, ok := strings.CutPrefix(message, prefix); ok {
			return rest
		}
	}
	value := invalidValue.FindStringSubmatch(message)
	if value == nil {
		return strings.Replace(message, "Required value", "must be set", 1)
	}
	text := strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(message, value[0]), field), " in body ")
	if m := wrongType.FindStringSubmatch(text); m != nil && typeNames[m[1]] != "" && typeNames[m[2]] != "" {
		advice := ""
		if m[1] == "string" && slices.Contains([]string{"integer", "number", "float64", "boolean"}, m[2]) {
			advice = ": put quotes around it"
		}
		return "must be " + typeNames[m[1]] + ", not " + typeNames[m[2]] + advice
	}
	switch m := bound.FindStringSubmatch(text); {
	case m != nil:
		text = "must " + boundWords.Replace(m[1])
	case strings.HasPrefix(text, "a lowercase RFC 1123 subdomain must "):
		text = "must be lower-case letters, digits, hyphens and dots, with a letter or a digit first and last"
	case strings.HasPrefix(text, "a lowercase RFC 1123 label must "):
		text = "must be lower-case letters, digits and hyphens, with a letter or a digit first and last"
	}
	if value[1] == "" || value[1] == `""` || len(value[1]) > maxValue || strings.HasPrefix(text, "must have") {
		return text
	}
	return value[1] + " " + text
}

// noField is the field of what the API server says of a whole object.
const noField = "<nil>"

// unchecked begins the API server's remark that it has not checked everything.
const unchecked = `Invalid value: null: some validation rules were not checked`

// maxValue bounds the value that a message repeats, in bytes: some are whole pages.
const maxValue = 80

// refusal returns what the API server says of an object that it does not take, in the words of flags. It is an error of the command line if it
// is about flags alone. Every other error stays as it is.
func (f fieldFlags) refusal(err error) error {
	status := apierrors.APIStatus(nil)
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return err
	}
	var causes []string
	all := true
	for _, cause := range status.Status().Details.Causes {
		if strings.HasPrefix(cause.Message, unchecked) {
			continue
		}
		text := inWords(cause.Field, cause.Message)
		if cause.Field != noField && cause.Field != "" {
			text = cause.Field + ": " + text
		}
		text, ok := f.words(text)
		all = all && ok
		causes = append(causes, text)
	}
	switch {
	case len(causes) == 0:
		return err
	case all:
		return usage("%s", strings.Join(causes, "; "))
	default:
		return fmt.Errorf("the cluster does not take the %s: %s", status.Status().Details.Kind, strings.Join(causes, "; "))
	}
}
