// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package values

import (
	"regexp"
	"slices"
	"strings"
)

// maxColorDepth bounds how deep the functions of a colour are nested.
const maxColorDepth = 16

var (
	function     = regexp.MustCompile(`^([A-Za-z-][A-Za-z0-9-]*)\((.*)\)$`)
	cssNumber    = regexp.MustCompile(`^[+-]?([0-9]+(\.[0-9]+)?|\.[0-9]+)([eE][+-]?[0-9]+)?([a-zA-Z]*|%)$`)
	gradient     = regexp.MustCompile(`^(repeating-)?(linear|radial|conic)-gradient$`)
	oldGradient  = regexp.MustCompile(`^-webkit-(repeating-)?(linear|radial)-gradient$`)
	customName   = regexp.MustCompile(`^--[^\s(),]+$`)
	mathFunction = strings.Fields("abs acos asin atan atan2 calc clamp cos exp hypot log max min mod pow rem round sign sin sqrt tan")
	wideWords    = strings.Fields("inherit initial none revert revert-layer unset")
	angles       = strings.Fields("deg grad rad turn")
	// colorSpaces are those of color(), and mixingSpaces further ones of gradients and color-mix().
	colorSpaces  = strings.Fields("a98-rgb display-p3 display-p3-linear prophoto-rgb rec2020 srgb srgb-linear xyz xyz-d50 xyz-d65")
	mixingSpaces = strings.Fields("hsl hwb lab lch oklab oklch")
	// gradientWords say how a gradient lies, and layerWords how it is repeated and where.
	gradientWords = strings.Fields("at bottom center circle closest-corner closest-side decreasing ellipse farthest-corner farthest-side from hue in increasing left longer right shorter to top")
	layerWords    = strings.Fields("border-box bottom center contain content-box cover fixed left local no-repeat padding-box repeat repeat-x repeat-y right round scroll space text top")
)

// isPaint tells whether a text with functions, such as rgb(0 0 0 / 50%), may be a colour, a gradient, or several of those as CSS's background
// takes them. What a browser surely refuses is none; the browser decides about the rest, above all about var(). So is an address: it is a picture.
func isPaint(text string) bool {
	if strings.ContainsAny(text, `;{}!\<>@"'`) || !isBalanced(text) {
		return false
	}
	layers := split(text)
	for i, layer := range layers {
		colors, gradients, unknown := 0, 0, 0
		for _, part := range fields(layer) {
			switch {
			case varies(part) && isColor(part, 0): // a property of the page, which may be either
				unknown++
			case isColor(part, 0):
				colors++
			case isGradient(part, 0):
				gradients++
			case part != "/" && !isNumber(part) && !slices.Contains(layerWords, strings.ToLower(part)):
				return false
			}
		}
		// A layer has a gradient, and the last one the colour under it.
		if all := colors + gradients + unknown; all == 0 || all > 2 || colors > 1 || gradients > 1 || colors > 0 && i < len(layers)-1 {
			return false
		}
	}
	return true
}

// isBalanced tells whether every parenthesis of a text has its other half, and not too many are nested.
func isBalanced(text string) bool {
	depth := 0
	for _, r := range text {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth < 0 || depth > maxColorDepth {
			return false
		}
	}
	return depth == 0
}

// split returns the parts of a balanced text between the commas that are in no parentheses, without the spaces around them.
func split(text string) (parts []string) {
	depth, start := 0, 0
	for i, r := range text {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case r == ',' && depth == 0:
			parts = append(parts, strings.TrimSpace(text[start:i]))
			start = i + 1
		}
	}
	return append(parts, strings.TrimSpace(text[start:]))
}

// fields returns the parts of a balanced text between spaces that are in no parentheses. A slash is a part of its own.
func fields(text string) (parts []string) {
	depth, start := 0, -1
	end := func(i int) {
		if start >= 0 {
			parts = append(parts, text[start:i])
		}
		start = -1
	}
	for i, r := range text {
		switch {
		case depth == 0 && strings.ContainsRune(" \t\r\n\f", r):
			end(i)
			continue
		case depth == 0 && r == '/':
			end(i)
			parts = append(parts, "/")
			continue
		case r == '(':
			depth++
		case r == ')':
			depth--
		}
		if start < 0 {
			start = i
		}
	}
	end(len(text))
	return parts
}

// call returns the name and the arguments of a function; an empty name if the text is none.
func call(text string) (name, arguments string) {
	if found := function.FindStringSubmatch(text); found != nil && isBalanced(found[2]) {
		return strings.ToLower(found[1]), strings.TrimSpace(found[2])
	}
	return "", ""
}

// varies tells whether a text has what only the page knows: the value of a custom property.
func varies(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "var(--") || strings.Contains(text, "env(")
}

