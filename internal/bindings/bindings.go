// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package bindings reads from a template which values it takes: the parameters that it declares, and those that its pages bind with
// data-param, data-param-href, data-if and data-each. Of a page's scripts it knows only which values they read by name.
package bindings

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/platen-dev/platen/internal/values"
)

// Binding is an attribute that binds an element to a value.
type Binding struct {
	// Attribute is data-param, data-param-href, data-if or data-each.
	Attribute string
	// Path of the value, such as headline, order.total or, for data-if="!sold", sold.
	Path string
	// Lists are the paths of the data-each around the element, from the outermost. The value may be a field of their items.
	Lists []string
	// Type is the type of the value as the attribute shows it.
	Type values.Type
	// Text is what the element shows without the value: its text, its picture or its link. Empty for data-if and data-each.
	Text string
}

// Element is an element with an id, whose style and link a job can change.
type Element struct {
	ID string
	// Link tells whether it is a link, with the address Href.
	Link bool
	Href string
	// Text tells whether it shows text of its own.
	Text bool
}

// Page is what a page binds, in the document's order.
type Page struct {
	Bindings []Binding
	// Elements are those of the body with an id, drawings excepted.
	Elements []Element
	// ScriptValues are the names of the values that the page's scripts read by name, such as accent.
	ScriptValues []string
	// Scripted tells whether the page has a script that may use any value.
	Scripted bool
}

const (
	// maxText bounds the text of a Binding, in bytes.
	maxText = 1024
	// maxBindings bounds the bindings and the elements of a page.
	maxBindings = 2000
)

// hasAddress matches the address of a script that a page can load: a page has no address of its own, so a relative one leads nowhere.
var hasAddress = regexp.MustCompile(`(?i)^\s*(https?:|data:|blob:|//)`)

// isPath matches a value of data-param and the like that may name a value: no spaces around it, no operators and brackets, no dot in front. noPath
// matches what scripts have between the parts of a path.
var (
	isPath = regexp.MustCompile(`^!?[^\s.!=<>&|(){}\[\]"']([^=<>&|(){}\[\]"']*[^\s=<>&|(){}\[\]"'])?$`)
	noPath = regexp.MustCompile(`[?.]\.`)
)

// IsPath tells whether a value of data-param and the like may name a value, as the renderer's own script tells.
func IsPath(value string) bool { return isPath.MatchString(value) && !noPath.MatchString(value) }

// hasOperators matches a condition with words of other template languages.
var hasOperators = regexp.MustCompile(`(?i)^not\s|\s(?:and|or)\s`)

// IsCondition reports whether an attribute is a data-if with words for operators, such as "not open": no value has this name.
func IsCondition(attribute, value string) bool {
	return attribute == "data-if" && hasOperators.MatchString(value)
}

// MaxDepth is how deep the elements of a page may be nested that Parse reads. Browsers show deeper ones too.
const MaxDepth = 512

// Parse returns the document of a page; nil if its elements are nested deeper than MaxDepth.
func Parse(source string) *html.Node {
	root, err := html.Parse(strings.NewReader(source))
	if err != nil {
		return nil // a string can be read, so the depth is the only reason
	}
	return root
}

// Read returns what a page binds. Of a page that Parse does not read it knows nothing, so such a page may use any value.
func Read(source string) Page {
	root := Parse(source)
	if root == nil {
		return Page{Scripted: true}
	}
	r := reader{}
	r.walk(root, nil)
	names, all := valuesOf(r.code.String())
	r.page.ScriptValues, r.page.Scripted = names, r.page.Scripted || all
	return r.page
}

// reader reads a page.
type reader struct {
	page Page
	// text is the text of the page so far, in one line: that of an element is a part of it. To collect the text of each element would take the square of
	// the time if elements are nested.
	text strings.Builder
	// spaced tells that it ends with a space.
	spaced bool
	// code is that of the scripts, and of attributes such as onload.
	code strings.Builder
	// based tells that a base element has given relative addresses a place.
	based bool
}

