// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"
)

// box is an element with a style, box2 one in a parent with a style, and text a line with a style.
func box(style string) string {
	return `<div style="background:#080;width:40px;height:30px;` + style + `"></div>`
}
func box2(parent, style string) string {
	return `<div style="width:120px;height:80px;background:#cce5ff;` + parent + `">` + box(style) + `</div>`
}
func text(style string) string { return `<p style="margin:4px;` + style + `">Hamburg 12 fi</p>` }
func svg(inner string) string {
	return `<svg width=120 height=80 style="display:block">` + inner + `</svg>`
}

// alike are pairs of pages that must have the same bytes. Whole families of pairs are made by styled, boxed and others below.
func alike() (pairs [][2]string) {
	add := func(wrap func(string) string, list ...string) {
		for i := 0; i < len(list); i += 2 {
			pairs = append(pairs, [2]string{wrap(list[i]), wrap(list[i+1])})
		}
	}
	in := func(parent string) func(string) string {
		return func(style string) string { return box2(parent, style) }
	}
	around := func(style string) string { return box2(style, "") }
	plain := func(html string) string { return html }

	// Logical and physical properties.
	add(in(""), "margin-inline-start:9px", "margin-left:9px", "margin-block-start:9px;float:left", "margin-top:9px;float:left", "inline-size:70px", "width:70px", "block-size:50px", "height:50px",
		"border-inline-end:3px solid #000", "border-right:3px solid #000", "border-block:2px solid #000", "border-top:2px solid #000;border-bottom:2px solid #000",
		"padding-inline:5px 7px", "padding-left:5px;padding-right:7px", "padding-block-end:8px", "padding-bottom:8px", "min-inline-size:90px", "min-width:90px", "max-block-size:12px", "max-height:12px",
		"border-start-start-radius:9px", "border-top-left-radius:9px", "border-end-end-radius:9px", "border-bottom-right-radius:9px", "float:inline-end", "float:right", "margin-inline:auto", "margin-left:auto;margin-right:auto")
	add(in("direction:rtl"), "margin-inline-start:9px", "margin-right:9px", "border-inline-end:3px solid #000", "border-left:3px solid #000", "border-start-start-radius:9px", "border-top-right-radius:9px",
		"float:inline-start", "float:right", "padding-inline-start:8px", "padding-right:8px")
	add(in("writing-mode:vertical-rl"), "inline-size:50px", "height:50px", "block-size:50px", "width:50px", "margin-block-start:9px", "margin-right:9px", "border-inline-start:3px solid #000", "border-top:3px solid #000",
		"padding-block:4px 9px", "padding-right:4px;padding-left:9px")
	add(in("position:relative"), "position:absolute;inset-inline-start:9px", "position:absolute;left:9px", "position:absolute;inset:5px 6px auto auto", "position:absolute;top:5px;right:6px", //nolint:dupword // four sides
		"position:absolute;inset:0;margin:auto", "position:absolute;left:40px;top:25px", "position:absolute;inset-block-end:4px", "position:absolute;bottom:4px", "position:relative;left:9px", "position:relative;right:-9px",
		"position:absolute;left:50%", "position:absolute;left:60px", "position:relative;top:10px", "transform:translateY(10px)", "position:absolute;width:auto;left:10px;right:10px", "position:absolute;left:10px;width:100px",
		"position:absolute;z-index:1;top:0", "position:absolute;inset-block-start:0")

	// Units and functions.
	add(box, "width:1in", "width:96px", "width:2.54cm", "width:96px", "width:72pt", "width:96px", "width:6pc", "width:96px", "width:25.4mm", "width:96px", "width:40Q", "width:10mm", "width:10vw", "width:20px", "height:10vh", "height:10px",
		"width:5vmin", "width:5px", "width:5vmax", "width:10px", "width:50%", "width:50vw", "width:3em;font-size:10px", "width:30px", "width:2rem", "width:32px",
		"width:calc(100% - 50px)", "width:150px", "width:calc(2*(10px + 5px))", "width:30px", "width:min(50px,30%)", "width:50px", "width:max(50px,30%)", "width:60px", "width:clamp(10px,50%,70px)", "width:70px",
		"width:round(33px,10px)", "width:30px", "width:mod(35px,20px)", "width:15px", "width:abs(-33px)", "width:33px", "width:hypot(30px,40px)", "width:50px", "width:calc(sin(90deg)*50px)", "width:50px",
		"--w:55px;width:var(--w)", "width:55px", "width:var(--none,44px)", "width:44px", "width:fit-content;padding-left:30px", "width:30px", "aspect-ratio:2;height:auto", "height:20px", "aspect-ratio:1/2;width:auto;float:left", "width:15px",
		"width:10dvw", "width:10vw", "width:calc(1turn/1deg*.1px)", "width:36px")

	// Colours.
	for _, c := range []string{
		"red", "#f00", "#f00", "#ff0000", "#f00f", "rgb(255 0 0)", "rgb(255,0,0)", "rgb(100% 0% 0%)", "rgba(255,0,0,1)", "hsl(0 100% 50%)", "hsl(0deg,100%,50%)", "hwb(0 0% 0%)", "color(srgb 1 0 0)", "color-mix(in srgb,red,red)",
		"rgb(from red r g b)", "color(from red srgb r g b)", "light-dark(red,blue)", "color-mix(in srgb, red 100%, blue)",
	} {
		add(box, "background:red", "background:"+c)
	}
	add(box, "background:rgb(0 128 0/50%)", "background:#00800080", "background:transparent", "background:none", "color:red;background:currentColor", "background:red", "background:hsl(120 100% 25.1%)", "background:green",
		"background:rebeccapurple", "background:#639", "opacity:50%", "opacity:.5", "background:color(srgb .2 .4 .6)", "background:#369")

	// Shorthands.
	add(box, "margin:1px 2px 3px 4px", "margin-top:1px;margin-right:2px;margin-bottom:3px;margin-left:4px", "border:2px dashed #00f", "border-width:2px;border-style:dashed;border-color:#00f",
		"border-radius:5px 10px", "border-radius:5px 10px 5px 10px", "border-radius:50%", "border-radius:20px/15px", "outline:3px solid red", "box-shadow:0 0 0 3px red",
		"background:red 0 0/auto", "background-color:red", "background:linear-gradient(red,red)", "background:red", "overflow:hidden clip", "overflow-x:hidden;overflow-y:hidden",
		"background:linear-gradient(to right,red,blue)", "background:linear-gradient(90deg,red,blue)", "background:linear-gradient(to top,red,blue)", "background:linear-gradient(0deg,red,blue)",
		"background:linear-gradient(red,blue)", "background:linear-gradient(180deg,red 0%,blue 100%)", "background:linear-gradient(red 50%,blue 0)", "background:linear-gradient(red 50%,blue 50%)",
		"background:linear-gradient(.25turn,red,blue)", "background:linear-gradient(100grad,red,blue)", "background:radial-gradient(red,blue)", "background:radial-gradient(ellipse farthest-corner at center,red,blue)",
		"background:conic-gradient(red,blue)", "background:conic-gradient(from 0deg at 50% 50%,red 0deg,blue 360deg)", "background:repeating-linear-gradient(red 0 5px,blue 5px 10px)", "background:linear-gradient(red 5px,blue 5px) 0 0/100% 10px",
		"background:linear-gradient(red,red) no-repeat 0 0/10px 100%,#080", "background:linear-gradient(90deg,red 10px,#080 10px)",
		"border-top:5px solid red;border-bottom:5px solid red", "border-block:5px solid red", "inset:auto;position:static", "", "all:unset;display:block;width:40px;height:30px;background:#080", "")

	// Transforms and shapes.
	add(box, "transform:translate(10px,5px)", "margin:5px 0 0 10px", "translate:10px 5px", "transform:translate(10px,5px)", "scale:2", "transform:scale(2,2)", "rotate:90deg", "transform:rotate(.25turn)", "transform:scaleX(2)", "transform:matrix(2,0,0,1,0,0)",
		"transform:rotate(180deg)", "transform:scale(-1,-1)", "transform:translateX(50%)", "transform:translateX(20px)", "transform:rotate(90deg);transform-origin:0 0;margin-left:50px", "width:30px;height:40px;margin-left:20px",
		"clip-path:inset(5px)", "width:30px;height:20px;margin:5px", "clip-path:polygon(0 0,50% 0,50% 100%,0 100%)", "width:20px", "clip-path:inset(0 50% 0 0)", "clip-path:polygon(0 0,50% 0,50% 100%,0 100%)", "transform:none;perspective:none", "",
		"zoom:2", "width:80px;height:60px", "visibility:hidden", "opacity:0", "display:none", "display:none!important;color:red", "filter:invert(1)", "background:rgb(255 119 255)", "filter:opacity(1)", "", "mix-blend-mode:normal;isolation:isolate", "")

	// Layouts.
	add(around, "display:flex;justify-content:center", "display:grid;justify-content:center;align-items:start", "display:flex;align-items:center", "padding-top:25px;height:55px", "display:grid;place-items:center", "display:flex;align-items:center;justify-content:center",
		"display:flex;justify-content:end", "display:flow-root;padding-left:80px;width:40px", "display:flex;flex-direction:row-reverse", "display:flex;justify-content:flex-end", "display:flex;flex-direction:column-reverse", "display:flex;align-items:flex-end",
		"display:grid;place-content:end", "display:flex;align-items:end;justify-content:end", "box-sizing:border-box;padding:10px", "padding:10px;width:100px;height:60px", "display:inline-block;vertical-align:top", "display:block;float:left",
		"display:grid;grid-template:auto/20px auto;padding-left:0", "display:block", "columns:1", "display:flow-root", "display:table;border-spacing:0", "display:flow-root", "position:relative;left:5px", "margin-left:5px")
	add(plain, `<div style="display:flex;width:120px;gap:10px">`+box("flex:1")+box("flex:1")+`</div>`, `<div style="display:grid;width:120px;gap:10px;grid-template-columns:1fr 1fr">`+box("width:auto")+box("width:auto")+`</div>`,
		`<div style="display:flex">`+box("")+box("background:red;order:-1")+`</div>`, `<div style="display:flex">`+box("background:red")+box("")+`</div>`,
		`<table style="border-spacing:0"><td style="padding:0">`+box("")+`<td style="padding:0">`+box("background:red")+`</table>`, `<div style="display:flex">`+box("")+box("background:red")+`</div>`,
		`<center>`+box("")+`</center>`, `<div style="width:40px;margin:auto">`+box("")+`</div>`, `<div style="display:contents">`+box("")+`</div>`, box(""), `<section>`+box("")+`</section>`, `<article>`+box("")+`</article>`,
		`<hr style="margin:9px 0;border:0;border-top:3px solid #080">`, `<div style="margin:9px 0;height:3px;background:#080"></div>`, `<x-a><template shadowrootmode=open>`+box("")+`</template></x-a>`, `<x-a>`+box("")+`</x-a>`,
		`<details open><summary style="display:none"></summary>`+box("")+`</details>`, box(""), `<iframe style="border:0;width:200px;height:100px" srcdoc='<body style="margin:0">`+box("")+`'></iframe>`, box(""))

	// Text.
	add(text, "font:italic bold 20px/1.5 'Liberation Sans'", "font-style:italic;font-weight:700;font-size:20px;line-height:30px;font-family:'Liberation Sans'", "font-weight:bold", "font-weight:700", "font-size:1.5em", "font-size:24px", "font-size:large", "font-size:18px",
		"font-size:150%", "font-size:1.5rem", "line-height:2", "line-height:2em", "text-align:end", "text-align:right", "text-align:start", "", "direction:rtl;text-align:start", "direction:rtl;text-align:right", "text-transform:none;letter-spacing:normal", "",
		"letter-spacing:.1em", "letter-spacing:1.6px", "word-spacing:1em", "word-spacing:16px", "text-indent:2em", "padding-left:32px", "text-decoration:underline", "text-decoration-line:underline;text-decoration-style:solid", "font-variant-ligatures:none", "font-feature-settings:'liga' 0,'clig' 0,'dlig' 0,'hlig' 0,'calt' 0",
		"font-kerning:none", "font-feature-settings:'kern' 0", "font-family:Arial", "font-family:'Liberation Sans'", "font-family:'Courier New'", "font-family:'Liberation Mono'", "font-family:Times", "font-family:'Liberation Serif'", "white-space:pre-wrap", "white-space-collapse:preserve;text-wrap-mode:wrap",
		"color:#00f", "-webkit-text-fill-color:#00f", "vertical-align:baseline;unicode-bidi:normal", "", "font-size-adjust:none;font-stretch:100%", "")
	add(plain, `<b>Bold</b>`, `<span style="font-weight:bold">Bold</span>`, `<em>It</em>`, `<i>It</i>`, `<code>x</code>`, `<tt>x</tt>`, `a&nbsp;b`, "a\u00a0b", `&eacute;&#x2014;&euro;`, "é—€", `<p>one<br>two`, `<p style="white-space:pre">one`+"\ntwo",
		`<ol start=4><li>x</ol>`, `<ol><li value=4>x</ol>`, `<ol type=I><li>x</ol>`, `<ol style="list-style-type:upper-roman"><li>x</ol>`, `<bdo dir=rtl>abc</bdo>`, `cba`, "\u202eabc\u202c", `<bdo dir=rtl>abc</bdo>`, `<p dir=auto>שלום`, `<p dir=rtl>שלום`,
		`<style>p::before{content:"A" "B"}</style><p>`, `<p>AB`, `<style>p::before{content:attr(id)}</style><p id=AB>`, `<p>AB`, `<style>p::after{counter-increment:n 7;content:counter(n)}</style><p>x`, `<p>x7`, `<style>p::after{content:counter(n,lower-alpha);counter-set:n 3}</style><p>x`, `<p>xc`,
		`<q lang=en>x</q>`, "“x”", `<p style="text-transform:uppercase">straße`, `<p>STRASSE`, `<p lang=tr style="text-transform:uppercase">i`, `<p>İ`, `<p style="text-transform:capitalize">two words`, `<p>Two Words`, "e\u0301", "é", `<p>a<wbr>b`, `<p>ab`, `<p>a&shy;b`, `<p>ab`,
		`<p style="writing-mode:vertical-rl;text-orientation:sideways">abc`, `<p style="writing-mode:vertical-rl">abc`, `<center>x</center>`, `<div style="text-align:center">x</div>`, `<p hidden>x</p>y`, `y`, `<noscript>x</noscript>y`, `y`, `<font color=red>x</font>`, `<span style="color:red">x</span>`)

	// SVG.
	add(svg, `<rect width=40 height=30 fill=red />`, `<rect style="width:40px;height:30px;fill:red"/>`, `<rect width=40 height=30 />`, `<path d="M0 0H40V30H0Z"/>`, `<path d="M0 0h40v30h-40z"/>`, `<polygon points="0,0 40,0 40,30 0,30"/>`, `<circle cx=30 cy=30 r=20 />`, `<ellipse cx=30 cy=30 rx=20 ry=20 />`,
		`<line x2=50 y2=50 stroke=red />`, `<polyline points="0 0 50 50" stroke=red />`, `<g transform="translate(9 9)"><rect width=9 height=9 /></g>`, `<rect x=9 y=9 width=9 height=9 />`, `<rect width=9 height=9 transform="scale(3)"/>`, `<rect width=27 height=27 />`, `<rect width=40 height=30 opacity=.5 />`, `<rect width=40 height=30 fill-opacity=.5 />`,
		`<defs><rect id=r width=20 height=20 /></defs><use href="#r" x=5 />`, `<rect x=5 width=20 height=20 />`, `<svg viewBox="0 0 10 10" width=50 height=50><rect width=5 height=5 /></svg>`, `<rect width=25 height=25 />`, `<linearGradient id=g><stop stop-color=red /></linearGradient><rect width=40 height=30 fill="url(#g)"/>`, `<rect width=40 height=30 fill=red />`,
		`<clipPath id=c><rect width=20 height=20 /></clipPath><rect width=40 height=30 clip-path="url(#c)"/>`, `<rect width=20 height=20 />`, `<text x=9 y=30 font-size=20>Hi</text>`, `<text style="font-size:20px" transform="translate(9,30)">Hi</text>`, `<text y=30 x=60 text-anchor=middle>H</text>`, `<text y=30 x=60 style="text-anchor:middle">H</text>`,
		`<rect width=40 height=30 fill=none stroke=red stroke-width=4 />`, `<rect width=40 height=30 style="fill:none;stroke:red;stroke-width:4px"/>`, `<symbol id=s><rect width=9 height=9 /></symbol><use href="#s"/>`, `<rect width=9 height=9 />`, `<rect width="50%" height="50%"/>`, `<rect width=60 height=40 />`)

	// Queries and selectors, which see the page's own size.
	for _, rule := range []string{
		"@media (width:200px){%s}", "@media (min-width:100px) and (max-height:100px){%s}", "@media (100px<=width<=200px){%s}", "@media screen{%s}", "@media not print{%s}", "@supports (display:grid){%s}", "@layer x{%s}", "@media (orientation:landscape){%s}",
		"@media (prefers-color-scheme:light){%s}", "@media (prefers-reduced-motion:no-preference){%s}", "@media (resolution:1dppx){%s}", "@scope (body){%s}", "@media (aspect-ratio:2/1){%s}", "@media (scripting:enabled){%s}", "@media (color){%s}",
	} {
		add(plain, fmt.Sprintf("<style>"+rule+"</style><b>x</b>", "b{color:red}"), `<b style="color:red">x</b>`)
	}
	for _, selector := range []string{"b", "p>b", "p b", "p:has(b) b", "b:is(b,i)", "b:where(b)", "b:not(i)", "b:only-child", "b:nth-child(1 of b)", "[id]", "[id=A i]", "#a", ".k", "p{b}", "b:first-of-type", "b:lang(en)", "b:dir(ltr)", "*|b", "b:nth-last-child(odd)"} {
		rule := selector + "{color:red}"
		if selector == "p{b}" {
			rule = "p{b{color:red}}"
		}
		add(plain, "<style>"+rule+"</style><p lang=en><b id=a class=k>x</b>", `<style></style><p lang=en><b id=a class=k style="color:red">x</b>`)
	}
	return pairs
}

