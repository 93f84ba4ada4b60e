// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/runtime"

	"github.com/platen-dev/platen/internal/render/devtools"
)

const (
	// maxLarge bounds the large pictures that are remembered of a page, and maxAddress what is said of the address of one, in bytes.
	maxLarge, maxAddress = 8, 200
	// pixelBytes is what a pixel takes in the browser's memory.
	pixelBytes = 4
	// largeMessage is the first word of the message in which a page tells of a large picture.
	largeMessage = "platen.large"
)

// largePicture is a picture of a page, in pixels.
type largePicture struct {
	url           string
	width, height int
}

// largePictures are the large pictures of the pages that are shown, so that a page which takes too much memory can be told why.
type largePictures struct {
	mu    sync.Mutex
	shown map[*tab][]largePicture
	// kept is true once the browser was ended: what its pages had stays.
	kept bool
}

func (l *largePictures) add(t *tab, p largePicture) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shown == nil {
		l.shown = map[*tab][]largePicture{}
	}
	if len(l.shown[t]) < maxLarge {
		l.shown[t] = append(l.shown[t], p)
	}
}

// forget leaves out what a tab has shown.
func (l *largePictures) forget(t *tab) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.kept {
		delete(l.shown, t)
	}
}

// keep keeps what all tabs show.
func (l *largePictures) keep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = true
}

// text names the largest picture, and says what all take; empty if there is none.
func (l *largePictures) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var largest largePicture
	count, total := 0, 0
	for _, list := range l.shown {
		for _, p := range list {
			count++
			total += p.width * p.height
			if p.width*p.height > largest.width*largest.height {
				largest = p
			}
		}
	}
	switch count {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("a picture has %dx%d pixels, which take %d MiB: %s", largest.width, largest.height, total*pixelBytes>>20, largest.url)
	default:
		return fmt.Sprintf("%d pictures take %d MiB, the largest has %dx%d pixels: %s", count, total*pixelBytes>>20, largest.width, largest.height, largest.url)
	}
}

// noteLarge reads a message to the console, in which a page tells of a large picture. It may say anything.
func (t *tab) noteLarge(params jsonv2.Value) {
	if !bytes.Contains(params, []byte(largeMessage)) {
		return
	}
	var called runtime.EventConsoleAPICalled
	if devtools.ReadEvent(params, &called) != nil || called.Type != runtime.ConsoleAPICalledTypeDebug || len(called.Args) != 4 {
		return
	}
	var word, url string
	var width, height int
	for i, into := range []any{&word, &url, &width, &height} {
		if json.Unmarshal(called.Args[i].Value, into) != nil {
			return
		}
	}
	const most = 1 << 16
	if word == largeMessage && width > 0 && height > 0 && width < most && height < most {
		t.chromium.large.add(t, largePicture{bounded(url, maxAddress), width, height})
	}
}
