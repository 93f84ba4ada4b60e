// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestEveryStyleIsDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "templates", "styles.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(styles, "const styles = {")
	table, _, _ = strings.Cut(table, "\n  };")
	names := regexp.MustCompile(`(?m)^    (\w+)[:,]`).FindAllStringSubmatch(table, -1)
	if len(names) < 30 {
		t.Fatalf("found only %d styles", len(names))
	}
	for _, name := range names {
		if !strings.Contains(string(page), "`"+name[1]+"`") {
			t.Errorf("docs/templates/styles.md lacks %s", name[1])
		}
	}
}