func (r *reader) walk(n *html.Node, lists []string) {
	if n.Type == html.TextNode {
		r.write(n.Data)
	}
	shows := []int{}
	if n.Type == html.ElementNode {
		if n.DataAtom == atom.Template {
			return // its content is no part of the page
		}
		if n.DataAtom == atom.Script {
			src := Attribute(n, "src")
			loads := src != "" && (r.based || hasAddress.MatchString(src))
			r.page.Scripted = r.page.Scripted || loads
			if n.FirstChild != nil {
				r.run(n.FirstChild.Data)
			}
			return
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") {
				r.run(a.Val)
			}
		}
		r.based = r.based || n.DataAtom == atom.Base && Attribute(n, "href") != ""
		if list := Attribute(n, "data-each"); list != "" {
			r.page.add(Binding{Attribute: "data-each", Path: list, Lists: lists, Type: values.List})
			lists = append(slices.Clip(lists), list)
		}
		shows = r.page.bind(n, lists)
		if n.DataAtom == atom.Style {
			return
		}
	}
	begin := r.text.Len()
	for child := n.FirstChild; child != nil; child = child.NextSibling {
		r.walk(child, lists)
	}
	for _, i := range shows {
		if text := strings.TrimSpace(r.text.String()[begin:]); len(text) <= maxText {
			r.page.Bindings[i].Text = strings.Clone(text)
		}
	}
}

// run adds the code of a script.
func (r *reader) run(code string) {
	r.code.WriteString(code)
	r.code.WriteByte('\n')
	r.page.Scripted = r.page.Scripted || makesBindings.MatchString(code)
}

// write adds a text, with one space for each piece of white space.
func (r *reader) write(text string) {
	for _, letter := range text {
		if !unicode.IsSpace(letter) {
			r.text.WriteRune(letter)
			r.spaced = false
		} else if !r.spaced {
			r.text.WriteByte(' ')
			r.spaced = true
		}
	}
}

// bind adds what an element binds besides data-each. It returns the indexes of the bindings that show the text of the element.
func (p *Page) bind(n *html.Node, lists []string) (shows []int) {
	if condition := strings.TrimPrefix(Attribute(n, "data-if"), "!"); condition != "" {
		p.add(Binding{Attribute: "data-if", Path: condition, Lists: lists, Type: values.Boolean})
	}
	if path := Attribute(n, "data-param"); path != "" {
		b := Binding{Attribute: "data-param", Path: path, Lists: lists, Type: values.Text}
		if n.DataAtom == atom.Img {
			b.Type, b.Text = values.Image, Attribute(n, "src")
		}
		if p.add(b) && n.DataAtom != atom.Img {
			shows = append(shows, len(p.Bindings)-1)
		}
	}
	if path := Attribute(n, "data-param-href"); path != "" {
		p.add(Binding{Attribute: "data-param-href", Path: path, Lists: lists, Type: values.Text, Text: Attribute(n, "href")})
	}
	if id := Attribute(n, "id"); id != "" && n.Namespace == "" && len(lists) == 0 && len(p.Elements) < maxBindings && inBody(n) {
		p.Elements = append(p.Elements, Element{ID: id, Link: n.DataAtom == atom.A, Href: Attribute(n, "href"), Text: ownText(n)})
	}
	return shows
}

// add adds a binding, unless there are too many. It reports whether it has.
func (p *Page) add(b Binding) bool {
	if len(b.Text) > maxText {
		b.Text = ""
	}
	if len(p.Bindings) >= maxBindings {
		return false
	}
	p.Bindings = append(p.Bindings, b)
	return true
}

// Attribute returns the value of an element's attribute; empty if it has none.
func Attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Namespace == "" && a.Key == name {
			return a.Val
		}
	}
	return ""
}

// ownText tells whether an element has text that is not in another element.
func ownText(n *html.Node) bool {
	for child := range n.ChildNodes() {
		if child.Type == html.TextNode && strings.TrimSpace(child.Data) != "" {
			return true
		}
	}
	return false
}

// inBody tells whether an element is in the page's body.
func inBody(n *html.Node) bool {
	for a := range n.Ancestors() {
		if a.DataAtom == atom.Body {
			return true
		}
	}
	return false
}
