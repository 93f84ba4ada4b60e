// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"

	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/render/devtools"
	"github.com/platen-dev/platen/internal/render/template"
)

var (
	pairs = flag.Int("pairs", 500, "pairs of pages that TestAPageLooksAsIfItWereAlone compares")
	seed  = flag.Uint64("seed", 1, "seed of the pages of TestAPageLooksAsIfItWereAlone; 0 is the time")
)

// leakyPages could each change what the next page looks like, if they shared a document, a compositor or a process's state.
var leakyPages = []string{
	`<body link=lime vlink=lime alink=lime text=navy bgcolor=beige><a href="http://page.platen.localhost/">link</a> text`,
	`<a href="http://page.platen.localhost/">a link</a> <a href="#x">another</a>`,
	`<style title=a>p{color:red}</style><p>preferred a`,
	`<style title=b>p{color:blue}</style><p>preferred b`,
	`<!doctype html><style title=b>p{color:blue}</style><p>preferred b, standards`,
	`<!doctype html><svg width=100 height=50><style title=a>text{fill:red}</style><text y=20>svg a</text></svg>`,
	`<!doctype html><svg width=100 height=50><style title=b>text{fill:blue}</style><text y=20>svg b</text></svg>`,
	`<!doctypehtml><table border=1 cellpadding=4><td>a quirk?</table><div style="width:100;height:50;background:red">x</div>`,
	`<!doctype html><table border=1 cellpadding=4><td>no quirk</table><div style="width:100;height:50;background:red">x</div>`,
	`<!DOCTYPE html PUBLIC "-//W3C//DTD HTML 4.01 Transitional//EN" "http://www.w3.org/TR/html4/loose.dtd"><table><td><img src="data:image/png;base64,AAAA" width=9 height=9></table>x`,
	`<!doctype html><html style="color-scheme:dark"><body style="margin:0"><p>dark by its root</p>`,
	`<meta name="color-scheme" content="dark"><p>dark by meta`,
	`<meta name="viewport" content="width=50, initial-scale=3"><p style="width:50vw;background:red">viewport`,
	`<html lang="tr" dir="rtl"><body bgcolor="#ffeedd" text="#330000"><p style="text-transform:uppercase">istanbul</p>`,
	`<style>@property --size { syntax: "*"; inherits: true; initial-value: 40px } p { font-size: var(--size) }</style><p>large</p>`,
	`<p style="font-size:var(--size)">not large</p>`,
	`<style>@font-face { font-family: "Liberation Serif"; src: local("Liberation Mono") } p { font: 30px "Liberation Serif" }</style><p>mono</p>`,
	`<p style="font:30px 'Liberation Serif'">serif</p>`,
	`<style>@counter-style thumbs { system: cyclic; symbols: "👍"; suffix: " " } ol { list-style: thumbs; counter-reset: list-item 4 }</style><ol><li>one<li>two</ol>`,
	`<style>ol { list-style: thumbs }</style><ol><li>one<li>two</ol>`,
	`<style>@keyframes in { to { transform: translateX(80px) } } div { width: 40px; height: 40px; background: red; animation: in 9s both }</style><div>`,
	`<style>div { width: 40px; height: 40px; background: red; animation: in infinite 3s }</style><div>`,
	`<style>@layer a, b; @layer b { p { color: red } } @layer a { p { color: green } }</style><p>layers</p>`,
	`<style>@layer b, a; @layer a { p { color: green } } @layer b { p { color: red } }</style><p>layers</p>`,
	`<style>@page { size: 50px; margin: 90px } @view-transition { navigation: auto } html { view-transition-name: x }</style><p>page`,
	`<div style="height:3000px;background:linear-gradient(red,blue)">long</div><a id="end" href="#end" autofocus>end</a>`,
	`<style>html { scroll-snap-type: y mandatory } div { height: 300px } .s { scroll-snap-align: start }</style><div></div><div class="s">x</div><div></div>`,
	`<div style="height:3000px;background:linear-gradient(red,blue)">tall</div>`,
	`<style>@keyframes go { to { opacity: 0 } } p { animation: go linear; animation-timeline: scroll() }</style><p>x</p>`,
	`<style>::before { content: "before "; color: red } ::selection { background: lime }</style><p>text`,
	`<div style="mix-blend-mode:multiply;backdrop-filter:blur(2px);position:fixed;inset:10px;background:#0f08;will-change:transform">layer</div>`,
	`<svg width="100" height="60"><filter id="f"><feGaussianBlur stdDeviation="3"/></filter><rect width="60" height="40" filter="url(#f)"/></svg>`,
	`<rect id="f"><svg width="100" height="60"><rect width="60" height="40" filter="url(#f)"/></svg>`,
	`<svg width=100 height=60><rect width=20 height=20><animate attributeName=width to=90 dur=1s fill=freeze begin=0s /></rect></svg>`,
	`<title>x</title><img alt="none"><button>button</button><meter value=".5"></meter><progress value=".3"></progress><input autofocus value=x><select><option>1</select>`,
	`<input value=y><input type=checkbox checked><input type=color><input type=range><textarea autofocus>z</textarea>`,
	`<img name="open" src="data:image/png;base64,iVBORw0KGgo="><img name="close" alt=x><img name=URL><p id=location>`,
	`<base href="https://elsewhere.invalid/" target=_blank><a href="x">x</a>`,
	`<p id=out></p><script>name = "secret"; document.title = "t"; scrollTo(0, 50); document.body.focus(); Object.prototype.leaked = 1; Node.prototype.appendChild = null; setInterval(() => document.body.append("late"), 60000)</script>`,
	`<p id=out></p><script>out.textContent = [name, document.title, scrollY, window.leaked, [1].map(String), document.referrer, length, screen.width, innerWidth, devicePixelRatio, matchMedia("(prefers-color-scheme: dark)").matches, document.hasFocus(), document.compatMode, top === self, frameElement, performance.getEntriesByType("navigation")[0].type, document.fonts.size, document.URL, document.baseURI, document.visibilityState, Math.random()].join()</script>`,
	`<button id=b autofocus style="outline:3px solid red">b</button><script>document.fonts.add(new FontFace("X", "local('Liberation Mono')")); CSS.registerProperty({name: "--q", syntax: "<color>", inherits: false, initialValue: "red"}); customElements.define("x-a", class extends HTMLElement { connectedCallback() { this.textContent = "custom" } })</script>`,
	`<style>p{color:var(--q);font:20px X}</style><p>q</p><x-a>plain</x-a><script>document.adoptedStyleSheets.push(new CSSStyleSheet())</script>`,
	`<script>document.open(); document.write("<p>written"); document.close()</script>`,
	`<p>rolled<script>const c = document.createElement("canvas").getContext("2d"); c.font = "30px serif"; document.body.append(c.measureText("abc").width)</script>`,
	`just text & <b>an open element`,
	``,
}

