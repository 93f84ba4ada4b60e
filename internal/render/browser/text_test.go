// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"fmt"
	"image/color"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/platen-dev/platen/internal/render"
)

// A word that is too long for its line is broken where its language allows it, already while the page's own scripts measure it.
func TestWordsAreHyphenated(t *testing.T) {
	b := start(t)
	words := map[string]string{
		"en": "telecommunications", "en-GB": "extraordinary", "de": "Donaudampfschifffahrtsgesellschaft", "de-AT": "Fahrzeugbeleuchtungsanlage", "fr": "développement",
		"es": "electroencefalografista", "it": "precipitevolissimevolmente", "pt": "inconstitucionalissimamente", "nl": "verantwoordelijkheidsgevoel",
		"sv": "realisationsvinstbeskattning", "da": "menneskerettigheder", "nb": "menneskerettighetsorganisasjon", "pl": "najnieprawdopodobniejszy",
		"cs": "nejnevyzpytatelnější", "ru": "достопримечательность", "uk": "найнеймовірніший", "el": "αντιπροσωπευτικότητα", "tr": "",
	}
	var html strings.Builder
	html.WriteString(`<!doctype html><body style="margin:0;background:#f00"><style>p{width:90px;margin:0;hyphens:auto;font:14px "Liberation Sans"}</style>`)
	for lang, word := range words {
		fmt.Fprintf(&html, `<p lang=%q>%s</p>`, lang, word)
	}
	html.WriteString(`<script>addEventListener('load', () => {
		const wide = [...document.querySelectorAll('p')].filter((p) => p.scrollWidth > p.clientWidth);
		if (wide.length > 0) console.error(wide.map((p) => p.lang).join());
		else document.body.style.background = '#080';
	})</script>`)
	picture := task("png", html.String())
	picture.Pages[0].Height = 1000
	outputs, warnings := run(t, b, picture)
	if img, _ := decode(t, outputs[0].Data); !near(img, 195, 995, color.RGBA{0, 0x88, 0, 255}) || len(warnings) != 0 {
		t.Errorf("warnings %v", warnings)
	}
	document := task("pdf", `<p lang="de" style="width:150px;hyphens:auto;font:16px 'Liberation Sans'">Fahrzeugbeleuchtungsanlagen`)
	outputs, _ = run(t, b, document)
	if text := pdfText(t, t.TempDir(), outputs[0].Data); !strings.Contains(text, "Fahrzeugbeleuch\u2010\n") {
		t.Errorf("the document has %q", text)
	}
}

