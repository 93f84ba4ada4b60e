// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package task

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/bindings"
	"github.com/platen-dev/platen/internal/nearest"
	"github.com/platen-dev/platen/internal/values"
)

// UnusedKey is the key of a modification that no page of a template uses.
type UnusedKey struct {
	Key string
	// Hint says what it may mean, or what else is wrong; empty if that is not known.
	Hint string
}

// maxHints bounds the unused keys for which a similar name is looked for among all names of the template.
const maxHints = 20

// UnusedKeys returns those of the keys that no page of a template uses. total is the number of its pages. html returns the HTML of a page, and
// whether it is known; a page that is not known may use every key. A render warns of the same.
func UnusedKeys(keys []string, total int, html func(page int) (string, bool)) []UnusedKey {
	names := namesOfPages(html)
	var unused []UnusedKey
	for _, key := range keys {
		number, name := splitKey(key)
		exists, used, known, elements := false, false, []string(nil), []string(nil)
		for n := 1; n <= total && !used; n++ {
			if number != "" && number != strconv.Itoa(n) {
				continue
			}
			exists = true
			page := names(n)
			if used = page == nil || page.MayUse(name); !used && len(unused) < maxHints {
				known, elements = append(known, page.Values()...), append(elements, page.Elements()...)
			}
		}
		if used {
			continue
		}
		u := UnusedKey{Key: key}
		switch near := nearest.Key(key, known, elements, total); {
		case strings.HasPrefix(number, "0"):
			u.Hint = fmt.Sprintf("pages count from 1, as in page1@%.100s", name)
		case !exists && total == 1:
			u.Hint = "the template has 1 page"
		case !exists:
			u.Hint = fmt.Sprintf("the template has %d pages", total)
		case nearest.Unquoted(key, known) != "":
			u.Hint = nearest.Unquoted(key, known)
		case near != "":
			u.Hint = fmt.Sprintf("did you mean %s?", near)
		default:
			u.Hint = cmp.Or(nearest.OfElement(name, elements), nearest.Fields(name, known), nearest.OfValue(name, known, elements))
			for n := 1; n <= total && number != "" && u.Hint == ""; n++ {
				u.Hint = onOtherPage(n, names(n), name)
			}
		}
		unused = append(unused, u)
	}
	return unused
}

// onOtherPage says that a page uses a key which is for another one; empty if it does not.
func onOtherPage(n int, page *bindings.Names, name string) string {
	if page == nil {
		return ""
	}
	if page.Uses(name) {
		return fmt.Sprintf("page %d uses it", n)
	}
	if ofElement := nearest.OfElement(name, page.Elements()); ofElement != "" {
		return fmt.Sprintf("%s; the element is on page %d", ofElement, n)
	}
	return ""
}

// leftOut returns the modifications that kubectl apply has left out of a job because they are null, and all that were applied, nil if nothing is left out.
// kubectl leaves out null fields of objects and items, too. Its copy of what was applied tells, until somebody changes what was applied with them.
func leftOut(job *platenv1alpha1.RenderJob) (keys []string, was map[string]any) {
	applied := job.Annotations[corev1.LastAppliedConfigAnnotation]
	if !strings.Contains(applied, `":null`) { // spares most jobs the reading
		return nil, nil
	}
	var manifest struct {
		Spec struct {
			Modifications json.RawMessage `json:"modifications"`
		} `json:"spec"`
	}
	if json.Unmarshal([]byte(applied), &manifest) != nil {
		return nil, nil
	}
	was, err := values.Decode(manifest.Spec.Modifications)
	if err != nil {
		return nil, nil
	}
	is := map[string]any{}
	if m := job.Spec.Modifications; m != nil {
		if is, err = values.Decode(m.Raw); err != nil {
			return nil, nil
		}
	}
	inside := false // of an object or a list
	for key, value := range was {
		switch now, ok := is[key]; {
		case value == nil && !ok:
			keys = append(keys, key)
		case value == nil || reflect.DeepEqual(now, value):
		case sameWithoutNulls(now, value):
			inside = true
		default:
			return nil, nil
		}
	}
	if len(keys) == 0 && !inside {
		return nil, nil
	}
	slices.Sort(keys)
	return keys, was
}

// WithoutColour returns the modifications that have no value where a colour is expected: a style's, or that of a declared parameter. In YAML, #c30 without
// quotes is a comment.
func WithoutColour(modifications map[string]any, parameters []platenv1alpha1.Parameter) (keys []string) {
	for _, key := range slices.Sorted(maps.Keys(modifications)) {
		_, name := splitKey(key)
		declared := slices.ContainsFunc(parameters, func(p platenv1alpha1.Parameter) bool {
			return p.Name == name && p.Type == platenv1alpha1.ParameterColor
		})
		if modifications[key] == nil && (declared || nearest.TakesColour(name)) {
			keys = append(keys, key)
		}
	}
	return keys
}

// HasLeftOut reports whether kubectl apply has left something out of a job's modifications.
func HasLeftOut(job *platenv1alpha1.RenderJob) bool {
	_, was := leftOut(job)
	return was != nil
}

