// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxTextDepth bounds the names in a path to a text that is no Unicode.
const maxTextDepth = 8

// checkTexts refuses valid JSON with texts that are no Unicode: bytes that are not UTF-8, and half of a surrogate pair. encoding/json would
// read them as U+FFFD, and a page would show that. path is the path of the JSON in the request. The error is a *FieldError.
func checkTexts(value json.RawMessage, path string, depth int) error {
	problem := notUnicode(value)
	if problem == "" {
		return nil
	}
	object, list := map[string]json.RawMessage{}, []json.RawMessage{}
	switch {
	case depth >= maxTextDepth:
	case value[0] == '{' && json.Unmarshal(value, &object) == nil:
		for _, name := range slices.Sorted(maps.Keys(object)) {
			full := name
			if path != "" {
				full = path + "." + name
			}
			if err := checkTexts(object[name], full, depth+1); err != nil {
				return err
			}
		}
	case value[0] == '[' && json.Unmarshal(value, &list) == nil:
		for i, item := range list {
			if err := checkTexts(item, fmt.Sprintf("%s[%d]", path, i), depth+1); err != nil {
				return err
			}
		}
	}
	return &FieldError{cmp.Or(path, "body"), problem}
}

// notUnicode returns what JSON must be to have only texts that are Unicode; empty if it has.
func notUnicode(value []byte) string {
	for i := 0; i < len(value); {
		r, size := utf8.DecodeRune(value[i:])
		if r == utf8.RuneError && size == 1 {
			return fmt.Sprintf("must be UTF-8, which its byte %d, 0x%02X, is not", i+1, value[i])
		}
		if r == '\\' {
			first, ok := codeUnit(value[i:])
			switch second, _ := codeUnit(value[min(i+6, len(value)):]); {
			case !ok:
				size = 2
			case !utf16.IsSurrogate(first):
				size = 6
			case utf16.DecodeRune(first, second) != utf8.RuneError:
				size = 12
			default:
				return fmt.Sprintf(`must be Unicode, which %s is not: it is half of a character; was the text cut there?`, value[i:i+6])
			}
		}
		i += size
	}
	return ""
}

// codeUnit returns the UTF-16 code unit of an escape such as \ud83d with which a text begins.
func codeUnit(text []byte) (unit rune, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(n), err == nil
}
