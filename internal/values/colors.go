// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package values

import (
	"slices"
	"strings"
)

// namedColors are the words that are a colour in CSS: named colours and system colours
// (https://www.w3.org/TR/css-color-4/#color-keywords), and the words that every property takes. They are sorted.
var namedColors = strings.Fields(`
accentcolor accentcolortext activetext aliceblue antiquewhite aqua aquamarine azure beige bisque black blanchedalmond blue blueviolet brown
burlywood buttonborder buttonface buttontext cadetblue canvas canvastext chartreuse chocolate coral cornflowerblue cornsilk crimson
currentcolor cyan darkblue darkcyan darkgoldenrod darkgray darkgreen darkgrey darkkhaki darkmagenta darkolivegreen darkorange darkorchid
darkred darksalmon darkseagreen darkslateblue darkslategray darkslategrey darkturquoise darkviolet deeppink deepskyblue dimgray dimgrey
dodgerblue field fieldtext firebrick floralwhite forestgreen fuchsia gainsboro ghostwhite gold goldenrod gray graytext green greenyellow
grey highlight highlighttext honeydew hotpink indianred indigo inherit initial ivory khaki lavender lavenderblush lawngreen lemonchiffon
lightblue lightcoral lightcyan lightgoldenrodyellow lightgray lightgreen lightgrey lightpink lightsalmon lightseagreen lightskyblue
lightslategray lightslategrey lightsteelblue lightyellow lime limegreen linen linktext magenta mark marktext maroon mediumaquamarine
mediumblue mediumorchid mediumpurple mediumseagreen mediumslateblue mediumspringgreen mediumturquoise mediumvioletred midnightblue
mintcream mistyrose moccasin navajowhite navy none oldlace olive olivedrab orange orangered orchid palegoldenrod palegreen paleturquoise
palevioletred papayawhip peachpuff peru pink plum powderblue purple rebeccapurple red revert revert-layer rosybrown royalblue saddlebrown
salmon sandybrown seagreen seashell selecteditem selecteditemtext sienna silver skyblue slateblue slategray slategrey snow springgreen
steelblue tan teal thistle tomato transparent turquoise unset violet visitedtext wheat white whitesmoke yellow yellowgreen
`)

func isNamedColor(text string) bool {
	_, ok := slices.BinarySearch(namedColors, strings.ToLower(text))
	return ok
}
