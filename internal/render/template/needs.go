// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"regexp"
	"slices"
	"strings"
)

// Needs is what a page seems to need besides its own document.
type Needs struct {
	// Scripts: it runs some.
	Scripts bool
	// Requests: it loads pictures, fonts or styles over HTTPS.
	Requests bool
	// Alone: it has frames, media or moving pictures, stores or exchanges data, or loads over HTTP.
	Alone bool
	// Varies: its scripts may ask for random numbers, or for what differs from one browser to another.
	Varies bool
	// Timed: its scripts may ask for the time, or wait. A film sets the time.
	Timed bool
}

var (
	// alone matches what a page needs a browser context of its own for.
	alone = regexp.MustCompile(`<(?:iframe|frame|frameset|object|embed|applet|fencedframe|portal|video|audio|form)[\s/>]|http-equiv|(?:src|srcset|href|url\(|@import)[\s=]*["']?\s*(?:http:)?//`)
	// aloneScript matches what a script needs a browser context of its own for: storage, other documents, requests, and the tab's history.
	aloneScript = regexp.MustCompile(`storage|indexeddb|caches|\.locks|cookie|worker|broadcastchannel|websocket|eventsource|xmlhttprequest|fetch\(|beacon|rtcpeer|postmessage|import[\s({*"']|` +
		`iframe|history|navigation|location\s*[.=(\[]|origin|submit|opener|parent|window\.name|domain`)
	// script matches what may run a script.
	script = regexp.MustCompile(`<script|javascript:|[\s"'/]on[a-z]+\s*=`)
	// varying matches where a script gets random numbers from, and access to a property by a text, which may hide it; timed matches where it
	// gets the time from, and what calls it later.
	varying = regexp.MustCompile(`random|crypto|navigator|[\w\])]\[\s*["'` + "`" + `]`)
	timed   = regexp.MustCompile(`date|performance|temporal|intl|timestamp|timeline|timeout|interval|animationframe|idlecallback|animate|currenttime`)
	// request matches what may load something over HTTPS.
	request = regexp.MustCompile(`(?:src|srcset|href|url\(|@import|image-set\()[\s=]*["']?\s*https:|<link[\s/]`)
	// anchor matches the address of a link, which is not loaded.
	anchor = regexp.MustCompile(`<a\s[^>]*>`)
)

// Examine returns what a page, filled in from values, seems to need. It is a guess from the text: the caller must still block the rest.
func Examine(html string, values map[string]any) Needs {
	moving := moves(html)
	// The names of XML namespaces are not loaded.
	html = strings.ReplaceAll(strings.ToLower(html), "http://www.w3.org/", "")
	loads := anchor.ReplaceAllStringFunc(html, func(tag string) string { return strings.ReplaceAll(tag, "href", "") })
	n := Needs{Scripts: script.MatchString(html), Requests: request.MatchString(loads), Alone: moving || alone.MatchString(loads)}
	n.Alone = n.Alone || n.Scripts && aloneScript.MatchString(html)
	n.Varies, n.Timed = n.Scripts && varying.MatchString(html), n.Scripts && timed.MatchString(html)
	n.add(values)
	return n
}

// add adds what a value needs that is or holds a URL.
func (n *Needs) add(value any) {
	switch v := value.(type) {
	case string:
		url := strings.ToLower(v[:min(len(v), len("https:"))])
		n.Requests = n.Requests || url == "https:"
		n.Alone = n.Alone || strings.HasPrefix(url, "http:") || strings.HasPrefix(url, "//") || moves(v)
	case []any:
		for _, item := range v {
			n.add(item)
		}
	case map[string]any:
		for _, item := range v {
			n.add(item)
		}
	}
}

// animated are the three possible base64 encodings of "acTL", the chunk of an animated PNG.
var animated = []string{"YWNUT", "FjVE", "hY1RM"}

// moves reports whether a text has a picture that may be animated. The browser keeps pictures for later pages, which would show an
// animation somewhere after its first frame.
func moves(text string) bool {
	const scheme = "data:image/"
	found := false
	for rest := strings.ToLower(text); ; found = true {
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