var (
	fuzzTags = strings.Fields(`a abbr address article aside b bdi bdo big blockquote br button canvas center cite code col data datalist dd del details dfn dialog
		dir div dl dt em fieldset figure font footer h1 h2 h6 header hgroup hr i img input ins kbd label legend li main map area mark marquee menu meter nav
		nobr noscript ol optgroup option output p picture pre progress q rp rt ruby s samp search section select slot small source span strike strong sub
		summary sup table tbody td template textarea tfoot th thead time tr tt u ul var wbr xmp x-custom math mi mn mfrac mrow msqrt body html`)
	fuzzSVG = strings.Fields(`a animate animateMotion animateTransform circle clipPath defs desc ellipse feBlend feColorMatrix feFlood feGaussianBlur feOffset
		feTurbulence filter foreignObject g image line linearGradient marker mask metadata mpath path pattern polygon polyline radialGradient rect set stop
		style switch symbol text textPath title tspan use view`)
	fuzzAttributes = strings.Fields(`id=x id=y id=z class=x class=y name=x name=open name=body name=forms title=a title=b lang=tr lang=ja lang=en dir=rtl dir=auto hidden inert
		tabindex=0 autofocus contenteditable draggable=true spellcheck=true translate=no accesskey=x popover open checked disabled readonly required multiple
		selected value=3 value=0.5 min=0 max=9 type=checkbox type=range type=date type=color type=button type=password placeholder=p size=3 width=30 height=20 width=50%
		border=3 cellpadding=5 cellspacing=0 align=center align=right valign=top bgcolor=pink color=green face=monospace text=red link=lime vlink=aqua
		alink=red background=x.invalid leftmargin=9 topmargin=9 marginwidth=30 marginheight=30 noshade nowrap compact start=5 reversed rowspan=2 colspan=2 scope=row
		frame=box rules=all summary=s href=#x href=#y usemap=#x form=x for=x list=x media=print media=screen style=color:red
		style=background:linear-gradient(red,blue) style=position:fixed;inset:9px style=display:grid style=columns:2 style=float:right style=zoom:1.5 style=writing-mode:vertical-rl
		style=color-scheme:dark style=font:20px/1monospace style=counter-increment:x style=scroll-behavior:smooth;overflow:auto;height:20px
		style=anchor-name:--x style=container-type:size;height:30px style=transform:rotate(9deg) style=filter:invert(1) style=mix-blend-mode:difference
		style=view-transition-name:x style=animation:x1s style=mask:url(#x) style=accent-color:red;caret-color:lime
		viewBox=0,0,50,50 preserveAspectRatio=none fill=red fill=url(#x) stroke=blue stroke-width=4 r=20 cx=20 cy=20 x=5 y=15 x2=40 y2=30
		d=M0,0L40,30Z points=0,0,30,9,9,30 offset=.5 stop-color=lime filter=url(#x) mask=url(#y) clip-path=url(#x) transform=rotate(20) opacity=.5 stdDeviation=3
		attributeName=width attributeName=fill from=1 to=40 to=lime dur=1s dur=9s begin=0s repeatCount=indefinite xlink:href=#x zoomAndPan=disable systemLanguage=tr`)
	fuzzRules = []string{
		`*{outline:1px solid}`, `:root{font-size:30px;background:khaki}`, `body{margin:30px;zoom:1.2}`, `html{overflow:scroll;scrollbar-gutter:stable}`, `@charset "x";`,
		`@namespace svg url(x);svg|*{fill:red}`, `@media (min-width:100px){p{color:red}}`, `@media print{*{display:none}}`, `@media (prefers-color-scheme:dark){*{color:lime}}`,
		`@supports (display:grid){div{display:grid}}`, `@layer b,a;@layer a{*{color:red}}@layer b{*{color:blue}}`, `@property --x{syntax:"<length>";inherits:true;initial-value:20px}`,
		`*{font-size:var(--x,12px)}`, `@font-face{font-family:monospace;src:local("Liberation Serif")}`, `@font-face{font-family:X;src:local("Liberation Mono")}*{font-family:X}`,
		`@font-palette-values --x{font-family:X}`, `@font-feature-values X{@styleset{y:1}}`, `@counter-style x{system:cyclic;symbols:"*" "+";suffix:" "}ol,ul{list-style:x}`,
		`body{counter-reset:x 7}*::before{counter-increment:x;content:counter(x)}`, `@keyframes x{from{opacity:.2}to{opacity:1;color:red}}`, `*{animation:x 3s infinite}`,
		`*{transition:all 9s}`, `@page{size:A6;margin:3cm}`, `@container (width>10px){*{color:teal}}`, `@scope (div){*{color:peru}}`, `@starting-style{*{opacity:0}}`,
		`@view-transition{navigation:auto}`, `@position-try --x{left:0}`, `:target{background:lime}`, `:focus{background:lime}`, `:visited{color:red}`, `:link{color:lime}`,
		`:defined{color:teal}`, `::selection{color:red}`, `::marker{color:red}`, `:root{color-scheme:dark}`, `:root{direction:rtl;writing-mode:vertical-lr}`, `html{height:100%;scroll-snap-type:y mandatory}`,
		`*{scroll-snap-align:end}`, `svg *{stroke:red}`, `@import url(data:text/css,*%7Bcolor:red%7D);`,
	}
	fuzzScripts = []string{
		`name="n"`, `document.title="t"`, `scrollTo(9,99)`, `Object.prototype.x=1`, `document.documentElement.style.background="pink"`, `document.designMode="on"`,
		`document.body?.focus()`, `document.querySelector("input,button,a")?.focus()`, `getSelection().selectAllChildren(document.body)`, `document.dir="rtl"`,
		`CSS.registerProperty?.({name:"--x",syntax:"*",inherits:false})`, `document.fonts.add(new FontFace("X","local('Liberation Mono')"))`, `requestAnimationFrame(()=>document.body.append(1))`,
		`setInterval(()=>document.body.append(2),60000)`, `document.querySelector("dialog")?.showModal()`, `document.querySelector("[popover]")?.showPopover()`, `onscroll=()=>document.body.append(3)`,
		`document.body.append(name,document.title,scrollY,window.x,innerWidth,document.hasFocus(),Math.random())`, `customElements.define("x-custom",class extends HTMLElement{})`,
		`document.body.animate([{opacity:0},{opacity:1}],1e4)`, `document.adoptedStyleSheets=[new CSSStyleSheet()]`,
		`document.body.append(document.styleSheets.length,document.compatMode,document.fonts.size,performance.getEntriesByType("navigation")[0].type)`,
	}
	fuzzDoctypes = []string{
		``, ``, `<!doctype html>`, `<!doctype html>`, `<!doctypehtml>`, "\ufeff<!doctype html>", `<!-- x --><!doctype html>`, `<!DOCTYPE svg>`,
		`<!DOCTYPE html PUBLIC "-//W3C//DTD HTML 4.01 Transitional//EN" "http://www.w3.org/TR/html4/loose.dtd">`, `<!DOCTYPE html PUBLIC "-//W3C//DTD HTML 3.2//EN">`,
		`<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">`,
	}
	fuzzHeads = []string{`<title>t</title>`, `<base target=x>`, `<meta charset=utf-8>`, `<meta name=viewport content="width=90">`, `<meta name=theme-color content=red>`, `<meta name=color-scheme content="light dark">`, `<meta name=referrer content=no-referrer>`}
)