func TestWhatAReaderWouldMissIsSaid(t *testing.T) {
	b := start(t)
	const long = "Characterization"
	for name, c := range map[string]struct {
		format, html string
		want         []string
	}{
		"plain":                            {"png", `<p>Größe “5” – 3 € … ÅÉÑ</p>`, nil},
		"emoji":                            {"png", `<p>👩‍🚀 🏳️‍🌈 🇩🇪 👍🏽 ❤️ 1️⃣ ☀️</p>`, nil},
		"invisible letters":                {"png", "<p>a\u200d\u200c\u2060\ufeff\u00ad\u202eb\u2028c\ufe0f</p>", nil},
		"combining marks":                  {"png", "<p>e\u0301 q\u0307\u0323 ộ</p>", nil},
		"Chinese":                          {"png", `<p>夏季大促销 全场五折</p>`, nil},
		"unassigned":                       {"png", "<p>a\u0378b</p>", []string{"No font has these characters (Symbols): \u0378"}},
		"an icon":                          {"png", "<p style='font-family:monospace'>\ue8b6</p>", []string{"No font has these characters (Private use): \ue8b6"}},
		"another script":                   {"png", "<p>\U00016FE4</p>", []string{"No font has these characters (Symbols): \U00016FE4"}},
		"in a film":                        {"mp4", "<p>\u0378</p>", []string{"No font has these characters (Symbols): \u0378"}},
		"before an element":                {"png", `<style>p::before{content:"\378 " attr(id)}</style><p>x</p>`, []string{"No font has these characters (Symbols): \u0378"}},
		"in a marker":                      {"png", `<style>li::marker{content:"\378 "}</style><ul><li>x</ul>`, []string{"No font has these characters (Symbols): \u0378"}},
		"in a field":                       {"png", "<input value=\"\u0378\">", []string{"No font has these characters (Symbols): \u0378"}},
		"in an empty field":                {"png", "<input placeholder=\"\u0378\">", []string{"No font has these characters (Symbols): \u0378"}},
		"in a frame":                       {"png", "<iframe srcdoc='<p>\u0378</p>'></iframe>", []string{"No font has these characters (Symbols): \u0378"}},
		"in a shadow root":                 {"png", "<x-a><template shadowrootmode=open><p>\u0378</p></template></x-a>", []string{"No font has these characters (Symbols): \u0378"}},
		"in a box that scrolls":            {"png", `<div style="height:40px;overflow:auto">` + strings.Repeat("<p>line</p>", 9) + `</div>`, []string{"Text is out of sight in a box that scrolls: line"}},
		"in one that need not":             {"png", `<div style="height:90px;overflow:auto"><p>line</p></div>`, nil},
		"below a frame":                    {"png", `<iframe style="height:40px" srcdoc="<p>first</p><p>second</p>"></iframe>`, []string{"Text is out of sight in a frame: second"}},
		"within a frame":                   {"png", `<iframe style="height:80px;border:0" srcdoc="<p style='margin:0'>first</p><div style='height:10px;overflow:hidden'><p>cut</p><p>on purpose</p></div>"></iframe>`, nil},
		"hidden":                           {"png", "<p style='display:none'>\u0378</p>", nil},
		"a long word":                      {"png", `<p style="width:50px">` + long + `</p>`, []string{"Text runs out of its box: " + long}},
		"in an element":                    {"png", `<p style="width:50px"><b>` + long + `</b></p>`, []string{"Text runs out of its box: " + long}},
		"no dictionary":                    {"png", `<p lang="ga" style="width:50px;hyphens:auto">` + long + `</p>`, []string{"Text runs out of its box: " + long}},
		"hidden by its box":                {"png", `<p style="width:50px;overflow:hidden">` + long + `</p>`, nil},
		"in one line on purpose":           {"png", `<p style="width:50px;white-space:nowrap">` + long + `</p>`, nil},
		"broken anywhere":                  {"png", `<p style="width:50px;overflow-wrap:anywhere">` + long + `</p>`, nil},
		"in a film's box":                  {"mp4", `<p style="width:50px">` + long + `</p>`, nil},
		"beyond the page":                  {"png", `<p style="white-space:nowrap;font-size:40px">A headline without end</p>`, []string{"Text is cut at the edge of the page: A headline without end"}},
		"before the page":                  {"png", `<p style="position:absolute;left:-30px">A headline that begins early</p>`, []string{"Text is cut at the edge of the page: A headline that begins early"}},
		"above the page":                   {"png", `<p style="margin-top:-9px">x</p>`, []string{"Text is cut at the edge of the page: x"}},
		"hidden before the page":           {"png", `<p style="position:absolute;left:-999px">for screen readers</p>`, nil},
		"a carousel":                       {"png", `<div style="overflow:hidden;width:100px"><p style="margin-left:-30px">A headline</p></div>`, nil},
		"in a field's box":                 {"png", `<input style="width:50px" value="A value without end">`, []string{"Text is out of sight in a field: A value without end"}},
		"in a form's text":                 {"pdf", `<textarea style="height:20px">` + strings.Repeat("line\n", 9) + `</textarea>`, []string{"Text is out of sight in a field: " + strings.TrimSpace(strings.Repeat("line ", 9))}},
		"in a cell":                        {"png", `<table style="table-layout:fixed;width:50px"><tr><td>` + long + `</table>`, []string{"Text runs out of its box: " + long}},
		"in a flex box":                    {"png", `<div style="display:flex;width:80px"><b>` + long + `</b></div>`, []string{"Text runs out of its box: " + long}},
		"in the middle of a flex box":      {"png", `<div style="display:flex;width:80px;justify-content:center"><div><p>` + long + `</p></div></div>`, []string{"Text runs out of its box: " + long}},
		"in a row of a flex box":           {"png", `<div style="display:flex;width:80px;gap:9px"><b>Total</b><b>1234567</b></div>`, []string{"Text runs out of its box: 1234567"}},
		"in a grid":                        {"png", `<div style="display:grid;width:80px"><p>` + long + `</p></div>`, []string{"Text runs out of its box: " + long}},
		"in a flex box that wraps":         {"png", `<div style="display:flex;flex-wrap:wrap;width:80px;gap:9px"><b>Total</b><b>1234567</b></div>`, nil},
		"in a wide flex box":               {"png", `<div style="display:flex;width:180px;gap:9px"><b>Total</b><b>1234567</b></div>`, nil},
		"hidden by a flex box":             {"png", `<div style="display:flex;width:80px;overflow:hidden"><b>` + long + `</b></div>`, nil},
		"hidden by an item":                {"png", `<div style="display:flex;width:80px"><b style="overflow:hidden;width:80px;flex:none">` + long + `</b></div>`, nil},
		"in a line of a flex box":          {"png", `<div style="display:flex;width:80px;white-space:nowrap"><b>one</b><b>two three four</b></div>`, nil},
		"moved out of a flex box":          {"png", `<div style="display:flex;width:40px"><b style="position:relative;left:60px">aside</b></div>`, nil},
		"beside a flex box":                {"png", `<div style="display:flex;width:40px;position:relative"><b style="position:absolute;left:60px">aside</b></div>`, nil},
		"pulled out of a flex box":         {"png", `<div style="display:flex;width:40px"><b style="margin-right:-60px">pulled out</b></div>`, nil},
		"in a vertical line":               {"png", `<p style="writing-mode:vertical-rl;height:40px">` + long + `</p>`, []string{"Text runs out of its box: " + long}},
		"vertical kana":                    {"png", `<p style="writing-mode:vertical-rl;font-size:12px;margin:0">です。</p>`, []string{"Kana and punctuation stand in wrong places of vertical lines: です。"}},
		"vertical Han":                     {"png", `<p style="writing-mode:vertical-rl;font-size:12px;margin:0">人生</p>`, nil},
		"in a drawing":                     {"png", `<svg width=50 height=50><text y=20>` + long + `</text></svg>`, []string{"Text is cut at the edge of a drawing: " + long}},
		"below the page":                   {"png", `<p style="margin:90px 0">x</p>`, []string{"Text is cut at the edge of the page: x"}},
		"a decoration":                     {"png", `<p aria-hidden="true" style="white-space:nowrap;font-size:40px">A headline without end</p>`, nil},
		"in a list's string":               {"png", `<style>ul{list-style-type:"\378 "}</style><ul><li>x</ul>`, []string{"No font has these characters (Symbols): \u0378"}},
		"in a counter style":               {"png", `<style>@counter-style x{system:cyclic;symbols:"\378"}ul{list-style:x}</style><ul><li>x</ul>`, []string{"No font has these characters (Symbols): \u0378"}},
		"in a shown counter":               {"png", `<style>@counter-style x{system:cyclic;symbols:"\378"}p::before{counter-increment:c;content:counter(c,x)}</style><p>x`, []string{"No font has these characters (Symbols): \u0378"}},
		"as a quotation mark":              {"png", `<style>q{quotes:"\378" "b"}</style><q>x</q>`, []string{"No font has these characters (Symbols): \u0378"}},
		"as an emphasis mark":              {"png", `<style>p{margin:20px;text-emphasis:"\378"}</style><p>x`, []string{"No font has these characters (Symbols): \u0378"}},
		"before, in a frame":               {"png", `<iframe srcdoc="<style>p::before{content:'\378'}</style><p>x"></iframe>`, []string{"No font has these characters (Symbols): \u0378"}},
		"in a canvas":                      {"png", `<canvas id=c></canvas><script>c.getContext("2d").fillText("a\u0378", 9, 20)</script>`, []string{"No font has these characters (Symbols): \u0378"}},
		"in a canvas that is not shown":    {"png", `<script>document.createElement("canvas").getContext("2d").fillText("a\u0378", 9, 20)</script>`, nil},
		"in an SVG picture":                {"png", "<img src=\"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' width='50' height='20'><text y='15'>\u0378</text></svg>\">", []string{"No font has these characters (Symbols): \u0378"}},
		"emoji that no font joins":         {"png", `<p>👨🏽‍🐰‍👨🏿 🇽🇽 🐦‍🔥</p>`, []string{"No font has these emoji as one: 👨🏽‍🐰‍👨🏿 🇽🇽"}},
		"a font before an element":         {"png", `<style>p::before{content:"x";font-family:Nowhere}</style><p>y`, []string{"Font Nowhere is not installed"}},
		"a font of a first letter":         {"png", `<style>p::first-letter{font-family:Nowhere}</style><p>y`, []string{"Font Nowhere is not installed"}},
		"a font of a marker":               {"png", `<style>li::marker{font-family:Nowhere}</style><ol><li>y</ol>`, []string{"Font Nowhere is not installed"}},
		"a font of a dot":                  {"png", `<style>li::marker{font-family:Nowhere}</style><ul><li>y</ul>`, nil},
		"a font of a field":                {"png", `<input value=x style="font-family:Nowhere">`, []string{"Font Nowhere is not installed"}},
		"a font of a placeholder":          {"png", `<style>::placeholder{font-family:Nowhere}</style><input placeholder=x>`, []string{"Font Nowhere is not installed"}},
		"a font in a frame":                {"png", `<iframe srcdoc="<p style='font-family:Nowhere'>x"></iframe>`, []string{"Font Nowhere is not installed"}},
		"the page's font in a frame":       {"png", `<style>@font-face{font-family:Brand;src:local("Liberation Mono")}</style><p style="font-family:Brand">x</p><iframe srcdoc="<p style='font-family:Brand'>x"></iframe>`, []string{"Font Brand is not installed"}},
		"a font of a canvas":               {"png", `<canvas id=c></canvas><script>const g = c.getContext("2d"); g.font = "20px Nowhere"; g.fillText("a", 9, 20)</script>`, []string{"Font Nowhere is not installed"}},
		"a font of an SVG picture":         {"png", "<img src=\"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' width='50' height='20'><text y='15' font-family='Nowhere'>x</text></svg>\">", []string{"Font Nowhere is not there for an SVG picture"}},
		"a kind of font in quotes":         {"png", `<p style="font-family:'sans-serif'">x</p>`, []string{`Font "sans-serif" is not installed`}},
		"a kind of font":                   {"png", `<p style="font-family:sans-serif">x</p>`, nil},
		"a mask of the page":               {"png", `<svg width=50 height=50><mask id=m><circle r=20 fill=white /></mask><rect width=50 height=50 mask="url(#m)"/></svg>`, nil},
		"a text that fits nowhere":         {"png", `<p data-fit="shrink" style="width:20px;height:20px;overflow:hidden">A very long text that fits nowhere</p>`, []string{`data-fit="shrink" cannot make the text fit: A very long text that fits nowhere`}},
		"a text in a smaller box":          {"png", `<div style="display:grid;place-items:center;width:60px;height:40px;overflow:hidden"><h2 data-fit="shrink" style="white-space:nowrap">A wide headline</h2></div>`, []string{`data-fit="shrink" fits text to an element that is cut: A wide headline`}},
		"a text in a lower box":            {"png", `<div style="width:60px;height:40px;overflow:hidden"><p data-fit="truncate">A text of many lines that takes much room</p></div>`, []string{`data-fit="truncate" fits text to an element that is cut: A text of many lines that takes much room`}},
		"a text in a flex box":             {"png", `<div style="display:flex;width:120px;overflow:hidden"><b data-fit="shrink" style="white-space:nowrap">A wide headline</b><i>9.90</i></div>`, []string{`data-fit="shrink" leaves the <div> around it too small: A wide headline`}},
		"a text in a wide flex box":        {"png", `<div style="display:flex;width:190px;overflow:hidden"><b data-fit="shrink">A wide headline</b><p>A text of many words that wraps in its own line</p></div>`, nil},
		"a text off its box":               {"png", `<div style="width:60px;height:20px;overflow:hidden"><h1 data-fit="shrink" style="position:absolute;margin:0;width:200px">A wide headline</h1></div>`, nil},
		"a text in a scaled box":           {"png", `<div style="width:100px;height:50px;overflow:hidden"><div style="transform:scale(.5);transform-origin:0 0"><h1 data-fit="shrink" style="margin:0;width:190px">Headline</h1></div></div>`, nil},
		"a box that is cut below its text": {"png", `<div style="width:100px;height:50px;overflow:hidden"><p data-fit="shrink" style="margin:0;width:100px;height:60px">Text</p></div>`, nil},
		"a text that may be smaller":       {"png", `<div style="display:flex;width:120px;overflow:hidden"><b data-fit="shrink" style="white-space:nowrap;min-width:0">A wide headline</b><i>9.90</i></div>`, nil},
		"a text in a grid":                 {"png", `<div style="display:grid;grid-template-columns:1fr auto;width:90px;overflow:hidden"><b data-fit="truncate" style="white-space:nowrap">A wide headline</b><i>9.90</i></div>`, []string{`data-fit="truncate" leaves the <div> around it too small: A wide headline`}},
		"a title over a footer":            {"png", `<div style="display:flex;flex-direction:column;width:150px;height:60px;overflow:hidden"><h2 data-fit="shrink" style="margin:0">A title of many words that takes much room</h2><p style="margin:0">Footer</p></div>`, []string{`data-fit="shrink" leaves the <div> around it too small: A title of many words that takes much room`}},
		"a text of a fixed width":          {"png", `<div style="display:flex;width:60px;overflow:hidden"><b data-fit="truncate" style="width:100px;flex:none">A text</b></div>`, nil},
		"a text without a box":             {"png", `<span data-fit="shrink">A text</span>`, []string{`data-fit="shrink" does nothing: A text`}},
		"a longer page":                    {"png", strings.Repeat(`<p style="margin:0;height:20px">x</p>`, 30), nil},
	} {
		t.Run(name, func(t *testing.T) {
			picture := task(c.format, `<!doctype html><style>body{margin:0;font:16px "Liberation Sans"}</style>`+c.html)
			if picture.Filmed() {
				picture.Video.FPS, picture.Video.Seconds = 10, 0.1
			}
			_, warnings := run(t, b, picture)
			var titles []string
			for _, w := range warnings {
				titles = append(titles, w.Title)
			}
			if !slices.Equal(titles, c.want) {
				t.Errorf("warnings %q, want %q", warnings, c.want)
			}
		})
	}
}

