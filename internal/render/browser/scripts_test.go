// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bytes"
	"slices"
	"testing"
)

// The script that all pages have stays in a tab, where the browser has compiled it. Only the one with the page's values changes.
func TestTheScriptOfAllPagesStays(t *testing.T) {
	b := start(t)
	show := func(text string) (picture []byte, scripts []addedScript) {
		t.Helper()
		document := task("png", `<body data-param="text">`)
		document.Modifications = map[string]any{"text": text}
		outputs, _ := run(t, b, document)
		c := b.supervisor.running()
		c.tabs.mu.Lock()
		defer c.tabs.mu.Unlock()
		for _, tab := range c.tabs.idle {
			if !tab.Fresh() {
				return outputs[0].Data, slices.Clone(tab.scripts)
			}
		}
		t.Fatal("no tab has stayed")
		return nil, nil
	}
	one, first := show("one")
	other, second := show("other")
	again, third := show("one")
	if len(first) != 2 || len(second) != 2 || first[0] != second[0] || first[1] == second[1] || third[0] != first[0] {
		t.Errorf("the scripts had the ids %q, %q, then %q, %q", first[0].id, first[1].id, second[0].id, second[1].id)
	}
	if bytes.Equal(one, other) || !bytes.Equal(one, again) {
		t.Error("a page does not show its own value")
	}
}
