// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command chart writes what the Helm chart has from elsewhere: the CRDs, the roles and the monitoring of config/, and from values.schema.json the chart's
// values.yaml and the table of values in its README.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

const (
	license = "# Copyright The Platen Authors.\n# SPDX-License-Identifier: Apache-2.0\n"
	marker  = "<!-- values -->\n"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: chart CONFIG CHART")
		os.Exit(2)
	}
	for _, step := range []func(config, chart string) error{copyCRDs, copyMonitoring, writeRoles, writeValues} {
		if err := step(os.Args[1], os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "chart:", err)
			os.Exit(1)
		}
	}
}

func copyCRDs(config, chart string) error {
	target := filepath.Join(chart, "files", "crds")
	if err := os.RemoveAll(target); err != nil {
		return err
	}
	return os.CopyFS(target, os.DirFS(filepath.Join(config, "crd", "bases")))
}

func copyMonitoring(config, chart string) error {
	target := filepath.Join(chart, "files", "monitoring")
	if err := os.RemoveAll(target); err != nil {
		return err
	}
	if err := os.CopyFS(target, os.DirFS(filepath.Join(config, "monitoring"))); err != nil {
		return err
	}
	return os.Remove(filepath.Join(target, "kustomization.yaml"))
}

// writeRoles writes each role of config/ to files/rbac/COMPONENT-KIND.yaml.
func writeRoles(config, chart string) error {
	target := filepath.Join(chart, "files", "rbac")
	if err := os.RemoveAll(target); err != nil {
		return err
	}
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	for _, path := range []string{"rbac/role.yaml", "rbac/user_roles.yaml", "shim/rbac.yaml", "namespaced/reviewer.yaml"} {
		data, err := os.ReadFile(filepath.Join(config, path))
		if err != nil {
			return err
		}
		for document := range bytes.SplitSeq(data, []byte("\n---\n")) {
			var role rbacv1.ClusterRole
			if err := utilyaml.Unmarshal(document, &role); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			if role.Kind != "ClusterRole" && role.Kind != "Role" {
				continue
			}
			out, err := yaml.Marshal(map[string]any{"metadata": map[string]any{"labels": role.Labels}, "rules": role.Rules})
			if err != nil {
				return err
			}
			name := strings.TrimPrefix(role.Name, "platen-") + "-" + strings.ToLower(role.Kind) + ".yaml"
			if err := os.WriteFile(filepath.Join(target, name), out, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeValues writes values.yaml and the table in README.md.
func writeValues(_, chart string) error {
	data, err := os.ReadFile(filepath.Join(chart, "values.schema.json"))
	if err != nil {
		return err
	}
	var root schema
	if err := json.Unmarshal(data, &root); err != nil {
		return fmt.Errorf("values.schema.json: %w", err)
	}
	values, table := &strings.Builder{}, &strings.Builder{}
	values.WriteString(license + "\n# Generated from values.schema.json by make manifests.\n")
	table.WriteString("| value | default | meaning |\n|---|---|---|\n")
	if err := (&writer{definitions: root.Definitions, values: values, table: table}).write(root, "", ""); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(chart, "values.yaml"), []byte(values.String()), 0o644); err != nil {
		return err
	}
	readme := filepath.Join(chart, "README.md")
	text, err := os.ReadFile(readme)
	if err != nil {
		return err
	}
	before, _, found := strings.Cut(string(text), marker)
	if !found {
		return fmt.Errorf("%s has no line %q before its table of values", readme, strings.TrimSpace(marker))
	}
	return os.WriteFile(readme, []byte(before+marker+table.String()), 0o644)
}

// schema is the part of JSON Schema that values.schema.json uses.
type schema struct {
	Ref         string            `json:"$ref"`
	Description string            `json:"description"`
	Default     json.RawMessage   `json:"default"`
	Properties  properties        `json:"properties"`
	Definitions map[string]schema `json:"definitions"`
}

// properties keep their order.
type properties []property

type property struct {
	name string
	schema
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *properties) UnmarshalJSON(data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	if _, err := decoder.Token(); err != nil {
		return err
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return err
		}
		var value schema
		if err := decoder.Decode(&value); err != nil {
			return err
		}
		*p = append(*p, property{fmt.Sprint(name), value})
	}
	return nil
}

type writer struct {
	definitions   map[string]schema
	values, table *strings.Builder
}

func (w *writer) write(s schema, path, indent string) error {
	for _, p := range s.Properties {
		name, value := path+p.name, p.schema
		if value.Ref != "" {
			definition, found := w.definitions[strings.TrimPrefix(value.Ref, "#/definitions/")]
			if !found {
				return fmt.Errorf("values.schema.json: %s: no definition %s", name, value.Ref)
			}
			value.Default, value.Properties = definition.Default, definition.Properties
		}
		if indent == "" {
			w.values.WriteByte('\n')
		}
		if value.Description == "" {
			return fmt.Errorf("values.schema.json: %s needs a description", name)
		}
		if len(value.Properties) > 0 {
			fmt.Fprintf(w.values, "%s# %s\n%s%s:\n", indent, value.Description, indent, p.name)
			if err := w.write(value, name+".", indent+"  "); err != nil {
				return err
			}
			continue
		}
		if value.Default == nil {
			value.Default = json.RawMessage("{}")
		}
		compact := &bytes.Buffer{}
		if err := json.Compact(compact, value.Default); err != nil {
			return err
		}
		// JSON is YAML.
		fmt.Fprintf(w.values, "%s# %s\n%s%s: %s\n", indent, value.Description, indent, p.name, compact)
		fmt.Fprintf(w.table, "| `%s` | `%s` | %s |\n", name, compact, value.Description)
	}
	return nil
}