// sentences is the beginning of the Universal Declaration of Human Rights, or words from it, in the most written scripts.
var sentences = []struct{ script, lang, text string }{
	{"Latin", "en", "All human beings are born free and equal"},
	{"Han", "zh", "人人生而自由，在尊严和权利上一律平等。"},
	{"Arabic", "ar", "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق"},
	{"Devanagari", "hi", "सभी मनुष्यों को गौरव और अधिकारों के मामले में"},
	{"Bengali", "bn", "সমস্ত মানুষ স্বাধীনভাবে সমান মর্যাদা এবং অধিকার"},
	{"Cyrillic", "ru", "Все люди рождаются свободными и равными"},
	{"Kana", "ja", "すべての人間は、生まれながらにして自由であり"},
	{"Hangul", "ko", "모든 인간은 태어날 때부터 자유로우며"},
	{"Telugu", "te", "ప్రతిపత్తిస్వత్వముల విషయమున మానవులెల్లరును"},
	{"Tamil", "ta", "மனிதப் பிறிவியினர் சகலரும் சுதந்திரமாகவே"},
	{"Gujarati", "gu", "પ્રતિષ્ઠા અને અધિકારોની દૃષ્ટિએ સર્વ માનવો"},
	{"Kannada", "kn", "ಎಲ್ಲಾ ಮಾನವರೂ ಸ್ವತಂತ್ರರಾಗಿಯೇ ಹುಟ್ಟಿದ್ದಾರೆ"},
	{"Malayalam", "ml", "മനുഷ്യരെല്ലാവരും തുല്യാവകാശങ്ങളോടും അന്തസ്സോടും"},
	{"Myanmar", "my", "လူတိုင်းသည် တူညီ လွတ်လပ်သော ဂုဏ်သိက္ခာဖြင့်"},
	{"Thai", "th", "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกัน"},
	{"Oriya", "or", "ସବୁ ମନୁଷ୍ୟ ଜନ୍ମକାଳରୁ ସ୍ୱାଧୀନ"},
	{"Gurmukhi", "pa", "ਸਾਰਾ ਮਨੁੱਖੀ ਪਰਿਵਾਰ ਆਪਣੀ ਮਹਿਮਾ"},
	{"Ethiopic", "am", "የሰው ልጅ ሁሉ ሲወለድ ነጻና በክብርና በመብትም እኩልነት"},
	{"Sinhala", "si", "සියලු මනුෂ්\u200dයයෝ නිදහස්ව උපත ලබා ඇත"},
	{"Hebrew", "he", "כל בני האדם נולדו בני חורין ושווים בערכם"},
	{"Khmer", "km", "មនុស្សទាំងអស់កើតមកមានសេរីភាព"},
	{"Greek", "el", "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι"},
	{"Lao", "lo", "ມະນຸດທຸກຄົນເກີດມາມີກຽດສັກສີ"},
	{"Tibetan", "bo", "འགྲོ་བ་མིའི་རིགས་རྒྱུད་ཡོངས་ལ"},
	{"Georgian", "ka", "ყველა ადამიანი იბადება თავისუფალი"},
	{"Armenian", "hy", "Բոլոր մարդիկ ծնվում են ազատ ու հավասար"},
	{"Javanese", "jv", "ꦱꦧꦼꦤ꧀ꦲꦸꦮꦺꦴꦁꦏꦭꦲꦶꦂ"},
	{"Mongolian", "mn-Mong", "ᠬᠦᠮᠦᠨ ᠪᠦᠷ ᠲᠥᠷᠥᠵᠦ"},
	{"Thaana", "dv", "ހުރިހާ އިންސާނުން ވެސް އުފަންވަނީ"},
	{"Tifinagh", "zgh", "ⴰⵔ ⴷ ⵜⵜⵍⴰⵍⴰⵏ ⵎⵉⴷⴷⵏ"},
	{"Cherokee", "chr", "ᏂᎦᏓ ᎠᏂᏴᏫ ᏂᎨᎫᏓᎸᎾ ᎠᎴ"},
	{"Balinese", "ban", "ᬲᬫᬶᬳᬶ"},
}

