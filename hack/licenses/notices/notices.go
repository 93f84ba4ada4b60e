// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package notices collects the licenses of the modules that a Go program is built from, and refuses those that Platen may not ship.
package notices

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// Allowed are the licenses, by their SPDX identifiers, of what Platen's programs may contain. They ask for no more than that the text is
// passed on.
var Allowed = []string{"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "Unlicense", "Zlib"}

// surely is the share of a license file, in percent, that the text of known licenses must be. The rest is names and years.
const surely = 75

// Std is the path of Go's standard library.
const Std = "std"

// Module is Go's standard library, or a module.
type Module struct {
	Path, Version string
	// Licenses are SPDX identifiers, sorted.
	Licenses []string
	// texts are the license files and notices.
	texts []string
}

// Of returns the modules that the program with an import path such as ./cmd/manager is built from in the folder repo, sorted, without Platen
// itself. env, such as GOOS=windows, is added to the environment. The error joins those of all modules without a license that is allowed.
func Of(ctx context.Context, repo, program, tags string, env ...string) ([]Module, error) {
	c := exec.CommandContext(ctx, "go", "list", "-deps", "-tags", tags, "-f", "{{.Dir}}\t{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Version}}\t{{.Dir}}{{end}}{{else}}"+Std+"\t\t{{end}}", program)
	c.Dir, c.Env = repo, append(os.Environ(), env...)
	stderr := &bytes.Buffer{}
	c.Stderr = stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("go list -deps %s: %w\n%s", program, err, stderr)
	}
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT", "GOVERSION").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	goRoot, goVersion, _ := strings.Cut(strings.TrimSpace(string(root)), "\n")

	found, files := map[string]*Module{}, map[string]bool{}
	var problem error
	for line := range strings.Lines(string(out)) {
		parts := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(parts) != 4 {
			continue // Platen's own
		}
		folder, name, version, top := parts[0], parts[1], parts[2], parts[3]
		if name == Std {
			version, folder, top = goVersion, goRoot, goRoot
		}
		m := found[name]
		if m == nil {
			m = &Module{Path: name, Version: version}
			found[name] = m
		}
		// A package that comes from elsewhere has a license of its own, beside its code.
		for {
			if !files[folder] {
				files[folder] = true
				problem = errors.Join(problem, m.read(folder))
			}
			if folder == top || !strings.HasPrefix(folder, top) {
				break
			}
			folder = filepath.Dir(folder)
		}
	}
	modules := make([]Module, 0, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		m := found[name]
		slices.Sort(m.Licenses)
		m.Licenses = slices.Compact(m.Licenses)
		problem = errors.Join(problem, m.check())
		modules = append(modules, *m)
	}
	return modules, problem
}

// named matches the files that hold licenses, and those with what a license asks to pass on. A license of documents, such as LICENSE.docs, is none of the
// program, which has no documents.
var named = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)([._-].*)?$|^notice([._-].*)?$`)

// read adds the licenses in a folder.
func (m *Module) read(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.Type().IsRegular() || !named.MatchString(entry.Name()) || slices.Contains([]string{".go", ".docs"}, filepath.Ext(entry.Name())) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			return err
		}
		m.texts = append(m.texts, strings.TrimSpace(string(text)))
		coverage := licensecheck.Scan(text)
		isNotice := strings.HasPrefix(strings.ToLower(entry.Name()), "notice")
		if coverage.Percent < surely && !isNotice {
			return fmt.Errorf("%s %s: %s is no license that is known: %.0f %% of it are known texts", m.Path, m.Version, entry.Name(), coverage.Percent)
		}
		for _, match := range coverage.Match {
			if !match.IsURL && !isNotice {
				m.Licenses = append(m.Licenses, match.ID)
			}
		}
	}
	return nil
}

// check returns an error if a module has no license, or one that is not allowed.
func (m *Module) check() error {
	if len(m.Licenses) == 0 {
		return fmt.Errorf("%s %s: no license file was found, so nobody may ship it", m.Path, m.Version)
	}
	for _, id := range m.Licenses {
		if !slices.Contains(Allowed, id) {
			return fmt.Errorf("%s %s: the license %s is not allowed, expected one of %s", m.Path, m.Version, id, strings.Join(Allowed, ", "))
		}
	}
	return nil
}

// Expression returns the module's licenses as an SPDX expression.
func (m Module) Expression() string { return strings.Join(m.Licenses, " AND ") }

// Text returns what goes with a program: its modules with their licenses, and the texts, each once.
func Text(modules []Module) []byte {
	var out bytes.Buffer
	out.WriteString("Platen contains these modules of others. Their licenses follow, each with the modules that have it.\n\n")
	users, order := map[string][]string{}, []string{}
	for _, m := range modules {
		fmt.Fprintf(&out, "%s %s: %s\n", m.Path, m.Version, m.Expression())
		for _, text := range m.texts {
			if users[text] == nil {
				order = append(order, text)
			}
			if !slices.Contains(users[text], m.Path) {
				users[text] = append(users[text], m.Path)
			}
		}
	}
	for _, text := range order {
		fmt.Fprintf(&out, "\n%s\n%s:\n\n%s\n", strings.Repeat("-", 80), strings.Join(users[text], ",\n"), text)
	}
	return out.Bytes()
}
