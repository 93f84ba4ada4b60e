// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package bindings

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/values"
)

// Parameter is a value that a template takes.
type Parameter struct {
	// Parameter as the template declares it. For one that it does not declare, the type is what the pages show the value as: text, image,
	// boolean, list, or object. The default of one without a default is what the pages show without the value, so giving it changes
	// nothing. A value that a data-if asks for has no such default: without it, the page shows nothing.
	platenv1alpha1.Parameter
	// Example is a value that the template takes: the default, or what the page has in the value's place, which tells more than an empty list; nil if nothing
	// is known.
	Example *apiextensionsv1.JSON
	// Declared tells whether the template declares it.
	Declared bool
	// Style tells that it is no data-param but a style or link of the element with an id, such as title.color.
	Style bool
	// Link tells that a page uses it as the address of a link.
	Link bool
	// Pages are the numbers of the pages that use it, as far as their HTML tells.
	Pages []int
}

// Needed tells whether a job must give it.
func (p Parameter) Needed() bool { return p.Required != nil && *p.Required && p.Default == nil }

// exampleLink is the example for a link that a page leaves without an address, or with one that a job may not give.
const exampleLink = "https://example.com/"

// isLink matches the addresses that data-param-href takes, as bind.js does.
var isLink = regexp.MustCompile(`(?i)^(?:https?:|mailto:|tel:|#)`)

// doubted matches a text that IsDoubted reports.
var doubted = regexp.MustCompile(`(?i)^\s*(?:false|f|no|n|off|disabled?|null|0)\s*$`)

// IsDoubted reports whether a data-if takes a text for true that says the opposite, which bind.js warns of: it is seldom meant.
func IsDoubted(text string) bool { return doubted.MatchString(text) }

// undoubted returns a text that is true without a warning, in the place of one that a page shows where a data-if asks for it.
func undoubted(text string) string {
	switch {
	case !IsDoubted(text):
		return text
	case strings.TrimSpace(text) == "0":
		return "1"
	default:
		return "Text"
	}
}

// maxParameters bounds the parameters that a template does not declare.
const maxParameters = 200

// HTML returns the HTML of a template's page, and whether it is known.
type HTML func(page platenv1alpha1.TemplatePage) (html string, known bool)

// Inline is the HTML that is in the template itself.
func Inline(page platenv1alpha1.TemplatePage) (html string, known bool) {
	return page.HTML, page.HTMLFrom == nil
}

// Parameters returns the values that a template takes: those that it declares, in their order, then those that its pages bind, then styles
// of elements that have an id.
func Parameters(template *platenv1alpha1.RenderTemplate, source HTML) []Parameter {
	c := collector{byName: map[string]int{}}
	for _, p := range template.Spec.Parameters {
		if p.Type == "" {
			p.Type = platenv1alpha1.ParameterText
		}
		c.byName[p.Name] = len(c.list)
		c.list = append(c.list, found{Parameter: Parameter{Parameter: p, Declared: true}})
	}
	pages := make([]Page, len(template.Spec.Pages))
	for i, page := range template.Spec.Pages {
		text, _ := source(page)
		pages[i] = Read(text)
		for _, b := range pages[i].Bindings {
			c.bind(i+1, b)
		}
		for _, name := range pages[i].ScriptValues {
			if at, known := c.byName[name]; known {
				c.list[at].usedBy(i + 1)
			}
		}
	}
	for i := range c.list {
		c.list[i].finish()
	}
	for i, page := range pages {
		for _, e := range page.Elements {
			c.style(i+1, e)
		}
	}
	parameters := make([]Parameter, 0, len(c.list))
	for _, f := range c.list {
		parameters = append(parameters, f.Parameter)
	}
	return parameters
}

// Bound returns the type as which pages show the value of a key that nobody has declared. A field of an object, such as order.paid, has the type boolean if
// pages only ask for it with data-if. The type is empty for all else: its value may be any.
func Bound(parameters []Parameter, key string) values.Type {
	root, path, _ := strings.Cut(key, ".")
	for _, p := range parameters {
		switch {
		case p.Name == key:
			return values.Type(p.Type)
		case p.Name == root && values.Type(p.Type) == values.Object && p.Example != nil:
			var shown any
			_ = json.Unmarshal(p.Example.Raw, &shown) // what cannot be read shows nothing
			for field := range strings.SplitSeq(path, ".") {
				object, _ := shown.(map[string]any)
				shown = object[field]
			}
			if _, asked := shown.(bool); asked {
				return values.Boolean
			}
		}
	}
	return ""
}

