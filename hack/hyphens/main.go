// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Hyphens makes the dictionaries by which Chromium hyphenates text from those of Debian's hyphen packages, which LibreOffice uses.
//
//	hyphens FROM TO
//
// FROM is the folder of Debian's dictionaries, /usr/share/hyphen. TO is the folder hyphen-data next to the browser's program. It gets one
// file for each language, under the name that Chromium looks for.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// regional are the languages with several dictionaries, or that Chromium looks for under another name. All other languages have one.
var regional = map[string]string{"de_DE": "de-1996", "en_GB": "en-gb", "en_US": "en-us", "mn_MN": "mn-cyrl", "pt_BR": "pt", "sr_RS": "sr"}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: hyphens FROM TO")
		os.Exit(2)
	}
	if err := convert(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "hyphens:", err)
		os.Exit(1)
	}
}

// convert writes the dictionaries of folder from to folder to.
func convert(from, to string) error {
	names, err := filepath.Glob(filepath.Join(from, "hyph_*.dic"))
	if err != nil || len(names) == 0 {
		return errors.Join(fmt.Errorf("%s has no dictionaries: install Debian's hyphen packages", from), err)
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, name := range names {
		language := language(strings.TrimSuffix(filepath.Base(name), ".dic"))
		if language == "" || seen[language] {
			continue
		}
		seen[language] = true
		err := write(filepath.Join(to, "hyph-"+language+".hyb"), name)
		if errors.Is(err, errTooLarge) {
			fmt.Fprintf(os.Stderr, "hyphens: left out %s: %v\n", name, err)
		} else if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// write writes a dictionary of LibreOffice in the browser's format.
func write(path, dictionary string) error {
	data, err := os.ReadFile(dictionary)
	if err != nil {
		return err
	}
	patterns, err := read(bytes.NewReader(data))
	if err != nil {
		return err
	}
	encoded, err := encode(patterns)
	if err != nil {
		return err
	}
	return os.WriteFile(path, encoded, 0o644)
}

// language returns the name under which Chromium looks for a dictionary such as hyph_fr_CA, or "" if it uses another one for the language.
func language(dictionary string) string {
	tag := strings.TrimPrefix(dictionary, "hyph_")
	if name, ok := regional[tag]; ok {
		return name
	}
	language, _, _ := strings.Cut(tag, "_")
	for other := range regional {
		if strings.HasPrefix(other, language+"_") {
			return ""
		}
	}
	return strings.ToLower(language)
}