// letters returns the letters of a text, without blanks, which pdftotext guesses from the glyphs' places.
func letters(text string) []rune {
	return []rune(strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsMark(r) {
			return r
		}
		return -1
	}, text))
}

// Of several words, the warning names the one that has no room.
func TestTheWordWithoutRoomIsNamed(t *testing.T) {
	b := start(t)
	for text, want := range map[string]string{
		"Autumn Incomprehensibilities everywhere":   "no line break is possible in Incomprehensibilities",
		" Incomprehensibilities ":                   "no line break is possible in it",
		"2&nbsp;000&nbsp;000&nbsp;metres from here": "no line break is possible in 2 000 000 metres",
	} {
		_, warnings := run(t, b, task("png", `<!doctype html><body style="margin:0"><p style="width:90px">`+text+`</p>`))
		if len(warnings) != 1 || !strings.HasSuffix(warnings[0].Details, want) {
			t.Errorf("%s: warnings %v, want %s", text, warnings, want)
		}
	}
}

func TestValuesOutsideOfAPictureAreNamed(t *testing.T) {
	b := start(t)
	const text, named = "Text is cut at the edge of the page: 99", `<b data-param="total">0</b>`
	for name, c := range map[string]struct {
		format, page string
		want         []string
	}{
		"below":           {"png", `<p style="margin-top:200px">Total ` + named + `</p>`, []string{text}},
		"beside":          {"png", `<p style="position:absolute;left:900px">` + named + `</p>`, []string{text}},
		"of an item":      {"png", `<div style="height:200px"></div><p data-each="items" data-param="item">0</p>`, []string{text}},
		"cut by its box":  {"png", `<div style="height:20px;overflow:hidden"><p style="margin-top:200px">` + named + `</p></div>`, nil},
		"in a film":       {"mp4", `<p style="margin-top:200px">` + named + `</p>`, nil},
		"the page's text": {"png", `<p>` + named + `</p><p style="margin-top:200px">x <b data-param="other">y</b></p>`, nil},
	} {
		picture := task(c.format, c.page)
		picture.Modifications, picture.MayBeUnused = map[string]any{"total": 99, "items": []any{99}}, []string{"total", "items"}
		if c.format == "mp4" {
			picture.Video = render.VideoOptions{FPS: 5, Seconds: 0.2}
		}
		if _, warnings := run(t, b, picture); !slices.Equal(titlesOf(warnings), c.want) {
			t.Errorf("%s: warnings %v, want %v", name, warnings, c.want)
		}
	}
}

