// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
)

const flagsPage = `# Flags

The Helm chart takes flags by their names without dashes, in manager.flags and shim.flags; kustomize patches args of the Deployments.
`

// help is what package flag prints of a flag: its name and type, then what it does and its default.
var help = regexp.MustCompile(`(?m)^  -(\S+)(?: (\S+))?\n?\s+\t(.*?)(?: \(default (.*)\))?$`)

// flags returns a section for each program with a table of its flags.
func flags() (string, error) {
	var page strings.Builder
	page.WriteString(flagsPage)
	for _, program := range []string{"manager", "shim"} {
		out, err := exec.Command("go", "run", "./cmd/"+program, "-h").CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			return "", err
		}
		found := help.FindAllStringSubmatch(string(out), -1)
		if len(found) == 0 {
			return "", fmt.Errorf("cmd/%s -h: %s", program, out)
		}
		fmt.Fprintf(&page, "\n## platen-%s\n\n| flag | type | default | meaning |\n|---|---|---|---|\n", program)
		for _, flag := range found {
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
	return page.String(), nil
}
