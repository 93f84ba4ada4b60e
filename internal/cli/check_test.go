// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// check asks for each right of the ClusterRole platen-manager, and for no other.
func TestCheckKnowsTheManagersRights(t *testing.T) {
	file, err := os.Open("../../config/rbac/role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	role := &rbacv1.ClusterRole{}
	decoder := yaml.NewYAMLOrJSONDecoder(file, 4096)
	for role.Kind != "ClusterRole" {
		if err := decoder.Decode(role); err != nil {
			t.Fatal(err)
		}
	}
	want, got := []string{}, make([]string, 0, len(managersRights))
	for _, rule := range role.Rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					want = append(want, strings.TrimSpace(verb+" "+resource+" "+strings.Join(rule.ResourceNames, " "))+" of "+group)
				}
			}
		}
	}
	for _, r := range managersRights {
		got = append(got, r.String()+" of "+r.group)
	}
	slices.Sort(want)
	slices.Sort(got)
	if difference := cmp.Diff(want, got); difference != "" {
		t.Errorf("config/rbac/role.yaml (-) and check (+) differ:\n%s", difference)
	}
}

func TestNetworkProblems(t *testing.T) {
	for log, want := range map[string]string{
		`Post "https://platen-dispatch.platen-system.svc:9443": dial tcp: lookup platen-dispatch.platen-system.svc: no such host`: "cannot resolve",
		`dial tcp 10.96.0.7:9443: connect: connection refused`:                                                                    "is refused",
		`dial tcp 10.96.0.7:9443: i/o timeout`:                                                                                    "NetworkPolicy",
		`tls: failed to verify certificate: x509: certificate signed by unknown authority`:                                        "does not trust",
		`rendering`: "",
	} {
		if got := networkProblem(log); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", log, got, want)
		}
	}
}
