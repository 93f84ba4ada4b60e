// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// kubectl puts a file that is no text in UTF-8 into binaryData, where the key is to be seen.
func TestTextIn(t *testing.T) {
	m := &corev1.ConfigMap{Data: map[string]string{"front.html": "<p>", "empty": ""}, BinaryData: map[string][]byte{"latin.html": {0xe9}}}
	for key, want := range map[string][2]string{
		"front.html": {"<p>", ""},
		"empty":      {"", ""},
		"back.html":  {"", "ConfigMap 'pages' has no key 'back.html' (it has: empty, front.html)"},
		"latin.html": {"", "key 'latin.html' of ConfigMap 'pages' is in its binaryData, as it is no text in UTF-8: save the file in UTF-8, and make the ConfigMap again"},
	} {
		if text, missing := (ConfigMapKeySelector{Name: "pages", Key: key}).TextIn(m); text != want[0] || missing != want[1] {
			t.Errorf("%s: got %q, %q", key, text, missing)
		}
	}
	for n, want := range map[int]string{0: "ConfigMap 'pages' has no key 'x'", 11: "ConfigMap 'pages' has no key 'x' (it has: a0, a1, a10, a2, a3, a4, a5, a6, a7, a8, …)"} {
		m.Data = make(map[string]string)
		for i := range n {
			m.Data[fmt.Sprintf("a%d", i)] = ""
		}
		if _, missing := (ConfigMapKeySelector{Name: "pages", Key: "x"}).TextIn(m); missing != want {
			t.Errorf("%d keys: got %q", n, missing)
		}
	}
}
