// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package task

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestDocumentationListsThePresets(t *testing.T) {
	text, err := os.ReadFile("../../docs/spec/v1alpha1/renderjob.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for _, line := range regexp.MustCompile(`(?m)^\| (\d+x\d+) \| (.*) \|$`).FindAllStringSubmatch(string(text), -1) {
		for name := range strings.SplitSeq(line[2], ", ") {
			listed[strings.Trim(name, "`")] = line[1]
		}
	}
	for _, name := range Presets() {
		if want := fmt.Sprintf("%dx%d", presets[name].Width, presets[name].Height); listed[name] != want {
			t.Errorf("%s is listed as %q, want %s", name, listed[name], want)
		}
	}
	if len(listed) != len(presets) {
		t.Errorf("%d sizes are listed, want %d", len(listed), len(presets))
	}
}
