// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package task

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// unended are the mistakes of what begins in one line and is missed in a later one: the first is to be mended.
var unended = []string{"could not find expected ':'", "found unexpected end of stream"}

// SyntaxProblem says what is wrong with a text that is no YAML, and in which line; empty if the text is YAML or the line is not known. The libraries that
// read YAML for Platen name the line before for some mistakes, and none for those in the first line.
func SyntaxProblem(text string) string {
	mistake := (*yaml.LoadError)(nil)
	if err := yaml.Unmarshal([]byte(text), &yaml.Node{}); !errors.As(err, &mistake) || mistake.Mark.Line == 0 {
		return ""
	}
	line := mistake.Mark.Line
	if slices.Contains(unended, mistake.Message) && mistake.ContextMark.Line > 0 {
		line = mistake.ContextMark.Line
	}
	last := 1 + strings.Count(strings.TrimRight(text, "\r\n"), "\n") // what is missing at the end counts as the line after
	return fmt.Sprintf("line %d: %s", min(line, last), mistake.Message)
}
