// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package bindings

import (
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// IsEmpty reports whether a page shows nothing, whatever a job gives: it has no text, and no element that has or makes something to show. It reads no
// further than to the first of them.
func IsEmpty(source string) bool {
	t := html.NewTokenizer(strings.NewReader(source))
	title := false
	for {
		switch t.Next() {
		case html.ErrorToken: // the end
			return true
		case html.TextToken:
			if text := strings.ReplaceAll(string(t.Text()), "\ufeff", ""); !title && strings.TrimSpace(html.UnescapeString(text)) != "" {
				return false
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			name, attributes := t.TagName()
			tag := atom.Lookup(name)
			switch tag {
			case atom.Html, atom.Head, atom.Meta, atom.Title:
			case atom.Body:
				if attributes { // a background
					return false
				}
			default:
				return false
			}
			title = tag == atom.Title
		case html.EndTagToken:
			title = false
		default: // comments and the doctype
		}
	}
}
