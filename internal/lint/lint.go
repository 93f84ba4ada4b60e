// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package lint finds mistakes in templates from their text alone: no browser, no network, no cluster.
package lint

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/bindings"
	"github.com/platen-dev/platen/internal/nearest"
	"github.com/platen-dev/platen/internal/values"
)

// Severity says how bad a finding is.
type Severity string

const (
	// Error makes jobs fail, or clients meet another template than they mean.
	Error Severity = "error"
	// Warning makes pictures that are seldom meant.
	Warning Severity = "warning"
)

// The rules. docs/templates/lint.md describes them.
const (
	UnknownBinding   = "unknown-binding"
	UnknownAttribute = "unknown-attribute"
	UnusedParameter  = "unused-parameter"
	InvalidDefault   = "invalid-default"
	DuplicateID      = "duplicate-id"
	MissingAlt       = "missing-alt"
	UnreachableFile  = "unreachable-file"
	EmptyPage        = "empty-page"
	TooDeep          = "too-deep"
	Placeholder      = "placeholder"
	TemplateIDTaken  = "template-id-taken"
	// UnusedValue is about the jobs of a file.
	UnusedValue = "unused-value"
)

const (
	// maxFindings bounds the findings of a template.
	maxFindings = 100
	// maxShown bounds a text of the template in a finding, in bytes.
	maxShown = 100
)

// Finding is one mistake.
type Finding struct {
	// Rule is the rule's name, such as missing-alt.
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	// Where is the place in the template: a field, or a page and an element, such as "page front, <img id=logo>".
	Where string `json:"where"`
	// Message says what is wrong and what to do.
	Message string `json:"message"`
	// Subject tells a finding from others of its rule and page: the address of a file as a page resolves it, or an attribute, as a render's warning begins.
	Subject string `json:"-"`
}

// parameterName matches what the API takes as a parameter's name.
var parameterName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// Template returns what is wrong with a template, at most 100 findings: those of its parameters first, then page by page. What a page uses whose
// HTML is unknown is unknown too.
func Template(template *platenv1alpha1.RenderTemplate, source bindings.HTML) []Finding {
	l := linter{template: template, objects: map[string]bool{}}
	for _, p := range bindings.Parameters(template, source) {
		l.objects[p.Name] = !p.Declared && p.Type == platenv1alpha1.ParameterType(values.Object)
	}
	whole := true
	for _, page := range template.Spec.Pages {
		text, known := source(page)
		whole = whole && known
		if known && bindings.IsEmpty(text) {
			where := "page " + page.Name
			if from := page.HTMLFrom; from != nil {
				where += fmt.Sprintf(", key '%s' of ConfigMap '%s'", from.ConfigMapKeyRef.Key, from.ConfigMapKeyRef.Name)
			}
			l.add(EmptyPage, Warning, where, "the page has no text and no element to show; jobs render its background alone")
		}
		l.checkPage(page.Name, text)
	}
	l.checkParameters(whole)
	return l.findings[:min(len(l.findings), maxFindings)]
}

// TakenIDs returns a finding for each template of a namespace that shares its templateID with another, by the template's name.
func TakenIDs(templates []platenv1alpha1.RenderTemplate) map[string]Finding {
	byID := map[int64][]string{}
	for _, t := range templates {
		if id := t.Spec.TemplateID; id != nil {
			byID[*id] = append(byID[*id], t.Name)
		}
	}
	taken := map[string]Finding{}
	for id, names := range byID {
		slices.Sort(names)
		for _, name := range names {
			others := slices.DeleteFunc(slices.Clone(names), func(other string) bool { return other == name })
			if len(others) > 0 {
				taken[name] = Finding{Rule: TemplateIDTaken, Severity: Error, Where: "spec.templateID",
					Message: fmt.Sprintf("%d is also the templateID of %s; REST clients meet only one of them; give each template a number of its own", id, strings.Join(others[:min(len(others), 5)], ", "))}
			}
		}
	}
	return taken
}