// maxWanted bounds the example of a list or an object in a message, in bytes.
const maxWanted = 200

// Wanted returns the Want of a refused value of a key, with what the pages show as the example of an object, or of a list whose items are not all texts.
func Wanted(refused *values.Error, parameters []Parameter, key string) string {
	at := slices.IndexFunc(parameters, func(p Parameter) bool { return p.Name == key && p.Example != nil })
	if at < 0 {
		return refused.Want
	}
	example := string(parameters[at].Example.Raw)
	var shown any
	_ = json.Unmarshal([]byte(example), &shown) // what cannot be read has no items
	items, _ := shown.([]any)
	noText := func(item any) bool { _, ok := item.(string); return !ok }
	if len(example) > maxWanted {
		example = strings.ToValidUTF8(example[:maxWanted], "") + "…"
	}
	before, found := refused.Want, false
	switch {
	case slices.ContainsFunc(items, noText):
		before, _, found = strings.Cut(refused.Want, values.ExampleList)
	case strings.HasPrefix(example, "{"):
		before, _, found = strings.Cut(refused.Want, values.ExampleObject)
	}
	if !found {
		return refused.Want
	}
	return before + example
}

// found is a Parameter while its bindings are collected.
type found struct {
	Parameter
	// shown is what the pages have in its place: a text, a list of one item, or an object; nil if there is nothing.
	shown any
	// asked tells that a data-if asks for it.
	asked bool
}

// usedBy adds a page that uses it.
func (f *found) usedBy(page int) {
	if !slices.Contains(f.Pages, page) {
		f.Pages = append(f.Pages, page)
	}
}

type collector struct {
	list   []found
	byName map[string]int
}

// at returns the parameter of a name, which it adds if it is new; nil if there are too many.
func (c *collector) at(name string) *found {
	i, ok := c.byName[name]
	if !ok {
		if len(c.list) >= maxParameters {
			return nil
		}
		i = len(c.list)
		c.byName[name] = i
		c.list = append(c.list, found{Parameter: Parameter{Parameter: platenv1alpha1.Parameter{Name: name}}})
	}
	return &c.list[i]
}

// strength orders the types that a value may be shown as: a list that a data-if asks for is a list.
var strength = []values.Type{"", values.Boolean, values.Text, values.Image, values.Object, values.List}

// bind adds a binding of a page to the parameter that it shows.
func (c *collector) bind(page int, b Binding) {
	noName := func(path string) bool { return !IsPath(path) || strings.HasPrefix(path, "!") }
	if IsCondition(b.Attribute, b.Path) || noName(b.Path) || slices.ContainsFunc(b.Lists, noName) {
		return // such as data-if="price > 5": lint says so
	}
	root, steps := c.resolve(b)
	f := c.at(root)
	if f == nil {
		return
	}
	f.usedBy(page)
	kind, shown, link := b.Type, any(nil), b.Attribute == "data-param-href"
	if b.Text != "" && (!link || isLink.MatchString(b.Text)) {
		shown = b.Text
	}
	if link {
		switch {
		case len(steps) == 0:
			f.Link = true
		case shown == nil:
			shown = exampleLink
		}
	}
	if text, ok := shown.(string); ok && len(steps) > 0 && b.Type == values.Image {
		if _, err := values.ReadText(b.Type, text); err != nil {
			shown = nil // such as photo.png, which is no address
		}
	}
	if n := len(steps); shown == nil && b.Attribute == "data-param" && n > 0 && steps[n-1].name != "" {
		shown = blank{}
	}
	for _, s := range slices.Backward(steps) {
		kind, shown = s.wrap(kind, shown)
	}
	if len(steps) == 0 && b.Attribute == "data-if" {
		f.asked = true
	}
	if !f.Declared && slices.Index(strength, kind) > slices.Index(strength, values.Type(f.Type)) {
		f.Type = platenv1alpha1.ParameterType(kind)
	}
	f.shown = merge(f.shown, shown, link)
}

// blank is what a field shows that a page binds and has nothing in its place. It is no truth, although a data-if may ask for it.
type blank struct{}

// withoutBlanks returns what pages show with null for what is blank.
func withoutBlanks(shown any) any {
	switch v := shown.(type) {
	case blank:
		return nil
	case map[string]any:
		for name := range v {
			v[name] = withoutBlanks(v[name])
		}
	case []any:
		for i := range v {
			v[i] = withoutBlanks(v[i])
		}
	}
	return shown
}

// step is one part of the way from a parameter to a value in it: a field of an object, or an item of a list if the name is empty.
type step struct{ name string }