func TestASentenceInEachScript(t *testing.T) {
	b := start(t)
	var html strings.Builder
	html.WriteString(`<!doctype html><style>body{margin:24px;font:17px/1.6 "Liberation Sans",sans-serif} p{margin:0} i{font-size:11px;color:#777;display:inline-block;width:90px}</style>`)
	for _, s := range sentences {
		fmt.Fprintf(&html, `<p><i>%s</i><bdi lang=%q>%s</bdi></p>`, s.script, s.lang, s.text)
	}
	for _, format := range []string{"png", "pdf"} {
		document := task(format, html.String())
		document.Pages[0].Width, document.Pages[0].Height = 794, 1123
		outputs, warnings := run(t, b, document)
		if len(warnings) != 0 {
			t.Errorf("%s: warnings %v", format, warnings)
		}
		if format == "png" {
			comparePicture(t, "scripts", outputs[0])
			continue
		}
		text := pdfText(t, t.TempDir(), outputs[0].Data)
		for _, s := range sentences {
			_, line, _ := strings.Cut(text, s.script+" ")
			line, _, _ = strings.Cut(line, "\n")
			got, want := letters(line), letters(s.text)
			if s.script == "Thaana" { // pdftotext has each vowel on the wrong side of its letter
				slices.Sort(got)
				slices.Sort(want)
			}
			if !slices.Equal(got, want) {
				t.Errorf("the document has %q in %s, want %q", line, s.script, s.text)
			}
		}
	}
}