type linter struct {
	template *platenv1alpha1.RenderTemplate
	findings []Finding
	// used are the parameters that a page binds; scripted tells that a script may use any.
	used     map[string]bool
	scripted bool
	// objects are the values of which pages show fields. No type of a parameter takes them, so nobody can declare them.
	objects map[string]bool
}

func (l *linter) add(rule string, severity Severity, where, format string, args ...any) {
	l.findings = append(l.findings, Finding{Rule: rule, Severity: severity, Where: where, Message: fmt.Sprintf(format, args...)})
}

// about says what the finding that was added last is about.
func (l *linter) about(subject string) { l.findings[len(l.findings)-1].Subject = subject }

// checkParameters checks the declared parameters. whole tells whether the HTML of every page is known.
func (l *linter) checkParameters(whole bool) {
	var own []Finding
	l.findings, own = nil, l.findings
	for i, p := range l.template.Spec.Parameters {
		where := fmt.Sprintf("spec.parameters[%d]", i)
		if p.Default != nil {
			value, err := values.DecodeValue(p.Default.Raw)
			if err == nil {
				_, err = values.Read(values.Type(cmp.Or(p.Type, platenv1alpha1.ParameterText)), value)
			}
			if err != nil {
				l.add(InvalidDefault, Error, where+".default", "parameter '%s': %s", p.Name, err)
			}
		}
		if !whole || l.scripted || l.used[p.Name] || bindings.OfEveryPage(p.Name) {
			continue
		}
		todo := fmt.Sprintf("bind it with data-param=%q, or remove it", p.Name)
		if p.Type == platenv1alpha1.ParameterColor { // data-param would show its name
			todo = fmt.Sprintf("read platen.modifications['%s'] in a script, or remove it: a job colours an element by ID.color and the page by canvasBackgroundColor, without a parameter", p.Name)
		}
		l.add(UnusedParameter, Warning, where, "no page uses the parameter '%s'; %s", p.Name, todo)
	}
	l.findings = append(l.findings, own...)
}

// checkPage checks the HTML of one page.
func (l *linter) checkPage(name, source string) {
	page := bindings.Read(source)
	l.scripted = l.scripted || page.Scripted
	l.checkBindings(name, page)
	shown := map[string]bool{}
	for _, b := range page.Bindings {
		shown[b.Path] = shown[b.Path] || b.Attribute == "data-param"
	}
	root := bindings.Parse(source)
	if root == nil {
		l.add(TooDeep, Warning, "page "+name, "its elements are nested deeper than %d, so nothing is known of what it binds, and browsers move what is deeper; close each element, and nest fewer", bindings.MaxDepth)
		return
	}
	ids, code := map[string]int{}, wordsOf(codeOf(root))
	filled := hasCode(root)
	for n := range root.Descendants() {
		if n.Type == html.TextNode && !filled && !inTemplate(n) && !isVerbatim(n) {
			l.checkPlaceholders(n.Data, fmt.Sprintf("page %s, %s", name, element(n.Parent)), placeOf(n))
		}
		if n.Type != html.ElementNode || inTemplate(n) {
			continue
		}
		where := fmt.Sprintf("page %s, %s", name, element(n))
		for _, a := range n.Attr {
			if place := placeOfAttribute(n, a.Key); place != "" && !filled {
				l.checkPlaceholders(a.Val, where, place)
			}
		}
		if id := bindings.Attribute(n, "id"); id != "" {
			switch ids[id]++; {
			case ids[id] == 2:
				l.add(DuplicateID, Warning, where, "the id '%s' is used twice; modifications such as %s.color change the first element only", id, id)
			case ids[id] == 1 && repeated(n):
				l.add(DuplicateID, Warning, where, "the id '%s' is inside of data-each, which repeats it; use a class", id)
			}
		}
		if path := bindings.Attribute(n, "data-param"); path != "" && !filled && slices.Contains(textless, n.DataAtom) {
			l.add(UnknownBinding, Warning, where, "data-param=%q shows nothing: the element has no text; bind an img to a picture, and any other value to an element with text", cut(path))
		}
		if !filled {
			l.checkShown(n, where)
		}
		l.checkAttributes(n, where, code, shown)
		l.checkFiles(n, where, filled)
	}
}