// isNumber tells whether a text is a number with one of the units, or none if units are given, or a function that calculates one.
func isNumber(text string, units ...string) bool {
	if name, arguments := call(text); name != "" {
		return slices.Contains(mathFunction, name) && arguments != "" || varies(text)
	}
	found := cssNumber.FindStringSubmatch(text)
	return found != nil && (len(units) == 0 || found[4] == "" || slices.Contains(units, strings.ToLower(found[4])))
}

// isColor tells whether a text may be a colour, as isPaint does.
func isColor(text string, depth int) bool {
	name, arguments := call(text)
	switch {
	case depth > maxColorDepth:
		return false
	case strings.HasPrefix(text, "#"):
		return hexColor.MatchString(text)
	case name == "":
		return isNamedColor(text) && !slices.Contains(wideWords, strings.ToLower(text))
	case name == "var":
		return customName.MatchString(split(arguments)[0])
	case varies(arguments) && name != "color-mix" && name != "light-dark":
		return slices.Contains([]string{"color", "hsl", "hsla", "hwb", "lab", "lch", "oklab", "oklch", "rgb", "rgba"}, name)
	}
	switch name {
	case "rgb", "rgba", "hsl", "hsla":
		if list := split(arguments); len(list) > 1 {
			return isOldColor(name, list)
		}
		return isNewColor(name, fields(arguments), depth)
	case "hwb", "lab", "lch", "oklab", "oklch", "color":
		return isNewColor(name, fields(arguments), depth)
	case "light-dark":
		list := split(arguments)
		return len(list) == 2 && isColor(list[0], depth+1) && isColor(list[1], depth+1)
	case "color-mix":
		list := split(arguments)
		if words := fields(list[0]); len(words) > 0 && strings.EqualFold(words[0], "in") {
			list = list[1:]
		}
		return len(list) > 1 && !slices.ContainsFunc(list, func(part string) bool { return !isStop(part, depth) })
	}
	return false
}

// isOldColor tells whether rgb(), hsl() or their likes may have the arguments, which have commas between them.
func isOldColor(name string, list []string) bool {
	if len(list) > 4 {
		return false
	}
	percents, plain := 0, 0
	for i, part := range list {
		units := []string{"%"}
		if i == 0 && strings.HasPrefix(name, "hsl") {
			units = angles
		}
		if !isNumber(part, units...) {
			return false
		}
		switch isCalculated := strings.Contains(part, "("); {
		case i == 3, isCalculated, strings.HasPrefix(name, "hsl"):
		case strings.HasSuffix(part, "%"):
			percents++
		default:
			plain++
		}
	}
	return len(list) >= 3 && (percents == 0 || plain == 0)
}

// isNewColor tells whether a colour's function may have the arguments, which have spaces between them.
func isNewColor(name string, list []string, depth int) bool {
	if len(list) > 2 && strings.EqualFold(list[0], "from") {
		return isColor(list[1], depth+1) // what follows may calculate with its channels
	}
	if name == "color" {
		if len(list) == 0 || !slices.Contains(colorSpaces, strings.ToLower(list[0])) {
			return false
		}
		list = list[1:]
	}
	if len(list) != 3 && (len(list) != 5 || list[3] != "/") {
		return false
	}
	for i, part := range list {
		units := []string{"%"}
		if i == 0 && strings.HasPrefix(name, "h") || i == 2 && strings.HasSuffix(name, "lch") {
			units = angles
		}
		if i != 3 && !isNumber(part, units...) && !strings.EqualFold(part, "none") {
			return false
		}
	}
	return true
}

// isStop tells whether a text is a colour with numbers before or behind it: one of a gradient or of color-mix().
func isStop(text string, depth int) bool {
	colors := 0
	for _, part := range fields(text) {
		switch {
		case isColor(part, depth+1):
			colors++
		case !isNumber(part):
			return false
		}
	}
	return colors == 1
}

// isGradient tells whether a text may be a gradient, as isPaint does.
func isGradient(text string, depth int) bool {
	name, arguments := call(text)
	switch {
	case oldGradient.MatchString(name):
		return arguments != ""
	case !gradient.MatchString(name):
		return false
	case varies(arguments):
		return true
	}
	stops := 0
	for i, part := range split(arguments) {
		isPlace := i == 0 && isLayout(part)
		isHint := i > 0 && isNumber(part)
		switch {
		case isStop(part, depth) && isColor(fields(part)[0], depth+1): // a number is behind its colour
			stops++
		case !isPlace && !isHint:
			return false
		}
	}
	return stops > 0
}

// isLayout tells whether the first argument of a gradient says how it lies.
func isLayout(text string) bool {
	for _, part := range fields(text) {
		word := strings.ToLower(part)
		if !slices.Contains(gradientWords, word) && !slices.Contains(colorSpaces, word) && !slices.Contains(mixingSpaces, word) && !isNumber(part) {
			return false
		}
	}
	return text != ""
}
