// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package bindings

import (
	"cmp"
	"regexp"
	"strings"
)

// makesBindings matches the code of a script that makes elements which bind values.
var makesBindings = regexp.MustCompile(`data-(?:param|if|each)\b|dataset\.(?:param|if|each)\b`)

// readsValue matches the word modifications in a script. Its groups are platen in front of it, the name of the value that is read from it, in three
// spellings, and what makes it no such name: the bracket of a call, as in platen.modifications.hasOwnProperty("accent"), or a letter's number. bind.js has
// the same.
var readsValue = regexp.MustCompile(`(\bplaten\s*\??\.\s*)?\bmodifications\b(?:\s*\??\.\s*([\pL_$][\pL\pM\pN\p{Pc}$]*)|\s*(?:\?\.\s*)?\[\s*(?:'([^'\\\n]+)'|"([^"\\\n]+)")\s*\])?(\s*(?:\?\.\s*)?\(|\\)?`)

// valuesOf returns the names of the values that a page's code reads, as in platen.modifications.accent or platen.modifications["accent"]. all tells that it
// may read all values: it uses platen.modifications in another way.
func valuesOf(code string) (names []string, all bool) {
	if !strings.Contains(code, "platen") {
		return nil, false
	}
	for _, m := range readsValue.FindAllStringSubmatch(code, -1) {
		name := cmp.Or(m[2], m[3], m[4])
		if m[1] == "" || name == "" || m[5] != "" || len(names) >= maxBindings {
			return nil, true
		}
		names = append(names, name)
	}
	return names, false
}