// fuzzPage returns a random page.
func fuzzPage(r *rand.Rand) string {
	var page strings.Builder
	pick := func(from []string) string { return from[r.IntN(len(from))] }
	page.WriteString(pick(fuzzDoctypes))
	for range r.IntN(3) {
		page.WriteString(pick(fuzzHeads))
	}
	style := func() {
		fmt.Fprintf(&page, "<style %s>", []string{"", "", "title=a", "title=b", "media=screen"}[r.IntN(5)])
		for range 1 + r.IntN(4) {
			page.WriteString(pick(fuzzRules))
		}
		page.WriteString("</style>")
	}
	var element func(tags []string, depth int)
	element = func(tags []string, depth int) {
		tag := pick(tags)
		fmt.Fprintf(&page, "<%s", tag)
		for range r.IntN(4) {
			fmt.Fprintf(&page, " %s", pick(fuzzAttributes))
		}
		page.WriteString(">")
		if r.IntN(2) == 0 {
			page.WriteString("text ")
		}
		for range r.IntN(3) {
			if depth < 4 {
				element(tags, depth+1)
			}
		}
		if r.IntN(4) > 0 {
			fmt.Fprintf(&page, "</%s>", tag)
		}
	}
	for range 1 + r.IntN(5) {
		switch r.IntN(6) {
		case 0:
			style()
		case 1:
			page.WriteString("<svg width=150 height=60>")
			if r.IntN(4) == 0 {
				style()
			}
			element(fuzzSVG, 0)
			page.WriteString("</svg>")
		case 2:
			fmt.Fprintf(&page, "<script>%s</script>", pick(fuzzScripts))
		default:
			element(fuzzTags, 0)
		}
	}
	return page.String()
}