// sameWithoutNulls reports whether a value is what was applied, or that without the fields of objects that are null.
func sameWithoutNulls(now, was any) bool {
	switch was := was.(type) {
	case map[string]any:
		now, ok := now.(map[string]any)
		for name, value := range was {
			field, there := now[name]
			ok = ok && (value == nil && !there || sameWithoutNulls(field, value))
		}
		for name := range now {
			_, there := was[name]
			ok = ok && there
		}
		return ok
	case []any:
		now, ok := now.([]any)
		ok = ok && len(now) == len(was)
		for i := 0; ok && i < len(was); i++ {
			ok = sameWithoutNulls(now[i], was[i])
		}
		return ok
	default:
		return now == was
	}
}

// hasNull reports whether the field at a path of a value is null. A list has such a field if one of its items has.
func hasNull(value any, path []string) bool {
	switch value := value.(type) {
	case []any:
		return slices.ContainsFunc(value, func(item any) bool { return hasNull(item, path) })
	case map[string]any:
		if len(path) == 0 {
			return false
		}
		field, ok := value[path[0]]
		return ok && hasNull(field, path[1:])
	default:
		return value == nil && len(path) == 0
	}
}

// WrongBackgrounds returns those of modifications, a JSON object, that are no background of the canvas, with what is wrong as the hint: the template's
// own background stays. It finds what needs no browser: a word or a hexadecimal number that is no colour, and what is no address of an image. A
// render warns of the same.
func WrongBackgrounds(modifications []byte) (wrong []UnusedKey) {
	object, err := values.Decode(modifications)
	if err != nil {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		text, ok := object[key].(string)
		_, name := splitKey(key)
		switch kind, what := values.Color, "is no CSS colour or gradient"; {
		case !ok:
		case name == "canvasBackgroundImage" && !strings.HasPrefix(text, "data:"):
			kind, what = values.Image, "is no image URL; it must begin with http://, https:// or data:image/"
			fallthrough
		case name == "canvasBackgroundColor" && plainColor.MatchString(text):
			address := text
			if m := styleURL.FindStringSubmatch(text); m != nil && kind == values.Image {
				address = m[1]
			}
			if _, err := values.ReadText(kind, address); err != nil {
				wrong = append(wrong, UnusedKey{key, values.Shorten(text) + " " + what})
			}
		}
	}
	return wrong
}

// styleURL matches an address as a style has it.
var styleURL = regexp.MustCompile(`(?s)^\s*url\(\s*["']?(.*?)["']?\s*\)\s*$`)

// plainColor matches what is a colour or nothing: CSS's background takes much else.
var plainColor = regexp.MustCompile(`^(#.*|[A-Za-z]+)$`)

// UnusedField is a field of an object, or of the items of a list, that no page of a template uses.
type UnusedField struct {
	// Key of the modification that has the field.
	Key string
	// Path of the field, such as order.totl.
	Path string
	// Hint says what it may mean, or which fields the pages use.
	Hint string
}

// UnusedFields returns a function that returns the unused fields of modifications, a JSON object. html returns the HTML of a page, and whether it
// is known; each page is read at most once. A render warns of the same.
func UnusedFields(template *platenv1alpha1.RenderTemplate, html func(page int) (string, bool)) func(modifications []byte) []UnusedField {
	fields := unusedFields(len(template.Spec.Pages), html)
	return func(modifications []byte) []UnusedField {
		object, err := values.Decode(modifications)
		if err != nil {
			return nil
		}
		given := slices.Collect(maps.Keys(object))
		if wrong := applyParameters(object, template, nil); len(wrong) > 0 {
			return nil // the job fails
		}
		return fields(object, given)
	}
}

// unusedFields returns a function that returns the fields of given objects and lists that no page of a template uses. total is the number of its
// pages; of one that cannot be read, nobody knows what it uses.
func unusedFields(total int, html func(page int) (string, bool)) func(modifications map[string]any, given []string) []UnusedField {
	var sources []string               // read once there is an object
	pages := map[int]bindings.Fields{} // 0 for all
	fieldsOf := func(page int) bindings.Fields {
		if _, ok := pages[page]; !ok {
			read := sources
			if page > 0 {
				read = sources[page-1 : page]
			}
			pages[page] = bindings.FieldsOf(read...)
		}
		return pages[page]
	}
	return func(modifications map[string]any, given []string) (unused []UnusedField) {
		for _, key := range slices.Sorted(slices.Values(given)) {
			switch modifications[key].(type) {
			case map[string]any, []any:
			default:
				continue
			}
			for n := len(sources) + 1; n <= total; n++ {
				text, ok := html(n)
				if !ok {
					return nil
				}
				sources = append(sources, text)
			}
			number, name := splitKey(key)
			page, _ := strconv.Atoi(number)
			if number != "" && (page < 1 || page > total) {
				continue // the renderer says that there is no such page
			}
			for _, field := range fieldsOf(page).Unused(name, modifications[key]) {
				parent, last := field.Path[:strings.LastIndex(field.Path, ".")], field.Path[strings.LastIndex(field.Path, ".")+1:]
				hint := nearest.FieldsOf(parent, field.Known)
				if unquoted := nearest.Unquoted(last, field.Known); unquoted != "" {
					hint = unquoted
				} else if hasNull(modifications[key], strings.Split(strings.TrimPrefix(field.Path, name+"."), ".")) {
					hint = nearest.NoValue
				} else if near := nearest.Name(last, field.Known); near != "" {
					hint = fmt.Sprintf("did you mean %.100s.%.100s?", parent, near)
				}
				unused = append(unused, UnusedField{key, field.Path, hint})
			}
		}
		return unused
	}
}
