// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Reference returns what the public API's routes and fields become, as Markdown tables.
func Reference() string {
	var text strings.Builder
	text.WriteString("| route | answer | |\n|---|---|---|\n")
	for _, o := range operations {
		fmt.Fprintf(&text, "| `%s %s` | supported | %s |\n", o.method, o.path, o.summary)
	}
	for _, m := range Missing {
		if strings.HasSuffix(m.Pattern, "/") {
			continue // with the route above
		}
		below := ""
		if !strings.Contains(m.Pattern, " ") {
			below = " and all below, by any method"
		}
		fmt.Fprintf(&text, "| `%s`%s | 501 | %s |\n", m.Pattern, below, m.Reason)
	}
	text.WriteString("\n| route | field | answer | |\n|---|---|---|---|\n")
	seen := map[string]bool{}
	for _, o := range operations {
		route := o.method + " " + o.path
		for _, f := range fieldsOf(reflect.TypeOf(o.request), "") {
			// The same fields of several routes are shown once.
			if key := fmt.Sprint(f); !seen[key] {
				seen[key] = true
				fmt.Fprintf(&text, "| `%s` | %s | %s | %s |\n", route, f.name, f.answer, f.text)
			}
		}
	}
	return text.String()
}

// field is a field of a request.
type field struct{ name, answer, text string }

// fieldsOf returns the fields of a Go type. path is that of the type in a JSON body.
func fieldsOf(kind reflect.Type, path string) (fields []field) {
	for f := range kind.Fields() {
		for _, tag := range []string{"header", "query", "path", "json"} {
			name, _, _ := strings.Cut(f.Tag.Get(tag), ",")
			if name == "" {
				continue
			}
			if tag != "json" {
				fields = append(fields, field{fmt.Sprintf("`%s` (%s)", name, tag), "supported", describeField(f)})
				continue
			}
			fields = append(fields, bodyField(f, path+name)...)
		}
		if f.Anonymous {
			fields = append(fields, fieldsOf(f.Type, path)...)
		}
	}
	return fields
}

// bodyField returns a field of a JSON body and the fields in it.
func bodyField(f reflect.StructField, name string) []field {
	if reason := f.Tag.Get("warn"); reason != "" {
		return []field{{"`" + name + "`", "warned", reason}}
	}
	kind := f.Type
	if kind.Kind() == reflect.Slice && kind != reflect.TypeFor[ExtraSizes]() {
		kind, name = kind.Elem(), name+"[]"
	}
	if kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	options := []reflect.Type{reflect.TypeFor[PDFOptions](), reflect.TypeFor[VideoOptions]()}
	switch {
	case slices.Contains(options, kind) && strings.HasPrefix(name, "response."):
		return []field{{"`" + name + "`", "supported", "As `" + strings.TrimPrefix(name, "response.") + "`, which wins."}}
	case kind.Kind() == reflect.Struct && !kind.Implements(reflect.TypeFor[exposer]()):
		return fieldsOf(kind, name+".")
	}
	return []field{{"`" + name + "`", "supported", describeField(f)}}
}

// exposer describes itself in JSON schema.
type exposer interface{ JSONSchemaBytes() ([]byte, error) }

func describeField(f reflect.StructField) string {
	text := f.Tag.Get("description")
	if own, ok := reflect.TypeAssert[exposer](reflect.Zero(f.Type)); ok && text == "" {
		if schema, err := own.JSONSchemaBytes(); err == nil {
			_, text, _ = strings.Cut(string(schema), `"description":"`)
			text, _, _ = strings.Cut(text, `"`)
		}
	}
	if words := f.Tag.Get("enum"); words != "" {
		text = strings.ReplaceAll(words, ",", ", ") + ". " + text
	}
	return strings.TrimSpace(text)
}
