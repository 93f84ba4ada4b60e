// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"image"
	"testing"
)

// What a page asks of its reader's machine has the answers of a desktop, with a screen that the page fits on and a context that is secure: else, pages would
// take the styles for a telephone, and miss functions that they have everywhere else.
func TestAPageFindsADesktop(t *testing.T) {
	b := start(t)
	for name, condition := range map[string]string{
		"a mouse that hovers":    `matchMedia('(hover: hover) and (pointer: fine)').matches && !matchMedia('(any-hover: none)').matches`,
		"a screen":               `screen.width >= innerWidth && screen.height >= innerHeight && !matchMedia('(max-device-width: 1024px)').matches`,
		"a window":               `outerWidth >= innerWidth && outerHeight >= innerHeight`,
		"a secure context":       `isSecureContext && typeof CSS.paintWorklet === 'object'`,
		"hashes":                 `(await crypto.subtle.digest('SHA-256', new Uint8Array(3))).byteLength === 32`,
		"hashes, in a worker":    `await new Promise((done) => { new Worker(URL.createObjectURL(new Blob(['crypto.subtle.digest("SHA-256", new Uint8Array(3)).then((d) => postMessage(d.byteLength === 32))']))).onmessage = ({ data }) => done(data) })`,
		"a window around frames": `document.body.appendChild(document.createElement('iframe')).contentWindow.isSecureContext`,
	} {
		for _, format := range []string{"png", "pdf", "mp4"} {
			t.Run(name+", "+format, func(t *testing.T) {
				page := task(format, `<!doctype html><body style="margin:0;background:#f00"><script>(async () => { if (`+condition+`) document.body.style.background = '#0f0' })()</script>`)
				page.Pages[0].Width, page.Video.FPS, page.Video.Seconds = 1200, 5, 0.2
				outputs, warnings := run(t, b, page)
				var img image.Image
				switch format {
				case "pdf":
					img = picture(t, outputs[0].Data)
				case "mp4":
					img = frames(t, outputs[0].Data)[0]
				default:
					img, _ = decode(t, outputs[0].Data)
				}
				if !near(img, 100, 90, green255) {
					t.Errorf("the page does not: %v; warnings %v", img.At(100, 90), warnings)
				}
			})
		}
	}
}