// What cuts a text counts what a reader sees as one letter: a family, a flag, a letter with its marks.
func TestTextIsCutBetweenLetters(t *testing.T) {
	b := start(t)
	for name, letter := range map[string]string{"family": "👩‍👩‍👧‍👦", "flag": "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "marks": "Z\u0323\u030c\u0301", "syllable": "क्षि", "skin": "👍🏽"} {
		t.Run(name, func(t *testing.T) {
			var html strings.Builder
			html.WriteString(`<!doctype html><body style="margin:0;background:#f00"><style>p{margin:0;height:24px;font:16px/24px "Liberation Sans";overflow:hidden}</style>`)
			for width := 90; width < 110; width += 3 {
				fmt.Fprintf(&html, `<p data-fit="truncate" data-param="text" style="width:%dpx"></p>`, width)
			}
			html.WriteString(`<script>new MutationObserver(() => {
				const letter = platen.modifications.letter;
				const whole = [...document.querySelectorAll('p')].every((p) => p.textContent.endsWith('…') && p.textContent.slice(0, -1).replaceAll(letter, '') === '');
				document.body.style.background = whole ? '#080' : '#f00';
			}).observe(document.body, { childList: true, subtree: true });</script>`)
			picture := task("png", html.String())
			picture.Pages[0].Height = 200
			picture.Modifications = map[string]any{"text": strings.Repeat(letter, 40), "letter": letter}
			outputs, warnings := run(t, b, picture)
			if img, _ := decode(t, outputs[0].Data); !near(img, 190, 50, color.RGBA{0, 0x88, 0, 255}) || len(warnings) != 0 {
				t.Errorf("the text is cut within a letter; warnings %v", warnings)
			}
		})
	}
}

