// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command layers keeps the table of packages true. The table has a row for each package of the module, in an order in which a package
// imports only packages below it; layers fills in the column of imports. It fails when a package has no row, a row has no package, or
// an import goes up.
//
//	go run ./hack/layers docs/design/packages.md
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

const module = "github.com/platen-dev/platen/"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "layers:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: layers FILE")
	}
	imports, err := readImports()
	if err != nil {
		return err
	}
	page, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	updated, err := update(string(page), imports)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return os.WriteFile(args[0], []byte(updated), 0o644)
}

// readImports returns the module's own imports of each package, without those of its tests. Paths are relative to the module.
func readImports() (map[string][]string, error) {
	var stderr bytes.Buffer
	list := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...")
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, stderr.Bytes())
	}
	imports := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		own := []string{}
		for _, path := range fields[1:] {
			if relative, ok := strings.CutPrefix(path, module); ok {
				own = append(own, relative)
			}
		}
		slices.Sort(own)
		imports[strings.TrimPrefix(fields[0], module)] = own
	}
	return imports, nil
}

// row matches a package, what it does, and what it imports.
var row = regexp.MustCompile("^\\| `([a-z0-9/-]+)` \\|(.*)\\|([^|]*)\\|$")

// update returns page with the imports filled in, or an error that names every mismatch between the table and the packages.
func update(page string, imports map[string][]string) (string, error) {
	lines := strings.Split(page, "\n")
	position := map[string]int{}
	var problems []error
	for i, line := range lines {
		match := row.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		name := match[1]
		own, ok := imports[name]
		if _, twice := position[name]; twice || !ok {
			problems = append(problems, fmt.Errorf("line %d: want one row for each package; `%s` is no package or has another row", i+1, name))
			continue
		}
		position[name] = i
		quoted := make([]string, 0, len(own))
		for _, path := range own {
			quoted = append(quoted, "`"+strings.TrimPrefix(path, "internal/")+"`")
		}
		lines[i] = strings.Join([]string{"| `" + name + "` ", match[2], strings.TrimRight(" "+strings.Join(quoted, " "), " ") + " ", ""}, "|")
	}
	for _, name := range sortedKeys(imports) {
		at, ok := position[name]
		if !ok {
			problems = append(problems, fmt.Errorf("package %s has no row: add one above what it imports", name))
			continue
		}
		for _, path := range imports[name] {
			if below, ok := position[path]; ok && below <= at {
				problems = append(problems, fmt.Errorf("%s imports %s, whose row is above its own: imports go down", name, path))
			}
		}
	}
	return strings.Join(lines, "\n"), errors.Join(problems...)
}

func sortedKeys(m map[string][]string) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
