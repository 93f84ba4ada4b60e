// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command layers updates the table of packages. The table has a row for each package of the module. People write its order: a package
// imports only packages below it. Layers fills in what a package does, from its doc comment, and what it imports. It fails when a package
// has no row, a row has no package, or an import goes up.
//
//	go run ./hack/layers docs/design/packages.md
package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
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
	packages, err := list()
	if err != nil {
		return err
	}
	page, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	updated, err := update(string(page), packages)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return os.WriteFile(args[0], []byte(updated), 0o644)
}

// pkg is what the table says about a package.
type pkg struct {
	// does is the first sentence of the doc comment without the package's name; empty for a package of tests only.
	does string
	// imports are the module's own packages, by their paths in it. Those of tests do not count.
	imports []string
}

// list returns the module's packages by their paths in it.
func list() (map[string]pkg, error) {
	var stderr bytes.Buffer
	command := exec.Command("go", "list", "-f", `{{.ImportPath}}{{"\t"}}{{.Doc}}{{"\t"}}{{join .Imports " "}}`, "./...")
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, stderr.Bytes())
	}
	packages := map[string]pkg{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		p := pkg{does: heading.ReplaceAllString(strings.TrimSuffix(fields[1], "."), "")}
		for path := range strings.FieldsSeq(fields[2]) {
			if own, ok := strings.CutPrefix(path, module); ok {
				p.imports = append(p.imports, own)
			}
		}
		slices.Sort(p.imports)
		packages[strings.TrimPrefix(fields[0], module)] = p
	}
	return packages, nil
}

// heading matches the beginning of a doc comment.
var heading = regexp.MustCompile(`^(Package|Command) \S+ `)

// row matches a package, what it does, and what it imports.
var row = regexp.MustCompile("^\\| `([a-z0-9/-]+)` \\| (.*) \\|.*\\|$")

// update returns page with its rows filled in, or an error that names every mismatch between the table and the packages.
func update(page string, packages map[string]pkg) (string, error) {
	lines := strings.Split(page, "\n")
	position := map[string]int{}
	var problems []error
	for i, line := range lines {
		match := row.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		name := match[1]
		p, ok := packages[name]
		if _, twice := position[name]; twice || !ok {
			problems = append(problems, fmt.Errorf("line %d: want one row for each package; `%s` is no package or has another row", i+1, name))
			continue
		}
		position[name] = i
		var imports strings.Builder
		for _, path := range p.imports {
			fmt.Fprintf(&imports, " `%s`", strings.TrimPrefix(path, "internal/"))
		}
		lines[i] = fmt.Sprintf("| `%s` | %s |%s |", name, cmp.Or(p.does, match[2]), imports.String())
	}
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		at, ok := position[name]
		if !ok {
			problems = append(problems, fmt.Errorf("package %s has no row: add one above what it imports", name))
			continue
		}
		for _, path := range packages[name].imports {
			if below, ok := position[path]; ok && below <= at {
				problems = append(problems, fmt.Errorf("%s imports %s, whose row is above its own: imports go down", name, path))
			}
		}
	}
	return strings.Join(lines, "\n"), errors.Join(problems...)
}
