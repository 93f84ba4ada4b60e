// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	fenced    = regexp.MustCompile("(?ms)^```.*?^```$")
	rowName   = regexp.MustCompile("(?m)^\\| `([a-z][a-z0-9_-]*)` \\|")
	codeFlag  = regexp.MustCompile("`--([a-z][a-z0-9-]*)")
	metric    = regexp.MustCompile("`(platen_[a-z_]+)")
	cobraFlag = regexp.MustCompile(`Var[P]?\((?:&\w+\{[^}]*\}|&[\w.]+|[\w.]+), "([a-z][a-z0-9-]*)"`)
)

// otherFlags are flags of other programs that pages name.
var otherFlags = []string{
	"as", "as-group", "context", "dry-run", "help", "kubeconfig", "server", "token", // kubectl
	"enable-feature", // Prometheus
	"no-sandbox",     // Chromium
}

// TestPagesNameWhatThereIs looks for each flag and metric that a page names in its text. The flags and metrics that there are come from the pages
// that are made from the code, and those of the plugin from the code. Pages about the design name flags of Chromium, too.
func TestPagesNameWhatThereIs(t *testing.T) {
	flags, metrics := map[string]bool{}, map[string]bool{}
	for path, names := range map[string]map[string]bool{"docs/reference/flags.md": flags, "docs/reference/metrics.md": metrics} {
		for _, row := range rowName.FindAllStringSubmatch(read(t, path), -1) {
			names[row[1]] = true
		}
	}
	sources, err := filepath.Glob(filepath.Join(root, "internal/cli/*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range sources {
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range cobraFlag.FindAllStringSubmatch(string(text), -1) {
			flags[call[1]] = true
		}
	}
	for _, name := range otherFlags {
		flags[name] = true
	}
	found := 0
	for _, page := range pages {
		if strings.HasPrefix(page.Path, "docs/design/") {
			continue
		}
		text := fenced.ReplaceAllString(read(t, page.Path), "")
		for _, names := range []struct {
			what    string
			pattern *regexp.Regexp
			known   map[string]bool
		}{{"flag --", codeFlag, flags}, {"metric ", metric, metrics}} {
			for _, match := range names.pattern.FindAllStringSubmatch(text, -1) {
				found++
				if !names.known[match[1]] {
					t.Errorf("%s: there is no %s%s", page.Path, names.what, match[1])
				}
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d flags and metrics were found", found)
	}
}

// read returns a file of the repository.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
