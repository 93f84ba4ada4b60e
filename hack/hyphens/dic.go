// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"golang.org/x/text/encoding/htmlindex"
)

// option matches a line with an option, such as LEFTHYPHENMIN.
var option = regexp.MustCompile(`^[A-Z]{4,}`)

// read reads a dictionary of LibreOffice (https://github.com/hunspell/hyphen/blob/master/README): the name of its encoding, and then
// Liang's patterns, such as ".ab1c", one a line. It returns the numbers of each pattern by its letters: before the first, between two, and
// after the last one. It leaves out what Chromium cannot do: patterns that change letters at the break, and those for the parts of compounds,
// which come before a line "NEXTLEVEL".
func read(r io.Reader) (map[string][]byte, error) {
	lines := bufio.NewReader(r)
	name, err := lines.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("no encoding in the first line: %w", err)
	}
	encoding, err := htmlindex.Get(strings.TrimSpace(name))
	if err != nil {
		return nil, fmt.Errorf("encoding %q: %w", strings.TrimSpace(name), err)
	}
	patterns := map[string][]byte{}
	scanner := bufio.NewScanner(encoding.NewDecoder().Reader(lines))
	for scanner.Scan() {
		line, _, _ := strings.Cut(scanner.Text(), "%")
		line = strings.TrimSpace(line)
		switch {
		case line == "NEXTLEVEL":
			clear(patterns)
		case line == "" || strings.ContainsAny(line, "#/ ") || option.MatchString(line):
		default:
			letters, values := parse(line)
			patterns[letters] = values
		}
	}
	if err := scanner.Err(); err != nil {
		return nil, err
	}
	if len(patterns) == 0 {
		return nil, errors.New("no patterns")
	}
	return patterns, nil
}

// parse splits a pattern into its letters and numbers.
func parse(pattern string) (letters string, values []byte) {
	var out strings.Builder
	values = append(values, 0)
	for _, c := range pattern {
		if c >= '0' && c <= '9' {
			values[len(values)-1] = byte(c - '0')
			continue
		}
		out.WriteRune(c)
		values = append(values, 0)
	}
	return out.String(), values
}