// Two pages that mean the same have the same bytes, in whatever way they are written: Platen's scripts change nothing of it.
func TestPagesThatMeanTheSameLookTheSame(t *testing.T) {
	pairs := alike()
	if len(pairs) < 200 {
		t.Fatalf("there are %d pairs", len(pairs))
	}
	b := start(t)
	const blank = ""
	looks := map[string][]byte{blank: nil} // each page is painted once
	for _, pair := range pairs {
		looks[pair[0]], looks[pair[1]] = nil, nil
	}
	const most = 20 // pages of a task
	for list := range slices.Chunk(slices.Collect(maps.Keys(looks)), most) {
		pages := make([]string, 0, most)
		for _, html := range list {
			pages = append(pages, `<!doctype html><style>body{margin:0;font:16px "Liberation Sans"}</style>`+html)
		}
		outputs, _ := run(t, b, task("png", pages...))
		for i, html := range list {
			looks[html] = outputs[i].Data
		}
	}
	blanks := 0
	for _, pair := range pairs {
		if !bytes.Equal(looks[pair[0]], looks[pair[1]]) {
			t.Errorf("these look different:\n\t%s\n\t%s", pair[0], pair[1])
		}
		if bytes.Equal(looks[pair[0]], looks[blank]) {
			blanks++
		}
	}
	const invisible = 5 // pairs that show nothing on purpose
	if blanks > invisible {
		t.Errorf("%d pairs show nothing", blanks)
	}
}
