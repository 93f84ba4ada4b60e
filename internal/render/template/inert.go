// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"slices"
	"strings"
)

// inertTags are the elements that cannot run a script and, with a policy that allows only data: URLs, cannot load anything. Other
// elements, such as meta and link, can, or change how the next page in the same document looks.
var inertTags = tags(`
	html head body title style
	main header footer section article aside nav div span p h1 h2 h3 h4 h5 h6 hgroup blockquote pre address hr br wbr center font
	a b i u s em strong small sub sup del ins mark q cite code kbd samp var abbr time data dfn bdi bdo ruby rb rp rt rtc
	ul ol li dl dt dd menu figure figcaption table caption colgroup col thead tbody tfoot tr th td
	img picture source meter progress label button fieldset legend
	svg g defs symbol use path rect circle ellipse line polyline polygon text tspan textPath image title desc
	linearGradient radialGradient stop pattern mask clipPath marker filter
	feBlend feColorMatrix feComponentTransfer feComposite feConvolveMatrix feDiffuseLighting feDisplacementMap feDistantLight feDropShadow
	feFlood feFuncA feFuncB feFuncG feFuncR feGaussianBlur feImage feMerge feMergeNode feMorphology feOffset fePointLight
	feSpecularLighting feSpotLight feTile feTurbulence`)

// harmlessMetas removes meta elements that change nothing, because they state the defaults.
var harmlessMetas = strings.NewReplacer(
	`<meta charset="utf-8">`, "", `<meta charset="UTF-8">`, "", `<meta charset=utf-8>`, "", `<meta charset="utf-8"/>`, "", `<meta charset="utf-8" />`, "",
	`<meta name="viewport" content="width=device-width, initial-scale=1">`, "", `<meta name="viewport" content="width=device-width, initial-scale=1.0">`, "",
)

// requests are texts that most pages with a request contain.
var requests = []string{
	`src="http`, `src='http`, `src=http`, `src="//`, `srcset="http`, `url(http`, `url("http`, `url('http`, `url(//`, `@import`, `image href="http`,
}

func tags(names string) map[string]bool {
	set := map[string]bool{}
	for name := range strings.FieldsSeq(names) {
		set[strings.ToLower(name)] = true
	}
	return set
}

const doctype = "<!doctype html>"

// Quirks reports whether an inert page is laid out in quirks mode (https://quirks.spec.whatwg.org/).
func Quirks(html string) bool { return !standards(html) }

func standards(html string) bool {
	html = strings.TrimLeft(html, " \t\n\r\f")
	return len(html) >= len(doctype) && strings.EqualFold(html[:len(doctype)], doctype)
}

// Inert reports whether a page, filled in from values, seems to need neither a script nor a request. It is certain that the page has no
// element outside of inertTags, because an element begins with its name after "<"
// (https://html.spec.whatwg.org/multipage/syntax.html). The rest is a guess: the caller must still block requests and scripts.
func Inert(html string, values map[string]any) bool {
	if reaches(values) {
		return false
	}
	html = harmlessMetas.Replace(html)
	if standards(html) {
		_, html, _ = strings.Cut(html, ">")
	}
	for _, request := range requests {
		if strings.Contains(html, request) {
			return false
		}
	}
	if moves(html) {
		return false
	}
	for rest := html; ; {
		_, after, found := strings.Cut(rest, "<")
		if !found {
			break
		}
		rest = after
		end := strings.IndexFunc(rest, func(r rune) bool { return r <= ' ' || r == '/' || r == '>' })
		name := rest
		if end >= 0 {
			name = rest[:end]
		}
		// Any other doctype may select another mode.
		if name != "" && isLetter(name[0]) && !inertTags[strings.ToLower(name)] || strings.EqualFold(name, "!doctype") {
			return false
		}
	}
	// A document honours autofocus only once, so the next page in it would look different.
	return !strings.Contains(strings.ToLower(html), "autofocus")
}

// animated are the three possible base64 encodings of "acTL", the chunk of an animated PNG.
var animated = []string{"YWNUT", "FjVE", "hY1RM"}

// moves reports whether a text has a picture that may be animated. The browser keeps pictures for later pages, which would show an
// animation somewhere after its first frame.
func moves(text string) bool {
	const scheme = "data:image/"
	found := false
	for rest := text; ; found = true {
		_, after, more := strings.Cut(rest, scheme)
		if !more {
			break
		}
		rest = after
		if !strings.HasPrefix(rest, "png") && !strings.HasPrefix(rest, "jpeg") && !strings.HasPrefix(rest, "jpg") {
			return true
		}
	}
	return found && slices.ContainsFunc(animated, func(s string) bool { return strings.Contains(text, s) })
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// reaches reports whether a value is or holds a URL that makes the page not inert.
func reaches(value any) bool {
	switch v := value.(type) {
	case string:
		return strings.HasPrefix(v, "http:") || strings.HasPrefix(v, "https:") || moves(v)
	case []any:
		return slices.ContainsFunc(v, reaches)
	case map[string]any:
		for _, item := range v {
			if reaches(item) {
				return true
			}
		}
	}
	return false
}