// fuzzTasks returns the golden pages, leakyPages and random pages: those that may share a tab.
func fuzzTasks(r *rand.Rand, random int) (tasks []render.Task) {
	add := func(html string, modifications map[string]any, transparent bool) {
		if template.Examine(html, modifications).Alone {
			return
		}
		picture := task("png", html)
		picture.Pages[0].Width, picture.Pages[0].Height = 200+10*(len(tasks)%3), 100
		picture.Modifications, picture.Transparent = modifications, transparent
		tasks = append(tasks, picture)
	}
	for _, g := range goldens {
		add(g.html, g.modifications, g.transparent)
	}
	for i, html := range leakyPages {
		add(html, map[string]any{}, i%8 == 7)
	}
	for len(tasks) < len(leakyPages)+random {
		add(fuzzPage(r), map[string]any{}, false)
	}
	return tasks
}

// paintIn paints a page in a tab, in which other pages may have been.
func paintIn(ctx context.Context, t *tab, picture render.Task, policy policy) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	r, err := t.load(ctx, picture, picture.Pages[0], policy)
	if err != nil {
		return "", err
	}
	data, err := t.capture(ctx, picture, picture.Pages[0])
	if err != nil {
		return "", err
	}
	reported, err := json.Marshal(r)
	return string(reported) + "\n" + string(data), err
}

