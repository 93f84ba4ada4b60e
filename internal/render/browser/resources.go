// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"

	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/render/devtools"
	"github.com/platen-dev/platen/internal/render/template"
)

const (
	// maxLoaded bounds the pictures of a page that are read, and maxLoadedSize the size of each in bytes.
	maxLoaded     = 32
	maxLoadedSize = 4 << 20
)

var (
	svgMoves    = regexp.MustCompile("(?i)" + template.SVGMoves)
	svgComments = regexp.MustCompile("(?i)" + template.SVGComments)
	svgNames    = regexp.MustCompile("(?i)" + template.SVGNames)
	// named matches the addresses of pictures that the page's own script takes for moving ones.
	named = regexp.MustCompile(`(?i)\.(gif|webp|apng|avif)\b|^blob:`)
)

// examine reads what a page has loaded from the network, which the page itself does not learn. It warns of frames, styles and imported scripts that could
// not be loaded, of all that has a relative address, and of SVG files that move or name others, and makes the page begin other pictures that move when a
// film begins.
func (t *tab) examine(ctx context.Context, r *report) error {
	loaded, err := devtools.Call(ctx, t.session, page.GetResourceTree, cdp.Empty{})
	if err != nil {
		return err
	}
	moving, read := []string{}, 0
	for frames := []*page.FrameResourceTree{loaded.FrameTree}; len(frames) > 0; frames = frames[1:] {
		frames = append(frames, frames[0].ChildFrames...)
		if url := frames[0].Frame.UnreachableURL; url != "" {
			r.missing(url)
		} else if relative(frames[0].Frame.URL) {
			r.missing(frames[0].Frame.URL)
		}
		for _, resource := range frames[0].Resources {
			if resource.Failed && (resource.Type == network.ResourceTypeStylesheet || resource.Type == network.ResourceTypeScript) || relative(resource.URL) {
				r.missing(resource.URL)
			}
			drawing := resource.MimeType == "image/svg+xml"
			if strings.HasPrefix(resource.URL, "data:") || drawing && strings.HasPrefix(resource.URL, "blob:") {
				continue // the page's own script sees what it is
			}
			unsure := slices.Contains(r.Adrift, resource.URL)
			if resource.Type != network.ResourceTypeImage || resource.Failed || resource.ContentSize > maxLoadedSize || read == maxLoaded ||
				!drawing && (named.MatchString(resource.URL) && !unsure || resource.MimeType != "image/gif" && resource.MimeType != "image/webp" && resource.MimeType != "image/avif") {
				continue
			}
			read++
			content, err := devtools.Call(ctx, t.session, page.GetResourceContent, page.GetResourceContentParams{FrameID: frames[0].Frame.ID, URL: resource.URL})
			if err != nil {
				continue // the browser has thrown it away
			}
			if outer := fileOf(content.Content); drawing && outer != "" {
				r.Warnings = append(r.Warnings, render.Warning{
					Title:   bounded("An SVG picture is shown without a file that it names: "+outer, maxTitle),
					Details: bounded("the browser loads no files for a picture; name them by data: URLs, or put the svg element into the page: "+resource.URL, maxDetails),
				})
			}
			switch {
			case drawing && svgMoves.Match(content.Content):
				r.Warnings = append(r.Warnings, render.Warning{
					Title:   "An SVG picture moves by a clock of its own",
					Details: bounded("two renders show it at different times; put the svg element into the page instead: "+resource.URL, maxDetails),
				})
			case !drawing && !animates(content.Content):
				r.Adrift = slices.DeleteFunc(r.Adrift, func(url string) bool { return url == resource.URL })
			case !drawing && !unsure:
				moving = append(moving, resource.URL)
			}
		}
	}
	r.adrift(r.Adrift)
	if len(moving) == 0 {
		return nil
	}
	list, err := json.Marshal(moving)
	if err != nil {
		return err
	}
	r.Moving = true
	// A page may have replaced what the function needs.
	adrift, err := evaluate[[]string](ctx, t, fmt.Sprintf("(async () => { try { return await window[Symbol.for('platen.rewind')](%s) } catch {} })()", list))
	r.adrift(adrift)
	return err
}

// adrift adds warnings of pictures of styles that move.
func (r *report) adrift(urls []string) {
	for _, url := range urls[:min(len(urls), maxLoaded)] {
		r.Warnings = append(r.Warnings, render.Warning{
			Title:   "A picture of a style moves by a clock of its own",
			Details: bounded("put it into an img, or into the style as a data: URL: "+url, maxDetails),
		})
	}
}

// relative reports whether a URL is relative to the page, which has no files: the browser takes the error that it gets instead for the content of a frame.
func relative(url string) bool {
	return strings.HasPrefix(url, documentURL) && url != documentURL && !strings.HasPrefix(url, fontsURL)
}

// missing adds a warning that something could not be loaded, unless there is one or the page no longer shows it.
func (r *report) missing(url string) {
	if slices.Contains(r.Replaced, url) {
		return
	}
	w := readable(render.Warning{Title: "Could not load " + url})
	if !slices.ContainsFunc(r.Warnings, func(known render.Warning) bool { return strings.HasPrefix(known.Title, w.Title) }) {
		r.Warnings = append(r.Warnings, w)
	}
}

// fileOf returns the first address of a file that an SVG picture names, for which nothing is loaded; "" if there is none.
func fileOf(svg []byte) string {
	for _, m := range svgNames.FindAllSubmatch(svgComments.ReplaceAll(svg, nil), -1) {
		address := strings.TrimSpace(string(bytes.Join(m[1:], nil)))
		if address != "" && address[0] != '#' && !strings.HasPrefix(strings.ToLower(address), "data:") {
			return address
		}
	}
	return ""
}

// animates reports whether a GIF, WebP or AVIF has several pictures.
func animates(data []byte) bool {
	const gifControl = "\x21\xf9\x04" // begins a picture of an animated GIF
	return bytes.HasPrefix(data, []byte("GIF8")) && bytes.Count(data, []byte(gifControl)) > 1 ||
		bytes.HasPrefix(data, []byte("RIFF")) && bytes.Contains(data, []byte("ANIM")) || len(data) > 12 && string(data[4:12]) == "ftypavis"
}
