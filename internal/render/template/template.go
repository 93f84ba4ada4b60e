// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package template fills pages in from modifications. The script bind.js does the work in the page; this package chooses the values and
// passes them to it as data.
//
// Attributes bind elements to values: data-param="name" shows a value as text (an img uses it as its source), data-param-href="name"
// links to it, data-if="name" and data-if="!name" keep or drop an element, and data-each="list" repeats it for each item. Inside a
// repeated element, names are looked up in the item first. The page's own scripts find the values in platen.modifications.
package template

import (
	_ "embed" // the scripts
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"sync"
	"time"
)

//go:embed bind.js
var bind string

//go:embed styles.js
var styles string

//go:embed ready.js
var ready string

//go:embed smil.js
var smil string

//go:embed frames.js
var frames string

//go:embed images.js
var images string

//go:embed requests.js
var requests string

//go:embed clock.js
var clock string

//go:embed settle.js
var settle string

//go:embed roots.js
var roots string

//go:embed text.js
var text string

//go:embed marquee.js
var marquee string

//go:embed paper.js
var paper string

//go:embed tiles.js
var tiles string

//go:embed film.js
var film string

// Ready returns a script that resolves to a JSON object once the page can be painted: warnings, and unused, the keys of
// modifications that the page does not use, and noStyles, those of About.Styles that name no style. A resource that is not ready after the timeout becomes a
// warning.
func Ready(timeout time.Duration) string {
	return fmt.Sprintf("%s(%d, {roots: %s, text: %s, paper: %s, tiles: %s, marquee: %s, svg: %s})", ready, timeout.Milliseconds(), roots, text, paper, tiles, marquee, svg)
}

// Film returns the script that lets the renderer set a page's time, and lets Script fill it in. It must run before any other script of the page, in each of its
// frames. Every page has the same script: the browser compiles it once.
var Film = sync.OnceValue(func() string { return driver(film) })

// Still is Film for a page whose animations the renderer ends, and which it gives time.
var Still = sync.OnceValue(func() string { return driver(settle) })

// driver returns a script that runs one with the page's clock, and keeps the function that Script calls until it does.
func driver(time string) string {
	return fmt.Sprintf(`%s%s%s%s(%s, %s, %s);
		Object.defineProperty(window, Symbol.for('platen.fill'), { configurable: true, value: (values, faces, about) => {
			delete window[Symbol.for('platen.fill')];
			Object.defineProperty(window, Symbol.for('platen.about'), { value: Object.freeze(about) });
			%s(values, %s, faces);
		} });`, frames, images, requests, time, smil, roots, clock, bind, styles)
}

// About is what the renderer's scripts know of a page.
type About struct {
	// Print says that the page is a document's.
	Print bool `json:"print"`
	// Margin around the page of a document, on paper, in 1/96 inch.
	Margin float64 `json:"margin"`
	// Number is the page's, of Total.
	Number int `json:"number"`
	Total  int `json:"total"`
	// Styles are names to look up among the styles.
	Styles []string `json:"styles"`
	// Imports says that the renderer answers whether a script is on its way that another has imported.
	Imports bool `json:"imports"`
	// Families is a regular expression for the names of the font families that the cluster's renderer has; empty if this machine has the same.
	Families string `json:"families"`
}

// Face is a font for the page's text: the descriptors of CSS's @font-face, and the URL of the file.
type Face struct {
	Family  string `json:"family"`
	Style   string `json:"style"`
	Weight  string `json:"weight"`
	Stretch string `json:"stretch"`
	URL     string `json:"url"`
}

var pageKey = regexp.MustCompile(`^page([0-9]+)@(.+)$`)

// ForPage returns the modifications of one page: `page2@key` applies to page 2 only, where it overrides `key`.
func ForPage(modifications map[string]any, page int) map[string]any {
	values := make(map[string]any, len(modifications))
	own := map[string]any{}
	for key, value := range modifications {
		switch number, name := SplitKey(key); number {
		case "":
			values[key] = value
		case strconv.Itoa(page):
			own[name] = value
		}
	}
	maps.Copy(values, own)
	return values
}

// SplitKey returns the number of the page that a modification is for and the key that it has there: "2" and "price" for page2@price. The
// number is empty if the modification is for every page.
func SplitKey(key string) (number, name string) {
	if m := pageKey.FindStringSubmatch(key); m != nil {
		return m[1], m[2]
	}
	return "", key
}

// Script returns the script that fills in the page at url. It must run after Film or Still, and before any other script of the page. It holds the values as a
// JSON string, so that no value can become code. Other documents, such as frames of the page, do not get the values.
//
// faces are the fonts that the page can use besides those that are installed.
func Script(url string, modifications map[string]any, faces []Face, about About) (string, error) {
	values, err := json.Marshal(modifications)
	if err != nil {
		return "", fmt.Errorf("encoding modifications: %w", err)
	}
	// A JSON string is a JavaScript string since ECMAScript 2019, and encoding/json escapes U+2028 and U+2029 too.
	literal, err := json.Marshal(string(values))
	if err != nil {
		return "", fmt.Errorf("encoding modifications: %w", err)
	}
	rest, err := json.Marshal([]any{faces, about})
	if err != nil {
		return "", fmt.Errorf("encoding fonts: %w", err)
	}
	return fmt.Sprintf("window[Symbol.for('platen.fill')](top === window && location.href === %q ? JSON.parse(%s) : null, ...%s)", url, literal, rest), nil
}
