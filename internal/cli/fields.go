// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"regexp"
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

// field matches the name of a field with its indexes.
var field = regexp.MustCompile(`\b(?:spec|metadata)(?:\.[A-Za-z]+(?:\[[0-9]+\])?)+`)

var index = regexp.MustCompile(`\[[0-9]+\]`)

// words replaces the fields of a message by their flags. It reports whether the message is about a flag.
func (f fieldFlags) words(message string) (text string, ok bool) {
	if first := field.FindStringIndex(message); first != nil && first[0] == 0 {
		ok = f[index.ReplaceAllString(message[:first[1]], "")] != ""
	}
	return field.ReplaceAllStringFunc(message, func(name string) string {
		if flag := f[index.ReplaceAllString(name, "")]; flag != "" {
			return flag
		}
		return name
	}), ok
}

// invalidValue is what the API server puts before what is wrong.
var invalidValue = regexp.MustCompile(`^Invalid value: (?:"object": |("(?:[^"\\]|\\.)*"|[0-9.-]+): )?`)

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
		if cause.Field == "<nil>" || cause.Field == "" {
			continue // the API server's remark that it has not checked everything
		}
		text, ok := f.words(cause.Field + ": " + invalidValue.ReplaceAllString(cause.Message, "$1 "))
		all = all && ok
		causes = append(causes, strings.Join(strings.Fields(text), " "))
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
