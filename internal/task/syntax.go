// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package task

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// SyntaxProblem says what is wrong with a text that is no YAML, and in which line; empty if the text is YAML or the line is not known. The libraries that
// read YAML for Platen name the line before for some mistakes, and none for those in the first line.
func SyntaxProblem(text string) string {
	mistake := (*yaml.LoadError)(nil)
	if err := yaml.Unmarshal([]byte(text), &yaml.Node{}); !errors.As(err, &mistake) || mistake.Mark.Line == 0 {
		return ""
	}
	last := 1 + strings.Count(strings.TrimRight(text, "\r\n"), "\n") // what is missing at the end counts as the line after
	return fmt.Sprintf("line %d: %s", min(mistake.Mark.Line, last), mistake.Message)
}
