// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"testing"

	"github.com/platen-dev/platen/internal/render"
)

func TestPagesThatMayLookDifferentAnotherTimeAreTold(t *testing.T) {
	b := start(t)
	short := func(html string) render.Task {
		f := film("gif", html)
		f.Video.Seconds = 0.1
		return f
	}
	const write = `<p id="p">x</p><script>document.getElementById('p').textContent = `
	for name, c := range map[string]struct {
		task render.Task
		want bool
	}{
		"text":                             {task("png", `<p>x</p>`), false},
		"a script":                         {task("png", write+`'y'</script>`), false},
		"a document":                       {task("pdf", `<p>x</p>`), false},
		"the time":                         {task("png", write+`Date.now()</script>`), true},
		"a random number":                  {task("png", write+`Math.random()</script>`), true},
		"a picture":                        {task("png", `<img src="https://page.invalid/x.png">`), true},
		"a request that hides":             {task("png", `<script>new Image().src = 'ht' + 'tps:' + '/' + '/page.invalid/x.png'</script>`), true},
		"one page of two":                  {task("png", `<p>x</p>`, write+`Math.random()</script>`), true},
		"a film":                           {short(`<p>x</p>`), false},
		"a film of the time":               {short(write + `Date.now()</script>`), false},
		"a film of a random number":        {short(write + `Math.random()</script>`), true},
		"a film with a request":            {short(`<img src="https://page.invalid/x.png">`), true},
		"a film with a request that hides": {short(`<script>new Image().src = 'ht' + 'tps:' + '/' + '/page.invalid/x.png'</script>`), true},
	} {
		sink := &recordingSink{}
		if _, err := b.Render(t.Context(), c.task, sink); err != nil || sink.varies != c.want {
			t.Errorf("%s: varies %v, want %v; %v", name, sink.varies, c.want, err)
		}
	}
}