// paintAlone paints a page in a browser context of its own, without a policy. Like the renderer, it leaves a context that is stuck.
func paintAlone(t *testing.T, c *chromium, picture render.Task) string {
	t.Helper()
	for range 3 {
		alone, err := c.openTab(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		alone.patience = framePatience
		painted, err := paintIn(t.Context(), alone, picture, alonePolicy)
		alone.Close()
		if err == nil {
			return painted
		}
		if !errors.Is(err, errStuck) {
			t.Fatalf("%s: %v", picture.Pages[0].HTML, err)
		}
		t.Logf("stuck: %s", picture.Pages[0].HTML)
	}
	t.Fatalf("stuck in three contexts: %s", picture.Pages[0].HTML)
	return ""
}

// clocks matches what moves with the clock: a marquee, and a progress bar without a value.
var clocks = regexp.MustCompile(`(?i)<marquee|<progress(>| [^v])`)

// steady reports whether a page looks the same each time that it is alone. A page that does not, such as one with a marquee or a
// transition that follows the clock, says nothing about the page before it.
func steady(t *testing.T, c *chromium, picture render.Task, before string) bool {
	t.Helper()
	if clocks.MatchString(picture.Pages[0].HTML) {
		return false // it may look the same for a while
	}
	for range 5 {
		if paintAlone(t, c, picture) != before {
			t.Logf("the page looks different each time: %s", picture.Pages[0].HTML)
			return false
		}
	}
	return true
}

// TestAPageLooksAsIfItWereAlone paints random pairs of pages, the second one after the first one in a tab that stays. Its picture and its
// report must be the same, byte for byte, as those of the page in a browser context of its own.
func TestAPageLooksAsIfItWereAlone(t *testing.T) {
	source := *seed
	if source == 0 {
		source = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", source)
	r := rand.New(rand.NewPCG(source, 0))
	b := start(t)
	c, err := b.supervisor.start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tasks := fuzzTasks(r, max(20, min(300, *pairs/20)))
	want := make([]string, len(tasks))
	var shared *tab
	defer func() {
		if shared != nil {
			shared.Close()
		}
	}()
	before, differing, left, stuck := "", 0, 0, 0
	for range *pairs {
		i := r.IntN(len(tasks))
		picture := tasks[i]
		if want[i] == "" {
			want[i] = paintAlone(t, c, picture)
		}
		if shared == nil {
			if shared, err = c.openTab(t.Context()); err != nil {
				t.Fatal(err)
			}
			shared.patience = framePatience
		}
		html := picture.Pages[0].HTML
		got, err := paintIn(t.Context(), shared, picture, ownPolicy)
		if errors.Is(err, errStuck) {
			stuck++ // the renderer leaves the tab, too
			t.Logf("stuck: %s\nafter %s", html, before)
			shared.Close()
			shared = nil
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v\nafter %s", html, err, before)
		}
		if shared.blocked.Load() {
			left++ // the renderer paints it again, alone
		} else if got != want[i] && steady(t, c, picture, want[i]) {
			differing++
			t.Errorf("the page looks different: %s\nafter %s", html, before)
		}
		before = html
		if err := shared.stop(t.Context(), true); err != nil || shared.blocked.Load() || !shared.clean(t.Context()) {
			shared.Close()
			shared = nil
		}
	}
	t.Logf("%d pairs of %d pages, %d differ, %d were blocked, %d were stuck", *pairs, len(tasks), differing, left, stuck)
	if left > *pairs/4 || stuck > *pairs/50 {
		t.Errorf("of %d pages, %d were blocked and %d were stuck", *pairs, left, stuck)
	}
}

// TestPagesInOneDocumentLookDifferent shows that TestAPageLooksAsIfItWereAlone finds a lack of isolation: in one document, its pages
// change each other.
func TestPagesInOneDocumentLookDifferent(t *testing.T) {
	b := start(t)
	c, err := b.supervisor.start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	shared, err := c.openTab(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	tree, err := devtools.Call(t.Context(), shared.session, page.GetFrameTree, cdp.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	write := func(html string) string {
		picture := task("png", html)
		picture.Pages[0].Width = 220
		err := shared.pump(t.Context(), pumpInterval, 0, func(ctx context.Context) error {
			if err := shared.prepare(ctx, picture, picture.Pages[0]); err != nil {
				return err
			}
			_, err := devtools.Call(ctx, shared.session, page.SetDocumentContent, page.SetDocumentContentParams{FrameID: tree.FrameTree.Frame.ID, HTML: html})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		data, err := shared.capture(t.Context(), picture, picture.Pages[0])
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	for _, pair := range [][2]string{{leakyPages[0], leakyPages[1]}, {leakyPages[2], leakyPages[3]}} {
		alone := task("png", pair[1])
		alone.Pages[0].Width = 220
		_, want, _ := strings.Cut(paintAlone(t, c, alone), "\n")
		write(pair[0])
		if write(pair[1]) == want {
			t.Errorf("%s looks the same after %s", pair[1], pair[0])
		}
	}
}
