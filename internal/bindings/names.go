// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package bindings

import (
	"maps"
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Names are what modifications can name in a page.
type Names struct {
	// values are the first parts of the paths that attributes bind and scripts read, paths the whole paths, and elements what styles and links can name: ids, and
	// the paths of data-param.
	values, paths, elements map[string]bool
	// anyValue tells that a script may use any value, and anyElement that a script may make elements.
	anyValue, anyElement bool
}

// NamesOf returns the names in a page, as the renderer's own script finds them.
func NamesOf(source string) Names {
	n := Names{values: map[string]bool{}, paths: map[string]bool{}, elements: map[string]bool{}}
	root := Parse(source)
	if root == nil {
		n.anyValue, n.anyElement = true, true
		return n
	}
	page := Read(source)
	n.anyValue = page.Scripted
	for _, name := range page.ScriptValues {
		n.values[name], n.paths[name] = true, true
	}
	n.add(root)
	return n
}

func (n *Names) add(node *html.Node) {
	switch {
	case node.DataAtom == atom.Template:
		return // its content is no part of the page
	case node.DataAtom == atom.Script:
		n.anyElement = true
	case node.Type == html.ElementNode:
		for _, name := range []string{"data-param", "data-param-href", "data-if", "data-each"} {
			if path := strings.TrimPrefix(Attribute(node, name), "!"); path != "" {
				first, _, _ := strings.Cut(path, ".")
				n.values[first], n.paths[path] = true, true
			}
		}
		n.elements[Attribute(node, "id")], n.elements[Attribute(node, "data-param")] = true, true
	}
	for child := range node.ChildNodes() {
		n.add(child)
	}
}

// canvas are the keys that every page takes.
var canvas = []string{"canvasBackgroundColor", "canvasBackgroundImage"}

// OfEveryPage tells whether every page takes a modification, whatever its HTML. key has no page's number.
func OfEveryPage(key string) bool { return slices.Contains(canvas, key) }

// Values returns the names of values, the whole paths, and the keys that every page takes. It leaves out what is no name, such as that of
// data-if="! sold": nobody means it.
func (n Names) Values() []string {
	known := slices.Concat(slices.Collect(maps.Keys(n.values)), slices.Collect(maps.Keys(n.paths)), canvas)
	slices.Sort(known)
	return slices.DeleteFunc(slices.Compact(known), func(name string) bool { return !IsPath(name) })
}

// Elements returns what styles and links can name: a key with a dot in the id names another element.
func (n Names) Elements() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(n.elements)), func(name string) bool { return !IsPath(name) || strings.Contains(name, ".") })
}

// Styles tells whether a modification is a style of an element of the page. key has no page's number.
func (n Names) Styles(key string) bool {
	id, style, ok := strings.Cut(key, ".")
	return ok && id != "" && style != "href" && n.elements[id] && !n.paths[key] && !n.anyValue
}

// MayUse tells whether the page may use a modification. key has no page's number.
func (n Names) MayUse(key string) bool {
	id, _, style := strings.Cut(key, ".")
	byScript := n.anyValue
	if style && id != "" {
		byScript = n.anyElement
	}
	return byScript || n.Uses(key)
}

// Uses tells whether the page uses a modification whatever its scripts do. key has no page's number.
func (n Names) Uses(key string) bool {
	id, _, style := strings.Cut(key, ".")
	switch {
	case OfEveryPage(key), n.paths[key]:
		return true
	case style && id != "":
		return n.elements[id]
	default:
		return n.values[key]
	}
}