// PlaceholderPattern matches what other tools replace in a text, such as {{headline}}, {{{headline}}} and {{#each rows}}. bind.js has the same.
var PlaceholderPattern = regexp.MustCompile(`\{\{\{[^{}]{1,100}\}\}\}|\{\{[^{}]{1,100}\}\}`)

// place is where a page has a placeholder.
type place string

// The places, with what to write in place of a placeholder.
const (
	inText    place = "is shown as it is: Platen fills elements by their attributes, data-param=\"headline\" with a value, and has data-if and data-each for conditions and lists"
	inStyle   place = "in a style stays as it is: a modification sets a style, card.backgroundImage, for instance, that of the element with the id card"
	inLink    place = "in a link stays as it is: Platen fills a link by its attribute data-param-href=\"shop\" with its address"
	inAddress place = "in an address stays as it is: give an img data-param in place of such a src"
)

// placeOf returns the place that a text is.
func placeOf(text *html.Node) place {
	if text.Parent.DataAtom == atom.Style {
		return inStyle
	}
	return inText
}

// placeOfAttribute returns the place that an attribute of an element is; empty for one that a page does not show.
func placeOfAttribute(n *html.Node, name string) place {
	switch {
	case name == "style":
		return inStyle
	case name == "alt", name == "placeholder", name == "value":
		return inText
	case name == "href" && n.DataAtom == atom.A:
		return inLink
	case name == "src", name == "srcset", name == "poster", name == "data" && n.DataAtom == atom.Object, name == "href":
		return inAddress
	}
	return ""
}

// checkPlaceholders finds the first placeholder of another template language in a text or the value of an attribute: nothing fills it. A render warns of
// the same: bind.js.
func (l *linter) checkPlaceholders(text, where string, in place) {
	if found := PlaceholderPattern.FindString(text); found != "" {
		l.add(Placeholder, Warning, where, "%s %s", cut(found), in)
		l.about(found)
	}
}

// ofPeople matches the handlers of what only people do. bind.js has the same.
var ofPeople = regexp.MustCompile(`^on(?:(?:dbl|aux)?click|contextmenu|(?:mouse|pointer|key|touch|drag|focus).*|drop|wheel|submit|reset|(?:before)?input|change|invalid|select|copy|cut|paste|blur)$`)

// hasCode reports whether a page has a script, which may fill placeholders.
func hasCode(root *html.Node) bool {
	for n := range root.Descendants() {
		if n.DataAtom == atom.Script || slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return strings.HasPrefix(a.Key, "on") && !ofPeople.MatchString(a.Key) }) {
			return true
		}
	}
	return false
}

// checkShown finds a parameter of type image or color whose value the page shows as text.
func (l *linter) checkShown(n *html.Node, where string) {
	name := bindings.Attribute(n, "data-param")
	at := slices.IndexFunc(l.template.Spec.Parameters, func(p platenv1alpha1.Parameter) bool { return p.Name == name })
	if at < 0 || repeated(n) || n.Data == "image" || slices.Contains([]atom.Atom{atom.Img, atom.Input, atom.Textarea, atom.Select}, n.DataAtom) || slices.Contains(textless, n.DataAtom) {
		return
	}
	id, without := bindings.Attribute(n, "id"), "remove it"
	if id == "" || strings.ContainsAny(id, ". \t\n") {
		id = name
		without = fmt.Sprintf("give the element id=%q in place of it", id)
	}
	switch l.template.Spec.Parameters[at].Type {
	case platenv1alpha1.ParameterImage:
		l.add(UnknownBinding, Warning, where, "data-param=%q shows the picture's address as text: bind an img to it; for a background, %s: the modification %s.backgroundImage sets it, without a parameter", cut(name), without, cut(id))
	case platenv1alpha1.ParameterColor:
		l.add(UnknownBinding, Warning, where, "data-param=%q shows the colour's name as text: %s; the modifications %[3]s.color and %[3]s.backgroundColor colour the element, without a parameter", cut(name), without, cut(id))
	default: // text shows it
	}
}

