// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package task

import (
	"fmt"
	"strconv"

	"github.com/platen-dev/platen/internal/nearest"
)

// UnusedKey is the key of a modification that no page of a template uses.
type UnusedKey struct {
	Key string
	// Hint says what it may mean, or what else is wrong; empty if that is not known.
	Hint string
}

// UnusedKeys returns those of the keys that no page of a template uses. total is the number of its pages, and html returns the HTML of one, and
// whether it is known: one that is not may use every key. A render warns of the same.
func UnusedKeys(keys []string, total int, html func(page int) (string, bool)) []UnusedKey {
	names := namesOfPages(html)
	var unused []UnusedKey
	for _, key := range keys {
		number, name := splitKey(key)
		exists, used, known := false, false, []string(nil)
		for n := 1; n <= total && !used; n++ {
			if number != "" && number != strconv.Itoa(n) {
				continue
			}
			exists = true
			page := names(n)
			if used = page == nil || page.MayUse(name); !used {
				known = append(known, page.Known()...)
			}
		}
		if used {
			continue
		}
		u := UnusedKey{Key: key}
		switch near := nearest.Key(key, known, total); {
		case !exists && total == 1:
			u.Hint = "the template has 1 page"
		case !exists:
			u.Hint = fmt.Sprintf("the template has %d pages", total)
		case near != "":
			u.Hint = fmt.Sprintf("did you mean %s?", near)
		}
		unused = append(unused, u)
	}
	return unused
}
