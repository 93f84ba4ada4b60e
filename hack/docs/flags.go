// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

const flagsPage = `# Flags

The Helm chart takes flags by their names without dashes, in manager.flags and shim.flags; kustomize patches args of the Deployments.
`

// help is what package flag prints of a flag: its name and type, then what it does and its default.
var help = regexp.MustCompile(`(?m)^  -(\S+)(?: (\S+))?\n?\s+\t(.*?)(?: \(default (.*)\))?$`)

// flags returns a section for each program with a table of its flags, and the names of the flags by program.
func flags() (string, map[string][]string, error) {
	var page strings.Builder
	page.WriteString(flagsPage)
	names := map[string][]string{}
	for _, program := range []string{"manager", "shim"} {
		out, err := exec.Command("go", "run", "./cmd/"+program, "-h").CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			return "", nil, err
		}
		found := help.FindAllStringSubmatch(string(out), -1)
		if len(found) == 0 {
			return "", nil, fmt.Errorf("cmd/%s -h: %s", program, out)
		}
		fmt.Fprintf(&page, "\n## platen-%s\n\n| flag | type | default | meaning |\n|---|---|---|---|\n", program)
		for _, flag := range found {
			names[program] = append(names[program], flag[1])
			name, kind, meaning, standard := flag[1], flag[2], flag[3], strings.Trim(flag[4], `"`)
			if kind == "" {
				kind = "bool"
			}
			if standard != "" {
				standard = "`" + standard + "`"
			}
			fmt.Fprintf(&page, "| `%s` | %s | %s | %s |\n", name, kind, standard, strings.ReplaceAll(meaning, "|", `\|`))
		}
	}
	return page.String(), names, nil
}

// writeSchema writes the names of each program's flags to the schema of the chart's values, so that Helm refuses others.
func writeSchema(path string, names map[string][]string) error {
	schema, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for program, flags := range names {
		definition := regexp.MustCompile(`("` + program + `Flags": .*"enum": )\[.*?\]`)
		if !definition.Match(schema) {
			return fmt.Errorf("%s: the definition %sFlags must have an enum of the flags' names", path, program)
		}
		list, err := json.Marshal(flags)
		if err != nil {
			return err
		}
		schema = definition.ReplaceAll(schema, slices.Concat([]byte("${1}"), list))
	}
	return os.WriteFile(path, schema, 0o644)
}