// Thai, Khmer, Lao and Burmese have no blanks between words: dictionaries say where a line may break.
func TestLinesBreakBetweenWordsWithoutBlanks(t *testing.T) {
	b := start(t)
	for lang, text := range map[string]string{
		"th": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ", "km": "មនុស្សទាំងអស់កើតមកមានសេរីភាពនិងភាពស្មើគ្នាក្នុងសេចក្តីថ្លៃថ្នូរ",
		"lo": "ມະນຸດທຸກຄົນເກີດມາມີກຽດສັກສີສິດທິເສລີພາບແລະຄວາມສະເໝີພາບເທົ່າທຽມກັນ", "my": "လူတိုင်းသည်တူညီလွတ်လပ်သောဂုဏ်သိက္ခာဖြင့်လည်းကောင်း",
	} {
		t.Run(lang, func(t *testing.T) {
			html := fmt.Sprintf(`<!doctype html><body style="margin:0;background:#f00"><p id="p" lang=%[1]q style="margin:0;width:110px;font:14px 'Liberation Sans'">%[2]s</p><script>
				const words = new Set([...new Intl.Segmenter(%[1]q, { granularity: 'word' }).segment(%[2]q)].map((s) => s.index));
				const range = document.createRange();
				const node = p.firstChild;
				let line = -1, lines = 0, wrong = 0;
				for (const { index, segment } of new Intl.Segmenter(%[1]q).segment(%[2]q)) {
					range.setStart(node, index);
					range.setEnd(node, index + segment.length);
					const rect = range.getBoundingClientRect();
					if (rect.bottom > line + 8) { lines++; if (!words.has(index)) wrong++; line = rect.bottom; }
				}
				if (lines > 2 && wrong === 0) document.body.style.background = '#080';
				else console.error(lines + ' lines, ' + wrong + ' wrong breaks');
			</script>`, lang, text)
			picture := task("png", html)
			picture.Pages[0].Height = 200
			outputs, warnings := run(t, b, picture)
			if img, _ := decode(t, outputs[0].Data); !near(img, 190, 50, color.RGBA{0, 0x88, 0, 255}) || len(warnings) != 0 {
				t.Errorf("warnings %v", warnings)
			}
		})
	}
}