// textless are the elements that never show the text in them. A script may read it. A render warns of the same: bind.js.
var textless = []atom.Atom{
	atom.Audio, atom.Br, atom.Canvas, atom.Col, atom.Embed, atom.Hr, atom.Iframe, atom.Object, atom.Source, atom.Track, atom.Video, atom.Wbr,
}

// isVerbatim reports whether a text is not shown, or shows code as it is.
func isVerbatim(text *html.Node) bool {
	for n := range text.Ancestors() {
		if slices.Contains([]atom.Atom{atom.Code, atom.Pre, atom.Kbd, atom.Samp, atom.Noscript, atom.Title}, n.DataAtom) {
			return true
		}
		if slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == "hidden" }) {
			return true
		}
	}
	return false
}

// attributes are Platen's own, with the values that an attribute takes if not any.
var attributes = map[string][]string{
	"data-param": nil, "data-param-href": nil, "data-if": nil, "data-each": nil, "data-fit": {"shrink", "truncate"}, "data-platen-ready": {"false", "true"},
}

// checkAttributes finds typing mistakes in Platen's attributes. An attribute that the page's code names is the author's own, and so is data-id.
// A render warns of the same: bind.js.
// shown are the names of the values that the page shows: one may have a word in it that is an operator elsewhere, as may a field of an item.
func (l *linter) checkAttributes(n *html.Node, where string, code words, shown map[string]bool) {
	for _, a := range n.Attr {
		if takes, ours := attributes[a.Key]; ours {
			switch {
			case takes != nil && !slices.Contains(takes, a.Val):
				l.add(UnknownAttribute, Warning, where, "%s=%q must be %s", a.Key, cut(a.Val), strings.Join(takes, " or "))
				l.about(fmt.Sprintf("%s=%q", a.Key, a.Val))
			case bindings.IsCondition(a.Key, a.Val) && !shown[a.Val] && (!repeated(n) || strings.EqualFold(strings.Fields(a.Val)[0], "not")):
				l.checkCondition(a.Val, where)
			case takes == nil && !bindings.IsPath(a.Val):
				l.add(UnknownAttribute, Warning, where, "%s=%q must be a name, such as headline or order.total, without spaces around it, without operators and brackets and without a dot in front; an item of a list is item", a.Key, begin(a.Val))
				l.about(fmt.Sprintf("%s=%q", a.Key, a.Val))
			}
			continue
		}
		if !strings.HasPrefix(a.Key, "dat") || a.Key == "data-id" {
			continue
		}
		near := slices.DeleteFunc(slices.Sorted(maps.Keys(attributes)), func(name string) bool {
			if len(a.Key) > len(name)+2 {
				return true // it may be very long
			}
			d := nearest.Distance(a.Key, name)
			return d > 2 || d >= len(name)-len("data-")
		})
		if len(near) > 0 && !code.name(a.Key) {
			l.add(UnknownAttribute, Warning, where, "%s is no attribute of Platen; did you mean %s?", cut(a.Key), nearest.Name(a.Key, near))
			l.about(a.Key)
		}
	}
}

// checkCondition says what a data-if with words for operators may mean. A render warns of the same: bind.js.
func (l *linter) checkCondition(text, where string) {
	todo := "it must be one name, such as open, or !open for the opposite; an element within another asks for both"
	if words := strings.Fields(text); len(words) == 2 && strings.EqualFold(words[0], "not") && bindings.IsPath(words[1]) && !strings.HasPrefix(words[1], "!") {
		todo = fmt.Sprintf("did you mean data-if=%q?", "!"+cut(words[1]))
	}
	l.add(UnknownAttribute, Warning, where, "data-if=%q names no value: %s", cut(text), todo)
	l.about(fmt.Sprintf("data-if=%q", text))
}

// words are those that a page's code has, in lower case, and after "dataset." its properties. A template may have as many attributes as words, so
// none is searched for in all of the code.
type words map[string]bool

// word matches what may be the name of an attribute, and property one that a script reads of an element.
var word, property = regexp.MustCompile(`[\w-]+`), regexp.MustCompile(`(?i)(?:^|[^\w-])dataset\.([\w-]+)`)

