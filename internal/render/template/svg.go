// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package template

import "fmt"

// The patterns of SVG files, as both Go and JavaScript read them. All ignore case. The page's own script looks at the pictures that the page holds, and the
// renderer at those from the network.
const (
	// SVGMoves matches what lets a file move.
	SVGMoves = `<(?:animate\w*|set)[\s/>]|@keyframes`
	// SVGComments matches what a file has for nobody.
	SVGComments = `<!--[\s\S]*?-->`
	// SVGNames matches the address of a file, in one of its groups.
	SVGNames = `<(?:\w+:)?(?:image|use|feImage|img|link)\s(?:[^>]*?\s)?(?:xlink:href|href|src)\s*=\s*(?:"([^"]*)|'([^']*))|` +
		`url\((?:["'\s]|&(?:quot|apos|#3[49]);)*([^"'\s)&]*)|@import\s*(?:"([^"]*)|'([^']*))|<\?xml-stylesheet\s[^>]*?href\s*=\s*["']([^"']*)`
)

// svg has the patterns for scripts.
var svg = fmt.Sprintf("{moves: /%s/i, comments: /%s/gi, names: /%s/gi}", SVGMoves, SVGComments, SVGNames)
