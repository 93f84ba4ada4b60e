// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

const securityPage = "../../docs/operations/security.md"

// table returns the rows of the table of a page whose head begins with a word.
func table(t *testing.T, page, head string) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n| "+head+" |")
	if !found {
		t.Fatalf("%s has no table that begins with | %s |", page, head)
	}
	for _, line := range strings.Split(rest, "\n")[2:] {
		if !strings.HasPrefix(line, "|") {
			return rows
		}
		cells := strings.Split(strings.Trim(line, "|"), " | ")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	return rows
}

// The table of rights in docs/operations/security.md has each right of each role, with a reason, and no other.
func TestEveryRightHasAReason(t *testing.T) {
	quoted := regexp.MustCompile("`([^`]+)`")
	var documented, granted []string
	for _, row := range table(t, securityPage, "role") {
		if len(row) != 4 || row[3] == "" {
			t.Errorf("the row %v must have a role, resources, verbs and a reason", row)
			continue
		}
		role := quoted.FindStringSubmatch(row[0])[1]
		for _, resource := range quoted.FindAllStringSubmatch(row[1], -1) {
			for verb := range strings.SplitSeq(row[2], ", ") {
				documented = append(documented, role+": "+verb+" "+resource[1])
			}
		}
	}
	for _, object := range build(t, "config/default") {
		if object.GetKind() != "ClusterRole" && object.GetKind() != "Role" {
			continue
		}
		var role rbacv1.ClusterRole
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &role); err != nil {
			t.Fatal(err)
		}
		name := role.Name
		if object.GetKind() == "Role" {
			name = object.GetNamespace() + "/" + name
		}
		for _, rule := range role.Rules {
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					resource, subresource, found := strings.Cut(resource, "/")
					if group != "" {
						resource += "." + group
					}
					if found {
						resource += "/" + subresource
					}
					if len(rule.ResourceNames) > 0 {
						resource += " " + strings.Join(rule.ResourceNames, " ")
					}
					for _, verb := range rule.Verbs {
						granted = append(granted, name+": "+verb+" "+resource)
					}
				}
			}
		}
	}
	slices.Sort(documented)
	slices.Sort(granted)
	if difference := cmp.Diff(granted, documented); difference != "" {
		t.Errorf("the roles of config/default (-) and the table of rights in %s (+) differ:\n%s", securityPage, difference)
	}
}

// No role may list or watch Secrets, or do everything.
func TestNoRoleSeesAllSecrets(t *testing.T) {
	for _, set := range []objects{build(t, "config/default"), render(t)} {
		for key, object := range set {
			if object.GetKind() != "ClusterRole" && object.GetKind() != "Role" {
				continue
			}
			for _, rule := range at(object.Object, "rules").([]any) {
				resources, _ := at(rule, "resources").([]any)
				verbs, _ := at(rule, "verbs").([]any)
				if slices.Contains(resources, any("*")) || slices.Contains(verbs, any("*")) {
					t.Errorf("%s has a rule with *: %v", key, rule)
				}
				if slices.Contains(resources, any("secrets")) && (slices.Contains(verbs, any("list")) || slices.Contains(verbs, any("watch"))) {
					t.Errorf("%s may list or watch Secrets: %v", key, rule)
				}
			}
		}
	}
}

// Each claim of the threat model names tests that exist.
func TestEveryClaimHasATest(t *testing.T) {
	named := regexp.MustCompile("`([a-z/0-9-]+) ([^`]+)`")
	for _, row := range table(t, securityPage, "threat") {
		if len(row) != 3 {
			t.Errorf("the row %v must have a threat, what stops it, and a test", row)
			continue
		}
		tests := named.FindAllStringSubmatch(row[2], -1)
		if len(tests) == 0 {
			t.Errorf("%s: no test is named", row[0])
		}
		for _, test := range tests {
			files, err := filepath.Glob(filepath.Join("../..", test[1], "*_test.go"))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(files, func(path string) bool {
				text, err := os.ReadFile(path)
				return err == nil && (strings.Contains(string(text), "func "+test[2]+"(") || strings.Contains(string(text), `"`+test[2]+`"`))
			}) {
				t.Errorf("%s: %s has no test %q", row[0], test[1], test[2])
			}
		}
	}
}
