// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package task

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/platen-dev/platen/internal/values"
)

// number is a number that JSON has, too.
var number = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// quoteNumbers returns an object in YAML or JSON in which each number that values.DecodeSent keeps as text is in quotes: for a YAML parser, 1.10
// is 1.1. Everything else stays as it is, also what is no YAML.
func quoteNumbers(text string) string {
	text = strings.TrimPrefix(text, "\ufeff") // a byte order mark, which the parser's columns do not count
	document := yaml.Node{}
	if yaml.Unmarshal([]byte(text), &document) != nil {
		return text
	}
	lines := strings.SplitAfter(text, "\n")
	var visit func(key string, node *yaml.Node)
	visit = func(key string, node *yaml.Node) {
		switch node.Kind {
		case yaml.MappingNode:
			// A number in quotes moves what is behind it.
			for i := len(node.Content) - 2; i >= 0; i -= 2 {
				name := key
				if name == "" {
					name = node.Content[i].Value
				}
				visit(name, node.Content[i+1])
			}
		case yaml.ScalarNode:
			if kept, err := values.DecodeSentValue(key, []byte(node.Value)); err == nil && kept == node.Value && number.MatchString(node.Value) && node.Line <= len(lines) {
				lines[node.Line-1] = quoteAt(lines[node.Line-1], node.Column, node.Value)
			}
		default:
			for _, child := range slices.Backward(node.Content) {
				visit(key, child)
			}
		}
	}
	visit("", &document)
	return strings.Join(lines, "")
}

// quoteAt puts a word that begins in a column of a line, from 1 and in characters, into quotes. It does not if the word is not there, as behind
// an anchor, or is in quotes.
func quoteAt(line string, column int, word string) string {
	letters := []rune(line)
	if column > len(letters) {
		return line
	}
	before, rest := string(letters[:column-1]), string(letters[column-1:])
	if !strings.HasPrefix(rest, word) {
		return line
	}
	return before + `"` + word + `"` + rest[len(word):]
}
