// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package nearest finds the name, or the key of a modification, that a mistyped one means.
package nearest

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Name returns the name that is at most two typing mistakes away, and no more than one for three letters; empty if there is none.
func Name(name string, names []string) string {
	distances := map[string]int{}
	for _, other := range names {
		if max(len(name), len(other))-min(len(name), len(other)) > 2 {
			continue // names may be long
		}
		if d := Distance(strings.ToLower(name), strings.ToLower(other)); d <= 2 && 3*d <= max(len(name), len(other)) {
			distances[other] = d
		}
	}
	best := slices.SortedFunc(maps.Keys(distances), func(a, b string) int {
		return cmp.Or(cmp.Compare(distances[a], distances[b]), strings.Compare(a, b))
	})
	if len(best) == 0 {
		return ""
	}
	return best[0]
}

// pagePrefix matches what may be meant as the number of a page before the @ of a key.
var pagePrefix = regexp.MustCompile(`^(\S{1,8}?)\s*([0-9]{1,9})\s*$`)

// Key returns the key of a modification that a mistyped one means; empty if there is none, or if nothing is wrong. Keys are NAME, ID.STYLE,
// OBJECT.FIELD, and page1@ before each; names has the names, and the fields with their objects, ids has what styles name, and pages is the number of
// pages.
func Key(key string, names, ids []string, pages int) string {
	prefix, rest := "", key
	if before, after, ok := strings.Cut(key, "@"); ok {
		if m := pagePrefix.FindStringSubmatch(before); m != nil && Distance(strings.ToLower(m[1]), "page") <= 2 {
			if n, err := strconv.Atoi(m[2]); err != nil || n < 1 || n > pages {
				return "" // another number may be meant
			}
			prefix, rest = "page"+m[2]+"@", after
		}
	}
	id, style, ok := strings.Cut(rest, ".")
	if path := Name(rest, slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !strings.Contains(name, ".") })); ok && path != "" {
		id, ok = path, false
	} else {
		known := names
		if ok {
			known = ids
		}
		if !slices.Contains(known, id) {
			id = Name(id, known)
		}
	}
	switch {
	case id == "":
		return ""
	case ok:
		id += "." + style
	}
	if prefix+id == key {
		return ""
	}
	return prefix + id
}

// Shown returns a key as a warning shows it, at most 100 bytes of it: in quotes if it is empty, or has what one cannot see.
func Shown(key string) string {
	key = fmt.Sprintf("%.100s", key)
	if key == "" || strings.ContainsFunc(key, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsGraphic(r) }) {
		return strconv.Quote(key)
	}
	return key
}

// True and False are the words that are true and false in YAML 1.1, as for kubectl.
var (
	True  = []string{"y", "Y", "yes", "Yes", "YES", "on", "On", "ON"}
	False = []string{"n", "N", "no", "No", "NO", "off", "Off", "OFF"}
)

// Unquoted says which of the names a key "true" or "false" was in a manifest, where it had no quotes; empty if none.
func Unquoted(key string, names []string) string {
	for _, word := range map[string][]string{"true": True, "false": False}[key] {
		if slices.Contains(names, word) {
			return fmt.Sprintf("put quotes around %[1]s, which YAML reads as %[2]s without them (kubectl edit shows it as \"%[2]s\": make it \"%[1]s\")", word, key)
		}
	}
	return ""
}

// OfElement says of a key that is one of the ids of elements what names such an element, and what gives it a value; empty if the key is none.
func OfElement(key string, ids []string) string {
	if !slices.Contains(ids, key) {
		return ""
	}
	return fmt.Sprintf("it is the id of an element: data-param=%[1]q there makes it a value, and a style of the element is %[1]s.color, for instance", key)
}

// Fields says of a key with a field that the names lack which fields of the object they have; empty if none.
func Fields(key string, names []string) string {
	object, _, ok := strings.Cut(key, ".")
	var fields []string
	for _, name := range names {
		if field, isField := strings.CutPrefix(name, object+"."); isField && !slices.Contains(fields, field) {
			fields = append(fields, field)
		}
	}
	if !ok || len(fields) == 0 {
		return ""
	}
	return FieldsOf(object, fields)
}

// FieldsOf says which fields of an object the template uses.
func FieldsOf(object string, fields []string) string {
	const most = 10
	shown := slices.Sorted(slices.Values(fields))
	if more := len(shown) - most; more > 0 {
		shown = append(shown[:most], fmt.Sprintf("%d more", more))
	}
	return fmt.Sprintf("the template uses these fields of %.100s: %.500s", object, strings.Join(shown, ", "))
}

// OfValue says of a key that names a value in place of an element what is meant: the style of what shows a field of a list's items, a field of the items, or
// an element with the value's name. names are those of values, and ids those of elements. It is empty if the key names no value.
func OfValue(key string, names, ids []string) string {
	value, rest, ok := strings.Cut(key, ".")
	if !ok || !slices.Contains(names, value) {
		return ""
	}
	field, style, inside := strings.Cut(rest, ".")
	switch {
	case inside && slices.Contains(ids, field):
		return fmt.Sprintf("did you mean %s.%s?", field, style)
	case slices.Contains(names, rest):
		return fmt.Sprintf(`if %[1]s is a list, give its items as JSON, such as %[1]s=[{"%[2]s": "..."}]`, value, rest)
	case slices.Contains(ids, "item"):
		return fmt.Sprintf("no data-param shows the value %[1]s: give an element the id %[1]s, or name what shows the items of a list, as in item.%[2]s", value, rest)
	default:
		return fmt.Sprintf("no data-param shows the value %[1]s: give an element the id %[1]s", value)
	}
}

// NoValue says what a key without a value may be in a manifest: in YAML's short form, a comma ends a value, and what follows is a key.
const NoValue = "it has no value, as summer has none in {headline: Hello, summer}: put quotes around a text that has a comma, and write 12.50 for 12,50"

// NoColour says what a colour without a value may be in a manifest.
const NoColour = `it has no value: in YAML, # begins a comment; put quotes around a colour, such as "#c30"`

// colours matches the keys of styles that take a colour.
var colours = regexp.MustCompile(`(?i)^canvasBackgroundColor$|^[^.].*\..*(?:colou?r|fill|stroke|background|bg|border|shadow)`)

// TakesColour reports whether a key is that of a style that takes a colour, or of the page's background. key has no page's number.
func TakesColour(key string) bool { return colours.MatchString(key) }

// OfNull says what a key without a value may be in a manifest.
func OfNull(key string) string {
	if TakesColour(key) {
		return NoColour
	}
	return NoValue
}

// Distance returns how many letters must be added, removed, replaced or swapped with the next to make b of a (optimal string alignment).
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	above := make([]int, len(b)+1)
	for i := range len(a) {
		// last is the row before this one, and above the one before that.
		last := slices.Clone(row)
		row[0] = i + 1
		for j := range len(b) {
			replaced := last[j]
			if a[i] != b[j] {
				replaced++
			}
			row[j+1] = min(replaced, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], above[j-1]+1)
			}
		}
		above = last
	}
	return row[len(b)]
}
