// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"strings"
	"testing"
)

// Frames of a page that is to be printed draw nothing at first. All that waits for a frame must happen nevertheless.
func TestADocumentWaitsForWhatNeedsFrames(t *testing.T) {
	b := start(t)
	for what, script := range map[string]string{
		"animation frames":  `let n = 0; const next = () => { if (++n === 5) done(); else requestAnimationFrame(next); }; requestAnimationFrame(next);`,
		"a resize":          `new ResizeObserver(done).observe(p);`,
		"an intersection":   `new IntersectionObserver((entries) => { if (entries[0].isIntersecting) done(); }).observe(p);`,
		"a picture":         `const i = new Image(); i.src = picture; i.decode().then(done);`,
		"a picture's load":  `const i = new Image(); i.loading = "lazy"; i.onload = done; i.src = picture; p.after(i);`,
		"an animation":      `p.animate([{ opacity: 0 }, { opacity: 1 }], 50).finished.then(done);`,
		"a transition":      `p.style.transition = "opacity 50ms"; p.ontransitionend = done; requestAnimationFrame(() => { p.style.opacity = 0.5; });`,
		"a canvas":          `const c = document.createElement("canvas"); p.after(c); c.getContext("2d").fillRect(0, 0, 9, 9); c.toBlob(done);`,
		"a view transition": `document.startViewTransition(() => {}).finished.then(done);`,
		"a scroll":          `document.body.style.height = "3000px"; onscroll = done; scrollTo(0, 500);`,
		"a container query": `document.body.style.containerType = "inline-size"; const s = document.createElement("style"); s.textContent = "@container (width > 1px) { p { width: 77px } }"; document.head.append(s); requestAnimationFrame(() => { if (getComputedStyle(p).width === "77px") done(); });`,
		"an idle callback":  `requestIdleCallback(done);`,
	} {
		t.Run(what, func(t *testing.T) {
			outputs, warnings := run(t, b, task("pdf", `<body><p>wait</p><script>
				const p = document.querySelector("p"), picture = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
				platen.ready = () => new Promise((resolve) => { done = () => { p.textContent = "arrived"; resolve(); }; `+script+` });
				let done;</script>`))
			if text := pdfText(t, t.TempDir(), outputs[0].Data); !strings.Contains(text, "arrived") || len(warnings) > 0 {
				t.Errorf("got %q, warnings %v", text, warnings)
			}
		})
	}
}