// wordsOf returns the words of a page's code.
func wordsOf(code string) words {
	w := words{}
	for _, found := range word.FindAllString(code, -1) {
		w[strings.ToLower(found)] = true
	}
	for _, found := range property.FindAllStringSubmatch(code, -1) {
		w["dataset."+strings.ToLower(found[1])] = true
	}
	return w
}

// name reports whether the code names an attribute: as it is, or as a property of dataset.
func (w words) name(attribute string) bool {
	return w[attribute] || w["dataset."+strings.ReplaceAll(strings.TrimPrefix(attribute, "data-"), "-", "")]
}

// codeOf returns a page's scripts and styles.
func codeOf(root *html.Node) string {
	var code strings.Builder
	for n := range root.Descendants() {
		if (n.DataAtom == atom.Script || n.DataAtom == atom.Style) && n.FirstChild != nil {
			code.WriteString(n.FirstChild.Data)
		}
	}
	return code.String()
}

// checkBindings compares what a page binds with the declared parameters.
func (l *linter) checkBindings(page string, p bindings.Page) {
	if l.used == nil {
		l.used = map[string]bool{}
	}
	declared := make([]string, 0, len(l.template.Spec.Parameters))
	types := map[string]platenv1alpha1.ParameterType{}
	for _, d := range l.template.Spec.Parameters {
		declared = append(declared, d.Name)
		types[d.Name] = cmp.Or(d.Type, platenv1alpha1.ParameterText)
	}
	unknown := map[string]bool{}
	for _, b := range p.Bindings {
		if bindings.IsCondition(b.Attribute, b.Path) || !bindings.IsPath(b.Path) || strings.HasPrefix(b.Path, "!") { // one exclamation mark is no part of the path
			for _, word := range strings.FieldsFunc(b.Path, notInNames) {
				l.used[word] = true // checkAttributes says what is wrong
			}
			continue
		}
		name, _, field := strings.Cut(b.Path, ".")
		l.used[name] = true
		if list, alone := fieldOfList(b); list != "" {
			l.add(UnknownBinding, Warning, fmt.Sprintf("page %s, %s=%q", page, b.Attribute, cut(b.Path)),
				"it finds no value: within data-each=%q, a field of an item has its name alone; write %s=%q", cut(list), b.Attribute, cut(alone))
		}
		if kind, ok := types[name]; ok && field && len(b.Lists) == 0 && kind != platenv1alpha1.ParameterList && !unknown[name] {
			unknown[name] = true
			l.add(UnknownBinding, Warning, fmt.Sprintf("page %s, %s=%q", page, b.Attribute, cut(b.Path)),
				"the parameter '%s' is of type %s, which has no fields; remove it from spec.parameters: a job may give an object for what is not declared", name, kind)
		}
		if len(declared) > 0 && !l.objects[name] && len(b.Lists) == 0 && !slices.Contains(declared, name) && !unknown[name] {
			unknown[name] = true
			hint := "declare it in spec.parameters"
			if !parameterName.MatchString(name) {
				hint = "rename it, because a parameter has only letters, digits, hyphens and underscores, with a letter or an underscore first"
			}
			if near := nearest.Name(name, declared); near != "" {
				hint = fmt.Sprintf("did you mean '%s'?", near)
			}
			l.add(UnknownBinding, Warning, fmt.Sprintf("page %s, %s=%q", page, b.Attribute, cut(b.Path)), "the template declares no parameter '%s'; %s", cut(name), hint)
		}
	}
	for _, name := range p.ScriptValues {
		l.used[name] = true
	}
	for _, e := range p.Elements {
		for _, d := range declared {
			l.used[d] = l.used[d] || strings.HasPrefix(d, e.ID+".")
		}
	}
}

// fieldOfList returns the list around a binding whose name is in front of a field of its items, and the field's name; empty if there is none.
func fieldOfList(b bindings.Binding) (list, field string) {
	for _, list := range b.Lists {
		if field, ok := strings.CutPrefix(b.Path, list+"."); ok && (field[0] < '0' || field[0] > '9') { // a digit is an index
			return list, field
		}
	}
	return "", ""
}