// A font is waited for, whatever the page says about how long a reader would wait for it.
func TestPagesAreShownInTheirFonts(t *testing.T) {
	b := start(t)
	page := func(display string) string {
		face := strings.Replace(ownFace(brand(t, "LiberationMono-Regular", "400")), "{", "{ font-display: "+display+";", 1)
		return "<!doctype html><style>" + face + `</style><body style="margin:8px;font:24px '7 Brand Sans'">Hamburg`
	}
	want, _ := run(t, b, task("png", page("block")))
	for _, display := range []string{"optional", "fallback", "swap", "auto"} {
		got, warnings := run(t, b, task("png", page(display)))
		if !bytes.Equal(got[0].Data, want[0].Data) || len(warnings) != 0 {
			t.Errorf("font-display: %s: the text is shown in another font; warnings %v", display, warnings)
		}
	}
}

// Text that is small already does not grow so that it fits.
func TestSmallTextStaysSmall(t *testing.T) {
	const box = `<!doctype html><p data-fit="shrink" style="margin:0;width:20px;height:9px;overflow:hidden;font:5px 'Liberation Sans'">Many small words</p>`
	_, warnings := run(t, start(t), task("png", box))
	if len(warnings) != 1 || !strings.HasPrefix(warnings[0].Details, "at 5 pixels") {
		t.Errorf("warnings %v", warnings)
	}
}

// A line may be lower than its letters, as headlines have it. What hangs out of the last line is no text that does not fit.
func TestTextInLowLinesFits(t *testing.T) {
	b := start(t)
	for name, style := range map[string]string{
		"its own height":       `line-height:1`,
		"lower":                `line-height:.9`,
		"in pixels":            `line-height:32px`,
		"another font":         `font-family:'Noto Sans';line-height:1`,
		"at most a height":     `line-height:1;max-height:150px`,
		"clipped":              `line-height:1;overflow:hidden`,
		"an item":              `line-height:1;flex:none;align-self:start`,
		"vertical":             `line-height:1;writing-mode:vertical-rl`,
		"a style that matters": `line-height:1 !important`,
	} {
		for _, fit := range []string{"shrink", "truncate"} {
			page := func(attribute string) render.Task {
				picture := task("png", fmt.Sprintf(`<!doctype html><body style="margin:20px;display:flex;flex-direction:column;align-items:start"><h1 %s style="margin:0;font:700 34px 'Liberation Sans';%s">Änderung jetzt</h1>`, attribute, style))
				picture.Pages[0].Width, picture.Pages[0].Height = 400, 400
				return picture
			}
			want, _ := run(t, b, page(""))
			got, warnings := run(t, b, page(`data-fit="`+fit+`"`))
			if !bytes.Equal(got[0].Data, want[0].Data) || len(warnings) != 0 {
				t.Errorf("%s: data-fit=%q changes text that fits; warnings %v", name, fit, warnings)
			}
		}
	}
	// Two lines of the box's height are two lines.
	const lines = `<!doctype html><body style="margin:20px"><h1 %s style="margin:0;width:180px;height:60px;font:700 30px/30px 'Liberation Sans'">Änderung jetzt</h1>`
	want, _ := run(t, b, task("png", fmt.Sprintf(lines, "")))
	if got, _ := run(t, b, task("png", fmt.Sprintf(lines, `data-fit="truncate"`))); !bytes.Equal(got[0].Data, want[0].Data) {
		t.Error("the second line of two that fit is cut off")
	}
	// What does not fit is still made smaller, or cut.
	for _, style := range []string{`line-height:1;max-height:60px`, `line-height:1;height:60px`, `line-height:.9;max-height:60px;overflow:hidden`, `line-height:1;white-space:nowrap`} {
		for _, fit := range []string{"shrink", "truncate"} {
			picture := task("png", `<!doctype html><body style="margin:0;background:#f00"><h1 id="h" data-fit="`+fit+`" style="margin:20px;width:200px;font:700 34px 'Liberation Sans';`+style+`">Many words that take four lines or so</h1>
				<script>new MutationObserver(() => {
					const fits = h.scrollWidth <= h.clientWidth && h.scrollHeight <= h.clientHeight + 4;
					document.body.style.background = fits && (parseFloat(getComputedStyle(h).fontSize) < 34 || h.textContent.endsWith('…') && h.textContent.length > 5) ? '#080' : '#f00';
				}).observe(h, { childList: true, attributes: true })</script>`)
			picture.Pages[0].Width, picture.Pages[0].Height = 300, 200
			outputs, warnings := run(t, b, picture)
			if img, _ := decode(t, outputs[0].Data); !near(img, 5, 5, color.RGBA{0, 0x88, 0, 255}) || len(warnings) != 0 {
				t.Errorf("%s: data-fit=%q leaves text that does not fit; warnings %v", style, fit, warnings)
			}
		}
	}
}