func (s step) wrap(kind values.Type, shown any) (values.Type, any) {
	if s.name == "" {
		if shown == nil {
			return values.List, []any{}
		}
		return values.List, []any{shown}
	}
	if shown == nil && kind == values.Boolean {
		shown = true
	}
	return values.Object, map[string]any{s.name: shown}
}

// resolve returns the parameter that a binding shows, and the way from it to the value. Inside data-each a name that no parameter declares
// is a field of the item.
func (c *collector) resolve(b Binding) (root string, steps []step) {
	parts := strings.Split(b.Path, ".")
	at, known := c.byName[parts[0]]
	if n := len(b.Lists); n > 0 && (!known || !c.list[at].Declared) {
		root, steps = c.resolve(Binding{Path: b.Lists[n-1], Lists: b.Lists[:n-1]})
		steps = append(steps, step{})
		if parts[0] != "item" {
			steps = append(steps, step{parts[0]})
		}
	} else {
		root = parts[0]
	}
	for _, name := range parts[1:] {
		steps = append(steps, step{name})
	}
	return root, steps
}

// merge joins what two bindings show of one value. The first text wins, but a link takes addresses only. link tells that b is the address of one.
func merge(a, b any, link bool) any {
	switch first := a.(type) {
	case nil:
		return b
	case blank:
		if _, truth := b.(bool); b != nil && !truth {
			return b
		}
	case bool: // a data-if asks for it
		if text, ok := b.(string); ok {
			return undoubted(text)
		}
		if b != nil {
			return b
		}
	case map[string]any:
		second, ok := b.(map[string]any)
		if !ok {
			return a
		}
		for name, value := range second {
			first[name] = merge(first[name], value, link)
		}
	case []any:
		if second, ok := b.([]any); ok && len(second) > 0 {
			if len(first) == 0 {
				return second
			}
			first[0] = merge(first[0], second[0], link)
		}
	case string:
		switch b.(type) {
		case []any, map[string]any:
			return b // it says more
		case bool:
			return undoubted(first)
		case string:
			if link && !isLink.MatchString(first) {
				return b
			}
		}
	}
	return a
}

// finish sets the default and the example of a parameter.
func (f *found) finish() {
	if f.Type == "" {
		f.Type = platenv1alpha1.ParameterText
	}
	kind := values.Type(f.Type)
	shown := withoutBlanks(f.shown)
	if text, ok := shown.(string); ok && f.Link && !isLink.MatchString(text) {
		shown = nil // a job that gave it would be warned
	} else if ok {
		if f.asked && kind == values.Text {
			text = undoubted(text)
		}
		shown, _ = values.ReadText(kind, text) // nil if the page has something else there
	} else if shown != nil {
		shown, _ = values.Read(kind, shown)
	}
	example := encode(shown)
	required := f.Required != nil && *f.Required
	switch {
	case f.Default != nil || required:
	case kind == values.Boolean:
		f.Default = encode(false)
		example = encode(true)
	case kind == values.Text || kind == values.Image || kind == values.Number || kind == values.Date:
		if !f.asked {
			f.Default = example
		}
	}
	f.Example = example
	tellsMore := example != nil && (kind == values.Boolean || f.Default != nil && string(f.Default.Raw) == "[]")
	if f.Default != nil && !tellsMore {
		f.Example = f.Default
	}
	if f.Example == nil && f.Link {
		f.Example = encode(exampleLink)
	}
}

// style adds the style or link of an element that has an id.
func (c *collector) style(page int, e Element) {
	name, kind, shown := e.ID+".backgroundColor", values.Color, ""
	switch {
	case strings.ContainsAny(e.ID, ". \t\n") || e.ID == "":
		return // a key with a dot in the id names another element
	case e.Link:
		name, kind, shown = e.ID+".href", values.Text, e.Href
	case e.Text:
		name = e.ID + ".color"
	}
	f := c.at(name)
	if f == nil {
		return
	}
	f.Type, f.Style = platenv1alpha1.ParameterType(kind), true
	f.usedBy(page)
	if shown != "" {
		f.Default = encode(shown)
		f.Example = f.Default
	}
}

// encode returns a value as JSON; nil for nil.
func encode(value any) *apiextensionsv1.JSON {
	if value == nil {
		return nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // people read it, and & is no markup in JSON
	if err := e.Encode(value); err != nil {
		return nil
	}
	return &apiextensionsv1.JSON{Raw: bytes.TrimSpace(b.Bytes())}
}
