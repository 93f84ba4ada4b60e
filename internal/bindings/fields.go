// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package bindings

import (
	"maps"
	"slices"
	"strings"
)

// Fields are the fields of objects, and of the items of lists, that pages use.
type Fields struct {
	// any tells that a script may use any field.
	any  bool
	root field
}

// field is a value that pages use: whole, or the fields of an object. A list has one field without a name, for all its items.
type field struct {
	whole  bool
	fields map[string]*field
}

// UnusedField is a field of a value that no page uses.
type UnusedField struct {
	// Path of the field, such as order.totl, or lines.pric for a field of the items of a list.
	Path string
	// Known are the fields that pages use in its place.
	Known []string
}

// maxUnusedFields bounds what Unused returns.
const maxUnusedFields = 20

// maxLists bounds how many data-each may be around a binding whose meaning is looked for.
const maxLists = 4

// FieldsOf returns what the pages use.
func FieldsOf(sources ...string) Fields {
	f := Fields{}
	for _, source := range sources {
		page := Read(source)
		f.any = f.any || page.Scripted || len(page.Bindings) >= maxBindings
		for _, name := range page.ScriptValues {
			f.root.add([]string{name}, "data-param") // a script may use every field
		}
		for _, b := range page.Bindings {
			if len(b.Lists) > maxLists {
				f.any = true
				return f
			}
			for _, path := range meanings(b.Path, b.Lists) {
				f.root.add(path, b.Attribute)
			}
		}
	}
	return f
}

// meanings returns the values that a path inside of data-each may name: a field of an item of any of the lists, or a modification. The name of
// an item is empty.
func meanings(path string, lists []string) [][]string {
	parts := strings.Split(path, ".")
	all := [][]string{parts}
	for n := len(lists); n > 0; n-- {
		if path == "item" && n < len(lists) {
			break // each list has items of its own
		}
		rest := parts
		if parts[0] == "item" {
			rest = parts[1:]
		}
		if field, own := strings.CutPrefix(path, lists[n-1]+"."); own { // it shows nothing, as lint and a render say
			rest = strings.Split(field, ".")
		}
		for _, list := range meanings(lists[n-1], lists[:n-1]) {
			all = append(all, slices.Concat(list, []string{""}, rest))
		}
	}
	return all
}

func (f *field) add(path []string, attribute string) {
	for _, name := range path {
		if f.fields == nil {
			f.fields = map[string]*field{}
		}
		if f.fields[name] == nil {
			f.fields[name] = &field{}
		}
		f = f.fields[name]
	}
	f.whole = f.whole || attribute == "data-param" || attribute == "data-param-href"
}

// Unused returns the fields of a modification that no page uses, at most 20. key has no page's number. It returns none if no page uses a field
// of the value: then the page shows the whole value, or does not know the key.
func (f Fields) Unused(key string, value any) []UnusedField {
	var found []UnusedField
	if used := f.root.fields[key]; used != nil && !f.any {
		used.unused(key, value, &found)
	}
	return found
}

func (f *field) unused(path string, value any, found *[]UnusedField) {
	if f.whole || len(f.fields) == 0 {
		return
	}
	switch v := value.(type) {
	case map[string]any:
		if f.fields[""] != nil && len(f.fields) == 1 {
			return // pages show a list: a render says that this is none
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			full := path + "." + name
			if used := f.fields[name]; used != nil {
				used.unused(full, v[name], found)
			} else if len(*found) < maxUnusedFields && !slices.ContainsFunc(*found, func(other UnusedField) bool { return other.Path == full }) {
				known := slices.DeleteFunc(slices.Sorted(maps.Keys(f.fields)), func(known string) bool { return known == "" })
				*found = append(*found, UnusedField{full, known})
			}
		}
	case []any:
		for _, item := range v {
			if items := f.fields[""]; items != nil {
				items.unused(path, item, found)
			}
		}
	}
}
