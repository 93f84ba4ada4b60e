// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"regexp"
	"strings"
)

const (
	// prompt stands before a command of a console block, continuation before each further line of the command.
	prompt       = "$ "
	continuation = "> "
	// ellipsis in a line stands for any text; alone in a line, for any number of lines.
	ellipsis = "…"
)

// step is a command of a console block and what it should print.
type step struct {
	// line is the index in the block of the command's first line, lines is how many it has.
	line, lines int
	command     string
	output      []string
}

// parseConsole splits a console block into steps. A command continues on the next line after a backslash, or if the next line begins
// with continuation.
func parseConsole(text string) []step {
	var steps []step
	open := false // the command may continue
	for i, line := range splitLines(text) {
		command, begins := strings.CutPrefix(line, prompt)
		more, goesOn := strings.CutPrefix(line, continuation)
		last := len(steps) - 1
		switch {
		case begins:
			steps = append(steps, step{line: i, lines: 1, command: command})
			open = true
		case open && (goesOn || strings.HasSuffix(steps[last].command, `\`)):
			if !goesOn {
				more = line
			}
			steps[last].command += "\n" + more
			steps[last].lines++
		default:
			steps[last].output = append(steps[last].output, line)
			open = false
		}
	}
	return steps
}

// commandsOnly returns a console block's commands, each on its line of the block.
func commandsOnly(text string) string {
	lines := make([]string, len(splitLines(text)))
	for _, s := range parseConsole(text) {
		copy(lines[s.line:], strings.Split(s.command, "\n"))
	}
	return strings.Join(lines, "\n") + "\n"
}

// splitLines returns the lines of a text without the empty ones at its end.
func splitLines(text string) []string {
	text = strings.TrimRight(text, " \n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// match compares printed lines with expected ones and returns the index of the first expected line that does not fit. Spaces count as
// one, because the width of a table's columns varies. In a table whose last column is AGE, each age fits any other.
func match(expected, printed []string) (line int, ok bool) {
	patterns := linePatterns(expected)
	furthest := 0
	var fits func(i, j int) bool
	fits = func(i, j int) bool {
		furthest = max(furthest, i)
		switch {
		case i == len(patterns):
			return j == len(printed)
		case patterns[i] == nil: // any number of lines
			for next := len(printed); next >= j; next-- {
				if fits(i+1, next) {
					return true
				}
			}
			return false
		default:
			return j < len(printed) && patterns[i].MatchString(strings.TrimRight(printed[j], " ")) && fits(i+1, j+1)
		}
	}
	return furthest, fits(0, 0)
}

const age = `[0-9][0-9a-z]*`

var (
	spaces  = regexp.MustCompile(` +`)
	lastAge = regexp.MustCompile(` ` + age + `$`)
)

// linePatterns makes a pattern of each expected line; nil stands for any number of lines.
func linePatterns(expected []string) []*regexp.Regexp {
	patterns := make([]*regexp.Regexp, 0, len(expected))
	table := false // whose last column is AGE
	for _, line := range expected {
		line = strings.TrimRight(line, " ")
		if line == ellipsis {
			patterns = append(patterns, nil)
			continue
		}
		aged := table && lastAge.MatchString(line)
		if aged {
			line = lastAge.ReplaceAllString(line, "")
		}
		table = strings.HasSuffix(line, " AGE") || (table && line != "")
		pattern := strings.ReplaceAll(regexp.QuoteMeta(line), ellipsis, `.*`)
		pattern = spaces.ReplaceAllString(pattern, ` +`)
		if aged {
			pattern += ` +` + age
		}
		patterns = append(patterns, regexp.MustCompile(`^`+pattern+`$`))
	}
	return patterns
}