// notInNames tells the runes that separate names in what should be one name, such as num > 5.
func notInNames(r rune) bool { return strings.ContainsRune(" \t\r\n=<>&|(){}[]!?\"'.", r) }

// styleURL matches the address of a file in a style.
var styleURL = regexp.MustCompile(`url\(\s*["']?([^"')]+)`)

// checkFiles checks what an element loads: its text for people who do not see it, and the addresses. checkPlaceholders tells of an address with a
// placeholder that no script fills.
func (l *linter) checkFiles(n *html.Node, where string, filled bool) {
	if n.DataAtom == atom.Img && !slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == "alt" }) {
		l.add(MissingAlt, Warning, where, "the picture has no alt text; a PDF's readers who do not see it learn nothing of it; say what it shows, or alt=\"\" for decoration")
	}
	addresses := []string{}
	if n.DataAtom == atom.Img || n.DataAtom == atom.Script || n.DataAtom == atom.Source || n.DataAtom == atom.Video || n.DataAtom == atom.Audio {
		addresses = append(addresses, bindings.Attribute(n, "src"))
	}
	if n.DataAtom == atom.Link && strings.Contains(strings.ToLower(bindings.Attribute(n, "rel")), "stylesheet") {
		addresses = append(addresses, bindings.Attribute(n, "href"))
	}
	style := bindings.Attribute(n, "style")
	if n.DataAtom == atom.Style && n.FirstChild != nil {
		style = n.FirstChild.Data
	}
	for _, m := range styleURL.FindAllStringSubmatch(style, -1) {
		addresses = append(addresses, m[1])
	}
	for _, address := range addresses {
		if reason := unreachable(address); reason != "" && (filled || !PlaceholderPattern.MatchString(address)) {
			l.add(UnreachableFile, Warning, where, "'%s' cannot be loaded: %s; use an https: or data: URL", cut(address), reason)
			l.about(resolved(address))
		}
	}
}

// resolved returns an address as a render tells it: a page has an address that nobody sees.
func resolved(address string) string {
	const page = "http://page.invalid/"
	base, _ := url.Parse(page)
	if u, err := base.Parse(strings.TrimSpace(address)); err == nil {
		return strings.TrimPrefix(u.String(), page)
	}
	return address
}

// unreachable returns why a page can never load an address; empty if it may.
func unreachable(address string) string {
	address = strings.TrimSpace(address)
	if address == "" || strings.HasPrefix(address, "#") {
		return ""
	}
	u, err := url.Parse(address)
	switch {
	case err != nil && strings.HasPrefix(strings.ToLower(address), "data:"):
		return ""
	case err != nil:
		return "it is no URL"
	case u.Scheme == "" && u.Host == "":
		return "a page has no address of its own, so it has no relative URLs"
	case u.Scheme == "file":
		return "a page reads no files of a machine"
	case u.Host == "localhost" || strings.HasPrefix(u.Host, "localhost:") || strings.HasPrefix(u.Host, "127."):
		return "a page reaches public addresses only"
	}
	return ""
}

// element returns an element as people find it: <img id=logo>.
func element(n *html.Node) string {
	for _, name := range []string{"id", "data-param", "class", "src"} {
		if value := bindings.Attribute(n, name); value != "" {
			return fmt.Sprintf("<%s %s=%s>", cut(n.Data), name, cut(value))
		}
	}
	return fmt.Sprintf("<%s>", cut(n.Data))
}

// cut returns the beginning of a text in one line.
func cut(text string) string { return begin(strings.Join(strings.Fields(text), " ")) }

// begin returns the beginning of a text, with its spaces: they may be what is wrong.
func begin(text string) string {
	if len(text) > maxShown {
		return strings.ToValidUTF8(text[:maxShown], "") + "…"
	}
	return text
}

func inTemplate(n *html.Node) bool {
	for a := range n.Ancestors() {
		if a.DataAtom == atom.Template {
			return true
		}
	}
	return false
}

// repeated tells whether an element is repeated by data-each.
func repeated(n *html.Node) bool {
	for a := n; a != nil; a = a.Parent {
		if bindings.Attribute(a, "data-each") != "" {
			return true
		}
	}
	return false
}
